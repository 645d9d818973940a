#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Thunderbird itself on the module and a PIV card, RSA-2048 and P-256: certificates are listed without a PIN; a mail is signed, and
# signed and encrypted to oneself, and shown with good icons; ten mails that OpenSSL encrypted open with one PIN, and so does
# an old one for a retired key. The PIN prompts that a user would see are counted. OpenSSL reads what Thunderbird wrote. With RSA
# the profile is set up by dpiv setup before Thunderbird starts, else by Thunderbird itself.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
export DPIV_CONF=$TMP/dpiv.conf XDG_CACHE_HOME=$TMP/cache
: >"$DPIV_CONF"
agency_make
key_make rsa2048 "$TMP/stranger.key"
cert_make encrypt "$TMP/stranger.key" "/CN=Bob" "$TMP/stranger.pem"

mail_make() { # NAME CERTIFICATE: mail from outside, encrypted
	printf 'Content-Type: text/plain\r\n\r\nthis is it, %s\r\n' "$1" |
	    openssl cms -encrypt -aes-256-cbc -from bob@example.test -to pat@example.test -subject "$1" -recip "$2" |
	    sed "1i Message-ID: <$1@example.test>\nDate: $(date -R)" >"$TMP/inbox-$ALG/$1.eml"
}
inbox_make() { # ten to 9d, one to the second retired key, one to somebody else
	local i
	mkdir -p "$TMP/inbox-$ALG"
	for i in 0 1 2 3 4 5 6 7 8 9; do mail_make in$i "$TMP/$ALG-9d.pem"; done
	mail_make old "$TMP/certs-$ALG/83.pem"
	mail_make other "$TMP/stranger.pem"
}
drive() {
	timeout -k 5 80 python3 tests/interop/thunderbird.py --module "$M" --root "$TMP/root.pem" --ca "$TMP/ca.pem" \
	    $SETUP --signer "$TMP/$ALG-9c.pem" --recipient "$TMP/$ALG-9d.pem" --dir "$TMP/tb-$ALG" "$TMP/inbox-$ALG"/*.eml >"$TMP/said" 2>&1 && return 0
	cat "$TMP/said"
	tail -n 20 "$TMP/tb-$ALG/home/thunderbird.log"
	return 1
}
said() { grep -qxF "$1" "$TMP/said" || { cat "$TMP/said"; return 1; }; }
ten_open() { # ten times the right text and the closed lock
	[ "$(grep -cx 'in[0-9] body: right' "$TMP/said")" -eq 10 ] && [ "$(grep -cx 'in[0-9] icons: message-encrypted-ok' "$TMP/said")" -eq 10 ] ||
	    { cat "$TMP/said"; return 1; }
}
openssl_verifies() {
	openssl cms -verify -in "$TMP/tb-$ALG/signed.eml" -CAfile "$TMP/root.pem" -certfile "$TMP/ca.pem" -purpose smimesign \
	    -signer "$TMP/who.pem" | grep -q 'this is it, signed' && cmp "$TMP/who.pem" "$TMP/$ALG-9c.pem"
}
openssl_reads() { # with the keys of the virtual card, which are in its image
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["keys"]["9D"]["pem"])' "$TMP/$ALG.json" >"$TMP/9d.key" &&
	    ! grep -q 'this is it' "$TMP/tb-$ALG/both.eml" &&
	    openssl cms -decrypt -in "$TMP/tb-$ALG/both.eml" -recip "$TMP/$ALG-9d.pem" -inkey "$TMP/9d.key" -out "$TMP/inner.eml" &&
	    openssl cms -verify -in "$TMP/inner.eml" -CAfile "$TMP/root.pem" -certfile "$TMP/ca.pem" -purpose smimesign \
		-signer "$TMP/who.pem" | grep -q 'this is it, both' && cmp "$TMP/who.pem" "$TMP/$ALG-9c.pem"
}

for ALG in rsa2048 p256; do
	SETUP=
	[ $ALG = p256 ] || SETUP="--setup $BUILD/dpiv"
	card_make $ALG --retired 3
	inbox_make
	check "Thunderbird runs, $ALG" with_card $ALG drive
	check "lists all seven certificates, $ALG" said "certificates: 7"
	check "without a PIN, $ALG" said "prompts to list: 0"
	check "one prompt to sign, $ALG" said "prompts to sign: 1"
	check "one for the next signature, $ALG" said "prompts to sign again: 1"
	check "signed mail is shown as good, $ALG" said "signed icons: message-signed-ok"
	check "with its text, $ALG" said "signed body: right"
	check "but not when it was changed, $ALG" said "changed icons: none"
	check "mail to oneself is shown as encrypted and signed, $ALG" said "both icons: message-encrypted-ok message-signed-ok"
	check "with its text, encrypted, $ALG" said "both body: right"
	check "and no further PIN, $ALG" said "prompts to decrypt when logged in: 0"
	check "ten mails of OpenSSL's open, $ALG" ten_open
	check "and one that only a retired key opens, $ALG" said "old body: right"
	check "shown as encrypted, $ALG" said "old icons: message-encrypted-ok"
	check "but not somebody else's, $ALG" said "other icons: message-encrypted-notok"
	check "all with one PIN, $ALG" said "prompts to decrypt: 1"
	if [ -n "$SETUP" ]; then
		check "dpiv setup has put module and certificates into the profile, $ALG" said "set up: 0"
		check "it leaves a profile in use alone, $ALG" said "set up while it runs: 6"
		check "and takes back, $ALG" said "set up, taken back: 0"
		check "all of it, $ALG" said "left behind: 0"
	fi
	check "OpenSSL verifies the signed mail, $ALG" openssl_verifies
	check "OpenSSL decrypts and verifies the encrypted one, $ALG" openssl_reads
done
