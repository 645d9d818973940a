#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# How a program may begin and end with the module, on a real pcscd (the scenes are in p11_life.c).
. tests/lib/shell.sh
. tests/lib/p11_client.sh

client_build tests/faults/p11_life.c "$TMP/life" || { fail "the scenes build"; exit 1; }
"$BUILD/dpiv-vcard" make --alg p256 "$TMP/card.json" >/dev/null || { fail "a card"; exit 1; }
scene() {
	# shellcheck disable=SC2086
	tests/with-card ${2:-} --no-save --image "$TMP/card.json" -- "$TMP/life" "$M" "$1"
}

check "C_Initialize with every combination of flags and locks, threads after each" scene initialize
check "fork: the child begins anew, the parent goes on, no PIN in the child's memory" scene fork
check "fork while other threads are inside calls" scene fork-inside --wire
check "loaded, used, finalised and closed twenty times; closed while idle" scene dlclose
check "exit without C_Finalize: idle, waiting for events, signing; C_Finalize from an exit handler" scene exit
check "10,000 sessions without growth" scene sessions
