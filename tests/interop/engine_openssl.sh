#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The engine under the openssl command, on a SoftHSM2 token, RSA-2048 and P-256: what it makes is checked by openssl
# without the engine. 9c demands its PIN for each use, and there is no terminal.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

export OPENSSL_ENGINES=$BUILD
E="-engine dpiv -keyform engine"
unset DISPLAY SSH_ASKPASS

softhsm_start
agency_make
token_make rsa rsa2048
token_make ec p256
printf 'To be signed.\r\n' >"$TMP/msg"
printf 'wrong\n' >"$TMP/wrong-pin"
openssl x509 -in "$TMP/rsa-9a.pem" -pubkey -noout >"$TMP/rsa-9a.spki"

says "[ available ]" "openssl engine -t dpiv" openssl engine -t dpiv

dgst_signs() { # TOKEN KEY ID [options]
	local token=$1 key=$2 id=$3
	shift 3
	openssl dgst -sha256 $E -sign "$(p11_uri "$token" "id=%$id")" "$@" -out "$TMP/sig" "$TMP/msg" &&
	    openssl x509 -in "$TMP/$token-$key.pem" -pubkey -noout >"$TMP/spki" &&
	    openssl dgst -sha256 -verify "$TMP/spki" "$@" -signature "$TMP/sig" "$TMP/msg"
}

