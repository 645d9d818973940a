#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/bench/history_scan.sh [MESSAGES]: how fast `dpiv history scan` reads an mbox of that many messages (100,000) of all
# kinds and sizes, beside cat(1) on the same file, and how much memory it takes; then a maildir of a tenth of them.
# Not part of `make check`.
set -eu
BUILD=$(realpath "${BUILD:-build}")
gcc=${CC:-gcc} source=$(realpath "$(dirname "$0")")/rss.c
n=${1:-100000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DPIV_CONF=$dir/dpiv.conf XDG_STATE_HOME=$dir SOFTHSM2_CONF=$dir/softhsm2.conf
mkdir tokens
$gcc -O2 -o rss "$source"
: >dpiv.conf
echo "directories.tokendir = $dir/tokens" >softhsm2.conf
module=$(find /usr/lib -name libsofthsm2.so -print -quit)
softhsm2-util --init-token --free --label bench --so-pin 12345678 --pin 123456 >/dev/null
U="pkcs11:token=bench?module-path=$module"
for i in 1 2 3; do openssl req -x509 -newkey rsa:2048 -nodes -keyout "$i.key" -subj "/CN=Key $i" -out "$i.pem" 2>/dev/null; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout 4.key -subj "/CN=Key 4" -out 4.pem 2>/dev/null
python3 - "$n" <<'P'
import base64, os, random, subprocess, sys
random.seed(1)
kinds = []
for size in (800, 4000, 20000, 60000):
    text = base64.encodebytes(os.urandom(size * 3 // 4))
    for to in (["1.pem"], ["2.pem", "3.pem"], ["4.pem"]):
        kinds.append(subprocess.run(["openssl", "cms", "-encrypt", "-aes-256-cbc", *to], input=text, stdout=subprocess.PIPE, check=True).stdout)
    kinds.append(b"Content-Type: text/plain\n\n" + text)
with open("box", "wb") as box:
    for i in range(int(sys.argv[1])):
        one = b"Date: Tue, %d Sep 2020 10:00:00 +0000\nMessage-ID: <%d@example.test>\n" % (i % 28 + 1, i) + random.choice(kinds)
        box.write(b"From a@example.test Tue Sep  1 10:00:00 2020\n" + one + b"\n")
os.makedirs("maildir/cur")
for i in range(int(sys.argv[1]) // 10):
    with open("maildir/cur/%d:2,S" % i, "wb") as f:
        f.write(b"Message-ID: <%d@example.test>\n" % i + random.choice(kinds))
P
bytes=$(stat -c %s box)
report() { # NAME MESSAGES BYTES KB SECONDS
	awk -v n="$1" -v m="$2" -v b="$3" -v k="$4" -v s="$5" 'BEGIN {
		printf "%-24s %9.0f messages/s %8.0f MB/s %8.3f s %8d kB\n", n, m / s, b / 1e6 / s, s, k }'
}
cat box >/dev/null # into the page cache, for both
for _ in 1 2 3; do
	report "cat" "$n" "$bytes" $("$dir/rss" -t cat box)
	report "dpiv history scan" "$n" "$bytes" $("$dir/rss" -t "$BUILD/dpiv" history scan --token "$U" box)
done
report "one message" 1 0 $("$dir/rss" -t "$BUILD/dpiv" history scan --token "$U" "maildir/cur/1:2,S")
report "dpiv, maildir" $((n / 10)) "$(du -sb maildir | cut -f1)" $("$dir/rss" -t "$BUILD/dpiv" history scan --token "$U" maildir)
"$BUILD/dpiv" history scan --token "$U" box | head -n 1
