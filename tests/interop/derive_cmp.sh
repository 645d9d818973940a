#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# CMP with the mock server of `openssl cmp`: enrol, poll, renew and revoke keys in SoftHSM2, RSA and EC; protected by the
# card's signature or by a shared secret.
#
# The mock issues nothing: it answers with one fixed certificate. So each run first makes it say "wait", which leaves the
# key in the token; the certificate for that key is made here, and the next run gets it. For kur and rr the mock compares
# issuer and serial number of the old certificate with those of its fixed one, so the renewed certificate of this test has
# the old one's serial number, which no CA would do.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg rsa2048"
. tests/lib/shell.sh
. tests/lib/peers.sh
at_end mock_stop
AGENCY=$DERIVE_DIR/agency
export ISSUER=http://127.0.0.1:8086/pkix/
echo insta-4711 >"$TMP/secret"
export PROTOCOL=cmp

# the server's own certificate is for certificate management
openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/srv.key" -subj "/CN=CMP" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 4711 -days 10 -out "$TMP/srv.pem" \
		-extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=cmcRA\nsubjectKeyIdentifier=hash\n') 2>/dev/null

new_id() { # the identifier of the one key that has no certificate
	pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type pubkey 2>/dev/null | awk '/ID:/ { print $2 }' | grep -vx "${1:-}"
}
keys() { token_objects | grep -c '^Private Key'; }
serial() { openssl x509 -in "$1" -noout -serial; }

round() { # WHAT ALG
	local what=$1 alg=$2
	token_fresh laptop
	issuer_conf 'protocol = cmp' "${CONF[@]}"
	# any certificate will do for a mock that makes us wait
	mock_start "$TMP/srv.pem" "${MOCK_OPTS[@]}" -poll_count 1000 -check_after 1
	status 6 "$what: the issuer wants time" derive_conf --alg "$alg"
	mock_stop
	check "$what: the key is kept" test "$(keys)" -eq 1
	token_pubkey 01 "$TMP/pub.pem"
	derived_cert "$TMP/pub.pem" 1001 "$TMP/first.pem" || fail 'fixture'
	sleep 1
	mock_start "$TMP/first.pem" "${MOCK_OPTS[@]}" -poll_count 2 -check_after 1
	check "$what: the next run polls and gets the certificate" derive_conf --alg "$alg" --wait 20
	mock_stop
	token_cert 01 "$TMP/got.pem"
	check "$what: it is on the token" test "$(serial "$TMP/got.pem")" = "$(serial "$TMP/first.pem")"

	# renewal: kur, signed by the old key
	mock_start "$TMP/first.pem" "${MOCK_OPTS[@]}" -poll_count 1000 -check_after 1
	status 6 "$what: the renewal has to wait" call renew auth
	mock_stop
	check "$what: two keys then" test "$(keys)" -eq 2
	NEW=$(new_id 01)
	token_pubkey "$NEW" "$TMP/pub2.pem"
	derived_cert "$TMP/pub2.pem" 1001 "$TMP/second.pem" || fail 'fixture'
	sleep 1
	# the answer is for another key: refused, and the old credential stays
	mock_start "$TMP/first.pem" "${MOCK_OPTS[@]}"
	says 'it is for another key' "$what: a certificate for the old key is refused" call renew auth
	check "$what: and the old credential stays" test "$(keys)" -eq 1
	mock_stop
	mock_start "$TMP/first.pem" "${MOCK_OPTS[@]}" -poll_count 1000 -check_after 1
	status 6 "$what: once more" call renew auth
	mock_stop
	NEW=$(new_id 01)
	token_pubkey "$NEW" "$TMP/pub2.pem"
	derived_cert "$TMP/pub2.pem" 1001 "$TMP/second.pem" || fail 'fixture'
	sleep 1
	mock_start "$TMP/second.pem" "${MOCK_OPTS[@]}" -poll_count 1 -check_after 1
	export WAIT=20
	check "$what: renewed" call renew auth
	unset WAIT
	check "$what: the old key is gone" test "$(keys)" -eq 1
	token_cert "$NEW" "$TMP/got.pem"
	check "$what: the new certificate is there" cmp "$TMP/got.pem" "$TMP/second.pem"

	# rr
	check "$what: revoked" call revoke auth
	check "$what: it is no longer in use" nothing_active
	mock_stop
}
nothing_active() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["credentials"] == []'; }

