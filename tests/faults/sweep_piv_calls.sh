#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive, renew, revoke and history import on a PIV token through dpiv's own module, killed before and after every call
# of PKCS#11 that changes something (tests/faults/sweep.py, tests/faults/p11_shim.c in front of the module).
. tests/lib/sweep.sh
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
. tests/lib/softhsm.sh
sweep_start_piv
agency_make
. tests/lib/old_key.sh
# the module beside the program is dpiv's own: here it is the shim
mkdir "$TMP/bin"
cp "$BUILD/dpiv" "$BUILD/dpiv-vcard" "$TMP/bin/"
cp "$TMP/shim.so" "$TMP/bin/dpiv-pkcs11.so"
P11_SHIM_MODULE=$(realpath "$BUILD/dpiv-pkcs11.so")
BUILD=$TMP/bin
for verb in ${VERBS:-derive renew revoke import}; do
	sweep "$verb" call-kill call-killed
done
