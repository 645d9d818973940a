#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv renew on a PIV token that can move and delete keys, cut off at every APDU of the token
# (tests/faults/sweep.py): the next run finishes or undoes, and no place of a retired key is used up.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
sweep_start_piv
sweep renew token-kill token-pull
