#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Binding without a card reader (SP 800-157r1, App. C): dpiv bind where the card is, dpiv derive --code-file where no reader
# is, under TLS 1.2 and 1.3; the code works once, for its roles, for minutes, after few wrong guesses not at all, shows up in
# no log, and the issuer or the client may be killed in the middle.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
sed -i 's/^require_binding.*/require_binding = yes/' "$AGENCY/issuer.conf"
sed -i 's/^require_chuid.*/require_chuid = yes/' "$AGENCY/issuer.conf"

bind() { "$BUILD/dpiv" bind --from "$CARD_URI" --issuer "$ISSUER" --cafile "$AGENCY/root.pem" "$@"; }
# the other machine: no pcscd, so no reader
there() {
	PCSCLITE_CSOCK_NAME=$TMP/no-pcscd "$BUILD/dpiv" derive --to "$TO" --issuer "$ISSUER" --cafile "$AGENCY/root.pem" "$@"
}
bind_to() { # FILE OPTIONS
	local file=$1
	shift
	bind "$@" >"$file"
}
keys() { token_objects | grep -c '^Private Key'; }
ledger() { python3 -c "import sqlite3,sys
d=sqlite3.connect('$AGENCY/issuer.db',timeout=30)
for r in d.execute(sys.argv[1]): print('|'.join(str(x) for x in r))
d.commit()" "$1"; }
subject() { openssl x509 -in "$1" -noout -subject; }
looks_like_a_code() { grep -qxE '([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}' "$1" && [ "$(wc -l <"$1")" -eq 1 ]; }
none_of_it() { ! grep -rqF -e "$1" -e "${1//-/}" "${@:2}"; }
serve() { issuer_start "$@" || fail 'the issuer starts' "$(cat "$TMP/issuer.log")"; }

n=0
for tls in 1.2 1.3; do
	n=$((n + 1))
	card $n
	serve --tls $tls
	token_fresh laptop
	refuse "TLS $tls: there is no card on the other machine" there
	check "TLS $tls: bind" bind_to "$TMP/code"
	check "TLS $tls: the output is the code" looks_like_a_code "$TMP/code"
	check "TLS $tls: derive with the code" there --code-file "$TMP/code"
	check "TLS $tls: one key" test "$(keys)" -eq 1
	card_cert "$TMP/card.pem"
	token_cert 01 "$TMP/new.pem"
	check "TLS $tls: in the card's name" test "$(subject "$TMP/new.pem")" = "$(subject "$TMP/card.pem")"
	status 5 "TLS $tls: not a second time" there --code-file "$TMP/code" --again
	says 'was used already' '  with its sentence' there --code-file "$TMP/code" --again
	says 'the binding code: ' '  said before a key is made' there --code-file "$TMP/code" --again
	check '  nothing was left on the token' test "$(keys)" -eq 1
	check "TLS $tls: for two roles" bind_to "$TMP/code" --role sign,encrypt
	status 5 '  not for a third' there --code-file "$TMP/code" --role auth --again
	says 'the binding code: ' '  said before a key is made' there --code-file "$TMP/code" --role auth --again
	says 'was not given for auth' '  with its sentence' there --code-file "$TMP/code" --role auth --again
	check '  derived' there --code-file "$TMP/code" --role sign,encrypt
	check '  three keys' test "$(keys)" -eq 3
	issuer_stop
done

# --- what is wrong with it -----------------------------------------------------------------------------------------------
serve
token_fresh laptop
bind_to "$TMP/code"
code=$(cat "$TMP/code")
slip() { tr "${code:7:1}" "$([ "${code:7:1}" = A ] && echo B || echo A)" <<<"$code"; }
says 'mistyped' 'a slip is noticed' there --code-file <(slip)
status 5 '  status 5' there --code-file <(slip)
status 5 'an empty file' there --code-file /dev/null
status 2 'a code does not go with a card' there --code-file "$TMP/code" --from "$CARD_URI"
python3 -c "
A='0123456789ABCDEFGHJKMNPQRSTVWXYZ'
def close(s):
    c=0
    for ch in s+'0': c=(c<<1)^(0x25 if c&16 else 0)^A.index(ch)
    return s+A[c]
import sys
s=sys.argv[1].replace('-','')
for i in range(6): print(close(s[:4]+'%015d'%i))" "$code" >"$TMP/guesses"
bind_to "$TMP/other"
says 'newer binding code' 'a code that a newer one replaced' there --code-file "$TMP/code"
status 5 '  status 5' there --code-file "$TMP/code"
ledger 'UPDATE bind_code SET expires = expires - 3600 WHERE replaced = 0'
says 'has expired' 'an old code' there --code-file "$TMP/other"
status 5 '  status 5' there --code-file "$TMP/other"
check 'no key was made for any of them' test "$(keys)" -eq 0

bind_to "$TMP/code"
code=$(tr -d '-' <"$TMP/code")
guess() { sed -n "$1s/^..../${code:0:4}/p" "$TMP/guesses"; }
with_curl() { # CODE: the status of the answer
	curl -sS --http1.1 --cacert "$AGENCY/root.pem" -u "x:$1" -o "$TMP/answer" -w '%{http_code}' "$ISSUER/.well-known/dpiv/card"
}
close_guess() { python3 -c "
A='0123456789ABCDEFGHJKMNPQRSTVWXYZ'
s='$1'[:19]
c=0
for ch in s+'0': c=(c<<1)^(0x25 if c&16 else 0)^A.index(ch)
print(s+A[c])"; }
check 'the right code tells of the card' test "$(with_curl "$code")" = 200
for k in 1 2 3 4 5; do
	check "guess $k is wrong" test "$(with_curl "$(close_guess "$(guess $k)")")/$(grep -c code-wrong "$TMP/answer")" = 403/1
done
check 'guess 6 is not looked at' test "$(with_curl "$(close_guess "$(guess 6)")")/$(grep -c code-tries "$TMP/answer")" = 403/1
status 5 'nor is the right code then' there --code-file "$TMP/code"
says 'too many wrong' '  with its sentence' there --code-file "$TMP/code"
check 'the guesses are in the events' test "$(ledger "SELECT count(*) FROM event WHERE code = 'code-wrong'")" = 5
ledger 'DELETE FROM bind_guess'
says 'too many wrong' 'from another address neither' there --code-file "$TMP/code"
check 'a new code is another chance' bind_to "$TMP/code"
from_pipe() { there --code-file - <"$TMP/code"; }
DPIV_LOG=debug from_pipe >"$TMP/derive.log" 2>&1
check 'from standard input' test "$(keys)" -eq 1
check 'the client logs no code' none_of_it "$(cat "$TMP/code")" "$TMP/derive.log"
check 'the state store has no code' none_of_it "$(cat "$TMP/code")" "$TMP/state"
check 'the issuer logs no code' none_of_it "$(cat "$TMP/code")" "$TMP/issuer.log" "$AGENCY"

# --- for people and programs ---------------------------------------------------------------------------------------------
bind --json >"$TMP/json"
check '--json' python3 -c "
import json,re
j=json.load(open('$TMP/json'))
assert sorted(j)==['code','expires','issuer','name','roles','seconds','version'], j
assert j['roles']==['auth'] and j['seconds']==600 and re.fullmatch(r'([0-9A-Z]{4}-){4}[0-9A-Z]{4}', j['code'])"
on_terminal() {
	LC_ALL=C.UTF-8 TERM=xterm script -qec "$(printf '%q ' "$BUILD/dpiv" bind --from "$CARD_URI" --issuer "$ISSUER" \
		--cafile "$AGENCY/root.pem")" /dev/null >"$TMP/screen" </dev/null
}
check 'on a terminal' on_terminal
check '  who, how long, what next' sh -c "grep -q 'PAT EXAMPLE\|Pat Example' '$TMP/screen' && grep -q '10 minutes' '$TMP/screen' && grep -q 'code-file -' '$TMP/screen'"
check '  a QR code of 17 lines' test "$(grep -c '▀\|▄\|█' "$TMP/screen")" -ge 13

# --- killed in the middle ------------------------------------------------------------------------------------------------
agree() { # every used role has its issued certificate, and nothing that a code brought is issued without a used role
	[ "$(ledger "SELECT count(*) FROM bind_role r LEFT JOIN certificate c ON c.serial = r.serial AND c.state = 'issued'
		WHERE r.used IS NOT NULL AND c.serial IS NULL")" = 0 ] &&
		[ "$(ledger "SELECT count(*) FROM event e LEFT JOIN bind_role r ON r.serial = e.serial
			WHERE e.what = 'issued' AND e.detail LIKE '%one-time%' AND r.serial IS NULL")" = 0 ]
}
again() { there --code-file "$TMP/code"; } # once more with the same code
one_of_one() { # the client has what the issuer has issued by this code, and no more was issued than that
	local serial
	token_cert 01 "$TMP/got.pem" && serial=$(openssl x509 -in "$TMP/got.pem" -noout -serial | cut -d= -f2) &&
		[ "$(keys)" -eq 1 ] && [ "$(ledger "SELECT serial FROM certificate WHERE state = 'issued' AND rowid > $BEFORE")" = "$serial" ]
}
took=$(bind_to "$TMP/code"; token_fresh laptop; start=$(date +%s%N); there --code-file "$TMP/code" >/dev/null 2>&1; echo $((($(date +%s%N) - start) / 1000000)))
used=0
for k in 1 2 3 4; do
	token_fresh laptop
	bind_to "$TMP/code"
	BEFORE=$(ledger 'SELECT coalesce(max(rowid), 0) FROM certificate')
	there --code-file "$TMP/code" >"$TMP/cut" 2>&1 &
	pid=$!
	sleep "$(awk "BEGIN { print $took * $k / 4000 }")"
	kill -KILL "$ISSUER_PID"
	wait "$ISSUER_PID" 2>/dev/null
	wait $pid
	serve
	check "issuer killed at $k/4: ledger and codes agree" agree
	check '  the next run, with the same code' again
	check '  one key, of the one certificate that is valid' one_of_one
	[ "$(ledger "SELECT count(*) FROM bind_role WHERE code = (SELECT max(id) FROM bind_code) AND used IS NOT NULL")" = 1 ] && used=$((used + 1))
done
check 'each of the 4 codes was used once' test $used -eq 4
for k in 1 2 3; do
	token_fresh laptop
	bind_to "$TMP/code"
	PCSCLITE_CSOCK_NAME=$TMP/no-pcscd "$BUILD/dpiv" derive --to "$TO" --issuer "$ISSUER" --cafile "$AGENCY/root.pem" \
		--code-file "$TMP/code" >"$TMP/cut" 2>&1 &
	pid=$!
	sleep "$(awk "BEGIN { print $took * $k / 4000 }")"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	bind_to "$TMP/code"
	check "client killed at $k/4: the next run, with a new code" there --code-file "$TMP/code"
	check '  one key' test "$(keys)" -eq 1
done
