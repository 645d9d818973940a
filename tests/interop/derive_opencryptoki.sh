#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Another PKCS#11 token: openCryptoki's soft token with its daemon, in this test's own mount namespace: derived, renewed and
# revoked, AAL2 only, and a module that cannot be loaded twice.
. tests/lib/derive.sh
derive_inside "--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
OCK=$(find /usr/lib -name libopencryptoki.so -print -quit)
[ -e "$OCK" ] || { echo "not ok - openCryptoki is not installed"; exit 1; }

lock=$(readlink -f /var/lock)
mkdir -p /var/lib/opencryptoki
mount -t tmpfs none /var/lib/opencryptoki
mount -t tmpfs none "$lock"
at_end "umount /var/lib/opencryptoki $lock"
mkdir -p /var/lib/opencryptoki/swtok/TOK_OBJ "$lock/opencryptoki/swtok"
chgrp -R pkcs11 /var/lib/opencryptoki "$lock/opencryptoki"
chmod -R 770 /var/lib/opencryptoki "$lock/opencryptoki"
printf 'version opencryptoki-3.8\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n' >"$TMP/ock.conf"
mount --bind "$TMP/ock.conf" /etc/opencryptoki/opencryptoki.conf
at_end 'umount /etc/opencryptoki/opencryptoki.conf'
pkcsslotd -f >"$TMP/slotd.log" 2>&1 &
SLOTD=$!
at_end "kill $SLOTD 2>/dev/null; wait $SLOTD 2>/dev/null"
o() { pkcs11-tool --module "$OCK" "$@" 2>/dev/null; }
for _ in $(seq 50); do o -L | grep -q uninitialized && break; sleep 0.1; done
init() {
	printf 'ock\n' | pkcsconf -I -c 0 -S 87654321 && pkcsconf -P -c 0 -S 87654321 -n 12345678 && pkcsconf -u -c 0 -S 12345678 -n 123456
}
check 'a token' init
token_fresh none
TO="pkcs11:token=ock?module-path=$OCK&pin-source=file:$TMP/pin"
objects() { o -l -p 123456 -O | grep -c "^$1 Object"; }
safe() { [ "$(o -l -p 123456 -O --type privkey | grep -c "never extractable, local")" = "$1" ]; }
json() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); assert $1, s"; }
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
says 'SoftTok is software' 'what it can is known' derive --role auth,sign
check 'derived' json '[c["state"] for c in s["credentials"]] == ["ok"] * 2'
says '--alg rsa2048' 'it has no elliptic curves, which is known before' derive --again --alg p256
check 'an encryption key' derive --role encrypt
check 'the keys are never extractable, made there' safe 3
check 'all are renewed' "$BUILD/dpiv" renew --all --force --token "$TO" --cafile "$DERIVE_DIR/agency/root.pem"
check 'status' json '[c["state"] for c in s["credentials"]] == ["ok"] * 3'
for r in sign auth; do check "$r is revoked" "$BUILD/dpiv" revoke $r --yes --token "$TO" --cafile "$DERIVE_DIR/agency/root.pem"; done
check 'one credential is left' json 'len(s["credentials"]) == 1'
