#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# People as the site knows them: a list imported before any card is seen, the site's own identity system asked for each
# request, a limit of credentials; asked with curl, as in issuer_curl.sh.
. tests/lib/shell.sh
. tests/lib/issuer.sh

AUTH=
account() { "$ISSUER" account "$@"; }
ask() { # NAME: a new key, as the card's holder; the answer in $TMP/NAME.answer
	file_key "$1" p256 && enroll pat "$AUTH" "$1"
}

check 'an agency' agency_init
check 'accounts are listed' agency_set 'mode = listed' 'max_credentials = 2'
check 'a card' file_card pat p256
check_start 'serve'
status 1 'nobody is listed' ask none
says 'unknown-account' 'the code says so' cat "$TMP/none.answer" "$TMP/headers"

# --- a list ---------------------------------------------------------------------------------------------------------------
printf 'name,email,fascn\r\n"Example, Pat",pat@example.test,0032-0001-092446\r\nSam,sam@example.test,00320001092447\r\n' \
	>"$TMP/people.csv"
says '2 added' 'import' account import --dir "$AGENCY" "$TMP/people.csv"
says '2 as they were' 'again: nothing new' account import --dir "$AGENCY" "$TMP/people.csv"
printf 'name,fascn\nKim,00320001092448\nBob,12\n' >"$TMP/bad.csv"
status 1 'a list with a mistake' account import --dir "$AGENCY" "$TMP/bad.csv"
says 'line 3: 12 is not the FASC-N' 'it says where' account import --dir "$AGENCY" "$TMP/bad.csv"
check 'and changes nothing' test "$(account list "$AGENCY" | wc -l)" -eq 2
check 'the person on the list enrols with a card never seen before' ask one
shown() { account show --json --dir "$AGENCY" 1 | python3 -c "import json, sys; a = json.load(sys.stdin); print($1)"; }
says 'Example, Pat' 'show: the name' shown 'a["name"]'
says 'pat@example.test' 'show: the mail address of the list' shown 'a["email"]'
says '1 1 valid' 'show: card and credential' shown \
	'len(a["cards"]), len(a["credentials"]), a["credentials"][0]["state"]'
says 'issued' 'show: what happened last' shown 'a["events"][0]["what"]'
check 'show, for people' account show --dir "$AGENCY" 1
status 3 'show: no such account' account show --dir "$AGENCY" 99

# --- the limit --------------------------------------------------------------------------------------------------------------
check 'a second credential' ask two
status 1 'not a third' ask three
says 'account-full' 'the code says so' cat "$TMP/three.answer" "$TMP/headers"
says '2 valid credentials' 'and the sentence how many' cat "$TMP/three.answer"
check 'one is revoked' "$ISSUER" revoke --dir "$AGENCY" --cert "$TMP/two.pem"
check 'then there is room' ask four
check 'the same request again gets the same certificate, limit or not' enroll pat "$AUTH" four

# --- after a loss: what was bound in the seven days before it --------------------------------------------------------------------
says '[]' 'nothing is to be examined: a revocation is no loss' shown 'a["examine"]'
check 'one is lost' "$ISSUER" revoke --dir "$AGENCY" --reason keyCompromise --cert "$TMP/four.pem"
serial_of() { openssl x509 -in "$TMP/$1.pem" -noout -serial | cut -d= -f2; }
check 'what was bound before it is to be examined, and nothing that is revoked' test \
	"$(shown '*(x["serial"] + "/" + x["lost"] for x in a["examine"])')" = "$(serial_of one)/$(serial_of four)"
bound() { python3 -c "import sqlite3; d = sqlite3.connect('$AGENCY/issuer.db', timeout=20); d.execute(\"UPDATE certificate SET created = created - $1 WHERE serial = '$(serial_of one)'\"); d.commit()"; }
check 'fixture: bound almost seven days before' bound 604700
check 'that is still one of them' test "$(shown 'len(a["examine"])')" -eq 1
check 'fixture: eight days before' bound 86400
check 'that is none' test "$(shown 'len(a["examine"])')" -eq 0
check 'fixture: as it was' bound -691100
check_stop 'stop'

# --- the site's identity system ---------------------------------------------------------------------------------------------
check 'no limit' agency_set 'max_credentials = 0'
cat >"$TMP/hook" <<HOOK
#!/bin/sh
cat >$TMP/asked
. $TMP/answer
HOOK
chmod 755 "$TMP/hook"
check 'a hook' agency_set "hook = $TMP/hook" 'hook_seconds = 1'
check_start 'serve with it'
echo 'exit 0' >"$TMP/answer"
check 'yes' ask five
asked() { python3 -c "import json; a = json.load(open('$TMP/asked')); print($1)"; }
says 'enrol auth 00320001092446 pat@example.test' 'what it was told' asked \
	'a["operation"], a["purpose"], a["fascn"], a["upn"]'
echo 'echo left the agency on Monday; echo second line; exit 1' >"$TMP/answer"
status 1 'no' ask six
says 'identity-refused' 'no: the code' cat "$TMP/six.answer" "$TMP/headers"
says 'left the agency on Monday' 'no: its own words' cat "$TMP/six.answer"
silent() { # NAME
	status 1 "$1" ask seven
	says '503' "$1: to be tried again" tail -n 1 "$TMP/http"
	says 'identity-unavailable' "$1: the code" cat "$TMP/seven.answer" "$TMP/headers"
}
echo 'exit 7' >"$TMP/answer"
silent 'it fails'
echo 'kill -9 $$' >"$TMP/answer"
silent 'it crashes'
echo 'sleep 30 & sleep 30' >"$TMP/answer"
silent 'it takes too long'
echo 'head -c 1000000 /dev/zero; exit 1' >"$TMP/answer"
status 1 'it talks too much' ask seven
rm "$TMP/hook"
silent 'it is not there'
check 'nothing was issued meanwhile' test "$(shown 'len(a["credentials"])')" -eq 4
refusals() { "$ISSUER" status --json "$AGENCY" | python3 -c 'import json, sys; print(json.load(sys.stdin)["refusals"])'; }
check 'all refusals are in the ledger' test "$(refusals)" -eq 8
check_stop 'stop'
