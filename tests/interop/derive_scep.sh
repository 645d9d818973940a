#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SCEP with a server made of a Go library that is not ours (tests/interop/scepd): enrol and renew RSA keys in SoftHSM2 that
# sign and open the messages themselves; EC keys, whose messages a throw-away RSA key carries; the CA known by fingerprint
# or by trust anchor, answering itself or through an RA. The library signs with SHA-1, so weak_algorithms is needed here,
# and that it is needed is tested as well.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end scepd_stop
AGENCY=$DERIVE_DIR/agency
export ISSUER=http://127.0.0.1:8080/scep
echo chal-4711 >"$TMP/challenge"
echo wrong >"$TMP/wrong"
if ! tests/interop/scepd/build "$TMP/scepd" >"$TMP/go.log" 2>&1; then
	fail 'the server is built' "$(cat "$TMP/go.log")"
	exit 1
fi

# an RSA CA of its own below the agency's root, and an RA
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$TMP/ca.key" 2>/dev/null
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$TMP/ra.key" 2>/dev/null
signed() { # NAME SUBJECT CA CAKEY EXTENSIONS
	openssl req -new -key "$TMP/$1.key" -subj "$2" 2>/dev/null | openssl x509 -req -CA "$3" -CAkey "$4" -days 100 \
		-set_serial "0x$(openssl rand -hex 8)" -out "$TMP/$1.pem" -extfile <(printf 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n%b' "$5") 2>/dev/null
}
signed ca "/C=US/O=Demo Government/CN=SCEP CA" "$AGENCY/root.pem" "$AGENCY/private/root.key" \
	'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\ncertificatePolicies=2.16.840.1.101.3.2.1.3.40\n'
signed ra "/C=US/O=Demo Government/CN=SCEP RA" "$TMP/ca.pem" "$TMP/ca.key" \
	'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=cmcRA\n'
cp "$TMP/ra.key" "$TMP/other.key"
signed other "/C=US/O=Demo Government/CN=A colleague" "$TMP/ca.pem" "$TMP/ca.key" \
	'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth\n'
PRINT=$(openssl x509 -in "$TMP/ca.pem" -noout -fingerprint -sha256 | sed 's/.*=//')

scepd_start() { # OPTIONS...
	: >"$TMP/scepd.log"
	"$TMP/scepd" -ca "$TMP/ca.pem" -key "$TMP/ca.key" -challenge chal-4711 "$@" >"$TMP/scepd.log" 2>&1 &
	SCEPD=$!
	for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/8080) 2>/dev/null && return 0; sleep 0.05; done
	cat "$TMP/scepd.log"
	return 1
}
scepd_stop() {
	[ -z "${SCEPD-}" ] || { kill "$SCEPD"; wait "$SCEPD"; } 2>/dev/null
	SCEPD=
}

keys() { token_objects | grep -c '^Private Key'; }
there() { # ID: certificate and key belong together
	token_cert "$1" "$TMP/got.pem" && openssl verify -CAfile "$AGENCY/root.pem" -untrusted "$TMP/ca.pem" "$TMP/got.pem" >/dev/null &&
		openssl x509 -in "$TMP/got.pem" -noout -pubkey >"$TMP/got.pub" && token_pubkey "$1" "$TMP/have.pub" &&
		cmp "$TMP/got.pub" "$TMP/have.pub"
}
untouched() { [ -z "$(token_objects)" ]; }
refused() { # TEXT NAME LINES...
	local text=$1 name=$2
	shift 2
	token_fresh laptop
	issuer_conf 'protocol = scep' "$@"
	says "$text" "$name" derive_conf --alg rsa2048
	check "$name: nothing is left on the token" untouched
}
GOOD=("secret = $TMP/challenge" 'weak_algorithms = yes')

call_build || fail 'the program that renews is built'
card 1
scepd_start || fail 'a SCEP server'

