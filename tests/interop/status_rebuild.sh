#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The state store is deleted: dpiv status finds the credentials on their token again, by policy and label, with the issuer
# by its trust anchor; says what it cannot know; fills in the card when it sees it; and check, renew and revoke work on what
# was found. No PIN is asked for.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency

json() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); c = s['credentials']; assert $1, json.dumps(s, indent=1)"; }
conf() { # LINES of the issuer section and after
	printf '[issuer lab]\nurl = https://localhost:8443\n%s\n' "$1" >"$HOME/.config/dpiv/dpiv.conf"
	[ -n "${2-}" ] || printf '[token laptop]\nuri = %s\n' "pkcs11:token=laptop?module-path=$SOFTHSM&pin-source=file:$TMP/pin" >>"$HOME/.config/dpiv/dpiv.conf"
}
forget() { rm -rf "$TMP/state"; }
events() { python3 -c "import sqlite3; print(*(' '.join(r) for r in sqlite3.connect('$TMP/state/dpiv/state.db').execute('SELECT what, detail FROM event')), sep='\n')"; }
no_terminal() { setsid -w "$@"; }
card_out() { tests/vcard-ctl remove >/dev/null; sleep 0.3; }
card_in() { tests/vcard-ctl insert >/dev/null; card 1; }

token_fresh laptop
mkdir -p "$HOME/.config/dpiv"
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
check 'derived' derive --alg p256 --role auth,sign,encrypt
"$BUILD/dpiv" status --json >"$TMP/before.json"
cat "$AGENCY/ca.pem" "$AGENCY/root.pem" >"$TMP/both.pem"

# --- without a word about the token nothing can be found; with the card's reader empty nothing but the tokens speaks
conf "cafile = $AGENCY/root.pem" none
forget
card_out
check 'a token that nobody names is not found' json 'c == []'
conf "cafile = $TMP/both.pem"
cut -d'?' -f1 <"$HOME/.config/dpiv/dpiv.conf" | sed -n 's/^uri = //p' >"$TMP/uri"
forget
no_terminal "$BUILD/dpiv" status --json </dev/null >"$TMP/after.json" 2>"$TMP/err"
same() { # everything that a token can tell is as it was
	python3 - "$TMP/before.json" "$TMP/after.json" <<'PY'
import json, sys
before, after = (json.load(open(f)) for f in sys.argv[1:])
facts = lambda s: sorted([c[k] for k in ("role", "name", "issuer", "token", "id", "serial", "uuid", "not_after", "state")] for c in s["credentials"])
assert facts(before) == facts(after), (facts(before), facts(after))
assert after["rebuilt"] == 3, after["rebuilt"]
assert all(c["card"] is None for c in after["credentials"])
PY
}
check 'found again, as it was' same
check 'without a PIN' test ! -s "$TMP/err"
check 'the events tell' sh -c "echo \"$(events | sed 's/"//g')\" | grep -c '^rebuilt .*by its anchor' | grep -qx 3"
check 'only once' json 's["rebuilt"] == 0 and len(c) == 3'
check 'what is not known is said' json 'any("PIV card behind 3 credentials is not known" in a["what"] for a in s["attention"])'
forget
says 'What no token tells' 'and what cannot be, in words' "$BUILD/dpiv" status

# --- without the card
says "insert the PIV card and run 'dpiv status'" 'renew says what it needs' "$BUILD/dpiv" renew auth --force
says 'the state store does not know it' 'check says it of the card' "$BUILD/dpiv" check auth

# --- the card comes
card_in
check 'a card that is seen is behind them' json 'len(c) == 3 and all(x["card"]["name"] == "Pat Example" for x in c) and s["attention"] == []'
check 'the seventh day counts from the certificate' json 'all(x["since"][:4] != "1970" for x in c)'
status 0 'renewed' "$BUILD/dpiv" renew auth --force
check 'the old key is gone' test "$(token_objects | grep -c '^Private Key')" -eq 3
status 0 'an encryption key is renewed' "$BUILD/dpiv" renew encrypt --force
check 'its old key stays' test "$(token_objects | grep -c '^Private Key')" -eq 4
forget
check 'of two encryption keys the younger is in use' json 'sorted(x["role"] for x in c) == ["auth", "encrypt", "sign"] and s["old_keys"]["keys"] == 2'
replaced() { python3 -c "import sqlite3; assert sqlite3.connect('$TMP/state/dpiv/state.db').execute(\"SELECT count(*) FROM credential WHERE role = 'encrypt' AND active = 0\").fetchone() == (1,)"; }
check 'and the older was replaced' replaced
check 'check works' sh -c "'$BUILD/dpiv' check --json | python3 -m json.tool | grep -c '\"card\": {' | grep -qx 3"
status 0 'revoked' "$BUILD/dpiv" revoke sign --yes
check 'and not found again' json 'sorted(x["role"] for x in c) == ["auth", "encrypt"]'

# --- whose it is
conf ''
forget
check 'the only issuer is assumed' json 'len(c) == 2 and all(x["issuer"] == "https://localhost:8443" for x in c)'
printf '[token laptop]\nuri = %s\n' "pkcs11:token=laptop?module-path=$SOFTHSM" >"$HOME/.config/dpiv/dpiv.conf"
forget
check 'nobody knows the issuer' json 'len(c) == 2 and all(x["issuer"] is None for x in c) and any("who issued" in a["what"] for a in s["attention"])'
status 1 'nothing is renewed then' "$BUILD/dpiv" renew auth --force
conf "cafile = $TMP/both.pem"
check 'known later' json 's["rebuilt"] == 0 and all(x["issuer"] == "https://localhost:8443" for x in c)'

# --- what is not ours
pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --keypairgen --key-type EC:prime256v1 --id 77 --label other >/dev/null 2>&1
openssl x509 -in "$AGENCY/ca.pem" -outform DER -out "$TMP/ca.der"
card_cert "$TMP/card.pem" && openssl x509 -in "$TMP/card.pem" -outform DER -out "$TMP/card.der"
for f in ca card; do
	pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --write-object "$TMP/$f.der" --type cert --id 77 --label "dpiv sign $f" >/dev/null 2>&1
done
forget
check 'a CA, a card and another key are no credentials' json 'len(c) == 2 and len([k for t in s["tokens"] for k in t["keys"]]) >= 4'

# --- another dpiv derives: nothing is written meanwhile, and nothing is waited for
forget
mkdir -p "$TMP/state/dpiv"
exec 8>"$TMP/state/dpiv/state.db.lock"
flock -n 8
check 'while another dpiv derives nothing is written down' json 'c == [] and s["rebuilt"] == 0'
exec 8>&-
check 'but afterwards' json 'len(c) == 2'

# --- files that cannot be used
newer() { python3 -c "import sqlite3; d = sqlite3.connect('$TMP/state/dpiv/state.db'); d.execute('PRAGMA user_version = 99')"; }
newer
says 'install that dpiv again, or move the file away' 'a file of a newer dpiv' "$BUILD/dpiv" status
mv "$TMP/state/dpiv/state.db" "$TMP/newer.db"
rm -f "$TMP/state/dpiv/"state.db-*
check 'moved away' json 'len(c) == 2'
head -c 5000 "$TMP/newer.db" >"$TMP/state/dpiv/state.db"
rm -f "$TMP/state/dpiv/"state.db-*
says 'the file is damaged' 'a file that is cut off' "$BUILD/dpiv" status
