#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv history scan and list: a mailbox of 1,000 messages made by openssl cms, for three RSA keys and one EC key that are
# held, for keys that are not, and plain ones; as mbox, as maildir and one by one.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
softhsm_start
agency_make
softhsm2-util --init-token --free --label laptop --so-pin 12345678 --pin $PIN >/dev/null
for i in 1 2 3; do token_add laptop rsa2048 "old$i" "1$i" encrypt --usage-decrypt; done
token_add laptop p256 now 20 agree --usage-derive
for i in 1 2; do # keys that are not held
	key_make rsa2048 "$TMP/lost$i.key"
	cert_make encrypt "$TMP/lost$i.key" "/CN=Pat Lost $i" "$TMP/lost$i.pem"
done
key_make p256 "$TMP/eve.key"
EMAIL=eve@example.test cert_make agree "$TMP/eve.key" "/CN=Eve" "$TMP/eve.pem"
U=$(p11_uri laptop '' | sed 's/;?/?/')
cd "$TMP" || exit 1

# --- forty messages, of which the mailbox is made -------------------------------------------------------------------
printf 'From here to there.\n\nFrom the letter, line two.\n' >letter.txt
head -c 20000 /dev/urandom | base64 >long.txt
enc() { # NAME OPTIONS OF openssl cms -encrypt...
	local name=$1
	shift
	openssl cms -encrypt -aes-256-cbc -in letter.txt -from a@example.test -to pat@example.test -subject x "$@" >"$name.body" 2>/dev/null
}
mail() { # NAME DATE: header and what NAME.body has
	{ printf 'Date: %s\nMessage-ID: <%s@example.test>\n' "$2" "$1"; cat "$1.body"; } >"$1.eml"
}
enc rsa1 laptop-old1.pem && mail rsa1 'Fri, 01 Feb 2019 10:00:00 +0000'
enc rsa2 laptop-old2.pem && mail rsa2 'Sat, 01 Feb 2020 23:30:00 -0100'
enc rsa3 -keyid laptop-old3.pem && mail rsa3 '1 Feb 2021 10:00 +0000'
enc ec laptop-now.pem && mail ec 'Mon, 02 Mar 2026 10:00:00 +0000'
enc eckey -keyid -stream laptop-now.pem && mail eckey 'Tue, 03 Mar 2026 10:00:00 +0000'
enc both eve.pem lost1.pem laptop-old1.pem && mail both 'Fri, 01 Mar 2019 10:00:00 +0000'
enc lost1 lost1.pem eve.pem && mail lost1 'Wed, 01 Jan 2014 10:00:00 +0000'
enc lost1b lost1.pem && mail lost1b 'Thu, 01 Jan 2015 10:00:00 +0000'
enc lost2 -keyid lost2.pem && mail lost2 'Fri, 01 Jan 2016 10:00:00 +0000'
openssl cms -encrypt -aes-256-gcm -in letter.txt -outform DER -out gcm.der laptop-old2.pem
{ printf 'MIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=authEnveloped-data;\n name=smime.p7m\n'
	printf 'Content-Transfer-Encoding: base64\n\n'; base64 gcm.der; } >gcm.body && mail gcm 'Sun, 02 Feb 2020 10:00:00 +0000'
printf 'Subject: plain\nContent-Type: text/plain\n\n' | cat - long.txt letter.txt >plain.body && mail plain 'Mon, 01 Jan 2024 10:00:00 +0000'
openssl cms -sign -in letter.txt -text -signer laptop-old1.pem -inkey laptop-old1.key -nodetach >signed.body && mail signed 'Mon, 01 Jan 2024 10:00:00 +0000'
{ printf 'MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary="out=er"\n\npreamble\n--out=er\nContent-Type: multipart/alternative; boundary=in\n\n'
	printf -- '--in\n\nfirst\n--in--\n--out=er\n'; sed -n '/^Content/,$p' rsa1.body; printf -- '--out=er\n\nlast\n--out=er--\n'; } >parts.body
mail parts 'Fri, 01 Feb 2019 11:00:00 +0000'
openssl cms -sign -in rsa2.body -signer laptop-old1.pem -inkey laptop-old1.key >outer.body 2>/dev/null && mail outer 'Sat, 02 Feb 2020 10:00:00 +0000'
{ sed '/^$/q' rsa1.body; sed '1,/^$/d' rsa1.body | head -c 200; } >cut.body && mail cut 'Fri, 01 Feb 2019 12:00:00 +0000'
kinds=(rsa1 rsa2 rsa3 ec eckey both lost1 lost1b lost2 gcm plain signed parts outer plain plain plain plain plain plain)
mbox() {
	local i k
	for ((i = 0; i < 50; i++)); do
		for k in "${kinds[@]}"; do printf 'From a@example.test Fri Feb  1 10:00:00 2019\n'; cat "$k.eml"; echo; done
	done
}
mbox >box
mkdir -p maildir/{cur,new,tmp}
n=0
for ((i = 0; i < 50; i++)); do
	for k in "${kinds[@]}"; do n=$((n + 1)); cp "$k.eml" "maildir/$([ $((n % 2)) = 0 ] && echo cur || echo new)/$n.host:2,S"; done
done
cp lost2.eml maildir/tmp/half

