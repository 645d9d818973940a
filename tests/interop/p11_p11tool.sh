#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# GnuTLS on the module and a PIV card: p11tool lists and exports, signs with 9A 9C 9E; certtool signs a message;
# gnutls-cli is let in by its client certificate with TLS 1.2 and 1.3 (PSS, for RSA).
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
export GNUTLS_PIN=123456
agency_make
printf 'To be signed.' >"$TMP/msg"
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"

p11() { p11tool --provider "$M" --batch "$@"; }
url() { # TYPE ID
	p11 --list-tokens | sed -n "s/^.*URL: \(pkcs11:.*token=PIV.*\)$/\1;id=%$2;type=$1/p" | head -1
}
list() {
	p11 --list-all >"$TMP/list" || return 1
	[ "$(grep -c 'Type: X.509 Certificate' "$TMP/list")" -eq 4 ] && [ "$(grep -c 'Type: Public key' "$TMP/list")" -eq 4 ]
}
list_login() {
	p11 --login --list-all >"$TMP/list" && [ "$(grep -c 'Type: Private key' "$TMP/list")" -eq 4 ] &&
	    grep -q 'CKA_ALWAYS_AUTH' "$TMP/list"
}
export_cert() {
	p11 --export "$(url cert 01)" | openssl x509 | cmp - <(openssl x509 -in "$TMP/$ALG-9a.pem")
}
test_sign() { # ID
	p11 --login --test-sign "$(url private "$1")"
}
p7_sign() {
	certtool --provider "$M" --p7-detached-sign --p7-time --load-certificate "$TMP/$ALG-9a.pem" \
	    --load-privkey "$(url private 01)" --infile "$TMP/msg" --outfile "$TMP/p7" &&
	    cat "$TMP/root.pem" "$TMP/ca.pem" >"$TMP/chain.pem" &&
	    openssl cms -verify -inform PEM -in <(sed 's/PKCS7/CMS/' "$TMP/p7") -content "$TMP/msg" -binary -CAfile "$TMP/chain.pem" \
		-purpose any -out /dev/null
}
tls() { # PRIORITY
	local server ok
	openssl s_server -accept 127.0.0.1:4433 -Verify 3 -verify_return_error -CAfile "$TMP/root.pem" -cert "$TMP/tls.pem" \
	    -key "$TMP/tls.key" -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do ss -ltn | grep -q ':4433 ' && break; sleep 0.1; done
	cat "$TMP/$ALG-9a.pem" "$TMP/ca.pem" >"$TMP/chain.pem"
	{ printf 'GET / HTTP/1.0\r\n\r\n'; sleep 2; } | timeout 20 gnutls-cli --provider="$M" --x509cafile="$TMP/root.pem" \
	    --x509certfile="$TMP/chain.pem" --x509keyfile="$(url private 01)" --priority "NORMAL:-VERS-ALL:+$1" -p 4433 localhost \
	    >"$TMP/page" 2>&1
	ok=$?
	kill $server
	wait $server 2>/dev/null
	grep -q 'CN *= *Pat Example' "$TMP/page" && return 0
	tail -20 "$TMP/page" "$TMP/server.log"
	return $((ok ? ok : 1))
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "list without login, $ALG" with_card $ALG list
	check "list with login, $ALG" with_card $ALG list_login
	check "export of a certificate, $ALG" with_card $ALG export_cert
	for id in 01 02 04; do check "test signature with id $id, $ALG" with_card $ALG test_sign $id; done
	check "signed message, $ALG" with_card $ALG p7_sign
	for v in VERS-TLS1.2 VERS-TLS1.3; do check "client certificate, $v, $ALG" with_card $ALG tls $v; done
done
