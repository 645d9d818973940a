# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For tests/faults/sweep_*.sh, after tests/lib/derive.sh and shell.sh.
#
#   sweep_start          an issuer, an empty SoftHSM2 token behind the shim, the card
#   sweep VERB KIND...   tests/faults/sweep.py

sweep_start() {
	at_end issuer_stop
	shim_build || fail 'the PKCS#11 shim is built'
	gcc -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -shared -fPIC -O1 -Wall -o "$TMP/state_shim.so" tests/faults/state_shim.c -ldl ||
		fail 'the state shim is built'
	issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
	token_fresh laptop
	card 1
	printf '[module]\ncache = no\n' >"$TMP/no-cache.conf" # each run asks the same
	export DPIV_CONF=$TMP/no-cache.conf CARD_URI TO TOKEN_PIN SOFTHSM
}

sweep() {
	local verb=$1
	shift
	# shellcheck disable=SC2086
	if /usr/bin/python3 -u tests/faults/sweep.py "$verb" ${KINDS:-"$@"}; then pass "$verb: survived"; else fail "$verb: not survived"; fi
}
