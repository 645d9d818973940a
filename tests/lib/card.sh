# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Checks inside tests/with-card. Sourced after tests/lib/shell.sh and tests/lib/softhsm.sh, which has agency_make.

# card_make ALG [options]: a card of our agency, $TMP/ALG.json, with its certificates in $TMP/ALG-9a.pem … $TMP/ALG-9e.pem
card_make() {
	local alg=$1 f
	shift
	"$BUILD/dpiv-vcard" make --alg "$alg" --ca-cert "$TMP/ca.pem" --ca-key "$TMP/ca.key" --export-certs "$TMP/certs-$alg" "$@" \
	    "$TMP/$alg.json" >/dev/null || return 1
	for f in 9a 9c 9d 9e; do cp "$TMP/certs-$alg/$f.pem" "$TMP/$alg-$f.pem" || return 1; done
}

# with_card ALG COMMAND...: COMMAND may be a function of the test; it sees the test's variables as they are now
with_card() {
	local alg=$1
	shift
	{
		declare -p | grep -v '^declare -[a-zA-Z]*[rA]' | grep -vE '^declare -[-a-zA-Z]+ (BASH|FUNCNAME|PIPESTATUS|DIRSTACK|GROUPS|_)'
		declare -f
	} >"$TMP/inside.sh"
	tests/with-card --image "$TMP/$alg.json" --no-save -- bash -c '. "$0" 2>/dev/null; "$@"' "$TMP/inside.sh" "$@"
}
