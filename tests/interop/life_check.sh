#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv check: what OCSP (`openssl ocsp`) and the issuer's CRL say is believed when it is authentic and fresh, and everything else
# is unknown: nobody there, stale, forged, somebody else's, too large, garbage.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
at_end pki_stop
AGENCY=$DERIVE_DIR/agency
PORT=8093
WWW=$TMP/www
mkdir "$WWW"
sed -i "s|^#* *base_url.*|base_url = http://127.0.0.1:$PORT/pki|" "$AGENCY/issuer.conf"

pki_start() {
	tests/lib/pki_server.py $PORT "$AGENCY" "$WWW" 2>"$TMP/pki.log" &
	PKI=$!
	for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/$PORT) 2>/dev/null && return 0; sleep 0.05; done
	return 1
}
pki_stop() {
	[ -z "${PKI-}" ] || { kill "$PKI"; wait "$PKI"; } 2>/dev/null
	PKI=
}
check_it() { "$BUILD/dpiv" check --cafile "$AGENCY/root.pem" --timeout 3 "$@"; }
index() { # SERIAL V|R...
	while [ $# -gt 0 ]; do
		printf '%s\t301231235959Z\t%s\t%s\tunknown\t/CN=%s\n' "$2" "$([ "$2" = V ] || echo 260101000000Z)" "$1" "$1"
		shift 2
	done >"$WWW/index.txt"
}
ocsp() { echo "$1" >"$WWW/ocsp-mode"; }
crl() { openssl crl -in "$1" -outform DER -out "$WWW/crl"; }
# field PYTHON [CREDENTIAL]: of what --json says
field() { check_it --json "${2-auth}" | python3 -c "import json, sys; c = json.load(sys.stdin)['credentials'][0]; print(c$1)"; }
is() { # NAME FIELD VALUE
	check "$1" test "$(field "$2")" = "$3"
}
unknown() { # TEXT NAME
	local out status
	out=$(check_it auth 2>&1)
	status=$?
	if [ $status -eq 6 ] && grep -qF "$1" <<<"$out"; then pass "$2"; else fail "$2" "status $status: $out"; fi
}

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
status 3 'nothing to check' check_it
card 1
check 'derived' derive --alg p256 --role auth,sign
# a card's certificate that names this test's server, in the place of the demo card's
SERIAL=$("$BUILD/dpiv" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == 'auth'][0])")
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/c.key" -subj "/CN=Pat Example" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 0x0ABCDEF1 -days 10 -outform DER -out "$TMP/c.der" \
		-extfile <(printf 'keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\ncrlDistributionPoints=URI:http://127.0.0.1:%s/pki/ca.crl\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:%s/pki/ocsp\n' $PORT $PORT) 2>/dev/null
python3 -c "import sqlite3; db = sqlite3.connect('$TMP/state/dpiv/state.db'); db.execute('update credential set card_cert = ?', (open('$TMP/c.der', 'rb').read(),)); db.commit()"

# --- OCSP ---------------------------------------------------------------------------------------------------------------------
pki_start || fail 'a server' "$(cat "$TMP/pki.log")"
ocsp good
index "$SERIAL" V 0ABCDEF1 V
check 'good' check_it auth
is 'by OCSP' "['certificate']['by']" OCSP
is 'and the card' "['card']['state']" good
says 'good, says OCSP' 'for a person' check_it auth
index "$SERIAL" R 0ABCDEF1 V
status 5 'revoked' check_it auth
is 'is what it says' "['certificate']['state']" revoked
is 'with its date' "['certificate']['revoked_at']" 2026-01-01T00:00:00Z
index "$SERIAL" V 0ABCDEF1 R
status 5 'the card is revoked' check_it auth
is 'is what it says of the card' "['card']['state']" revoked
is 'and the credential is good' "['certificate']['state']" good
says 'has been revoked' 'status shows it' "$BUILD/dpiv" status
index 0ABCDEF1 V
unknown 'does not know the certificate' 'a responder that does not know it'
index "$SERIAL" V 0ABCDEF1 V
check 'an issuing CA as the trust anchor' "$BUILD/dpiv" check --cafile "$AGENCY/ca.pem" auth
ocsp ca
check 'signed by the CA itself' check_it auth
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WWW/forger.key" -subj "/CN=OCSP Signer" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 77 -days 10 -out "$WWW/forger.pem" \
		-extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n') 2>/dev/null
