#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer and `openssl cmp`: p10cr, ir, cr, kur and rr, protected by the PIV card's signature or by a binding code; and
# refused without them, with the reason in the PKIStatus.
. tests/lib/shell.sh
. tests/lib/issuer.sh
. tests/lib/peers.sh
at_end apache_stop

cmp() { # OPTIONS...: over TLS
	openssl cmp -server "${URL#https://}" -path "/.well-known/cmp${LABEL+/p/$LABEL}" -tls_used -tls_trusted "$AGENCY/root.pem" \
		-trusted "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" -recipient "/CN=x" "$@" >"$TMP/cmp.log" 2>&1 || { cat "$TMP/cmp.log"; return 1; }
}
card() { # NAME OPTIONS...: signed by this card
	local name=$1
	shift
	cmp -cert "$TMP/$name.pem" -key "$TMP/$name.key" "$@"
}
code() { # [ROLE]: a new binding code into CODE
	CODE=$(est ec /.well-known/dpiv/bind -H 'Content-Type: application/json' --data-binary "{\"roles\":[\"${1:-auth}\"]}" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["code"])')
}
by_code() { cmp -ref "${CODE%%-*}" -secret "pass:$CODE" -subject /CN=somebody "$@"; }
good() { # NAME POLICY
	openssl verify -x509_strict -policy_check -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" -explicit_policy \
		-policy "2.16.840.1.101.3.2.1.3.$2" "$TMP/$1.pem" &&
		[ "$(openssl x509 -in "$TMP/$1.pem" -noout -pubkey)" = "$(openssl pkey -in "$TMP/$1.key" -pubout)" ] &&
		openssl x509 -in "$TMP/$1.pem" -noout -subject | grep -q 'PAT EXAMPLE'
}
refused() { # TEXT NAME COMMAND...
	local text=$1 name=$2
	shift 2
	rm -f "$TMP/no.pem"
	says "$text" "$name" "$@"
	check "$name: and there is no certificate" test ! -e "$TMP/no.pem"
}
serial() { openssl x509 -in "$TMP/$1.pem" -noout -serial; }

check 'init' agency_init
check 'a card' file_card ec p256
check 'an RSA card' file_card rsa rsa2048
for k in new:p256 second:rsa2048 third:p384 fourth:p256 fifth:p256; do file_key "${k%:*}" "${k#*:}"; done
for k in new second third fourth fifth; do openssl req -new -key "$TMP/$k.key" -subj /CN=other -out "$TMP/$k.csr" -config /dev/null; done
check_start 'serve'

# --- the card signs -----------------------------------------------------------------------------------------------------
check 'p10cr signed by an EC card' card ec -cmd p10cr -csr "$TMP/new.csr" -certout "$TMP/new.pem"
check 'p10cr: the certificate is for the key, the policy and the person' good new 40
check 'the client has confirmed' grep -q 'received PKICONF' "$TMP/cmp.log"
cp "$TMP/new.pem" "$TMP/first.pem"
check 'asked again for the same key' card ec -cmd p10cr -csr "$TMP/new.csr" -certout "$TMP/new.pem"
check 'it gets the same certificate' test "$(serial new)" = "$(serial first)"
check 'cr signed by an RSA card' card rsa -cmd cr -newkey "$TMP/second.key" -subject /CN=x -certout "$TMP/second.pem"
check 'cr: the certificate is good' good second 40
check 'ir, implicitly confirmed' card ec -cmd ir -newkey "$TMP/third.key" -subject /CN=x -implicit_confirm -certout "$TMP/third.pem"
check 'ir: the certificate is good' good third 40

# --- a binding code -----------------------------------------------------------------------------------------------------
code
check 'p10cr by a code' by_code -cmd p10cr -csr "$TMP/fourth.csr" -certout "$TMP/fourth.pem"
check 'p10cr by a code: the certificate is good' good fourth 40
refused 'code-used' 'the code is used up' by_code -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
cp "$TMP/fourth.pem" "$TMP/first.pem"
check 'the same key may have its answer again' by_code -cmd p10cr -csr "$TMP/fourth.csr" -certout "$TMP/fourth.pem"
check 'which is the same certificate' test "$(serial fourth)" = "$(serial first)"

