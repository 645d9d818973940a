#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Another program holds the card: the module waits a little, fails in bounded time, and the log, the error sentence and
# `dpiv doctor` say who it is and what to do; when it lets go, everything works again without a new C_Initialize.
. tests/lib/shell.sh
. tests/lib/p11_client.sh

client_build tests/faults/p11_client.c "$TMP/client" || { fail "the client builds"; exit 1; }
# shellcheck disable=SC2046
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$TMP/scdaemon" tests/faults/pcsc_hold.c $(pkg-config --cflags --libs libpcsclite) ||
	{ fail "the holder builds"; exit 1; }
cp "$TMP/scdaemon" "$TMP/hoarder"
"$BUILD/dpiv-vcard" make --alg p256 "$TMP/card.json" >/dev/null || { fail "a card"; exit 1; }
export HOME=$TMP XDG_CONFIG_HOME=$TMP/config XDG_STATE_HOME=$TMP/state XDG_CACHE_HOME=$TMP/cache

inside() {
	local name=$1
	shift
	{ declare -f; declare -p TMP M BUILD HOME XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME; echo '"$@"'; } >"$TMP/$name.sh"
	(
		tests/with-card --no-save --image "$TMP/card.json" -- bash "$TMP/$name.sh" "$@" >"$TMP/$name.out" 2>&1
		echo $? >"$TMP/$name.status"
	) &
}
came_out() { cat "$TMP/$1.out"; return "$(cat "$TMP/$1.status")"; }
# hold PROGRAM HOW: in the background; $holder, until let_go
hold() {
	local x
	coproc H { exec "$TMP/$1" "$2"; }
	holder=$H_PID
	read -r -t 10 x <&"${H[0]}"
	exec 9>&"${H[1]}"
	[ "$x" = held ] || { echo "$1 $2: $x"; return 1; }
}
let_go() { eval "exec 9>&- ${H[1]}>&-"; wait "$holder"; }

