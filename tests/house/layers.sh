#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The rooms and their arrows: base <- hw <- pkcs11, base <- derive <- cli; each foreign header in the one file that is
# its home; nothing that can be loaded into another program prints, exits or installs handlers.
. tests/lib/shell.sh

may() {
	case $1 in
	base) echo 'base' ;;
	hw) echo 'base hw' ;;
	pkcs11) echo 'base hw pkcs11' ;;
	derive) echo 'base derive' ;;
	cli) echo 'base derive cli' ;;
	vcard) echo 'tests/vcard' ;;
	esac
}

room() {
	local name=$1 dir=${2:-$1} bad
	bad=$(grep -rnE '^#include "' "$dir" --include='*.[ch]' | while IFS= read -r line; do
		to=$(sed -E 's/.*#include "(.*)\/[^/]*".*/\1/' <<<"$line")
		case $to in derive/issuer) to=derive; [[ $line == derive/issuer/* ]] || to=issuer ;; esac
		grep -qw -- "$to" <<<"$(may "$name" | tr ' ' '\n' | grep -x -- "$to")" || echo "$line"
	done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

home() { # HEADER-PATTERN FILE: only FILE includes it
	local bad
	bad=$(grep -rlE "^ *# *include <$1" base hw pkcs11 derive cli | grep -vx -- "$2")
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

quiet() { # no stdio output, no exit, no handlers in what other programs load, and none in derive/ but the issuer's main
	local bad
	bad=$(grep -nE '\b(printf|puts|putchar|perror|fputs|fprintf|vprintf|abort|_?exit|atexit|signal|sigaction|pthread_atfork)\(' \
		base/*.c hw/*.c pkcs11/*.c derive/*.c)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

for r in base hw pkcs11 derive cli; do check "$r/ includes only what is below it" room $r; done
check 'the virtual card shares no code with dpiv' room vcard tests/vcard
check 'winscard.h is at home in hw/pcsc*.c' home '(PCSC/)?(winscard|pcsclite|reader)' 'hw/pcsc[a-z_]*\.[ch]'
check 'curl.h is at home in derive/http.c and derive/smtp.c' home 'curl/' 'derive/\(http\|smtp\)\.c'
check 'sqlite3.h is at home in derive/db_sqlite.c' home 'sqlite3' derive/db_sqlite.c
check 'qrencode.h is at home in derive/qrcode.c' home 'qrencode' derive/qrcode.c
check 'sd-bus is at home in cli/notify.c' home 'systemd/' cli/notify.c
check 'libevent is at home in derive/issuer/server*.c' home 'event2/' 'derive/issuer/server[a-z_]*\.c'
check 'engine.h is at home in pkcs11/engine.c' home 'openssl/engine' pkcs11/engine.c
check 'libraries neither print nor exit' quiet
