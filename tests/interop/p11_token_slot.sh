#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tokens behind other PKCS#11 modules in slots of dpiv-pkcs11.so: SoftHSM2 as it is and as poor as a card. What is visible, what
# software adds, who counts wrong PINs, what is missing, and what going through it costs.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
PROXY=$(find /usr/lib -name p11-kit-proxy.so -print -quit)
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_STATE_HOME=$TMP/state
mkdir -p "$HOME"
softhsm_start
agency_make
token_make rsa rsa2048
token_make ec p256
softhsm2-util --init-token --free --label derived --so-pin 12345678 --pin $PIN >/dev/null
for r in 1:9a:auth:--usage-sign 2:9c:sign:--usage-sign 3:9d:encrypt:--usage-derive; do # as dpiv derive labels them
	IFS=: read -r id key role use <<<"$r"
	for o in der:privkey pub:pubkey crt:cert; do
		p11tool_quiet --token-label derived --write-object "$TMP/ec-$key.${o%:*}" --type "${o#*:}" --id "0$id" --label "dpiv $role Pat" "$use"
	done
done
p11tool_quiet --token-label derived --write-object <(openssl x509 -in "$TMP/ca.pem" -outform DER) --type cert --id 77 --label authority
for t in ec-9a rsa-9a; do # keys without a certificate
	p11tool_quiet --token-label derived --write-object "$TMP/$t.der" --type privkey --id "${#t}0" --label bare --usage-sign
	p11tool_quiet --token-label derived --write-object "$TMP/$t.pub" --type pubkey --id "${#t}0" --label bare
done
gcc -std=c11 -D_GNU_SOURCE -shared -fPIC -o "$TMP/shim.so" tests/interop/p11_shim.c $(pkg-config --cflags p11-kit-1) -ldl || exit 1
gcc -std=c11 -D_GNU_SOURCE -O1 -o "$TMP/loop" tests/interop/p11_sign_loop.c $(pkg-config --cflags p11-kit-1) -ldl -lpthread || exit 1
export P11_SHIM=$SOFTHSM P11_SHIM_KILL=$TMP/kill

cat >"$DPIV_CONF" <<CNF
[token zulu]
uri = pkcs11:token=rsa?module-path=$SOFTHSM
[token second]
uri = pkcs11:token=ec?module-path=$SOFTHSM
[token gone]
uri = pkcs11:token=nosuch?module-path=$SOFTHSM
[token missing]
uri = pkcs11:token=x?module-path=/nonexistent.so
[token self]
uri = pkcs11:token=x?module-path=$M
[token proxy]
uri = pkcs11:token=x?module-path=$PROXY
[token own]
uri = pkcs11:token=PIV
[token derived]
uri = pkcs11:token=derived?module-path=$SOFTHSM
[token one]
uri = pkcs11:token=rsa;id=%03?module-path=$SOFTHSM
[token bare]
uri = pkcs11:token=derived;object=bare?module-path=$SOFTHSM
[token broken]
uri = pkcs11:nonsense
CNF
cp "$DPIV_CONF" "$TMP/all.conf"

p() { pkcs11-tool --module "$M" "$@"; }
one_token() { # TOKEN [MODULE [KEY = VALUE]]: nothing else configured
	printf '[token t]\nuri = pkcs11:token=%s?module-path=%s\n%s\n' "$1" "${2-$SOFTHSM}" "${3-}" >"$DPIV_CONF"
}
public() { openssl x509 -in "$1.pem" -pubkey -noout >"$1.p"; }
for k in rsa ec; do for s in 9a 9c 9d; do public "$TMP/$k-$s"; done; done
head -c 1000 /dev/urandom >"$TMP/m"
openssl dgst -sha256 -binary "$TMP/m" >"$TMP/d"
openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/peer.key"
openssl pkey -in "$TMP/peer.key" -pubout -outform DER -out "$TMP/peer.der"

# --- what is there ---

