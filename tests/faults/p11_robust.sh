#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What may happen to a card, on a real pcscd (the scenes are in p11_robust.c): pulled, replugged, swapped, torn out in the
# middle of any command, used by others, pcscd restarted, PINs, slot events. Each scene has a card of its own; four at a
# time, since they mostly wait.
. tests/lib/shell.sh
. tests/lib/p11_client.sh

client_build tests/faults/p11_robust.c "$TMP/robust" || { fail "the scenes build"; exit 1; }
"$BUILD/dpiv-vcard" make --alg p256 "$TMP/card.json" >/dev/null && "$BUILD/dpiv-vcard" make --alg p256 "$TMP/other.json" >/dev/null ||
	{ fail "the cards"; exit 1; }
export SWAP_CARD=$TMP/other.json

scene() {
	timeout -k 5 120 tests/with-card --reader-name "Yubico Virtual PCD" --no-save --image "$TMP/card.json" -- "$TMP/robust" "$M" "$1" >"$TMP/$1.out" 2>&1
	echo $? >"$TMP/$1.status"
}
came_out() { cat "$TMP/$1.out"; return "$(cat "$TMP/$1.status")"; }
export -f scene
export TMP M
scenes="torn others service service-gone pulled replugged swapped pins locked events always"
tr ' ' '\n' <<<"$scenes" | xargs -P 4 -I{} bash -c 'scene {}'

check "pulled: DEVICE_REMOVED, absent, TOKEN_NOT_PRESENT; put back: the old session works after a login" came_out pulled
check "out and in again unnoticed: works, after a login at most" came_out replugged
check "swapped for another card: the old session is dead, its key is not used" came_out swapped
check "torn out before or after any command of a cold login and two signatures: no hang, works when it is back" came_out torn
check "reset, other applications, other PIV tools and modules: no second PIN" came_out others
check "pcscd restarted: one failed call at most" came_out service
check "pcscd stopped: said; started: works" came_out service-gone
check "flags follow wrong PINs; malformed ones use no try" came_out pins
check "the last wrong try says locked" came_out locked
check "slot events: none for a card that was there, soon after one, ended by C_Finalize" came_out events
check "9C without its own login: USER_NOT_LOGGED_IN" came_out always