# --- renewal ------------------------------------------------------------------------------------------------------------
file_key next p256
check 'kur signed by the credential' card new -cmd kur -oldcert "$TMP/new.pem" -newkey "$TMP/next.key" -certout "$TMP/next.pem"
check 'kur: the certificate is good' good next 40
check 'kur: it is another one' test "$(serial next)" != "$(serial new)"
refused 'no-certificate: a kur is signed by the derived credential' 'the card does not sign a kur' \
	card ec -cmd kur -oldcert "$TMP/new.pem" -newkey "$TMP/fifth.key" -certout "$TMP/no.pem"

# --- refused ------------------------------------------------------------------------------------------------------------
check 'a card of nobody' openssl req -x509 -key "$TMP/ec.key" -subj "$PERSON" -days 9 -out "$TMP/self.pem" -config /dev/null
cp "$TMP/ec.key" "$TMP/self.key"
refused 'no-certificate' 'a certificate of nobody' card self -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
refused 'derived credential; only the PIV card itself' 'a derived credential binds no other' \
	card new -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
check 'a 9E certificate' file_card cardauth p256 cardauth
refused 'Card Authentication certificate' 'the card without its holder' card cardauth -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
refused 'key-reused' "another person's key, or another purpose's" env LABEL=sign bash -c "$(declare -f card cmp); $(declare -p TMP URL AGENCY); card ec -cmd p10cr -csr $TMP/new.csr -certout $TMP/no.pem"
file_key weak rsa1024
openssl req -new -key "$TMP/weak.key" -subj /CN=x -out "$TMP/weak.csr" -config /dev/null
refused 'key-policy' 'a short key' card ec -cmd p10cr -csr "$TMP/weak.csr" -certout "$TMP/no.pem"
refused 'key-policy' 'a short key in a template' card ec -cmd cr -newkey "$TMP/weak.key" -subject /CN=x -certout "$TMP/no.pem"
refused 'popo raverified' 'no proof of possession' card ec -cmd cr -popo 0 -newkey "$TMP/fifth.key" -subject /CN=x -certout "$TMP/no.pem"

code
GOOD=$CODE
CODE=${GOOD%????}0000
refused 'code-wrong' 'a wrong code' by_code -cmd p10cr -csr "$TMP/fifth.csr" -unprotected_errors -certout "$TMP/no.pem"
CODE=ZZZZ-0000-0000-0000-0000
refused 'code-wrong' 'a code that was never given' by_code -cmd p10cr -csr "$TMP/fifth.csr" -unprotected_errors -certout "$TMP/no.pem"
CODE=$GOOD
LABEL=sign refused 'code-role' 'a code for another role' by_code -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"

# --- not accepted: a client that finds the certificate wrong rejects it, and it is revoked --------------------------------
check 'the client rejects what does not lead to its anchor' \
	bash -c "! ($(declare -f card cmp); $(declare -p TMP URL AGENCY); card ec -cmd p10cr -csr $TMP/fifth.csr -out_trusted $TMP/self.pem -certout $TMP/no.pem)"
check 'and it is revoked' grep -q 'the client did not accept it' "$TMP/issuer.log"
check 'no code is in the log' bash -c "! grep -q '${GOOD#*-}\|${GOOD//-/}' $TMP/issuer.log"

