#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# S/MIME between dpiv and NSS's cmsutil, the core of Thunderbird: each reads what the other made (RSA; Debian's NSS does
# no ECDH recipients).
. tests/lib/shell.sh
. tests/lib/softhsm.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
softhsm_start
agency_make
token_make rsa rsa2048
token_make ec p256
cd "$TMP" || exit 1
U() { p11_uri "$1" '' | sed 's/;?/?/'; }
printf 'Hello Bob,\nthis is it.\n' >letter.txt
mkdir db
certutil -N -d sql:db --empty-password
certutil -A -d sql:db -n root -t CT,CT,CT -i root.pem
certutil -A -d sql:db -n ca -t ,, -i ca.pem
openssl pkcs12 -export -in rsa-9d.pem -inkey rsa-9d.key -name pat9d -passout pass: -out 9d.p12
pk12util -i 9d.p12 -d sql:db -K '' -W '' >/dev/null
openssl pkcs12 -export -in rsa-9c.pem -inkey rsa-9c.key -name pat9c -passout pass: -out 9c.p12
pk12util -i 9c.p12 -d sql:db -K '' -W '' >/dev/null

der_of() { openssl cms -cmsout -in "$1" -outform DER -out "$2"; }

nss_verifies() { # TOKEN
	"$D" sign --opaque --token "$(U "$1")" --chain ca.pem --from pat@example.test letter.txt >s.eml &&
	    der_of s.eml s.der && cmsutil -D -d sql:db -i s.der -u 4 -h 1 >nss.log 2>&1 && grep -q 'signer0.status=GoodSignature' nss.log ||
	    { cat nss.log; return 1; }
}
nss_of_changed() {
	python3 -c "d = bytearray(open('s.der', 'rb').read()); i = d.find(b'this is it'); d[i] ^= 1; open('bad.der', 'wb').write(d)" &&
	    cmsutil -D -d sql:db -i bad.der -u 4 -h 1
}
nss_decrypts() {
	"$D" encrypt --to rsa-9d.pem letter.txt >e.eml && der_of e.eml e.der && cmsutil -D -d sql:db -i e.der -o plain &&
	    grep -q 'this is it' plain
}
dpiv_verifies() {
	cmsutil -S -d sql:db -N pat9c -Y pat9d -G -H SHA256 -i letter.txt -o n.der && "$D" verify --cafile chain.pem n.der
}
dpiv_decrypts() {
	cmsutil -E -d sql:db -r pat@example.test -i letter.txt -o ne.der && "$D" decrypt --token "$(U rsa)" ne.der >plain && cmp letter.txt plain
}
check "NSS verifies what dpiv signed, RSA" nss_verifies rsa
says "DigestMismatch" "and sees when it was changed" nss_of_changed
check "NSS verifies what dpiv signed, P-256" nss_verifies ec
check "NSS decrypts what dpiv encrypted" nss_decrypts
check "dpiv verifies what NSS signed" dpiv_verifies
check "dpiv decrypts what NSS encrypted" dpiv_decrypts
