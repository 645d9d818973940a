#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# S/MIME with a PIV card: signature by 9C, decryption by 9D, with and without a terminal, RSA-2048 and P-256.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
echo 123456 >"$TMP/pin"
printf 'Hello Bob,\nthis is it.\n' >"$TMP/letter.txt"
agency_make

typed() { # COMMAND on a terminal; prints "prompts: N"
	python3 tests/lib/on_terminal.py "${TYPE:-123456}" "$@"
}
P="pkcs11:?pin-source=file:$TMP/pin"

sign_9c() {
	"$D" sign --token "$P" --chain "$TMP/ca.pem" --from pat@example.test --to bob@example.test -o "$TMP/s.eml" "$TMP/letter.txt" &&
	    openssl cms -verify -in "$TMP/s.eml" -CAfile "$TMP/root.pem" -purpose any -signer "$TMP/who.pem" -out "$TMP/out" &&
	    cmp "$TMP/who.pem" "$TMP/$1-9c.pem" && "$D" verify --cafile "$TMP/root.pem" "$TMP/s.eml"
}
sign_typed() {
	typed "$D" sign --chain "$TMP/ca.pem" --from pat@example.test -o "$TMP/s.eml" "$TMP/letter.txt" && "$D" verify --cafile "$TMP/root.pem" "$TMP/s.eml"
}
operations() { # how often the card computed with a key for one signature: GENERAL AUTHENTICATE, without its chained blocks
	tests/vcard-ctl clear && "$D" sign --token "$P" --chain "$TMP/ca.pem" --from pat@example.test "$TMP/letter.txt" >"$TMP/s.eml" &&
	    tests/vcard-ctl log
}
encrypt_to_card() {
	"$D" encrypt --to pat@example.test -o "$TMP/e.eml" "$TMP/letter.txt" &&
	    "$D" decrypt --token "$P" --text -o "$TMP/out" "$TMP/e.eml" && cmp "$TMP/letter.txt" "$TMP/out"
}
openssl_to_card() { # [options]
	openssl cms -encrypt -aes-256-cbc -in "$TMP/letter.txt" -text -recip "$TMP/$ALG-9d.pem" "$@" -out "$TMP/e.eml" &&
	    "$D" decrypt --token "$P" --text -o "$TMP/out" "$TMP/e.eml" && cmp "$TMP/letter.txt" "$TMP/out"
}
decrypt_typed() { typed "$D" decrypt --text -o "$TMP/out" "$TMP/e.eml"; }
wrong_pin() { "$D" decrypt --token "pkcs11:?pin-source=file:$TMP/badpin" "$TMP/e.eml"; }
verifies() { # VERIFY with a PIN in it has 13 bytes; an empty one only asks for the tries left
	tests/vcard-ctl clear
	wrong_pin 2>/dev/null
	[ "$(tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 ')" = 1 ] || { tests/vcard-ctl trace; false; }
}
echo 999999 >"$TMP/badpin"

for ALG in rsa2048 p256; do
	card_make $ALG
	check "sign with 9C, $ALG" with_card $ALG sign_9c $ALG
	check "sign on a terminal, $ALG" with_card $ALG sign_typed
	says "prompts: 1" "asks once for the PIN-for-each-use key, $ALG" with_card $ALG sign_typed
	check "encrypt to the card and decrypt with 9D, $ALG" with_card $ALG encrypt_to_card
	says "prompts: 1" "decrypt asks once, $ALG" with_card $ALG decrypt_typed
	check "decrypt what openssl made, $ALG" with_card $ALG openssl_to_card
	status 4 "a wrong PIN, $ALG" with_card $ALG wrong_pin
	check "is sent to the card once, $ALG" with_card $ALG verifies
done
ALG=rsa2048
check "decrypt RSA OAEP" with_card rsa2048 openssl_to_card -keyopt rsa_padding_mode:oaep
check "decrypt RSA OAEP with SHA-256" with_card rsa2048 openssl_to_card -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
ALG=p256
for kdf in sha256 sha384 sha512; do
	check "decrypt ECDH, KDF $kdf" with_card p256 openssl_to_card -keyopt ecdh_kdf_md:$kdf
done
says "ins=87 1" "a P-256 signature is one operation of the card" with_card p256 operations
