#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SIGKILL while the issuer answers, by one that stalls, and a run that a person stops: the next run finishes, and one key
# with one certificate is there, which is the one that is recorded. Every other moment: sweep_*.sh.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
SOFTHSM=$(find /usr/lib -name libsofthsm2.so -print -quit)
token_fresh laptop
card 1
settled() { # one key, one certificate, one credential in order, nothing under way
	[ "$(token_objects | grep -c '^Private Key')" = 1 ] && [ "$(token_objects | grep -c '^Public Key')" = 1 ] &&
		[ "$(token_objects | grep -c '^Certificate')" = 1 ] &&
		"$BUILD/dpiv" status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["unfinished"] == [], s
assert [c["state"] for c in s["credentials"]] == ["ok"], s'
}

derive_begin() { # in the background: its own pid in $run
	"$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer https://localhost:8443 \
		--cafile "$DERIVE_DIR/agency/root.pem" --alg p256 >"$TMP/out" 2>&1 </dev/null &
	run=$!
}

# While the issuer answers: nothing issued yet, and issued but not received.
for where in cacerts@stall csrattrs@stall stall stall_issued; do
	hostile_start $where
	token_fresh laptop
	derive_begin
	for _ in $(seq 100); do grep -qs '^stalled' "$TMP/server.log" && break; sleep 0.05; done
	kill -KILL $run
	wait $run 2>/dev/null
	hostile_stop
	issuer_start >/dev/null
	check "killed at $where: the next run derives" derive --alg p256
	check "killed at $where: and leaves one credential" settled
	issuer_stop
done

# Ctrl-C while the issuer has the request: it may have issued, so the key stays.
hostile_start stall
token_fresh laptop
derive_begin
for _ in $(seq 100); do grep -qs '^stalled' "$TMP/server.log" && break; sleep 0.05; done
# a second derive at the same time is told to wait
status 6 'another derive at the same time is refused' derive --alg p256
kill -TERM $run
wait $run
stopped=$?
hostile_stop
check 'a run that is stopped says so' grep -q 'as you asked' "$TMP/out"
check 'and fails' test $stopped -eq 1
check 'and that the key is kept' grep -q 'The new key is kept' "$TMP/out"
says 'its answer was not received' 'status says so, too' "$BUILD/dpiv" status
issuer_start >/dev/null
check 'the next run goes on from there' derive --alg p256
check 'to one credential' settled
