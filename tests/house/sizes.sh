#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Small functions: none over 100 lines, 95 in a hundred at most 60, half of them under 20; lines of at most 120 columns.
. tests/lib/shell.sh

ctags-universal --languages=C --c-kinds=f --fields=+ne -o - base/*.c hw/*.c pkcs11/*.c derive/*.c derive/issuer/*.c cli/*.c \
	tests/vcard/*.c | awk -F'\t' '!/^!/ {
		line = end = 0
		for (i = 4; i <= NF; i++) { if ($i ~ /^line:/) line = substr($i, 6); if ($i ~ /^end:/) end = substr($i, 5) }
		if (end) print end - line + 1, $2, $1
	}' | sort -rn >"$TMP/sizes"

over() { awk -v max="$1" '$1 > max { print; n++ } END { exit n > 0 }' "$TMP/sizes"; }
share() { awk '$1 > 60 { n++ } END { printf "%d of %d functions over 60 lines\n", n, NR; exit n * 20 > NR }' "$TMP/sizes"; }
median() { awk '{ v[NR] = $1 } END { m = v[int((NR + 1) / 2)]; print "median " m; exit m >= 20 }' "$TMP/sizes"; }
wide() {
	local bad
	bad=$(git ls-files '*.c' '*.h' | xargs expand -t8 2>/dev/null | awk 'length > 120 { n++ } END { print n + 0 }')
	[ "$bad" -eq 0 ] || { git ls-files '*.c' '*.h' | while read -r f; do expand -t8 "$f" | awk -v f="$f" 'length > 120 { print f ":" NR }'; done; return 1; }
}

check 'functions were found' test -s "$TMP/sizes"
check 'no function over 100 lines' over 100
check 'at most 5 % of the functions over 60 lines' share
check 'the median function is under 20 lines' median
check 'no line over 120 columns' wide
