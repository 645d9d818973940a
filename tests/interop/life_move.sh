#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two issuers: credentials of both on one token, told apart; dpiv renew --move-to and renew_to in [policy], --card at the same
# issuer; the old credential is revoked where it came from, an encryption key is kept; cut short between the two issuers; another
# person's card moves nothing.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg p256 --name Kim --upn kim@example.test"
. tests/lib/shell.sh
at_end issuer_stop
at_end second_stop
AGENCY=$DERIVE_DIR/agency
SECOND=$TMP/second
A=https://localhost:8443 B=https://localhost:8444
"$BUILD/dpiv-issuer" init --demo --name Second --port 8444 "$SECOND" >"$TMP/init.log" 2>&1 || fail 'another issuer' "$(cat "$TMP/init.log")"
sed -i "s|^# anchors.*|anchors = $AGENCY/root.pem|; s|^# intermediates.*|intermediates = $AGENCY/ca.pem|; s|^# crls.*|crls = $AGENCY/crls.pem|" \
	"$SECOND/issuer.conf"
second_start() {
	: >"$TMP/second.log"
	"$BUILD/dpiv-issuer" serve "$SECOND" >"$TMP/second.log" 2>&1 &
	SECOND_PID=$!
	for _ in $(seq 100); do grep -q '^listening on' "$TMP/second.log" && return 0; sleep 0.05; done
	return 1
}
second_stop() {
	[ -z "${SECOND_PID-}" ] || { kill "$SECOND_PID"; wait "$SECOND_PID"; } 2>/dev/null
	SECOND_PID=
}
conf() { # LINE...: the two issuers, and more
	mkdir -p "$XDG_CONFIG_HOME/dpiv"
	printf '%s\n' '[issuer a]' "url = $A" "cafile = $AGENCY/root.pem" '[issuer b]' "url = $B" "cafile = $SECOND/root.pem" \
		'[derive]' "to = $TO" "$@" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}
renew() { "$BUILD/dpiv" renew --from "$CARD_URI" "$@"; }
derive_at() { "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer "$@"; }
creds() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print(*sorted(c['role'] + '@' + c['issuer'][-1:] for c in json.load(sys.stdin)['credentials']))"; }
serial_of() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == '$1' and c['issuer'] == '$2'][0])"; }
keys() { token_objects | grep -c '^Private Key'; }
on_crl() { openssl crl -in "$1/ca.crl" -noout -text | grep -A4 "Serial Number: $2"; }

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
second_start || fail 'a second issuer' "$(cat "$TMP/second.log")"
token_fresh laptop
conf
card 1

# --- several at once ----------------------------------------------------------------------------------------------------------
check 'at one issuer' derive_at a
check 'at the other' derive_at b
check 'both are in use' test "$(creds)" = 'auth@3 auth@4'
check 'with a key each' test "$(keys)" -eq 2
says "by $B" 'a role fits both, and their issuers are said' "$BUILD/dpiv" revoke auth --yes
status 2 'and it is not guessed' "$BUILD/dpiv" revoke auth --yes
check 'by role and issuer' "$BUILD/dpiv" revoke "auth,$B" --yes
check 'that one' test "$(creds)" = auth@3

# --- a move -------------------------------------------------------------------------------------------------------------------
check 'the others' derive_at a --role sign,encrypt
OLD=$(serial_of auth $A) OLDSIGN=$(serial_of sign $A) OLDENC=$(serial_of encrypt $A)
status 2 'what moves is named' renew --move-to b
card 2
status 5 "another person's card moves nothing" renew auth --move-to b
says 'nothing shows that this is the person' 'and that is said' renew auth --move-to b
check 'nothing has changed' test "$(creds)/$(keys)" = 'auth@3 encrypt@3 sign@3/3'
card 1
check 'moved' renew --all --move-to b
check 'all of them' test "$(creds)" = 'auth@4 encrypt@4 sign@4'
check 'the old decryption key stays, for old mail' test "$(keys)" -eq 4
for s in "$OLD" "$OLDSIGN" "$OLDENC"; do
	on_crl "$AGENCY" "$s" >"$TMP/entry"
	check "revoked at the old issuer, as superseded: ${s:0:6}" grep -q Superseded "$TMP/entry"
done
check 'the new ones renew where they are now' renew auth --force
check 'still there' test "$(creds)" = 'auth@4 encrypt@4 sign@4'

# --- by policy, in a copy of /etc that is seen here alone ---------------------------------------------------------------------
admin() { # LINE...
	cp -a /etc "$TMP/etc"
	mkdir -p "$TMP/etc/dpiv"
	conf "$@"
	grep -v -e '^\[derive\]' -e '^to = ' "$XDG_CONFIG_HOME/dpiv/dpiv.conf" >"$TMP/etc/dpiv/dpiv.conf"
	printf '%s\n' '[derive]' "to = $TO" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
	mount --bind "$TMP/etc" /etc && at_end 'umount /etc 2>/dev/null'
}
fresh() {
	token_fresh laptop
	conf
	check 'afresh' derive_at a --role auth,sign
}
fresh
admin '[policy]' 'renew_to = b'
check 'not before it is time' renew
check 'nothing has moved' test "$(creds)" = 'auth@3 sign@3'
check 'when it is time' renew auth --force
check 'it moves' test "$(creds)" = 'auth@4 sign@3'
check 'and stays there' renew "auth,$B" --force
check 'it is there' test "$(creds)" = 'auth@4 sign@3'
umount /etc

# --- by the card, at the same issuer ------------------------------------------------------------------------------------------
fresh
OLD=$(serial_of sign $A)
check 'by the card' renew sign --card
check 'it is another one' test "$(serial_of sign $A)" != "$OLD"
check 'the old one is revoked' on_crl "$AGENCY" "$OLD"
check 'two keys' test "$(keys)" -eq 2

# --- cut short ----------------------------------------------------------------------------------------------------------------
fresh
second_stop
status 1 'the new issuer is not there' renew auth --move-to b
check 'nothing has changed' test "$(creds)/$(keys)" = 'auth@3 sign@3/2'
second_start || fail 'the second issuer again'
issuer_stop
status 1 'the old issuer is not there' renew auth --move-to b
check 'both are there' test "$(creds)/$(keys)" = 'auth@3 auth@4 sign@3/3'
says 'dpiv revoke' 'and what is left to be done is said' "$BUILD/dpiv" status
issuer_start || fail 'the issuer again'
check 'the next run ends it' renew
check 'one is left' test "$(creds)/$(keys)" = 'auth@4 sign@3/2'
