#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The prompt budget: listing 0, one signature 1 (9A, and 9C that wants its PIN for each use), ten decryptions 1, counted for every program
# as its user would count: on a terminal, by askpass, by pinentry (and in thunderbird_card.sh by Thunderbird's own prompter). Of
# programs that ask more, whatever the module does, the number is fixed here too, so that a change shows.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] && [ -e "$BUILD/dpiv.so" ] || { echo "not ok - module and engine are not built"; exit 1; }
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_CACHE_HOME=$TMP/cache OPENSSL_ENGINES=$BUILD
unset GNUTLS_PIN DISPLAY SSH_ASKPASS
mkdir -p "$HOME"
: >"$DPIV_CONF"
agency_make
printf 'To be signed, or to be kept secret.' >"$TMP/msg"
openssl dgst -sha256 -binary "$TMP/msg" >"$TMP/hash"

# prompts N COMMAND...: on a terminal, where the PIN is typed whenever something asks
prompts() {
	local want=$1
	shift
	timeout 40 python3 tests/lib/on_terminal.py 123456 "$@" >"$TMP/terminal" 2>&1 || { cat "$TMP/terminal"; return 1; }
	grep -qx "prompts: $want" "$TMP/terminal" || { cat "$TMP/terminal"; return 1; }
}
id_of() { case $1 in 9a) echo 01 ;; 9c) echo 02 ;; 9d) echo 03 ;; esac; }
pub() { openssl x509 -in "$TMP/$ALG-$1.pem" -pubkey -noout; }
verifies() { openssl dgst -sha256 -verify <(pub "$1") -signature "$TMP/sig" "$TMP/msg"; }

