#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive of an encryption key that the issuer makes, into 9D of a PIV token, killed at every APDU of the token
# (tests/faults/sweep.py): the next run finishes with what had been received, or begins anew; 9D alone has a key.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
sed -i 's/^# algorithm = .*/algorithm = p256/' "$DERIVE_DIR/agency/issuer.conf"
sweep_start_piv
sweep keygen token-kill
