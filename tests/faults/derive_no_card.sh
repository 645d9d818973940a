#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv derive and dpiv status without a usable card: no service, no reader, no card, a card that is no PIV card, a card that
# can itself only be derived. No PIN is asked for, the target is not touched.
. tests/lib/derive.sh
. tests/lib/shell.sh
token_fresh laptop
"$BUILD/dpiv-issuer" init --demo "$TMP/agency" >"$TMP/init.log" 2>&1
rm "$TMP/pin" # whoever wants the target's PIN fails

try() { # OPTIONS of with-card
	tests/with-card "$@" -- "$BUILD/dpiv" derive --to "$TO" --issuer https://localhost:8443 --cafile "$TMP/agency/root.pem"
}
show() { tests/with-card "$@" -- "$BUILD/dpiv" status; }
untouched() { [ -z "$(token_objects)" ]; }

both() { # STATUS TEXT NAME OPTIONS...
	local want=$1 text=$2 name=$3
	shift 3
	status "$want" "derive, $name: exit status" try "$@"
	says "$text" "derive, $name: says so" try "$@"
	says "$text" "status, $name: says so" show "$@"
}

both 3 'pcscd is not running' 'no pcscd' --no-pcscd
both 3 'there is no smart card reader' 'no reader' --no-reader
both 3 'there is no card in the reader' 'no card' --no-card
echo 'every sw 6E00' >"$TMP/fault"
both 3 'is not a PIV card' 'another card' --fault "$TMP/fault"
status 5 'derive, a derived credential: exit status' try --make --derived
says 'only a PIV card can vouch' 'derive, a derived credential: says so' try --make --derived
echo 'every ins CB sw 6A82' >"$TMP/fault"
status 3 'derive, an empty card: exit status' try --fault "$TMP/fault"
says 'no PIV Authentication certificate' 'derive, an empty card: says so' try --fault "$TMP/fault"
status 3 'status with nothing at all' show --no-pcscd
check 'the target is untouched' untouched

# what is wrong with the command or the configuration
dpiv() { "$BUILD/dpiv" "$@"; }
status 2 'no target' dpiv derive --issuer https://x
status 2 'no issuer' dpiv derive --to "$TO"
status 2 'no such role' dpiv derive --to "$TO" --issuer https://x --role boss
status 2 'a role twice' dpiv derive --to "$TO" --issuer https://x --role auth,auth
status 2 'no such algorithm' dpiv derive --to "$TO" --issuer https://x --alg rsa1024
status 2 'no such option' dpiv derive --frobnicate
status 2 'a stray argument' dpiv derive laptop
status 2 'not a URI' dpiv derive --to laptop --issuer https://x
status 2 'an unknown attribute' dpiv derive --to 'pkcs11:tokn=x' --issuer https://x
status 2 'a relative module' dpiv derive --to 'pkcs11:token=x?module-path=x.so' --issuer https://x
status 3 'no such module' dpiv derive --to 'pkcs11:token=x?module-path=/nowhere/x.so' --issuer https://x
status 2 'a module that is none' dpiv derive --to 'pkcs11:token=x?module-path=/usr/lib/x86_64-linux-gnu/libcrypto.so.3' --issuer https://x
says "present: 'laptop'" 'no such token: what is there is named' dpiv derive --to "pkcs11:token=desk?module-path=$SOFTHSM" --issuer https://x
status 1 'an issuer that dpiv.conf does not have' dpiv derive --to "$TO" --issuer agency
status 2 'no verb' dpiv
status 2 'no such verb' dpiv dervie
status 0 'help' dpiv help derive
says 'Examples:' 'help has examples' dpiv derive --help
secret() { ! dpiv derive --to "pkcs11:token=desk?module-path=$SOFTHSM&pin-value=Zebra4711" --issuer https://x 2>&1 | grep Zebra; }
check 'a PIN in a URI is not shown' secret
