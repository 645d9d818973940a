#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every rule of tests/p11/ asked of the module on an RSA card and on an elliptic-curve card, and in a slot for a SoftHSM2
# token; which rules each cannot be asked is fixed here. And of SoftHSM2 by itself, to see that the rules are not merely
# what this module does: where it differs, the reason is here too.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
# shellcheck disable=SC2034 # lists are used by their names
M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
make --no-print-directory BUILD="$BUILD" "$BUILD/p11-conform" >"$TMP/make.log" 2>&1 || { cat "$TMP/make.log"; echo "not ok - build"; exit 1; }
CONFORM=$BUILD/p11-conform
LIMIT=120

# What a card cannot be asked: a PIV card is not initialised through PKCS#11, keys do not leave it, and it has no dual
# operations.
CARD_NA='C_InitToken.session_exists
C_WrapKey.aes_key_wrap
C_WrapKey.refused
C_DigestEncryptUpdate.flag
C_DigestEncryptUpdate.works'
RSA_NA='C_GetAttributeValue.ec_point
C_DeriveKey.ecdh
C_DeriveKey.refused
C_DeriveKey.not_on_the_curve
C_DeriveKey.too_long'
EC_NA='C_SignInit.pss_parameters
C_Sign.too_long
C_Sign.pss_length
C_Verify.pss
C_Encrypt.rsa_too_long
C_Encrypt.rsa_length
C_EncryptInit.rsa_private_key
C_Decrypt.rsa
C_Decrypt.rsa_oaep
C_Decrypt.rsa_length
C_Decrypt.rsa_too_small
C_Decrypt.rsa_enough_room
C_Decrypt.rsa_wrong_length
C_Decrypt.rsa_error_ends
C_DecryptInit.rsa_oaep_parameters'

# A slot for a token of another module is the user's only: no security officer, no new keys.
SLOT_NA='C_GetSlotInfo.empty_slot
C_OpenSession.read_only_while_so
C_GetSessionInfo.so_states
C_Login.so_while_read_only
C_Login.so_after_user
C_Login.so_twice
C_Login.user_after_so
C_Login.so_sees_no_private
C_SignInit.not_permitted
C_GenerateKeyPair.arguments
C_GenerateKeyPair.read_only'

# What SoftHSM2 2.6 does otherwise, and why the rule is the standard's all the same.
SOFTHSM_KNOWN='C_Initialize.in_child                  a forked child cannot start anew; 2.40, 5.4 wants it to call C_Initialize
C_Initialize.child_must                the child goes on with what it inherited
C_GetMechanismInfo.flags               CKF_GENERATE on AES-ECB: no tick in the table of mechanisms
C_Logout.public                        CKR_OK where CKR_USER_NOT_LOGGED_IN is among the answers of 5.6
C_Logout.twice                         the same
C_Logout.ends_signature                a private key is used after C_Logout
C_CreateObject.key_size                an AES key of 17 bytes
C_SetAttributeValue.all_or_nothing     5.1: a function that fails leaves everything as it was
C_DigestInit.parameter                 a parameter that the mechanism does not have
C_Digest.empty                         NULL is a good pointer to no bytes
C_Digest.error_ends                    5.10: any error but CKR_BUFFER_TOO_SMALL ends the operation
C_Digest.after_update                  5.10: C_Digest must not follow C_DigestUpdate
C_DigestUpdate.error_ends              5.10, as above
C_DigestFinal.error_ends               5.10, as above
C_DigestFinal.after_one_shot_length    a suite of the public wants it; the standard does not say
C_DigestKey.not_a_key                  a data object is digested as if it were a key
C_SignInit.unknown_key                 CKR_OBJECT_HANDLE_INVALID; a key has CKR_KEY_HANDLE_INVALID
C_SignInit.not_a_key                   finds that it may not sign before that it is no key
C_SignInit.key_type                    RSA with an elliptic-curve key
C_SignInit.logged_out                  as unknown_key
C_Sign.error_ends                      5.11, as C_Digest.error_ends
C_Sign.beside_others                   no search beside a signature; sessions have room for one of each
C_VerifyInit.key                       as unknown_key
C_VerifyInit.key_type                  as C_SignInit.key_type
C_SignInit.pss_parameters              a digest that does not exist
C_Sign.too_long                        CKR_GENERAL_ERROR for data that is too long
C_Sign.pss_length                      CKR_GENERAL_ERROR for a digest of another length
C_Sign.after_update                    it ends, but with CKR_OPERATION_NOT_INITIALIZED
C_SignUpdate.error_ends                5.11, as C_Digest.error_ends
C_Verify.after_update                  as C_Sign.after_update
C_VerifyUpdate.error_ends              5.12, as C_Digest.error_ends
C_Verify.error_ends                    5.12, as C_Digest.error_ends
C_EncryptInit.wrong                    as unknown_key
C_Encrypt.error_ends                   5.8, as C_Digest.error_ends
C_Encrypt.after_update                 5.8: C_Encrypt must not follow C_EncryptUpdate
C_Encrypt.key_destroyed                as unknown_key
C_EncryptUpdate.after_one_shot_length  a suite of the public wants it; the standard does not say
C_Encrypt.rsa_too_long                 CKR_GENERAL_ERROR for data that is too long
C_Decrypt.bad_padding                  CKR_GENERAL_ERROR for a ciphertext that is not one
C_Decrypt.error_ends                   5.9, as C_Digest.error_ends
C_Decrypt.rsa_wrong_length             CKR_GENERAL_ERROR
C_Decrypt.rsa_error_ends               5.9, as C_Digest.error_ends
C_UnwrapKey.refused                    CKR_GENERAL_ERROR for a wrapped key that is not one
C_DeriveKey.refused                    as unknown_key
C_DeriveKey.not_on_the_curve           CKR_GENERAL_ERROR
C_DeriveKey.too_long                   CKR_FUNCTION_FAILED'

