#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The tests that OpenSC's pkcs11-tool brings along, on the module and a PIV card: --test, --test-threads with every way of
# initialising, --test-fork, --test-hotplug with a card that goes and comes; --test-ec, which wants key pairs as it likes and
# is refused without harm. And a new RSA key with its certificate.
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

threads() { # two of them, with C_Initialize(NULL), and with the system's locks
	local c
	for c in INGISLT0 ILGISLT0; do
		tool -l -p 123456 --test-threads $c --test-threads $c >"$TMP/out" 2>&1 &&
		    grep -q 'all threads have ended with CKR_OK' "$TMP/out" || { cat "$TMP/out"; return 1; }
	done
}
# --test-hotplug asks for the return key before each look; "x" ends a round. The first round lists, the second one waits.
hotplug() {
	{
		sleep 0.5; echo; sleep 1; tests/vcard-ctl remove >/dev/null; sleep 1.5; echo; sleep 0.5
		tests/vcard-ctl insert >/dev/null; sleep 1.5; echo; sleep 0.5; echo x
		sleep 0.5; echo; sleep 1; echo x
	} | timeout 40 pkcs11-tool --module "$M" --test-hotplug >"$TMP/out" 2>&1
}
hotplug_seen() { # there, gone, there again; the other round tells of it
	hotplug
	local seen
	seen=$(grep -A 1 '^Slot 0 ' "$TMP/out" | grep -oE 'token label|empty' | uniq | head -n 3 | tr '\n' ' ')
	grep -q 'Calling C_WaitForSlotEvent: event on slot 0x0' "$TMP/out" && [ "$seen" = 'token label empty token label ' ] ||
	    { cat "$TMP/out"; return 1; }
}
test_ec() { # what was on the card is on it still
	so --test-ec --id 01 --key-type EC:prime256v1 >"$TMP/out" 2>&1
	tool -l -p 123456 --test-ec --id 01 --key-type EC:prime256v1 >>"$TMP/out" 2>&1
	tool --read-object --type cert --id 01 -o "$TMP/cert.der" &&
	    openssl x509 -inform DER -in "$TMP/cert.der" | cmp - <(openssl x509 -in "$TMP/$ALG-9a.pem") || { cat "$TMP/out"; return 1; }
}
rsa_keygen() { # ID: a certificate of our agency over the new key; signature
	so --keypairgen --key-type RSA:2048 --id "$1" --read-object --type pubkey -o "$TMP/pub.der" >"$TMP/made" 2>&1 &&
	    grep -q 'Private Key Object; RSA' "$TMP/made" && openssl pkey -pubin -inform DER -in "$TMP/pub.der" -out "$TMP/pub.pem" ||
	    { cat "$TMP/made"; return 1; }
	openssl req -new -key "$TMP/ca.key" -subj '/CN=New' -config "$TMP/ca.cnf" -out "$TMP/new.csr" &&
	    openssl x509 -req -in "$TMP/new.csr" -force_pubkey "$TMP/pub.pem" -CA "$TMP/ca.pem" -CAkey "$TMP/ca.key" -set_serial 78 \
		-days 10 -outform DER -out "$TMP/new.der" 2>/dev/null || return 1
	so --write-object "$TMP/new.der" --type cert --id "$1" && tool --read-object --type cert --id "$1" -o "$TMP/back.der" &&
	    cmp "$TMP/new.der" "$TMP/back.der" &&
	    tool -l -p 123456 --sign -m SHA256-RSA-PKCS --id "$1" -i "$TMP/msg" -o "$TMP/sig" &&
	    openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/msg"
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "threads, $ALG" with_card $ALG threads
	check "fork, $ALG" with_card $ALG tool --test-fork
	check "--test-ec harms nothing, $ALG" with_card $ALG test_ec
done
ALG=p256
check "hotplug" with_card p256 hotplug_seen
ALG=rsa2048
check "a new RSA key, certified, signs" with_card rsa2048 rsa_keygen 01