cms_signs() { # TOKEN KEY
	setsid openssl cms -sign $E -md sha256 -signer "$TMP/$1-$2.pem" -certfile "$TMP/ca.pem" -inkey "$(p11_uri "$1" "object=$2%20key;type=private")" \
	    -in "$TMP/msg" -out "$TMP/signed.eml" &&
	    openssl cms -verify -CAfile "$TMP/root.pem" -purpose any -in "$TMP/signed.eml" -out "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}

cms_decrypts() { # TOKEN [options of the recipient]
	local token=$1
	shift
	openssl cms -encrypt -aes-256-cbc -recip "$TMP/$token-9d.pem" "$@" -in "$TMP/msg" -out "$TMP/enc.eml" &&
	    openssl cms -decrypt $E -inkey "$(p11_uri "$token" "id=%03")" -recip "$TMP/$token-9d.pem" -in "$TMP/enc.eml" -out "$TMP/out" &&
	    cmp "$TMP/msg" "$TMP/out"
}

csr_made() { # TOKEN
	openssl req -new $E -key "$(p11_uri "$1" "id=%01")" -subj /CN=new -config "$TMP/ca.cnf" -out "$TMP/csr" &&
	    openssl req -in "$TMP/csr" -config "$TMP/ca.cnf" -verify -noout
}

for t in rsa ec; do
	check "dgst, $t 9a" dgst_signs $t 9a 01
	check "dgst, $t 9c, PIN for each use" dgst_signs $t 9c 02
	check "cms -sign, $t 9a" cms_signs $t 9a
	check "cms -sign, $t 9c, PIN for each use, no terminal" cms_signs $t 9c
	check "req -new, $t" csr_made $t
done
check "dgst with PSS, rsa 9a" dgst_signs rsa 9a 01 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
check "cms -decrypt, RSA PKCS#1 v1.5" cms_decrypts rsa
check "cms -decrypt, RSA OAEP SHA-1" cms_decrypts rsa -keyopt rsa_padding_mode:oaep
check "cms -decrypt, RSA OAEP SHA-256" cms_decrypts rsa -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
check "cms -decrypt, ECDH, X9.63 KDF with SHA-1" cms_decrypts ec
check "cms -decrypt, ECDH, X9.63 KDF with SHA-256" cms_decrypts ec -keyopt ecdh_kdf_md:sha256
check "cms -decrypt, ECDH, X9.63 KDF with SHA-384" cms_decrypts ec -keyopt ecdh_kdf_md:sha384

# --- PINs -----------------------------------------------------------------------------------------------------------
by_passin() { # KEY ID
	setsid openssl dgst -sha256 $E -passin file:"$TMP/pin" -sign "pkcs11:token=rsa;id=%$2?module-path=$SOFTHSM" -out "$TMP/sig" "$TMP/msg" &&
	    openssl x509 -in "$TMP/rsa-$1.pem" -pubkey -noout >"$TMP/spki" &&
	    openssl dgst -sha256 -verify "$TMP/spki" -signature "$TMP/sig" "$TMP/msg"
}
check "-passin gives the PIN" by_passin 9a 01
check "-passin serves the PIN-for-each-use key too" by_passin 9c 02
check "pin-source as a bare path" openssl dgst -sha256 $E -sign "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-source=$TMP/pin" -out "$TMP/sig" "$TMP/msg"
check "pin-value" openssl dgst -sha256 $E -sign "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-value=$PIN" -out "$TMP/sig" "$TMP/msg"

sign_uri() {
	setsid openssl dgst -sha256 $E -sign "$1" -out "$TMP/sig" "$TMP/msg"
}
tries() { # attempts that reached the token: pkcs11-spy writes one C_Login line each
	PKCS11SPY=$SOFTHSM PKCS11SPY_OUTPUT=$TMP/spy.log sign_uri \
	    "pkcs11:token=rsa;id=%01?module-path=$SPY&pin-source=file:$TMP/wrong-pin" && return 1
	[ "$(grep -c 'C_Login$' "$TMP/spy.log")" -eq 1 ]
}
SPY=$(find /usr/lib -name pkcs11-spy.so -print -quit)
M="module-path=$SOFTHSM&pin-source=file:$TMP/pin"
says "wrong PIN" "a wrong PIN says so" sign_uri "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-source=file:$TMP/wrong-pin"
refuse "a wrong PIN fails" sign_uri "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-source=file:$TMP/wrong-pin"
check "a wrong PIN is sent once" tries
says "pin-source" "a PIN file that is not there is named" sign_uri "pkcs11:token=rsa;id=%01?module-path=$SOFTHSM&pin-source=file:$TMP/none"

# --- what is not there ----------------------------------------------------------------------------------------------
says "no such key" "a missing key says so" sign_uri "pkcs11:token=rsa;id=%77?$M"
refuse "a missing key fails" sign_uri "pkcs11:token=rsa;id=%77?$M"
others_named() { # in the order of SoftHSM's slots, whose numbers are random
	sign_uri "pkcs11:token=absent;id=%01?$M" >"$TMP/out" 2>&1
	grep -qE 'has: (ec, rsa|rsa, ec)$' "$TMP/out" || { cat "$TMP/out"; false; }
}
check "a missing token: what there is instead" others_named
says "several keys" "a URI that fits several keys is refused" sign_uri "pkcs11:token=rsa?$M"
says "several keys" "and says what to add" sign_uri "pkcs11:token=rsa;type=private?$M"
says "more than one token" "a URI that fits several tokens is refused" sign_uri "pkcs11:id=%01?$M"
says "RFC 7512" "no URI at all" sign_uri "nonsense"
says "is not there" "a missing module is named" sign_uri "pkcs11:token=rsa;id=%01?module-path=/nonexistent/p11.so&pin-source=file:$TMP/pin"
check "a key by the label of its certificate" sign_uri "pkcs11:token=rsa;object=9a%20certificate?$M"

# --- configuration --------------------------------------------------------------------------------------------------
cat >"$TMP/openssl.cnf" <<CNF
openssl_conf = init
[init]
engines = engines
[engines]
dpiv = dpiv
[dpiv]
engine_id = dpiv
dynamic_path = $BUILD/dpiv.so
MODULE_PATH = $SOFTHSM
init = 1
default_algorithms = ALL
CNF
by_conf() {
	env -u OPENSSL_ENGINES OPENSSL_CONF="$TMP/openssl.cnf" openssl dgst -sha256 $E \
	    -sign "pkcs11:token=rsa;id=%01?pin-source=file:$TMP/pin" -out "$TMP/sig" "$TMP/msg" &&
	    openssl dgst -sha256 -verify "$TMP/rsa-9a.spki" -signature "$TMP/sig" "$TMP/msg"
}
check "openssl.cnf: MODULE_PATH, default_algorithms = ALL" by_conf
check "with it, software keys still work" env OPENSSL_CONF="$TMP/openssl.cnf" openssl dgst -sha256 -sign "$TMP/rsa-9a.key" -out "$TMP/sig" "$TMP/msg"
check "public key by URI" openssl pkey -engine dpiv -inform engine -pubin -in "pkcs11:token=ec;id=%01?module-path=$SOFTHSM" -pubout -out "$TMP/pub"

# --- TLS ------------------------------------------------------------------------------------------------------------
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
tls_server() { # VERSION PORT
	openssl s_server -accept 127.0.0.1:"$2" "-$1" -Verify 3 -verify_return_error -CAfile "$TMP/root.pem" -chainCAfile "$TMP/chain.pem" \
	    -cert "$TMP/tls.pem" -key "$TMP/tls.key" -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do
		ss -ltn | grep -q ":$2 " && return
		sleep 0.1
	done
}
tls_client() { # TOKEN PORT: the server tells who came
	printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:"$2" -CAfile "$TMP/root.pem" -verify_return_error -ign_eof $E \
	    -key "$(p11_uri "$1" "id=%01")" -cert "$TMP/$1-9a.pem" -cert_chain "$TMP/ca.pem" >"$TMP/client.log" 2>&1
	grep -q "Subject:.*CN=Pat Example ($1 9a)" "$TMP/client.log" && grep -q 'HTTP/1.0 200 ok' "$TMP/client.log" || { head -20 "$TMP/client.log"; false; }
}
port=$((20000 + $$ % 20000))
for v in tls1_2 tls1_3; do
	port=$((port + 1))
	tls_server $v $port
	at_end "kill $server 2>/dev/null"
	for t in rsa ec; do
		check "s_client, $v, $t" tls_client $t $port
	done
	kill $server
done
