#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/bench/issuer.sh [ENROLMENTS]: certificates a second, and how long each takes: people who enrol at dpiv-issuer over
# TLS with a card's certificate, one after the other and 50 at once, beside a bare loop of `openssl x509 -req` and of
# `openssl ca` with the same CA, key kind and extensions on the same machine. What the loop does not do: TLS, PKI-AUTH,
# accounts, the ledger with its chain of events, the linter. Prints a table; writes $BUILD/bench-issuer.json.
cd "$(dirname "$0")/../.." || exit 1
n=${1:-500}
. tests/lib/shell.sh
. tests/lib/issuer.sh
. tests/lib/load.sh

row() { # WHAT COUNT SECONDS, milliseconds of each on standard input
	sort -n | awk -v what="$1" -v count="$2" -v s="$3" '{ ms[NR] = $1 } END {
		p50 = ms[int((NR - 1) * .50) + 1]; p95 = ms[int((NR - 1) * .95) + 1]; p99 = ms[int((NR - 1) * .99) + 1]
		printf "%s|%d|%.2f|%.1f|%.1f|%.1f|%.1f\n", what, count, s, count / s, p50, p95, p99 }' >>"$TMP/rows"
}
load_row() { # WHAT COUNT [options of est_load] URL
	local what=$1 count=$2
	shift 2
	load_run -n "$count" "$@" >&2
	cut -d' ' -f4 "$TMP/load.out" | row "$what" "$count" "$(sed -n 's/.* seconds=\([0-9.]*\) .*/\1/p' "$TMP/load.says")"
}

# loop WHAT COUNT COMMAND...: run so often, one after the other
loop() {
	local what=$1 count=$2 k
	shift 2
	for ((k = 0; k < count; k++)); do
		echo "$EPOCHREALTIME"
		"$@" 2>"$TMP/openssl.err" || { cat "$TMP/openssl.err" >&2; return 1; }
	done >"$TMP/loop"
	echo "$EPOCHREALTIME" >>"$TMP/loop"
	awk 'NR > 1 { printf "%.1f\n", ($1 - last) * 1000 } { last = $1 }' "$TMP/loop" |
		row "$what" "$count" "$(awk 'NR == 1 { first = $1 } END { print $1 - first }' "$TMP/loop")"
}
by_x509() {
	openssl x509 -req -in "$TMP/k.csr" -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -days 365 \
		-extfile "$TMP/fpki.cnf" -extensions auth -out "$TMP/k.pem"
}
by_ca() {
	openssl ca -batch -notext -config "$TMP/fpki.cnf" -name card -extensions auth -days 365 -in "$TMP/k.csr" -out "$TMP/k.pem"
}

request() {
	file_key k p256 && openssl req -new -key "$TMP/k.key" -subj "$PERSON" -out "$TMP/k.csr" -config /dev/null
}

load_build && agency_init && agency_set 'max_credentials = 0' && issuer_start &&
	load_row 'dpiv-issuer, 1 client' $((n / 5)) -c 1 "$URL" &&
	load_row 'dpiv-issuer, 50 clients' "$n" -c 50 "$URL" &&
	issuer_stop && request && loop 'openssl x509 -req' $((n / 5)) by_x509 && loop 'openssl ca' $((n / 5)) by_ca || exit 1

printf '%-26s %7s %9s %9s %8s %8s %8s\n' issuing certs seconds certs/s p50/ms p95/ms p99/ms
awk -F'|' '{ printf "%-26s %7d %9.2f %9.1f %8.1f %8.1f %8.1f\n", $1, $2, $3, $4, $5, $6, $7 }' "$TMP/rows"
awk -F'|' 'BEGIN { print "[" }
	{
		printf "%s {\"issuing\": \"%s\", \"certificates\": %d, \"seconds\": %s, ", (NR > 1 ? ",\n" : ""), $1, $2, $3
		printf "\"per_second\": %s, \"p50_ms\": %s, \"p95_ms\": %s, \"p99_ms\": %s}", $4, $5, $6, $7
	}
	END { print "\n]" }' "$TMP/rows" >"$BUILD/bench-issuer.json"
pass 'measured' >/dev/null
