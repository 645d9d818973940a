#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The virtual card, with YubiKey extensions, under Yubico's libykcs11: reads, verifies the PIN, signs (9A, 9C),
# decrypts (9D RSA) and derives (9D EC). Results are verified by plain openssl. ykcs11 looks only at readers with
# Yubico in the name.
if [ "${1-}" != inside ]; then
	cards=$(mktemp -d)
	trap 'rm -rf "$cards"' EXIT
	status=0
	for c in rsa2048 p256; do
		"${BUILD:-build}/dpiv-vcard" make --alg $c --yubikey --export-certs "$cards/$c" "$cards/$c.json" ||
		    exit 1
		tests/with-card --reader-name "Yubico YubiKey Virtual" --image "$cards/$c.json" -- "$0" inside \
		    "$cards/$c" $c || status=1
	done
	exit $status
fi
certs=$2 alg=$3
. tests/lib/shell.sh
module=$(find /usr/lib -name 'libykcs11.so*' -print -quit)
login() { pkcs11-tool --module "$module" -l -p 123456 "$@"; }
public() { openssl x509 -in "$certs/$1.pem" -pubkey -noout; }
printf 'What is signed' >"$TMP/msg"

reads() { # ID FILE
	pkcs11-tool --module "$module" -r -y cert --id "$1" -o "$TMP/c.der" &&
	    openssl x509 -inform DER -in "$TMP/c.der" | cmp - "$certs/$2.pem"
}
for pair in 01:9a 02:9c 03:9d 04:9e; do
	check "$alg: certificate ${pair#*:} is read" reads ${pair%:*} ${pair#*:}
done
status 1 "$alg: a wrong PIN is refused" pkcs11-tool --module "$module" -l -p 654321 -O
check "$alg: the right PIN is accepted" login -O

signs() { # ID FILE MECHANISM VERIFY-OPTIONS...
	login -s --id "$1" -m "$3" -i "$TMP/msg" -o "$TMP/sig" -f openssl && public "$2" >"$TMP/pub" &&
	    openssl dgst -sha256 "${@:4}" -verify "$TMP/pub" -signature "$TMP/sig" "$TMP/msg"
}
decrypts() {
	public 9d >"$TMP/pub" && openssl pkeyutl -encrypt -pubin -inkey "$TMP/pub" -in "$TMP/msg" -out "$TMP/enc" &&
	    login --decrypt --id 03 -m RSA-PKCS -i "$TMP/enc" -o "$TMP/dec" && cmp "$TMP/msg" "$TMP/dec"
}
derives() {
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/eph.key" &&
	    openssl pkey -in "$TMP/eph.key" -pubout -outform DER -out "$TMP/eph.der" && public 9d >"$TMP/pub" &&
	    openssl pkeyutl -derive -inkey "$TMP/eph.key" -peerkey "$TMP/pub" -out "$TMP/z1" &&
	    login --derive --id 03 -m ECDH1-DERIVE -i "$TMP/eph.der" -o "$TMP/z2" && cmp "$TMP/z1" "$TMP/z2"
}
if [ $alg = rsa2048 ]; then
	for pair in 01:9a 02:9c; do
		check "$alg: ${pair#*:} signs PKCS#1" signs ${pair%:*} ${pair#*:} SHA256-RSA-PKCS
		check "$alg: ${pair#*:} signs PSS" signs ${pair%:*} ${pair#*:} SHA256-RSA-PKCS-PSS \
		    -sigopt rsa_padding_mode:pss
	done
	check "$alg: 9d decrypts" decrypts
else
	for pair in 01:9a 02:9c; do
		check "$alg: ${pair#*:} signs" signs ${pair%:*} ${pair#*:} ECDSA-SHA256
	done
	check "$alg: 9d derives" derives
fi
attested() { # the attestation of 9a, certificate 26 by ykcs11's numbering, holds 9a's key and is signed by F9
	yubico-piv-tool -a attest -s 9a >"$TMP/att.pem" &&
	    openssl verify -partial_chain -trusted "$certs/f9.pem" "$TMP/att.pem" &&
	    openssl x509 -in "$TMP/att.pem" -pubkey -noout >"$TMP/a" && public 9a | cmp - "$TMP/a"
}
check "$alg: 9a is attested" attested
