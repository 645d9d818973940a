#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a user sends: a session is recorded on a card, holds no secret, and is played where there is no reader.
. tests/lib/shell.sh

module=$BUILD/dpiv-pkcs11.so
trace=$TMP/trace
head -c 48 /dev/zero | tr '\0' 'P' >"$TMP/plain"
"$BUILD/dpiv-vcard" make --alg rsa2048 --retired 2 --export-certs "$TMP/certs" "$TMP/card.json" >/dev/null || exit 1
openssl x509 -in "$TMP/certs/9d.pem" -pubkey -noout >"$TMP/9d.pub"
openssl pkeyutl -encrypt -pubin -inkey "$TMP/9d.pub" -in "$TMP/plain" -out "$TMP/secret"

list() { pkcs11-tool --module "$module" --login --pin "$1" -O; }
# session: list, decrypt, sign, authenticate as the security officer, change the PIN and change it back
session() {
	list 123456 >"$TMP/listed" 2>&1 || return 1
	pkcs11-tool --module "$module" --login --pin 123456 --decrypt --id 03 --mechanism RSA-PKCS --input-file "$TMP/secret" \
	    --output-file "$TMP/opened" && cmp "$TMP/opened" "$TMP/plain" || return 1
	pkcs11-tool --module "$module" --login --pin 123456 --sign --id 01 --mechanism SHA256-RSA-PKCS --input-file "$TMP/plain" \
	    --output-file "$TMP/sig" || return 1
	pkcs11-tool --module "$module" --login --pin 123456 --change-pin --new-pin 87654321 || return 1
	pkcs11-tool --module "$module" --login --pin 87654321 --change-pin --new-pin 123456 || return 1
	pkcs11-tool --module "$module" --login --login-type so --so-pin 010203040506070801020304050607080102030405060708 \
	    --keypairgen --key-type EC:prime256v1 --id 04
}
export -f list session
export module trace TMP
check "a session with a card" tests/with-card --image "$TMP/card.json" --no-save -- \
    env DPIV_LOG="trace:$trace" bash -c session

# hidden TEXT-OR-FILE...: not in the trace, neither as it is nor in hex
hidden() { ! grep -qaiF -e "$1" -e "$(printf %s "$1" | xxd -p | tr -d '\n')" "$trace"; }
check "no PIN in the trace" hidden 123456
check "no new PIN" hidden 87654321
check "no plaintext" hidden "$(cat "$TMP/plain")"
check "no management key" bash -c '! grep -qi 0102030405060708 "$trace"'
hex_of() { xxd -p "$1" | tr -d '\n' | cut -c1-32; }
check "no ciphertext, no signature" bash -c "! grep -qi -e $(hex_of "$TMP/secret") -e $(hex_of "$TMP/sig") '$trace'"
check "the 9D certificate is in it" grep -q "data=5C035FC10B answer=2[0-9]* rsp=53" "$trace"
check "VERIFY has its length only" grep -q "ins=20 p1=00 p2=80 lc=8 data=\* answer=0 rsp= sw=9000" "$trace"
check "each event is one line" bash -c '! grep -vqE "^20[0-9-]+T[0-9:.]+Z pid=[0-9]+ level=[a-z]+ event=" "$trace"'

replay() { "$BUILD/dpiv" replay "$trace" "$@"; }
check "it plays without a reader" bash -c "$(declare -f replay); replay -- bash -c 'list 000000 >\"\$TMP/played\" 2>&1'"
check "... and the listing is the same" diff "$TMP/listed" "$TMP/played"
says "It ends with" "without a command: status, and the end of the trace" replay
says "Pat Example" "... which shows the card" replay
refuse "a signature is not in it" replay -- pkcs11-tool --module "$module" --login --pin 123456 --sign --id 01 \
    --mechanism SHA256-RSA-PKCS --input-file "$TMP/plain" --output-file "$TMP/sig2"
says "the trace does not show this answer" "... and the log says so" env DPIV_LOG=warn \
    "$BUILD/dpiv" replay "$trace" -- pkcs11-tool --module "$module" --login --pin 123456 --sign --id 01 \
    --mechanism SHA256-RSA-PKCS --input-file "$TMP/plain" --output-file "$TMP/sig2"
status 2 "no file" "$BUILD/dpiv" replay
echo nothing >"$TMP/empty"
status 3 "no trace" "$BUILD/dpiv" replay "$TMP/empty"
