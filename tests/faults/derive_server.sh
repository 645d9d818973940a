#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Issuers that misbehave. Each has to be answered with a sentence that names the server and says what it did and what to do,
# with the right exit status, within a bounded time, and the token has to be as it was.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
AGENCY=$DERIVE_DIR/agency
SERVER=localhost:8443
at_end hostile_stop

token_fresh laptop
card 1
# something is on the token already, and must still be there afterwards
pkcs11-tool --module "$SOFTHSM" --login --pin 123456 --keypairgen --key-type EC:prime256v1 --id 01 --label mine >/dev/null 2>&1
token_objects >"$TMP/before"
check 'the token has a key of somebody else' grep -q mine "$TMP/before"

untouched() { token_objects | cmp -s - "$TMP/before"; }
journal_empty() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["unfinished"] == []'; }

# judge NAME STATUS SECONDS TEXT...: run derive; all of TEXT in what it says, one line only, status, time, token
judge() {
	local name=$1 want=$2 seconds=$3 out status start=$SECONDS took bad=
	shift 3
	out=$(derive --alg p256 --timeout 3 ${EXTRA-} 2>&1 </dev/null)
	status=$?
	took=$((SECONDS - start))
	[ $status -eq "$want" ] || bad="exit status $status, not $want"
	for text in "$@"; do grep -qF -- "$text" <<<"$out" || bad="$bad; no \"$text\""; done
	[ "$(grep -vc 'can carry AAL2' <<<"$out")" -eq 1 ] || bad="$bad; more than one line"
	[ $took -le "$seconds" ] || bad="$bad; took $took s"
	untouched || bad="$bad; the token is not as it was"
	journal_empty || bad="$bad; something is left in the journal"
	if [ -z "$bad" ]; then pass "$name"; else fail "$name" "$bad
$out
$(cat "$TMP/server.log")"; fi
}

hostile() { # MODE STATUS SECONDS TEXT...
	local mode=$1
	hostile_start "$mode" "${CERT-}" "${KEY-}"
	shift
	judge "$mode" "$@"
	hostile_stop
}

# --- what the server says ----------------------------------------------------------------------------------------------
hostile 400 5 6 "$SERVER" 'HTTP 400' 'because it is 400 today' 'tell the issuer'
hostile 401 5 6 "$SERVER" 'HTTP 401' 'ask the issuer'
hostile challenge 5 6 "$SERVER" 'HTTP 401' 'wants a user name and password'
hostile 403 5 6 "$SERVER" 'HTTP 403' 'because it is 403 today'
hostile 404 5 6 "$SERVER" 'HTTP 404' "check the issuer's address"
hostile 500 5 6 "$SERVER" 'HTTP 500' 'try again later'
hostile 503 6 6 "$SERVER" 'HTTP 503' 'try again later'
hostile 299 5 6 "$SERVER" 'HTTP 299'