slots() {
	p -L 2>"$TMP/err" | sed -nE 's/^Slot [0-9]+ \((0x[0-9a-f]+)\): (.*)$/\1 \2/p' >"$TMP/slots"
	[ "$(tr '\n' ' ' <"$TMP/slots")" = "0x1000 zulu 0x1001 second 0x1002 gone 0x1003 missing 0x1004 self 0x1005 proxy 0x1006 derived 0x1007 one 0x1008 bare 0x1009 broken " ] ||
	    { cat "$TMP/slots" "$TMP/err"; return 1; }
}
says_why() { # TEXT
	DPIV_LOG=info:$TMP/log p -L >/dev/null 2>&1 && grep -q -- "$1" "$TMP/log" || { cat "$TMP/log"; return 1; }
}
objects() { # TOKEN CERTIFICATES PUBLIC PRIVATE [options]
	local t=$1 want="$2 $3 $4"
	shift 4
	p --token-label "$t" -O "$@" >"$TMP/objects" 2>&1
	[ "$(grep -c '^Certificate Object' "$TMP/objects") $(grep -c '^Public Key' "$TMP/objects") $(grep -c '^Private Key' "$TMP/objects")" = "$want" ] ||
	    { cat "$TMP/objects"; return 1; }
}
check "slots in the order of the file, their ids apart from readers'" slots
check "a missing module is said in the log" says_why 'there is no PKCS#11 module /nonexistent.so'
check "this module is not loaded behind itself" says_why 'name="self" error=".*lead back'
check "nor p11-kit's proxy" says_why 'name="proxy" error=".*lead back'
check "a malformed uri is said in the log" says_why 'section="token broken" error='
check "certificates and public keys without a PIN" objects rsa 3 3 0
check "private keys with one" objects rsa 3 3 3 -l -p $PIN
check "an authority's certificate is none of the credential's" objects derived 3 3 0
check "neither after login" objects derived 3 3 3 -l -p $PIN
says "PIV AUTH key" "roles have a card's labels" p --token-label derived -l -p $PIN -O --type privkey
says "Certificate for Digital Signature" "certificates too" p --token-label derived -O --type cert
says "Certificate for Key Management" "and the third" p --token-label derived -O --type cert
says "9a key" "others as they are stored" p --token-label ec -l -p $PIN -O --type privkey
one() { p --slot 0x1007 -O 2>/dev/null >"$TMP/objects" && grep -c '^Certificate Object' "$TMP/objects" | grep -qx 1 && grep -q 'ID: *03' "$TMP/objects"; }
check "a uri with an id shows that credential alone" one
bare() { # KEY ID MECHANISM [options]
	local key=$1 id=$2 mech=$3
	shift 3
	p --slot 0x1008 -l -p $PIN -s -m "$mech" --id "$id" -i "$TMP/m" -o "$TMP/s" "$@" && openssl dgst -sha256 -verify "$TMP/$key.p" -signature "$TMP/s" "$TMP/m"
}
bare_list() { p --slot 0x1008 -O >"$TMP/objects" 2>&1 && [ "$(grep -c '^Public Key' "$TMP/objects")" -eq 2 ] && ! grep -q '^Certificate' "$TMP/objects"; }
check "keys without a certificate, when the uri names them" bare_list
check "and they sign, P-256" bare ec-9a 50 ECDSA-SHA256 -f openssl
check "and RSA" bare rsa-9a 60 SHA256-RSA-PKCS
says CKP_PUBLIC_CERTIFICATES_TOKEN "profile objects" p --token-label ec -O

# --- what it can do ---

