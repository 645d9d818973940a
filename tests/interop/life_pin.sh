#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv pin change and unblock: a PIV card and a SoftHSM2 token, from files and on a terminal; what is refused, and how many tries
# are left. What came of it is judged by pkcs11-tool.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
dpiv() { "$BUILD/dpiv" "$@"; }
asked() { tests/lib/answers.py "$1" "$BUILD/dpiv" pin "${@:2}"; }
file() { printf '%s\n' "$2" >"$TMP/$1"; }
logs_in() { # MODULE LABEL PIN
	pkcs11-tool --module "$1" --token-label "$2" --login --pin "$3" -O
}
token_fresh laptop
card 1
MOD=$BUILD/dpiv-pkcs11.so
file old 123456
file new 271828
file new2 314159
file puk 12345678
file wrong 999999
file wrongpuk 87654321

both() { # WHAT MODULE LABEL URI: with PIN 123456, PUK 12345678
	local what=$1 mod=$2 label=$3 uri=$4
	check "$what: changed" dpiv pin change --token "$uri" --pin-file "$TMP/old" --new-file "$TMP/new"
	check "$what: the new PIN works" logs_in "$mod" "$label" 271828
	status 4 "$what: the old PIN is wrong" dpiv pin change --token "$uri" --pin-file "$TMP/old" --new-file "$TMP/new2"
	check "$what: by a pin-source" dpiv pin change --token "$uri${uri:+$([[ $uri == *\?* ]] && echo '&' || echo '?')}pin-source=file:$TMP/new" --new-file "$TMP/new2"
	check "$what: typed" asked 314159,271828,271828 change --token "$uri"
	check "$what: and it is the new one" logs_in "$mod" "$label" 271828
	says 'differ; nothing was changed' "$what: mistyped" asked 271828,314159,314158 change --token "$uri"
	says 'the present one' "$what: the same again" asked 271828,271828,271828 change --token "$uri"
	for bad in 111111 123456 654321; do
		says 'too easy' "$what: $bad is too easy" asked 271828,$bad change --token "$uri"
	done
	says 'must have' "$what: too short" asked 271828,2718 change --token "$uri"
	check "$what: still the PIN" logs_in "$mod" "$label" 271828
	status 4 "$what: a wrong PUK" dpiv pin unblock --token "$uri" --puk-file "$TMP/wrongpuk" --new-file "$TMP/old2"
	check "$what: unblocked by files" dpiv pin unblock --token "$uri" --puk-file "$TMP/puk" --new-file "$TMP/new2"
	check "$what: to the new PIN" logs_in "$mod" "$label" 314159
	check "$what: unblocked on the terminal" asked 12345678,271828,271828 unblock --token "$uri"
	check "$what: to that PIN" logs_in "$mod" "$label" 271828
}
file old2 161803
both 'SoftHSM2' "$SOFTHSM" laptop "pkcs11:token=laptop?module-path=$SOFTHSM"
both 'card' "$MOD" "$CARD_LABEL" "pkcs11:serial=$CARD_SERIAL"

at_end issuer_stop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
echo 271828 >"$TMP/card.pin"
TO="pkcs11:token=laptop?module-path=$SOFTHSM&pin-source=file:$TMP/new"
check 'derived' derive --alg p256 --role auth

# --- a card counts ------------------------------------------------------------------------------------------------------------
says 'digits only' 'a PIV PIN has digits' asked 271828,abcxyz change
says 'tries left' 'how many tries are left, in the question' asked 271828,x change
says 'wrong PIN, 2 tries left' 'and after a wrong one' dpiv pin change --pin-file "$TMP/wrong" --new-file "$TMP/new2"
dpiv pin change --pin-file "$TMP/wrong" --new-file "$TMP/new2" >"$TMP/out" 2>&1
status 1 'the last try is left alone' setsid -w "$BUILD/dpiv" pin change --pin-file "$TMP/wrong" --new-file "$TMP/new2"
says 'Only one try is left' 'a person may take it' asked yes,999999,314159,314159 change
status 4 'blocked' dpiv pin change --pin-file "$TMP/new" --new-file "$TMP/new2"
says 'dpiv pin unblock' 'and what to do is said' dpiv pin change --pin-file "$TMP/new" --new-file "$TMP/new2"
check 'unblocked' dpiv pin unblock --puk-file "$TMP/puk" --new-file "$TMP/new2"
check 'usable again' logs_in "$MOD" "$CARD_LABEL" 314159
for _ in 1 2 3; do dpiv pin unblock --puk-file "$TMP/wrongpuk" --new-file "$TMP/new" >"$TMP/out" 2>&1; done
status 4 'the PUK can be blocked too' dpiv pin unblock --puk-file "$TMP/puk" --new-file "$TMP/new"
for _ in 1 2 3; do pkcs11-tool --module "$MOD" --token-label "$CARD_LABEL" --login --pin 999999 -O >"$TMP/out" 2>&1; done
card_lost() { # a credential that the state store has on the card
	python3 -c "import sqlite3; db = sqlite3.connect('$TMP/state/dpiv/state.db'); db.execute('update credential set token_serial = ?', ('$1',)); db.commit()"
}
card_lost "$CARD_SERIAL"
says '--lost' 'both blocked: what was on it has to be revoked' dpiv pin unblock --puk-file "$TMP/puk" --new-file "$TMP/new"
says 'then wipe' 'and the token wiped' dpiv pin unblock --puk-file "$TMP/puk" --new-file "$TMP/new"
card_lost elsewhere
check 'what is elsewhere is not' test -z "$(dpiv pin unblock --puk-file "$TMP/puk" --new-file "$TMP/new" 2>&1 | grep -e --lost)"

# --- usage --------------------------------------------------------------------------------------------------------------------
status 2 'no action' dpiv pin
status 2 'another action' dpiv pin forget
status 2 'a PUK does not change' dpiv pin change --puk-file "$TMP/puk"
status 4 'nobody to ask' setsid -w "$BUILD/dpiv" pin change --token "pkcs11:token=laptop?module-path=$SOFTHSM"
status 3 'no such token' dpiv pin change --token "pkcs11:token=desktop?module-path=$SOFTHSM"
