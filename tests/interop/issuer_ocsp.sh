#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What dpiv-issuer publishes over plain http, seen by `openssl ocsp` and curl: the responder (POST, GET, nonce, unknown,
# revoked at once), the files, its limits, and that nothing else is there. And `audit verify` of what happened.
. tests/lib/shell.sh
. tests/lib/issuer.sh

publish_start() { # sets URL and PUB
	issuer_start "$@" && PUB=$(sed -n 's/^publishing on //p' "$TMP/issuer.out") && [ -n "$PUB" ]
}
serial() { openssl x509 -in "$TMP/$1.pem" -noout -serial | cut -d= -f2; }
ask() { # what follows: options of openssl ocsp
	openssl ocsp -issuer "$AGENCY/ca.pem" -CAfile "$AGENCY/root.pem" -verify_other "$AGENCY/ca.pem" -url "$PUB/pki/ocsp" "$@" 2>&1
}
answer() { # FILE of an answer
	openssl ocsp -issuer "$AGENCY/ca.pem" -CAfile "$AGENCY/root.pem" -verify_other "$AGENCY/ca.pem" -respin "$1" "${@:2}" 2>&1
}
is() { # STATE NAME OPTIONS...: authentic, and says so
	local state=$1 name=$2 out
	shift 2
	out=$(ask "$@")
	if grep -qF 'Response verify OK' <<<"$out" && grep -q ": $state" <<<"$out"; then pass "$name"; else fail "$name" "$out"; fi
}
get() { curl -sS --http1.1 -m 20 -D "$TMP/headers" -o "$TMP/body" -w '%{http_code}' "$@"; }
request() { openssl ocsp -issuer "$AGENCY/ca.pem" -reqout "$TMP/req" "$@" >/dev/null 2>&1; }
post() { get -H 'Content-Type: application/ocsp-request' --data-binary @"$1" "$PUB/pki/ocsp"; }
says_post() { # TEXT NAME FILE
	local http
	http=$(post "$3")
	if [ "$http" = 200 ]; then says "$1" "$2" openssl ocsp -respin "$TMP/body" -resp_text; else fail "$2" "HTTP $http"; fi
}

check 'init' agency_init
check 'publish on a free port' agency_set 'base_url = http://localhost/pki'
sed -i '/^\[publish\]/,/^\[ocsp\]/s|^#* *address =.*|address = 127.0.0.1:0|' "$AGENCY/issuer.conf"
check 'a card' file_card card p256
if publish_start; then pass 'serve'; else fail 'serve' "$(cat "$TMP/issuer.log")"; fi
file_key one p256
file_key two p256
check 'a certificate' enroll card '' one
check 'another' enroll card '' two

# --- by POST
is good 'issued: good' -cert "$TMP/one.pem"
is good 'asked with SHA-256' -sha256 -cert "$TMP/one.pem"
check 'two in one request' sh -c "openssl ocsp -issuer $AGENCY/ca.pem -CAfile $AGENCY/root.pem -verify_other $AGENCY/ca.pem -url $PUB/pki/ocsp -cert $TMP/one.pem -cert $TMP/two.pem 2>&1 | grep -c ': good' | grep -qx 2"
refuse 'the nonce is not missing' sh -c "openssl ocsp -issuer $AGENCY/ca.pem -CAfile $AGENCY/root.pem -verify_other $AGENCY/ca.pem -url $PUB/pki/ocsp -cert $TMP/one.pem 2>&1 | grep -q 'no nonce'"
is unknown 'a serial number that was never issued' -serial 0x1234
is unknown "a certificate that the CA signed elsewhere" -cert "$TMP/card.pem"
is unknown 'a serial number of 21 octets' -serial 0x414243444546474849505152535455565758596061
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/x.key" -out "$TMP/x.pem" -days 10 -subj '/CN=Other' 2>/dev/null
says 'unauthorized' 'about another CA' openssl ocsp -issuer "$TMP/x.pem" -CAfile "$AGENCY/root.pem" -url "$PUB/pki/ocsp" -serial 7
check 'the answer names its signer by key, SHA-256' sh -c "openssl ocsp -issuer $AGENCY/ca.pem -noverify -url $PUB/pki/ocsp -serial 7 -resp_text >$TMP/text 2>&1; grep -q 'Responder Id: [0-9A-F]\{40\}' $TMP/text && grep -q 'ecdsa-with-SHA256' $TMP/text"

