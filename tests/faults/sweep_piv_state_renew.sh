#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv renew on a PIV token, cut off at every record of the connection and every write of the state, by SIGKILL, a
# cut connection and a full disk (tests/faults/sweep.py); the APDUs of the token are
# sweep_piv.sh and sweep_piv_renew.sh, the calls of PKCS#11 sweep_piv_calls.sh.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
sweep_start_piv
sweep renew line-cut line-kill write-kill write-full
