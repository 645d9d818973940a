#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Torture on a real pcscd: two processes with two threads each sign for 30 seconds beside other programs; the card is
# pulled and put back 100 times at random moments; pcscd is killed and started again. Every signature is verified.
# SEED=N repeats a run's moments.
. tests/lib/shell.sh
. tests/lib/p11_client.sh
LIMIT=120
SEED=${SEED:-$RANDOM}
echo "seed $SEED"

client_build tests/faults/p11_client.c "$TMP/client" || { fail "the client builds"; exit 1; }
# shellcheck disable=SC2046
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$TMP/hold" tests/faults/pcsc_hold.c $(pkg-config --cflags --libs libpcsclite) ||
	{ fail "the other program builds"; exit 1; }
"$BUILD/dpiv-vcard" make --alg p256 "$TMP/card.json" >/dev/null || { fail "a card"; exit 1; }

inside() { # NAME FUNCTION: on a card of its own, in the background
	{ declare -f; declare -p TMP M BUILD SEED; echo '"$@"'; } >"$TMP/$1.sh"
	(
		tests/with-card --no-save --image "$TMP/card.json" -- bash "$TMP/$1.sh" "$2" >"$TMP/$1.out" 2>&1
		echo $? >"$TMP/$1.status"
	) &
}
came_out() { cat "$TMP/$1.out"; return "$(cat "$TMP/$1.status")"; }

# Two processes, two threads each, 30 s, no error; each gets on.
two_by_two() { # NAME
	sign "$TMP/$1.a" 1 30 2 &
	sign "$TMP/$1.b" 2 30 2
	wait $!
	only "$TMP/$1.a" 0x0 && only "$TMP/$1.b" 0x0 && [ "$(field signatures "$TMP/$1.a")" -ge 100 ] &&
	    [ "$(field signatures "$TMP/$1.b")" -ge 100 ]
}
beside_opensc() {
	local p n=0 end=$((SECONDS + 31))
	two_by_two opensc &
	p=$!
	while [ $SECONDS -lt $end ]; do
		opensc-tool --list-algorithms >/dev/null 2>&1 && n=$((n + 1))
		sleep 0.1
	done
	echo "opensc-tool ran $n times"
	wait $p && [ $n -ge 10 ]
}
beside_select() {
	local p s
	sleep 31 | "$TMP/hold" select 100 >"$TMP/select.n" &
	p=$!
	two_by_two select
	s=$?
	wait $p
	cat "$TMP/select.n"
	[ $s -eq 0 ] && [ "$(sed -n 's/^selected \([0-9]*\) times$/\1/p' "$TMP/select.n")" -ge 20 ]
}
ms() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
hundred_pulls() {
	local a b
	RANDOM=$SEED
	"$TMP/client" "$M" 1 110 2 >"$TMP/pulls.a" 2>&1 &
	a=$!
	"$TMP/client" "$M" 2 110 >"$TMP/pulls.b" 2>&1 &
	b=$!
	sleep 1
	for _ in $(seq 100); do
		"$BUILD/dpiv-vcard" ctl "$DPIV_VCARD_CTL/0" remove || return 1
		sleep "$(ms $((RANDOM % 250)))"
		"$BUILD/dpiv-vcard" ctl "$DPIV_VCARD_CTL/0" insert || return 1
		sleep "$(ms $((200 + RANDOM % 550)))"
	done >/dev/null
	kill -USR1 $a $b
	wait $a $b
	# 0x90: an operation whose own login failed, otherwise than by removal, still waits for it
	only "$TMP/pulls.a" 0x0 0x30 0x32 0xe0 0x101 && only "$TMP/pulls.b" 0x0 0x30 0x32 0xe0 0x101 0x90 &&
	    [ "$(field signatures "$TMP/pulls.a")" -ge 100 ] && grep -q '^rv 0x32' "$TMP/pulls.a"
}
killed() {
	local a b conf i
	conf=$(dirname "$DPIV_VCARD_CTL")/conf
	sign "$TMP/killed.a" 1 22 2 &
	a=$!
	sign "$TMP/killed.b" 2 22 &
	b=$!
	for i in 1 2 3; do
		sleep 2
		kill -KILL "$(pgrep -f "pcscd --foreground --config $conf" | head -n 1)"
		sleep 0.$((i * 3))
		tests/faults/pcscd_restart
	done
	wait $a $b
	only "$TMP/killed.a" 0x0 0x30 0x32 0xe0 0x101 && only "$TMP/killed.b" 0x0 0x30 0x32 0xe0 0x101 0x90
}

inside pulls hundred_pulls
inside killed killed
wait $!
inside opensc beside_opensc
inside select beside_select
wait
check "two processes with two threads, 30 s, beside opensc-tool --list-algorithms every 100 ms: no error" came_out opensc
check "the same beside SELECTs of another application every 100 ms: no error" came_out select
check "pulled and put back 100 times at random moments: known errors only, and it works at the end" came_out pulls
check "pcscd killed and started again three times: known errors only, and it works at the end" came_out killed
