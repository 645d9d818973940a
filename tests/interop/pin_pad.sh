#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs and a PIN pad: SCardControl() of libpcsclite is preloaded with one that has keys (tests/interop/pad_shim.c). pkcs11-tool,
# NSS, OpenSSL and ssh do not ask; what is typed is counted. vpcd's own reader, asked through pcscd, has none.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
# shellcheck disable=SC2046
gcc -shared -fPIC -O1 -o "$TMP/pad.so" tests/interop/pad_shim.c $(pkg-config --cflags --libs libpcsclite) || exit 1
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_CACHE_HOME=$TMP/cache OPENSSL_ENGINES=$BUILD
unset DISPLAY SSH_ASKPASS
mkdir -p "$HOME"
: >"$DPIV_CONF"
agency_make
printf 'To be signed.' >"$TMP/msg"

padded() { LD_PRELOAD=$TMP/pad.so PAD_TYPES=$TMP/keys PAD_LOG=$TMP/typed setsid "$@"; } # no terminal: nothing can be asked
types() { printf '%s\n' "$@" >"$TMP/keys"; : >"$TMP/typed"; }
typed() { [ "$(grep -c . "$TMP/typed")" -eq "$1" ] || { echo "typed:"; cat "$TMP/typed"; return 1; }; }
tool() { padded pkcs11-tool --module "$M" "$@"; }
sig() { [ $ALG = p256 ] && echo ECDSA-SHA256 || echo SHA256-RSA-PKCS; }
verifies() { openssl dgst -sha256 -verify <(openssl x509 -in "$TMP/$ALG-$1.pem" -pubkey -noout) -signature "$TMP/sig" "$TMP/msg"; }

flags() { tool -L | grep 'token flags'; }
own_flags() { pkcs11-tool --module "$M" -L | grep 'token flags'; }
none_of_vpcd() { own_flags >"$TMP/flags" && ! grep -q 'PIN pad' "$TMP/flags"; }
sign() { # KEY ID TYPED
	types 123456
	tool -l --sign -m "$(sig)" --id "$2" -i "$TMP/msg" -o "$TMP/sig" -f openssl && verifies "$1" && typed "$3"
}
wrong() {
	types 654321
	tool -l -O
}
canceled() { # SW
	types 123456
	PAD_SW=$1 tool -l -O >"$TMP/said" 2>&1
	grep -q CKR_FUNCTION_CANCELED "$TMP/said" && typed 1 && [ "$(tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 ')" -eq 0 ] || { cat "$TMP/said"; return 1; }
}
change() {
	types 123456 87654321 87654321
	tool -l --change-pin >"$TMP/change" 2>&1 || { cat "$TMP/change"; return 1; }
	types 87654321
	tool -l -O --type privkey | grep -q 'PIV AUTH key'
}
nss() {
	types 123456
	rm -rf "$TMP/db"
	mkdir "$TMP/db" && certutil -N -d "sql:$TMP/db" --empty-password && modutil -dbdir "sql:$TMP/db" -add dpiv -libfile "$M" -force &&
	    padded certutil -K -d "sql:$TMP/db" -h all | grep -c '^< *[0-9]*>' >"$TMP/n" && typed 1 && [ "$(cat "$TMP/n")" -ge 4 ]
}
engine() { # KEY ID TYPED
	types 123456
	padded openssl dgst -sha256 -engine dpiv -keyform engine -sign "pkcs11:id=%$2;type=private" -out "$TMP/sig" "$TMP/msg" && verifies "$1" && typed "$3"
}
dpiv_sign() {
	types 123456
	padded "$BUILD/dpiv" sign --chain "$TMP/ca.pem" --from pat@example.test -o "$TMP/s.eml" "$TMP/msg" &&
	    openssl cms -verify -in "$TMP/s.eml" -CAfile "$TMP/root.pem" -purpose any -out "$TMP/out" && typed 2
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "vpcd's reader has no pad, $ALG" with_card $ALG none_of_vpcd
	says "PIN pad present" "a pad is seen, $ALG" with_card $ALG flags
	check "pkcs11-tool signs with 9A, typed once, $ALG" with_card $ALG sign 9a 01 1
	check "with 9C, typed at login and for the key, $ALG" with_card $ALG sign 9c 02 2
	check "NSS logs in, typed once, $ALG" with_card $ALG nss
	check "dpiv's engine signs with 9A, $ALG" with_card $ALG engine 9a 01 1
	check "and with 9C, $ALG" with_card $ALG engine 9c 02 2
	check "dpiv sign, $ALG" with_card $ALG dpiv_sign
done
says CKR_PIN_INCORRECT "a wrong PIN" with_card p256 wrong
check "the cancel key: nothing is sent" with_card p256 canceled 6401
check "nobody types: nothing is sent" with_card p256 canceled 6400
check "change of PIN" with_card p256 change
