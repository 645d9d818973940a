#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv revoke: dpiv-issuer and CMP (the mock of `openssl cmp`) are asked, then the key is destroyed; of other EST issuers the person
# is told what to ask for. A lost token; answers that are none. Nothing without a yes; killed at every PKCS#11 call, and the next
# run finishes.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
at_end mock_stop
AGENCY=$DERIVE_DIR/agency

revoke() { "$BUILD/dpiv" revoke --cafile "$AGENCY/root.pem" --token "$TO" "$@"; }
keys() { token_objects | grep -c '^Private Key'; }
creds() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print(*[c['role'] for c in json.load(sys.stdin)['credentials']])"; }
serial_of() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; print([c['serial'] for c in json.load(sys.stdin)['credentials'] if c['role'] == '$1'][0])"; }
typed() { # ANSWER COMMAND...: on a terminal
	python3 - "$@" <<'PY'
import os, pty, sys
answer, shown = sys.argv[1].encode() + b"\n", b""
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
sent = 0
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    shown += data
    if shown.count(b"Type 'yes'") > sent:
        sent += 1
        os.write(fd, answer)
print(shown.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
PY
}
no_terminal() { setsid -w "$@"; }

# --- EST: dpiv-issuer is asked --------------------------------------------------------------------------------------------------
token_fresh laptop
status 3 'nothing to revoke' revoke --yes
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
check 'derived' derive --alg p256 --role auth,sign,encrypt
SERIAL=$(serial_of auth) SIGN=$(serial_of sign)
on_crl() { openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -A4 "Serial Number: $1"; }
status 2 'several, and none was named' revoke --yes
says "auth $SERIAL on 'laptop' by https://localhost:8443" 'which there are is said' revoke --yes
status 2 'no reason of that name' revoke auth --yes --reason boredom
status 2 'without a terminal and without --yes' no_terminal "$BUILD/dpiv" revoke auth --token "$TO"
REVOKE=("$BUILD/dpiv" revoke --token "$TO" --cafile "$AGENCY/root.pem" --from "$CARD_URI")
typed no "${REVOKE[@]}" auth >"$TMP/out"
check 'no means no' test $? -eq 1
check 'and nothing was done' grep -q 'nothing was done' "$TMP/out"
check 'the keys are there' test "$(keys)" -eq 3
refuse 'and it is not on the CRL' on_crl "$SERIAL"
check 'one that cannot authenticate is asked for by the one beside it' revoke sign --yes
check 'it is on the CRL' on_crl "$SIGN"
typed yes "${REVOKE[@]}" auth --reason keycompromise >"$TMP/out"
check 'yes means yes' test $? -eq 0
check 'the issuer was asked' grep -q 'issuer was asked to revoke' "$TMP/out"
on_crl "$SERIAL" >"$TMP/entry"
check 'it is on the CRL too, with the reason' grep -q 'Key Compromise' "$TMP/entry"
check 'the keys are gone' test "$(keys)" -eq 1
check 'and the certificates' test "$(token_objects | grep -c '^Certificate')" -eq 1
check 'and the credentials' test "$(creds)" = encrypt
typed no "${REVOKE[@]}" encrypt >"$TMP/out"
check 'old mail is thought of' grep -q 'cannot be read any more' "$TMP/out"
status 3 'without one beside it and without the card' "$BUILD/dpiv" revoke encrypt --yes --token "$TO" --cafile "$AGENCY/root.pem" --from 'pkcs11:serial=none'
check 'the key stays' test "$(keys)" -eq 1
check 'with the card' revoke encrypt --yes --from "$CARD_URI"
check 'nothing is left' test "$(keys)" -eq 0

# --- the token is lost --------------------------------------------------------------------------------------------------------
check 'two' derive --alg p256 --role auth,sign
SERIAL=$(serial_of auth)
mv "$TMP/tokens" "$TMP/away"
mkdir "$TMP/tokens"
status 3 'a token that is not there' revoke auth --yes
check 'then it is lost' revoke auth --yes --lost --from "$CARD_URI"
on_crl "$SERIAL" >"$TMP/entry"
check 'the card has it revoked' grep -q 'Key Compromise' "$TMP/entry"
check 'it is not in use any more' test "$(creds)" = sign
rm -r "$TMP/tokens"
mv "$TMP/away" "$TMP/tokens"
check 'the key is still on it' test "$(keys)" -eq 2
says 'is there again' 'the token turns up again' "$BUILD/dpiv" renew --token "$TO" --cafile "$AGENCY/root.pem"
check 'the key is destroyed' test "$(keys)" -eq 1
check 'and no other' test "$(token_objects | grep -c 'dpiv sign')" -ge 1
events() { python3 -c "import sqlite3; print(*sqlite3.connect('$TMP/state/dpiv/state.db').execute('select detail from event order by id desc limit 5'))"; }
says 'its key is destroyed' 'that is an event' events

# --- somebody else's key under the identifier ---------------------------------------------------------------------------------
ID=02
pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --delete-object --type privkey --id $ID >/dev/null 2>&1
pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --keypairgen --key-type EC:prime256v1 --id $ID --label other >/dev/null 2>&1
status 5 "another program's key is not destroyed" revoke sign --yes --from "$CARD_URI"
check 'it is still there' test "$(keys)" -eq 1

# --- what has been replaced can be revoked by its serial number ---------------------------------------------------------------
token_fresh laptop
check 'derived once' derive --alg p256
OLD=$(serial_of auth)
check 'and again' derive --alg p256 --again
status 0 'the old one, by its serial number' revoke "$OLD" --yes --reason superseded
check 'is on the CRL' on_crl "$OLD"
check 'its key is gone, and the other one there' test "$(keys)" -eq 1
check 'the new one is in use' test "$(creds)" = auth
issuer_stop

# --- EST of another make: the person has to ask -------------------------------------------------------------------------------
at_end hostile_stop
token_fresh laptop
hostile_start revoke@404
check 'derived' derive --alg p256
SERIAL=$(serial_of auth)
cp -a "$TMP/tokens" "$TMP/tokens-1"
cp -a "$TMP/state" "$TMP/state-1"
typed yes "${REVOKE[@]}" auth --reason keycompromise >"$TMP/out"
check 'yes means yes here too' test $? -eq 0
check 'what to ask for: the serial number' grep -q "serial  $SERIAL" "$TMP/out"
check 'what to ask for: the reason' grep -q 'reason  keyCompromise' "$TMP/out"
check 'that it stays valid is said' grep -q 'stays valid until the issuer revokes it' "$TMP/out"
check 'the key is gone' test "$(keys)" -eq 0
hostile_stop
answers() { # MODE STATUS TEXT: the answer is not believed, the key stays, and the next run goes on
	rm -rf "$TMP/tokens" "$TMP/state"
	cp -a "$TMP/tokens-1" "$TMP/tokens" && cp -a "$TMP/state-1" "$TMP/state"
	hostile_start "revoke@$1"
	status "$2" "answers $1" "${REVOKE[@]}" auth --yes --timeout 3
	says "$3" "answers $1: said" "${REVOKE[@]}" auth --yes --timeout 3
	check "answers $1: the key stays" test "$(keys)" -eq 1
	hostile_stop
}
answers 403 5 'because it is 403 today'
answers 503 6 'HTTP 503'
answers garbage 1 'does not say that it revoked'
answers redirect_away 5 'redirect'
answers endless 1 'sent far more'
answers cut 1 'localhost:8443'

# --- CMP ----------------------------------------------------------------------------------------------------------------------
openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/srv.key" -subj "/CN=CMP" 2>/dev/null |
	openssl x509 -req -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial 4711 -days 10 -out "$TMP/srv.pem" \
		-extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=cmcRA\nsubjectKeyIdentifier=hash\n') 2>/dev/null
mock_start() { # CERT OPTIONS...
	local cert=$1
	shift
	openssl cmp -port 8087 -srv_trusted "$AGENCY/root.pem" -srv_untrusted "$AGENCY/ca.pem" -rsp_cert "$cert" \
		-rsp_extracerts "$AGENCY/ca.pem" -srv_cert "$TMP/srv.pem" -srv_key "$TMP/srv.key" "$@" >"$TMP/mock.log" 2>&1 &
	MOCK=$!
	for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/8087) 2>/dev/null && return 0; sleep 0.05; done
	cat "$TMP/mock.log"
	return 1
}
mock_stop() {
	[ -z "${MOCK-}" ] || { kill "$MOCK"; wait "$MOCK"; } 2>/dev/null
	MOCK=
}
export ISSUER=http://127.0.0.1:8087/pkix/
shim_build || fail 'the shim is built'
token_fresh laptop
issuer_conf 'protocol = cmp' 'request = cr'
mock_start "$TMP/srv.pem" -poll_count 1000 -check_after 1
status 6 'the issuer wants time' derive_conf --alg p256
mock_stop
token_pubkey 01 "$TMP/pub.pem"
derived_cert "$TMP/pub.pem" 1001 "$TMP/first.pem" || fail 'fixture'
sleep 1
mock_start "$TMP/first.pem"
check 'derived by CMP' derive_conf --alg p256 --wait 5
mkdir "$TMP/kept"
cp -a "$TMP/tokens" "$TMP/state" "$TMP/kept"
again() { rm -rf "$TMP/tokens" "$TMP/state" && cp -a "$TMP/kept/tokens" "$TMP/kept/state" "$TMP"; }
gone() { [ -z "$(token_objects)" ] && [ -z "$(creds)" ]; }

