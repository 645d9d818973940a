#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv's own SCEP and CMP clients at dpiv-issuer: derived, renewed and revoked, with a binding code or the card; each role
# by the address of its profile, the one for signature and encryption, too.
. tests/lib/derive.sh
derive_inside "--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
OID=2.999.1.7
D=$BUILD/dpiv

# one more policy for the CA (tests/interop/one_certificate.sh), and the listener for those who speak plain http
printf '%s\n' basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign subjectKeyIdentifier=hash \
	"certificatePolicies=2.16.840.1.101.3.2.1.3.6,2.16.840.1.101.3.2.1.3.40,$OID" authorityKeyIdentifier=keyid:always >"$TMP/ext"
openssl x509 -x509toreq -in "$AGENCY/ca.pem" -key "$AGENCY/private/ca.key" -out "$TMP/ca.csr" 2>"$TMP/err" &&
	openssl x509 -req -in "$TMP/ca.csr" -extfile "$TMP/ext" -CA "$AGENCY/root.pem" -CAkey "$AGENCY/private/root.key" \
	-set_serial 0x4711 -days 2000 -sha256 -out "$AGENCY/ca.pem" 2>>"$TMP/err" || fail 'fixture' "$(cat "$TMP/err")"
sed -i '/^\[publish\]/,/^\[ocsp\]/s|^#* *address =.*|address = 127.0.0.1:0|' "$AGENCY/issuer.conf"
printf '%s\n' '[profile]' "one_certificate = $OID" >>"$AGENCY/issuer.conf"

token_fresh laptop
issuer_start || fail 'the issuer starts' "$(cat "$TMP/issuer.log")"
card 1
HTTPS=$ISSUER
PLAIN=$(sed -n 's/^publishing on //p' "$TMP/issuer.log")

code() { # ROLES
	"$D" bind --from "$CARD_URI" --issuer "$HTTPS" --cafile "$AGENCY/root.pem" --role "$1" >"$TMP/code" && chmod 600 "$TMP/code"
}
at() { # ADDRESS LINES...
	ISSUER=$1 issuer_conf "${@:2}" '[derive]' "to = $TO"
}
serial() { "$D" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == '$1'][0])"; }
revoked() { sed -n 's/.* revoked serial=\([0-9A-F]*\).*/\1/p' "$TMP/issuer.log" | grep -qx "$1"; }
usage() { token_cert "$1" "$TMP/got.pem" && openssl x509 -in "$TMP/got.pem" -noout -ext keyUsage | grep -q "$2"; }

# --- SCEP ---------------------------------------------------------------------------------------------------------------
at "$PLAIN/scep" 'protocol = scep' "secret = $TMP/code"
echo 7F3K-9QWD-ZX01-4MTP-HB2C >"$TMP/code"
chmod 600 "$TMP/code"
refuse 'SCEP: not with a code that is none' derive_conf --alg rsa2048
check 'SCEP: a code' code auth
check 'SCEP: derived with it' derive_conf --alg rsa2048
FIRST=$(serial auth)
check 'SCEP: renewed' "$D" renew --force auth
refuse 'SCEP: it is another one' test "$(serial auth)" = "$FIRST"
at "$HTTPS" "one_certificate = $OID"
code sign,encrypt
at "$PLAIN/scep/mail" 'protocol = scep' "secret = $TMP/code" "one_certificate = $OID"
check 'SCEP: one for signature and encryption' derive_conf --alg rsa2048 --role mail
check 'SCEP: it is for both' usage 04 'Digital Signature, Key Encipherment'

# --- CMP ----------------------------------------------------------------------------------------------------------------
token_fresh laptop
at "$HTTPS/.well-known/cmp" 'protocol = cmp'
check 'CMP: derived with the card' derive_conf --alg rsa2048
FIRST=$(serial auth)
check 'CMP: renewed' "$D" renew --force auth
SECOND=$(serial auth)
refuse 'CMP: it is another one' test "$SECOND" = "$FIRST"
check 'CMP: revoked' "$D" revoke --yes auth
check 'CMP: and the issuer has it revoked' revoked "$SECOND"
at "$HTTPS/.well-known/cmp/p/sign" 'protocol = cmp'
check 'CMP: an elliptic-curve key to sign with' derive_conf --alg p256 --role sign
check 'CMP: it is for that' usage 02 'Digital Signature, Non Repudiation'
at "$HTTPS/.well-known/cmp/p/mail" 'protocol = cmp' "one_certificate = $OID"
check 'CMP: one for signature and encryption' derive_conf --alg rsa2048 --role mail
check 'CMP: it is for both' usage 04 'Digital Signature, Key Encipherment'
check 'CMP: renewed' "$D" renew --force mail
issuer_stop