# --- RSA, the CA known by its trust anchor ------------------------------------------------------------------------------
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}"
check 'RSA: enrolled' derive_conf --alg rsa2048
check 'RSA: certificate and key are there' there 01
token_cert 01 "$TMP/first.pem"
export PROTOCOL=scep WEAK=1 SECRET=$TMP/challenge
check 'RSA: renewed with the old key' call renew auth
check 'RSA: only the new key is there' test "$(keys)" -eq 1
NEW=$(pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type cert 2>/dev/null | awk '/ID:/ { print $2 }')
check 'RSA: certificate and key are there again' there "$NEW"
refuse 'RSA: it is another certificate' cmp "$TMP/got.pem" "$TMP/first.pem"
says 'no revocation' 'RSA: SCEP does not revoke' call revoke auth

# --- EC, the CA known by its fingerprint --------------------------------------------------------------------------------
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}" "fingerprint = $PRINT"
check 'EC: enrolled' derive_conf --alg p256
check 'EC: the certificate is there' token_cert 01 "$TMP/got.pem"
says 'can also decrypt' 'EC: cannot be renewed, and that is said' call renew auth
check 'EC: the credential stays' test "$(keys)" -eq 1
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}" 'one_certificate = 2.999.1.7'
says 'is not that of a certificate for digital signature and encryption' 'MAIL: this CA certifies for signature alone' \
	derive_conf --alg rsa2048 --role mail
check 'MAIL: and nothing is left' untouched
scepd_stop

# --- an issuer that wants time ------------------------------------------------------------------------------------------
polls() { # NUMBER: so many polls were seen since the server started
	[ "$(grep -c 'message type 20' "$TMP/scepd.log")" -eq "$1" ] || { cat "$TMP/scepd.log"; return 1; }
}
scepd_start -wait 2 || fail 'a SCEP server that wants time'
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}"
status 6 'PENDING: the run ends, and may be repeated' derive_conf --alg rsa2048
check 'PENDING: the key is kept' test "$(keys)" -eq 1
check 'PENDING: the next run polls and gets the certificate' derive_conf --alg rsa2048 --wait 9
check 'PENDING: by the second poll' polls 2
check 'PENDING: for that key' there 01
check 'PENDING: and no other' test "$(keys)" -eq 1
WAIT=9 check 'PENDING: renewed, polling' call renew auth
check 'PENDING: by two polls more' polls 4
check 'PENDING: only the new key is there' test "$(keys)" -eq 1
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}"
check 'PENDING: EC, in one run' derive_conf --alg p256 --wait 9
check 'PENDING: EC, by two polls more' polls 6
scepd_stop

# --- an RA --------------------------------------------------------------------------------------------------------------
scepd_start -ra "$TMP/ra.pem" -rakey "$TMP/ra.key" || fail 'a SCEP server with an RA'
token_fresh laptop
issuer_conf 'protocol = scep' "${GOOD[@]}" "fingerprint = $PRINT"
check 'RA: enrolled' derive_conf --alg rsa2048
check 'RA: certificate and key are there' there 01
scepd_stop

# --- refused ------------------------------------------------------------------------------------------------------------
scepd_start -ra "$TMP/other.pem" -rakey "$TMP/other.key"
refused 'no enveloped recipient' "a colleague's certificate is no RA" "${GOOD[@]}" "fingerprint = $PRINT"
scepd_stop
scepd_start
refused 'too weak' 'SHA-1 is not believed without leave' "secret = $TMP/challenge"
refused 'fingerprint' 'a wrong fingerprint' "${GOOD[@]}" "fingerprint = ${PRINT%??}00"
refused 'badRequest' 'a wrong challenge' "secret = $TMP/wrong" 'weak_algorithms = yes'
refused 'challenge' 'a challenge file that is not there' "secret = $TMP/nothing" 'weak_algorithms = yes'
scepd_stop
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/ca.key" -out "$TMP/ca.pem" -subj '/CN=Evil' -days 9 2>/dev/null
scepd_start
refused 'not trusted' 'a CA of somebody else' "${GOOD[@]}"
