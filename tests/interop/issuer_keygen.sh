#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The issuer's serverkeygen and its recovery, by curl and openssl: what RFC 7030, 4.4 says of request and answer, the escrow
# in the ledger, and what is refused.
. tests/lib/shell.sh
. tests/lib/issuer.sh
check 'a demo agency' agency_init
check 'a card' file_card pat p256
check_start 'start'

openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/way.key"
asked() { # FILE [IDENTIFIER IN HEX]: a request with AsymmetricDecryptKeyIdentifier
	python3 - "$TMP/way.key" "$1" "${2-}" <<'PY'
import hashlib, subprocess, sys
key, out, given = sys.argv[1:4]
def tlv(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82, n >> 8, n & 255])) + body
spki = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
point = spki[-65:]
ident = bytes.fromhex(given) if given else hashlib.sha1(point).digest()
oid = bytes.fromhex("060b2a864886f70d0109100236")
attr = tlv(0x30, oid + tlv(0x31, tlv(4, ident))) if given != "00" else b""
name = tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + tlv(0x0c, b"x"))))
info = tlv(0x30, b"\x02\x01\x00" + name + spki + tlv(0xa0, attr))
open(out + ".info", "wb").write(info)
sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, out + ".info"], capture_output=True, check=True).stdout
import base64
der = tlv(0x30, info + tlv(0x30, bytes.fromhex("06082a8648ce3d040302")) + tlv(3, b"\0" + sig))
open(out, "wb").write(base64.encodebytes(der))
PY
}
skg() { # LABEL FILE: HTTP status to standard output
	curl -sS --http1.1 --cacert "$AGENCY/root.pem" --cert "$TMP/pat.pem" --key "$TMP/pat.key" -D "$TMP/head" -o "$TMP/body" \
		-w '%{http_code}' -H 'Content-Type: application/pkcs10' --data-binary "@$2" "$URL/.well-known/$1"
}
asked "$TMP/rq"
check 'curl gets an answer' test "$(skg est/encrypt/serverkeygen "$TMP/rq")" = 200
unpack() {
	python3 - "$TMP/head" "$TMP/body" "$TMP" <<'PY'
import base64, email, re, sys
head, body, out = sys.argv[1:4]
ctype = re.search(rb"(?im)^content-type: *(.*?)\r?$", open(head, "rb").read()).group(1)
m = email.message_from_bytes(b"Content-Type: " + ctype + b"\r\n\r\n" + open(body, "rb").read())
parts = m.get_payload()
assert m.get_content_type() == "multipart/mixed" and len(parts) == 2, parts
assert [p.get_param("smime-type") for p in parts] == ["server-generated-key", "certs-only"]
for name, p in zip(["key.p7", "certs.p7"], parts):
    open(out + "/" + name, "wb").write(p.get_payload(decode=True))
PY
}
check 'its parts are those of RFC 7030' unpack
opened() {
	openssl cms -decrypt -inform DER -in "$TMP/key.p7" -inkey "$TMP/way.key" -out "$TMP/signed.inner" || return 1
	# RFC 5652: the contents are SignedData without a ContentInfo, which openssl wants around it
	python3 -c '
import sys
b = open(sys.argv[1], "rb").read()
def tlv(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82, n >> 8, n & 255])) + body
open(sys.argv[2], "wb").write(tlv(0x30, bytes.fromhex("06092a864886f70d010702") + tlv(0xa0, b)))' "$TMP/signed.inner" "$TMP/signed.der"
	openssl cms -verify -inform DER -in "$TMP/signed.der" -purpose any -CAfile <(cat "$AGENCY"/{root,ca}.pem) -out "$TMP/package" 2>"$TMP/err" ||
		{ cat "$TMP/err"; return 1; }
	openssl asn1parse -inform DER -in "$TMP/package" -strparse 4 -noout -out "$TMP/made.key" &&
		openssl pkey -inform DER -in "$TMP/made.key" -pubout -out "$TMP/made.pub" &&
		openssl pkcs7 -inform DER -in "$TMP/certs.p7" -print_certs | openssl x509 -pubkey -noout | cmp - "$TMP/made.pub"
}
check 'openssl opens it: the key of the certificate, signed under the issuer root' opened
cp "$TMP/body" "$TMP/first"
check 'the same request again' test "$(skg est/encrypt/serverkeygen "$TMP/rq")" = 200
check 'gets the same answer: whoever asks again has not received it' cmp "$TMP/body" "$TMP/first"

