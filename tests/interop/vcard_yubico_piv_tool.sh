#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The virtual card, with YubiKey extensions, under yubico-piv-tool: status, PIN, PUK, management key, generating,
# storing certificates, importing keys, signing, decrypting. What it makes is verified by plain openssl, and survives
# pulling the card: it is in the image.
if [ "${1-}" != inside ]; then
	card=$(mktemp -d)
	trap 'rm -rf "$card"' EXIT
	"${BUILD:-build}/dpiv-vcard" make --yubikey --export-certs "$card" "$card/card.json" || exit 1
	tests/with-card --reader-name "Yubico YubiKey Virtual" --image "$card/card.json" -- "$0" inside "$card"
	exit
fi
card=$2
. tests/lib/shell.sh
piv() { yubico-piv-tool "$@"; }
KEY=010203040506070801020304050607080102030405060708

says "PIN tries left:	3" "status is read" piv -a status
says "Application version 5.4.3" "version" piv -a version
check "the PIN is verified" piv -a verify-pin -P 123456
says "2 tries left" "a wrong PIN costs a try" piv -a verify-pin -P 654321
check "the right PIN gives the tries back" piv -a verify-pin -P 123456
says "PIN tries left:	3" "three tries again" piv -a status
check "the PIN is changed" piv -a change-pin -P 123456 -N 135790
check "the new PIN is verified" piv -a verify-pin -P 135790
refuse "the old PIN is not" piv -a verify-pin -P 123456
check "the PIN is unblocked by the PUK" piv -a unblock-pin -P 12345678 -N 123456
check "the PUK is changed" piv -a change-puk -P 12345678 -N 87654321

# yubico-piv-tool 2.2 cannot sign requests or certificates with OpenSSL 3 (it fails before it speaks to the card):
# openssl certifies the generated keys.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/ca.key" -subj /CN=ca -out "$TMP/ca.pem" 2>/dev/null
openssl req -new -key "$TMP/ca.key" -subj /CN=card -out "$TMP/csr"
for alg in RSA2048 ECCP256 ECCP384; do
	check "$alg: 9a is generated" piv -a generate -s 9a -A $alg -k$KEY -o "$TMP/$alg.pub"
	openssl x509 -req -in "$TMP/csr" -force_pubkey "$TMP/$alg.pub" -CA "$TMP/ca.pem" -CAkey "$TMP/ca.key" \
	    -CAcreateserial \
	    -out "$TMP/$alg.pem" 2>/dev/null
	check "$alg: a certificate is stored" piv -a import-certificate -s 9a -k$KEY -i "$TMP/$alg.pem"
	check "$alg: and read back" piv -a read-certificate -s 9a -o "$TMP/back.pem"
	check "$alg: unchanged" cmp "$TMP/back.pem" "$TMP/$alg.pem"
	says "Successful" "$alg: the key signs" piv -a verify-pin -P 123456 -a test-signature -s 9a -i "$TMP/$alg.pem"
done
openssl genrsa -out "$TMP/imp.rsa" 2048 2>/dev/null
openssl ecparam -name secp384r1 -genkey -noout -out "$TMP/imp.ec"
for kind in rsa ec; do
	check "an $kind key is imported into 9d" piv -a import-key -s 9d -k$KEY -i "$TMP/imp.$kind"
	openssl req -x509 -new -key "$TMP/imp.$kind" -subj "/CN=$kind" -out "$TMP/imp.pem"
	check "its certificate is stored" piv -a import-certificate -s 9d -k$KEY -i "$TMP/imp.pem"
	check "the imported $kind key decrypts" piv -a verify-pin -P 123456 -a test-decipher -s 9d -i "$TMP/imp.pem"
done
NEW=0123456789abcdef1123456789abcdef2123456789abcdef
check "the management key is changed" piv -a set-mgm-key -k$KEY -n $NEW
check "the new management key works" piv -a generate -s 9e -A ECCP256 -k$NEW -o "$TMP/x"
refuse "the old one does not" piv -a generate -s 9e -A ECCP256 -k$KEY -o "$TMP/x"
check "the card is pulled" tests/vcard-ctl remove
check "and put back" tests/vcard-ctl insert
says "Successful" "keys and certificates are still there" piv -a verify-pin -P 123456 -a test-signature -s 9a -i \
    "$TMP/ECCP384.pem"
in_image() {
	python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["keys"]["9D"]["pem"])' "$card/card.json" |
	    openssl pkey -pubout | cmp - <(openssl pkey -in "$TMP/imp.ec" -pubout)
}
check "the image holds the imported key" in_image

for _ in 1 2 3; do piv -a verify-pin -P 000000 >/dev/null 2>&1; done
says "Pin code blocked" "three wrong PINs block" piv -a verify-pin -P 123456
refuse "no reset while the PUK has tries" piv -a reset
for _ in 1 2 3; do piv -a unblock-pin -P 00000000 -N 123456 >/dev/null 2>&1; done
check "reset when both are blocked" piv -a reset
check "the factory PIN is back" piv -a verify-pin -P 123456
refuse "the key is gone" piv -a verify-pin -P 123456 -a test-signature -s 9a -i "$TMP/ECCP384.pem"
