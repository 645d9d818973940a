#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A card with YubiKey's extensions through the module: what pkcs11-tool and NSS's pk12util write, Yubico's own tool reads,
# and the other way round.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$(realpath "$BUILD")/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
ADMIN=010203040506070801020304050607080102030405060708
tool() { pkcs11-tool --module "$M" "$@"; }
so() { tool --login --login-type so --so-pin "$ADMIN" "$@"; }
"$BUILD/dpiv-vcard" make --alg p256 --yubikey --firmware 5.7.1 --export-certs "$TMP/certs" "$TMP/yk.json" || exit 1
card() { # with a fresh copy of the card
	{
		declare -p | grep -v '^declare -[a-zA-Z]*[rA]' | grep -vE '^declare -[-a-zA-Z]+ (BASH|FUNCNAME|PIPESTATUS|DIRSTACK|GROUPS|_)'
		declare -f
	} >"$TMP/inside.sh"
	tests/with-card --reader-name "Yubico YubiKey Virtual" --image "$TMP/yk.json" --no-save -- \
	    bash -c '. "$0" 2>/dev/null; "$@"' "$TMP/inside.sh" "$@"
}
yk() { yubico-piv-tool "$@"; }
printf 'To be signed.' >"$TMP/msg"

generated() { # in a retired place, told and attested by the card
	so --keypairgen --key-type EC:prime256v1 --id 05 >"$TMP/made" &&
	    hex=3059301306072a8648ce3d020106082a8648ce3d030107034200$(sed -n 's/^ *EC_POINT: *0441//p' "$TMP/made" | head -n 1) &&
	    printf "$(sed 's/../\\x&/g' <<<"$hex")" | openssl pkey -pubin -inform DER -out "$TMP/made.pem" &&
	    yk -a attest -s 82 >"$TMP/att.pem" && openssl x509 -in "$TMP/att.pem" -pubkey -noout | cmp - "$TMP/made.pem" &&
	    tool --read-object --type cert --id 1e -o "$TMP/att.der" &&
	    openssl x509 -inform DER -in "$TMP/att.der" -pubkey -noout | cmp - "$TMP/made.pem" &&
	    openssl x509 -inform DER -in "$TMP/att.der" -out "$TMP/att2.pem" &&
	    openssl verify -partial_chain -trusted "$TMP/certs/f9.pem" "$TMP/att2.pem"
}
p12_make() { # KIND: an old key with its certificate
	case $1 in
	rsa) openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/old.key" -subj '/CN=Old' -days 30 -out "$TMP/old.pem" 2>/dev/null ;;
	ec) openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/old.key" -subj '/CN=Old' -days 30 \
	    -out "$TMP/old.pem" 2>/dev/null ;;
	esac
	openssl pkcs12 -export -inkey "$TMP/old.key" -in "$TMP/old.pem" -name old -passout pass:x -out "$TMP/old.p12"
}
pk12() { # with the management key in a file, because NSS knows no security officer
	printf '[module]\nmanagement_key_file = %s\n' "$TMP/admin" >"$TMP/dpiv.conf" && echo $ADMIN >"$TMP/admin" &&
	    chmod 600 "$TMP/admin" && rm -rf "$TMP/nss" && mkdir "$TMP/nss" &&
	    certutil -N -d "sql:$TMP/nss" --empty-password && export DPIV_CONF=$TMP/dpiv.conf &&
	    modutil -force -dbdir "sql:$TMP/nss" -add dpiv -libfile "$M" >/dev/null &&
	    token=$(tool -L | sed -n 's/^ *token label *: *//p' | head -n 1) &&
	    pk12util -i "$TMP/old.p12" -d "sql:$TMP/nss" -h "$token" -K 123456 -W x
}
p12_in() { # KIND
	p12_make "$1" && pk12 && tool --read-object --type cert --id 05 -o "$TMP/back.der" &&
	    openssl x509 -in "$TMP/old.pem" -outform DER | cmp - "$TMP/back.der" &&
	    yk -a read-certificate -s 82 | openssl x509 -outform DER | cmp - "$TMP/back.der" &&
	    yk -a status | grep -qi 'Slot 82' || return 1
	tool --read-object --type data --label 'Key History Object' -o "$TMP/history" &&
	    [ "$(od -An -tx1 -N6 "$TMP/history" | tr -d ' ')" = c10101c20100 ] || return 1
	[ "$1" = rsa ] || return 0
	openssl pkeyutl -encrypt -certin -inkey "$TMP/old.pem" -in "$TMP/msg" -out "$TMP/enc" &&
	    tool --login --pin 123456 --decrypt --id 05 -m RSA-PKCS -i "$TMP/enc" -o "$TMP/dec" && cmp "$TMP/msg" "$TMP/dec"
}
imported() { # by Yubico's tool into 9D, with its certificate: our module decrypts
	p12_make rsa && yk -a import-key -s 9d -i "$TMP/old.key" && yk -a import-certificate -s 9d -i "$TMP/old.pem" &&
	    openssl pkeyutl -encrypt -certin -inkey "$TMP/old.pem" -in "$TMP/msg" -out "$TMP/enc" &&
	    tool --login --pin 123456 --decrypt --id 03 -m RSA-PKCS -i "$TMP/enc" -o "$TMP/dec" && cmp "$TMP/msg" "$TMP/dec"
}
brought() { # by pkcs11-tool
	p12_make rsa && openssl rsa -in "$TMP/old.key" -outform DER -out "$TMP/old.der" 2>/dev/null &&
	    openssl x509 -in "$TMP/old.pem" -outform DER -out "$TMP/oldcert.der" &&
	    so --write-object "$TMP/old.der" --type privkey --id 06 && so --write-object "$TMP/oldcert.der" --type cert --id 06 &&
	    yk -a read-certificate -s 83 | openssl x509 -outform DER | cmp - "$TMP/oldcert.der" &&
	    openssl pkeyutl -encrypt -certin -inkey "$TMP/old.pem" -in "$TMP/msg" -out "$TMP/enc" &&
	    tool --login --pin 123456 --decrypt --id 06 -m RSA-PKCS -i "$TMP/enc" -o "$TMP/dec" && cmp "$TMP/msg" "$TMP/dec"
}
deleted() {
	so --delete-object --type privkey --id 04 && ! yk -a attest -s 9e >/dev/null 2>&1 &&
	    ! tool --list-objects --type cert | grep -q 'Card Authentication'
}
new_admin() { # Yubico's tool proves the new one
	new=A1A2A3A4A5A6A7A8B1B2B3B4B5B6B7B8C1C2C3C4C5C6C7C8
	so --change-pin --new-pin $new && ! yk -a set-chuid -k$ADMIN 2>/dev/null && yk -a set-chuid -k$new
}

check "a key made in a retired place is attested, to Yubico's tool and to ours" card generated
check "pk12util brings an old RSA key, which decrypts" card p12_in rsa
check "pk12util brings an old P-256 key" card p12_in ec
check "a key that Yubico's tool imported decrypts" card imported
check "pkcs11-tool brings a key and its certificate" card brought
check "a key is deleted" card deleted
check "a new management key" card new_admin
