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
echo secret >"$TMP/pw"
key_make rsa2048 "$TMP/old.key"
(cd "$TMP" && cert_make encrypt old.key "/CN=Pat Old" old.pem ca 20140101000000Z 20170101000000Z)
openssl pkcs12 -export -inkey "$TMP/old.key" -in "$TMP/old.pem" -passout "file:$TMP/pw" -out "$TMP/old.p12"
echo 'An old letter.' >"$TMP/letter"
openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -out "$TMP/old.eml" "$TMP/old.pem"
sweep import call-kill call-killed call-error call-gone
export P11_SHIM_REFUSE=create
sweep import call-kill call-killed call-error call-gone
