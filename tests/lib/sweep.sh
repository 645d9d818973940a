# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For tests/faults/sweep_*.sh. Sourced first, for memory to write to: a sweep waits for hundreds of thousands of syncs.
#
#   sweep_start          an issuer, an empty SoftHSM2 token behind the shim, the card; after derive_inside
#   sweep_start_piv      the same, but the target is the second virtual card, a PIV token
#   sweep_shims          only the shims
#   sweep VERB KIND...   tests/faults/sweep.py
#   sweep_beside JOB...  this test once for each job, side by side; SWEEP_JOB says which it is. A pull is mostly a wait until
#                        pcscd looks again, and each has readers, cards and an issuer of its own.

[ ! -w /dev/shm ] || export TMPDIR=/dev/shm

sweep_shims() {
	shim_build || fail 'the PKCS#11 shim is built'
	gcc -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -shared -fPIC -O1 -Wall -o "$TMP/state_shim.so" tests/faults/state_shim.c -ldl ||
		fail 'the state shim is built'
	printf '[module]\ncache = no\n' >"$TMP/sweep.conf" # each run asks the same
	export DPIV_CONF=$TMP/sweep.conf TO CARD_URI TOKEN_PIN SOFTHSM
}

sweep_start() {
	at_end issuer_stop
	issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
	sweep_shims
	token_fresh laptop
	card 1
}

sweep_start_piv() {
	sweep_start
	echo 010203040506070801020304050607080102030405060708 >"$TMP/admin"
	chmod 600 "$TMP/admin"
	echo "management_key_file = $TMP/admin" >>"$TMP/sweep.conf"
	TO="pkcs11:slot-id=$(pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" -L |
		sed -n 's/^Slot [0-9]* (\(.*\)): Virtual PCD 1 00 00$/\1/p' | head -n 1)"
	TO="pkcs11:slot-id=$((${TO#*=}))?pin-source=file:$TMP/pin"
	export SWEEP_IMAGE=$DERIVE_DIR/2.json
	cp "$SWEEP_IMAGE" "$TMP/blank.json"
}

sweep() {
	local verb=$1
	shift
	if [ -z "${SWEEP_IMAGE-}" ]; then
		token_fresh laptop
	else
		rm -rf "$TMP/state"
		"$BUILD/dpiv-vcard" ctl "$DPIV_VCARD_CTL/1" load "$TMP/blank.json" >/dev/null
		cp "$TMP/blank.json" "$SWEEP_IMAGE"
	fi
	# shellcheck disable=SC2086
	if /usr/bin/python3 -u tests/faults/sweep.py "$verb" ${KINDS:-"$@"}; then pass "$verb: survived"; else fail "$verb: not survived"; fi
}

sweep_beside() {
	local n=0 job pids=()
	for job in "$@"; do
		SWEEP_JOB=$job "$0" >"$TMP/$n.log" 2>&1 &
		pids+=($!)
		n=$((n + 1))
	done
	for n in "${!pids[@]}"; do
		job=${*:n+1:1}
		if wait "${pids[n]}"; then pass "$job: $(grep -o '[0-9]* points, .*' "$TMP/$n.log")"; else fail "$job" "$(cat "$TMP/$n.log")"; fi
	done
}