sign() { # TOKEN ID KEY MECHANISM INPUT [options of pkcs11-tool -- options of openssl dgst]
	local token=$1 id=$2 cert=$3 mech=$4 in=$5 opts=()
	shift 5
	while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	p --token-label "$token" -l -p $PIN -s -m "$mech" --id "$id" -i "$TMP/$in" -o "$TMP/s" "${opts[@]}" &&
	    openssl dgst -sha256 "$@" -verify "$TMP/$cert.p" -signature "$TMP/s" "$TMP/m"
}
decrypt() { # MECHANISM [options of pkcs11-tool -- options of pkeyutl]
	local mech=$1 opts=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	openssl pkeyutl -encrypt -pubin -inkey "$TMP/rsa-9d.p" -in "$TMP/d" -out "$TMP/c" "$@" &&
	    p --token-label rsa -l -p $PIN --decrypt -m "$mech" --id 03 -i "$TMP/c" -o "$TMP/o" "${opts[@]}" && cmp "$TMP/o" "$TMP/d"
}
ecdh() {
	p --token-label ec -l -p $PIN --derive -m ECDH1-DERIVE --id 03 -i "$TMP/peer.der" -o "$TMP/o" &&
	    openssl pkeyutl -derive -inkey "$TMP/peer.key" -peerkey "$TMP/ec-9d.p" -out "$TMP/z" && cmp "$TMP/o" "$TMP/z"
}
PSS="-sigopt rsa_padding_mode:pss" OAEP="-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256"
all_uses() { # HOW
	check "RSA PKCS#1 with hash, $1" sign rsa 01 rsa-9a SHA256-RSA-PKCS m
	check "RSA PKCS#1 with hash, PIN for each use, $1" sign rsa 02 rsa-9c SHA256-RSA-PKCS m
	# shellcheck disable=SC2086
	check "PSS with hash, $1" sign rsa 01 rsa-9a SHA256-RSA-PKCS-PSS m -- $PSS
	# shellcheck disable=SC2086
	check "PSS of a digest, PIN for each use, $1" sign rsa 02 rsa-9c RSA-PKCS-PSS d --hash-algorithm SHA256 -- $PSS
	check "ECDSA with hash, $1" sign ec 01 ec-9a ECDSA-SHA256 m -f openssl
	check "ECDSA of a digest, PIN for each use, $1" sign ec 02 ec-9c ECDSA d -f openssl
	check "decryption, PKCS#1, $1" decrypt RSA-PKCS
	# shellcheck disable=SC2086
	check "decryption, OAEP with SHA-256, $1" decrypt RSA-PKCS-OAEP --hash-algorithm SHA256 --mgf MGF1-SHA256 -- $OAEP
	check "ECDH, $1" ecdh
}
all_uses "SoftHSM2"
echo 'slots.mechanisms = CKM_RSA_X_509,CKM_ECDSA,CKM_ECDH1_DERIVE' >>"$SOFTHSM2_CONF"
all_uses "as poor as a card"
says "RSA-PKCS-PSS" "PSS is listed all the same" p --token-label rsa -M
sed -i '$d' "$SOFTHSM2_CONF"
says "No errors" "pkcs11-tool's own test, RSA" p --token-label rsa -l -p $PIN --test
says "No errors" "and P-256" p --token-label ec -l -p $PIN --test
check "a forked child starts anew" p --token-label ec -l -p $PIN --test-fork
check "random numbers" p --token-label ec --generate-random 32 -o "$TMP/random"
says CKR_TOKEN_WRITE_PROTECTED "no certificate is written" p --token-label ec -l -p $PIN --write-object "$TMP/ec-9a.crt" --type cert --id 09
says "not supported" "no key is made" p --token-label ec -l -p $PIN --keypairgen --key-type EC:prime256v1 --id 09

# --- mail: NSS as Thunderbird has it ---

DB=sql:$TMP/db TB=/usr/lib/thunderbird
nss() {
	rm -rf "$TMP/db"
	mkdir "$TMP/db"
	certutil -N -d "$DB" --empty-password && certutil -A -d "$DB" -n root -t CT,CT,CT -i "$TMP/root.pem" &&
	    certutil -A -d "$DB" -n ca -t ,, -i "$TMP/ca.pem" && modutil -dbdir "$DB" -add dpiv -libfile "$M" -force
}
nss_list() { # nobody to ask for a PIN
	nss && setsid certutil -L -d "$DB" -h all >"$TMP/list" 2>&1 </dev/null && [ "$(grep -c '^[er][cs][a:].*u,u,u' "$TMP/list")" -eq 6 ] || { cat "$TMP/list"; return 1; }
}
nss_sign() { # TOKEN
	nss && cmsutil -S -d "$DB" -N "$1:9c certificate" -Y NONE -f "$TMP/pin" -G -H SHA256 -i "$TMP/m" -o "$TMP/s.p7m" &&
	    openssl cms -verify -binary -inform DER -in "$TMP/s.p7m" -CAfile "$TMP/root.pem" -certfile "$TMP/ca.pem" -purpose smimesign -out "$TMP/o" && cmp "$TMP/o" "$TMP/m"
}
nss_decrypt() { # TOKEN [options of openssl]
	local t=$1
	shift
	nss && openssl cms -encrypt -aes-128-cbc -binary -in "$TMP/m" -outform DER -out "$TMP/e.p7m" -recip "$TMP/$t-9d.pem" "$@" &&
	    LD_LIBRARY_PATH=$TB cmsutil -D -d "$DB" -f "$TMP/pin" -i "$TMP/e.p7m" -o "$TMP/o" && cmp "$TMP/o" "$TMP/m"
}
printf '[token a]\nuri = pkcs11:token=rsa?module-path=%s\n[token b]\nuri = pkcs11:token=ec?module-path=%s\n' "$SOFTHSM" "$SOFTHSM" >"$DPIV_CONF"
check "NSS lists certificates, usable, without a PIN" nss_list
for t in rsa ec; do
	check "NSS signs, PIN for each use, $t" nss_sign $t
	check "Thunderbird's NSS decrypts, $t" nss_decrypt $t
done
check "Thunderbird's NSS decrypts with KDF SHA-256" nss_decrypt ec -keyopt ecdh_kdf_md:sha256

# --- PINs ---