mock_stop
status 1 'an issuer that is not there' revoke --yes
check 'then the key stays' test "$(keys)" -eq 1
says 'dpiv revoke' 'and status knows' "$BUILD/dpiv" status
refuse 'what is being revoked is not renewed' "$BUILD/dpiv" renew --all --force --token "$TO"
check 'without the issuer, said so' revoke --yes --local
check 'it is gone' gone
again
mock_start "$TMP/first.pem" -pkistatus 2 -failure 2 -statusstring nope
status 5 'an issuer that refuses' revoke --yes
check 'then the key stays too' test "$(keys)" -eq 1
mock_stop
again
mock_start "$TMP/first.pem" -pkistatus 2 -failure 10
check 'one who has revoked it already' revoke --yes
check 'is content, and the key is gone' gone
mock_stop
mock_start "$TMP/first.pem"
again
says 'was asked to revoke' 'revoked' revoke --yes
check 'and gone' gone
status 3 'twice is once too often' revoke --yes

# --- killed -------------------------------------------------------------------------------------------------------------------
again
P11_SHIM_LOG=$TMP/calls revoke --yes >/dev/null 2>&1
total=$(wc -l <"$TMP/calls")
check "a revocation makes $total calls that count" test "$total" -gt 2
survived=0 bad=
for when in before after; do
	for n in $(seq "$total"); do
		again
		(P11_SHIM_RULE=kill-$when:$n revoke --yes) >"$TMP/out" 2>&1
		status=$?
		[ $status -eq 137 ] || bad="$bad
killed $when call $n, but exit status $status: $(cat "$TMP/out")"
		if revoke --yes >"$TMP/out" 2>&1 && gone; then survived=$((survived + 1)); else bad="$bad
killed $when $(sed -n "${n}p" "$TMP/calls"): $(cat "$TMP/out")
$(token_objects)"; fi
	done
done
if [ -z "$bad" ] && [ $survived -eq $((2 * total)) ]; then pass "killed at $survived points, all survived"; else fail 'killed at each call' "$bad"; fi
