#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Three generations of encryption keys, an expired RSA, an old RSA and a current EC one, come out of PKCS#12 files into one
# token, and open a mailbox of 1,000 messages: all are judged by dpiv history scan, each is opened by dpiv decrypt, and each
# by Thunderbird through the module, with one PIN. One key comes later: till then its messages stay closed.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
softhsm_start
agency_make
softhsm2-util --init-token --free --label laptop --so-pin 12345678 --pin $PIN >/dev/null
U=$(p11_uri laptop '' | sed 's/;?/?/')
printf '[token laptop]\nuri = %s\n' "${U%&pin-source*}" >"$DPIV_CONF"
echo secret >"$TMP/pw"
generation() { # NAME ALG PROFILE FROM TO
	key_make "$2" "$TMP/$1.key"
	cert_make "$3" "$TMP/$1.key" "/CN=Pat Example ($1)" "$TMP/$1.pem" "$TMP/ca" "$4" "$5"
	openssl pkcs12 -export -inkey "$TMP/$1.key" -in "$TMP/$1.pem" -passout file:"$TMP/pw" -out "$TMP/$1.p12"
}
generation expired rsa2048 encrypt 20130101000000Z 20160101000000Z
generation old rsa3072 encrypt 20160101000000Z 20270101000000Z
generation current p256 agree 20250101000000Z 20280101000000Z
key_make p256 "$TMP/sign.key"
cert_make sign "$TMP/sign.key" "/CN=Bob" "$TMP/sign.pem"

# One of every ten is signed inside, one is plain, the rest are encrypted for one generation after the other.
write() { # NUMBER
	local n=$1 name=m$1 for cipher
	for=$(case $((n % 3)) in 0) echo expired ;; 1) echo old ;; *) echo current ;; esac)
	cipher=$([ $((n % 4)) -eq 0 ] && echo -aes-128-cbc || echo -aes-256-cbc)
	printf 'Date: Mon, 02 Mar 2026 10:00:00 +0000\r\nMessage-ID: <%s@example.test>\r\nFrom: bob@example.test\r\nTo: pat@example.test\r\nSubject: %s\r\n' \
		"$name" "$name" >"$TMP/mail/$name.eml"
	printf 'Content-Type: text/plain\r\n\r\nthis is it, %s.\r\n' "$name" >"$TMP/mail/$name.text"
	case $((n % 10)) in
	9) cat "$TMP/mail/$name.text" ;;
	8) openssl cms -sign -in "$TMP/mail/$name.text" -signer "$TMP/sign.pem" -inkey "$TMP/sign.key" -certfile "$TMP/ca.pem" |
		openssl cms -encrypt $cipher -recip "$TMP/$for.pem" ;;
	*) openssl cms -encrypt $cipher -in "$TMP/mail/$name.text" -recip "$TMP/$for.pem" ;;
	esac >>"$TMP/mail/$name.eml"
	if [ $((n % 10)) -ne 9 ]; then echo "$name" >>"$TMP/for-$for"; fi
}
mkdir "$TMP/mail"
for n in $(seq 0 999); do write "$n"; done
for n in $(seq 0 999); do echo 'From bob@example.test Mon Mar  2 10:00:00 2026'; tr -d '\r' <"$TMP/mail/m$n.eml"; echo; done >"$TMP/box"

sums() { # MESSAGES,ENCRYPTED,OPENED
	"$D" history scan --json --token "$U" "$TMP/box" >"$TMP/scan.json" 2>"$TMP/scan.err"
	python3 - "$1" "$TMP/scan.json" <<'P'
import json, sys
d = json.load(open(sys.argv[2]))
got = ",".join(str(d[k]) for k in ("messages", "encrypted", "opened"))
sys.exit(got != sys.argv[1] and f"{got}, not {sys.argv[1]}")
P
}
import() { "$D" history import --to "$U" --password-source "file:$TMP/pw" "$@"; }
opens() { "$D" decrypt --token "$U" -o "$TMP/plain-$1" "$TMP/mail/$1.eml" && grep -q "this is it, $1\." "$TMP/plain-$1"; }
all_open() { # one after the other: SoftHSM2 writes at each login, and another process then may not see the token
	local m
	cat "$TMP"/for-{expired,old,current} | xargs -n 50 bash -c 'for m; do opens "$m" || echo "$m stays closed"; done' - >"$TMP/closed" 2>&1
	[ "$(cat "$TMP"/for-* | wc -l)" -eq 900 ] && [ ! -s "$TMP/closed" ] || { head "$TMP/closed"; return 1; }
}
export -f opens
export D U TMP

check "two generations in" import "$TMP/old.p12" "$TMP/current.p12"
check "scan: the expired one's 300 messages do not open" sums 1000,900,600
says 'serial' "and scan tells which key is missing" "$D" history scan --token "$U" "$TMP/box"
status 3 "nor does dpiv decrypt open one" "$D" decrypt --token "$U" "$TMP/mail/m0.eml"
check "the third" import "$TMP/expired.p12"
check "scan: all 900 open" sums 1000,900,900
check "dpiv decrypt opens each of the 900" all_open

drive() {
	timeout -k 5 200 python3 tests/interop/thunderbird.py --module "$BUILD/dpiv-pkcs11.so" --root "$TMP/root.pem" --ca "$TMP/ca.pem" \
		--token laptop --dir "$TMP/tb" --box "$TMP/box" >"$TMP/said" 2>&1 || { cat "$TMP/said"; tail -n 20 "$TMP/tb/home/thunderbird.log"; return 1; }
}
said() { grep -qxF "$1" "$TMP/said" || { cat "$TMP/said"; return 1; }; }
check "Thunderbird runs" drive
check "it sees three certificates" said "certificates: 3"
check "it opens all 1,000" said "box: 1000 right, 0 wrong"
check "900 of them shown as encrypted" said "box shown as encrypted: 900"
check "with one PIN" said "prompts to decrypt: 1"
grep '^box took' "$TMP/said"
