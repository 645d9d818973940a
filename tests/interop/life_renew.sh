#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv renew: credentials by what status calls them, when it is time and not before, several at once, and what cannot be renewed.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop

keys() { token_objects | grep -c '^Private Key'; }
renew() { "$BUILD/dpiv" renew --cafile "$DERIVE_DIR/agency/root.pem" "$@"; }
serial_of() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == '$1'][0])"; }
alg_of() { token_cert "$1" "$TMP/alg.pem" && openssl x509 -in "$TMP/alg.pem" -noout -text | grep -q "$2"; }
ids() { pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type cert 2>/dev/null | awk '/ID:/ { print $2 }'; }
conf() { mkdir -p "$XDG_CONFIG_HOME/dpiv" && printf '%s\n' '[derive]' "to = $TO" "$@" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"; }

token_fresh laptop
status 3 'nothing to renew' renew
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
check 'derived' derive --alg p384 --role auth,sign
conf
AUTH=$(serial_of auth) SIGN=$(serial_of sign)

says 'it is time to renew it from' 'not before it is time' renew auth
check 'and that is no failure' renew
check 'nothing has changed' test "$(serial_of auth)" = "$AUTH"
status 2 'force alone is not enough' renew --force
status 2 'a name and all exclude each other' renew auth --all
status 3 'an unknown name' renew nobody
says "auth $AUTH" 'says which there are' renew nobody

check 'by role' renew auth --force
NEW=$(serial_of auth)
refuse 'another certificate' test "$NEW" = "$AUTH"
check 'no other was touched' test "$(serial_of sign)" = "$SIGN"
check 'by serial number, in small letters' renew "$(tr A-F a-f <<<"$NEW")" --force
status 3 'the old serial number is not known any more' renew "$AUTH" --force
check 'all by the name of the holder' renew 'pat example' --force
refuse 'sign was renewed too' test "$(serial_of sign)" = "$SIGN"
check 'two keys' test "$(keys)" -eq 2
kind() { local i; for i in $(ids); do alg_of "$i" secp384r1 || return 1; done; }
check 'of the same kind as before' kind
says 'renewing the auth credential' 'says what it does' renew auth --force

# --- the window ---------------------------------------------------------------------------------------------------------------
OLD=$(serial_of auth)
conf 'renew_days = 4000'
check 'a window that is longer than half of the life' renew auth
check 'counts as half' test "$(serial_of auth)" = "$OLD"
OLD=$(serial_of auth)
# the certificate in the state store is what counts: one with other dates stands in for one near its end
cp -a "$TMP/state" "$TMP/kept"
expired() { # FROM TO: the stored certificate with other dates, signed by a key of no importance
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/x.key" 2>/dev/null
	printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/x.db\nnew_certs_dir=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n' "$TMP" "$TMP" >"$TMP/x.cnf"
	: >"$TMP/x.db"
	openssl req -new -key "$TMP/x.key" -subj "/CN=Pat Example" -config "$TMP/x.cnf" -out "$TMP/x.csr" &&
		openssl ca -batch -notext -selfsign -keyfile "$TMP/x.key" -config "$TMP/x.cnf" -in "$TMP/x.csr" -startdate "$(date -u -d "$1" +%Y%m%d%H%M%SZ)" \
			-enddate "$(date -u -d "$2" +%Y%m%d%H%M%SZ)" -out "$TMP/x.pem" 2>"$TMP/ca.log" &&
		openssl x509 -in "$TMP/x.pem" -outform DER -out "$TMP/x.der" && stored "$TMP/x.der"
}
stored() {
	python3 -c "import sqlite3, sys; db = sqlite3.connect('$TMP/state/dpiv/state.db'); db.execute(\"update credential set cert = ? where active = 1 and role = 'auth'\", (open('$1', 'rb').read(),)); db.commit()"
}
conf
check 'fixture: expired' expired '-2 days' '-1 day'
status 5 'an expired one cannot be renewed' renew auth
says 'dpiv derive --again' 'and what to do is said' renew auth
check 'fixture: expiring' expired '-100 days' '+20 days'
pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --write-object "$TMP/x.der" --type cert --id 77 >/dev/null 2>&1
says 'dpiv renew' 'status says what to run' "$BUILD/dpiv" status
says 'renewing the auth credential' '20 days before expiry it is time' renew auth
rm -rf "$TMP/state"
mv "$TMP/kept" "$TMP/state"

# --- failures -----------------------------------------------------------------------------------------------------------------
issuer_stop
status 1 'an issuer that is not there' renew auth --force
check 'the credential stays' test "$(serial_of auth)" = "$OLD"
mv "$TMP/tokens" "$TMP/away"
mkdir "$TMP/tokens"
refuse 'a token that is not there' renew auth --force
