#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Deriving into a TPM 2.0 (swtpm, its resource manager, tpm2-pkcs11): every kind of key that it has, one that it can make and
# not use, signing and reading mail, logging in by TLS, renewing, revoking, and a TPM that goes away.
. tests/lib/derive.sh
derive_inside "--alg rsa2048"
. tests/lib/shell.sh
. tests/lib/tpm.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency

t() { pkcs11-tool --module "$TPM" --token-label tpm "$@" 2>/dev/null; }
# tpm_fresh: as token_fresh, on the TPM
tpm_fresh() {
	token_fresh none
	tpm_store_clear
	tpm_token tpm >"$TMP/init.log" 2>&1 || { cat "$TMP/init.log"; return 1; }
	TO="pkcs11:token=tpm?module-path=$TPM&pin-source=file:$TMP/pin"
}
objects() { t -l -p 123456 -O | grep -c "^$1 Object"; }
cert() { # ID FILE
	t --read-object --type cert --id "$1" -o "$TMP/cert.der" && openssl x509 -inform DER -in "$TMP/cert.der" -out "$2"
}
safe() { # N private keys, each sensitive, never extractable, made there
	[ "$(t -l -p 123456 -O --type privkey | grep -c 'sensitive, always sensitive, never extractable, local')" = "$1" ]
}
json() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); assert $1, s"; }
kind() { openssl x509 -in "$1" -noout -text | grep -q "$2"; }
fits() { # ID CERT: the key that is there signs for this certificate
	openssl x509 -in "$2" -noout -pubkey >"$TMP/pub.pem"
	head -c 32 /dev/urandom >"$TMP/digest"
	if kind "$2" 'Public Key Algorithm: rsaEncryption'; then
		t -l -p 123456 -s -m SHA256-RSA-PKCS --id "$1" -i "$TMP/digest" -o "$TMP/s" &&
			openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/s" "$TMP/digest"
	else
		t -l -p 123456 -s -m ECDSA --id "$1" --signature-format openssl -i "$TMP/digest" -o "$TMP/s" &&
			openssl pkeyutl -verify -pubin -inkey "$TMP/pub.pem" -in "$TMP/digest" -sigfile "$TMP/s"
	fi
}

tpm_start || fail 'a TPM with its resource manager'
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"

# --- each kind of key ----------------------------------------------------------------------------------------------------------
one() { # ALG TEXT
	tpm_fresh || fail "$1: a token on the TPM"
	card 1
	check "$1: derived" derive --role auth,sign --alg "$1"
	check "$1: the keys are sensitive, never extractable, made there" safe 2
	cert 01 "$TMP/auth.pem"
	cert 02 "$TMP/sign.pem"
	check "$1: of this kind" kind "$TMP/auth.pem" "$2"
	check "$1: the authentication key and its certificate" fits 01 "$TMP/auth.pem"
	check "$1: the signature key and its certificate" fits 02 "$TMP/sign.pem"
	check "$1: status" json '[c["state"] for c in s["credentials"]] == ["ok"] * 2'
}
one p384 secp384r1
one rsa2048 'Public-Key: (2048 bit)'

# --- what it cannot --------------------------------------------------------------------------------------------------------------
tpm_fresh
status 1 'no encryption key that could not decrypt' derive --role encrypt --alg p256
says '--alg rsa2048' 'the kind that would do is named' derive --role encrypt --alg p256
check 'and nothing was made' test "$(objects 'Private Key')" -eq 0
quiet() { derive --role encrypt --alg p256 2>&1 | grep ERROR; }
refuse 'nor does the module complain' quiet

