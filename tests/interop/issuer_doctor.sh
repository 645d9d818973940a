#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer doctor: an issuer that is well, and one thing after the other that is not, each told by its own check.
. tests/lib/shell.sh
. tests/lib/issuer.sh

check 'init' agency_init
sed -i '/^\[listen\]/,/^\[publish\]/s|^address = .*|address = 127.0.0.1:0|' "$AGENCY/issuer.conf"
check 'a new demo has no problem' "$ISSUER" doctor "$AGENCY"
"$ISSUER" doctor --json "$AGENCY" >"$TMP/good.json"
check '  every check has said something' test "$(/usr/bin/python3 -c 'import json, sys
print(*sorted({f["check"] for f in json.load(open(sys.argv[1]))}))' "$TMP/good.json")" = \
	'anchors audit ca clock configuration crls files ledger mail ocsp own-crls ports recovery tls'
check '  only what needs it has something to do' /usr/bin/python3 -c 'import json, sys
sys.exit(any((f["level"] == "ok") == ("todo" in f) for f in json.load(open(sys.argv[1]))))' "$TMP/good.json"
cp -a "$AGENCY" "$TMP/good"

# sick LEVEL CHECK WORDS: what doctor says now; then all is well again
sick() {
	local level=$1 check=$2 words=$3 want=0
	[ "$level" = bad ] && want=1
	"$ISSUER" doctor --json "$AGENCY" >"$TMP/sick.json" 2>"$TMP/sick.err"
	local is=$?
	if [ $is -eq $want ] && /usr/bin/python3 -c 'import json, sys
file, level, check, words = sys.argv[1:]
sys.exit(not any(f["level"] == level and f["check"] == check and words in f["what"] and len(f["todo"]) > 10
    for f in json.load(open(file)) if "todo" in f))' "$TMP/sick.json" "$level" "$check" "$words"; then
		pass "$check: $words"
	else
		fail "$check: $words" "exit status $is
$(cat "$TMP/sick.json")"
	fi
	rm -rf "$AGENCY"
	cp -a "$TMP/good" "$AGENCY"
}
conf() { sed -i "/^\[$1\]/a $2" "$AGENCY/issuer.conf"; }
sql() { /usr/bin/python3 -c 'import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit()' "$AGENCY/issuer.db" "$1"; }

echo 'nonsense = 1' >>"$AGENCY/issuer.conf"
sick bad configuration 'nonsense'
chmod 644 "$AGENCY/private/ca.key"
sick bad files 'private/ca.key has mode 644'
chmod 777 "$AGENCY"
sick bad files 'has mode 777'
check 'an old certificate' file_card old p256 auth -startdate 20200101000000Z -enddate 20210101000000Z
check 'another, that ends soon' file_card soon p256 auth -days 9
cp "$TMP/old.pem" "$AGENCY/tls.pem" && cp "$TMP/old.key" "$AGENCY/private/tls.key"
sick bad tls 'has expired'
cp "$TMP/soon.pem" "$AGENCY/tls.pem" && cp "$TMP/soon.key" "$AGENCY/private/tls.key"
sick warn tls 'is good for'
cp "$TMP/soon.key" "$AGENCY/private/tls.key"
sick bad tls 'TLS key: it does not belong to its certificate'
cp "$AGENCY/private/root.key" "$AGENCY/private/ca.key"
sick bad ca 'does not belong to its certificate'
rm "$AGENCY/ca.pem"
sick bad ca 'no certificate can be read there'
cp "$TMP/soon.pem" "$AGENCY/ocsp.pem"
sick bad ocsp 'ocsp.pem'
cp "$TMP/old.pem" "$AGENCY/root.pem"
sick bad anchors 'no trust anchor that is good'
openssl ca -gencrl -config "$TMP/fpki.cnf" -name card -crlsec 1 -out "$AGENCY/crls.pem" 2>"$TMP/openssl.err"
sleep 2
sick bad crls 'is out of date since'
openssl ca -gencrl -config "$TMP/fpki.cnf" -name card -crlhours 2 -out "$AGENCY/crls.pem" 2>"$TMP/openssl.err"
sick warn crls 'is good only until'
sql "INSERT INTO revocation VALUES ('1234', 1, 1)"
sick bad own-crls '1 certificates are revoked, but 0 are on the CRL'
check 'an event' sh -c "'$ISSUER' backup '$AGENCY' '$TMP/x.tar'"
sql "DROP TRIGGER event_fixed; UPDATE event SET detail = 'else'"
sick bad audit 'event 1'
"$ISSUER" backup "$AGENCY" "$TMP/y.tar" >"$TMP/y.out"
sql "DROP TRIGGER event_fixed; UPDATE event SET at = at + 100000"
sick bad clock 'behind the newest event'
head -c 3000 /dev/zero | tr '\0' x | dd of="$AGENCY/issuer.db" bs=1 seek=16 conv=notrunc 2>"$TMP/dd.err"
sick bad ledger 'damaged'
conf notices 'smtp = smtp://mail.example.test:25'
conf notices 'tls = no'
sick warn mail 'without TLS'
conf notices 'smtp = ftp://mail.example.test'
sick bad mail 'no address of a relay'
/usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(20)' >"$TMP/port" &
listener=$!
for _ in $(seq 50); do [ -s "$TMP/port" ] && break; sleep 0.1; done
sed -i "s|^address = 127.0.0.1:0|address = 127.0.0.1:$(cat "$TMP/port")|" "$AGENCY/issuer.conf"
says 'somebody answers' 'a port where somebody listens' "$ISSUER" doctor "$AGENCY"
kill "$listener"
sed -i '/^\[listen\]/,/^\[publish\]/s|^address = .*|address = 192.0.2.1:8443|' "$AGENCY/issuer.conf"
sick bad ports 'cannot listen on 192.0.2.1:8443'
status 3 'where there is none' "$ISSUER" doctor "$TMP"
status 2 'usage' "$ISSUER" doctor
