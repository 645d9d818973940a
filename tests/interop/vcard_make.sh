#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Cards made by dpiv-vcard, as the openssl command sees them: certificates pass strict verification with the policy
# that the Federal PKI demands and no other, extensions are those of the profiles, and the signatures of CHUID and
# Security Object are good, with the throw-away CA and with one that is given.
. tests/lib/shell.sh
ARC=2.16.840.1.101.3.2.1.3
vcard=$BUILD/dpiv-vcard

object() { # IMAGE TAG FILE: an object's content, without its outer 53
	python3 - "$@" <<'PY'
import json, sys
o = bytes.fromhex(json.load(open(sys.argv[1]))["objects"][sys.argv[2]])
head = 2 + (o[1] & 0x7F if o[1] & 0x80 else 0)
open(sys.argv[3], "wb").write(o[head:])
PY
}
split() { # FILE TAG VALUE REST: one TLV's value, and everything else
	python3 - "$@" <<'PY'
import sys
b, tag, rest, i = open(sys.argv[1], "rb").read(), int(sys.argv[2], 16), b"", 0
while i < len(b):
    start, t = i, b[i]
    n = b[i + 1]; i += 2
    if n & 0x80:
        k = n & 0x7F; n = int.from_bytes(b[i:i + k], "big"); i += k
    if t == tag: open(sys.argv[3], "wb").write(b[i:i + n])
    else: rest += b[start:i + n]
    i += n
open(sys.argv[4], "wb").write(rest)
PY
}

verify() { # DIR FILE POLICY
	openssl verify -x509_strict -policy_check -explicit_policy -policy "$3" -CAfile "$1/root.pem" \
	    -untrusted "$1/ca.pem" "$1/$2.pem"
}
extension() { openssl x509 -in "$1" -noout -ext "$2"; }
chuid_signed() { # IMAGE DIR
	object "$1" 5FC102 "$TMP/chuid" && split "$TMP/chuid" 3E "$TMP/cms" "$TMP/rest" &&
	    cat "$2/root.pem" "$2/ca.pem" >"$TMP/all.pem" &&
	    openssl cms -verify -binary -inform DER -in "$TMP/cms" -content "$TMP/rest" -CAfile "$TMP/all.pem" \
	    -purpose any -out /dev/null
}
security_object_signed() { # IMAGE DIR
	object "$1" 5FC106 "$TMP/so" && split "$TMP/so" BB "$TMP/cms" "$TMP/map" &&
	    cat "$2/root.pem" "$2/ca.pem" >"$TMP/all.pem" &&
	    openssl cms -verify -binary -inform DER -in "$TMP/cms" -certfile "$2/content-signer.pem" -CAfile \
	    "$TMP/all.pem" -purpose any \
		-out "$TMP/lds"
}
hashed() { # IMAGE TAG: the object's hash is in the Security Object
	object "$1" "$2" "$TMP/o" && openssl asn1parse -inform DER -in "$TMP/lds" |
	    grep -qi "$(openssl dgst -sha256 -r "$TMP/o" | cut -d' ' -f1)"
}