# --- revoked, at once, by another process
check 'revoke' "$ISSUER" revoke --dir "$AGENCY" --reason keyCompromise "$(serial one)"
is revoked 'revoked, without a restart' -cert "$TMP/one.pem"
says 'Reason: keyCompromise' 'with its reason' ask -cert "$TMP/one.pem"
is good 'the other one is good' -cert "$TMP/two.pem"
check 'revoke the card' "$ISSUER" revoke --dir "$AGENCY" --foreign "$(serial card)"
is revoked 'what was signed elsewhere and is revoked' -cert "$TMP/card.pem"

# --- by GET
request -no_nonce -cert "$TMP/two.pem"
b64=$(base64 -w 0 <"$TMP/req")
check 'GET' test "$(get "$PUB/pki/ocsp/$b64")" = 200
says 'Response verify OK' 'its answer is authentic' answer "$TMP/body" -cert "$TMP/two.pem"
check 'its type' grep -qi '^content-type: application/ocsp-response' "$TMP/headers"
check 'a cache may keep it for a minute' grep -qi '^cache-control: max-age=60,' "$TMP/headers"
check 'GET, percent-encoded' test "$(get "$PUB/pki/ocsp/$(sed 's/+/%2B/g; s|/|%2f|g; s/=/%3D/g' <<<"$b64")")" = 200
check 'GET of garbage' test "$(get "$PUB/pki/ocsp/%zz")" = 400
request -cert "$TMP/two.pem"
check 'GET with a nonce' test "$(get "$PUB/pki/ocsp/$(base64 -w 0 <"$TMP/req")")" = 200
check 'is kept by nobody' grep -qi '^cache-control: no-store' "$TMP/headers"

# --- limits
echo junk >"$TMP/junk"
says_post 'malformedrequest' 'garbage is malformed' "$TMP/junk"
cat "$TMP/req" "$TMP/junk" >"$TMP/behind"
says_post 'malformedrequest' 'something behind the request' "$TMP/behind"
# shellcheck disable=SC2046
request -no_nonce $(for n in $(seq 17); do echo "-serial $n"; done)
says_post 'malformedrequest' 'seventeen certificates in one request' "$TMP/req"
# shellcheck disable=SC2046
request -no_nonce $(for n in $(seq 16); do echo "-serial $n"; done)
says_post 'successful' 'sixteen' "$TMP/req"
head -c 9000 /dev/zero >"$TMP/big"
check 'a request of 9000 bytes' test "$(post "$TMP/big")" = 413
check 'another type' test "$(get --data-binary @"$TMP/req" "$PUB/pki/ocsp")" = 415

# --- files, and nothing else
for f in ca.crl root.crl; do
	check "/pki/$f" sh -c "curl -sSf $PUB/pki/$f | openssl crl -inform der -noout -issuer"
done
for f in ca.p7c root.p7c; do
	check "/pki/$f" sh -c "curl -sSf $PUB/pki/$f | openssl pkcs7 -inform der -print_certs -noout"
done
for f in /.well-known/est/cacerts /.well-known/dpiv/own / /pki/ /pki/../issuer.conf /pki/%2e%2e/issuer.db /pki/ocspx /pki/ca.pem; do
	check "$f is not there" test "$(get --path-as-is "$PUB$f")" = 404
done
check 'the files are not posted to' test "$(get -d x "$PUB/pki/ca.crl")" = 404
check_stop 'stop'

