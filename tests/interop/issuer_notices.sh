#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer tells people by mail what happens to their credentials: bound, revoked, expiring, once each, to the account's
# address and signed; a relay that is away, refuses or offers no TLS loses nothing. OpenSSL verifies the signatures.
. tests/lib/shell.sh
. tests/lib/issuer.sh

relay_start() { # DIR [CODE [CERT KEY]]: sets PORT
	mkdir -p "$TMP/$1"
	coproc R { exec /usr/bin/python3 tests/lib/smtp_server.py "$TMP/$1" "${@:2}" 2>"$TMP/relay.log"; }
	read -r -t 10 PORT <&"${R[0]}"
}
relay_stop() { eval "exec ${R[1]}>&-"; wait "$R_PID"; }
mails() { find "$TMP/$1" -name '*.eml' | wc -l; }
arrives() { # DIR NUMBER
	local n
	for n in $(seq 250); do [ "$(mails "$1")" -ge "$2" ] && return 0; sleep 0.1; done
	cat "$TMP/issuer.log"
	return 1
}
genuine() { # FILE: the signature is good and the issuer's; its text in $TMP/text
	sed '1,2d' "$1" | openssl cms -verify -CAfile "$AGENCY/chain.pem" -purpose smimesign -out "$TMP/text" 2>"$TMP/verify.log" ||
	    { cat "$TMP/verify.log" "$1"; return 1; }
}
one() { grep -l "^Subject: $2" "$TMP/$1"/*.eml; } # DIR SUBJECT

agency_init || fail 'an agency'
relay_start box
agency_set "smtp = smtp://127.0.0.1:$PORT" 'tls = no' 2>/dev/null
sed -i '/^\[listen\]/,/^\[piv\]/ s/^tls = no/tls = both/' "$AGENCY/issuer.conf"
check_start 'an issuer that has a relay'
file_card pat rsa2048
file_key new p256
check 'a credential' enroll pat '' new
SERIAL=$(openssl x509 -in "$TMP/new.pem" -noout -serial | cut -d= -f2)
check 'its holder is told, without anybody doing anything' arrives box 1
BOUND=$(one box 'A credential was derived')
check 'by a signed mail' genuine "$BOUND"
check 'to the address of the account' grep -q '^RCPT TO:<pat@example.test>' "$BOUND"
check 'with the serial number' grep -q "serial number  $SERIAL" "$TMP/text"
check 'and what to do if it was not them' grep -q 'tell your security office' "$TMP/text"
check 'the name is not in the header' bash -c "! sed '/^\r*$/q' '$BOUND' | grep -q 'PAT EXAMPLE'"
check 'it is revoked' "$ISSUER" revoke --dir "$AGENCY" --reason keyCompromise "$SERIAL"
check 'that is told, too' arrives box 2
check 'by a signed mail of its own' genuine "$(one box 'Your derived credential was revoked')"
sleep 11
check 'and nothing twice' test "$(mails box)" -eq 2
check_stop 'the issuer ends'

# --- what expires -----------------------------------------------------------------------------------------------------
notify() { "$ISSUER" notify "$AGENCY"; }
agency_set 'days = 20'
check_start 'certificates of 20 days'
file_key short p256
enroll pat '' short || fail 'a short certificate' "$(cat "$TMP/issuer.log")"
check_stop 'the issuer ends again'
notify >"$TMP/said" 2>&1 || fail 'a round' "$(cat "$TMP/said")"
check 'what expires soon is told' test -n "$(one box 'Your derived credential expires soon')"
N=$(mails box)
says '0 sent, 0 not' 'once' notify
check 'nothing more came' test "$(mails box)" -eq "$N"
relay_stop

# --- relays that do not work -------------------------------------------------------------------------------------------
again() { # a notice is due, now
	sqlite3 "$AGENCY/issuer.db" "UPDATE mail SET sent = NULL, due = 0 WHERE kind = 'expiring'"
}
again
status 1 'no relay: told so' notify
if grep -q "127.0.0.1:$PORT" <<<"$_out"; then pass 'with its address'; else fail 'with its address' "$_out"; fi
check 'no relay: it is kept, for later' test "$(sqlite3 "$AGENCY/issuer.db" 'SELECT count(*) FROM mail WHERE sent IS NULL AND tries = 1 AND due > 0')" = 1
relay_start refuse 550
agency_set "smtp = smtp://127.0.0.1:$PORT"
again
says '0 sent, 1 not' 'a refused recipient does not stop the round' notify
relay_stop
relay_start open
sed -i "s|^smtp = .*|smtp = smtp://127.0.0.1:$PORT|; /^\[notices\]/,\$ s/^tls = no/tls = yes/" "$AGENCY/issuer.conf"
again
status 1 'a relay without TLS, where TLS is insisted upon' notify
check 'nothing was sent' test "$(mails open)" -eq 0
relay_stop
relay_start safe 250 "$AGENCY/tls.pem" "$AGENCY/private/tls.key"
sed -i "s|^smtp = .*|smtp = smtp://localhost:$PORT|" "$AGENCY/issuer.conf"
again
status 1 'a relay whose certificate is not known' notify
check 'its trust anchor is told' agency_set "smtp = smtp://localhost:$PORT"
sed -i "/^\[notices\]/a cafile = $AGENCY/root.pem" "$AGENCY/issuer.conf"
again
says '1 sent, 0 not' 'STARTTLS' notify
check 'it arrived' arrives safe 1
mv "$AGENCY/notices.pem" "$AGENCY/notices.away"
again
says 'sign = no' 'nothing to sign with: told what to do' notify
relay_stop