call_build || fail 'the program that renews is built'
card 1
SIGNED=1 CONF=('request = cr') MOCK_OPTS=()
round 'cr signed by a P-256 card, EC key' p256
CONF=('request = p10cr')
round 'p10cr, RSA key' rsa2048
card 2
CONF=('request = ir')
round 'ir signed by an RSA card, EC key' p256
unset SIGNED
export SECRET=$TMP/secret REFERENCE=4711
CONF=("secret = $TMP/secret" 'reference = 4711')
MOCK_OPTS=(-srv_ref 4711 -srv_secret "pass:insta-4711")
round 'ir with a shared secret, RSA key' rsa2048
unset SECRET REFERENCE

# --- refused ------------------------------------------------------------------------------------------------------------
untouched() { [ -z "$(token_objects)" ]; }
refused() { # TEXT NAME OPTIONS...
	local text=$1 name=$2
	shift 2
	token_fresh laptop
	issuer_conf 'protocol = cmp' "${CONF[@]}"
	mock_start "$TMP/first.pem" "$@"
	says "$text" "$name" derive_conf --alg p256
	check "$name: nothing is left on the token" untouched
	mock_stop
}
CONF=("secret = $TMP/secret" 'reference = 4711')
refused 'another secret' 'an issuer with another secret' -srv_ref 4711 -srv_secret pass:other
CONF=() SIGNED=1
refused 'it is for another key' 'a certificate for another key'
check 'and the issuer is told' grep -q 'rejected by client' "$TMP/mock.log"
refused 'refused: ' 'a rejection' -pkistatus 2 -failure 2 -statusstring nope
refused 'nope' 'a rejection, in its own words' -pkistatus 2 -failure 2 -statusstring nope
refused 'without protection' 'an answer without protection' -send_unprotected
refused 'error processing message' 'an error message' -send_error -pkistatus 2 -statusstring nope
cp "$TMP/srv.pem" "$TMP/good.pem"
cp "$TMP/srv.key" "$TMP/good.key"
openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/srv.key" -subj "/CN=Somebody" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 4712 -days 10 -out "$TMP/srv.pem" \
		-extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\n') 2>/dev/null
refused 'does not trust for that' 'signed by a certificate that is for something else'
cp "$TMP/srv.pem" "$TMP/somebody.pem"
CONF=("signer = $TMP/somebody.pem")
refused 'it is for another key' 'that certificate named as signer is believed'
cp "$TMP/good.pem" "$TMP/srv.pem"
cp "$TMP/good.key" "$TMP/srv.key"
refused 'configured certificate' 'another signer than the configured one'
CONF=("secret = $TMP/nothing")
refused 'shared secret' 'a secret that is not there'
CONF=('request = kur')
refused 'request in dpiv.conf' 'a request of an unknown kind'

# --- dpiv-issuer, which is no mock ----------------------------------------------------------------------------------------
serial_of() { openssl x509 -in "$1" -noout -serial | cut -d= -f2; }
on_list() { openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -q "Serial Number: $(serial_of "$1")"; }
unset SIGNED
issuer_start || fail 'dpiv-issuer starts'
token_fresh laptop
ISSUER=$ISSUER/.well-known/cmp
issuer_conf 'protocol = cmp'
card 1
check 'dpiv-issuer: enrolled, signed by the card' derive_conf --alg p256
token_cert 01 "$TMP/one.pem"
check 'dpiv-issuer: renewed, signed by the credential' call renew auth
check 'dpiv-issuer: one key is left' test "$(keys)" -eq 1
token_cert "$(new_id 01)" "$TMP/two.pem"
check 'dpiv-issuer: by another certificate' test "$(serial_of "$TMP/one.pem")" != "$(serial_of "$TMP/two.pem")"
check 'dpiv-issuer: revoked' call revoke auth
check 'dpiv-issuer: it is no longer in use' nothing_active
check 'dpiv-issuer: and is on the CRL' on_list "$TMP/two.pem"
issuer_stop
