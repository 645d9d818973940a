#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What --json writes is what dpiv-json(5) says: every verb that has --json, every member in both directions, its type, and
# what may be null or missing.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency

# sample VERB-AND-SO-ON COMMAND...: its output is kept, whatever its exit status
sample() {
	local verb=$1
	shift
	mkdir -p "$TMP/samples/$verb"
	"$@" >"$TMP/samples/$verb/$(find "$TMP/samples/$verb" -type f | wc -l)" 2>"$TMP/err" || true
}
status_sample() { sample status "$BUILD/dpiv" status --json; }

# --- a person with an encryption key from before, mail for it and for a key that is lost
p12_make() { # FILE NAME
	openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/$2.key" -subj "/CN=Pat Example" 2>/dev/null |
		openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial "0x$2" -days 100 -out "$TMP/$2.pem" -extfile \
			<(printf 'keyUsage=critical,keyEncipherment\nextendedKeyUsage=emailProtection\nsubjectAltName=email:pat@example.test\nsubjectKeyIdentifier=hash\n') 2>/dev/null
	openssl pkcs12 -export -inkey "$TMP/$2.key" -in "$TMP/$2.pem" -passout pass:secret -out "$1"
}
mail() { # OPTIONS... CERTIFICATE
	printf 'From: a@example.test\nTo: pat@example.test\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nMessage-ID: <%s@example.test>\n' "$RANDOM"
	echo hello | openssl cms -encrypt -aes256 "$@"
}

token_fresh laptop
mkdir -p "$HOME/.config/dpiv"
status_sample
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
check 'derived' derive --alg p256 --role auth,sign,encrypt
status_sample
sample bind "$BUILD/dpiv" bind --json --issuer "$ISSUER" --cafile "$AGENCY/root.pem" --from "$CARD_URI"
cat >"$HOME/.config/dpiv/dpiv.conf" <<CNF
[derive]
to = $TO
[token gone]
uri = pkcs11:token=gone?module-path=$SOFTHSM
CNF
sample check "$BUILD/dpiv" check --json --cafile "$AGENCY/root.pem" --timeout 3
sample check "$BUILD/dpiv" check --json --card --from "$CARD_URI" --cafile "$AGENCY/root.pem" --timeout 3
serials() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; c = [c for c in json.load(sys.stdin)['credentials'] if c['role'] == 'sign'][0]; print(c['serial'], c['card']['serial'])"; }
read -r of_sign of_card < <(serials)
check 'a certificate is revoked' "$BUILD/dpiv-issuer" revoke --dir "$AGENCY" "$of_sign"
check 'a card is revoked' "$BUILD/dpiv-issuer" revoke --dir "$AGENCY" --foreign "$of_card"
cp "$AGENCY/ca.crl" "$TMP/ca.crl"
printf '[check]\ncrls = %s\n' "$TMP/ca.crl" >>"$HOME/.config/dpiv/dpiv.conf"
sample check "$BUILD/dpiv" check --json --cafile "$AGENCY/root.pem" --timeout 3
status_sample

echo secret >"$TMP/p12.pass"
p12_make "$TMP/old.p12" 4711
p12_make "$TMP/lost.p12" 4712
echo none >"$TMP/bad.p12"
sample 'history import' "$BUILD/dpiv" history import --json --to "$TO" --password-source "file:$TMP/p12.pass" --address pat@example.test "$TMP/old.p12" "$TMP/bad.p12"
sample 'history list' "$BUILD/dpiv" history list --json
{
	echo 'From a@example.test Tue Nov 24 10:00:00 2026'
	mail "$TMP/4711.pem"
	printf '\nFrom a@example.test Tue Nov 24 10:00:00 2026\n'
	mail "$TMP/4712.pem"
	printf '\nFrom a@example.test Tue Nov 24 10:00:00 2026\n'
	mail -keyid "$TMP/4712.pem"
	printf '\nFrom a@example.test Tue Nov 24 10:00:00 2026\n'
	mail "$TMP/4712.pem" | grep -v '^Date:'
} >"$TMP/mbox"
sample 'history scan' "$BUILD/dpiv" history scan --json "$TMP/mbox"
sample 'history scan' "$BUILD/dpiv" history scan --json --messages "$TMP/mbox"
mail "$TMP/4712.pem" | grep -v '^Date:' >"$TMP/one.eml"
sample 'history scan' "$BUILD/dpiv" history scan --json --messages "$TMP/one.eml"
sample doctor "$BUILD/dpiv" doctor --json
status_sample

