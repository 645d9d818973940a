#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The module in a host process of its own, on real pcscd, under valgrind: no invalid access and nothing lost, for a list
# of all objects, for signatures with 9A and 9C, and when the card answers with nonsense.
. tests/lib/shell.sh

if [ -z "${DPIV_VCARD_CTL:-}" ]; then
	make --no-print-directory BUILD="$BUILD" "$BUILD/bench/p11_cold" >/dev/null || exit 1
	for alg in rsa2048 p256; do
		ALG=$alg tests/with-card --make "--alg $alg" -- "$0" || exit 1
	done
	trap - EXIT
	rm -rf "$TMP"
	exit 0
fi

echo 123456 >"$TMP/pin"
clean() { # ID COUNT
	valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
		"$BUILD/bench/p11_cold" "$BUILD/dpiv-pkcs11.so" "$1" "$2" "$TMP/pin"
}
nonsense() {
	tests/vcard-ctl fault 'ins CB 2 garbage 40' >/dev/null
	clean list 0
	local status=$?
	tests/vcard-ctl fault clear >/dev/null
	[ $status -ne 99 ]
}

check "$ALG: list of all objects" clean list 0
check "$ALG: two signatures with 9A" clean 01 2
check "$ALG: two signatures with 9C" clean 02 2
check "$ALG: a card that answers nonsense" nonsense
