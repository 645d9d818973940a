#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An encryption key that the issuer makes, straight into 9D of a PIV token: over the key that it was wrapped for, where
# the token takes keys; an older one makes room where it can be moved, and is never overwritten. A token with the
# commands of SP 800-73 alone is refused before the issuer is asked. tests/faults/sweep_piv_keygen.sh cuts it off.
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77' "blank:" \
	'blank:"yubikey": true, "version": "5.4.3", "serial": 78' 'blank:"yubikey": true, "version": "5.7.1", "aid": "A000000308000020000100"'
. tests/lib/shell.sh
at_end issuer_stop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
M=$BUILD/dpiv-pkcs11.so
printf 'A letter.\n' >"$TMP/letter"
token_fresh none
card 1

fresh() { # [SOURCE]: the person's things are new, and encryption keys come from there
	rm -rf "$TMP/state" "$TMP/home"
	issuer_conf "encrypt = ${1:-serverkeygen}"
	echo 010203040506070801020304050607080102030405060708 >"$TMP/admin"
	chmod 600 "$TMP/admin"
	printf '[module]\nmanagement_key_file = %s\n' "$TMP/admin" >>"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}
target() { # N: the N-th image is the target
	SLOT=$(($(pkcs11-tool --module "$M" -L | sed -n "s/^Slot [0-9]* (\(.*\)): Virtual PCD $(($1 - 1)) 00 00\$/\1/p" | head -n 1)))
	TO="pkcs11:slot-id=$SLOT?pin-source=file:$TMP/pin"
	IMAGE=$DERIVE_DIR/$1.json
}
p11() { pkcs11-tool --module "$M" --slot "$SLOT" "$@"; }
cert() { # ID: its certificate in $TMP/ID.pem
	p11 --read-object --type cert --id "$1" -o "$TMP/cert.der" >/dev/null 2>&1 &&
		openssl x509 -inform DER -in "$TMP/cert.der" -out "$TMP/$1.pem"
}
letter() { # NAME PEM: a letter to this certificate
	openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -from a@example.test -to pat@example.test -out "$TMP/$1" "$2"
}
opens() { "$BUILD/dpiv" decrypt --token "$TO" --text -o "$TMP/plain" "$TMP/$1" && tr -d '\r' <"$TMP/plain" | cmp - "$TMP/letter"; }
places() { # the places with keys, and how these came; by the card's own memory
	/usr/bin/python3 -c 'import json, sys
print(*sorted(r.upper() + ("+" if k.get("origin") == "imported" else "") for r, k in json.load(open(sys.argv[1]))["keys"].items()))' "$IMAGE"
}
nothing_left() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["unfinished"] != [])'; }
escrowed() { sql "$DERIVE_DIR/agency/issuer.db" 'SELECT count(*) FROM escrow'; }

# --- a token that takes keys, and can move and delete them ---
fresh
target 2
check '5.7: auth made there, encrypt by the issuer' derive_conf --role auth,encrypt
check '5.7: 9A made on the token, 9D brought, and no other key' test "$(places)" = '9A 9D+'
check '5.7: certificate 03' cert 03
check '5.7: a letter' letter first "$TMP/03.pem"
check '5.7: opens with it' opens first
check '5.7: one key is in escrow' test "$(escrowed)" = 1
check '5.7: nothing is unfinished' nothing_left
says 'was there already' '5.7: a second run does nothing' derive_conf --role auth,encrypt
issuer_stop
sed -i 's/^# algorithm = .*/algorithm = p256/' "$DERIVE_DIR/agency/issuer.conf"
issuer_start || fail 'an issuer again' "$(cat "$TMP/issuer.log")"
check '5.7: another one, an EC key' derive_conf --role encrypt --again --alg p256
check '5.7: the old one is in a retired place' test "$(places)" = '82+ 9A 9D+'
check '5.7: with its certificate' cert 05
check '5.7: which is the same' cmp "$TMP/03.pem" "$TMP/05.pem"
check '5.7: certificate 03' cert 03
is_ec() { openssl x509 -in "$TMP/03.pem" -noout -text | grep -q prime256v1; }
check '5.7: is that of an EC key' is_ec
check '5.7: a letter' letter second "$TMP/03.pem"
check '5.7: opens with it' opens second
check '5.7: the first letter opens still' opens first
check '5.7: two keys are in escrow' test "$(escrowed)" = 2
check '5.7: nothing is unfinished' nothing_left

# --- one with the commands of SP 800-73 alone ---
fresh
target 3
before=$(escrowed)
says 'no command of SP 800-73' 'standard: refused, and why' derive_conf --role encrypt
status 1 'standard: again' derive_conf --role encrypt
check 'standard: before the issuer was asked' test "$(escrowed)" = "$before"
check 'standard: no key was made' test "$(places)" = ''
check 'standard: nothing is unfinished' nothing_left

# --- one that takes keys, and cannot move them ---
fresh
target 4
tests/vcard-ctl fault 'ins 47 sw 6A80' 3 >/dev/null
check '5.4: encrypt by the issuer, though it makes no RSA key of 3072 bits' derive_conf --role encrypt
check '5.4: in 9D, and no other key' test "$(places)" = '9D+'
cert 03
check '5.4: a letter' letter third "$TMP/03.pem"
check '5.4: opens with it' opens third
before=$(escrowed)
says 'could not be read any more' '5.4: an old key is not overwritten' derive_conf --role encrypt --again
check '5.4: nor is another made' test "$(escrowed)" = "$before"
check '5.4: and the letter opens still' opens third
check '5.4: nothing is unfinished' nothing_left

# --- the derived AID; a key out of the escrow ---
fresh
target 5
check 'derived AID: encrypt by the issuer' derive_conf --role encrypt
check 'derived AID: in 9D' test "$(places)" = '9D+'
cert 03
check 'derived AID: a letter' letter fourth "$TMP/03.pem"
check 'derived AID: opens with it' opens fourth
check 'derived AID: revoked, and the key destroyed' "$BUILD/dpiv" revoke encrypt --token "$TO" --yes --local
check 'derived AID: nothing is there' test "$(places)" = ''
before=$(escrowed)
fresh recover
check 'derived AID: the same key comes back out of the escrow' derive_conf --role encrypt
check 'derived AID: in 9D again' test "$(places)" = '9D+'
check 'derived AID: none was made for it' test "$(escrowed)" = "$before"
check 'derived AID: the letter opens again' opens fourth
check 'derived AID: nothing is unfinished' nothing_left