# --- messages as they were sent, and changed on the way -------------------------------------------------------------------
post() { # FILE: prints what is readable of the answer
	curl -sS --cacert "$AGENCY/root.pem" -H 'Content-Type: application/pkixcmp' --data-binary "@$1" "$URL/.well-known/cmp" -o "$TMP/answer.der" &&
		tr -cd '\n[:print:]' <"$TMP/answer.der"
}
answered() { openssl asn1parse -inform DER -in "$TMP/answer.der" | grep -q "^ *[0-9]*:d=1 .*cont \[ $1 \]"; }
change() { # FROM TO PATTERN REPLACEMENT [KEY]: of the same length; signed again by this RSA key
	python3 - "$@" <<'PY'
import re, subprocess, sys
def end(b, i):  # of the element at i
    n, k = b[i + 1], i + 2
    if n & 0x80:
        k, n = k + (n & 0x7f), int.from_bytes(b[k:k + (n & 0x7f)], 'big')
    return k + n
def sign(b):  # RFC 9810, 5.1.3: SEQUENCE { header, body }
    header = 4
    body = end(b, header)
    text = b[header:end(b, body)]
    text = b'\x30\x82' + len(text).to_bytes(2, 'big') + text
    return subprocess.run(['openssl', 'dgst', '-sha256', '-sign', sys.argv[5]], input=text, capture_output=True, check=True).stdout
a = open(sys.argv[1], 'rb').read()
b, n = re.subn(sys.argv[3].encode(), sys.argv[4].encode(), a, count=1)
assert n == 1 and len(a) == len(b) and a[:2] == b'\x30\x82'
if len(sys.argv) > 5:
    assert a.count(sign(a)) == 1
    b = b.replace(sign(a), sign(b))
open(sys.argv[2], 'wb').write(b)
PY
}
certificates() {
	python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM certificate").fetchone()[0])' "$AGENCY/issuer.db"
}
no_more() { [ "$(certificates)" = "$BEFORE" ]; }

file_key sixth p256
openssl req -new -key "$TMP/sixth.key" -subj /CN=other -out "$TMP/sixth.csr" -config /dev/null
check 'a request, kept' card ec -cmd p10cr -csr "$TMP/sixth.csr" -certout "$TMP/sixth.pem" -reqout "$TMP/ask.der"
BEFORE=$(certificates)
check 'another time' change "$TMP/ask.der" "$TMP/old.der" '20[0-9]{12}Z' 20200101000000Z
says 'stale: ' 'a signed message of another time' post "$TMP/old.der"
check 'a request signed by the RSA card, and its certConf' card rsa -cmd p10cr -csr "$TMP/second.csr" -certout "$TMP/again.pem" \
	-reqout "$TMP/rsa.der,$TMP/conf.der"
check 'another one of the same transactionID, rightly signed' change "$TMP/rsa.der" "$TMP/tampered.der" '(?s)(?<=\xa5\x12\x04\x10)..' XX "$TMP/rsa.key"
says 'transaction: ' 'is refused' post "$TMP/tampered.der"
python3 - "$TMP/ask.der" "$TMP/forged.der" <<'PY'
import re, sys
a = bytearray(open(sys.argv[1], 'rb').read())
at = re.search(rb'\xa4\x12\x04\x10', a).end()  # [4] transactionID
a[at] ^= 1
open(sys.argv[2], 'wb').write(a)
PY
check 'a message whose signature is wrong is answered' post "$TMP/forged.der"
check 'with an error' answered 23
check 'which the log has' grep -q 'code=unverified' "$TMP/issuer.log"
check 'the same message again' post "$TMP/ask.der"
check 'has the same answer' answered 3
check 'no certificate was made of all that' no_more
refused 'no-certificate: the message has no protection' 'a message without protection' \
	card ec -cmd p10cr -csr "$TMP/fifth.csr" -unprotected_requests -certout "$TMP/no.pem"
head -c 200 "$TMP/ask.der" >"$TMP/short.der"
says 'bad-body: ' 'half a message' post "$TMP/short.der"
check_stop 'stop before a certConf'
check_start 'and another process'
check 'a certConf for the process before' post "$TMP/conf.der"
check 'is confirmed' answered 19

