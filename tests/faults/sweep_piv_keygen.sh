#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive of an encryption key that the issuer makes, into 9D of a PIV token, cut off at the APDUs of the token
# (tests/faults/sweep.py): the next run finishes with what had been received, or begins anew; no key waits anywhere, and
# an older one is in a retired place with its certificate. Each run makes RSA keys, which takes its time: so here it is
# every fourth APDU when there is no older key and every sixth when there is one, half of them killed and half pulled.
# SWEEP_ALL=1 does every APDU in both ways, in several minutes.
. tests/lib/sweep.sh
if [ -n "${SWEEP_JOB-}" ]; then
	read -r verb kind SWEEP_PART <<<"$SWEEP_JOB"
	export SWEEP_PART
	. tests/lib/derive.sh
	derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
	. tests/lib/shell.sh
	sed -i 's/^# algorithm = .*/algorithm = p256/' "$DERIVE_DIR/agency/issuer.conf"
	sweep_start_piv
	sweep "$verb" "$kind"
	exit
fi
. tests/lib/shell.sh
if [ -n "${SWEEP_ALL-}" ]; then
	sweep_beside 'again token-kill 1/1' 'again token-pull 1/2' 'again token-pull 2/2' 'keygen token-kill 1/1' 'keygen token-pull 1/1'
else
	sweep_beside 'again token-kill 1/12' 'again token-pull 7/12' 'keygen token-kill 1/8' 'keygen token-pull 5/8'
fi
