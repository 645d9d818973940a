#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SIGKILL at every PKCS#11 call of a renewal, before and after it: the next run finishes or undoes, and one key with one
# certificate is there, which is the one that is recorded: the old one or the new one, never both, never none.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
shim_build || fail 'the shim is built'
call_build || fail 'the program that renews is built'
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
check 'derived' derive --alg p256
mkdir "$TMP/kept"
cp -a "$TMP/tokens" "$TMP/state" "$TMP/kept"
again() { rm -rf "$TMP/tokens" "$TMP/state" && cp -a "$TMP/kept/tokens" "$TMP/kept/state" "$TMP"; }
P11_SHIM_LOG=$TMP/calls call renew auth >/dev/null 2>&1
total=$(wc -l <"$TMP/calls")
check "a renewal makes $total calls that count" test "$total" -gt 10

settled() { # one key, one certificate, one credential in order, nothing under way
	[ "$(token_objects | grep -c '^Private Key')" = 1 ] && [ "$(token_objects | grep -c '^Public Key')" = 1 ] &&
		[ "$(token_objects | grep -c '^Certificate')" = 1 ] &&
		"$BUILD/dpiv" status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["unfinished"] == [], s
assert [c["state"] for c in s["credentials"]] == ["ok"], s'
}

survived=0 bad=
for when in before after; do
	for n in $(seq "$total"); do
		again
		(P11_SHIM_RULE=kill-$when:$n call renew auth) >"$TMP/out" 2>&1
		status=$?
		[ $status -eq 137 ] || bad="$bad
killed $when call $n, but exit status $status: $(cat "$TMP/out")"
		# nothing to derive: a run that only clears up
		if derive --alg p256 >"$TMP/out" 2>&1 && settled; then survived=$((survived + 1)); else bad="$bad
killed $when $(sed -n "${n}p" "$TMP/calls"): $(cat "$TMP/out")
$(token_objects)"; fi
	done
done
[ $survived -eq $((2 * total)) ] || bad="$bad
$survived of $((2 * total))"
if [ -z "$bad" ]; then pass "killed at $survived points, all survived"; else fail 'killed at each call' "$bad"; fi
again
check 'and a renewal that is left alone renews' call renew auth
check 'to one credential' settled
