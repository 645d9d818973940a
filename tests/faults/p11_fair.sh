#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A fair turn: programs that sign as fast as a contact reader allows (3 ms an APDU, 11.5 bytes a ms) each get their
# share, whoever came first, and nobody waits long. Nor does a program that was stopped or killed in line hold up others.
. tests/lib/shell.sh
. tests/lib/p11_client.sh

client_build tests/faults/p11_client.c "$TMP/client" || { fail "the client builds"; exit 1; }
"$BUILD/dpiv-vcard" make --alg rsa2048 "$TMP/card.json" >/dev/null || { fail "a card"; exit 1; }

# wire NAME FUNCTION...: the function on a card of its own, at the speed of a contact reader, in the background
wire() {
	local name=$1
	shift
	{ declare -f; declare -p TMP M BUILD; echo '"$@"'; } >"$TMP/$name.sh"
	(
		tests/with-card --wire --no-save --image "$TMP/card.json" -- bash "$TMP/$name.sh" "$@" >"$TMP/$name.out" 2>&1
		echo $? >"$TMP/$name.status"
	) &
}
came_out() { cat "$TMP/$1.out"; return "$(cat "$TMP/$1.status")"; }

fair() { # OUT OUT...: nobody failed, waited more than a second, or got less than 80 % of an equal share
	awk -v n=$# '/^signatures/ { s[FILENAME] = $2; all += $2 } /^longest/ && $2 > 1 { print FILENAME ": waited " $2 " s"; bad = 1 }
		END { for (f in s) { print f ": " s[f] " of " all; if (s[f] * n < 0.8 * all || s[f] == 0) bad = 1 }; exit bad }' "$@" || return 1
	for f in "$@"; do only "$f" 0x0 || return 1; done
}
two() { # ID ID
	local d
	d=$(mktemp -d "$TMP/two.XXXX")
	sign "$d/a" "$1" 10 &
	sign "$d/b" "$2" 10
	wait $!
	fair "$d/a" "$d/b"
}
four() {
	local d i
	d=$(mktemp -d "$TMP/four.XXXX")
	sign "$d/1" 1 10 &
	sign "$d/2" 2 10 &
	sign "$d/3" 1 10 2 &
	sleep 2 # who comes late waits no longer than those who are there
	sign "$d/4" 1 6
	wait
	for i in 1 2 3 4; do only "$d/$i" 0x0 || return 1; done
	awk '/^longest/ && $2 > 1 { bad = 1 } END { exit bad }' "$d"/[1-4] && [ "$(field signatures "$d/4")" -ge 10 ]
}
frozen() { # one is stopped, wherever it stands, and later killed
	local d p
	d=$(mktemp -d "$TMP/frozen.XXXX")
	"$TMP/client" "$M" 1 60 >"$d/frozen" &
	p=$!
	sign "$d/a" 1 9 &
	sleep 2
	for _ in 1 2 3 4; do
		kill -STOP $p
		sleep 0.8
		kill -CONT $p
		sleep 0.5
	done
	kill -KILL $p
	wait
	only "$d/a" 0x0 && [ "$(field signatures "$d/a")" -ge 40 ] && awk '/^longest/ { exit $2 > 2 }' "$d/a"
}
beside_opensc() { # a listing by a module that stands in no line, while two of ours are busy
	local d
	d=$(mktemp -d "$TMP/opensc.XXXX")
	sign "$d/a" 1 14 &
	sign "$d/b" 2 14 &
	sleep 1
	timeout 20 pkcs11-tool --module opensc-pkcs11.so -O --type cert >"$d/list" 2>&1
	grep -c 'Certificate Object' "$d/list"
	grep -q 'PIV Authentication' "$d/list" || { cat "$d/list"; return 1; }
	wait
	only "$d/a" 0x0 && only "$d/b" 0x0
}

wire two two 1 1
wire always two 1 2
wait
wire four four
wire frozen frozen
wait
wire opensc beside_opensc
wait
check "two processes, 9A and 9A: 40 % each at least, no call over a second" came_out two
check "two processes, 9A and 9C: 40 % each at least, no call over a second" came_out always
check "four processes, one with two threads, one late: no call over a second" came_out four
check "one that is stopped or killed holds up nobody" came_out frozen
check "OpenSC's module gets its listing beside two busy ones" came_out opensc
