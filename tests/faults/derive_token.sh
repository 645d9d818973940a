#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Target tokens that do not play along: full, write-protected, without PIN, handing keys out, failing or vanishing at any
# call. Each is said clearly, and nothing is left on them that is not taken up again.
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

# What may pass: the certificate is there already, and is not given up.
one_each() { [ "$(token_objects | grep -c '^Private Key')" = 1 ] && [ "$(token_objects | grep -c '^Certificate')" = 1 ]; }
says 'The certificate is kept' 'the certificate is stored, but refused' shim lose:C_CreateObject:30 derive --alg p256
check 'the next run finishes' derive --alg p256
check 'with one key and one certificate' one_each
check 'and an empty journal' journal_empty
