#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-pkcs11(7) says what the code does: mechanisms, configuration keys, vendor attributes and environment variables of
# the module are the same in both, and the page has no mistakes of form.
. tests/lib/shell.sh

page=docs/dpiv-pkcs11.7

# same WHAT CODE PAGE: two lists, one name a line
same() {
	local differ
	differ=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3") | sed -n 's/^</only in the code:/p; s/^>/only in the page:/p')
	if [ -n "$2" ] && [ -z "$differ" ]; then pass "$1"; else fail "$1" "${differ:-nothing was found in the code}"; fi
}

section() { sed -n "/^\.S[sh] $1\$/,/^\.S[sh] /p" $page | tail -n +2; }
keys() { grep -oP "^\t\{ \"$1\", \"\K[a-z_0-9]+" base/conf.c; }

same "mechanisms" \
    "$(sed -n '/^static const struct mech table/,/^};/p' pkcs11/mech.c | grep -oE '\bCKM_[A-Z0-9_]+')" \
    "$(grep -oE '\bCKM_[A-Z0-9_]+' $page)"
same "vendor attributes" "$(grep -rhoE '\bCKA_(DPIV|YUBICO)_[A-Z0-9_]+' pkcs11 base hw)" "$(grep -oE '\bCKA_(DPIV|YUBICO)_[A-Z0-9_]+' $page)"
same "environment" \
    "$(grep -rhoP '(getenv\(|file_xdg\()"\K[A-Z0-9_]+' base/log.c base/conf.c base/proc.c base/file.c hw pkcs11 | grep -vx DPIV_MODULE)" \
    "$(section ENVIRONMENT | grep -E '^\.It Ev' | grep -oE '\b[A-Z][A-Z0-9_]+\b')"
same "configuration of [module]" "$(keys module)" "$(section 'Configuration: \[module\]' | sed -n 's/^\.It Ic //p')"
same "configuration of [token NAME]" "$(keys 'token \*')" "$(section 'Configuration: \[token NAME\]' | sed -n 's/^\.It Ic //p')"
if command -v mandoc >/dev/null; then
	check "mandoc has nothing to say" mandoc -T lint -W warning $page
else
	fail "mandoc is missing (Debian: mandoc)"
fi
