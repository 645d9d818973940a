#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer as a registration authority: it has no CA key, and forwards to a CA of another make. EST to Apache's mod_ssl and
# a CGI program, CMP to the mock server of `openssl cmp`, each with the authority's own credential; with real `dpiv derive` from
# a card into SoftHSM2. The CA's key is where only the CA is.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
. tests/lib/peers.sh
at_end 'apache_stop; mock_stop; issuer_stop'
AGENCY=$DERIVE_DIR/agency
peer_files
rm "$AGENCY/private/ca.key"
ext_good() { peer_ext $AUTH digitalSignature $AUTH_EKU >"$RUN/ext"; }
ext_good
peer_ext $MAIL keyEncipherment emailProtection >"$RUN/ext.encrypt"

peer_certify ra clientAuth,cmcRA
peer_certify srv cmcCA
SIGNED=1
cp "$TMP/ra.pem" "$AGENCY/ra.pem"
# its key is on a token of its own
mkdir "$TMP/ra-tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$TMP/ra-tokens" >"$TMP/ra-softhsm2.conf"
echo 123456 >"$TMP/ra.pin"
ra_token() {
	local SOFTHSM2_CONF=$TMP/ra-softhsm2.conf type
	export SOFTHSM2_CONF
	softhsm2-util --init-token --free --label ra --so-pin 12345678 --pin 123456 >/dev/null || return 1
	openssl pkey -in "$TMP/ra.key" -outform DER -out "$TMP/privkey"
	openssl pkey -in "$TMP/ra.key" -pubout -outform DER -out "$TMP/pubkey"
	for type in privkey pubkey; do
		pkcs11-tool --module "$HSM" --login --pin 123456 --write-object "$TMP/$type" --type $type --id 01 --label ra || return 1
	done
}
HSM=$(find /usr/lib -name libsofthsm2.so -print -quit)
check "the registration authority's key is on a token" ra_token
RA_KEY="key = pkcs11:token=ra;object=ra?module-path=$HSM&pin-source=file:$TMP/ra.pin"
ra_start() {
	SOFTHSM2_CONF=$TMP/ra-softhsm2.conf issuer_start || fail 'the registration authority starts' "$(cat "$TMP/issuer.log")"
}
chmod -R a+rX "$RUN"
cp "$AGENCY/issuer.conf" "$TMP/issuer.conf"
upstream() { # LINE...: the [upstream] of issuer.conf
	{ cat "$TMP/issuer.conf" && printf '%s\n' '[upstream]' 'auth_label = none' 'seconds = 3' "$@"; } >"$AGENCY/issuer.conf"
}
keys() { token_objects | grep -c '^Private Key'; }
ledger() { sql "$AGENCY/issuer.db" "$1"; }
logged() { grep -q "$1" "$TMP/issuer.log"; }
verify() { openssl verify -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" -explicit_policy -policy "${2:-$AUTH}" "$1"; }
text() { openssl x509 -in "$1" -noout -text; }
same_serial() { [ "$(openssl x509 -in "$1" -noout -serial | cut -d= -f2)" = "$(ledger "select serial from certificate where state = 'issued' order by created desc, rowid desc")" ]; }

# --- EST ----------------------------------------------------------------------------------------------------------------
card 1
upstream 'protocol = est' 'url = https://localhost:10443' "$RA_KEY"
apache_start
doctor() { SOFTHSM2_CONF=$TMP/ra-softhsm2.conf "$BUILD/dpiv-issuer" doctor "$AGENCY"; }
says "the registration authority's certificate is good" 'doctor: certificate and key of the authority' doctor
ra_start
token_fresh laptop
check 'EST: derived' derive --alg p256
check 'EST: one key' test "$(keys)" -eq 1
token_cert 01 "$TMP/got.pem"
check 'EST: the certificate is the CA'"'"'s' verify "$TMP/got.pem"
says 'http://ca.example.test/ca.crl' 'EST: with the addresses of the CA' text "$TMP/got.pem"
says 'urn:uuid:' 'EST: with a UUID from csrattrs' text "$TMP/got.pem"
check 'EST: its serial number is in the ledger' same_serial "$TMP/got.pem"
check 'EST: forwarded and issued are in the audit log' test "$(ledger "select group_concat(what, ' ') from event where what in ('forwarded', 'issued', 'repeated')")" = 'forwarded issued'
check 'EST: nothing is pending' test "$(ledger "select count(*) from certificate where state = 'pending'")" = 0

token_fresh laptop
issuer_conf 'encrypt = serverkeygen'
check 'EST: serverkeygen, certified by the CA' derive_conf --role encrypt
check 'EST: the key is in escrow here' test "$(ledger 'select count(*) from escrow')" = 1
check 'EST: and not in the forwarded request' test "$(ledger 'select count(*) from upstream where kept is not null')" = 0

# the CA wants time
token_fresh laptop
touch "$RUN/wait"
status 6 'EST: 202 of the CA is 202 of the authority' derive --alg p256
check 'EST: the key stays' test "$(keys)" -eq 1
(sleep 2 && rm "$RUN/wait") &
check 'EST: the next run gets the certificate' derive --alg p256 --wait 20
check 'EST: one key' test "$(keys)" -eq 1
wait $!

# with a binding code, on a machine without the card
there() {
	PCSCLITE_CSOCK_NAME=$TMP/no-pcscd "$BUILD/dpiv" derive --to "$TO" --issuer "$ISSUER" --cafile "$AGENCY/root.pem" "$@"
}
token_fresh laptop
"$BUILD/dpiv" bind --from "$CARD_URI" --issuer "$ISSUER" --cafile "$AGENCY/root.pem" >"$TMP/code"
check 'EST: derived with a binding code' there --code-file "$TMP/code"
says 'was used already' 'EST: which is used up' there --code-file "$TMP/code" --again

# a CA that is slow: nobody else waits for it; and who asks it is killed
milliseconds() {
	local start
	start=$(date +%s%N)
	curl -sS --cacert "$AGENCY/root.pem" -o /dev/null https://localhost:8443/.well-known/est/cacerts
	echo $((($(date +%s%N) - start) / 1000000))
}
token_fresh laptop
touch "$RUN/slow"
derive --alg p256 >"$TMP/slow.out" 2>&1 &
sleep 1.2
took=$(milliseconds)
check "a slow CA: others are served meanwhile ($took ms)" test "$took" -lt 700
kill -9 $(cat "/proc/$ISSUER_PID/task/$ISSUER_PID/children")
rm "$RUN/slow"
wait $!
check 'who asks the CA is killed: the next takes it up' grep -q 'HTTP 202\|slot\|derived' "$TMP/slow.out"
check 'and the same command has the certificate' derive --alg p256 --wait 20
check 'one key' test "$(keys)" -eq 1

# wrong answers
wrong() { # NAME TEXT
	token_fresh laptop
	says "$2" "$1: refused" derive --alg p256
	check "$1: no key stays" test "$(keys)" -eq 0
	check "$1: in the audit log" test "$(ledger "select what from event where detail like '%$2%' and what = 'ca-wrong'")" = ca-wrong
	check "$1: to be revoked by hand" test "$(ledger "select count(*) from upstream_revocation where done is null and why like '%$2%'")" = 1
}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null | openssl pkey -pubout -out "$RUN/other.pub"
chmod a+r "$RUN/other.pub"
wrong 'a certificate for another key' 'another key'
rm "$RUN/other.pub"
peer_ext 2.16.840.1.101.3.2.1.3.13 digitalSignature $AUTH_EKU >"$RUN/ext"
wrong 'another policy' 'certificate policies'
peer_ext $AUTH digitalSignature,keyAgreement $AUTH_EKU >"$RUN/ext"
wrong 'another key usage' 'key usage'
ext_good
bad_serial() { ledger "select serial from upstream_revocation where done is null"; }
says "$(bad_serial)" 'status says what has to be done at the CA' "$BUILD/dpiv-issuer" status "$AGENCY"
BAD=$(bad_serial)
check 'done by hand' "$BUILD/dpiv-issuer" upstream --revoked "$BAD" "$AGENCY"
status 3 'once' "$BUILD/dpiv-issuer" upstream --revoked "$BAD" "$AGENCY"

# a renewal repeats the old names, so the CA has to know the new UUID
issuer_stop
upstream 'protocol = est' 'url = https://localhost:10443' "$RA_KEY" 'names = ca'
ra_start
UPN=$(ledger 'select upn from account')
{ peer_ext $AUTH digitalSignature $AUTH_EKU
	echo "subjectAltName = URI:urn:uuid:$(cat /proc/sys/kernel/random/uuid)${UPN:+,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:$UPN}"
} >"$RUN/ext"
token_fresh laptop
check 'EST: derived where the CA knows the names' derive --alg p256
sed -i "s/urn:uuid:[0-9a-f-]*/urn:uuid:$(cat /proc/sys/kernel/random/uuid)/" "$RUN/ext"
call_build || fail 'the program that renews is built'
check 'EST: renewed with the credential alone' call renew auth
check 'EST: one key' test "$(keys)" -eq 1
check 'EST: revoked here' call revoke auth
says 'EST has no message for it' 'EST: and the administrator is told what to do' "$BUILD/dpiv-issuer" status --json "$AGENCY"
sed -i "s/urn:uuid:[0-9a-f-]*/urn:uuid:$(cat /proc/sys/kernel/random/uuid)/" "$RUN/ext"

# a CA that is in trouble, or says no
token_fresh laptop
cp "$RUN/ext" "$TMP/ext"
echo nonsense >"$RUN/ext"
status 6 'EST: an error of the CA is no refusal' derive --alg p256
cp "$TMP/ext" "$RUN/ext"
touch "$RUN/no"
token_fresh laptop
status 5 'EST: the CA refuses' derive --alg p256
says 'not this one' 'EST: in its own words' derive --alg p256
rm "$RUN/no"

# the CA is away
apache_stop
token_fresh laptop
status 6 'EST: the CA is down' derive --alg p256
says 'CA behind this issuer cannot be used now' 'EST: and the person is told' derive --alg p256
apache_start
check 'EST: and up again' derive --alg p256
check 'EST: one key' test "$(keys)" -eq 1
apache_stop
issuer_stop

# --- CMP ----------------------------------------------------------------------------------------------------------------
# The mock has one fixed certificate: so it first wants time, then it is made for the key that waits (see derive_cmp.sh).
cmp_round() { # WHAT LINE...
	local what=$1
	upstream 'protocol = cmp' 'url = http://127.0.0.1:8086/pkix/' 'hold = 2' "$RA_KEY" "${@:2}"
	token_fresh laptop
	mock_start "$TMP/srv.pem" -accept_raverified -poll_count 1000 -check_after 1
	ra_start
	status 6 "$what: the CA wants time" derive --alg p256
	check "$what: the key stays" test "$(keys)" -eq 1
	token_pubkey 01 "$TMP/pub.pem"
	UPN=$(ledger 'select upn from account')
	made "$TMP/pub.pem" "$TMP/made.pem" || fail "$what: fixture"
	issuer_stop
	mock_stop
	mock_start "$TMP/made.pem" -accept_raverified -poll_count 1 -check_after 1
	ra_start
	check "$what: derived" derive --alg p256 --wait 30
	token_cert 01 "$TMP/got.pem"
	check "$what: the CA's certificate" cmp "$TMP/got.pem" "$TMP/made.pem"
	check "$what: in the ledger" same_serial "$TMP/got.pem"
}
made() { # PUB OUT
	local uuid
	uuid=$(cat /proc/sys/kernel/random/uuid)
	card_cert "$TMP/card.pem" && openssl x509 -x509toreq -in "$TMP/card.pem" -key "$TMP/ra.key" -out "$TMP/dummy.csr" 2>/dev/null
	openssl x509 -req -in "$TMP/dummy.csr" -force_pubkey "$1" -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" -days 90 -out "$2" \
		-set_serial "0x$(openssl rand -hex 15)" -extfile <(
			peer_ext $AUTH digitalSignature $AUTH_EKU
			echo "subjectAltName = URI:urn:uuid:$uuid${UPN:+,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:$UPN}"
		) 2>"$TMP/x509.err" || { cat "$TMP/x509.err"; return 1; }
}
cmp_round 'CMP, cr vouched for'
check 'CMP: revoked, at the CA, too' call revoke auth
check 'CMP: the ledger has it' test "$(ledger "select count(*) from upstream_revocation where done is not null and reason <> 5")" = 1
check 'CMP: and the audit log' test "$(ledger "select count(*) from event where what = 'ca-revoked' and detail = 'revoked by the CA'")" = 1
issuer_stop
mock_stop
cmp_round 'CMP, p10cr' 'request = p10cr' 'names = ca'
issuer_stop
mock_stop

