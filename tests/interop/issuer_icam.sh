#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The ICAM test cards (tests/icam), each in the virtual reader and through dpiv derive to an issuer that trusts the test
# programme's PKI: the sound ones get their credential, the others are refused, each by the check that it was made for.

# card, code of the refusal or "accept", and what the person reads of it
verdicts() {
	cat <<-TABLE
	01 accept
	04 chuid-signature the signature on the CHUID
	05 untrusted the signature on the certificate
	06 accept
	10 expired CN=ICAM Test Card Signing CA - Expired
	12 not-yet-valid is not yet valid
	13 expired has expired
	14 chuid-expired the card expired on 2017-12-31
	15 chuid-mismatch its FASC-N is
	19 policy none of the policies
	23 possession found the card's signature wrong
	25 accept
	26 accept
	38 accept
	41 accept
	46 accept
	47 accept
	49 accept
	53 accept
	55 accept
	57 chuid-signer-revoked the signer of the card's CHUID
	TABLE
}

. tests/lib/derive.sh
if [ -z "${ICAM_CARD-}" ]; then
	. tests/lib/shell.sh
	export DERIVE_DIR=$TMP/icam ICAM_CARD
	conf() { sed -i "s|^#* *$1 = *.*|$1 = $2|;s|^#* *$1 =\$|$1 = $2|" "$DERIVE_DIR/agency/issuer.conf"; }
	mkdir "$DERIVE_DIR"
	check 'an agency' "$BUILD/dpiv-issuer" init --demo "$DERIVE_DIR/agency"
	conf anchors "$ROOT/tests/icam/pki/roots.pem"
	conf intermediates "$ROOT/tests/icam/pki/intermediates.pem"
	conf crls "$ROOT/tests/icam/pki/crls.pem"
	conf policies 2.16.840.1.101.3.2.1.48.11
	conf require_chuid yes
	verdicts >"$TMP/verdicts"
	while read -r -u 4 ICAM_CARD ICAM_CODE ICAM_TEXT; do
		export ICAM_CODE ICAM_TEXT
		cp tests/icam/cards/"$ICAM_CARD"_*.json "$DERIVE_DIR/card.json"
		name=$(basename tests/icam/cards/"$ICAM_CARD"_*.json .json)
		LIMIT=90 check "$name: $ICAM_CODE" tests/with-card --no-save --image "$DERIVE_DIR/card.json" -- "$0"
	done 4<"$TMP/verdicts"
	# PIV-I, where it is allowed: another policy, mapped from the one that is configured, and another kind of CHUID signer
	conf policies 2.16.840.1.101.3.2.1.48.11,2.16.840.1.101.3.2.1.48.78
	export ICAM_CARD=19 ICAM_CODE=chuid-mismatch ICAM_TEXT='its GUID is'
	cp tests/icam/cards/19_*.json "$DERIVE_DIR/card.json"
	LIMIT=90 check '19, where PIV-I is allowed: chuid-mismatch' tests/with-card --no-save --image "$DERIVE_DIR/card.json" -- "$0"
	check 'every card was tried' test "$(ls tests/icam/cards | wc -l)" -eq "$(wc -l <"$TMP/verdicts")"
	exit 0
fi

. tests/lib/shell.sh
. tests/lib/softhsm.sh

issued() { sql "$DERIVE_DIR/agency/issuer.db" 'SELECT count(*) FROM certificate'; }

issuer_start || { fail 'the issuer starts'; exit 1; }
softhsm_start
token_fresh laptop
card 1
before=$(issued)
derive >"$TMP/out" 2>&1
status=$?
sed 's/^/derive: /' "$TMP/out"
sed 's/^/issuer: /' "$TMP/issuer.log"
if [ "$ICAM_CODE" = accept ]; then
	check 'derived' test $status -eq 0
	check 'a certificate of the agency' token_cert 01 "$TMP/new.pem"
	check 'in the ledger' test "$(issued)" -eq $((before + 1))
else
	refuse 'refused' test $status -eq 0
	check 'nothing was issued' test "$(issued)" -eq "$before"
	check 'nothing is on the token' test -z "$(token_objects)"
	check 'the issuer notes why' grep -q "code=$ICAM_CODE " "$TMP/issuer.log"
	check 'the person is told' grep -q "$ICAM_TEXT" "$TMP/out"
fi
issuer_stop
