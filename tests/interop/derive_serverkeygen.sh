#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An encryption key that the issuer makes: EST serverkeygen against dpiv-issuer, into SoftHSM2, by C_CreateObject and by
# C_UnwrapKey; the same key again out of the escrow.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
issuer_conf 'encrypt = serverkeygen'
check 'derived: auth, and encrypt by serverkeygen' derive_conf --role auth,encrypt
cat "$TMP/issuer.log"
token_objects
"$BUILD/dpiv" status
sqlite3 "$DERIVE_DIR/agency/issuer.db" 'select * from event; select serial,account,length(wrapped) from escrow'