upstream 'protocol = cmp' 'url = http://127.0.0.1:8086/pkix/' "$RA_KEY"
mock_start "$TMP/made.pem" -accept_raverified
ra_start
token_fresh laptop
says 'key is not the one that was proven' 'CMP: a certificate of somebody else' derive --alg p256
check 'CMP: and the CA is told' grep -q 'rejected by client' "$TMP/mock.log"
check 'CMP: which is not revoked for that' test "$(ledger "select count(*) from upstream_revocation where done is null and why like '%proven%'")" = 0
mock_stop
openssl pkey -in "$TMP/ra.key" -pubout -out "$TMP/other.pub"
made "$TMP/other.pub" "$TMP/nobody.pem" || fail 'fixture'
mock_start "$TMP/nobody.pem" -accept_raverified
token_fresh laptop
says 'key is not the one that was proven' 'CMP: a certificate of nobody' derive --alg p256
revoked_there() {
	for _ in $(seq 60); do
		[ "$(ledger "select count(*) from upstream_revocation where done is not null and why like '%proven%'")" = 1 ] && return 0
		sleep 0.1
	done
	return 1
}
check 'CMP: which is revoked at the CA' revoked_there
mock_stop
mock_start "$TMP/made.pem" -accept_raverified -pkistatus 2 -failure 2 -statusstring nope
token_fresh laptop
says 'nope' 'CMP: a rejection, in the words of the CA' derive --alg p256
mock_stop
check 'the audit log is whole' "$BUILD/dpiv-issuer" audit verify "$AGENCY"
