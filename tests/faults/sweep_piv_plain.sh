#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive, renew and revoke on PIV tokens that can neither move nor delete keys: one with the commands of SP 800-73
# alone, and one with the derived AID, whose Discovery and Security Object are written, too. Killed at every APDU of the
# one and pulled before every APDU of the other (tests/faults/sweep.py), so that of what both do each APDU is cut both
# ways; STANDARD=token-pull DERIVED=token-kill is the other half. The next run finishes or undoes, or, where --replace
# had given up the old key already, says to derive with the card, which works.
. tests/lib/sweep.sh
if [ -n "${SWEEP_JOB-}" ]; then
	read -r aid verb kind SWEEP_PART <<<"$SWEEP_JOB"
	export SWEEP_PART SWEEP_PLAIN=1
	[ "$aid" = PIV ] && members= || members='"aid": "A000000308000020000100"'
	. tests/lib/derive.sh
	derive_inside "--alg p256" "blank:$members"
	. tests/lib/shell.sh
	sweep_start_piv
	if [ "$aid" = derived ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/signer.key" -out "$TMP/signer.crt" \
			-days 30 -subj "/CN=Content Signer" 2>/dev/null
		cat "$TMP/signer.key" "$TMP/signer.crt" >"$TMP/signer.pem"
		echo "content_signer = $TMP/signer.pem" >>"$TMP/sweep.conf"
	fi
	sweep "$verb" "$kind"
	exit
fi
. tests/lib/shell.sh
D=${DERIVED:-token-pull} S=${STANDARD:-token-kill}
sweep_beside "derived derive $D 1/4" "derived derive $D 2/4" "derived derive $D 3/4" "derived derive $D 4/4" \
	"derived renew $D 1/3" "derived renew $D 2/3" "derived renew $D 3/3" "derived revoke $D 1/2" "derived revoke $D 2/2" \
	"PIV derive $S 1/1" "PIV renew $S 1/1" "PIV revoke $S 1/1"
