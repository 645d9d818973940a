#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# OpenSC's pkcs11-tool writes on a PIV card through the module: the management key as SO PIN, new keys, a certificate over
# one, data objects, PINs. OpenSSL, and OpenSC's own
# module, look at what came of it.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
ADMIN=010203040506070801020304050607080102030405060708
tool() { pkcs11-tool --module "$M" "$@"; }
so() { tool --login --login-type so --so-pin "$ADMIN" "$@"; }
agency_make
printf 'To be signed.' >"$TMP/msg"

wrong_key() { tool --login --login-type so --so-pin "${ADMIN%08}0A" --keypairgen --key-type EC:prime256v1 --id 01; }
keygen() { # ID: a P-256 key, its certificate, and a signature; pkcs11-tool prints the point 04 41 04 X Y
	so --keypairgen --key-type EC:prime256v1 --id "$1" >"$TMP/made" || return 1
	grep -q 'Private Key Object; EC' "$TMP/made" || { echo 'no private key'; return 1; }
	hex=3059301306072a8648ce3d020106082a8648ce3d030107034200$(sed -n 's/^ *EC_POINT: *0441//p' "$TMP/made" | head -n 1)
	printf "$(sed 's/../\\x&/g' <<<"$hex")" | openssl pkey -pubin -inform DER -out "$TMP/pub.pem" || return 1
	tool --list-objects --type cert | grep -q "ID: *$1\$" && { echo 'the former certificate'; return 1; }
	certify && so --write-object "$TMP/new.der" --type cert --id "$1" &&
	    tool --read-object --type cert --id "$1" -o "$TMP/back.der" && cmp "$TMP/new.der" "$TMP/back.der" &&
	    tool --login --pin 123456 --sign --mechanism ECDSA-SHA256 --id "$1" -i "$TMP/msg" -o "$TMP/sig" -f openssl &&
	    openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/msg"
}
certify() { # a certificate of our agency over $TMP/pub.pem
	openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/other.key" &&
	    openssl req -new -key "$TMP/other.key" -subj '/CN=New' -out "$TMP/new.csr" 2>/dev/null &&
	    openssl x509 -req -in "$TMP/new.csr" -force_pubkey "$TMP/pub.pem" -CA "$TMP/ca.pem" -CAkey "$TMP/ca.key" -set_serial 77 \
		-days 10 -outform DER -out "$TMP/new.der" 2>/dev/null
}
data_list() {
	tool --list-objects --type data >"$TMP/public" && tool --login --pin 123456 --list-objects --type data >"$TMP/all" || return 1
	for l in 'Card Capability Container' 'Card Holder Unique Identifier' 'Security Object' 'Discovery Object' \
	    'Key History Object'; do
		grep -q "$l" "$TMP/public" || { echo "no $l"; return 1; }
	done
	! grep -q 'Printed Information' "$TMP/public" && grep -q 'Printed Information' "$TMP/all"
}
data_read() { # by label, and by object identifier: the same
	tool --read-object --type data --label 'Card Holder Unique Identifier' -o "$TMP/chuid" &&
	    tool --read-object --type data --application-id 2.16.840.1.101.3.7.2.48.0 -o "$TMP/again" && cmp "$TMP/chuid" "$TMP/again" &&
	    [ "$(od -An -tx1 -N2 "$TMP/chuid" | tr -d ' ')" = 3019 ]
}
opensc_sees() { # a certificate that was written through dpiv
	openssl x509 -in "$TMP/p256-9c.pem" -outform DER -out "$TMP/new.der" &&
	    so --write-object "$TMP/new.der" --type cert --id 05 &&
	    printf '\xC1\x01\x01\xC2\x01\x00\xFE\x00' >"$TMP/history" &&
	    so --write-object "$TMP/history" --type data --label 'Key History Object' &&
	    pkcs11-tool --read-object --type cert --id 05 -o "$TMP/back.der" && cmp "$TMP/new.der" "$TMP/back.der"
}
data_write() {
	printf '\xC1\x01\x00\xC2\x01\x00\xFE\x00' >"$TMP/history"
	so --write-object "$TMP/history" --type data --label 'Key History Object' --application-id 2.16.840.1.101.3.7.2.96.96 &&
	    tool --read-object --type data --application-id 2.16.840.1.101.3.7.2.96.96 -o "$TMP/again" && cmp "$TMP/history" "$TMP/again"
}
delete_cert() {
	so --delete-object --type cert --id 03 && ! tool --list-objects --type cert | grep -q 'Key Management'
}
pin_change() {
	tool --login --pin 123456 --change-pin --new-pin 11223344 && tool --login --pin 11223344 --list-objects --type privkey |
	    grep -q 'PIV AUTH key'
}
init_pin() { # the PUK as SO PIN
	for _ in 1 2 3; do tool -L >/dev/null; tool --login --pin 654321 -O >/dev/null 2>&1; done
	tool --login --login-type so --so-pin 12345678 --init-pin --new-pin 11223344 &&
	    tool --login --pin 11223344 --list-objects --type privkey | grep -q 'PIV AUTH key'
}

card_make p256
check "data objects are listed, private ones after login" with_card p256 data_list
check "data objects are read" with_card p256 data_read
check "a data object is written" with_card p256 data_write
check "a certificate is deleted" with_card p256 delete_cert
check "a new key in 9A, certified, signs" with_card p256 keygen 01
check "a new key in 9E, certified, signs" with_card p256 keygen 04
check "OpenSC reads what was written" with_card p256 opensc_sees
check "the PIN is changed" with_card p256 pin_change
check "a blocked PIN is set with the PUK" with_card p256 init_pin
refuse "a wrong management key" with_card p256 wrong_key
says CKR_PIN_INCORRECT "a wrong management key says so" with_card p256 wrong_key