exclusive() {
	local start status
	hold scdaemon exclusive || return 1
	start=$SECONDS
	DPIV_LOG=debug:$TMP/exclusive.log sign "$TMP/exclusive.a" 1 1 && return 1
	[ $((SECONDS - start)) -le 8 ] || { echo "took $((SECONDS - start)) s"; return 1; }
	cat "$TMP/exclusive.a"
	grep -q 'C_OpenSession: 0x30' "$TMP/exclusive.a" || return 1
	grep "holds the card: scdaemon (pid $holder); 'gpgconf --kill scdaemon' releases it" "$TMP/exclusive.log" || return 1
	status=0
	"$BUILD/dpiv" doctor >"$TMP/exclusive.doctor" || status=$?
	cat "$TMP/exclusive.doctor"
	[ $status -eq 1 ] && grep -q "^problem *readers: Virtual PCD 00 00: the card does not answer; it may be held by scdaemon (pid $holder)" \
	    "$TMP/exclusive.doctor" && grep -q '^ *gpgconf --kill scdaemon$' "$TMP/exclusive.doctor" || return 1
	grep -q '^attention *sharing: .*scdaemon' "$TMP/exclusive.doctor" || return 1
	let_go
	sign "$TMP/exclusive.a" 1 1 && only "$TMP/exclusive.a" 0x0
}
waits() { # the holder goes while we wait: the call succeeds
	hold hoarder exclusive || return 1
	{ sleep 1.5; let_go; } &
	eval "exec 9>&- ${H[1]}>&-" # the copy in this shell
	sign "$TMP/waits.a" 1 2 && only "$TMP/waits.a" 0x0
}
transaction() { # held in the middle of our session, for ever; then let go: the same session goes on
	local p
	DPIV_LOG=debug:$TMP/transaction.log "$TMP/client" "$M" 1 50 1 25 >"$TMP/transaction.a" 2>&1 &
	p=$!
	sleep 1
	# Who loses the race between asking and beginning waits inside libpcsclite and says nothing: the pause between
	# signatures makes that rare, and then it is tried once more.
	for _ in 1 2 3; do
		hold hoarder transaction || return 1
		for _ in $(seq 12); do grep -qs event=held "$TMP/transaction.log" && break 2; sleep 0.5; done
		let_go
	done
	sleep 20
	let_go
	kill -USR1 $p
	wait $p
	only "$TMP/transaction.a" 0x0 0x30 || return 1
	awk '/^longest/ { exit $2 > 21 }' "$TMP/transaction.a" || return 1
	grep -q "event=held reader=\"Virtual PCD 00 00\" by=\"hoarder (pid $holder)\"" "$TMP/transaction.log" || return 1
	grep "another program holds the card: hoarder (pid $holder); close it or wait for it" "$TMP/transaction.log"
}
several() {
	local other p
	sleep 30 | "$TMP/hoarder" select 1000000 >/dev/null & # connected, holds nothing
	other=$!
	sleep 0.5
	DPIV_LOG=warn:$TMP/several.log "$TMP/client" "$M" 1 30 1 25 >"$TMP/several.a" &
	p=$!
	sleep 1
	# Who loses the race between asking and beginning waits inside libpcsclite and says nothing: once more.
	for _ in 1 2 3; do
		hold scdaemon transaction || return 1
		sleep 3
		let_go
		! grep -q event=held "$TMP/several.log" || break
	done
	kill -USR1 $p
	wait $p || { cat "$TMP/several.a"; return 1; }
	kill "$other"
	cat "$TMP/several.a" "$TMP/several.log"
	grep -E 'by="one of (scdaemon|hoarder) \(pid [0-9]+\), (scdaemon|hoarder) \(pid [0-9]+\)"' "$TMP/several.log"
}
healthy() {
	"$BUILD/dpiv" doctor --json >"$TMP/healthy.json" || { cat "$TMP/healthy.json"; return 1; }
	python3 - "$TMP/healthy.json" <<-'PY'
	import json, sys
	t = json.load(open(sys.argv[1]))
	seen = {f["check"] for f in t["findings"]}
	want = {"service", "polkit", "readers", "sharing", "p11-kit", "engine", "configuration", "clock", "folders"}
	assert t["version"] == 1 and seen == want, seen ^ want
	assert all(f["level"] in ("ok", "attention", "problem") and f["what"] for f in t["findings"])
	assert any(f["check"] == "readers" and "PIV" in f["what"] for f in t["findings"]), t
	PY
}
unhealthy() { # each finding by itself
	local s
	mkdir -p "$XDG_CONFIG_HOME/dpiv" "$XDG_CONFIG_HOME/pkcs11/modules" "$XDG_STATE_HOME/dpiv" "$XDG_CACHE_HOME/dpiv"
	printf '[module]\nkeep_pins = yes\n' >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
	echo "module: $M" >"$XDG_CONFIG_HOME/pkcs11/modules/dpiv.module"
	echo "module: opensc-pkcs11.so" >"$XDG_CONFIG_HOME/pkcs11/modules/opensc.module"
	chmod 755 "$XDG_STATE_HOME/dpiv"
	chmod 700 "$XDG_CACHE_HOME/dpiv"
	s=0
	"$BUILD/dpiv" doctor >"$TMP/un.out" || s=$?
	rm -rf "$XDG_CONFIG_HOME" "$XDG_STATE_HOME" "$XDG_CACHE_HOME"
	cat "$TMP/un.out"
	[ $s -eq 1 ] && grep -q "^problem *configuration: .*dpiv.conf:2" "$TMP/un.out" &&
	    grep -q "^problem *folders: others can get into the state folder" "$TMP/un.out" && grep -q "^ *chmod 700 '$TMP/state/dpiv'" "$TMP/un.out" &&
	    grep -q "^ok *folders: the cache is" "$TMP/un.out" &&
	    grep -q "^attention *p11-kit: OpenSC's module is registered too" "$TMP/un.out"
}
no_service() {
	local s=0
	"$BUILD/dpiv" doctor >"$TMP/no.out" || s=$?
	cat "$TMP/no.out"
	[ $s -eq 1 ] && grep -q '^problem *service: pcscd is not running' "$TMP/no.out" && grep -q 'systemctl enable --now pcscd.socket' "$TMP/no.out"
}

inside transaction transaction
inside exclusive exclusive
wait $!
inside waits waits
wait $!
inside several several
wait
check "held exclusively: DEVICE_ERROR in time, the sentence and doctor name the program and the way out; then it works" came_out exclusive
check "held exclusively for a moment: waits" came_out waits
check "held in a transaction for ever: bounded, named, and the session goes on afterwards" came_out transaction
check "several programs are connected: each is named" came_out several
check "doctor: nothing wrong, JSON" tests/with-card --no-save --image "$TMP/card.json" -- bash -c ". $TMP/several.sh" inside healthy
check "doctor: configuration, folders, OpenSC beside" tests/with-card --no-save --image "$TMP/card.json" -- bash -c ". $TMP/several.sh" inside unhealthy
check "doctor: no service" tests/with-card --no-pcscd -- bash -c ". $TMP/several.sh" inside no_service
status 2 "doctor takes no arguments" "$BUILD/dpiv" doctor now