# an enrolment that was cut short, a reader that is empty, a store that was lost
python3 -c "
import sqlite3
d = sqlite3.connect('$TMP/state/dpiv/state.db')
d.execute(\"INSERT INTO enrolment (role, step, issuer, token_uri, token_serial, token_label, key_id, label, card_cert, created)\"
  \" SELECT role, 0, issuer, token_uri, token_serial, token_label, X'55', 'x', card_cert, created FROM credential LIMIT 1\")
d.commit()"
status_sample
rm -rf "$TMP/state"
tests/vcard-ctl remove 0 >/dev/null
tests/vcard-ctl remove 1 >/dev/null
printf '[derive]\nto = %s\n' "$TO" >"$HOME/.config/dpiv/dpiv.conf"
status_sample
# nothing at all, a card that is none, and one whose objects cannot be read
elsewhere() { # OPTIONS of with-card
	sample status env -u DPIV_VCARD_CTL HOME="$TMP/nobody" XDG_STATE_HOME="$TMP/nobody" XDG_CONFIG_HOME="$TMP/nobody" \
		tests/with-card "$@" -- "$BUILD/dpiv" status --json
}
elsewhere --no-reader
echo 'every sw 6E00' >"$TMP/fault"
elsewhere --make '--alg p256' --fault "$TMP/fault"
echo 'every ins CB sw 6F00' >"$TMP/fault"
elsewhere --make '--alg p256' --fault "$TMP/fault"
# pulled while it is read: a little later each time, until it was seen and then not
for n in 7 6 8 9 5 10; do
	echo "at $n remove" >"$TMP/fault"
	elsewhere --make '--alg p256' --fault "$TMP/fault"
	python3 -c 'import json, sys; assert any("problem" in c for c in json.load(open(sys.argv[1]))["cards"])' \
		"$(find "$TMP/samples/status" -type f | sort -V | tail -n 1)" 2>/dev/null && break
done

# --- policies: nothing said, everything said, and wrong
printf '[issuer a]\nurl = https://a.example.test\n[issuer b]\nprotocol = est\n' >"$TMP/none.conf"
cat >"$TMP/all.conf" <<CNF
[issuer a]
url = https://a.example.test
cafile = $AGENCY/root.pem
[derive]
issuer = a
[policy]
issuers = a
roles = auth,sign,encrypt
one_certificate = no
required_roles = auth
protocols = est
sign = derived
encrypt = derived
targets = pkcs11:model=SoftHSM%20v2
algorithms = p256
min_assurance = aal2
renew_to = a
trust_roots = $AGENCY/root.pem
CNF
printf '[policy]\nroles = boss\n' >"$TMP/wrong.conf"
cp "$TMP/all.conf" "$TMP/open.conf"
chmod 666 "$TMP/open.conf"
for f in none all wrong open; do sample policy "$BUILD/dpiv" policy check --json "$TMP/$f.conf"; done

# --- each verb that has it
grep -lE '\{ "json", no_argument' cli/*.c | sed 's|cli/||; s|\.c$||; s|_| |' >"$TMP/verbs"
check 'verbs with --json were found' test "$(wc -l <"$TMP/verbs")" -ge 7
while read -r verb; do
	title="dpiv $verb"
	[ "$verb" != policy ] || title='dpiv policy check'
	[ "$verb" != 'history recover' ] || continue # the report of history import: cli/history_bring.c
	if [ -d "$TMP/samples/$verb" ]; then
		mapfile -t files < <(find "$TMP/samples/$verb" -type f -size +0 | sort)
		check "dpiv $verb" python3 tests/lib/json_doc.py docs/dpiv-json.5 "$title" "${files[@]}"
	else
		fail "dpiv $verb --json" 'no sample of it is taken by this test, and dpiv-json(5) cannot be compared'
	fi
done <"$TMP/verbs"