# --- revocation -----------------------------------------------------------------------------------------------------------
listed() { # NAME [REASON]
	openssl crl -in "$AGENCY/ca.crl" -inform "$(grep -q BEGIN "$AGENCY/ca.crl" && echo PEM || echo DER)" -noout -text >"$TMP/crl.txt" &&
		local n && n=$(serial "$1") && grep -A4 "Serial Number: ${n#serial=}" "$TMP/crl.txt" | grep -q "${2-Revocation Date}"
}
check 'the credential revokes itself' card sixth -cmd rr -oldcert "$TMP/sixth.pem" -revreason 4
check 'and is on the CRL, with the reason' listed sixth Superseded
check 'asked again, it is the same' card sixth -cmd rr -oldcert "$TMP/sixth.pem" -revreason 4
check 'the card revokes a credential' card rsa -cmd rr -oldcert "$TMP/second.pem"
check 'and it is on the CRL' listed second
says 'revoked' 'a revoked credential revokes no other' card sixth -cmd rr -oldcert "$TMP/third.pem"
says 'not-yours' 'the card revokes what is not its own' card ec -cmd rr -oldcert "$TMP/ec.pem"
says 'bad-body' "the CA's key is not a person's to give up" card ec -cmd rr -oldcert "$TMP/third.pem" -revreason 2
says 'no-certificate' 'a code gives nothing up' by_code -cmd rr -oldcert "$TMP/third.pem"
check 'and it is still good' bash -c "! grep -q $(serial third | cut -d= -f2) $TMP/crl.txt"
check 'the events have the revocation' grep -q "revoked.*$(serial sixth | cut -d= -f2)" "$TMP/issuer.log"
check_stop 'stop'

# --- the CHUID --------------------------------------------------------------------------------------------------------
check 'a CHUID is required' agency_set 'require_chuid = yes'
check_start 'serve'
refused 'chuid-missing' 'a client that sends none' card ec -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
check 'a credential renews itself without' card next -cmd kur -oldcert "$TMP/next.pem" -newkey "$TMP/fifth.key" -certout "$TMP/fifth.pem"
check 'and the card revokes without' card ec -cmd rr -oldcert "$TMP/fifth.pem"
check 'a CHUID is not required' agency_set 'require_chuid = no'
check_stop 'stop'

# --- another CA issues, asked by EST ------------------------------------------------------------------------------------
peer_files
rm "$AGENCY/private/ca.key"
peer_ext $AUTH digitalSignature $AUTH_EKU >"$RUN/ext"
peer_certify ra clientAuth,cmcRA
cp "$TMP/ra.pem" "$AGENCY/ra.pem"
cp "$TMP/ra.key" "$AGENCY/private/ra.key"
printf '%s\n' '[upstream]' 'protocol = est' 'auth_label = none' 'url = https://localhost:10443' >>"$AGENCY/issuer.conf"
agency_set 'max_credentials = 0'
apache_start
check_start 'serve as a registration authority'
file_key there p256
cat >"$TMP/there.cnf" <<CNF
[req]
prompt = no
distinguished_name = dn
req_extensions = ex
[dn]
C = US
O = Demo Government
OU = Demo Agency
CN = PAT EXAMPLE
[ex]
subjectAltName = @san
[san]
URI.1 = urn:uuid:$(cat /proc/sys/kernel/random/uuid)
otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test
CNF
openssl req -new -key "$TMP/there.key" -config "$TMP/there.cnf" -out "$TMP/there.csr"
unset LABEL
check 'p10cr goes on to the CA' card ec -cmd p10cr -csr "$TMP/there.csr" -certout "$TMP/there.pem"
check 'the certificate is good' good there 40
says 'http://ca.example.test/ca.crl' 'and the CA'"'"'s' openssl x509 -in "$TMP/there.pem" -noout -text
refused 'use p10cr' 'what is no PKCS#10 does not' card ec -cmd cr -newkey "$TMP/fifth.key" -subject /CN=x -certout "$TMP/no.pem"
check_stop 'stop'
