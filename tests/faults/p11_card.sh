#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The module on a real pcscd while things happen to the card: two processes at once, another program that resets and
# selects, the card pulled out and put back, pcscd stopped and started. The session that was there goes on.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh
. tests/lib/p11_client.sh

client_build tests/faults/p11_client.c "$TMP/client" || { fail "the client builds"; exit 1; }
agency_make

two_processes() {
	"$TMP/client" "$M" 1 5 >"$TMP/one" &
	"$TMP/client" "$M" 2 5 >"$TMP/two"
	wait $!
	only "$TMP/one" 0x0 && only "$TMP/two" 0x0
}
others_reset() {
	(for _ in 1 2 3 4 5; do sleep 0.5; tests/vcard-ctl reset; sleep 0.2; opensc-tool -n; done) >/dev/null 2>&1 &
	"$TMP/client" "$M" 1 5 >"$TMP/one"
	wait $!
	only "$TMP/one" 0x0
}
pulled() {
	(sleep 1.5; tests/vcard-ctl remove; sleep 1.5; tests/vcard-ctl insert) &
	"$TMP/client" "$M" 1 6 >"$TMP/one"
	wait $!
	grep -q '^rv 0x32:' "$TMP/one" && only "$TMP/one" 0x0 0x32 0x101
}
restarted() {
	local conf
	conf=$(tr '\0' '\n' <"/proc/$PCSCD_PID/cmdline" | sed -n '/^--config$/{n;p}')
	(
		sleep 1.5
		kill "$PCSCD_PID"
		sleep 1
		rm -f /run/pcscd/*
		exec pcscd --foreground --config "$conf" >/dev/null 2>&1
	) &
	"$TMP/client" "$M" 1 8 >"$TMP/one"
	kill $! 2>/dev/null
	only "$TMP/one" 0x0 0x32 0x101
}

card_make p256
check "two processes at once, 9A and 9C" with_card p256 two_processes
check "another program resets the card and selects" with_card p256 others_reset
check "pulled out and put back" with_card p256 pulled
check "pcscd stopped and started" with_card p256 restarted
