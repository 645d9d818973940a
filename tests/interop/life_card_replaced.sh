#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv check --card: a new card of the same person takes the old one's place, another person's does not, nor does one that is
# revoked or of which nothing is known; a new name or a new address asks for a rekey, and dpiv status says so. The keys stay.
. tests/lib/derive.sh

fascn() { # CREDENTIAL PERSON: agency 32, system 1
	python3 - "$1" "$2" <<-'PY'
	import sys
	text = "s0032f0001f%sf0f1f%s100321e" % (sys.argv[1], sys.argv[2])
	values = [{"s": 11, "f": 13, "e": 15}.get(c, None) if c.isalpha() else int(c) for c in text]
	lrc = 0
	for v in values: lrc ^= v
	bits = ""
	for v in values + [lrc]:
	    four = "".join(str(v >> k & 1) for k in range(4))
	    bits += four + str(1 - four.count("1") % 2)
	print("%050X" % int(bits, 2))
	PY
}
card_make() { # N FASCN NAME MAIL [UPN]
	"${BUILD:-build}/dpiv-vcard" make --alg p256 --ca-cert "$DERIVE_DIR/agency/ca.pem" --ca-key "$DERIVE_DIR/agency/private/ca.key" \
		--fascn "$2" --name "$3" --email "$4" --upn "${5-$4}" "$DERIVE_DIR/$1.json" || exit 1
}
if [ -z "${DERIVE_DIR-}" ]; then
	DERIVE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dpiv-derive.XXXXXX")
	export DERIVE_DIR
	"${BUILD:-build}/dpiv-issuer" init --demo "$DERIVE_DIR/agency" >"$DERIVE_DIR/init.log" 2>&1
	card_make 1 "$(fascn 092446 0000001234)" 'Pat Example' pat@example.test
	card_make 2 "$(fascn 092447 0000001234)" 'Pat Example' pat@example.test
	card_make 3 "$(fascn 092448 0000005678)" 'Kim Other' kim@example.test
	card_make 4 "$(fascn 092449 0000001234)" 'Pat Newname' newname@example.test pat@example.test
	card_make 5 "$(fascn 092450 0000001234)" 'Pat Example' moved@example.test
	card_make 6 "$(fascn 092451 0000001234)" 'Pat Example' pat@example.test
	card_make 7 "$(fascn 092452 0000001234)" 'Pat Example' moved@example.test pat@example.test
	tests/with-card --image "$DERIVE_DIR/1.json" --image "$DERIVE_DIR/2.json" --image "$DERIVE_DIR/3.json" \
		--image "$DERIVE_DIR/4.json" --image "$DERIVE_DIR/5.json" --image "$DERIVE_DIR/6.json" \
		--image "$DERIVE_DIR/7.json" -- "$0"
	status=$?
	rm -rf "$DERIVE_DIR"
	exit $status
fi
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency

by_card() { # N OPTIONS...
	card "$1"
	"$BUILD/dpiv" check --card --from "$CARD_URI" --cafile "$AGENCY/root.pem" --timeout 5 "${@:2}"
}
link() { # the certificate that the store has of the card, and how often the link moved
	python3 - "$TMP/state/dpiv/state.db" <<-'PY'
	import hashlib, sqlite3, sys
	db = sqlite3.connect(sys.argv[1])
	print(hashlib.sha256(db.execute("select card_cert from credential").fetchone()[0]).hexdigest(),
	      db.execute("select count(*) from event where what = 'card-replaced'").fetchone()[0])
	PY
}
stays() { check "$1" test "$(link)" = "$BEFORE"; }

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
mkdir -p "$XDG_CONFIG_HOME/dpiv"
card 1
check 'derived' derive --alg p256 --role auth
KEYS=$(token_objects)
BEFORE=$(link)
says 'the same as before' 'the card of before' by_card 1
stays 'which moves nothing'
says 'nothing was changed' 'a new card of which nobody knows whether it is good' by_card 2
stays 'is not taken'
CRLS=$(ls "$AGENCY"/*.crl "$AGENCY"/*/ca.crl 2>/dev/null | head -1)
printf '[check]\ncrls = %s\n' "$CRLS" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
by_card 3 >"$TMP/out" 2>&1
check "another person's card is not good" test $? -ne 0
says 'nothing was changed' 'and it is said' by_card 3
stays 'it moves nothing'
says 'replaced by the one' 'a new card of the same person' by_card 2
check 'the link has moved, once' test "$(link | cut -d' ' -f2)" = 1
check 'to the new card' test "$(link | cut -d' ' -f1)" != "${BEFORE% *}"
says 'the same as before' 'it is the card from now on' by_card 2
says 'rekey needed' 'a new name' by_card 4
says ' --card' 'with the command' by_card 4
check 'the keys stayed' test "$(token_objects)" = "$KEYS"
status 2 '--from alone' "$BUILD/dpiv" check --from pkcs11:

# --- the address alone; and the new card is a revoked one ---------------------------------------------------------------------
token_fresh laptop
mkdir -p "$XDG_CONFIG_HOME/dpiv"
printf '[check]\ncrls = %s\n' "$CRLS" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
attention() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print(*(a['command'] for a in json.load(sys.stdin)['attention'] if 'rekey needed' in a['what']))"; }
card 1
check 'derived with an address' derive --alg p256 --role sign
SERIAL=$(sql "$TMP/state/dpiv/state.db" 'SELECT serial FROM credential')
BEFORE=$(link)
check 'the card of before' by_card 1
check 'asks for nothing' test -z "$(attention)"
card 6
check 'the certificate of the new card' card_cert "$TMP/six.pem"
printf 'R\t301231235959Z\t260101000000Z\t%s\tunknown\t/CN=six\n' "$(openssl x509 -in "$TMP/six.pem" -noout -serial | cut -d= -f2)" >"$TMP/index"
printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\n' "$TMP/index" >"$TMP/x.cnf"
check 'a CRL that has it' openssl ca -config "$TMP/x.cnf" -gencrl -cert "$AGENCY/ca.pem" -keyfile "$AGENCY/private/ca.key" -crldays 1 -out "$TMP/six.crl"
printf '[check]\ncrls = %s\n' "$TMP/six.crl" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
by_card 6 >"$TMP/out" 2>&1
check 'a new card of the same person that is revoked is not good' test $? -ne 0
says 'nothing was changed' 'nor taken' by_card 6
says 'the card in the reader is revoked' 'and that is the reason' by_card 6
stays 'it moves nothing'
printf '[check]\ncrls = %s\n' "$CRLS" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
says 'replaced by the one' 'while it is good, it is taken' by_card 6
says 'mail address: dpiv renew' 'a new address alone' by_card 5
check 'dpiv status says so' test "$(attention)" = "dpiv renew $SERIAL --card"
"$BUILD/dpiv" check --cafile "$AGENCY/root.pem" --timeout 5 >/dev/null 2>&1
check 'a check without the card does not take it back' test "$(attention)" = "dpiv renew $SERIAL --card"
by_card 6 >/dev/null 2>&1
check 'a card with the address of before does' test -z "$(attention)"
# this issuer takes addresses from the principal name: another certificate would say the same
by_card 7 >"$TMP/out" 2>&1
check 'another address beside the principal name that the certificate has' test $? -eq 0
check 'asks for nothing' test -z "$(attention)"
