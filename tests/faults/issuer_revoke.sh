#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# POST /.well-known/dpiv/revoke by those who may not and with what it cannot be: another person's certificate, nobody, an impostor
# with the right serial number, bodies of every wrong shape; what was answered can be asked again and changes nothing.
. tests/lib/shell.sh
. tests/lib/issuer.sh

number() { python3 -c "import sqlite3, sys; print(sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]).fetchone()[0])" "$AGENCY/issuer.db" "$1"; }
serial() { openssl x509 -in "$TMP/$1.pem" -noout -serial | cut -d= -f2; }
json() { printf '{"serial":"%s","reason":"%s"}' "$(serial "$1")" "${2:-superseded}"; }
# ask WHO|- BODY [curl options]: the status, and the word of a refusal
ask() {
	local who=$1 body=$2 word
	shift 2
	[ $# -gt 0 ] || set -- -H 'Content-Type: application/json'
	printf %s "$body" >"$TMP/body"
	est "$who" /.well-known/dpiv/revoke --data-binary "@$TMP/body" "$@" >"$TMP/answer"
	word=$(sed -n 's/^dpiv-issuer: \([a-z-]*\): .*/\1/p' "$TMP/answer")
	echo "$(tail -n 1 "$TMP/http")${word:+/$word}"
}
gets() { # NAME WANT ask's arguments
	local name=$1 want=$2 got
	shift 2
	got=$(ask "$@")
	if [ "$got" = "$want" ]; then pass "$name"; else fail "$name" "$got instead of $want: $(cat "$TMP/answer" "$TMP/http")"; fi
}
nothing() { check "$1" test "$(number 'SELECT count(*) FROM revocation')/$(number "SELECT count(*) FROM event WHERE what = 'revoked'")" = 0/0; }

check 'a demo agency' agency_init
check 'without channel binding' agency_set 'require_binding = no'
cat >>"$TMP/fpki.cnf" <<CNF
[kim]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,msSmartcardLogin
certificatePolicies = 2.16.840.1.101.3.2.1.3.13
authorityKeyIdentifier = keyid:always
subjectAltName = @kim_san
[kim_san]
URI.1 = urn:uuid:6b3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b11
otherName.2 = 1.3.6.1.4.1.311.20.2.3;UTF8:kim@example.test
CNF
check "Pat's card" file_card pat p256
PERSON='/C=US/O=Demo Government/OU=Demo Agency/CN=KIM OTHER'
check "Kim's card" file_card kim p256 kim
check "Kim's other card, that no account knows" file_card stranger p256 kim
check_start 'serve'
for n in pat-one pat-two kim-one; do
	file_key $n p256
	check "$n" enroll "${n%-*}" '' $n
done

# --- who ----------------------------------------------------------------------------------------------------------------------
gets 'nobody' 403/no-certificate - "$(json pat-one)"
gets 'with a password instead' 403/no-certificate - "$(json pat-one)" -u pat:pat -H 'Content-Type: application/json'
gets "another person's card" 403/not-yours kim "$(json pat-one)"
cp "$TMP/answer" "$TMP/of-another"
gets "another person's credential" 403/not-yours kim-one "$(json pat-one)"
gets 'a serial number that does not exist' 403/not-yours kim '{"serial":"4F2A91"}'
strip() { sed 's/serial number [0-9A-F]*/serial number X/' "$1"; }
check 'which is told in the same words as that of another' test "$(strip "$TMP/answer")" = "$(strip "$TMP/of-another")"
file_key fake p256
openssl req -new -x509 -key "$TMP/fake.key" -subj "$PERSON" -set_serial "0x$(serial pat-one)" -days 5 -out "$TMP/fake.pem" 2>"$TMP/openssl.err"
impostor() { case $(ask fake "$(json pat-one)") in 403/* | 000 | "") ;; *) cat "$TMP/answer"; return 1 ;; esac; }
check 'one who has signed a certificate of this serial number' impostor
nothing 'nothing is revoked'

# --- what ---------------------------------------------------------------------------------------------------------------------
S=$(serial pat-one)
while IFS='|' read -r want body; do
	gets "$want for $body" "$want" pat "$body"
done <<BODIES
400/bad-body|
400/bad-body|{
400/bad-body|[]
400/bad-body|null
400/bad-body|"$S"
400/bad-body|{}
400/bad-body|{"reason":"superseded"}
400/bad-body|{"serial":""}
400/bad-body|{"serial":0}
400/bad-body|{"serial":["$S"]}
400/bad-body|{"serial":"$S;"}
400/bad-body|{"serial":"-$S"}
400/bad-body|{"serial":"' OR 1=1 --"}
400/bad-body|{"serial":"$S$S$S$S"}
400/bad-body|{"serial":"$S\u0000"}
400/bad-body|{"serial":"$S","serial":"$S"}
400/bad-body|{"serial":"$S"} x
400/bad-body|{"serial":"$S","reason":7}
400/bad-body|{"serial":"$S","reason":null}
400/bad-body|{"serial":"$S","reason":"because"}
400/bad-body|{"serial":"$S","reason":"removeFromCRL"}
400/bad-body|{"serial":"$S","reason":"certificateHold"}
400/bad-body|{"serial":"0"}
BODIES
gets 'a body that is too large' 413/too-large pat "{\"serial\":\"$S\",\"x\":\"$(head -c 2000 /dev/zero | tr '\0' x)\"}"
deep=$(head -c 900 /dev/zero | tr '\0' '[')
gets 'a body that is deep' 400/bad-body pat "$deep"
gets 'a form of a web page' 415/media-type pat "$(json pat-one)" -H 'Content-Type: application/x-www-form-urlencoded'
gets 'another method' 405/method pat "$(json pat-one)" -X GET -H 'Content-Type: application/json'
nothing 'nothing is revoked by any of them'

# --- again and again ----------------------------------------------------------------------------------------------------------
gets 'the holder, by the card' 200 pat "$(json pat-one keyCompromise)"
cp "$TMP/answer" "$TMP/first"
on_crl() { openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -A4 "Serial Number: $(serial pat-one)" | grep -q 'Key Compromise'; }
check 'it is on the CRL when the answer is there' on_crl
sleep 1.1
for n in pat pat-two pat-one; do
	gets "again, by $n" 200 $n "$(json pat-one superseded)"
	check '  the answer is that of then: time and reason' cmp "$TMP/answer" "$TMP/first"
done
check 'one revocation, one event' test "$(number 'SELECT count(*) FROM revocation')/$(number "SELECT count(*) FROM event WHERE what = 'revoked'")" = 1/1
check 'with the first reason on the CRL' on_crl
gets 'a revoked credential asks about another' 403/revoked pat-one "$(json pat-two)"
gets "nor does the answer go to another person" 403/not-yours kim "$(json pat-one)"
check 'one revocation still' test "$(number 'SELECT count(*) FROM revocation')" = 1
at_once() { # eight at a time about one certificate
	local k pids=()
	for k in 1 2 3 4 5 6 7 8; do
		curl -sS --http1.1 --cacert "$AGENCY/root.pem" --cert "$TMP/pat.pem" --key "$TMP/pat.key" -H 'Content-Type: application/json' \
			--data-binary "$(json pat-two)" -o "$TMP/at.$k" "$URL/.well-known/dpiv/revoke" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for k in 2 3 4 5 6 7 8; do cmp "$TMP/at.1" "$TMP/at.$k" || return 1; done
	grep -q '"serial"' "$TMP/at.1" && [ "$(number "SELECT count(*) FROM event WHERE what = 'revoked'")" = 2 ]
}
check 'eight at once get one answer' at_once
check_stop 'and it ends'
