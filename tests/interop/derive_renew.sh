#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Renewing at dpiv-issuer by simplereenroll: without the card, with the old key, under TLS 1.2 and 1.3 with channel binding;
# and what the issuer refuses. What comes out is judged by plain OpenSSL.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
sed -i 's/^require_binding.*/require_binding = yes/' "$AGENCY/issuer.conf"
call_build || fail 'the program that renews is built'

keys() { token_objects | grep -c '^Private Key'; }
new_id() { pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type cert 2>/dev/null | awk '/ID:/ { print $2 }' | grep -vx -e "$1" -e "${2-}" -e "${3-}"; }
good() { openssl verify -x509_strict -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" "$1"; }
uuid_of() { openssl x509 -in "$1" -noout -ext subjectAltName | grep -o 'urn:uuid:[0-9a-f-]*'; }
subject() { openssl x509 -in "$1" -noout -subject; }
active() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; c = json.load(sys.stdin)['credentials']; assert len(c) == $1 and all(x['state'] == 'ok' for x in c), c"; }

renewing() { # CARD TLS ALG
	local what="$2, $3"
	issuer_start --tls "$2" || fail "$what: an issuer" "$(cat "$TMP/issuer.log")"
	token_fresh laptop
	card "$1"
	check "$what: derived" derive --alg "$3"
	token_cert 01 "$TMP/old.pem"
	check "$what: renewed with the old key" call renew auth
	check "$what: the old key is gone" test "$(keys)" -eq 1
	NEW=$(new_id 01)
	token_cert "$NEW" "$TMP/new.pem"
	check "$what: the new certificate is good" good "$TMP/new.pem"
	check "$what: for the same person" test "$(subject "$TMP/old.pem")" = "$(subject "$TMP/new.pem")"
	refuse "$what: with a UUID of its own" test "$(uuid_of "$TMP/old.pem")" = "$(uuid_of "$TMP/new.pem")"
	check "$what: and is the one in use" active 1
	check "$what: renewed once more" call renew auth
	check "$what: still one key" test "$(keys)" -eq 1
	issuer_stop
}
renewing 1 1.2 p256
renewing 2 1.3 rsa2048

# --- all roles; a certificate for mail cannot ask for itself ---------------------------------------------------------------
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1
check 'three roles' derive --role auth,sign,encrypt --alg rsa2048
check 'sign renewed' call renew sign
check 'the old signature key is gone' test "$(keys)" -eq 3
check 'encrypt renewed' call renew encrypt
check 'the old decryption key stays, for old mail' test "$(keys)" -eq 4
check 'three credentials are in use' active 3

# --- refused ----------------------------------------------------------------------------------------------------------------
token_cert 01 "$TMP/auth.pem"
refused() { # TEXT NAME
	local n
	n=$(keys)
	says "$1" "$2" call renew auth
	check "$2: nothing was left on the token" test "$(keys)" -eq "$n"
	check "$2: the old credential stays" active 3
}
"$BUILD/dpiv-issuer" account suspend --dir "$AGENCY" 1 >"$TMP/suspend" 2>&1 || fail 'suspend' "$(cat "$TMP/suspend")"
refused 'account-suspended' 'a suspended account'
"$BUILD/dpiv-issuer" account resume --dir "$AGENCY" 1 >"$TMP/suspend" 2>&1 || fail 'resume' "$(cat "$TMP/suspend")"
check 'resumed: renewed' call renew auth
card_cert "$TMP/card.pem"
"$BUILD/dpiv-issuer" revoke --dir "$AGENCY" --cert "$TMP/card.pem" >"$TMP/revoke" 2>&1 || fail 'revoke' "$(cat "$TMP/revoke")"
refused 'has been revoked' 'a revoked card'
issuer_stop
