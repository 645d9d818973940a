#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/with-card itself: COMMAND's status comes back, nothing is left behind however it ends, several run at once,
# several images give several readers, and the hand at the card (vcard-ctl) pulls, puts back, resets, counts and
# breaks it.
. tests/lib/shell.sh
vcard=$BUILD/dpiv-vcard
export TMPDIR=$TMP
"$vcard" make --alg p256 --name "Card One" "$TMP/one.json"
"$vcard" make --alg p256 --name "Card Two" "$TMP/two.json"
with() { tests/with-card "$@"; }
typed() { echo "from the terminal" | with --no-card -- cat; }

status 0 "status 0 comes back" with --image "$TMP/one.json" -- true
status 7 "status 7 comes back" with --image "$TMP/one.json" -- sh -c 'exit 7'
status 143 "a killed command's status comes back" with --image "$TMP/one.json" -- sh -c 'kill $$'
status 2 "no command is a usage error" with --image "$TMP/one.json"
status 99 "a missing image is an error" with --image "$TMP/none.json" -- true
echo '{}' >"$TMP/none.json"
says "not a card image" "what is no image is an error" with --image "$TMP/none.json" -- true
status 0 "a fresh card without --image" with --make "--alg p256" -- sh -c 'opensc-tool -l | grep -q "^0 *Yes"'
status 0 "a reader without card" with --no-card -- sh -c 'opensc-tool -l | grep -q "^0 *No"'
says "from the terminal" "standard input is COMMAND's" typed
says "No smart card readers" "no reader" with --no-reader -- opensc-tool -l
says "No smart card readers" "no pcscd" with --no-pcscd -- opensc-tool -l
says "Yubico YubiKey 00 00" "the reader's name" with --reader-name "Yubico YubiKey" --image "$TMP/one.json" \
    -- opensc-tool -l

two() { with --image "$TMP/one.json" --image "$TMP/two.json" -- pkcs11-tool --module opensc-pkcs11.so -L; }
says "Card One" "two images: the first card" two
says "Card Two" "two images: the second card" two

at_once() {
	local i pids=() bad=0
	for i in 1 2 3; do
		with --no-save --image "$TMP/one.json" -- sh -c 'opensc-tool -l | grep -q "^0 *Yes" && sleep 1' &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || bad=1; done
	return $bad
}
check "three at once" at_once

left() { # no process of ours, no directory of ours
	sleep 0.2
	! pgrep -f "$TMP/with-card" && ! ls -d "$TMP"/with-card.* 2>/dev/null
}
check "nothing is left behind" left
interrupted() {
	tests/with-card --no-save --image "$TMP/one.json" -- sleep 30 &
	local pid=$! start=$SECONDS
	sleep 1.5
	kill -TERM $pid
	wait $pid
	[ $? -eq 143 ] && [ $((SECONDS - start)) -lt 10 ]
}
check "SIGTERM ends it" interrupted
deaf() { # a command that ignores SIGTERM, and its child
	tests/with-card --no-save --image "$TMP/one.json" -- sh -c 'trap "" TERM; sleep 60.'$$' & sleep 61.'$$ &
	local pid=$! start=$SECONDS
	sleep 1.5
	kill -TERM $pid
	wait $pid
	[ $((SECONDS - start)) -lt 15 ] && ! pgrep -x -f "sleep 6[01][.]$$"
}
check "and a command that is deaf to it" deaf
check "and nothing is left behind" left

hand() { with --no-save --image "$TMP/one.json" -- bash -euc "$1"; }
p='opensc-tool -l | grep -q "^0 *Yes"'
check "pulled, and put back" hand "$p; tests/vcard-ctl remove; ! { $p; }; tests/vcard-ctl insert; $p"
check "pulled by a fault, back by itself" hand 'tests/vcard-ctl fault "ins A4 remove 600"
	! opensc-tool -s 00:A4:04:00
	sleep 1.6; opensc-tool -l | grep -q "^0 *Yes"'
counts='tests/vcard-ctl clear; opensc-tool -s 00:20:00:80 >/dev/null; n=$(tests/vcard-ctl apdus); [ "$n" -gt 0 ]
	tests/vcard-ctl log | grep -q "^ins=20"; tests/vcard-ctl trace | tail -1 | grep -q "ins=20 p1=00 p2=80"'
check "APDUs are counted" hand "$counts"
says "SW1=0x6F, SW2=0x01" "a fault rule at run time" hand 'tests/vcard-ctl fault "ins 20 sw 6F01"
	opensc-tool -s 00:20:00:80'
says "pending=1" "faults that did not fire are told" hand 'tests/vcard-ctl fault "ins DB sw 6F01"
	tests/vcard-ctl faults'
refuse "nonsense is no fault rule" hand 'tests/vcard-ctl fault "ins DB explode"'
refuse "nonsense is no request" hand 'tests/vcard-ctl explode'
script() {
	printf 'ins 20 sw 6F02\n' >"$TMP/script" &&
	    with --fault "$TMP/script" --image "$TMP/one.json" -- opensc-tool -s 00:20:00:80
}
says "SW1=0x6F, SW2=0x02" "a fault script" script

# What the card did to itself is in the image; with --no-save it is not.
tries() {
	python3 - "$TMP/one.json" <<-'PY'
	import json, sys
	d = json.load(open(sys.argv[1]))
	print(d.get("pin_tries_left", d["pin_tries"]))
	PY
}
wrong_pin() { with "$@" --image "$TMP/one.json" -- opensc-tool -s 00:20:00:80:08:36:36:36:36:36:36:FF:FF; }
check "a wrong PIN" wrong_pin --no-save
check "is forgotten with --no-save" test "$(tries)" = 3
check "a wrong PIN" wrong_pin
check "is remembered without" test "$(tries)" = 2
