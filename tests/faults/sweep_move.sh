#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv renew --move-to on SoftHSM2, killed at every call of PKCS#11, write of the state and record of the connection to the new
# issuer, or cut off there (tests/faults/sweep.py): the next run ends it; one credential is left, at the new issuer, and the old
# one is revoked at the old issuer.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end second_stop
AGENCY=$DERIVE_DIR/agency
export SWEEP_SECOND=$TMP/second
"$BUILD/dpiv-issuer" init --demo --name Second --port 8444 "$SWEEP_SECOND" >"$TMP/init.log" 2>&1 || fail 'another issuer' "$(cat "$TMP/init.log")"
sed -i "s|^# anchors.*|anchors = $AGENCY/root.pem|; s|^# intermediates.*|intermediates = $AGENCY/ca.pem|; s|^# crls.*|crls = $AGENCY/crls.pem|" \
	"$SWEEP_SECOND/issuer.conf"
second_stop() {
	[ -z "${SECOND_PID-}" ] || { kill "$SECOND_PID"; wait "$SECOND_PID"; } 2>/dev/null
	SECOND_PID=
}
sweep_start
"$BUILD/dpiv-issuer" serve "$SWEEP_SECOND" >"$TMP/second.log" 2>&1 &
SECOND_PID=$!
for _ in $(seq 100); do ! grep -q '^listening on' "$TMP/second.log" || break; sleep 0.05; done
check 'the second issuer' grep '^listening on' "$TMP/second.log"
sweep move call-kill call-killed write-kill line-cut line-half line-kill
