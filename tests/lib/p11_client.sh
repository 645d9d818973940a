# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Programs that use the module, for tests of what happens when several do. Sourced after tests/lib/shell.sh.
#
#   sign OUT ID SECONDS [THREADS]   signatures as fast as they come (tests/faults/p11_client.c); its report into OUT
#   field NAME OUT                  a number of that report: signatures, longest, bad
#   only OUT RV...                  no other return value than these, no bad signature, and the last one worked

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }

client_build() { # SOURCE PROGRAM
	# shellcheck disable=SC2046
	gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$2" "$1" $(pkg-config --cflags p11-kit-1) -ldl -lcrypto -lpthread
}
sign() {
	local out=$1
	shift
	"$TMP/client" "${MODULE:-$M}" "$@" >"$out" 2>&1
}
field() { sed -n "s/^$1 \([0-9.]*\).*/\1/p" "$2"; }
only() {
	local bad
	bad=$(grep '^rv' "$1" | grep -vE "^rv ($(IFS='|'; echo "${*:2}")):")
	cat "$1"
	[ -z "$bad" ] && grep -qx 'last 0x0' "$1" && grep -qx 'bad 0' "$1"
}