field() { # PYTHON-EXPRESSION over the report d
	"$D" history scan --json --token "$U" "${from:-box}" >out.json 2>err
	python3 -c 'import json,sys; d=json.load(open("out.json")); k={x["id"]:x for x in d["keys"]}; print(eval(sys.argv[1]))' "$1"
}
is() { # NAME WANT EXPRESSION
	local got
	got=$(field "$3")
	if [ "$got" = "$2" ]; then pass "$1"; else fail "$1" "$got, not $2; $(cat err)"; fi
}
sums='[d["messages"], d["encrypted"], d["opened"], d["unopened"], d["damaged"]]'
# by hand: encrypted are rsa1-3 ec eckey both gcm parts outer (9 opened), lost1 lost1b lost2 (3 not), of 20 kinds
is "an mbox: the sums" '[1000, 600, 450, 150, 0]' "$sums"
is "each key's share" '[150, 150, 50, 100]' '[k[i]["messages"] for i in ("11","12","13","20")]'
is "the first and the last date of a key" "['2020-02-02T00:30:00Z', '2020-02-02T10:00:00Z']" '[k["12"]["first"], k["12"]["last"]]' 
is "dates without a day of the week and seconds" 2021-02-01T10:00:00Z 'k["13"]["first"]'
serial() { openssl x509 -in "$1" -noout -serial | cut -d= -f2; }
is "the missing key that opens most comes first" "('$(serial lost1.pem)', 100)" '(d["missing"][0]["serial"], d["missing"][0]["messages"])'
is "its issuer" 'CN=Test Issuing CA' 'd["missing"][0]["issuer"]'
is "its dates" "('2014-01-01T10:00:00Z', '2015-01-01T10:00:00Z')" '(d["missing"][0]["first"], d["missing"][0]["last"])'
is "a missing key that is named by its identifier" "$(openssl x509 -in lost2.pem -noout -ext subjectKeyIdentifier | tail -n 1 | tr -d ' :')" \
    '[m["key_identifier"] for m in d["missing"] if m["issuer"] is None][0]'
is "another's key in a message that opens is not missing" 50 "[m['messages'] for m in d['missing'] if m.get('serial') == '$(serial eve.pem)'][0]"
from=maildir is "a maildir: the same, but for what is in tmp" '[1000, 600, 450, 150, 0]' "$sums"
sed 's/\r*$/\r/' box >crlf
from=crlf is "an mbox with CRLF" '[1000, 600, 450, 150, 0]' "$sums"
status 3 "keys are missing" "$D" history scan --token "$U" box
says "serial $(serial lost1.pem) of CN=Test Issuing CA" "and the text names them" "$D" history scan --token "$U" box
for k in rsa1 rsa2 rsa3 ec eckey both gcm parts outer plain signed; do status 0 "one message: $k" "$D" history scan --token "$U" $k.eml; done
for k in lost1 lost2 cut; do status 3 "one message: $k" "$D" history scan --token "$U" $k.eml; done
from=cut.eml is "a message that is cut off in its recipients" '[1, 1, 0, 1, 1]' "$sums"
openssl cms -encrypt -aes-256-cbc -in letter.txt -outform DER -out bare.p7m laptop-now.pem
openssl cms -encrypt -aes-256-cbc -in letter.txt -outform PEM -out bare.pem laptop-now.pem
base64 bare.p7m >bare.b64
for k in bare.p7m bare.pem bare.b64; do from=$k is "a bare object: $k" '[1, 1, 1, 0, 0]' "$sums"; done
says "<both@example.test>" "--messages names each" "$D" history scan --messages --token "$U" box
decrypts() { # what scan says opens, decrypt opens
	local k
	for k in rsa1 rsa3 ec eckey gcm parts; do "$D" decrypt --token "$U" --text -o plain.out $k.eml && grep -q 'line two' plain.out || { echo $k; return 1; }; done
}
check "dpiv decrypt opens what scan said" decrypts
head -c 100000 /dev/urandom >noise
status 3 "a file without a message" "$D" history scan --token "$U" noise
status 3 "a file that is not there" "$D" history scan --token "$U" nowhere
status 2 "no mailbox" "$D" history scan
for _ in 1 2 3 4 5 6 7 8; do cat box; done >big
memory() { # the same memory for one message and for 40 MB of them
	local small large
	gcc -D_GNU_SOURCE -o rss "$ROOT/tests/bench/rss.c" || return 1
	small=$(./rss "$D" history scan --token "$U" rsa1.eml)
	large=$(./rss "$D" history scan --token "$U" big)
	echo "$small kB, $large kB"
	[ "$large" -lt $((small + 2048)) ]
}
from=big is "8,000 messages: the sums" '[8000, 4800, 3600, 1200, 0]' "$sums"
check "memory does not grow with the mailbox" memory

# --- list -----------------------------------------------------------------------------------------------------------
listed() { "$D" history list --json --token "$U" "$@" >list.json && python3 - "$expr" <<'P'
import json, sys
d = json.load(open("list.json"))
sys.exit(not eval(sys.argv[1]))
P
}
expr='len(d["keys"]) == 4 and {k["held"] for k in d["keys"]} == {"unknown"}'
check "list: four keys, hidden before a login" listed
expr='{k["held"] for k in d["keys"]} == {"yes"} and {k["algorithm"] for k in d["keys"]} == {"RSA-2048", "EC prime256v1"}'
check "list --login: they are held" listed --login
expr='all(k["addresses"] == ["pat@example.test"] and k["token"] == "laptop" for k in d["keys"])'
check "list: addresses and token" listed
p11tool_quiet --token-label laptop --delete-object --type privkey --id 13
expr='[k["held"] for k in d["keys"] if k["id"] == "13"] == ["no"]'
check "list --login: a certificate without its key is told" listed --login
says '"opened": 0' "scan --login does not count on it" "$D" history scan --json --login --token "$U" rsa3.eml