# by a binding code: it is used up by the first answer, which the same request gets again and no other one
by_code() { # FILE: HTTP status to standard output
	curl -sS --http1.1 --cacert "$AGENCY/root.pem" -u "x:$CODE" -D "$TMP/head" -o "$TMP/body" -w '%{http_code}' \
		-H 'Content-Type: application/pkcs10' --data-binary "@$1" "$URL/.well-known/est/encrypt/serverkeygen"
}
card_by_code() { curl -sS --http1.1 --cacert "$AGENCY/root.pem" -u "x:$CODE" -o "$TMP/body" -w '%{http_code}' "$URL/.well-known/dpiv/card$1"; }
kept() { python3 -c "import sqlite3, sys; print(sqlite3.connect('$AGENCY/issuer.db').execute('SELECT count(*) FROM escrow').fetchone()[0])"; }
key_hash() { openssl pkey -in "$TMP/way.key" -pubout -outform DER | sha256sum | cut -d' ' -f1 | tr a-f A-F; }
card_code pat '"encrypt"'
cp "$TMP/way.key" "$TMP/way.old"
openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/way.key"
asked "$TMP/rq.code"
check 'a key by a binding code' test "$(by_code "$TMP/rq.code")" = 200
cp "$TMP/body" "$TMP/first.code"
KEPT=$(kept)
check 'the code is used, and the same request' test "$(by_code "$TMP/rq.code")" = 200
check 'gets the same key' cmp "$TMP/body" "$TMP/first.code"
check 'the card is told to who has the request' test "$(card_by_code "?key=$(key_hash)")" = 200
openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/way.key"
asked "$TMP/rq.other"
check 'another request' test "$(by_code "$TMP/rq.other")/$(grep -c code-used "$TMP/body")" = 403/1
check 'has no key made for it' test "$(kept)" = "$KEPT"
check 'nor is the card told' test "$(card_by_code "?key=$(key_hash)")/$(grep -c code-used "$TMP/body")" = 403/1
cp "$TMP/way.old" "$TMP/way.key"

check 'recovery gives it back' test "$(skg dpiv/recover "$TMP/rq")" = 200
refuses() { # CODE NAME PATH FILE
	skg "$3" "$4" >/dev/null
	if grep -q "^dpiv-issuer: $1: " "$TMP/body"; then pass "refused: $2"; else fail "refused: $2" "$(cat "$TMP/body")"; fi
}
refuses keygen-role 'a signature key' est/sign/serverkeygen "$TMP/rq"
refuses keygen-role 'an authentication key' est/serverkeygen "$TMP/rq"
asked "$TMP/rq2" 00
refuses decrypt-key 'a request without AsymmetricDecryptKeyIdentifier' est/encrypt/serverkeygen "$TMP/rq2"
asked "$TMP/rq3" 0102030405060708090a0b0c0d0e0f1011121314
refuses decrypt-key 'a key that is not the request'\''s' est/encrypt/serverkeygen "$TMP/rq3"
refuses decrypt-key 'a recovery for another key' dpiv/recover "$TMP/rq3"
rm -f "$AGENCY/recovery.pem"
check_stop 'stop'
check_start 'start without a recovery key'
refuses not-offered 'by an issuer without a recovery key' est/encrypt/serverkeygen "$TMP/rq"