# Of the last run: those that did not hold, but for a list of names; and those that were not applicable.
broken() {
	grep '^not ok - ' "$TMP/out" | sed 's/^not ok - //' | sort >"$TMP/broken"
	comm -23 "$TMP/broken" <(sort <<<"$1")
}
unasked() { grep '^n/a - ' "$TMP/out" | sed 's/^n.a - \([^:]*\):.*/\1/' | sort; }

ask_user() {
	PCSCLITE_CSOCK_NAME=$TMP/none timeout $LIMIT "$CONFORM" --pin-file "$TMP/pin" --wrong-pins "$@" >"$TMP/out" 2>&1
	tail -n 1 "$TMP/out"
	grep -q '^# [0-9]* held' "$TMP/out"
}
ask() { # OPTIONS...: into $TMP/out; a run that did not come to its end fails
	timeout $LIMIT "$CONFORM" --pin-file "$TMP/pin" --so-pin-file "$TMP/so" --wrong-pins "$@" >"$TMP/out" 2>&1
	tail -n 1 "$TMP/out"
	grep -q '^# [0-9]* held' "$TMP/out"
}
all_hold() {
	tail -n 1 "$TMP/out" | grep -qE '^# [0-9]{3,} held, 0 did not' && return
	grep -A 4 '^not ok' "$TMP/out"
	return 1
}
only_these() { # NAMES-OF-LISTS...
	diff <(for l in CARD_NA "$@"; do echo "${!l}"; done | sort) <(unasked)
}
no_surprise() {
	local more
	more=$(broken "$(cut -d' ' -f1 <<<"$SOFTHSM_KNOWN")")
	[ -z "$more" ] || { grep -A 4 -F "$more" "$TMP/out"; return 1; }
}
on_card() { tests/with-card --make "$1" -- timeout $LIMIT "$CONFORM" --module "$M" --pin-file "$TMP/pin" --so-pin-file "$TMP/so" --wrong-pins >"$TMP/out" 2>&1; }

echo 123456 >"$TMP/pin"
echo 010203040506070801020304050607080102030405060708 >"$TMP/so"
for card in 'rsa2048 RSA_NA' 'p256 EC_NA'; do
	read -r alg na <<<"$card"
	on_card "--alg $alg"
	tail -n 1 "$TMP/out"
	check "every rule holds on a card, $alg" all_hold
	check "what cannot be asked of it is known, $alg" only_these "$na"
done

softhsm_start
agency_make
token_make RSA rsa2048
token_make EC p256
export DPIV_CONF=$TMP/dpiv.conf
for t in RSA EC; do
	printf '[token here]\nuri = "pkcs11:token=%s?module-path=%s"\n' $t "$SOFTHSM" >"$DPIV_CONF"
	check "a slot for a SoftHSM2 token is asked, $t" ask_user --module "$M" --token $t
	check "every rule holds, $t" all_hold
	check "what cannot be asked of it is known, $t" only_these SLOT_NA ${t}_NA
done

softhsm_token conform
echo 12345678 >"$TMP/so"
for key in '--key-type RSA:2048 --id 01 --label rsa' '--key-type EC:prime256v1 --id 03 --label ec --usage-derive'; do
	# shellcheck disable=SC2086
	pkcs11-tool --module "$SOFTHSM" --token-label conform -l -p 123456 -k $key >/dev/null 2>&1
done
for more in '' --ec; do
	# shellcheck disable=SC2086
	check "SoftHSM2 is asked $more" ask --module "$SOFTHSM" --token conform $more
	check "SoftHSM2 agrees, but for what is known $more" no_surprise
done
