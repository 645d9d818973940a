#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv history import into a PIV token that takes keys in, cut off at every APDU of the token (tests/faults/sweep.py): the next
# run completes it, one place of a retired key is used, and the key opens an old letter.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
. tests/lib/softhsm.sh
sweep_start_piv
agency_make
. tests/lib/old_key.sh
sweep import token-kill token-pull