ocsp forged
unknown 'not signed by the issuer' 'signed by a certificate of the CA that is for something else'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WWW/forger.key" -out "$WWW/forger.pem" -days 10 \
	-subj "/CN=OCSP Signer" -addext extendedKeyUsage=OCSPSigning 2>/dev/null
unknown 'not signed by the issuer' 'signed by somebody'
ocsp good
check 'a good one is kept' check_it auth
cp "$WWW/resp" "$WWW/ocsp-kept"
says 'does not lead to a trusted issuer' 'another trust anchor' "$BUILD/dpiv" check --cafile "$WWW/forger.pem" auth
ocsp replay
unknown 'OCSP: the answer is' 'an answer to an earlier question'
# out of date: signed as it should be, about the right certificate, without a nonce as prepared answers are
# shellcheck disable=SC2046
check 'fixture: a program that makes old answers' gcc -O1 -Wall -o "$TMP/stale" tests/interop/ocsp_stale.c $(pkg-config --cflags --libs libcrypto)
token_cert 01 "$TMP/auth.pem"
stale() { "$TMP/stale" "$TMP/auth.pem" "$AGENCY/ca.pem" "$AGENCY/ocsp.pem" "$AGENCY/private/ocsp.key" "$1" >"$WWW/ocsp-kept"; }
answer() { stale "$1" && field "['certificate']['$2']"; }
check 'a prepared answer without nonce, fresh' test "$(answer 0 state)" = good
check 'half a day old, and it does not say until when' test "$(answer -12 state)" = good
check 'two days old, and it does not say until when' test "$(answer -48 state)" = unknown
check 'two days old, good for an hour' test "$(answer 48 state)" = unknown
says 'the answer is out of date' 'and that is the reason' check_it auth
ocsp junk
unknown 'sends something else' 'garbage'
ocsp huge
unknown 'OCSP: ' 'an answer without end'
ocsp silent
unknown 'OCSP: ' 'a responder that says nothing'

