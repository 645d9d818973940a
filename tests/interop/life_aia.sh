#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv check fetches the CAs that are missing from where the certificates say (RFC 5280, 4.2.2.1): as DER, as .p7c, one after
# the other; what is too large, endless, silent, garbage, another's, or leads in a circle is unknown, with the reason and in
# bounded time.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
at_end 'kill "${AIA_PID-}" 2>/dev/null'
AGENCY=$DERIVE_DIR/agency
WWW=$TMP/www
PORT=$((20000 + $$ % 20000))
mkdir -p "$WWW"

# ca NAME ISSUER [AIA]: $TMP/NAME.pem and .key; ISSUER = NAME: a root. Keys are kept, so that a name can be certified by several.
ca() {
	local name=$1 by=$2 ext=$TMP/$1.ext
	[ -s "$TMP/$name.key" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/$name.key" 2>/dev/null
	printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' >"$ext"
	[ "$name" = "$by" ] || echo 'authorityKeyIdentifier=keyid:always' >>"$ext"
	[ -z "${3-}" ] || echo "authorityInfoAccess=caIssuers;URI:http://127.0.0.1:$PORT/$3" >>"$ext"
	certify "$name" "$by" "$ext"
}
certify() { # NAME ISSUER EXTENSIONS
	local signer=(-CA "$TMP/$2.pem" -CAkey "$TMP/$2.key")
	[ "$1" != "$2" ] || signer=(-signkey "$TMP/$1.key")
	openssl req -new -key "$TMP/$1.key" -subj "/CN=$1" 2>/dev/null |
		openssl x509 -req "${signer[@]}" -set_serial "0x$(openssl rand -hex 8)" -days 10 -extfile "$3" -out "$TMP/$1.new" 2>"$TMP/x509.err" &&
		mv "$TMP/$1.new" "$TMP/$1.pem" || { cat "$TMP/x509.err"; return 1; }
}
der() { openssl x509 -in "$TMP/$1.pem" -outform DER -out "$WWW/$2"; }
p7c() { # NAME FILES...: certs-only
	local out=$1 f args=()
	shift
	for f in "$@"; do args+=(-certfile "$TMP/$f.pem"); done
	openssl crl2pkcs7 -nocrl "${args[@]}" -outform DER -out "$WWW/$out"
}
# The card's certificate in the store is replaced by one of these CAs; a file of CRLs says that it is good.
leaf() { # ISSUER AIA...
	local by=$1 ext=$TMP/leaf.ext
	shift
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/leaf.key" 2>/dev/null
	printf 'keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid:always\nauthorityInfoAccess=' >"$ext"
	printf "caIssuers;URI:http://127.0.0.1:$PORT/%s," "$@" | sed 's/,$/\n/' >>"$ext"
	certify leaf "$by" "$ext" && openssl x509 -in "$TMP/leaf.pem" -outform DER -out "$TMP/leaf.der" || return 1
	python3 -c "import sqlite3; db = sqlite3.connect('$TMP/state/dpiv/state.db'); db.execute('update credential set card_cert = ?', (open('$TMP/leaf.der', 'rb').read(),)); db.commit()"
	: >"$TMP/index"
	printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\n' "$TMP/index" >"$TMP/x.cnf"
	openssl ca -config "$TMP/x.cnf" -gencrl -cert "$TMP/$by.pem" -keyfile "$TMP/$by.key" -crldays 1 -out "$TMP/leaf.crl" 2>"$TMP/crl.err" ||
		{ cat "$TMP/crl.err"; return 1; }
	printf '[check]\ncrls = %s\n' "$TMP/leaf.crl" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}
state() { "$BUILD/dpiv" check --cafile "$TMP/anchors.pem" --timeout 2 --json | python3 -c "import json, sys; c = json.load(sys.stdin)['credentials'][0]['card']; print(c['state'], '|', c.get('why', ''))"; }
is() { # NAME STATE [TEXT]: and no more than so many requests, in so many seconds
	local got start=$SECONDS
	: >"$WWW/log"
	got=$(state)
	case $got in "$2 |"*"${3-}"*) pass "$1" ;; *) fail "$1" "$got" ;; esac
	check "  in bounded time, with few requests ($((SECONDS - start)) s, $(wc -l <"$WWW/log"))" \
		test $((SECONDS - start)) -le 15 -a "$(wc -l <"$WWW/log")" -le 40
}
requests() { sort "$WWW/log" | uniq -c | awk '{ print $2 "*" $1 }' | paste -sd ' '; }

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
mkdir -p "$XDG_CONFIG_HOME/dpiv"
card 1
check 'derived' derive --alg p256 --role auth
tests/lib/aia_server.py "$PORT" "$WWW" 2>"$TMP/aia.log" &
AIA_PID=$!
for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/$PORT) 2>/dev/null && break; sleep 0.05; done
check 'a root' ca root root
check 'a CA' ca mid root
check 'a CA below it' ca sub mid mid.cer
cat "$TMP/root.pem" "$AGENCY/root.pem" >"$TMP/anchors.pem"
check 'a certificate' leaf sub sub.cer
is 'nothing is there' unknown 'answers with status 404'
der sub sub.cer
is 'one of two is there' unknown 'status 404'
der mid mid.cer
is 'DER, one after the other' good
check '  each was fetched once' test "$(requests)" = '/mid.cer*1 /sub.cer*1'
p7c sub.cer sub
p7c mid.cer root mid sub
is 'certs-only PKCS #7, with others in it' good
p7c sub.cer sub mid
rm "$WWW/mid.cer"
is 'of a file those that have issued, and not what is above them' unknown 'status 404'
openssl x509 -in "$TMP/sub.pem" -out "$WWW/sub.cer"
is 'PEM is not what the standard says' unknown 'sends something else'
head -c 3000 /dev/urandom >"$WWW/sub.cer"
is 'garbage' unknown 'sends something else'
: >"$WWW/sub.cer"
is 'nothing in it' unknown 'sends something else'
openssl x509 -in "$TMP/sub.pem" -outform DER | head -c 200 >"$WWW/sub.cer"
is 'half a certificate' unknown 'sends something else'
check 'a stranger' ca other other
der other sub.cer
is "another CA's" unknown 'sends none that is missing'
der leaf sub.cer
is 'the certificate itself' unknown 'sends none that is missing'
for n in $(seq 70); do cat "$TMP/other.pem"; done >"$TMP/many.pem"
cat "$TMP/sub.pem" >>"$TMP/many.pem"
p7c sub.cer many
is 'more certificates than are looked at' unknown 'sends none that is missing'
{ openssl x509 -in "$TMP/sub.pem" -outform DER; head -c 300000 /dev/zero; } >"$WWW/sub.cer"
is 'too large' unknown 'CA certificate'
echo huge >"$WWW/sub.cer.mode"
is 'endless' unknown 'CA certificate'
echo loop >"$WWW/sub.cer.mode"
is 'a redirect to itself' unknown 'CA certificate'
echo silent >"$WWW/sub.cer.mode"
is 'silence' unknown 'CA certificate'
echo 'status 500' >"$WWW/sub.cer.mode"
is 'a server with a problem' unknown 'status 500'
rm "$WWW/sub.cer.mode"
der sub sub.cer
der mid mid.cer
is 'and all is well again' good

# --- in a circle: two CAs that certify each other, and one that names itself ----------------------------------------------------
cp "$TMP/mid.key" "$TMP/one.key"
check 'one' ca one root two.cer
check 'two, by one' ca two one one.cer
check 'one, by two' ca one two two.cer
der one one.cer
der two two.cer
check 'a certificate' leaf one one.cer
is 'a circle' unknown
check '  is gone round once' test "$(requests)" = '/one.cer*2 /two.cer*1'
check 'a root of its own' ca self self
der self self.cer
check 'a certificate' leaf self self.cer
is 'a root that is not an anchor does not become one by being sent' unknown
