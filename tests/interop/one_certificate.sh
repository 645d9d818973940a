#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# One certificate for signature and encryption, by an issuer that has a policy of its own for it: derived, used for both,
# renewed, revoked, found again; refused by policy, by issuers that do not have it, and on a PIV token, whose places have
# one use each.
. tests/lib/derive.sh
derive_inside "--alg p256" "blank:"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
OID=2.999.1.7
D=$BUILD/dpiv

# the demo agency's CA may assert the Federal PKI's policies alone: the same one, signed again, with one more
ca_again() {
	cat >"$TMP/ca.ext" <<-EXT
	basicConstraints = critical,CA:TRUE,pathlen:0
	keyUsage = critical,keyCertSign,cRLSign
	subjectKeyIdentifier = hash
	authorityKeyIdentifier = keyid:always
	certificatePolicies = 2.16.840.1.101.3.2.1.3.6,2.16.840.1.101.3.2.1.3.13,2.16.840.1.101.3.2.1.3.40,$1
	EXT
	openssl x509 -x509toreq -in "$AGENCY/ca.pem" -key "$AGENCY/private/ca.key" -out "$TMP/ca.csr" 2>"$TMP/ca.err" &&
		openssl x509 -req -in "$TMP/ca.csr" -extfile "$TMP/ca.ext" -CA "$AGENCY/root.pem" -CAkey "$AGENCY/private/root.key" \
		-set_serial 0x4711 -days 2000 -sha256 -out "$TMP/ca.new" 2>>"$TMP/ca.err" || { cat "$TMP/ca.err"; return 1; }
	cat "$TMP/ca.new" >"$AGENCY/ca.pem"
}
profile() { # [profile] of issuer.conf with these lines; none: as it was
	[ -e "$TMP/issuer.conf" ] || cp "$AGENCY/issuer.conf" "$TMP/issuer.conf"
	cp "$TMP/issuer.conf" "$AGENCY/issuer.conf"
	[ $# -eq 0 ] || printf '%s\n' '[profile]' "$@" >>"$AGENCY/issuer.conf"
}
one() { issuer_conf "one_certificate = $OID" "$@" '[derive]' "to = $TO"; }
fields() { "$D" status --json | python3 -c "import json, sys; print(*sorted(c['$1'] for c in json.load(sys.stdin)['credentials']))"; }
cert_of() { "$D" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == 'mail'][0])"; }
keys() { token_objects | grep -c '^Private Key'; }
usage() { token_cert 04 "$TMP/mail.pem" && openssl x509 -in "$TMP/mail.pem" -noout -ext keyUsage,extendedKeyUsage,certificatePolicies >"$TMP/ext" && grep -q "$1" "$TMP/ext"; }

# --- an issuer that does not have it ------------------------------------------------------------------------------------------
token_fresh laptop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
one
status 5 'an issuer without the profile' derive_conf --role sign,encrypt
issuer_stop
profile 'one_certificate = 2.16.840.1.101.3.2.1.3.6'
status 1 'the issuer takes no policy of the Federal PKI for it' "$BUILD/dpiv-issuer" serve "$AGENCY"
says 'policy of the Federal PKI' 'and says why' "$BUILD/dpiv-issuer" serve "$AGENCY"
profile "one_certificate = $OID"
token_fresh laptop
issuer_start || fail 'fixture: the issuer has it' "$(cat "$TMP/issuer.log")"
one
status 5 'a CA that may not assert the policy' derive_conf --role sign,encrypt
issuer_stop
check 'fixture: a CA that may' ca_again "$OID"
issuer_start || fail 'fixture: the issuer again' "$(cat "$TMP/issuer.log")"

# --- by configuration ---------------------------------------------------------------------------------------------------------
issuer_conf
status 5 'not without one_certificate in dpiv.conf' derive_conf --role mail
says 'has no one_certificate' 'and it is said' derive_conf --role mail
issuer_conf 'one_certificate = 2.16.840.1.101.3.2.1.3.6'
says 'policy of the Federal PKI' 'no policy of the Federal PKI' derive_conf --role sign
issuer_conf 'one_certificate = postal'
says 'no object identifier' 'no other word' derive_conf --role sign
one 'encrypt = serverkeygen'
says 'does not go with encrypt' 'and no key that the issuer has made' derive_conf --role sign
one '[policy]' 'one_certificate = no'
status 5 'a policy that forbids it' derive_conf --role sign,encrypt
says 'one_certificate = no' 'and names the line' derive_conf --role sign,encrypt
one '[policy]' 'roles = auth, sign'
says 'no encryption credential' 'a policy without encryption' derive_conf --role sign
issuer_conf '[policy]' 'one_certificate = yes'
says 'no certificate for digital signature alone' 'a policy that demands it' derive_conf --role sign
check 'nothing was made' test "$(keys)" -eq 0

