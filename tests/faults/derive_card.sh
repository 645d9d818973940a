#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Cards that the issuer refuses (expired, not yet valid, revoked, of another policy, of another agency), PINs that are wrong,
# and a card that is pulled before each APDU of a run: the reason is said, and the target token is as it was.
. tests/lib/derive.sh
derive_inside "--alg p256" \
	"--alg p256 --not-before 20200101000000Z --not-after 20230101000000Z" \
	"--alg p256 --policy 2.16.840.1.101.3.2.1.3.7" \
	"--alg p256" \
	"--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
token_fresh laptop
: >"$TMP/empty"

empty() { token_objects | cmp -s - "$TMP/empty"; }
journal_empty() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; assert json.load(sys.stdin)["unfinished"] == []'; }

judge() { # NAME STATUS TEXT...
	local name=$1 want=$2 out status bad=
	shift 2
	out=$(derive --alg p256 2>&1 </dev/null)
	status=$?
	[ $status -eq "$want" ] || bad="exit status $status, not $want"
	for text in "$@"; do grep -qF -- "$text" <<<"$out" || bad="$bad; no \"$text\""; done
	empty || bad="$bad; the token is not as it was"
	journal_empty || bad="$bad; something is left in the journal"
	if [ -z "$bad" ]; then pass "$name"; else fail "$name" "$bad
$out
$(tail -n 3 "$TMP/issuer.log")"; fi
}

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 2
judge 'an expired card' 5 'localhost:8443' 'HTTP 403' 'expired'
card 3
judge 'a card of another policy' 5 'localhost:8443' 'HTTP 403' 'policy'
card 4
card_cert "$TMP/c.pem"
check 'the agency revokes the fourth card' "$BUILD/dpiv-issuer" revoke --dir "$AGENCY" --cert "$TMP/c.pem"
judge 'a revoked card' 5 'localhost:8443' 'HTTP 403' 'revoked'
issuer_stop

# --- PINs: tries left are said, nothing is sent twice, the last one only by a person ------------------------------------
issuer_start >/dev/null
card 5
echo 999999 >"$TMP/card.pin"
judge 'a wrong PIN' 4 'wrong PIN, 2 tries left'
judge 'a wrong PIN again' 4 'wrong PIN, 1 try left'
judge 'the last try is not spent' 4 'one PIN try is left' 'on a terminal'
tries() { pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" -L 2>/dev/null | grep -c 'final user PIN try'; }
check 'and it is still there' test "$(tries)" = 1

# type TYPED... : derive with a terminal; each TYPED answers the next question
type_answers() {
	/usr/bin/python3 - "$TMP/typed" "$@" <<'PY'
import os, pty, select, sys, time
out, answers = sys.argv[1], sys.argv[2:]
argv = os.environ["DERIVE_ARGV"].split("\n")
pid, fd = pty.fork()
if pid == 0:
    os.execv(argv[0], argv)
seen, end = b"", time.time() + 30
while time.time() < end:
    if select.select([fd], [], [], 0.2)[0]:
        try:
            more = os.read(fd, 4096)
        except OSError:
            break
        if not more:
            break
        seen += more
        if answers and seen.rstrip().endswith(b":"):
            time.sleep(0.2)
            os.write(fd, answers.pop(0).encode() + b"\n")
            seen += b" "
open(out, "wb").write(seen)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
PY
}
DERIVE_ARGV=$(printf '%s\n' "$BUILD/dpiv" derive --from "pkcs11:serial=$CARD_SERIAL" --to "$TO" --issuer https://localhost:8443 \
	--cafile "$AGENCY/root.pem" --alg p256)
export DERIVE_ARGV
status 1 'on a terminal the last try is asked about; no is no' type_answers no
check 'the question says that it is the last' grep -q 'Only one try is left' "$TMP/typed"
check 'no was no: still one try' test "$(tries)" = 1
check 'yes and the right PIN' type_answers yes 123456
check 'the PIN is not echoed' bash -c '! grep -q 123456 "$0"' "$TMP/typed"
derived() { [ "$(token_objects | grep -c '^Certificate')" = 1 ]; }
check 'and a credential is there' derived
token_fresh laptop
status 4 'a person may be wrong, but not twice with the same PIN' type_answers 654321 654321
check 'tries are shown' grep -q 'tries left' "$TMP/typed"
check 'the same PIN was not sent twice' grep -q 'was not sent again' "$TMP/typed"
check 'a person may correct it, up to the last try' type_answers 654321 yes 123456
token_fresh laptop
# three wrong tries by a program that does not ask
reader=$(opensc-tool -l 2>/dev/null | awk '/Virtual PCD 4 00 00/ { print $1 }')
for _ in 1 2 3; do
	opensc-tool --reader "$reader" --send-apdu 00A4040009A00000030800001000 --send-apdu 0020008008303030303030FFFF >/dev/null 2>&1
done
judge 'a blocked PIN' 4 'PIN is blocked' 'PUK'

# --- the card is pulled before APDU n ----------------------------------------------------------------------------------
card 1
printf '[module]\ncache = no\n' >"$TMP/no-cache.conf" # each run asks the same
export DPIV_CONF=$TMP/no-cache.conf
tests/vcard-ctl clear >/dev/null
check 'a run for counting' derive --alg p256
total=$(tests/vcard-ctl apdus)
check "a run takes $total APDUs of the card" test "$total" -ge 5
pulled=0 failed=0 bad=
for n in $(seq "$total"); do
	token_fresh laptop
	tests/vcard-ctl fault "at $n remove" >/dev/null
	timeout 60 "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer https://localhost:8443 \
		--cafile "$AGENCY/root.pem" --alg p256 --timeout 10 >"$TMP/out" 2>&1 </dev/null
	status=$?
	# the last APDUs log out, when all is done: all or nothing holds there too
	if [ "$status" -eq 0 ]; then
		derived || bad="$bad
pulled at $n: exit status 0 and no credential"
	else
		[ "$status" -lt 100 ] && [ "$(grep -vc 'can carry AAL2' "$TMP/out")" = 1 ] && grep -q PIV "$TMP/out" || bad="$bad
pulled at $n: exit status $status: $(cat "$TMP/out")"
		empty || bad="$bad
pulled at $n: the token is not as it was"
		failed=$((failed + 1))
	fi
	tests/vcard-ctl fault clear >/dev/null
	"$BUILD/dpiv-vcard" ctl "$DPIV_VCARD_CTL/0" insert >/dev/null
	sleep 1 # pcscd looks every 0.4 s
	if derive --alg p256 >"$TMP/out2" 2>&1 && derived; then pulled=$((pulled + 1)); else bad="$bad
back again after $n: $(cat "$TMP/out" "$TMP/out2")"; fi
done
[ "$failed" -ge $((total - 3)) ] || bad="$bad
only $failed of $total runs failed"
[ "$pulled" -eq "$total" ] || bad="$bad
$pulled of $total"
if [ -z "$bad" ]; then pass "pulled before each of $pulled APDUs, each time as it was"; else fail 'pulled before each APDU' "$bad"; fi
