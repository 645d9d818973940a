#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# CMP when somebody sits between (tests/faults/cmp_proxy.py in front of the mock server of `openssl cmp`) or when the server
# is none. Each has to be answered with a sentence that names it and says what it did, with the right exit status, in bounded
# time, and the token has to be as it was.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end 'stop MOCK; stop PROXY'
SERVER=127.0.0.1:8087
export ISSUER=http://$SERVER/pkix/
AGENCY=$DERIVE_DIR/agency
echo insta-4711 >"$TMP/secret"

stop() { # MOCK|PROXY
	[ -z "${!1-}" ] || { kill "${!1}"; wait "${!1}"; } 2>/dev/null
	printf -v "$1" ''
}
port() { for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/"$1") 2>/dev/null && return 0; sleep 0.05; done; return 1; }
mock_start() { # OPTIONS...
	openssl cmp -port 8086 -srv_ref 4711 -srv_secret pass:insta-4711 -rsp_cert "$AGENCY/ca.pem" "$@" >"$TMP/mock.log" 2>&1 &
	MOCK=$!
	port 8086 || fail 'the mock server starts' "$(cat "$TMP/mock.log")"
}
hostile() { # MODE STATUS TEXT; KEPT=1: the request is out, and its key is kept
	local out status start=$SECONDS bad=
	/usr/bin/python3 tests/faults/cmp_proxy.py "$1" "$TMP/answer" >"$TMP/proxy.log" 2>&1 &
	PROXY=$!
	port 8087 || fail 'the proxy starts' "$(cat "$TMP/proxy.log")"
	token_fresh laptop
	issuer_conf 'protocol = cmp' "secret = $TMP/secret" 'reference = 4711'
	out=$(derive_conf --alg p256 --timeout 3 2>&1 </dev/null)
	status=$?
	stop PROXY
	[ $status -eq "$2" ] || bad="exit status $status, not $2"
	grep -qF -- "$3" <<<"$out" || bad="$bad; no \"$3\""
	grep -qF -- "$SERVER" <<<"$out" || bad="$bad; no \"$SERVER\""
	[ "$(grep -vc 'can carry AAL2' <<<"$out")" -eq 1 ] || bad="$bad; more than one line"
	[ $((SECONDS - start)) -le 8 ] || bad="$bad; took $((SECONDS - start)) s"
	[ "$(token_objects | grep -c '^Private Key')" -eq "${KEPT:-0}" ] || bad="$bad; the token is not as it was"
	if [ -z "$bad" ]; then pass "$1"; else fail "$1" "$bad
$out
$(cat "$TMP/proxy.log")"; fi
}

card 1
mock_start -poll_count 1000 -check_after 3600
KEPT=1 hostile record 6 'try again in 3600 seconds'
hostile replay 5 'another transaction'
hostile flip 5 'secret'
hostile trailing 1 'something else than a CMP message'
stop MOCK
mock_start
hostile flip_body 5 "$SERVER"
stop MOCK
hostile garbage 1 'something else than a CMP message'
hostile html 1 'something else than a CMP message'
hostile 500 5 'because it is 500 today'
hostile 503 6 'HTTP 503'
hostile redirect_away 5 'another server'
hostile redirect_loop 5 'in a circle'
hostile huge 1 'far more than an enrolment reply'
KEPT=1 hostile silent 1 'did not answer within 3 seconds'
