#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two tokens of one person, derived from one card (SP 800-157r1, 2.2): each is checked, renewed and revoked without the other
# being touched, with one token out of reach as well, and the issuer knows both.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency

serials() { # TOKEN: of its credentials
	"$BUILD/dpiv" status --json | python3 -c "import json, sys
print(*sorted(c['role'] + '=' + c['serial'] for c in json.load(sys.stdin)['credentials'] if c['token'] == '$1'))"
}
one() { serials "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"; } # TOKEN ROLE
objects() { pkcs11-tool --module "$SOFTHSM" --token-label "$1" --login --pin 123456 -O 2>/dev/null | grep -v '^Using slot' | sort; }
keys() { objects "$1" | grep -c '^Private Key'; }
at_issuer() { # SERIAL: what the ledger says of it
	python3 -c "import sqlite3
d = sqlite3.connect('$AGENCY/issuer.db', timeout=30)
print('revoked' if d.execute('SELECT count(*) FROM revocation WHERE serial = ?', ('$1',)).fetchone()[0] else
      d.execute('SELECT state FROM certificate WHERE serial = ?', ('$1',)).fetchone()[0])"
}
run() { local verb=$1; shift; "$BUILD/dpiv" "$verb" --cafile "$AGENCY/root.pem" "$@"; }
untouched() { objects "$1" | cmp - "$TMP/$1.before"; }
before() { objects "$1" >"$TMP/$1.before"; }

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
token_fresh laptop
LAPTOP=$TO
softhsm_token phone
PHONE="pkcs11:token=phone?module-path=$SOFTHSM&pin-source=file:$TMP/pin"
mkdir -p "$XDG_CONFIG_HOME/dpiv"
printf '[check]\ncrls = %s\n' "$AGENCY/crls.pem" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
check 'derived on the first' derive --alg p256 --role auth,sign
before laptop
TO=$PHONE
check 'and on the second, from the same card' derive --alg p256 --role auth,sign
check 'which leaves the first alone' untouched laptop
check 'each has its keys' test "$(keys laptop)/$(keys phone)" = 2/2
L=$(one laptop auth) P=$(one phone auth)
check 'and certificates of its own' test -n "$L" -a -n "$P" -a "$L" != "$P"
check 'the issuer has them on one account' test "$(python3 -c "import sqlite3
print(*sqlite3.connect('$AGENCY/issuer.db').execute('SELECT count(*), count(DISTINCT account), count(DISTINCT card_sha256) FROM certificate').fetchone())")" = '4 1 1'

# --- check ---------------------------------------------------------------------------------------------------------------------
states() { run check "$@" --json | python3 -c "import json, sys; print(*(c['certificate']['state'] for c in json.load(sys.stdin)['credentials']))"; }
check 'all are good' test "$(states)" = 'good good good good'
check 'by the name of a token, its own' test "$(states phone)" = 'good good'
check 'by the card: it is that of all' test "$(run check --card --from "$CARD_URI" --json | grep -c '"state": "same"')" = 4

# --- renew ---------------------------------------------------------------------------------------------------------------------
before laptop
check 'one on the second is renewed' run renew "$P" --token "$PHONE" --force
check 'the first is as it was' untouched laptop
check 'also in the state' test "$(one laptop auth)" = "$L"
NEW=$(one phone auth)
check 'the second has another' test -n "$NEW" -a "$NEW" != "$P"
before phone
check 'then the one on the first' run renew "$L" --token "$LAPTOP" --force
check 'the second is as it was' untouched phone
L=$(one laptop auth) P=$NEW

# --- revoke --------------------------------------------------------------------------------------------------------------------
status 2 'a role names two: none is revoked' run revoke auth --yes
check 'neither of them' test "$(at_issuer "$L")/$(at_issuer "$P")" = issued/issued
before phone
check 'that of the first' run revoke "$L" --yes --token "$LAPTOP"
check 'is revoked, the other one is not' test "$(at_issuer "$L")/$(at_issuer "$P")" = revoked/issued
check 'one key less on the first' test "$(keys laptop)" = 1
check 'the second is as it was' untouched phone
check 'and can still be renewed' run renew "$P" --token "$PHONE" --force
P=$(one phone auth)
check 'the rest is good' test "$(states)" = 'good good good'

# --- one of them is lost ---------------------------------------------------------------------------------------------------------
mkdir "$TMP/lost"
for d in "$TMP"/tokens/*; do grep -qa phone "$d"/token.object && mv "$d" "$TMP/lost/"; done
check 'fixture: the second token is away' test "$(keys phone)/$(keys laptop)" = 0/1
before laptop
check 'what was on it is revoked by the card' run revoke auth,phone --lost --yes --from "$CARD_URI"
check 'the other one, too' run revoke sign,phone --lost --yes --from "$CARD_URI"
check 'at the issuer' test "$(at_issuer "$P")" = revoked
check 'the first is as it was' untouched laptop
check 'and good' test "$(states)" = good
