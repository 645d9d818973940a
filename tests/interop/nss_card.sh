#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# NSS's tools on the module and a PIV card, RSA-2048 and P-256: modutil, certutil, cmsutil (signature by the PIN-for-each-use key
# 9C, decryption by 9D), TLS 1.2 and 1.3 client authentication by 9A between tstclnt and selfserv. Elliptic-curve
# recipients need the newer NSS that Thunderbird brings along. What OpenSSL makes NSS reads, and the other way round.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_CACHE_HOME=$TMP/cache
mkdir -p "$HOME"
: >"$DPIV_CONF"
agency_make
key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
printf 'Hello Bob,\nthis is it.\n' >"$TMP/msg"
echo 123456 >"$TMP/pin"
printf 'GET / HTTP/1.0\r\n\r\n' >"$TMP/get"
DB=sql:$TMP/db
AUTH="Certificate for PIV Authentication" SIGN="Certificate for Digital Signature" KEYMAN="Certificate for Key Management"

db_make() { # DIRECTORY: an NSS database that trusts our agency
	mkdir "$1" && certutil -N -d "sql:$1" --empty-password && certutil -A -d "sql:$1" -n root -t CT,CT,CT -i "$TMP/root.pem" &&
	    certutil -A -d "sql:$1" -n ca -t ,, -i "$TMP/ca.pem"
}
token() { modutil -dbdir "$DB" -list dpiv 2>/dev/null | sed -n 's/^ *Token Name: *\(PIV .*[^ ]\) *$/\1/p' | head -n 1; }
verifies() { tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 '; }

add() {
	rm -rf "$TMP/db"
	db_make "$TMP/db" && modutil -dbdir "$DB" -add dpiv -libfile "$M" -force && [ -n "$(token)" ]
}
list() { # nobody to ask for a PIN: no terminal, no file
	add && setsid certutil -L -d "$DB" -h all >"$TMP/list" 2>&1 </dev/null && [ "$(grep -c '^PIV .*u,u,u' "$TMP/list")" -eq 4 ] &&
	    ! grep -q 'opening input terminal' "$TMP/list" && [ "$(verifies)" -eq 0 ] || { cat "$TMP/list"; return 1; }
}
keys() {
	add && certutil -K -d "$DB" -h "$(token)" -f "$TMP/pin" >"$TMP/list" && [ "$(grep -cE "^< ?[0-9]+> $1 " "$TMP/list")" -eq 4 ] ||
	    { cat "$TMP/list"; return 1; }
}
usable() { # USAGE CERTIFICATE
	add && certutil -V -d "$DB" -n "$(token):$2" -u "$1"
}
sign() {
	add && cmsutil -S -d "$DB" -N "$(token):$SIGN" -Y NONE -f "$TMP/pin" -G -H SHA256 -i "$TMP/msg" -o "$TMP/s.p7m" &&
	    openssl cms -verify -inform DER -in "$TMP/s.p7m" -CAfile "$TMP/root.pem" -certfile "$TMP/ca.pem" -purpose smimesign \
		-signer "$TMP/who.pem" -out "$TMP/out" && cmp "$TMP/out" "$TMP/msg" && cmp "$TMP/who.pem" "$TMP/$ALG-9c.pem"
}
verify() {
	sign && cmsutil -D -d "$DB" -i "$TMP/s.p7m" -u 4 -h 1 >"$TMP/nss.log" && grep -q 'status=GoodSignature' "$TMP/nss.log" ||
	    { cat "$TMP/nss.log"; return 1; }
}
verify_changed() {
	sign && python3 -c 'import sys; f, g = sys.argv[1:]; d = bytearray(open(f, "rb").read())
d[d.find(b"this is it")] ^= 1; open(g, "wb").write(d)' "$TMP/s.p7m" "$TMP/bad.p7m" && cmsutil -D -d "$DB" -i "$TMP/bad.p7m" -u 4 -h 1
}
envelope() { # [LIBRARIES]
	add && LD_LIBRARY_PATH=${1-} cmsutil -E -d "$DB" -r "$(token):$KEYMAN" -f "$TMP/pin" -i "$TMP/msg" -o "$TMP/e.p7m" &&
	    LD_LIBRARY_PATH=${1-} cmsutil -D -d "$DB" -f "$TMP/pin" -i "$TMP/e.p7m" -o "$TMP/out" && cmp "$TMP/out" "$TMP/msg"
}
decrypt() { # LIBRARIES [options of openssl]
	local libs=$1
	shift
	add && openssl cms -encrypt -aes-128-cbc -binary -in "$TMP/msg" -outform DER -out "$TMP/e.p7m" -recip "$TMP/$ALG-9d.pem" "$@" &&
	    LD_LIBRARY_PATH=$libs cmsutil -D -d "$DB" -f "$TMP/pin" -i "$TMP/e.p7m" -o "$TMP/out" && cmp "$TMP/out" "$TMP/msg"
}
wrong_pin() { # one try, sent once
	add && echo 999999 >"$TMP/badpin" && tests/vcard-ctl clear >/dev/null && certutil -K -d "$DB" -h "$(token)" -f "$TMP/badpin"
	tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 .*sw=63C' | sed 's/^/refused: /'
}
tls() { # VERSION [with]: with a client certificate or without
	local server ok
	add && rm -rf "$TMP/server" && db_make "$TMP/server" && openssl pkcs12 -export -in "$TMP/tls.pem" -inkey "$TMP/tls.key" -name tls \
	    -passout pass: -out "$TMP/tls.p12" && pk12util -i "$TMP/tls.p12" -d "sql:$TMP/server" -K '' -W '' >/dev/null || return 1
	timeout 30 selfserv -d "sql:$TMP/server" -n tls -p 4433 -r -r -v -V "$1:$1" >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do ss -ltn | grep -q ':4433 ' && break; sleep 0.1; done
	# from a file: at the end of a pipe tstclnt turns in circles
	timeout 20 tstclnt -h localhost -p 4433 -d "$DB" -V "$1:$1" -v ${2+-n "$(token):$AUTH" -W "$TMP/pin"} <"$TMP/get" >"$TMP/page" 2>&1
	ok=$?
	kill $server
	wait $server 2>/dev/null
	grep -q 'HTTP/1.* 200' "$TMP/page" && grep -q 'subject DN: CN=Pat Example' "$TMP/server.log" && return $ok
	tail -n 20 "$TMP/page" "$TMP/server.log"
	return 1
}

TB=/usr/lib/thunderbird
for ALG in rsa2048 p256; do
	card_make $ALG
	type=rsa
	[ $ALG = rsa2048 ] || type=ec
	check "modutil adds the module, $ALG" with_card $ALG add
	check "certutil lists certificates, usable, without a PIN, $ALG" with_card $ALG list
	check "and private keys with one, $ALG" with_card $ALG keys $type
	check "certificate good for signing mail, $ALG" with_card $ALG usable S "$SIGN"
	check "and for receiving it, $ALG" with_card $ALG usable R "$KEYMAN"
	says "certificate is invalid" "but the authentication certificate is not, $ALG" with_card $ALG usable R "$AUTH"
	check "cmsutil signs, OpenSSL verifies, $ALG" with_card $ALG sign
	check "NSS verifies, $ALG" with_card $ALG verify
	says DigestMismatch "and sees a change, $ALG" with_card $ALG verify_changed
	for v in tls1.2 tls1.3; do
		check "client certificate, $v, $ALG" with_card $ALG tls $v with
		says "returned error -12285" "none is refused, $v, $ALG" with_card $ALG tls $v
	done
	says "refused: 1" "a wrong PIN is sent once, $ALG" with_card $ALG wrong_pin
done
ALG=rsa2048
check "envelope and decrypt, rsa2048" with_card rsa2048 envelope
check "decrypt what OpenSSL made, rsa2048" with_card rsa2048 decrypt ""
for ALG in rsa2048 p256; do
	check "envelope and decrypt, Thunderbird's NSS, $ALG" with_card $ALG envelope $TB
	check "decrypt what OpenSSL made, Thunderbird's NSS, $ALG" with_card $ALG decrypt $TB
done
check "decrypt with KDF SHA-256" with_card p256 decrypt $TB -keyopt ecdh_kdf_md:sha256
