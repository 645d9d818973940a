#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The engine with a PIV card through dpiv-pkcs11.so beside it: dgst, cms, req, s_client and curl; the PIN from a file,
# from -passin and from a terminal, where 9C asks once.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh
. tests/lib/engine.sh

export OPENSSL_ENGINES=$BUILD
ENGINE=dpiv E="-engine dpiv -keyform engine"
[ -e "$BUILD/dpiv.so" ] && [ -e "$BUILD/dpiv-pkcs11.so" ] || { echo "not ok - engine and module are not built"; exit 1; }
echo 123456 >"$TMP/pin"
echo 999999 >"$TMP/badpin"
printf 'To be signed.\r\n' >"$TMP/msg"
agency_make
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
K() { printf 'pkcs11:id=%%%s?pin-source=file:%s' "$1" "$TMP/pin"; }

dgst() { # KEY ID [options]
	local key=$1 id=$2
	shift 2
	setsid openssl dgst -sha256 $E -sign "$(K "$id")" "$@" -out "$TMP/sig" "$TMP/msg" &&
	    openssl dgst -sha256 -verify <(openssl x509 -in "$TMP/$ALG-$key.pem" -pubkey -noout) "$@" -signature "$TMP/sig" "$TMP/msg"
}
passin() {
	setsid openssl dgst -sha256 $E -passin file:"$TMP/pin" -sign "pkcs11:id=%02" -out "$TMP/sig" "$TMP/msg" &&
	    openssl dgst -sha256 -verify <(openssl x509 -in "$TMP/$ALG-9c.pem" -pubkey -noout) -signature "$TMP/sig" "$TMP/msg"
}
terminal() {
	python3 tests/lib/on_terminal.py 123456 openssl dgst -sha256 $E -sign "pkcs11:id=%02" -out "$TMP/sig" "$TMP/msg" &&
	    openssl dgst -sha256 -verify <(openssl x509 -in "$TMP/$ALG-9c.pem" -pubkey -noout) -signature "$TMP/sig" "$TMP/msg"
}
cms() {
	setsid openssl cms -sign $E -md sha256 -signer "$TMP/$ALG-9c.pem" -certfile "$TMP/ca.pem" -inkey "$(K 02)" -in "$TMP/msg" -out "$TMP/s.eml" &&
	    openssl cms -verify -CAfile "$TMP/root.pem" -purpose any -in "$TMP/s.eml" -out "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}
cms_decrypt() { # [options]
	openssl cms -encrypt -aes-256-cbc -recip "$TMP/$ALG-9d.pem" "$@" -in "$TMP/msg" -out "$TMP/e.eml" &&
	    openssl cms -decrypt $E -inkey "$(K 03)" -recip "$TMP/$ALG-9d.pem" -in "$TMP/e.eml" -out "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}
wrong() {
	tests/vcard-ctl clear
	openssl dgst -sha256 $E -sign "pkcs11:id=%01?pin-source=file:$TMP/badpin" -out "$TMP/sig" "$TMP/msg" 2>&1
	tests/vcard-ctl trace
}
wrong_once() { [ "$(wrong | grep -c 'ins=20 .*in=13 ')" = 1 ]; }
last_try() { # a PIN out of a file is not risked when it is the last: nothing is sent to the card
	local bad="pkcs11:id=%01?pin-source=file:$TMP/badpin"
	openssl dgst -sha256 $E -sign "$bad" -out "$TMP/sig" "$TMP/msg" 2>/dev/null
	openssl dgst -sha256 $E -sign "$bad" -out "$TMP/sig" "$TMP/msg" 2>/dev/null
	[ "$(tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 ')" = 2 ] || return 1
	openssl dgst -sha256 $E -sign "$bad" -out "$TMP/sig" "$TMP/msg" >"$TMP/last" 2>&1
	grep -q 'one try is left' "$TMP/last" && [ "$(tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 ')" = 2 ]
}
gone() { # the card is pulled out: an error, not a crash or a wait
	tests/vcard-ctl remove
	timeout 20 openssl dgst -sha256 $E -sign "$(K 01)" -out "$TMP/sig" "$TMP/msg"
}
by_cert_label() {
	openssl dgst -sha256 $E -sign "pkcs11:object=Certificate%20for%20PIV%20Authentication?pin-source=file:$TMP/pin" -out "$TMP/sig" "$TMP/msg"
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "dgst 9a, $ALG" with_card $ALG dgst 9a 01
	check "dgst 9c, no terminal, $ALG" with_card $ALG dgst 9c 02
	check "dgst 9c by -passin, $ALG" with_card $ALG passin
	check "dgst 9c on a terminal, $ALG" with_card $ALG terminal
	says "prompts: 1" "which asks once, $ALG" with_card $ALG terminal
	check "cms -sign 9c, $ALG" with_card $ALG cms
	check "cms -decrypt 9d, $ALG" with_card $ALG cms_decrypt
	check "req -new, $ALG" with_card $ALG csr
	for v in tls1_2 tls1_3; do
		check "s_client, $v, $ALG" with_card $ALG tls $v by_s_client
		check "curl, $v, $ALG" with_card $ALG tls $v by_curl
	done
done
ALG=rsa2048
check "dgst with PSS" with_card rsa2048 dgst 9a 01 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
check "cms -decrypt, OAEP" with_card rsa2048 cms_decrypt -keyopt rsa_padding_mode:oaep
check "cms -decrypt, OAEP with SHA-256" with_card rsa2048 cms_decrypt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
check "a key by the label of its certificate" with_card rsa2048 by_cert_label
ALG=p256
check "cms -decrypt, ECDH with SHA-384" with_card p256 cms_decrypt -keyopt ecdh_kdf_md:sha384
says "wrong PIN" "a wrong PIN says so" with_card p256 wrong
check "a wrong PIN is sent once" with_card p256 wrong_once
check "the last try is not spent on a PIN from a file" with_card p256 last_try
refuse "without a card it fails" with_card p256 gone
