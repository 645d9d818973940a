#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# 500 enrolments of 50 people by 50 clients at once: each gets its certificate, the ledger has these and no others,
# serial numbers and keys are unique, and the chain of events and the CRL are whole afterwards.
. tests/lib/shell.sh
. tests/lib/issuer.sh
. tests/lib/load.sh

check 'the load program is built' load_build
check 'an agency' agency_init
check 'nobody has too many credentials' agency_set 'max_credentials = 0'
check_start 'serve'
check 'each of 500 requests gets a certificate for its key' load_run -n 500 -c 50 -p 50 "$URL"
load_report
check 'none is lost, none is doubled' load_compare 500
check 'everybody has an account' test "$(ledger 'SELECT count(*) FROM account')" = 50
check 'each was recorded as issued' test "$(ledger "SELECT count(*) FROM event WHERE what = 'issued'")" = 500
check 'the chain of events is whole' "$ISSUER" audit verify "$AGENCY"
check 'one is revoked' "$ISSUER" revoke --dir "$AGENCY" "$(head -n 1 "$TMP/load.out" | cut -d' ' -f1)"
check_stop 'stop'
check 'the CRL is signed, and has it' load_crl 1
