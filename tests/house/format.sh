#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# All C is as clang-format 14 and .clang-format lay it out: `clang-format-14 -i FILE` mends it.
. tests/lib/shell.sh

laid_out() {
	local bad
	bad=$(git ls-files '*.c' '*.h' | while read -r f; do clang-format-14 "$f" | cmp -s - "$f" || echo "$f"; done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

check 'every file is laid out by .clang-format' laid_out
