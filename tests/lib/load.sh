# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Many enrolments at once, and what must be true of the ledger afterwards. Sourced after tests/lib/issuer.sh.

LOAD=$BUILD/bench/est_load

load_build() {
	make --no-print-directory BUILD="$BUILD" "$LOAD" >/dev/null
}

# load_run [options of est_load] URL...: $TMP/load.out has the certificates, $TMP/load.says the times
load_run() {
	LIMIT=200
	"$LOAD" -d "$AGENCY" -o "$TMP/load.out" "$@" >"$TMP/load.says" 2>"$TMP/load.err" || { cat "$TMP/load.says" "$TMP/load.err"; return 1; }
}
load_report() {
	sed 's/^/# /' "$TMP/load.says"
}

# ledger SQL: rows on standard output, columns by |
ledger() {
	python3 - "$AGENCY/issuer.db" "$1" <<'PY'
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]):
    print("|".join("" if v is None else str(v) for v in row))
PY
}

# load_compare N: the answers and the ledger's certificates are the same N, each for a key of its own
load_compare() {
	cut -d' ' -f1 "$TMP/load.out" | sort >"$TMP/answered"
	ledger "SELECT serial FROM certificate WHERE state = 'issued'" | sort >"$TMP/recorded"
	[ "$(sort -u "$TMP/answered" | wc -l)" = "$1" ] || { echo 'serial numbers are not unique, or are missing'; return 1; }
	cmp "$TMP/answered" "$TMP/recorded" || { diff "$TMP/answered" "$TMP/recorded"; return 1; }
	[ "$(ledger "SELECT count(DISTINCT spki_sha256) FROM certificate WHERE state = 'issued'")" = "$1" ]
}

# load_crl N: the CRL verifies and has N entries
load_crl() {
	openssl crl -in "$AGENCY/ca.crl" -CAfile "$AGENCY/ca.pem" -noout 2>&1 | grep -q 'verify OK' &&
		[ "$(openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -c 'Serial Number:')" = "$1" ]
}
