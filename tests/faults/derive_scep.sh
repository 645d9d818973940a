#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SCEP servers that let one wait, refuse or lie (tests/faults/scep_server.py, a server of our own for this). Each has to be
# answered with a sentence that names it and says what it did, with the right exit status, in bounded time, and the token
# has to be as it was.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
AGENCY=$DERIVE_DIR/agency
export ISSUER=http://127.0.0.1:8080/cgi-bin/pkiclient.exe
SERVER=127.0.0.1:8080
at_end server_stop
echo chal-4711 >"$TMP/challenge"
openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/ca.key" -subj "/C=US/O=Demo Government/CN=SCEP CA" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/root.pem" -CAkey "$AGENCY/private/root.key" -days 100 -set_serial 4713 -out "$TMP/ca.pem" \
		-extfile <(printf '%s\n' 'basicConstraints=critical,CA:TRUE' subjectKeyIdentifier=hash authorityKeyIdentifier=keyid \
			'keyUsage=critical,keyCertSign,cRLSign,digitalSignature,keyEncipherment' \
			'certificatePolicies=2.16.840.1.101.3.2.1.3.40') 2>/dev/null

server_start() { # MODE
	rm -f "$TMP/server.log"
	/usr/bin/python3 tests/faults/scep_server.py "$1" "$TMP/ca.pem" "$TMP/ca.key" >"$TMP/server.log" 2>&1 &
	SERVER_PID=$!
	for _ in $(seq 100); do grep -qs '^ready' "$TMP/server.log" && return 0; sleep 0.05; done
	fail "the server starts as $1" "$(cat "$TMP/server.log")"
}
server_stop() {
	[ -z "${SERVER_PID-}" ] || { kill "$SERVER_PID"; wait "$SERVER_PID"; } 2>/dev/null
	SERVER_PID=
}
fresh() {
	token_fresh laptop
	issuer_conf 'protocol = scep' "secret = $TMP/challenge" "$@"
}
keys() { token_objects | grep -c '^Private Key'; }
journal_empty() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["unfinished"] == []'; }
sent() { grep -q "^message $1 " "$TMP/server.log"; }

card 1
call_build || fail 'the program that renews is built'
export PROTOCOL=scep SECRET=$TMP/challenge

# --- what works ----------------------------------------------------------------------------------------------------------
server_start good
for alg in rsa2048 p256; do
	fresh
	check "$alg: enrolled, AES and SHA-256" derive_conf --alg $alg
done
fresh
check 'enrolled again' derive_conf --alg rsa2048
check 'renewed with the old key' call renew auth
check 'by RenewalReq' sent 17
check 'one key is left' test "$(keys)" -eq 1
server_stop
server_start get_only
fresh
check 'a server without POST gets GET' derive_conf --alg rsa2048
check 'it was GET' grep -q '^GET PKIOperation' "$TMP/server.log"
server_stop

for alg in rsa2048 p256; do
	server_start pending_once
	fresh
	check "$alg: --wait sits out a PENDING" derive_conf --alg $alg --wait 10
	check "$alg: by CertPoll" sent 20
	server_stop
	server_start pending_once
	fresh
	status 6 "$alg: PENDING without --wait ends the run" derive_conf --alg $alg
	check "$alg: the key is kept" test "$(keys)" -eq 1
	sleep 1.1
	check "$alg: the next run goes on with it" derive_conf --alg $alg
	check "$alg: with that key" test "$(keys)" -eq 1
	check "$alg: nothing is under way any more" journal_empty
	# the throw-away key of an EC request is gone with its run: it is asked anew, not polled
	if [ $alg = rsa2048 ]; then check "$alg: by CertPoll" sent 20; else refuse "$alg: not by CertPoll" sent 20; fi
	server_stop
done
server_start pending
fresh
status 6 'PENDING for ever: bounded by --wait' timeout 20 "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer peer --wait 1
server_stop

# --- what is refused -----------------------------------------------------------------------------------------------------
hostile() { # MODE STATUS TEXT; KEPT=1: the request is out, and its key is kept
	local out status start=$SECONDS bad=
	server_start "$1"
	fresh "${LINES[@]}"
	out=$(derive_conf --alg rsa2048 --timeout 3 2>&1 </dev/null)
	status=$?
	[ $status -eq "$2" ] || bad="exit status $status, not $2"
	grep -qF -- "$3" <<<"$out" || bad="$bad; no \"$3\""
	grep -qF -- "$SERVER" <<<"$out" || bad="$bad; no \"$SERVER\""
	[ "$(grep -vc 'can carry AAL2' <<<"$out")" -eq 1 ] || bad="$bad; more than one line"
	[ $((SECONDS - start)) -le 8 ] || bad="$bad; took $((SECONDS - start)) s"
	[ "$(token_objects | grep -c '^Private Key')" -eq "${KEPT:-0}" ] || bad="$bad; the token is not as it was"
	if [ -z "$bad" ]; then pass "$1"; else fail "$1" "$bad
$out
$(cat "$TMP/server.log")"; fi
	server_stop
}
LINES=()
hostile failure 5 'badRequest'
hostile failure 5 'not on ?[2Ja Tuesday'
hostile transaction 5 'another transaction'
hostile nonce 5 'another request'
hostile no_nonce 5 'another request'
hostile two_nonces 5 'another request'
hostile type 1 'another type'
hostile status 1 'unknown status'
hostile no_signer 1 'exactly one signature'
hostile other_signer 5 'neither the CA nor its RA'
hostile signature 5 'neither the CA nor its RA'
hostile no_envelope 1 'not encrypted'
hostile other_envelope 1 "$SERVER sent"
hostile junk 1 'something else than a certificate'
hostile other_key 5 'another key'
hostile other_name 5 "names 'Somebody'"
hostile sha1 5 'too weak'
hostile des3 5 'DES-EDE3-CBC'
hostile caps_old 5 'offers no AES'
hostile caps_none 5 'offers no AES'
hostile ca_garbage 1 'does not send its certificates'
hostile garbage 1 'something else than a SCEP message'
hostile 500 5 'because it is 500 today'
hostile redirect_away 5 'another server'
hostile redirect_loop 5 'in a circle'
hostile huge 1 'far more than an enrolment reply'
KEPT=1 hostile silent 1 'did not answer within 3 seconds'
server_start good
fresh "fingerprint = 00"
says 'not trusted' 'a wrong fingerprint' derive_conf --alg rsa2048
check 'no request is sent then' test -z "$(grep ^message "$TMP/server.log")"
server_stop
# with leave
LINES=('weak_algorithms = yes')
server_start des3
fresh "${LINES[@]}"
check 'Triple DES with leave' derive_conf --alg rsa2048
server_stop
server_start caps_old
fresh "${LINES[@]}"
check 'a server of Triple DES and SHA-1 with leave' derive_conf --alg rsa2048
server_stop
