#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# hw/pcsc*.c and the card edge through a real pcscd: no service, hot plug, cancelling a wait, other programs that reset,
# select, hold and share the card, pcscd restarted under an open card, fork.
. tests/lib/shell.sh
LIMIT=90
P=$BUILD/tests/test_pcsc
[ -x "$P" ] || make BUILD="$BUILD" "$P" >"$TMP/make.log" 2>&1 || { fail "building test_pcsc" "$(tail -n 20 "$TMP/make.log")"; exit 1; }
"$BUILD/dpiv-vcard" make --alg p256 "$TMP/card.json"
with() { tests/with-card --no-save --image "$TMP/card.json" -- bash -uc "P=$P; $1"; }

# talk: a signer as a coprocess; say: let it sign once more and hear what it says.
talk='coproc S { "$P" sign; }; hear() { read -r -t 40 answer <&"${S[0]}"; echo "$answer"; [[ $answer == "$1"* ]]; }
say() { echo >&"${S[1]}"; hear "$1"; }; hear OK || exit 1;'

says "start it" "no pcscd is said, with what to do" tests/with-card --no-pcscd -- "$P" sign
says "no card in any reader" "no card" tests/with-card --no-card -- "$P" sign
check "a signature" with "$talk"
check "a wait is cancelled" with '"$P" cancel'
check "hot plug is seen" with '"$P" watch >$TMP/out & w=$!; sleep 1; tests/vcard-ctl remove; tests/vcard-ctl insert; sleep 1; tests/vcard-ctl remove; wait $w; s=$?
	cat $TMP/out; [ $s -eq 0 ] && [ "$(tr -d "\n" <$TMP/out)" = inoutin ]'
check "pulled: CARDGONE; put back: works by itself" with "$talk"'
	tests/vcard-ctl remove; say CARDGONE || exit 1; tests/vcard-ctl insert; say OK'
check "another program resets the card: not noticed" with "$talk"' opensc-tool --reset >/dev/null || exit 1; say OK'
check "the card loses its state: not noticed" with "$talk"' tests/vcard-ctl reset; say OK'
check "another application is selected: not noticed" with "$talk"' tests/vcard-ctl other; say OK'
check "another program runs through its PIN and keys: not noticed" with "$talk"'
	pkcs11-tool --module opensc-pkcs11.so -l --pin 123456 -O >/dev/null 2>&1; say OK'
check "held for two seconds: waits" with "$talk"' coproc H { "$P" hold; }; read -r -t 10 x <&"${H[0]}"; exec 9>&"${H[1]}"
	{ sleep 2; echo >&9; } & start=${EPOCHREALTIME/./}; say OK && [ $((${EPOCHREALTIME/./} - start)) -gt 1500000 ]'
check "held for ever: BUSY, in bounded time, with what to do" with "$talk"' coproc H { "$P" hold; }; read -r -t 10 x <&"${H[0]}"
	start=$SECONDS; say "BUSY" || exit 1; [[ $answer == *"another program holds the card"* ]] && [ $((SECONDS - start)) -lt 30 ]; s=$?; echo >&"${H[1]}"; say OK && exit $s'
check "two busy processes both get on" with '"$P" busy & a=$!; "$P" busy; s=$?; wait $a && exit $s'
check "a fork" with '"$P" fork'
check "pcscd stopped: said; started again: works in the old connection" with "$talk"'
	kill "$PCSCD_PID"; sleep 1; say NOREADER || say CARDGONE || exit 1
	pcscd --foreground --config "$(dirname "$DPIV_VCARD_CTL")/conf" >/dev/null 2>&1 & d=$!
	for i in $(seq 100); do opensc-tool -l 2>/dev/null | grep -q "^0 *Yes" && break; sleep 0.1; done
	say OK; s=$?; kill $d; exit $s'
