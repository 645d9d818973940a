#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Every header compiles alone, every file names its licence, and nothing open is left in the code.
. tests/lib/shell.sh

alone() {
	local flags bad=0
	flags=$(pkg-config --cflags libcrypto libpcsclite p11-kit-1 libp11 jansson)
	for h in $(git ls-files '*.h'); do
		# shellcheck disable=SC2086
		gcc -std=c11 -D_GNU_SOURCE -I. $flags -fsyntax-only -x c "$h" || { echo "$h"; bad=1; }
	done
	return $bad
}

licence() {
	local bad
	bad=$(git ls-files '*.c' '*.h' '*.sh' | xargs grep -L 'SPDX-License-Identifier: BSD-2-Clause')
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

open_work() {
	local bad
	bad=$(git grep -nwE 'TO''DO|FIX''ME|XX''X' -- '*.c' '*.h')
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

check 'every header compiles alone' alone
check 'every file names its licence' licence
check 'no open work is left in comments' open_work