# An issuer that wants time: the key is kept, and the issuer is left alone until then.
journal_waits() { "$BUILD/dpiv" status --json | python3 -c '
import json, sys
u = json.load(sys.stdin)["unfinished"]
assert len(u) == 1 and u[0]["waiting"] is True, u'; }
pends() { # MODE TEXT
	hostile_start "$1"
	status 6 "$1: exit status 6" derive --alg p256 --timeout 3
	if grep -qF -- "$2" <<<"$_out"; then pass "$1: says when to come back"; else fail "$1: says when" "$_out"; fi
	if grep -qF 'The new key is kept' <<<"$_out"; then pass "$1: the key is kept"; else fail "$1: the key" "$_out"; fi
	check "$1: one key more on the token" test "$(token_objects | grep -c '^Private Key')" -eq 2
	check "$1: the journal knows it" journal_waits
	: >"$TMP/server.log"
	status 6 "$1: too early" derive --alg p256
	check "$1: too early is found out without the issuer" test ! -s "$TMP/server.log"
	hostile_stop
	EXTRA=--again hostile 403 5 6 'because it is 403 today'
}
pends pending 'try again in 7200 seconds'
pends pending_bare 'try again in 60 seconds'
hostile escape 5 6 "$SERVER" 'HTTP 403' 'no?? entry'
hostile redirect_away 5 6 "$SERVER" 'elsewhere.example.test' 'another server'
hostile redirect_http 5 6 "$SERVER" 'redirects to http://'
hostile redirect_loop 5 6 "$SERVER" 'redirects in a circle'
hostile cacerts@404 5 6 "$SERVER" 'HTTP 404' "the issuer's certificates"
hostile cacerts@garbage 1 6 "$SERVER" 'does not send its certificates'
hostile csrattrs@500 5 6 "$SERVER" 'HTTP 500'
hostile csrattrs@garbage 1 6 "$SERVER" 'not base64'

# --- what it sends -----------------------------------------------------------------------------------------------------
hostile garbage 1 6 "$SERVER" 'something else than a certificate'
hostile der_garbage 1 6 "$SERVER" 'something else than a certificate'
hostile no_certs 1 6 "$SERVER" 'something else than a certificate'
hostile empty 1 6 "$SERVER" 'something else than a certificate'
hostile endless 1 6 "$SERVER" 'far more than an enrolment reply'
hostile huge 1 6 "$SERVER" 'far more than an enrolment reply'
hostile endless_header 1 6 "$SERVER" 'far more than an enrolment reply'
hostile not_http 1 6 "$SERVER" 'does not answer in HTTP'

# The request is out, and nobody knows what has become of it: the key is kept, and the issuer is asked again about it.
unanswered() { # MODE SECONDS TEXT
	local start=$SECONDS
	hostile_start "$1"
	status 1 "$1: exit status 1" derive --alg p256 --timeout 3
	if grep -qF -- "$3" <<<"$_out" && grep -qF "$SERVER" <<<"$_out"; then pass "$1: says what"; else fail "$1: says what" "$_out"; fi
	if grep -qF 'The new key is kept' <<<"$_out"; then pass "$1: the key is kept"; else fail "$1: the key" "$_out"; fi
	check "$1: in bounded time" test $((SECONDS - start)) -le "$2"
	says 'its answer was not received' "$1: the journal knows" "$BUILD/dpiv" status
	hostile_stop
	hostile 403 5 6 'because it is 403 today' # a no is an answer
}
unanswered drip 8 'did not answer within 3 seconds'
unanswered silent 8 'did not answer within 3 seconds'
unanswered nothing 6 'without a word'
unanswered cut 6 'could not be talked to'

# --- what it issues ----------------------------------------------------------------------------------------------------
hostile wrong_key 5 6 "$SERVER" 'another key'
hostile other_name 5 6 "$SERVER" "names 'Somebody Else'"
hostile ca_leaf 5 6 "$SERVER" 'CA certificate'
hostile ten_years 5 6 "$SERVER" '3650 days'
hostile policy 5 6 "$SERVER" 'not issued under a policy'
hostile no_policy 5 6 "$SERVER" 'not issued under a policy'
hostile card_uuid 5 6 "$SERVER" 'UUID of the card'
hostile no_uuid 5 6 "$SERVER" 'no UUID'
hostile fascn 5 6 "$SERVER" 'FASC-N'
hostile usage 5 6 "$SERVER" 'keyUsage'
hostile server_eku 5 6 "$SERVER" 'extKeyUsage'
hostile untrusted 5 6 "$SERVER" 'does not lead to a trusted issuer'

# --- who it is ---------------------------------------------------------------------------------------------------------
hostile no_cert_asked 5 6 "$SERVER" "without asking for the card's"
hostile unknown_ca 5 6 "$SERVER" 'does not know the authority that issued your card'
# it closes so fast that its alert may be lost; then it is at least a broken connection and what that may mean
hostile_start rude
says 'card' 'rude' derive --timeout 3
check 'rude: the token is as it was' untouched
hostile_stop
hostile tls_old 1 6 "$SERVER"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/evil.key" -out "$TMP/evil.pem" -days 10 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
CERT=$TMP/evil.pem KEY=$TMP/evil.key hostile good 5 6 "$SERVER" 'not trusted' 'self-signed' '--cafile'
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/name.key" -subj /CN=other.example.test 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 77 -days 10 \
		-extfile <(echo subjectAltName=DNS:other.example.test) 2>/dev/null >"$TMP/name.pem"
cat "$AGENCY/ca.pem" >>"$TMP/name.pem"
CERT=$TMP/name.pem KEY=$TMP/name.key hostile good 5 6 "$SERVER" 'another name'
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/old.key" -subj /CN=localhost 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 78 -days -1 \
		-extfile <(echo subjectAltName=DNS:localhost) 2>/dev/null >"$TMP/old.pem"
cat "$AGENCY/ca.pem" >>"$TMP/old.pem"
CERT=$TMP/old.pem KEY=$TMP/old.key hostile good 5 6 "$SERVER" 'has expired'
judge 'nobody listens' 1 6 "$SERVER" 'does not take connections'
ISSUER=https://nowhere.invalid judge 'no such host' 1 6 'nowhere.invalid' 'not a known name'
ISSUER=http://localhost:8443 judge 'http' 2 6 'must begin with https://'
hostile_start good
CAFILE=/etc/hostname judge 'a CA file without certificates' 1 6 '/etc/hostname'

# --- and after all that it still works ---------------------------------------------------------------------------------
check 'a good server is believed' derive --alg p256
# One role is done, which is told on a desktop that is not there; the next is refused, and the reason is what is read.
token_fresh laptop
derive --alg p256 --role auth,sign >"$TMP/out" 2>"$TMP/err" </dev/null
check 'the second of two roles is refused: exit status' test $? -eq 5
says "is not that of a certificate for digital signature" "the second of two roles is refused: the reason" cat "$TMP/err"
refuse 'the second of two roles is refused: not what happened to the notice' grep -q 'bus' "$TMP/err"
hostile_stop
token_fresh laptop
hostile_start pending_once
check '--wait sits out a 202' derive --alg p256 --wait 10
hostile_stop
key_count() { [ "$(token_objects | grep -c '^Private Key')" -eq "$1" ]; }
key_value() { token_objects | grep -A9 '^Public Key' | grep -i 'EC_POINT'; }
token_fresh laptop
hostile_start pending_once
status 6 'a 202 without --wait ends the run' derive --alg p256
key_value >"$TMP/key.1"
sleep 1.1
check 'the next run goes on with it' derive --alg p256
key_value >"$TMP/key.2"
check 'with the same key' cmp "$TMP/key.1" "$TMP/key.2"
check 'and no other' key_count 1
check 'and nothing is under way any more' journal_empty
hostile_stop
token_fresh laptop
hostile_start pending_bare
"$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer https://localhost:8443 --cafile "$AGENCY/root.pem" --alg p256 \
	--wait 300 >"$TMP/out" 2>&1 </dev/null &
run=$!
sleep 2 # SoftHSM2 does not like to be listed while it makes a key
for _ in $(seq 20); do journal_waits 2>/dev/null && break; sleep 0.5; done
kill -KILL $run
{ wait $run; } 2>/dev/null
left_waiting() { journal_waits || { cat "$TMP/out" "$TMP/server.log"; return 1; }; }
check 'killed while it waits: the journal waits' left_waiting
check 'killed while it waits: the key is kept' key_count 1
hostile_stop
hostile_start good
check 'killed while it waits: --again begins anew' derive --alg p256 --again
check 'killed while it waits: and removes that key' key_count 1
hostile_stop