# --- many connections that say nothing
agency_set 'max_connections = 8' 'timeout = 2'
if publish_start; then pass 'serve with eight connections'; else fail 'serve' "$(cat "$TMP/issuer.log")"; fi
for n in $(seq 20); do exec {fd[n]}<>"/dev/tcp/127.0.0.1/${PUB##*:}"; done
check 'EST is served beside twenty idle connections' est - /.well-known/est/cacerts
is good 'and OCSP when they have timed out' -cert "$TMP/two.pem"
for n in $(seq 20); do exec {fd[n]}>&-; done
printf 'GET /pki/ca.crl HTTP/1.1\r\nHost: x' >"/dev/tcp/127.0.0.1/${PUB##*:}"
is good 'and after a request that is cut off' -cert "$TMP/two.pem"
check_stop 'stop'
check 'no connection was forgotten' sh -c "tail -n 1 '$TMP/issuer.log' | grep -q 'stopped connections=0'"

# --- a signer that is none
cp "$AGENCY/ocsp.pem" "$TMP/ocsp.pem"
cp "$AGENCY/tls.pem" "$AGENCY/ocsp.pem"
says 'not the certificate of an OCSP signer' 'a certificate for something else' "$ISSUER" serve "$AGENCY"
cp "$TMP/x.pem" "$AGENCY/ocsp.pem"
says "not certified by this issuer's CA" 'a certificate of somebody' "$ISSUER" serve "$AGENCY"
rm "$AGENCY/ocsp.pem"
if publish_start; then pass 'serve without a signer'; else fail 'serve' "$(cat "$TMP/issuer.log")"; fi
check 'OCSP is not there' test "$(post "$TMP/req")" = 404
check 'the CRL is' curl -sSf -o "$TMP/crl" "$PUB/pki/ca.crl"
check_stop 'stop'
cp "$TMP/ocsp.pem" "$AGENCY/ocsp.pem"

# --- the events of all this
head=$("$ISSUER" audit verify "$AGENCY" | sed -n 's/^head //p')
check 'audit verify' test -n "$head"
check 'audit verify --head' "$ISSUER" audit verify --head "$head" "$AGENCY"
says 'revoked' 'audit show' "$ISSUER" audit show "$AGENCY"
check 'audit show --json is JSON, a line an event' sh -c "'$ISSUER' audit show --json '$AGENCY' | python3 -c 'import json, sys; assert [json.loads(l)[\"id\"] for l in sys.stdin][:2] == [1, 2]'"
status 2 'a head that is none' "$ISSUER" audit verify --head 7 "$AGENCY"
check 'the head is in the journal' grep -qF "audit head=$head" "$TMP/issuer.log"
# the chain as the manual page describes it, by another program
chain() {
	"$ISSUER" audit show --json "$AGENCY" | python3 -c '
import hashlib, json, struct, sys
h = bytes(32)
for line in sys.stdin:
    e = json.loads(line)
    row = b""
    for name in "id at what code account serial card peer detail".split():
        v = None if name not in e else str(e[name]).encode()
        row += b"\0" if v is None else b"\1" + struct.pack(">I", len(v)) + v
    h = hashlib.sha256(h + row).digest()
    assert h.hex().upper() == e["hash"], e
print(e["id"], h.hex().upper(), sep=":")'
}
check 'the chain as it is documented' test "$(chain)" = "$head"
sql() { python3 -c "import sqlite3; d = sqlite3.connect('$AGENCY/issuer.db'); [d.execute(s) for s in '''DROP TRIGGER event_kept;DROP TRIGGER event_fixed;$1'''.split(';')]; d.commit()"; }
damage() { # SQL TEXT NAME
	cp -r "$AGENCY" "$TMP/copy"
	sql "$1"
	says "$2" "$3" "$ISSUER" audit verify "$AGENCY"
	status 1 '  and its exit status' "$ISSUER" audit verify --head "$head" "$AGENCY"
	rm -rf "$AGENCY"
	mv "$TMP/copy" "$AGENCY"
}
damage "UPDATE event SET detail = 'nothing' WHERE id = 2" 'event 2 is not what was written' 'a changed event'
damage "DELETE FROM event WHERE id = 2" 'the events after 1 and before 3 are missing' 'a removed event'
damage "DELETE FROM event WHERE id = (SELECT max(id) FROM event)" 'are cut off' 'an end that is cut off'
