#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# curl with the engine: TLS client authentication by a token's key, the certificate as a chain file or from the token.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

export OPENSSL_ENGINES=$BUILD
softhsm_start
agency_make
token_make rsa rsa2048
token_make ec p256
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
for t in rsa ec; do cat "$TMP/$t-9a.pem" "$TMP/ca.pem" >"$TMP/$t-chain.pem"; done
echo wrong >"$TMP/wrong-pin"

tls_server() { # VERSION PORT CHAIN: the CA file decides whether a lone leaf is good enough
	openssl s_server -accept 127.0.0.1:"$2" "-$1" -Verify 3 -verify_return_error -CAfile "$3" -cert "$TMP/tls.pem" \
	    -key "$TMP/tls.key" -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	at_end "kill $server 2>/dev/null"
	for _ in $(seq 50); do
		ss -ltn | grep -q ":$2 " && return
		sleep 0.1
	done
}
fetch() { # PORT KEY [options]: the server's page tells the client's subject
	local port=$1 key=$2
	shift 2
	curl -sS --max-time 20 --engine dpiv --key-type ENG --key "$key" "$@" --cacert "$TMP/root.pem" "https://localhost:$port/" >"$TMP/page" &&
	    grep -q "Subject:.*CN=Pat Example" "$TMP/page"
}

port=$((20000 + $$ % 20000))
for v in tls1_2 tls1_3; do
	port=$((port + 1))
	tls_server $v $port "$TMP/root.pem"
	for t in rsa ec; do
		check "curl, $v, $t, chain from a file" fetch $port "$(p11_uri $t 'id=%01')" --cert "$TMP/$t-chain.pem"
	done
	kill $server
done

port=$((port + 1))
tls_server tls1_3 $port "$TMP/chain.pem"
leaf() {
	fetch $port "$(p11_uri "$1" 'id=%01;type=private')" --cert-type ENG --cert "$(p11_uri "$1" 'id=%01;type=cert')"
}
check "curl, certificate from the token (RSA)" leaf rsa
check "curl, certificate from the token (EC)" leaf ec
by_pass() {
	fetch $port "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM" --pass "$PIN" --cert "$TMP/rsa-chain.pem"
}
check "curl, PIN by --pass" by_pass
refuse "curl, a wrong PIN fails" fetch $port "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-source=file:$TMP/wrong-pin" --cert "$TMP/rsa-chain.pem"
refuse "curl, a key that is not there fails" fetch $port "$(p11_uri rsa 'id=%77')" --cert "$TMP/rsa-chain.pem"
refuse "curl, a certificate that is not there fails" fetch $port "$(p11_uri rsa 'id=%01')" --cert-type ENG --cert "$(p11_uri rsa 'id=%77')"
