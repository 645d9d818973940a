#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Metrics on a local socket: the format, and that each number follows what is done.
. tests/lib/shell.sh
. tests/lib/issuer.sh

check 'init' agency_init
printf '[metrics]\nsocket = %s\n' "$TMP/metrics" >>"$AGENCY/issuer.conf"
check_start 'serve'
check 'the socket is not for everybody' test "$(stat -c %a "$TMP/metrics")" = 660
scrape() { curl -sSf -D "$TMP/heads" --unix-socket "$TMP/metrics" -o "$TMP/m.$1" http://localhost/metrics; }
check 'metrics' scrape 0
check 'their type' grep -qi '^content-type: text/plain; version=0.0.4' "$TMP/heads"
# value N NAME: of the N-th look, 0 when it is not there
value() { awk -v n="dpiv_issuer_$2" '$1 == n { v = $2 } END { print v + 0 }' "$TMP/m.$1"; }
# rises NAME BY: from the look before the last to the last
rises() { test $(($(value "$now" "$1") - $(value "$((now - 1))" "$1"))) -eq "$2"; }

check 'a card' file_card card p256
check 'a key' file_key one p256
check 'a certificate' enroll card '' one
now=1
check 'look' scrape 1
check 'requests of EST' rises 'requests_total{protocol="est",status="2xx"}' 1
check '  and their time' rises 'request_seconds_count{protocol="est"}' 1
check 'certificates' rises certificates_issued_total 1
check 'no refusal' rises 'refusals_total{code="policy"}' 0
check 'another certificate of the card' file_card sign p256 sign
refuse '  with which nobody enrols' enroll sign '' one
check 'revoke' "$ISSUER" revoke --dir "$AGENCY" "$(openssl x509 -in "$TMP/one.pem" -noout -serial | cut -d= -f2)"
check 'a page that is not there' sh -c "! curl -sf --cacert '$AGENCY/root.pem' '$URL/nothing'"
check 'a CRL' curl -sSf --cacert "$AGENCY/root.pem" -o "$TMP/ca.crl" "$URL/pki/ca.crl"
now=2
check 'look again' scrape 2
check 'a refusal by its code' rises 'refusals_total{code="policy"}' 1
check '  and by its status' rises 'requests_total{protocol="est",status="4xx"}' 1
check 'a revocation of another process' rises certificates_revoked_total 1
check 'its event' rises 'events_total{event="revoked"}' 1
check 'the CRL' rises 'requests_total{protocol="crl",status="2xx"}' 1
check 'CRLs: two CAs' test "$(grep -c '^dpiv_issuer_crl_left_seconds{' "$TMP/m.2")" = 2
check 'certificates of its own' test "$(grep -c '^dpiv_issuer_certificate_left_seconds{which="\(ca\|tls\|ocsp\)"} [0-9]*$' "$TMP/m.2")" = 3
# each line is a comment or a sample, each sample's name has one TYPE before it and is in one place, no sample twice
cat >"$TMP/format.py" <<'PY'
import re, sys
types, seen, closed, last = {}, set(), set(), None
for line in open(sys.argv[1]):
    if m := re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram)\n", line):
        assert m[1] not in types, line
        types[m[1]] = m[2]
    elif not line.startswith("# HELP "):
        m = re.fullmatch(r'(\w+)((?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})?) (-?[0-9.]+)\n', line)
        assert m, line
        name = re.sub("_(bucket|sum|count)$", "", m[1])
        name = name if types.get(name) == "histogram" else m[1]
        assert name in types and (m[1], m[2]) not in seen, line
        if name != last:
            assert name not in closed, line
            closed.add(name)
        last = name
        seen.add((m[1], m[2]))
assert len(seen) > 50, len(seen)
PY
check 'the format' /usr/bin/python3 "$TMP/format.py" "$TMP/m.2"
refuse 'nobody is named' grep -qE 'PAT|pat@|127\.0\.0\.1' "$TMP/m.2"
refuse 'there is nothing else there' curl -sf --unix-socket "$TMP/metrics" http://localhost/
check 'a silent client' sh -c "/usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); time.sleep(8)' '$TMP/metrics' >'$TMP/silent' 2>&1 & sleep 0.3"
began=$SECONDS
check_stop 'stop'
check '  does not hold up the end' test $((SECONDS - began)) -le 3
check_start 'serve again, over the socket that was left'
check 'metrics' scrape 3
check 'what happened is still counted' test "$(value 3 certificates_issued_total)" = 1
check 'requests begin anew' test "$(value 3 'requests_total{protocol="est",status="2xx"}')" = 0
check_stop 'stop'
