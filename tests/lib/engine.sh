# SPDX-License-Identifier: BSD-2-Clause
# Source after card.sh, inside with-card's network, so that any port will do: what an OpenSSL engine does with the key of
# CKA_ID 01 of the card $ALG, whose URI K gives. ENGINE is its name, E the options that make openssl use it.

csr() {
	openssl req -new $E -key "$(K 01)" -subj /CN=new -config "$TMP/ca.cnf" -out "$TMP/csr" &&
	    openssl req -in "$TMP/csr" -config "$TMP/ca.cnf" -verify -noout
}
tls() { # VERSION COMMAND
	local server ok
	openssl s_server -accept 127.0.0.1:4433 "-$1" -Verify 3 -verify_return_error -CAfile "$TMP/root.pem" -cert "$TMP/tls.pem" \
	    -key "$TMP/tls.key" -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do ss -ltn | grep -q ':4433 ' && break; sleep 0.1; done
	"$2" >"$TMP/page" 2>&1
	ok=$?
	kill $server
	grep -q 'Subject:.*CN=Pat Example' "$TMP/page" && return $ok
	head -20 "$TMP/page"
	return 1
}
by_s_client() {
	printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:4433 -CAfile "$TMP/root.pem" -verify_return_error -ign_eof $E \
	    -key "$(K 01)" -cert "$TMP/$ALG-9a.pem" -cert_chain "$TMP/ca.pem"
}
by_curl() {
	cat "$TMP/$ALG-9a.pem" "$TMP/ca.pem" >"$TMP/chain.pem"
	curl -sS --max-time 20 --engine "$ENGINE" --key-type ENG --key "$(K 01)" --cert "$TMP/chain.pem" --cacert "$TMP/root.pem" https://localhost:4433/
}
