#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A TPM 2.0 (swtpm, with a resource manager) behind tpm2-pkcs11 in a slot of dpiv-pkcs11.so: keys made on the TPM, certificates
# for them, signatures with the padding that software adds, decryption, and the token's own counter of wrong PINs.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/tpm.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_STATE_HOME=$TMP/xdg
mkdir -p "$HOME"
tpm_start || fail 'a TPM with its resource manager'

t() { pkcs11-tool --module "$TPM" "$@"; }
p() { pkcs11-tool --module "$M" "$@"; }
prepare() {
	tpm_token tpm &&
	    t --token-label tpm -l -p $PIN --keypairgen --key-type rsa:2048 --id 01 --label auth &&
	    t --token-label tpm -l -p $PIN --keypairgen --key-type EC:prime256v1 --id 02 --label sign
}
certify() { # ID PROFILE: with the token's public key
	t --token-label tpm -r --type pubkey --id "$1" -o "$TMP/$1.der" && openssl pkey -pubin -inform DER -in "$TMP/$1.der" -out "$TMP/$1.p" &&
	    key_make p256 "$TMP/any.key" && openssl req -new -key "$TMP/any.key" -subj "/CN=Pat $1" -config "$TMP/ca.cnf" -out "$TMP/any.csr" &&
	    openssl x509 -req -in "$TMP/any.csr" -force_pubkey "$TMP/$1.p" -CA "$TMP/ca.pem" -CAkey "$TMP/ca.key" -CAcreateserial \
		-days 1 -outform DER -out "$TMP/$1.crt" && t --token-label tpm -l -p $PIN --write-object "$TMP/$1.crt" --type cert --id "$1" --label "cert $1"
}
sign() { # ID MECHANISM INPUT [options of pkcs11-tool -- options of openssl dgst]
	local id=$1 mech=$2 in=$3 opts=()
	shift 3
	while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	p --token-label tpm -l -p $PIN -s -m "$mech" --id "$id" -i "$TMP/$in" -o "$TMP/s" "${opts[@]}" &&
	    openssl dgst -sha256 "$@" -verify "$TMP/$id.p" -signature "$TMP/s" "$TMP/m"
}
decrypt() { # MECHANISM [options of pkcs11-tool -- options of pkeyutl]
	local mech=$1 opts=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	openssl pkeyutl -encrypt -pubin -inkey "$TMP/01.p" -in "$TMP/d" -out "$TMP/c" "$@" &&
	    p --token-label tpm -l -p $PIN --decrypt -m "$mech" --id 01 -i "$TMP/c" -o "$TMP/o" "${opts[@]}" && cmp "$TMP/o" "$TMP/d"
}
agency_make
head -c 100 /dev/urandom >"$TMP/m"
openssl dgst -sha256 -binary "$TMP/m" >"$TMP/d"
printf '[token tpm]\nuri = pkcs11:token=tpm?module-path=%s\n' "$TPM" >"$DPIV_CONF"

check "a token on the TPM, with an RSA and an elliptic-curve key" prepare
check "a certificate for the one" certify 01 auth
check "and for the other" certify 02 sign
says "Certificate Object" "certificates without a PIN" p --token-label tpm -O
check "RSA PKCS#1 with hash" sign 01 SHA256-RSA-PKCS m
check "PSS with hash" sign 01 SHA256-RSA-PKCS-PSS m -- -sigopt rsa_padding_mode:pss
check "PSS of a digest" sign 01 RSA-PKCS-PSS d --hash-algorithm SHA256 -- -sigopt rsa_padding_mode:pss
check "ECDSA with hash" sign 02 ECDSA-SHA256 m -f openssl
check "ECDSA of a digest" sign 02 ECDSA d -f openssl
check "decryption, PKCS#1" decrypt RSA-PKCS
check "decryption, OAEP with SHA-256" decrypt RSA-PKCS-OAEP --hash-algorithm SHA256 --mgf MGF1-SHA256 -- \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
says CKR_PIN_INCORRECT "a wrong PIN is the TPM's to count" p --token-label tpm -l -p 999999 -O
check "and dpiv keeps no counter of its own" test ! -e "$XDG_STATE_HOME/dpiv"