for alg in rsa2048 rsa3072 p256 p384; do
	d=$TMP/$alg
	check "$alg: a card is made" "$vcard" make --alg $alg --retired 1 --name "Zoë Example" --export-certs "$d" \
	    "$d.json"
	check "$alg: 9A has the PIV authentication policy" verify "$d" 9a $ARC.13
	refuse "$alg: 9A has no other" verify "$d" 9a $ARC.40
	for c in 9c:7 9d:7 82:7 9e:17 content-signer:39; do
		check "$alg: ${c%:*} has policy ${c#*:}" verify "$d" ${c%:*} $ARC.${c#*:}
	done
	check "$alg: the CHUID is signed" chuid_signed "$d.json" "$d"
	check "$alg: the Security Object is signed" security_object_signed "$d.json" "$d"
	for tag in 5FC107 5FC102 5FC109 7E 5FC10C; do
		check "$alg: … with the hash of $tag" hashed "$d.json" $tag
	done
done
d=$TMP/rsa2048
says "othername" "9A: FASC-N, UUID and UPN are subject alternative names" extension "$d/9a.pem" subjectAltName
says "URI:urn:uuid:" "9A: UUID" extension "$d/9a.pem" subjectAltName
says "email:pat@example.test" "9C: the address" extension "$d/9c.pem" subjectAltName
says "Digital Signature, Non Repudiation" "9C: key usage" extension "$d/9c.pem" keyUsage
says "Key Encipherment" "9D, RSA: key usage" extension "$d/9d.pem" keyUsage
says "Key Agreement" "9D, EC: key usage" extension "$TMP/p256/9d.pem" keyUsage
says "critical" "9E: extended key usage is critical" extension "$d/9e.pem" extendedKeyUsage
says "2.16.840.1.101.3.6.7" "content signer: extended key usage" extension "$d/content-signer.pem" extendedKeyUsage
says "CN = Zo" "the name is in the subject" openssl x509 -in "$d/9a.pem" -noout -subject
refuse "9E has no common name" grep -q CN <(openssl x509 -in "$d/9e.pem" -noout -subject)
check "the image is private" test "$(stat -c %a "$d.json")" = 600

# A derived application: its own policy, no FASC-N, the signer's certificate inside the Security Object.
d=$TMP/derived
check "a derived card is made" "$vcard" make --alg p256 --derived --export-certs "$d" "$d.json"
check "derived: 9A has the derived policy" verify "$d" 9a $ARC.40
refuse "derived: 9A has not the card's" verify "$d" 9a $ARC.13
refuse "derived: no FASC-N" grep -q 101.3.6.6 <(extension "$d/9a.pem" subjectAltName)
derived_sealed() {
	object "$d.json" 5FC106 "$TMP/so" && split "$TMP/so" BB "$TMP/cms" "$TMP/map" &&
	    cat "$d/root.pem" "$d/ca.pem" >"$TMP/all.pem" &&
	    openssl cms -verify -binary -inform DER -in "$TMP/cms" -CAfile "$TMP/all.pem" -purpose any -out /dev/null
}
check "derived: the Security Object carries its signer" derived_sealed

# A CA of one's own, and everything that can be given.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/ca.key" -subj "/C=US/O=Own/CN=Own CA" -days 400 \
    -addext keyUsage=critical,keyCertSign,cRLSign -out "$TMP/ca.pem" 2>/dev/null
own() {
	"$vcard" make --ca-cert "$TMP/ca.pem" --ca-key "$TMP/ca.key" --name "Own Name" --email own@example.test \
	    --upn own@upn.test \
	    --serial 4711 --uuid 00112233-4455-4677-8899-aabbccddeeff \
	    --fascn D0439458210C2C19A0846D83685A1082108CE73984108CA3FC \
	    --base-url http://pki.example.test --policy 1.2.3.4 --gzip --export-certs "$TMP/own" "$TMP/own.json"
}
check "a card by a given CA" own
check "is signed by it" openssl verify -x509_strict -CAfile "$TMP/ca.pem" "$TMP/own/9a.pem" "$TMP/own/9c.pem" \
    "$TMP/own/9d.pem"
says "serial=1267" "serial number" openssl x509 -in "$TMP/own/9a.pem" -noout -serial
says "O = Own, CN = Own Name" "subject under the CA's name" openssl x509 -in "$TMP/own/9a.pem" -noout -subject
says "urn:uuid:00112233-4455-4677-8899-aabbccddeeff" "UUID" extension "$TMP/own/9a.pem" subjectAltName
says "own@upn.test" "UPN" extension "$TMP/own/9a.pem" subjectAltName
says "own@example.test" "address" extension "$TMP/own/9c.pem" subjectAltName
says "Policy: 1.2.3.4" "policy" extension "$TMP/own/9a.pem" certificatePolicies
says "http://pki.example.test/ca.crl" "CRL address" extension "$TMP/own/9a.pem" crlDistributionPoints
dates() {
	test "$(openssl x509 -in "$TMP/own/9a.pem" -noout -enddate)" = \
	    "$(openssl x509 -in "$TMP/ca.pem" -noout -enddate)"
}
check "no certificate outlives its CA" dates
refuse "another CA's key is refused" "$vcard" make --ca-cert "$TMP/ca.pem" --ca-key "$TMP/other.key" "$TMP/x.json"
expired() {
	"$vcard" make --alg p256 --not-before 20200101000000Z --not-after 20210101000000Z --export-certs "$TMP/old" \
	    "$TMP/old.json"
}
check "an expired card is made" expired
says "certificate has expired" "and is expired" verify "$TMP/old" 9a $ARC.13
status 2 "no operand is a usage error" "$vcard" make
status 2 "an unknown option is a usage error" "$vcard" make --colour "$TMP/x.json"
says "Example:" "the help has an example" "$vcard" --help
