#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# make install: every product where programs look for it, every manual page where man does, and p11-kit told where the
# module is; with DESTDIR nothing else is touched, and nothing is left out or installed twice. `make && make install
# prefix=/usr` gives a dpiv that looks for its module below /usr.
. tests/lib/shell.sh
. tests/lib/install.sh

dest=$TMP/dest
touch "$TMP/before"
check "make install" install_into "$dest" prefix=/usr libdir=/usr/lib/here
check "little is compiled again" test "$(find "$COPY/obj" -name '*.o' -newer "$TMP/before" | wc -l)" -lt 10
engines=$(pkg-config --variable=enginesdir libcrypto)
modules=$(pkg-config --variable=p11_module_configs p11-kit-1)
want=$(
	printf '%s\n' 755\ /usr/bin/dpiv{,-issuer,-vcard} 644\ /usr/lib/here/pkcs11/dpiv-pkcs11.so "644 $engines/dpiv.so" \
		"644 $modules/dpiv-pkcs11.module" 644\ /usr/lib/systemd/system/dpiv-issuer{@.service,-est@.socket,-publish@.socket} \
		"644 /usr/lib/sysusers.d/dpiv-issuer.conf"
	for page in docs/*.[1-8]; do echo "644 /usr/share/man/man${page##*.}/${page##*/}"; done
)
differ=$(diff <(sort <<<"$want") <(cd "$dest" && find . -type f -printf '%m /%P\n' | sort))
if [ -z "$differ" ]; then pass "what is installed, where, with which mode"; else fail "what is installed, where, with which mode" "$differ"; fi
for product in /usr/bin/dpiv /usr/bin/dpiv-issuer /usr/bin/dpiv-vcard /usr/lib/here/pkcs11/dpiv-pkcs11.so "$engines/dpiv.so"; do
	check "$product is what was built" cmp "$dest$product" "$COPY/${product##*/}"
done
check "p11-kit is told the module's place" grep -qx 'module: /usr/lib/here/pkcs11/dpiv-pkcs11.so' "$dest$modules/dpiv-pkcs11.module"
refuse "nothing is left to fill in" grep -q '@' "$dest$modules/dpiv-pkcs11.module"
check "systemd is told the issuer's place" grep -q '^ExecStart=/usr/bin/dpiv-issuer serve ' "$dest/usr/lib/systemd/system/dpiv-issuer@.service"
for page in dpiv dpiv-derive dpiv.conf dpiv-issuer dpiv-pkcs11; do
	check "man finds $page" mman -M "$dest/usr/share/man" "$page"
done
says "no PKCS#11 module /usr/lib/here/pkcs11/dpiv-pkcs11.so" "dpiv looks for the module where it belongs" \
    "$dest/usr/bin/dpiv" status
says "More: man dpiv-sign" "the help names the page" "$BUILD/dpiv" sign --help
