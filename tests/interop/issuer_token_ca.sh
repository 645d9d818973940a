#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The CA's key on a PKCS#11 token (SoftHSM2): generated there by init, used by serve and revoke, never in a file. A site
# without --demo: key on the token, CA and TLS certified by the site's own root, then the same enrolment.
. tests/lib/shell.sh
. tests/lib/issuer.sh

softhsm_token hsm
URI="pkcs11:token=hsm;object=issuing-ca?module-path=$SOFTHSM&pin-source=file:$TMP/pin"
verify() {
	openssl verify -x509_strict -policy_check -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" \
		-CRLfile "$AGENCY/crls.pem" -crl_check_all "$@"
}
objects() { pkcs11-tool --module "$SOFTHSM" --login --pin 123456 -O 2>/dev/null; }
no_key_file() { [ ! -e "$AGENCY/private/ca.key" ] && ! grep -rq "PIN\|123456" "$AGENCY/issuer.conf"; }

# --- a demo agency whose CA key is on the token; the PIV cards come from another demo agency ---------------------------
check 'init with the CA key on a token' "$ISSUER" init --demo --ca-key "$URI" "$AGENCY"
says 'never extractable, local' 'the key was made on the token' objects
check 'no key in a file, no PIN in the configuration' no_key_file
check 'CA and TLS certificates verify, with CRLs' verify "$AGENCY/ca.pem" "$AGENCY/tls.pem"
mv "$AGENCY" "$TMP/token-agency"
check 'an agency that certifies cards' agency_init
check 'a card' file_card ec p256
mv "$AGENCY" "$TMP/cards"
mv "$TMP/token-agency" "$AGENCY"
check 'cards of the other agency are trusted' agency_set 'require_binding = no' "anchors = $TMP/cards/root.pem" \
	"intermediates = $TMP/cards/chain.pem" "crls = $TMP/cards/crls.pem"
check_start 'serve'
file_key new p256
check 'enrol' enroll ec '' new
check 'the certificate verifies' verify -explicit_policy -policy 2.16.840.1.101.3.2.1.3.40 "$TMP/new.pem"
check 'revoke while the server runs' "$ISSUER" revoke --dir "$AGENCY" --cert "$TMP/new.pem"
says 'certificate revoked' 'the CRL has it' verify "$TMP/new.pem"
check_stop 'stop'

# --- the key of the OCSP signer is on the token, too
openssl pkey -in "$AGENCY/private/ocsp.key" -outform DER -out "$TMP/privkey"
openssl pkey -in "$AGENCY/private/ocsp.key" -pubout -outform DER -out "$TMP/pubkey"
for type in privkey pubkey; do
	check "the OCSP key goes to the token: $type" pkcs11-tool --module "$SOFTHSM" --login --pin 123456 \
		--write-object "$TMP/$type" --type $type --id 0c --label ocsp --usage-sign
done
rm "$AGENCY/private/ocsp.key"
sed -i "/^\[publish\]/,/^\[ocsp\]/s|^#* *address =.*|address = 127.0.0.1:0|
	/^\[ocsp\]/,/^#* *key =/s|^#* *key =.*|key = ${URI/issuing-ca/ocsp}|" "$AGENCY/issuer.conf"
check_start 'serve with it'
PUB=$(sed -n 's/^publishing on //p' "$TMP/issuer.out")
ask_ocsp() {
	openssl ocsp -issuer "$AGENCY/ca.pem" -CAfile "$AGENCY/root.pem" -verify_other "$AGENCY/ca.pem" -url "$PUB/pki/ocsp" \
		-cert "$TMP/new.pem"
}
says 'Response verify OK' 'OCSP is answered with it' ask_ocsp
says 'new.pem: revoked' 'and the answer is right' ask_ocsp
check_stop 'stop'
sed -i '/^\[ocsp\]/,/^\[piv\]/s|object=ocsp|object=nothing|' "$AGENCY/issuer.conf"
says 'key of the OCSP signer' 'a key that is not there is named' "$ISSUER" serve --listen 127.0.0.1:0 "$AGENCY"
sed -i '/^\[publish\]/,/^\[ocsp\]/s|^address =.*|# address =|' "$AGENCY/issuer.conf"

