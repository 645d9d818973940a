#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv history import is killed before each call that writes to the token, and each of these calls fails, by C_CreateObject
# and by C_UnwrapKey: the next run completes it, with one key, one public key at most and one certificate; a failure leaves
# nothing new.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
softhsm_start
agency_make
cd "$TMP" || exit 1
gcc -shared -fPIC -o shim.so "$ROOT/tests/interop/import_shim.c" -ldl $(pkg-config --cflags p11-kit-1) || fail "the shim does not build"
echo secret >pw
key_make rsa2048 old.key
cert_make encrypt old.key "/CN=Pat Old" old.pem ca 20140101000000Z 20170101000000Z
openssl pkcs12 -export -inkey old.key -in old.pem -passout file:pw -out old.p12
echo 'An old letter.' >letter
openssl cms -encrypt -aes-256-cbc -in letter -out old.eml old.pem
import() { # TOKEN VARIABLE=VALUE...
	env IMPORT_SHIM_MODULE="$SOFTHSM" "${@:2}" "$D" history import --to "pkcs11:token=$1?module-path=$TMP/shim.so&pin-source=file:$TMP/pin" \
	    --password-source "file:$TMP/pw" old.p12
}
fresh() { softhsm2-util --init-token --free --label "$1" --so-pin 12345678 --pin $PIN >/dev/null; }
objects() { pkcs11-tool --module "$SOFTHSM" --token-label "$1" --login --pin $PIN -O 2>/dev/null; }
whole() { # TOKEN: everything is there, once, and works
	[ "$(objects "$1" | grep -c '^Private Key')" = 1 ] && [ "$(objects "$1" | grep -c '^Certificate')" = 1 ] &&
	    [ "$(objects "$1" | grep -c '^Public Key')" -le 1 ] && [ "$(objects "$1" | grep -c '^Secret Key')" = 0 ] &&
	    "$D" decrypt --token "$(p11_uri "$1" '' | sed 's/;?/?/')" --text old.eml | tr -d '\r' | cmp - letter
}
swept=0
for refuse in none create; do
	for n in 1 2 3 4 5 6; do
		t=kill-$refuse-$n
		fresh $t
		{ import $t IMPORT_SHIM_REFUSE=$refuse IMPORT_SHIM_KILL=$n >/dev/null 2>&1; } 2>/dev/null
		s=$?
		[ $s -ne 0 ] || break # there are fewer calls
		if [ $s -ne 137 ]; then fail "killed before call $n ($refuse)" "exit status $s"; fi
		swept=$((swept + 1))
		check "killed before call $n ($refuse refused): the next run completes" import $t IMPORT_SHIM_REFUSE=$refuse
		check "and all is there once" whole $t
	done
	for n in 1 2 3 4 5 6; do
		t=fail-$refuse-$n
		fresh $t
		import $t IMPORT_SHIM_REFUSE=$refuse IMPORT_SHIM_FAIL=$n >said 2>&1
		s=$?
		if [ $s -eq 0 ]; then
			# a public key that the token would not have is no loss
			check "call $n fails ($refuse refused): nothing that matters" whole $t
			[ "$n" -lt 4 ] || break
			continue
		fi
		swept=$((swept + 1))
		if [ -z "$(objects $t)" ]; then pass "call $n fails ($refuse refused): nothing is left"; else fail "call $n fails ($refuse refused): nothing is left" "$(objects $t; cat said)"; fi
		check "and then it goes in" import $t
	done
done
echo "points swept: $swept"
check "there were points to sweep" test "$swept" -ge 8
