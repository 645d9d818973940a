#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive, killed while the token's library is at work: before each file that SoftHSM2 opens for writing from the
# first object of the new key on. It writes objects attribute by attribute, and so leaves half ones that nobody can find
# by identifier or label: the next run leaves one key and one certificate there, and no half of anything.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
D=$BUILD/dpiv

check 'the shim is built' ${CC:-gcc} -shared -fPIC -O1 -o "$TMP/shim.so" tests/faults/state_shim.c -ldl
objects() { token_objects | grep -ciE "^$1"; }
everything() { objects '[a-z ]+ object'; }
derive_cut() { # LOG RULE
	STATE_SHIM_DIR=$TMP/tokens STATE_SHIM_LOG=$1 STATE_SHIM_RULE=$2 LD_PRELOAD=$TMP/shim.so derive --alg "$ALG"
}

issuer_start || fail 'the issuer starts' "$(cat "$TMP/issuer.log")"
card 1
for ALG in rsa2048 p256; do
	token_fresh laptop
	check "$ALG: undisturbed" derive_cut "$TMP/calls" none
	whole=$(everything)
	first=$(grep -n '\.object' "$TMP/calls" | grep -v token.object | head -n 1 | cut -d: -f1)
	total=$(wc -l <"$TMP/calls")
	torn=0
	bad=0
	points=0
	for n in $(seq "$first" "${STEP:-5}" "$total"); do
		token_fresh laptop
		derive_cut "$TMP/cut" "kill:$n" >"$TMP/out" 2>&1
		points=$((points + 1))
		[ "$(everything)" -eq 0 ] || [ "$(everything)" -eq "$whole" ] || torn=$((torn + 1))
		derive --alg "$ALG" >"$TMP/out" 2>&1 && [ "$(objects 'Private Key')" -eq 1 ] && [ "$(objects Certificate)" -eq 1 ] &&
			[ "$(everything)" -eq "$whole" ] && continue
		bad=$((bad + 1))
		fail "$ALG: killed before write $n of $total" "$(cat "$TMP/out"; token_objects)"
	done
	echo "$ALG: $points points of $total, $torn with half of it on the token"
	check "$ALG: killed at every write, one key and one certificate in the end" test $bad -eq 0
	check "$ALG: half objects were among it" test $torn -gt 3
done
issuer_stop
