#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv check against the issuer's own OCSP responder: a derived credential is good, and revoked at once when it is.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
PORT=8095
sed -i "s|^#* *base_url.*|base_url = http://127.0.0.1:$PORT/pki|
	/^\[publish\]/,/^\[ocsp\]/s|^#* *address =.*|address = 127.0.0.1:$PORT|" "$AGENCY/issuer.conf"

check_it() { "$BUILD/dpiv" check --cafile "$AGENCY/root.pem" --timeout 5 "$@"; }
revoke_own() { "$BUILD/dpiv" revoke --cafile "$AGENCY/root.pem" --token "$TO" --yes "$@"; }
field() { check_it --json "$1" | python3 -c "import json, sys; c = json.load(sys.stdin)['credentials'][0]; print(c['certificate']['$2'])"; }
serial() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == '$1'][0])"; }

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
check 'derived' derive --alg p256 --role auth,sign
check 'good' test "$(field auth state)" = good
check 'by OCSP' test "$(field auth by)" = OCSP
own=$(serial sign)
check 'its owner revokes one' revoke_own sign
says "0x$own: revoked" 'revoked, at once' openssl ocsp -issuer "$AGENCY/ca.pem" -CAfile "$AGENCY/root.pem" -verify_other "$AGENCY/ca.pem" \
	-url "http://127.0.0.1:$PORT/pki/ocsp" -serial "0x$own"
check 'the other credential is good' test "$(field auth state)" = good
check 'revoked by the issuer' "$BUILD/dpiv-issuer" revoke --dir "$AGENCY" --reason superseded "$(serial auth)"
check 'revoked, at once' test "$(field auth state)" = revoked
check 'says OCSP' test "$(field auth by)" = OCSP
status 5 'and the exit status' check_it auth
issuer_stop
check 'nobody is there: unknown' test "$(field auth state)" = unknown
check 'the events are whole' "$BUILD/dpiv-issuer" audit verify "$AGENCY"