# --- CRL ----------------------------------------------------------------------------------------------------------------------
ocsp none
unknown 'CRL: ' 'neither OCSP nor CRL'
crl "$AGENCY/ca.crl"
check 'good by the CRL of the issuer' check_it auth
is 'and it says so' "['certificate']['by']" CRL
"$BUILD/dpiv-issuer" revoke --dir "$AGENCY" --reason superseded "$SERIAL" >"$TMP/revoke" 2>&1 || fail 'revoke' "$(cat "$TMP/revoke")"
check 'the old CRL still says good' check_it auth
crl "$AGENCY/ca.crl"
status 5 'the new one does not' check_it auth
check 'the other credential is good' check_it sign
touch "$TMP/x.db"
gencrl() { # CERT KEY OPTIONS...
	printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/x.db\ndefault_md=sha256\n' "$TMP" >"$TMP/x.cnf"
	openssl ca -config "$TMP/x.cnf" -gencrl -cert "$1" -keyfile "$2" -out "$TMP/x.crl" "${@:3}" 2>"$TMP/gencrl.err" && crl "$TMP/x.crl"
}
# a responder's own certificate: without nocheck it must be good by a CRL (RFC 6960, 4.2.2.2.1)
delegate() { # CA EXTENSIONS DAYS
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$WWW/forger.key" -subj "/CN=OCSP Signer" 2>/dev/null |
		openssl x509 -req -CA "$AGENCY/$1.pem" -CAkey "$AGENCY/private/$1.key" -set_serial 0x4D -days "$3" -out "$WWW/forger.pem" \
			-extfile <(printf 'keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\nextendedKeyUsage=OCSPSigning\n%b\n' "$2") \
			2>"$TMP/delegate.err"
}
rm "$WWW/crl"
index "$SERIAL" V 0ABCDEF1 V
ocsp forged
point="crlDistributionPoints=URI:http://127.0.0.1:$PORT/pki/ca.crl"
check 'fixture: a delegate with nocheck' delegate ca noCheck=yes 10
is 'nocheck: nobody asks further' "['certificate']['by']" OCSP
check 'fixture: an expired delegate' delegate ca noCheck=yes -1
unknown 'not signed by the issuer' 'nocheck, but expired'
check 'fixture: a delegate of the CA above' delegate root noCheck=yes 10
unknown 'not signed by the issuer' 'nocheck, but of another CA'
check 'fixture: a delegate that names no CRL' delegate ca '' 10
unknown "responder's own certificate is revoked is unknown" 'no nocheck, and no CRL named'
check 'fixture: a delegate that names a CRL' delegate ca "$point" 10
unknown "responder's own certificate is revoked is unknown" 'no nocheck, and its CRL is not there'
check 'fixture: a CRL without it' gencrl "$AGENCY/ca.pem" "$AGENCY/private/ca.key" -crldays 1
is 'no nocheck, and good by its CRL' "['certificate']['by']" OCSP
index "$SERIAL" R 0ABCDEF1 V
status 5 'and believed when it says revoked' check_it auth
printf 'R\t301231235959Z\t260101000000Z\t4D\tunknown\t/CN=OCSP Signer\n' >"$TMP/x.db"
check 'fixture: a CRL that has it' gencrl "$AGENCY/ca.pem" "$AGENCY/private/ca.key" -crldays 1
is 'no nocheck, revoked: what it says does not count' "['certificate']['by']" CRL
: >"$TMP/x.db"
ocsp none
check 'fixture' gencrl "$AGENCY/ca.pem" "$AGENCY/private/ca.key" -crl_lastupdate 20260101000000Z -crl_nextupdate 20260102000000Z
unknown 'CRL: CRL has expired' 'a stale CRL'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/f.key" -out "$TMP/f.pem" -days 10 \
	-subj "$(openssl x509 -in "$AGENCY/ca.pem" -noout -subject -nameopt compat | sed 's/^subject= *//')" 2>/dev/null
check 'fixture: forged' gencrl "$TMP/f.pem" "$TMP/f.key" -crldays 1
unknown 'CRL: ' 'a forged CRL'
check 'fixture: of the root' crl "$AGENCY/root.crl"
unknown 'CRL: ' "another CA's CRL"
: >"$WWW/crl"
LIMIT=20 unknown 'CRL: ' 'a CRL without end'
echo junk >"$WWW/crl"
unknown 'sends something else' 'a CRL that is none'
pki_stop
unknown 'CRL: ' 'nobody is there'
is 'and that is unknown' "['certificate']['state']" unknown
mkdir -p "$XDG_CONFIG_HOME/dpiv"
printf '%s\n' '[check]' "crls = $AGENCY/ca.crl" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
status 5 'a file of CRLs needs no network: revoked' check_it auth
check 'and good' check_it sign
says 'CRL file' 'and says so' check_it sign
printf '%s\n' '[check]' "crls = $TMP/pin" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
status 1 'a file without CRLs' check_it sign

# --- remembered ---------------------------------------------------------------------------------------------------------------
rm "$XDG_CONFIG_HOME/dpiv/dpiv.conf"
remembered() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; c = [c for c in json.load(sys.stdin)['credentials'] if c['role'] == 'sign'][0]; assert c['check']['certificate'] == 'good', c; assert c['check']['at'], c"; }
check 'status --json has the last check' remembered
aged() { python3 -c "import sqlite3; db = sqlite3.connect('$TMP/state/dpiv/state.db'); db.execute('update credential set created = created - 8 * 86400'); db.execute('update recheck set sure_at = sure_at - $1 * 86400'); db.commit()"; }
due() { "$BUILD/dpiv" status | grep -q 'not checked since it is seven days old'; }
refuse 'the check of the seventh day is not due yet' due
aged 8
check 'it is due eight days later' due
printf '%s\n' '[check]' "crls = $AGENCY/ca.crl" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
index "$SERIAL" V 0ABCDEF1 V
"$BUILD/dpiv" check --cafile "$AGENCY/root.pem" >/dev/null 2>&1
refuse 'and not any more when it was done' due