# --- pkcs11-tool ----------------------------------------------------------------------------------------------------
tool_list() { prompts 0 pkcs11-tool --module "$M" -O; }
tool_sign() { # KEY
	local m=SHA256-RSA-PKCS
	[ $ALG = rsa2048 ] || m=ECDSA-SHA256
	prompts 1 pkcs11-tool --module "$M" -l --sign -m $m --id "$(id_of "$1")" -i "$TMP/msg" -o "$TMP/sig" -f openssl && verifies "$1"
}
tool_decrypt() {
	pub 9d >"$TMP/pub" && openssl pkeyutl -encrypt -pubin -inkey "$TMP/pub" -in "$TMP/msg" -out "$TMP/enc" &&
	    prompts 1 pkcs11-tool --module "$M" -l --decrypt -m RSA-PKCS --id 03 -i "$TMP/enc" -o "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}

# --- GnuTLS ---------------------------------------------------------------------------------------------------------
url() { # TYPE KEY
	p11tool --provider "$M" --batch --list-tokens | sed -n "s/^.*URL: \(pkcs11:.*token=PIV.*\)$/\1;id=%$(id_of "$2");type=$1/p" | head -1
}
gnutls_list() { prompts 0 p11tool --provider "$M" --list-all-certs && [ "$(grep -c 'Type: X.509' "$TMP/terminal")" -eq 4 ]; }
gnutls_sign() { prompts 1 p11tool --provider "$M" --login --test-sign "$(url private "$1")"; }
gnutls_tls() { # KEY
	local server ok
	openssl s_server -accept 127.0.0.1:4433 -Verify 3 -CAfile "$TMP/root.pem" -chainCAfile "$TMP/ca.pem" -cert "$TMP/tls.pem" -key "$TMP/tls.key" \
	    -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do ss -ltn | grep -q ':4433 ' && break; sleep 0.1; done
	cat "$TMP/$ALG-$1.pem" "$TMP/ca.pem" >"$TMP/chain.pem"
	prompts 1 sh -c '{ sleep 2; printf "GET / HTTP/1.0\r\n\r\n"; sleep 1; } | gnutls-cli --provider="$0" --x509cafile="$1" --x509certfile="$2" \
	    --x509keyfile="$3" -p 4433 localhost' "$M" "$TMP/root.pem" "$TMP/chain.pem" "$(url private "$1")"
	ok=$?
	kill $server
	wait $server 2>/dev/null
	grep -q 'CN *= *Pat Example' "$TMP/terminal" && return $ok
	cat "$TMP/terminal" "$TMP/server.log"
	return 1
}

# --- NSS ------------------------------------------------------------------------------------------------------------
DB=sql:$TMP/db
nss() {
	rm -rf "$TMP/db" && mkdir "$TMP/db" && certutil -N -d "$DB" --empty-password && certutil -A -d "$DB" -n root -t CT,CT,CT -i "$TMP/root.pem" &&
	    certutil -A -d "$DB" -n ca -t ,, -i "$TMP/ca.pem" && modutil -dbdir "$DB" -add dpiv -libfile "$M" -force &&
	    TOKEN=$(modutil -dbdir "$DB" -list dpiv 2>/dev/null | sed -n 's/^ *Token Name: *\(PIV .*[^ ]\) *$/\1/p' | head -n 1) && [ -n "$TOKEN" ]
}
nss_list() { nss && prompts 0 certutil -L -d "$DB" -h all && [ "$(grep -c '^PIV .*u,u,u' "$TMP/terminal")" -eq 4 ]; }
nss_sign() {
	nss && prompts 1 cmsutil -S -d "$DB" -N "$TOKEN:Certificate for Digital Signature" -Y NONE -G -H SHA256 -i "$TMP/msg" -o "$TMP/s.p7m" &&
	    openssl cms -verify -inform DER -in "$TMP/s.p7m" -CAfile "$TMP/root.pem" -certfile "$TMP/ca.pem" -purpose smimesign -out "$TMP/out"
}
nss_decrypt() {
	nss && openssl cms -encrypt -aes-128-cbc -binary -in "$TMP/msg" -outform DER -out "$TMP/e.p7m" -recip "$TMP/$ALG-9d.pem" &&
	    LD_LIBRARY_PATH=/usr/lib/thunderbird prompts 1 cmsutil -D -d "$DB" -i "$TMP/e.p7m" -o "$TMP/out" && cmp "$TMP/out" "$TMP/msg"
}

# --- OpenSSL: dpiv's engine, and libp11's -----------------------------------------------------------------------------
engine_sign() { # ENGINE KEY PROMPTS
	[ "$1" = dpiv ] || unset OPENSSL_ENGINES
	PKCS11_MODULE_PATH=$M prompts "$3" openssl dgst -sha256 -engine "$1" -keyform engine -sign "pkcs11:id=%$(id_of "$2");type=private" \
	    -out "$TMP/sig" "$TMP/msg" && verifies "$2"
}
engine_decrypt() {
	openssl cms -encrypt -aes-256-cbc -recip "$TMP/$ALG-9d.pem" -in "$TMP/msg" -out "$TMP/e.eml" &&
	    prompts 1 openssl cms -decrypt -engine dpiv -keyform engine -inkey 'pkcs11:id=%03;type=private' -recip "$TMP/$ALG-9d.pem" \
		-in "$TMP/e.eml" -out "$TMP/out"
}
engine_tls() { # curl with KEY
	local server ok
	openssl s_server -accept 127.0.0.1:4433 -Verify 3 -CAfile "$TMP/root.pem" -chainCAfile "$TMP/ca.pem" -cert "$TMP/tls.pem" -key "$TMP/tls.key" \
	    -cert_chain "$TMP/ca.pem" -www >"$TMP/server.log" 2>&1 &
	server=$!
	for _ in $(seq 50); do ss -ltn | grep -q ':4433 ' && break; sleep 0.1; done
	cat "$TMP/$ALG-$1.pem" "$TMP/ca.pem" >"$TMP/chain.pem"
	prompts 1 curl -sS --engine dpiv --key-type ENG --key "pkcs11:id=%$(id_of "$1");type=private" --cert "$TMP/chain.pem" --cacert "$TMP/root.pem" \
	    https://localhost:4433/
	ok=$?
	kill $server
	wait $server 2>/dev/null
	return $ok
}

# --- ssh: askpass counts ----------------------------------------------------------------------------------------------
cat >"$TMP/askpass" <<SH
#!/bin/sh
echo asked >>"$TMP/asked"
echo "\$1" >>"$TMP/question"
echo 123456
SH
chmod 700 "$TMP/askpass"
asked() { [ "$(grep -c . "$TMP/asked")" -eq "$1" ] || { echo "prompts:"; cat "$TMP/asked"; return 1; }; }
ssh_list() { : >"$TMP/asked"; SSH_ASKPASS=$TMP/askpass SSH_ASKPASS_REQUIRE=force ssh-keygen -D "$M" >"$TMP/keys" && asked 0 && [ "$(grep -c . "$TMP/keys")" -eq 4 ]; }
ssh_sign() { # ssh-keygen signs by itself, KEY
	ssh-keygen -D "$M" | grep " $([ "$1" = 9a ] && echo 'PIV AUTH' || echo SIGN) " >"$TMP/key.pub"
	: >"$TMP/asked"
	rm -f "$TMP/msg.sig"
	SSH_ASKPASS=$TMP/askpass SSH_ASKPASS_REQUIRE=force ssh_agent_sign 1
}
ssh_agent_sign() { # TIMES: ssh-agent, ssh-add once
	local ok
	eval "$(ssh-agent -s -P "$BUILD/*")" >/dev/null
	ssh-add -s "$M" && for _ in $(seq "$1"); do
		rm -f "$TMP/msg.sig"
		ssh-keygen -Y sign -f "$TMP/key.pub" -n file "$TMP/msg" || break
	done
	ok=$?
	kill "$SSH_AGENT_PID"
	[ $ok -eq 0 ] && [ -s "$TMP/msg.sig" ] && asked 1
}
ssh_ten() {
	ssh-keygen -D "$M" | grep ' PIV AUTH ' >"$TMP/key.pub"
	: >"$TMP/asked"
	SSH_ASKPASS=$TMP/askpass SSH_ASKPASS_REQUIRE=force ssh_agent_sign 10
}

# --- gpgsm: pinentry counts, RSA only -----------------------------------------------------------------------------------
cat >"$TMP/pinentry" <<SH
#!/bin/sh
echo "OK Pleased to meet you"
while read -r word rest; do
	case \$word in
	GETPIN) echo asked >>"$TMP/asked"; echo "D 123456"; echo OK ;;
	BYE) echo OK; exit ;;
	*) echo OK ;;
	esac
done
SH
chmod 700 "$TMP/pinentry"
gpg_actions() { # listing, a signature with 9A, two with 9C, ten decryptions; each in a fresh agent, the number behind it
	local ok=0
	export GNUPGHOME=$TMP/gpg
	gpg_do 0 true && gpg_do 1 gpg_sign 9a && gpg_do 1 gpg_sign 9c && gpg_do 2 gpg_sign_twice && gpg_do 1 gpg_decrypt_ten || ok=1
	gpgconf --kill all
	return $ok
}
gpg_do() { # PROMPTS COMMAND
	local want=$1
	shift
	gpgconf --kill all
	rm -rf "$GNUPGHOME"
	mkdir -m 700 "$GNUPGHOME"
	printf 'scdaemon-program /usr/bin/gnupg-pkcs11-scd\npinentry-program %s\n' "$TMP/pinentry" >"$GNUPGHOME/gpg-agent.conf"
	printf 'providers p1\nprovider-p1-library %s\n' "$M" >"$GNUPGHOME/gnupg-pkcs11-scd.conf"
	printf 'disable-crl-checks\ndisable-dirmngr\n' >"$GNUPGHOME/gpgsm.conf"
	echo "$(openssl x509 -in "$TMP/root.pem" -noout -fingerprint -sha1 | sed 's/.*=//') S relax" >"$GNUPGHOME/trustlist.txt"
	: >"$TMP/asked"
	gpgsm --batch --import "$TMP/root.pem" "$TMP/ca.pem" && gpg-connect-agent 'scd learn --force' /bye >/dev/null &&
	    gpgsm --batch --learn-card && "$@" && asked "$want" || { echo "$*"; return 1; }
}
finger() { openssl x509 -in "$TMP/rsa2048-$1.pem" -noout -fingerprint -sha1 | sed 's/.*=//;s/://g'; }
gpg_sign() { rm -f "$TMP/g.p7m"; gpgsm --batch --digest-algo SHA256 -u "$(finger "$1")" --sign -o "$TMP/g.p7m" "$TMP/msg" && gpgsm --batch --verify "$TMP/g.p7m"; }
gpg_sign_twice() { gpg_sign 9c && gpg_sign 9c; }
gpg_decrypt_ten() {
	openssl cms -encrypt -aes-256-cbc -binary -in "$TMP/msg" -outform DER -out "$TMP/g.p7m" -recip "$TMP/rsa2048-9d.pem" || return 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -f "$TMP/out"
		gpgsm --batch --decrypt -o "$TMP/out" "$TMP/g.p7m" && cmp "$TMP/out" "$TMP/msg" || return 1
	done
}

# --- dpiv itself ------------------------------------------------------------------------------------------------------
dpiv_sign() { prompts 1 "$BUILD/dpiv" sign --chain "$TMP/ca.pem" --from pat@example.test -o "$TMP/s.eml" "$TMP/msg"; }

# --- the module asks by itself: programs that cannot ------------------------------------------------------------------------
with_helper() { # PROMPTS COMMAND: pin_helper is an askpass; PROMPTS are its own
	local want=$1 ok=0
	shift
	printf '[module]\npin_helper = %s\n' "$TMP/askpass" >"$DPIV_CONF"
	: >"$TMP/asked"
	: >"$TMP/question"
	"$@" && asked "$want" || ok=1
	[ "$want" -eq 0 ] || grep -q 'Key: 9C Digital Signature' "$TMP/question" || ok=1
	: >"$DPIV_CONF"
	return $ok
}
foreign_engine() { # libp11's engine with the PIN in the URI and no terminal
	env -u OPENSSL_ENGINES PKCS11_MODULE_PATH="$M" setsid openssl dgst -sha256 -engine pkcs11 -keyform engine \
	    -sign "pkcs11:id=%02;type=private;pin-value=123456" -out "$TMP/sig" "$TMP/msg" && verifies 9c
}
agent_thrice() { # the agent has no way to ask for 9C again
	ssh-keygen -D "$M" | grep ' SIGN ' >"$TMP/key.pub"
	eval "$(ssh-agent -s -P "$BUILD/*")" >/dev/null
	local ok=0
	SSH_ASKPASS=$TMP/pass SSH_ASKPASS_REQUIRE=force ssh-add -s "$M" || ok=1
	for _ in 1 2 3; do
		rm -f "$TMP/msg.sig"
		ssh-keygen -Y sign -f "$TMP/key.pub" -n file "$TMP/msg" && [ -s "$TMP/msg.sig" ] || ok=1
	done
	kill "$SSH_AGENT_PID"
	return $ok
}
printf '#!/bin/sh\necho 123456\n' >"$TMP/pass"
chmod 700 "$TMP/pass"

key_make p256 "$TMP/tls.key"
cert_make tls "$TMP/tls.key" /CN=localhost "$TMP/tls.pem"
for ALG in ${ALGS-rsa2048 p256}; do
	card_make $ALG
	check "pkcs11-tool lists: 0, $ALG" with_card $ALG tool_list
	check "p11tool lists: 0, $ALG" with_card $ALG gnutls_list
	check "certutil lists: 0, $ALG" with_card $ALG nss_list
	check "ssh-keygen lists: 0, $ALG" with_card $ALG ssh_list
	for k in 9a 9c; do
		check "pkcs11-tool signs with $k: 1, $ALG" with_card $ALG tool_sign $k
		check "p11tool signs with $k: 1, $ALG" with_card $ALG gnutls_sign $k
		check "gnutls-cli, $k: 1, $ALG" with_card $ALG gnutls_tls $k
		check "openssl dgst, engine dpiv, $k: 1, $ALG" with_card $ALG engine_sign dpiv $k 1
		check "curl, engine dpiv, $k: 1, $ALG" with_card $ALG engine_tls $k
		check "ssh-agent signs with $k: 1, $ALG" with_card $ALG ssh_sign $k
	done
	check "openssl dgst, engine pkcs11, 9a: 1, $ALG" with_card $ALG engine_sign pkcs11 9a 1
	check "openssl dgst, engine pkcs11, 9c: 2, $ALG" with_card $ALG engine_sign pkcs11 9c 2
	check "cmsutil signs with 9c: 1, $ALG" with_card $ALG nss_sign
	check "cmsutil decrypts: 1, $ALG" with_card $ALG nss_decrypt
	check "openssl cms -decrypt: 1, $ALG" with_card $ALG engine_decrypt
	check "ssh-agent signs ten times: 1, $ALG" with_card $ALG ssh_ten
	check "dpiv sign: 1, $ALG" with_card $ALG dpiv_sign
	check "with pin_helper: libp11's engine without a terminal, 9c: the PIN in the URI is one, $ALG" with_card $ALG with_helper 0 foreign_engine
	check "with pin_helper: ssh-agent, three signatures with 9c: the helper asks twice, $ALG" with_card $ALG with_helper 2 agent_thrice
done
ALG=rsa2048
check "pkcs11-tool decrypts: 1" with_card rsa2048 tool_decrypt
check "gpgsm: listing 0, a signature 1, ten decryptions 1" with_card rsa2048 gpg_actions
