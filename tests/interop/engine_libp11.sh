#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# libp11's own engine, `pkcs11`, as Debian ships it, on the module and a PIV card: dgst, cms, req, s_client and curl with RSA
# and elliptic-curve keys, and 9C, for which that engine asks the PIN once more on the terminal.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh
. tests/lib/engine.sh

export PKCS11_MODULE_PATH=$BUILD/dpiv-pkcs11.so
ENGINE=pkcs11 E="-engine pkcs11 -keyform engine"
[ -e "$PKCS11_MODULE_PATH" ] || { echo "not ok - the module is not built"; exit 1; }
printf 'To be signed.\r\n' >"$TMP/msg"
agency_make
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
K() { printf 'pkcs11:id=%%%s;type=private?pin-value=123456' "$1"; }

verified() { # KEY [options]
	local key=$1
	shift
	openssl dgst -sha256 -verify <(openssl x509 -in "$TMP/$ALG-$key.pem" -pubkey -noout) "$@" -signature "$TMP/sig" "$TMP/msg"
}
dgst() { # KEY ID [options]: without a terminal
	local key=$1 id=$2
	shift 2
	setsid openssl dgst -sha256 $E -sign "$(K "$id")" "$@" -out "$TMP/sig" "$TMP/msg" && verified "$key" "$@"
}
dgst_9c() {
	python3 tests/lib/on_terminal.py 123456 openssl dgst -sha256 $E -sign "$(K 02)" -out "$TMP/sig" "$TMP/msg" && verified 9c
}
cms_9c() {
	python3 tests/lib/on_terminal.py 123456 openssl cms -sign $E -md sha256 -signer "$TMP/$ALG-9c.pem" -certfile "$TMP/ca.pem" \
	    -inkey "$(K 02)" -in "$TMP/msg" -out "$TMP/s.eml" &&
	    openssl cms -verify -CAfile "$TMP/root.pem" -purpose any -in "$TMP/s.eml" -out "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}
cms() {
	setsid openssl cms -sign $E -md sha256 -signer "$TMP/$ALG-9a.pem" -certfile "$TMP/ca.pem" -inkey "$(K 01)" -in "$TMP/msg" \
	    -out "$TMP/s.eml" && openssl cms -verify -CAfile "$TMP/root.pem" -purpose any -in "$TMP/s.eml" -out "$TMP/out" &&
	    cmp "$TMP/msg" "$TMP/out"
}
cms_decrypt() { # [options]
	openssl cms -encrypt -aes-256-cbc -recip "$TMP/$ALG-9d.pem" "$@" -in "$TMP/msg" -out "$TMP/e.eml" &&
	    setsid openssl cms -decrypt $E -inkey "$(K 03)" -recip "$TMP/$ALG-9d.pem" -in "$TMP/e.eml" -out "$TMP/out" &&
	    cmp "$TMP/msg" "$TMP/out"
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "dgst 9a, $ALG" with_card $ALG dgst 9a 01
	check "dgst 9c on a terminal, $ALG" with_card $ALG dgst_9c
	check "cms -sign 9a, $ALG" with_card $ALG cms
	check "cms -sign 9c on a terminal, $ALG" with_card $ALG cms_9c
	check "cms -decrypt 9d, $ALG" with_card $ALG cms_decrypt
	check "req -new, $ALG" with_card $ALG csr
	for v in tls1_2 tls1_3; do
		check "s_client, $v, $ALG" with_card $ALG tls $v by_s_client
		check "curl, $v, $ALG" with_card $ALG tls $v by_curl
	done
done
check "cms -decrypt, ECDH with SHA-256" with_card p256 cms_decrypt -keyopt ecdh_kdf_md:sha256
ALG=rsa2048
check "dgst with PSS" with_card rsa2048 dgst 9a 01 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
check "cms -decrypt, OAEP" with_card rsa2048 cms_decrypt -keyopt rsa_padding_mode:oaep