# --- mail, and logging in -----------------------------------------------------------------------------------------------------------
check 'EC to log in and to sign' derive --role auth,sign --alg p256
check 'RSA to decrypt' derive --role encrypt
cert 03 "$TMP/encrypt.pem"
check 'the issuer had no wish: what the TPM can' kind "$TMP/encrypt.pem" rsaEncryption
echo 'From the TPM.' >"$TMP/letter"
cat "$AGENCY/root.pem" "$AGENCY/ca.pem" >"$TMP/chain.pem"
sign() {
	"$BUILD/dpiv" sign --token "$TO" --from pat@example.test --to bob@example.test --subject Hi -o "$TMP/signed.eml" "$TMP/letter" &&
		openssl cms -verify -in "$TMP/signed.eml" -CAfile "$TMP/chain.pem" -purpose smimesign -signer "$TMP/signer.pem" -out "$TMP/content"
}
check 'a mail is signed; openssl cms verifies it' sign
check 'by the signature credential' test "$(openssl x509 -in "$TMP/signer.pem" -noout -ext keyUsage | grep -c 'Non Repudiation')" = 1
decrypt() {
	openssl cms -encrypt -aes256 -in "$TMP/letter" -out "$TMP/secret.eml" -recip "$TMP/encrypt.pem" "$@" &&
		"$BUILD/dpiv" decrypt --token "$TO" --text -o "$TMP/plain" "$TMP/secret.eml" && grep -q 'From the TPM' "$TMP/plain"
}
check 'a mail is decrypted' decrypt
check 'and one with OAEP' decrypt -keyopt rsa_padding_mode:oaep
cert 01 "$TMP/auth.pem"
cat "$TMP/auth.pem" "$AGENCY/ca.pem" >"$TMP/auth-chain.pem"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/srv.key" -subj /CN=localhost -addext subjectAltName=DNS:localhost \
	-days 1 -out "$TMP/srv.pem" 2>/dev/null
login() { # VERSION
	local port=4433 pid done=1
	openssl s_server -accept 127.0.0.1:$port "-$1" -Verify 3 -verify_return_error -CAfile "$AGENCY/root.pem" -cert "$TMP/srv.pem" \
		-key "$TMP/srv.key" -www >"$TMP/server.log" 2>&1 &
	pid=$!
	for _ in $(seq 100); do ss -ltn | grep -q ":$port " && break; sleep 0.05; done
	OPENSSL_CONF=$TMP/engine.cnf curl -sS --max-time 20 --engine dpiv --key-type ENG \
		--key "pkcs11:token=tpm;id=%01?module-path=$TPM&pin-source=file:$TMP/pin" --cert "$TMP/auth-chain.pem" --cacert "$TMP/srv.pem" \
		"https://localhost:$port/" >"$TMP/page" && grep -q 'CN = Pat Example\|CN=Pat Example' "$TMP/page" && done=0
	kill $pid
	wait $pid 2>/dev/null
	[ $done = 0 ] || cat "$TMP/server.log"
	return $done
}
ENGINE=$BUILD/dpiv.so
printf 'openssl_conf = o\n[o]\nengines = e\n[e]\ndpiv = d\n[d]\ndynamic_path = %s\nengine_id = dpiv\n' "$ENGINE" >"$TMP/engine.cnf"
check 'logged in by TLS 1.2' login tls1_2
check 'logged in by TLS 1.3' login tls1_3

# --- its life ------------------------------------------------------------------------------------------------------------------
renew() { "$BUILD/dpiv" renew --token "$TO" --cafile "$AGENCY/root.pem" "$@"; }
check 'all are renewed, without the card' renew --all --force
check 'the old keys are gone, but for the one that old mail needs' test "$(objects 'Private Key')/$(objects Certificate)" = 4/4
check 'they are safe' safe 4
check 'status knows three' json '[c["state"] for c in s["credentials"]] == ["ok"] * 3'
check 'old mail is still read' decrypt
revoke() { "$BUILD/dpiv" revoke --cafile "$AGENCY/root.pem" --token "$TO" --yes "$@"; }
for r in sign auth; do check "$r is revoked" revoke $r; done
check 'their keys and certificates are gone' test "$(objects 'Private Key')/$(objects 'Public Key')/$(objects Certificate)" = 2/2/2
check 'status knows one' json 'len(s["credentials"]) == 1'

# --- a PIN that is wrong, and a TPM that is not there --------------------------------------------------------------------------
echo 999999 >"$TMP/wrong"
TO="pkcs11:token=tpm?module-path=$TPM&pin-source=file:$TMP/wrong" status 4 'a wrong PIN' derive --role auth
check 'left nothing' test "$(objects 'Private Key')" -eq 2
kill "$TPM_PID"
wait "$TPM_PID" 2>/dev/null
refuse 'a TPM that is gone' derive --role auth
refuse 'is no success of status either' json '[c["state"] for c in s["credentials"]] == ["ok"]'