login() { p --token-label ec -l -p "$1" -O --type privkey; }
wrong() { # N times
	for _ in $(seq "$1"); do login 999999 >/dev/null 2>&1 && return 1; done
	return 0
}
flags() { p -L | grep 'token flags'; }
counter() { cat "$XDG_STATE_HOME"/dpiv/tries-*; }
set_pin() { p --token-label ec -l -p "$1" --change-pin --new-pin "$2"; }
so() { p --token-label ec --login --login-type so --so-pin "${1-12345678}" --init-pin --new-pin $PIN; }

one_token ec "$TMP/shim.so"
rm -rf "$XDG_STATE_HOME"
wrong 2
says "user PIN count low" "two wrong PINs show" flags
forgotten() { login $PIN && ! flags | grep -q 'count low'; }
check "and are forgotten after a good one" forgotten
touch "$TMP/kill"
for _ in 1 2 3; do login 111111 >/dev/null 2>&1; done
rm "$TMP/kill"
says "user=03" "a try counts although the process is killed in it" counter
wrong 6
says "final user PIN try" "the last try shows" flags
wrong 1
says "user PIN locked" "after ten the PIN is locked" flags
says CKR_PIN_LOCKED "and not even the good one is tried" login $PIN
check "the token itself would take it: it is dpiv that counts" p11tool_quiet --token-label ec -O
check "the security officer unlocks it" so
check "and the PIN is good again" login $PIN
says CKR_PIN_LEN_RANGE "no PIN shorter than six" set_pin $PIN 12345
change() { set_pin $PIN 654321 && login 654321 && set_pin 654321 $PIN && login $PIN; }
check "PIN change" change
set_pin 999999 654321 >/dev/null 2>&1
says "user=01" "a wrong old PIN counts" counter
says "600 $(id -u)" "the counter is the user's alone" stat -c '%a %u' "$XDG_STATE_HOME"/dpiv/tries-*
for _ in $(seq 10); do so 99999999 >/dev/null 2>&1; done
says CKR_PIN_LOCKED "the SO PIN has its own ten" so
echo rubbish >"$(echo "$XDG_STATE_HOME"/dpiv/tries-*)"
says CKR_FUNCTION_FAILED "a damaged counter closes the token" login $PIN
rm -rf "$XDG_STATE_HOME"
one_token ec "$TMP/shim.so" "pin_tries = 3"
wrong 3
says CKR_PIN_LOCKED "pin_tries" login $PIN
one_token ec "$TMP/shim.so" "pin_counter = token"
check "pin_counter = token leaves it to the token" login $PIN
rm -rf "$XDG_STATE_HOME"

# --- what it costs ---

one_token ec
instructions() { # CALL LIMIT: instructions of our call without those of the call inside it, in 200 calls
	local out
	valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file="$TMP/cg" "$TMP/loop" "$M" ec 1 200 "${1,,}" >"$TMP/cg.log" 2>&1 || { cat "$TMP/cg.log"; return 1; }
	out=$(callgrind_annotate --inclusive=yes --threshold=100 "$TMP/cg" 2>/dev/null | tr -d , | awk -v call="C_$2" '
		$0 !~ /=>/ && index($0, ":" call " [") { if (/dpiv-pkcs11/) ours = $1; if (/softhsm/) theirs = $1 }
		END { if (ours && theirs) print int((ours - theirs) / 200) }')
	echo "C_$2: ${out:-not measured} instructions more than the module's own"
	[ -n "$out" ] && [ "$out" -lt "$3" ]
}
threads() { # MODULE N: signatures a second, the best of three
	for _ in 1 2 3; do "$TMP/loop" "$1" ec "$2" 6000; done | sort -n | tail -n 1
}
rates() { # for the reader: other work on this machine is in them
	echo "# signatures a second by one and two threads: SoftHSM2 $(threads "$SOFTHSM" 1) $(threads "$SOFTHSM" 2), through the slot $(threads "$M" 1) $(threads "$M" 2)"
}
side_by_side() { # a module that needs 20 ms for a signature: four threads make at least three times those of one
	local one four
	one=$(P11_SHIM_MS=10 "$TMP/loop" "$M" ec 1 50) four=$(P11_SHIM_MS=10 "$TMP/loop" "$M" ec 4 50)
	echo "one thread: $one, four: $four signatures a second"
	[ "$four" -ge $((one * 3)) ]
}
check "C_Sign costs less than 1500 instructions more than the module's own" instructions sign Sign 1500
echo "# $_out"
check "and so does C_SignInit" instructions init SignInit 1500
echo "# $_out"
rates
one_token ec "$TMP/shim.so"
check "no lock is held while the module works" side_by_side
echo "# $_out"
