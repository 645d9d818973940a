#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The demo runs, leaves what it promises, and the README's transcript is what really happens. Lines "…" in the
# transcript stand for anything.
. tests/lib/shell.sh

export DEMO=$TMP/demo
demo() { tests/demo >"$TMP/out" 2>&1 || { cat "$TMP/out"; return 1; }; }
leaves() {
	local f
	for f in ca.pem derived-auth.pem derived-sign.pem derived-encrypt.pem signed.eml encrypted.eml decrypted.txt softhsm2.conf env; do
		test -s "$DEMO/$f" || { echo "$f is missing"; return 1; }
	done
}
transcript() {
	sed -n '/^<!-- demo -->/,/^```$/p' README.md | sed '1,2d;$d' >"$TMP/readme"
	test "$(wc -l <"$TMP/readme")" -gt 20 || { echo "no transcript in README.md"; return 1; }
	sed "s|$TMP/|build/|g" "$TMP/out" >"$TMP/real"
	python3 - "$TMP/readme" "$TMP/real" <<-'EOF'
	import sys
	want = open(sys.argv[1]).read().split("…\n")
	real = open(sys.argv[2]).read()
	at = 0
	for chunk in want:
	    found = real.find("\n" + chunk, at)
	    if found < 0:
	        sys.exit("the demo did not print, in this order:\n" + chunk)
	    at = found + len(chunk)
	EOF
}

check 'the demo runs' demo
check 'it leaves what it promises' leaves
check "README's transcript is what happens" transcript
check 'decrypted is what was written (in S/MIME'"'"'s canonical lines)' diff --strip-trailing-cr "$DEMO/letter.txt" "$DEMO/decrypted.txt"
refuse 'no private key is in any file of the demo but the agency'"'"'s and the card'"'"'s own' \
	grep -rlE 'PRIVATE KEY' "$DEMO" --include='*' --exclude-dir=agency --exclude-dir=tokens --exclude=card.json
check 'the signature carries the issuing CA: the root alone is enough to verify it' openssl cms -verify \
	-in "$DEMO/signed.eml" -CAfile "$DEMO/agency/root.pem" -purpose smimesign -out /dev/null
