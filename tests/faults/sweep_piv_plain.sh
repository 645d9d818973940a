#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive, renew and revoke on PIV tokens that can neither move nor delete keys: one with the commands of SP 800-73
# alone, and one with the derived AID, whose Discovery and Security Object are written, too. Killed at every APDU of the
# one and pulled before every APDU of the other (tests/faults/sweep.py), so that of what both do each APDU is cut both
# ways; STANDARD=token-pull DERIVED=token-kill is the other half. The next run finishes or undoes, or, where --replace
# had given up the old key already, says to derive with the card, which works.
#
# A pull is mostly a wait until pcscd looks again. So the parts of it run side by side, each with readers, cards and an
# issuer of its own.
part() { # AID VERB KIND NTH/PARTS
	. tests/lib/sweep.sh
	. tests/lib/derive.sh
	derive_inside "--alg p256" "blank:$1"
	. tests/lib/shell.sh
	sweep_start_piv
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/signer.key" -out "$TMP/signer.crt" -days 30 \
		-subj "/CN=Content Signer" 2>/dev/null
	cat "$TMP/signer.key" "$TMP/signer.crt" >"$TMP/signer.pem"
	[ -z "$1" ] || echo "content_signer = $TMP/signer.pem" >>"$TMP/sweep.conf"
	export SWEEP_PLAIN=1 SWEEP_PART=$4
	sweep "$2" "$3"
}
if [ -n "${SWEEP_JOB-}" ]; then
	IFS='|' read -r aid verb kind nth <<<"$SWEEP_JOB"
	part "$aid" "$verb" "$kind" "$nth"
	exit
fi

. tests/lib/shell.sh
jobs=()
start() { # AID VERB KIND PARTS
	for nth in $(seq "$4"); do
		SWEEP_JOB="$1|$2|$3|$nth/$4" "$0" >"$TMP/${#jobs[@]}.log" 2>&1 &
		jobs+=("$!:$2, $([ -n "$1" ] && echo derived || echo PIV) AID, part $nth of $4")
	done
}
derived='"aid": "A000000308000020000100"'
start "$derived" derive "${DERIVED:-token-pull}" 4
start "$derived" renew "${DERIVED:-token-pull}" 3
start "$derived" revoke "${DERIVED:-token-pull}" 2
for verb in derive renew revoke; do start '' $verb "${STANDARD:-token-kill}" 1; done
for n in "${!jobs[@]}"; do
	if wait "${jobs[n]%%:*}"; then pass "${jobs[n]#*:}: $(grep -o '[0-9]* points, .*' "$TMP/$n.log")"; else fail "${jobs[n]#*:}" "$(cat "$TMP/$n.log")"; fi
done
