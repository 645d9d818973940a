#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Target tokens that do not play along: full, write-protected, without PIN, handing keys out, failing or vanishing at any
# call. Each is said clearly, and nothing is left on them.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
shim_build || fail "the shim is built"
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
: >"$TMP/empty"

empty() { token_objects | cmp -s - "$TMP/empty"; }
journal_empty() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["unfinished"] == []'; }

judge() { # NAME RULE STATUS TEXT...
	local name=$1 rule=$2 want=$3 out status bad=
	shift 3
	out=$(P11_SHIM_RULE=$rule derive --alg p256 2>&1 </dev/null)
	status=$?
	[ $status -eq "$want" ] || bad="exit status $status, not $want"
	for text in "$@"; do grep -qF -- "$text" <<<"$out" || bad="$bad; no \"$text\""; done
	empty || bad="$bad; the token is not as it was"
	journal_empty || bad="$bad; something is left in the journal"
	if [ -z "$bad" ]; then pass "$name"; else fail "$name" "$bad
$out"; fi
}

judge 'write-protected' protected 1 "'laptop' is write-protected"
judge 'without PIN' no-login 5 "'laptop' asks for no PIN"
judge 'keys that can be taken out' extractable 5 "'laptop'" 'does not keep the new key to itself'
judge 'full when the key is made' fail:C_GenerateKeyPair:31 1 "'laptop'" 'cannot generate a key' 'delete what is no longer needed'
judge 'full when the certificate comes' fail:C_CreateObject:31 1 "'laptop'" 'cannot store the certificate' 'delete what is no longer needed'
judge 'the certificate is stored, but refused' lose:C_CreateObject:30 1 "'laptop'" 'cannot store the certificate'
judge 'the key is made, but refused' lose:C_GenerateKeyPair:30 1 "'laptop'" 'cannot generate a key'
judge 'no such mechanism' fail:C_GenerateKeyPair:70 1 "'laptop'" 'cannot do this'
judge 'read-only session' fail:C_GenerateKeyPair:B5 1 'write-protected'
judge 'signing fails' fail:C_Sign:30 1 "'laptop'" 'cannot sign the request'
judge 'PIN blocked' locked 4 "'laptop'" 'PIN is blocked'
judge 'one try left and nobody to confirm' final-try 4 'laptop' 'one PIN try is left' 'on a terminal'
echo 999999 >"$TMP/pin"
judge 'wrong PIN' none 4 "'laptop'" 'wrong PIN'
once() { grep -c ' C_Login$' "$TMP/calls" | grep -qx 1; }
P11_SHIM_LOG=$TMP/calls derive --alg p256 >/dev/null 2>&1
check 'a wrong PIN from a file is sent once' once
rm "$TMP/pin"
judge 'no PIN file' none 3 'pin-source'
echo 123456 >"$TMP/pin"

# The token vanishes before call N, for every N of a whole run; once it is back, the next run clears up and derives.
rm -f "$TMP/calls"
P11_SHIM_LOG=$TMP/calls derive --alg p256 >/dev/null 2>&1
total=$(wc -l <"$TMP/calls")
check "a run makes $total calls that count" test "$total" -gt 10

one_each() { [ "$(token_objects | grep -c '^Private Key')" = 1 ] && [ "$(token_objects | grep -c '^Certificate')" = 1 ]; }
gone=0 bad=
for n in $(seq "$total"); do
	token_fresh laptop
	P11_SHIM_RULE=gone:$n derive --alg p256 --timeout 3 >"$TMP/out" 2>&1
	status=$?
	[ $status -ne 0 ] && [ $status -lt 100 ] || bad="$bad
gone at $n: exit status $status: $(cat "$TMP/out")"
	grep -qE "'laptop'|does not answer any more" "$TMP/out" || bad="$bad
gone at $n does not name the token: $(cat "$TMP/out")"
	if derive --alg p256 >"$TMP/out" 2>&1 && one_each && journal_empty; then gone=$((gone + 1)); else bad="$bad
after $n: $(cat "$TMP/out")"; fi
done
[ $gone -eq "$total" ] || bad="$bad
$gone of $total"
if [ -z "$bad" ]; then pass "token gone at each of $gone calls, cleared up by the next run"; else fail 'token gone at each call' "$bad"; fi

# The disk with the state store is full, a little later each time (a mount of its own, in the namespace of with-card).
mkdir -p "$TMP/small"
full=0 fits=0 bad=
for kb in $(seq 4 12 268); do
	token_fresh laptop
	mount -t tmpfs -o "size=${kb}k" tmpfs "$TMP/small" || { fail 'a small disk'; break; }
	XDG_STATE_HOME=$TMP/small derive --alg p256 >"$TMP/out" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		fits=$((fits + 1))
		one_each || bad="$bad
$kb kB: $(cat "$TMP/out")"
	else
		full=$((full + 1))
		[ $status -eq 1 ] && grep -q 'state store' "$TMP/out" || bad="$bad
$kb kB: exit status $status: $(cat "$TMP/out")"
		empty || bad="$bad
$kb kB: the token is not as it was"
	fi
	umount "$TMP/small"
done
[ $full -gt 2 ] && [ $fits -gt 2 ] || bad="$bad
full $full times, enough $fits times"
if [ -z "$bad" ]; then pass "disk full in $full runs of $((full + fits)), the token as it was"; else fail 'disk full' "$bad"; fi
