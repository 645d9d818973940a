#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What pkcs11-tool sees, and what it costs the card, with a cache that is empty, valid, damaged, not wanted.
. tests/lib/shell.sh

if [ "${1-}" != inside ]; then
	exec tests/with-card -- tests/interop/p11_cache.sh inside
fi

MODULE=$BUILD/dpiv-pkcs11.so
export DPIV_CONF=$TMP/dpiv.conf
: >"$DPIV_CONF"

list() { # FILE: the objects; prints the APDUs
	tests/vcard-ctl clear >/dev/null
	pkcs11-tool --module "$MODULE" -O >"$1" 2>&1
	tests/vcard-ctl log | sed -n 's/^ok apdus=\([0-9]*\).*/\1/p'
}

first=$(list "$TMP/first")
second=$(list "$TMP/second")
check "a card never seen before: at most 50 APDUs ($first)" [ "$first" -le 50 ]
check "a known card: at most 10 ($second)" [ "$second" -le 10 ]
check 'the same objects' cmp "$TMP/first" "$TMP/second"
check 'there are objects' grep -q 'Certificate for PIV Authentication' "$TMP/first"
check 'the directory is the user'\''s alone' [ "$(stat -c %a "$XDG_CACHE_HOME/dpiv")" = 700 ]
check 'so are its files' [ "$(stat -c %a "$XDG_CACHE_HOME"/dpiv/*.card)" = 600 ]

printf 'x' | dd of="$(echo "$XDG_CACHE_HOME"/dpiv/*.card)" bs=1 seek=500 conv=notrunc status=none
third=$(list "$TMP/third")
check "a damaged file is not used ($third)" [ "$third" -gt 20 ]
check 'and the objects are the same' cmp "$TMP/first" "$TMP/third"

rm -r "$XDG_CACHE_HOME"
printf '[module]\ncache = no\n' >"$DPIV_CONF"
list "$TMP/off" >/dev/null
off=$(list "$TMP/off")
check "cache = no: nothing is remembered ($off)" [ "$off" -gt 20 ]
refuse 'and nothing is written' test -e "$XDG_CACHE_HOME"
check 'the objects are the same' cmp "$TMP/first" "$TMP/off"
