#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive into SoftHSM2, killed at every APDU of the PIV card (derive_card.sh pulls it there); and every call of
# PKCS#11 fails, or finds the token gone (tests/faults/sweep.py): the next run finishes or undoes.
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
sweep_start
sweep derive card-kill call-error call-gone
