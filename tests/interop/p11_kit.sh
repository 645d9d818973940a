#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-pkcs11.module as `make install` leaves it: p11-kit loads the module, and so does whatever loads p11-kit's proxy.
# In a mount namespace of its own, where this module is the only one that is registered.
. tests/lib/shell.sh
. tests/lib/install.sh

proxy=$(find /usr/lib -name p11-kit-proxy.so -print -quit)
tree=$TMP/tree
check "install" install_into "$tree" prefix="$TMP/usr" modconfdir=/modules
check "the man page is installed" test -s "$tree$TMP/usr/share/man/man7/dpiv-pkcs11.7"
# what DESTDIR was for: the tree is put where it belongs
mv "$tree$TMP/usr" "$TMP/usr"
check "the module file names the module by its whole path" \
    grep -qx "module: $TMP/usr/lib/pkcs11/dpiv-pkcs11.so" "$tree/modules/dpiv-pkcs11.module"

# registered COMMAND...: with a card, and with this module only
registered() {
	tests/with-card --make "--alg p256" -- \
	    bash -c 'mount --bind "$0" /usr/share/p11-kit/modules && exec "$@"' "$tree/modules" "$@"
}
says "token: PIV 0032" "p11-kit lists the slot's token" registered p11-kit list-modules
says "priority: 10" "p11-kit reads the file" bash -c "sed -n 's/^#.*//;p' '$tree/modules/dpiv-pkcs11.module'"
refuse "p11-kit understands each line" bash -c "$(declare -f registered); tree='$tree' registered p11-kit list-modules 2>&1 | grep -iE 'invalid|unknown|ignor'"
says "label:      Certificate for PIV Authentication" "the proxy shows the card's objects" \
    registered pkcs11-tool --module "$proxy" --list-objects --type cert
says "Label: Certificate for PIV Authentication" "GnuTLS finds the card without being told of a module" \
    registered p11tool --list-all-certs pkcs11:model=PIV
echo data >"$TMP/data"
check "a signature through the proxy" registered pkcs11-tool --module "$proxy" --login --pin 123456 --sign --id 01 \
    --mechanism ECDSA-SHA256 --input-file "$TMP/data" --output-file "$TMP/sig"
check "... has 64 bytes" test "$(stat -c %s "$TMP/sig")" = 64