# --- for each kind of key -----------------------------------------------------------------------------------------------------
printf 'Hello,\nthis is it.\n' >"$TMP/letter"
both() { # sign and encrypt with the one credential
	"$D" sign --token "$TO" --out "$TMP/signed" "$TMP/letter" &&
		openssl cms -verify -in "$TMP/signed" -certfile "$AGENCY/ca.pem" -CAfile "$AGENCY/root.pem" -out /dev/null 2>"$TMP/cms.err" &&
		openssl cms -encrypt -aes256 -in "$TMP/letter" -out "$TMP/sealed" "$TMP/mail.pem" &&
		"$D" decrypt --token "$TO" --out "$TMP/opened" "$TMP/sealed" && grep -q 'this is it' "$TMP/opened"
}
for alg in rsa2048 p256; do
	token_fresh laptop
	one '[policy]' 'one_certificate = yes'
	check "$alg: derived" derive_conf --alg $alg --role auth,sign,encrypt
	check "$alg: two credentials" test "$(fields role)" = "auth mail"
	check "$alg: two keys" test "$(keys)" -eq 2
	[ $alg = p256 ] && second='Key Agreement' || second='Key Encipherment'
	check "$alg: keyUsage" usage "Digital Signature, $second"
	refuse "$alg: no nonRepudiation" grep -q 'Non Repudiation' "$TMP/ext"
	check "$alg: its policy" grep -q "Policy: $OID" "$TMP/ext"
	check "$alg: for mail" grep -q 'E-mail Protection' "$TMP/ext"
	check "$alg: it signs and opens" both
	check "$alg: once more is nothing new" derive_conf --alg $alg --role encrypt
	check "$alg: still two keys" test "$(keys)" -eq 2
	OLD=$(cert_of)
	check "$alg: renewed" "$D" renew --force mail
	refuse "$alg: by another" test "$(cert_of)" = "$OLD"
	check "$alg: the old key stays for old mail" test "$(keys)" -eq 3
	check "$alg: which opens" "$D" decrypt --token "$TO" --out "$TMP/opened" "$TMP/sealed"
done

# --- the rest of its life -----------------------------------------------------------------------------------------------------
mv "$TMP/state" "$TMP/kept"
cat "$AGENCY/ca.pem" "$AGENCY/root.pem" >"$TMP/both.pem"
CAFILE=$TMP/both.pem one '[token laptop]' "uri = $TO"
check 'status finds it again, as what it is' test "$(fields role)" = "auth mail"
rm -rf "$TMP/state"
mv "$TMP/kept" "$TMP/state"
one
check 'revoked' "$D" revoke --yes mail
check 'and gone' test "$(fields role)" = auth

# --- by a binding code --------------------------------------------------------------------------------------------------------
token_fresh laptop
one
"$D" bind --from "$CARD_URI" --issuer peer --role sign,encrypt --json >"$TMP/bound.json"
check 'a code for both is one for the one credential' python3 -c "
import json; a = json.load(open('$TMP/bound.json')); assert a['roles'] == ['mail'], a
open('$TMP/code', 'w').write(a['code'])"
check 'derived by it' "$D" derive --to "$TO" --issuer peer --role sign,encrypt --code-file "$TMP/code"
check 'the one credential' test "$(fields role)" = mail
check 'in its usage' usage 'Digital Signature, Key'

# --- a token whose places have one use each -----------------------------------------------------------------------------------
SLOT=$(pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" -L | sed -n 's/^Slot [0-9]* (\(.*\)): Virtual PCD 1 00 00$/\1/p')
TO="pkcs11:slot-id=$((SLOT))?pin-source=file:$TMP/card.pin"
echo 010203040506070801020304050607080102030405060708 >"$TMP/admin"
chmod 600 "$TMP/admin"
one '[module]' "management_key_file = $TMP/admin"
status 1 'a PIV token' derive_conf --role sign,encrypt
says 'none for a key that does both' 'and why' derive_conf --role sign,encrypt
