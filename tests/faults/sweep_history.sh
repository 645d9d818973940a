#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv history import into SoftHSM2, by C_CreateObject and by C_UnwrapKey, cut off at every call of PKCS#11
# (tests/faults/sweep.py): the next run completes it, and the key opens an old letter.
. tests/lib/sweep.sh
. tests/lib/derive.sh
. tests/lib/shell.sh
. tests/lib/softhsm.sh
agency_make
sweep_shims
token_fresh laptop
. tests/lib/old_key.sh
sweep import call-kill call-killed call-error call-gone
export P11_SHIM_REFUSE=create
sweep import call-kill call-killed call-error call-gone
