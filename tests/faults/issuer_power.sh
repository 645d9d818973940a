#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The issuer is killed before each of its writes, while it revokes, terminates an account and issues (POWER_EVERY=N: each
# N-th only). Then it is started again, and ledger, CRL and chain of events agree: what the ledger revoked is on the list
# and nothing else, no CRL number came twice with other contents, and a certificate that left the building is in the ledger.
. tests/lib/sweep.sh
. tests/lib/shell.sh
. tests/lib/issuer.sh

gcc -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -shared -fPIC -O1 -Wall -o "$TMP/state_shim.so" tests/faults/state_shim.c -ldl ||
	fail 'the state shim is built'
check 'an agency' agency_init
check 'a card' file_card pat p256
check_start 'serve'
for n in one two; do
	file_key $n p256
	check "a certificate: $n" enroll pat '' $n
done
check_stop 'stop'
mv "$AGENCY" "$TMP/kept"
mkdir "$TMP/numbers" # CRL number -> digest of the list

ledger() { sqlite_like "$AGENCY/issuer.db" "$1"; }
sqlite_like() {
	/usr/bin/python3 -c 'import sqlite3, sys
for r in sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]): print(*r)' "$@"
}
listed() { openssl crl -in "$1" -noout -text 2>/dev/null | sed -n 's/^ *Serial Number: //p' | sort; }
# What a relying party may have seen: each list's number is another's.
seen_list() {
	local number digest
	number=$(openssl crl -in "$AGENCY/ca.crl" -noout -crlnumber) || return 0
	digest=$(openssl crl -in "$AGENCY/ca.crl" -outform DER | openssl dgst -sha256)
	number=$TMP/numbers/$1-${number#*=}
	[ -e "$number" ] || echo "$digest" >"$number"
	[ "$(cat "$number")" = "$digest" ] || { echo "two lists with the number of $number"; return 1; }
}
# After a start: do they agree?
agree() { # N
	seen_list "$1" || return 1
	issuer_start || return 1
	issuer_stop || { echo 'does not stop'; return 1; }
	seen_list "$1" || return 1
	[ "$(listed "$AGENCY/ca.crl")" = "$(ledger 'SELECT serial FROM revocation ORDER BY serial')" ] || {
		echo "listed: $(listed "$AGENCY/ca.crl")"; echo "revoked: $(ledger 'SELECT serial FROM revocation')"; return 1; }
	[ "$(head -c "$(stat -c %s "$AGENCY/ca.crl")" "$AGENCY/crls.pem")" = "$(cat "$AGENCY/ca.crl")" ] ||
		{ echo 'crls.pem has an older list'; return 1; }
	"$ISSUER" audit verify "$AGENCY" || return 1
}
shimmed() { env LD_PRELOAD="$TMP/state_shim.so" STATE_SHIM_DIR="$AGENCY" "$@"; }
fresh() { rm -rf "$AGENCY"; cp -a "$TMP/kept" "$AGENCY"; }
# cut NAME COMMAND...: killed before each write of the command; the same command then ends what is left
cut() {
	local name=$1 n writes bad='' points=0
	shift
	fresh
	rm -f "$TMP/writes"
	STATE_SHIM_LOG=$TMP/writes shimmed "$@" >"$TMP/out" 2>&1 || { fail "$name, undisturbed" "$(cat "$TMP/out")"; return; }
	writes=$(wc -l <"$TMP/writes")
	for ((n = 1; n <= writes; n += ${POWER_EVERY:-1})); do
		fresh
		STATE_SHIM_RULE=kill:$n shimmed "$@" >/dev/null 2>&1
		[ $? -eq 137 ] || bad="$bad; $n: was not killed"
		agree "$name$n" >"$TMP/why" 2>&1 || bad="$bad; $n: $(cat "$TMP/why")"
		"$@" >/dev/null 2>"$TMP/again" || grep -q 'already\|for good' "$TMP/again" || bad="$bad; $n: again: $(cat "$TMP/again")"
		"$settled" || bad="$bad; $n: not done in the end"
		points=$((points + 1))
	done
	if [ -z "$bad" ] && [ $points -gt 5 ]; then pass "$name: killed before $points of $writes writes, survived"; else
		fail "$name: killed before a write" "$points points$bad"; fi
}

SERIAL=$(openssl x509 -in "$TMP/one.pem" -noout -serial)
SERIAL=${SERIAL#*=}
settled() { listed "$AGENCY/ca.crl" | grep -qx "$SERIAL"; }
settled=settled
cut revoke "$ISSUER" revoke --dir "$AGENCY" "$SERIAL"
both() { [ "$(listed "$AGENCY/ca.crl" | wc -l)" -eq 2 ]; }
settled=both
cut terminate "$ISSUER" account terminate --dir "$AGENCY" 1

# --- while it issues: the server is killed, the person asks the next one again ---
file_key new p256
csr new
ask() { # the answer's certificate in $TMP/new.pem
	rm -f "$TMP/new.pem"
	est pat /.well-known/est/simpleenroll -H 'Content-Type: application/pkcs10' --data-binary "@$TMP/new.b64" --max-time 20 \
		>"$TMP/new.answer" 2>/dev/null && [ "$(tail -n 1 "$TMP/http")" = 200 ] &&
		base64 -di "$TMP/new.answer" | openssl pkcs7 -inform der -print_certs | openssl x509 -out "$TMP/new.pem"
}
serve() { # [RULE]
	LD_PRELOAD=$TMP/state_shim.so STATE_SHIM_DIR=$AGENCY STATE_SHIM_RULE=${1-} STATE_SHIM_LOG=$TMP/writes issuer_start
}
valid() { ledger "SELECT count(*) FROM certificate WHERE state = 'issued'"; }
fresh
rm -f "$TMP/writes"
serve || fail 'serve with the shim'
before=$(wc -l <"$TMP/writes")
check 'issue, undisturbed' ask
after=$(wc -l <"$TMP/writes")
issuer_stop
had=$(valid)
bad='' points=0
for ((n = before + 1; n <= after; n += ${POWER_EVERY:-1})); do
	fresh
	serve "kill:$n" || bad="$bad; $n: does not start"
	ask && first=$(openssl x509 -in "$TMP/new.pem" -noout -serial) || first=
	issuer_stop 2>/dev/null
	agree "issue$n" >"$TMP/why" 2>&1 || bad="$bad; $n: $(cat "$TMP/why")"
	issuer_start || bad="$bad; $n: does not start again"
	ask || bad="$bad; $n: not issued again: $(cat "$TMP/new.answer")"
	second=$(openssl x509 -in "$TMP/new.pem" -noout -serial)
	[ -z "$first" ] || [ "$first" = "$second" ] || bad="$bad; $n: two certificates, $first and $second"
	[ "$(ledger "SELECT count(*) FROM certificate WHERE serial = '${second#*=}' AND state = 'issued'")" = 1 ] ||
		bad="$bad; $n: the certificate is not in the ledger"
	[ "$(valid)" = "$had" ] || bad="$bad; $n: $(valid) issued, not $had"
	issuer_stop 2>/dev/null
	points=$((points + 1))
done
if [ -z "$bad" ] && [ $points -gt 3 ]; then pass "issue: killed before $points of $((after - before)) writes, survived"; else
	fail 'issue: killed before a write' "$points points$bad"; fi
