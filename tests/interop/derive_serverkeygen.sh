#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An encryption key that the issuer makes: EST serverkeygen against dpiv-issuer, into SoftHSM2 by C_CreateObject and by
# C_UnwrapKey, refused before anybody is asked where neither works; the same key out of the escrow.
. tests/lib/derive.sh
derive_inside "--alg p256" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77'
. tests/lib/shell.sh
at_end issuer_stop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1

MAIL=$TMP/mail
printf 'A letter.\n' >"$TMP/letter"
id_of() { pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type privkey 2>/dev/null | sed -n 's/^  ID: *//p' | grep -v '^0.$' | head -n 1; }
count() { [ "$(token_objects | grep -c "^$1")" = "$2" ] || { token_objects; return 1; }; }
keeps_to_itself() { ! token_objects | grep 'Access:' | grep -v none | grep -v '^ *Access: *local$' | grep -vq sensitive; }
nothing_left() { "$BUILD/dpiv" status --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["unfinished"] != [])'; }
escrowed() { sql "$DERIVE_DIR/agency/issuer.db" 'SELECT count(*) FROM escrow'; }
events() { sql "$DERIVE_DIR/agency/issuer.db" "SELECT count(*) FROM event WHERE what = '$1'"; }
# opens ID: a letter to the certificate of this CKA_ID is read with the token's key
opens() {
	token_cert "$1" "$TMP/to.pem" && openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -from a@example.test -to pat@example.test \
		-out "$MAIL" "$TMP/to.pem" && "$BUILD/dpiv" decrypt --token "$TO" --text -o "$TMP/plain" "$MAIL" &&
		tr -d '\r' <"$TMP/plain" | cmp - "$TMP/letter"
}

# --- dpiv against dpiv-issuer ---------------------------------------------------------------------------------------
issuer_conf 'encrypt = serverkeygen'
check 'derived: auth on the token, encrypt by serverkeygen' derive_conf --role auth,encrypt
check 'two private keys: the one for the way is gone' count 'Private Key' 2
check 'and two certificates' count Certificate 2
check 'sensitive, not extractable' keeps_to_itself
check 'nothing is unfinished' nothing_left
ID=$(id_of)
check 'a letter to its certificate opens' opens "$ID"
check 'one key is in escrow' test "$(escrowed)" = 1
check 'no key in the clear in the database' bash -c "! strings -n 5 '$DERIVE_DIR/agency/issuer.db' | grep -q 'BEGIN.*PRIVATE'"
check 'a second run does nothing' derive_conf --role auth,encrypt
check 'still one key is in escrow' test "$(escrowed)" = 1
token_cert "$ID" "$TMP/first.pem"

# --- out of the escrow ----------------------------------------------------------------------------------------------
token_fresh second
issuer_conf 'encrypt = recover'
check 'on another token: the same key, recovered' derive_conf --role encrypt
check 'one private key' count 'Private Key' 1
check 'with the same certificate' bash -c "$(declare -f token_cert); SOFTHSM=$SOFTHSM TMP=$TMP; token_cert $ID $TMP/again.pem && cmp $TMP/first.pem $TMP/again.pem"
check 'a letter opens there, too' opens "$ID"
check 'the release is in the ledger' test "$(events escrow-released)" = 1
status 1 'again: it is there already' derive_conf --role encrypt --again
check 'and stays' opens "$ID"
check 'nothing is unfinished' nothing_left

# --- dpiv history recover -------------------------------------------------------------------------------------------
token_fresh old
issuer_conf
recover() { "$BUILD/dpiv" history recover --from "$CARD_URI" --to "$TO" --issuer peer "$@"; }
says 'would be imported' 'history recover --dry-run' recover --dry-run
check 'nothing was brought' count 'Private Key' 0
says 'imported: Pat Example' 'history recover' recover
check 'a letter opens' opens "$ID"
check 'sensitive, not extractable' keeps_to_itself
says 'already there' 'again' recover --json
status 2 'an unknown option' recover --nothing
# into a retired place of a PIV token
LAPTOP=$TO
echo 010203040506070801020304050607080102030405060708 >"$TMP/admin"
chmod 600 "$TMP/admin"
printf '[module]\nmanagement_key_file = %s\n' "$TMP/admin" >>"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
card 2
TO="pkcs11:token=${CARD_LABEL// /%20};serial=$CARD_SERIAL?pin-source=file:$TMP/card.pin"
card 1
says '(id 05)' 'into the first retired place of a PIV token' recover
piv_opens() { "$BUILD/dpiv" decrypt --token "$TO" --text -o "$TMP/plain" "$MAIL" && tr -d '\r' <"$TMP/plain" | cmp - "$TMP/letter"; }
check 'and the letter opens with it' piv_opens
TO=$LAPTOP

# --- tokens that refuse ---------------------------------------------------------------------------------------------
# shellcheck disable=SC2046
gcc -shared -fPIC -o "$TMP/import.so" tests/interop/import_shim.c -ldl $(pkg-config --cflags p11-kit-1) || fail 'the shim is built'
export IMPORT_SHIM_MODULE=$SOFTHSM
MODULE=$TMP/import.so token_fresh third
issuer_conf 'encrypt = serverkeygen'
IMPORT_SHIM_REFUSE=create check 'by C_UnwrapKey where C_CreateObject is refused' derive_conf --role encrypt
check 'a letter opens' opens "$(id_of)"
MODULE=$TMP/import.so token_fresh fourth
issuer_conf 'encrypt = serverkeygen'
before=$(escrowed)
refused() { IMPORT_SHIM_REFUSE='create unwrap' derive_conf --role encrypt; }
says 'takes no private key like this from outside' 'a token that takes no keys is refused' refused
check 'before the issuer was asked' test "$(escrowed)" = "$before"
check 'and nothing is on it' count 'Private Key' 0
check 'nor unfinished' nothing_left