# --- and that of the TLS server
openssl pkey -in "$AGENCY/private/tls.key" -outform DER -out "$TMP/privkey"
openssl pkey -in "$AGENCY/private/tls.key" -pubout -outform DER -out "$TMP/pubkey"
for type in privkey pubkey; do
	check "the TLS key goes to the token: $type" pkcs11-tool --module "$SOFTHSM" --login --pin 123456 \
		--write-object "$TMP/$type" --type $type --id 0d --label tls --usage-sign
done
rm "$AGENCY/private/tls.key"
sed -i "/^\[listen\]/a key = ${URI/issuing-ca/tls}" "$AGENCY/issuer.conf"
check_start 'serve with it'
file_key more p256
check 'TLS 1.3' enroll ec '' more --tlsv1.3
check 'TLS 1.2' enroll ec '' more --tls-max 1.2
kill -HUP "$ISSUER_PID"
check 'after a reload' enroll ec '' more
says 'key is there, and is the certificate' 'doctor' "$ISSUER" doctor "$AGENCY"
check_stop 'stop'

echo 654321 >"$TMP/pin"
status 4 'a wrong PIN in the file' "$ISSUER" serve --listen 127.0.0.1:0 "$AGENCY"
echo 123456 >"$TMP/pin"
check 'then the right one' "$ISSUER" revoke --dir "$AGENCY" --foreign 77

# --- a site ------------------------------------------------------------------------------------------------------------
SITE=$TMP/site
status 2 'without --demo a token is needed' "$ISSUER" init "$SITE"
status 2 'a key file is no token' "$ISSUER" init --ca-key "$TMP/ca.key" "$SITE"
check 'init of a site' "$ISSUER" init --name 'Lab Site' --ca-key "${URI/issuing-ca/site-ca}" "$SITE"
for f in ca tls; do
	check "$f.csr is signed" openssl req -in "$SITE/$f.csr" -noout -verify
done
says 'site/ca.pem' 'not ready: the message says what is missing' "$ISSUER" status "$SITE"
certify() { # NAME PROFILE: by the demo root, as the site's own
	cat >"$TMP/site.cnf" <<CNF
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
certificatePolicies = 2.16.840.1.101.3.2.1.3.6,2.16.840.1.101.3.2.1.3.40
[tls]
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
authorityKeyIdentifier = keyid:always
CNF
	openssl x509 -req -in "$SITE/$1.csr" -CA "$TMP/cards/root.pem" -CAkey "$TMP/cards/private/root.key" -days 100 \
		-set_serial "0x$(openssl rand -hex 15)" -sha256 -extfile "$TMP/site.cnf" -extensions "$1" -out "$SITE/$1.pem"
}
check 'the site certifies its CA' certify ca
check 'and its TLS key' certify tls
cp "$TMP/cards/root.pem" "$TMP/cards/root.crl" "$SITE/"
cat "$SITE/ca.pem" "$SITE/root.pem" "$TMP/cards/ca.pem" >"$SITE/chain.pem"
cp "$TMP/cards/crls.pem" "$SITE/cards.crls"
AGENCY=$SITE
check 'configuration' agency_set 'require_binding = no' "crls = $SITE/cards.crls"
check_start 'serve'
refuse 'listed people only' enroll ec '' new
check 'account add' "$ISSUER" account add --dir "$SITE" --cert "$TMP/ec.pem" --email pat@example.test
file_key new p256
refuse 'a site wants to see the CHUID of the card' enroll ec '' new
check_stop 'stop, to change that'
check 'not of curl' agency_set 'require_chuid = no'
check_start 'serve again'
check 'enrol' enroll ec '' new
check 'the certificate verifies under the site root' verify -explicit_policy -policy 2.16.840.1.101.3.2.1.3.40 "$TMP/new.pem"
check_stop 'stop'
check 'a key file in its place' cp "$TMP/ec.key" "$SITE/private/ca.key"
sed -i '/^key = pkcs11/d' "$SITE/issuer.conf"
status 5 'is refused outside a demo' "$ISSUER" serve --listen 127.0.0.1:0 "$SITE"
