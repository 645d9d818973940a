#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive into SoftHSM2, killed at every call of PKCS#11 that changes something, and cut off at every record of the
# connection and write of the state (tests/faults/sweep.py): the next run finishes or undoes.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
sweep_start
sweep derive call-kill call-killed write-kill write-full line-cut line-half line-kill
