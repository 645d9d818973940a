#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SIGKILL at every PKCS#11 call of a derivation whose key the issuer makes, before and after it. The next run finishes what
# had been received, with the same certificate, or begins anew; one key with its certificate is there, which opens mail;
# the key for the way is gone, and nothing is unfinished. A run that fails after the issuer has answered says what to
# revoke.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
shim_build || fail 'the shim is built'
sed -i 's/^# algorithm = .*/algorithm = p256/' "$DERIVE_DIR/agency/issuer.conf"
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
issuer_conf 'encrypt = serverkeygen'
mkdir "$TMP/kept"
cp -a "$TMP/tokens" "$TMP/kept"
again() { rm -rf "$TMP/tokens" "$TMP/state" && cp -a "$TMP/kept/tokens" "$TMP"; }
issued() { sql "$DERIVE_DIR/agency/issuer.db" "SELECT count(*) FROM escrow"; }
P11_SHIM_LOG=$TMP/calls derive_conf --role encrypt --alg p256 >/dev/null 2>&1
total=$(wc -l <"$TMP/calls")
check "a run makes $total calls that count" test "$total" -gt 8

settled() { # one key, one certificate, one credential in order, nothing under way
	[ "$(token_objects | grep -c '^Private Key')" = 1 ] && [ "$(token_objects | grep -c '^Public Key')" = 1 ] &&
		[ "$(token_objects | grep -c '^Certificate')" = 1 ] &&
		"$BUILD/dpiv" status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["unfinished"] == [], s
assert [c["state"] for c in s["credentials"]] == ["ok"], s'
}

survived=0 finished=0 bad=
for when in before after; do
	for n in $(seq "$total"); do
		again
		was=$(issued)
		(P11_SHIM_RULE=kill-$when:$n derive_conf --role encrypt --alg p256) >"$TMP/out" 2>&1
		status=$?
		[ $status -eq 137 ] || bad="$bad
killed $when call $n, but exit status $status: $(cat "$TMP/out")"
		[ "$(sql "$TMP/state/dpiv/state.db" 'SELECT count(*) FROM enrolment WHERE wrapped IS NOT NULL')" = 0 ] || expect=1
		if derive_conf --role encrypt --alg p256 >"$TMP/out" 2>&1 && settled; then survived=$((survived + 1)); else bad="$bad
killed $when $(sed -n "${n}p" "$TMP/calls"): $(cat "$TMP/out")
$(token_objects)"; fi
		[ "${expect-}" != 1 ] || finished=$((finished + 1))
		expect=
		# a request that was not answered is asked again, what had been received is not
		[ "$(issued)" = $((was + 1)) ] || bad="$bad
killed $when $(sed -n "${n}p" "$TMP/calls"): $(($(issued) - was)) keys were made"
	done
done
[ $survived -eq $((2 * total)) ] || bad="$bad
$survived of $((2 * total))"
[ $finished -gt 2 ] || bad="$bad
only $finished runs had received a key"
if [ -z "$bad" ]; then pass "killed at $survived points, all survived; $finished finished from what was received"; else fail 'killed at each call' "$bad"; fi

# --- a token that fails after the issuer has answered -----------------------------------------------------------------
again
full() { shim full derive_conf --role encrypt --alg p256; }
says 'that had been issued is revoked' 'a token without room: what was issued for nothing is revoked' full
check 'and keeps nothing' test -z "$(token_objects | grep -v 'Using slot')"
check 'with room: derived' derive_conf --role encrypt --alg p256
check 'in order' settled
