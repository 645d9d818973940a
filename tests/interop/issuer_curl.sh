#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer seen by curl and OpenSSL: a demo agency, enrolment over TLS 1.2 and 1.3 with RSA and EC cards, the issued
# certificates checked by plain OpenSSL, and every refusal with its reason.
. tests/lib/shell.sh
. tests/lib/issuer.sh

verify() {
	openssl verify -x509_strict -policy_check -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" \
		-CRLfile "$AGENCY/crls.pem" -crl_check_all "$@"
}
verify_policy() { verify -explicit_policy -policy "2.16.840.1.101.3.2.1.3.$1" "$TMP/$2.pem"; }
ext() { openssl x509 -in "$TMP/$1.pem" -noout -ext "$2" 2>&1; }
same_subject() {
	[ "$(openssl x509 -in "$TMP/$1.pem" -noout -subject)" = "$(openssl x509 -in "$TMP/$2.pem" -noout -subject)" ]
}
no_fascn() { ! openssl x509 -in "$TMP/$1.pem" -outform DER | od -An -v -tx1 | tr -d ' \n' | grep -qi "$FASCN\|6086480165030606"; }
own_uuid() {
	local uuid
	uuid=$(ext "$1" subjectAltName | grep -o 'urn:uuid:[0-9a-f-]*')
	[ ${#uuid} -eq 45 ] && [ "$uuid" != "urn:uuid:$CARD_UUID" ]
}
round_trip() {
	echo 'a secret' | openssl cms -encrypt -aes-256-cbc "$TMP/$1.pem" >"$TMP/cms" &&
		[ "$(openssl cms -decrypt -recip "$TMP/$1.pem" -inkey "$TMP/$1.key" -in "$TMP/cms" | tr -d '\r')" = 'a secret' ]
}
modes() {
	[ "$(stat -c %a "$AGENCY/private")" = 700 ] && [ "$(stat -c %a "$AGENCY"/private/*.key | sort -u)" = 600 ] &&
		[ "$(stat -c %a "$AGENCY/issuer.db")" = 600 ]
}

# --- the agency ----------------------------------------------------------------------------------------------------------
check 'init makes a demo agency' agency_init
check 'keys and ledger are private' modes
status 1 'a second init does not overwrite' "$ISSUER" init --demo "$AGENCY"
check 'CA, TLS and OCSP certificates verify, with CRLs' verify "$AGENCY/ca.pem" "$AGENCY/tls.pem" "$AGENCY/ocsp.pem"
says 'TLS Web Server Authentication' 'the TLS certificate is for servers' openssl x509 -in "$AGENCY/tls.pem" -noout -text
says 'OCSP No Check' 'the OCSP signer has nocheck' openssl x509 -in "$AGENCY/ocsp.pem" -noout -text
check 'status' "$ISSUER" status "$AGENCY"
check 'status --json is JSON' sh -c "'$ISSUER' status --json '$AGENCY' | python3 -m json.tool"
status 2 'an unknown verb' "$ISSUER" frobnicate
status 2 'an unknown option' "$ISSUER" serve --frobnicate "$AGENCY"
status 3 'a directory that is no issuer' "$ISSUER" status "$TMP/nothing"
check 'help teaches' sh -c "'$ISSUER' --help | grep -q 'dpiv derive'"
check 'a demo agency takes requests of clients that cannot bind' grep -qx 'require_binding = no' "$AGENCY/issuer.conf"

# --- enrolment -----------------------------------------------------------------------------------------------------------
check 'an RSA card' file_card rsa rsa2048
check 'an EC card' file_card ec p256
n=0
for tls in 1.2 1.3; do
	check_start "serve, TLS $tls only" --tls $tls
	check "cacerts, TLS $tls" est - /.well-known/est/cacerts
	other=$([ $tls = 1.2 ] && echo 1.3 || echo 1.2)
	refuse "TLS $other is not spoken" est - /.well-known/est/cacerts --tlsv$other --tls-max $other
	for card in rsa ec; do
		n=$((n + 1))
		file_key auth$n p256
		check "enrol with the $card card, TLS $tls" enroll $card '' auth$n
		check "  path, policy .40, CRL" verify_policy 40 auth$n
		refuse "  not under the card's own policy" verify_policy 13 auth$n
		check "  subject is the card's" same_subject auth$n $card
		check "  a UUID of its own" own_uuid auth$n
		check "  no FASC-N" no_fascn auth$n
	done
	check_stop "SIGTERM ends it cleanly, TLS $tls"
done
# --- simplereenroll ------------------------------------------------------------------------------------------------------
renew_csr() { # NAME OLD: a request of the key NAME with the names of the certificate OLD
	openssl x509 -x509toreq -copy_extensions copyall -in "$TMP/$2.pem" -key "$TMP/$1.key" -out "$TMP/$1.req" 2>"$TMP/openssl.err" &&
		openssl req -in "$TMP/$1.req" -outform DER | base64 >"$TMP/$1.b64"
}
reenroll() { # WITH NAME
	est "$1" /.well-known/est/simplereenroll -H 'Content-Type: application/pkcs10' --data-binary "@$TMP/$2.b64"
}
check_start 'serve'
file_key next p256
check 'a request with the old names' renew_csr next auth1
reenroll auth1 next >"$TMP/next.answer"
base64 -di "$TMP/next.answer" | openssl pkcs7 -inform der -print_certs | openssl x509 -out "$TMP/next.pem"
check 'a derived credential renews itself' verify_policy 40 next
check '  for the same person' same_subject next auth1
check '  with another UUID' test "$(ext next subjectAltName | grep -o 'urn:uuid:.*')" != "$(ext auth1 subjectAltName | grep -o 'urn:uuid:.*')"
says 'dpiv-issuer: untrusted: ' 'the card itself is not renewed' reenroll ec next
says 'dpiv-issuer: no-certificate: ' 'nobody is not renewed' reenroll - next
file_key other p256
csr other
says 'dpiv-issuer: bad-csr: ' 'another name is not given' reenroll auth1 other
renew_csr auth1 auth1
says 'dpiv-issuer: key-reused: ' 'the old key is not certified again' reenroll auth1 auth1
says 'dpiv-issuer: media-type: ' 'simplereenroll takes requests only' est auth1 /.well-known/est/simplereenroll -d x
"$ISSUER" revoke --dir "$AGENCY" --cert "$TMP/next.pem" >/dev/null
file_key after p256
renew_csr after next
says 'dpiv-issuer: revoked: ' 'a revoked credential is not renewed' reenroll next after
check_stop 'stop'

says 'Digital Signature' 'key usage' ext auth1 keyUsage
check 'digitalSignature alone, critical' test "$(ext auth1 keyUsage | tr -d '\n ')" = 'X509v3KeyUsage:criticalDigitalSignature'
says 'TLS Web Client Authentication' 'extended key usage' ext auth1 extendedKeyUsage
says 'pat@example.test' 'UPN from the card' ext auth1 subjectAltName
refuse 'nothing of what the request asked for' sh -c "openssl x509 -in $TMP/auth1.pem -noout -text | grep -E 'CA:TRUE|root'"

check_start 'serve both'
for alg in p256 p384 rsa2048 rsa3072; do
	file_key sign-$alg $alg
	file_key encrypt-$alg $alg
	check "signature certificate, $alg" enroll rsa sign sign-$alg
	check "encryption certificate, $alg" enroll rsa encrypt encrypt-$alg
	check "  policy .6, usable for mail signatures" verify -explicit_policy -policy 2.16.840.1.101.3.2.1.3.6 \
		-purpose smimesign "$TMP/sign-$alg.pem"
	check "  policy .6" verify_policy 6 encrypt-$alg
	check "  a message to it can be read with its key" round_trip encrypt-$alg
done
says 'email:pat@example.test' 'mail address from the account' ext sign-p256 subjectAltName
says 'Key Encipherment' 'RSA: keyEncipherment' ext encrypt-rsa2048 keyUsage
says 'Key Agreement' 'EC: keyAgreement' ext encrypt-p256 keyUsage
check 'raw DER is accepted' sh -c "cd $TMP && curl -sSf --cacert agency/root.pem --cert rsa.pem --key rsa.key \
	-H 'Content-Type: application/pkcs10' --data-binary @auth1.der $URL/.well-known/est/simpleenroll"
check 'one line of base64 is accepted' sh -c "cd $TMP && base64 -w 0 auth1.der >one && curl -sSf --cacert agency/root.pem \
	--cert rsa.pem --key rsa.key -H 'Content-Type: application/pkcs10' --data-binary @one $URL/.well-known/est/simpleenroll"
answer_shape() {
	est - /.well-known/est/cacerts >"$TMP/cacerts" && [ "$(wc -l <"$TMP/cacerts")" = 0 ] &&
		grep -qi '^content-length: ' "$TMP/headers" && ! grep -qi '^transfer-encoding' "$TMP/headers" &&
		[ "$(base64 -di "$TMP/cacerts" | openssl pkcs7 -inform der -print_certs | grep -c BEGIN)" = 2 ]
}
check 'answers are one line with Content-Length; cacerts has root and CA' answer_shape
for f in ca.crl root.crl; do
	check "/pki/$f" sh -c "curl -sSf --cacert $AGENCY/root.pem $URL/pki/$f | openssl crl -inform der -noout -issuer"
done
check '/pki/ca.p7c' sh -c "curl -sSf --cacert $AGENCY/root.pem $URL/pki/ca.p7c | openssl pkcs7 -inform der -print_certs -noout"

# --- refusals ------------------------------------------------------------------------------------------------------------
file_key new p256
refused() { # CODE NAME CARD [LABEL]
	says "dpiv-issuer: $1: " "refused: $2" enroll "$3" "${4-}" new
}
refused no-certificate 'no certificate' -
day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
check 'more cards' file_card expired p256 auth -startdate "$(day '2 days ago')" -enddate "$(day '1 day ago')"
check 'more cards' file_card early p256 auth -startdate "$(day 'tomorrow')" -enddate "$(day '10 days')"
check 'more cards' file_card nosan p256 auth_no_san
check 'more cards' file_card k9e p256 cardauth
check 'more cards' file_card k9c p256 sign
check 'more cards' file_card odd p256 signauth
check 'more cards' file_card lost p256
refused expired 'an expired card' expired
refused not-yet-valid 'a card that is not yet valid' early
refused no-fascn 'neither FASC-N nor UUID' nosan
refused policy 'the Card Authentication certificate (9E)' k9e
refused policy 'the signature certificate (9C)' k9c
refused wrong-profile 'key usage of a signature key' odd
refused policy 'a derived credential cannot bind another' auth1
openssl req -x509 -new -key "$TMP/ec.key" -subj "$PERSON" -days 10 -out "$TMP/self.pem" -config /dev/null 2>/dev/null
cp "$TMP/ec.key" "$TMP/self.key"
refused untrusted 'a self-signed certificate' self
check 'the lost card enrols' enroll lost '' new
check 'its certificate is revoked' "$ISSUER" revoke --dir "$AGENCY" --cert "$TMP/lost.pem" --reason keyCompromise
file_key new p256
refused revoked 'a revoked card, at once and without a restart' lost
cp "$TMP/ec.key" "$TMP/new.key"
refused key-reused "the card's own key" ec
file_key new rsa2048
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out "$TMP/new.key" 2>/dev/null
refused key-policy 'RSA-1024' ec
openssl genpkey -algorithm ED25519 -out "$TMP/new.key"
refused key-policy 'Ed25519' ec
says 'dpiv-issuer: bad-csr: ' 'refused: garbage' est ec /.well-known/est/simpleenroll -H 'Content-Type: application/pkcs10' -d hello
says 'dpiv-issuer: media-type: ' 'refused: a form' est ec /.well-known/est/simpleenroll -d hello
says 'dpiv-issuer: not-found: ' 'an unknown path' est ec /.well-known/est/nothing
says 'dpiv-issuer: keygen-role: ' 'serverkeygen for another purpose than encryption' est ec /.well-known/est/serverkeygen -d x
says 'dpiv-issuer: not-offered: ' 'fullcmc' est ec /.well-known/est/fullcmc -d x

# --- the card's CHUID ----------------------------------------------------------------------------------------------------
check_stop 'stop'
check 'a CHUID is required' agency_set 'require_chuid = yes'
check_start 'serve'
refused chuid-missing 'a card without its CHUID' ec
says 'dpiv-issuer: chuid-malformed: ' 'refused: something else as CHUID' enroll ec '' new -H 'DPIV-CHUID: NQgyMA=='
says 'dpiv-issuer: chuid-missing: ' 'refused: a binding code without a CHUID' est ec /.well-known/dpiv/bind \
	-H 'Content-Type: application/json' -d '{}'
check 'what gives nothing away needs none' est ec /.well-known/est/csrattrs
check 'a CHUID is not required' agency_set 'require_chuid = no'

# --- channel binding -----------------------------------------------------------------------------------------------------
check_stop 'stop'
check 'binding required' agency_set 'require_binding = yes'
# bind VERSION NAME [ANOTHER]: enrol $TMP/NAME.key over openssl s_client with the binding of this very connection (or
# with another one). The client's Finished is read from -msg, the exporter is printed by s_client.
bind() {
	local n value out=$TMP/s_client
	rm -f "$TMP/fifo" && mkfifo "$TMP/fifo"
	openssl s_client -connect "${URL#https://}" -tls${1/./_} -cert "$TMP/rsa.pem" -key "$TMP/rsa.key" -nocommands -msg \
		-keymatexport EXPORTER-Channel-Binding -keymatexportlen 32 <"$TMP/fifo" >"$out" 2>&1 &
	exec 9>"$TMP/fifo"
	for n in $(seq 50); do grep -q 'Keying material: ' "$out" && break; sleep 0.1; done
	if [ "$1" = 1.2 ]; then
		value=$(grep -A1 '^>>> TLS 1.2, Handshake.*Finished' "$out" | tail -n 1 | tr -d ' ' | cut -c 9-32)
	else
		value=$(sed -n 's/ *Keying material: //p' "$out" | tail -n 1)
	fi
	csr "$2" "${3-$(printf "$(sed 's/../\\x&/g' <<<"$value")" | base64)}"
	printf 'POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n' >&9
	printf 'Connection: close\r\nContent-Length: %d\r\n\r\n' "$(stat -c %s "$TMP/$2.b64")" >&9
	cat "$TMP/$2.b64" >&9
	wait $!
	exec 9>&-
	cat "$out"
}
check_start 'serve'
says 'MAsGCSqGSIb3DQEJBw==' 'csrattrs asks for challengePassword' est - /.well-known/est/csrattrs
file_key bound12 p256
file_key bound13 p256
says 'HTTP/1.1 200 OK' 'tls-unique with TLS 1.2' bind 1.2 bound12
says 'HTTP/1.1 200 OK' 'the exporter of RFC 9266 with TLS 1.3' bind 1.3 bound13
says 'dpiv-issuer: binding: ' 'refused: the binding of another connection, TLS 1.2' bind 1.2 bound12 AAAAAAAAAAAAAAAA
says 'dpiv-issuer: binding: ' 'refused: the binding of another connection, TLS 1.3' bind 1.3 bound13 AAAAAAAAAAAAAAAA
file_key new p256
refused binding 'no binding at all' rsa
check_stop 'stop'
check 'binding not required' agency_set 'require_binding = no'
check_start 'serve'

# --- people and revocation -----------------------------------------------------------------------------------------------
serial=$(openssl x509 -in "$TMP/auth1.pem" -noout -serial | cut -d= -f2)
check 'revoke by serial number' "$ISSUER" revoke --dir "$AGENCY" "$serial"
says 'certificate revoked' 'the CRL has it' verify "$TMP/auth1.pem"
check 'the others stay good' verify "$TMP/auth2.pem"
status 1 'twice is an error' "$ISSUER" revoke --dir "$AGENCY" "$serial"
status 3 'an unknown serial number' "$ISSUER" revoke --dir "$AGENCY" 1234
status 2 'an unknown reason' "$ISSUER" revoke --dir "$AGENCY" --reason fun "$serial"
says 'PAT EXAMPLE' 'account list' "$ISSUER" account list "$AGENCY"
check 'account suspend' "$ISSUER" account suspend --dir "$AGENCY" 1
file_key new p256
refused account-suspended 'a suspended person' ec
check 'account resume' "$ISSUER" account resume --dir "$AGENCY" 1
check 'and back' enroll ec '' new
check 'account terminate' "$ISSUER" account terminate --dir "$AGENCY" 1
says 'certificate revoked' 'terminating revokes what was derived' verify "$TMP/sign-p256.pem"
refused account-terminated 'a terminated person' ec
check_stop 'stop'

check 'force: a new agency' agency_init --force --name 'Second Agency'
check 'only listed people' agency_set 'mode = listed' 'require_binding = no'
check 'a card of the new agency' file_card ec p256
check_start 'serve'
refused unknown-account 'a person who is not listed' ec
check 'account add' "$ISSUER" account add --dir "$AGENCY" --cert "$TMP/ec.pem" --email boss@example.test
check 'enrol' enroll ec sign new
says 'email:boss@example.test' 'mail address from the administrator' ext new subjectAltName
check_stop 'stop'
says 'issued serial=' 'the log says what happened' cat "$TMP/issuer.log"
