#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv history import: old keys out of PKCS#12 files, with today's ciphers and with those of old browsers, into a SoftHSM2
# token and into the retired places of a card; then dpiv decrypt opens the mail that was encrypted for them.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
softhsm_start
agency_make
softhsm2-util --init-token --free --label laptop --so-pin 12345678 --pin $PIN >/dev/null
token_add laptop p256 now 20 agree --usage-derive
U=$(p11_uri laptop '' | sed 's/;?/?/')
echo 'pass wörd' >"$TMP/pw"
old() { # NAME ALG PROFILE FROM TO
	key_make "$2" "$TMP/$1.key"
	cert_make "$3" "$TMP/$1.key" "/CN=Pat Example ($1)" "$TMP/$1.pem" "$TMP/ca" "$4" "$5"
	openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -from a@example.test -to pat@example.test -out "$TMP/$1.eml" "$TMP/$1.pem"
}
printf 'An old letter.\n' >"$TMP/letter"
old g1 rsa2048 encrypt 20140101000000Z 20170101000000Z
old g2 rsa3072 encrypt 20170101000000Z 20200101000000Z
old g3 p384 agree 20200101000000Z 20300101000000Z
old sign rsa2048 sign 20200101000000Z 20300101000000Z
EMAIL=eve@example.test old eve rsa2048 encrypt 20200101000000Z 20300101000000Z
p12() { # NAME OPTIONS...
	local name=$1
	shift
	openssl pkcs12 -export -inkey "$TMP/$name.key" -in "$TMP/$name.pem" -certfile "$TMP/ca.pem" -passout file:"$TMP/pw" -out "$TMP/$name.p12" "$@"
}
p12 g1 -legacy -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40 -macalg sha1
p12 g2
p12 g3
p12 sign
p12 eve
cd "$TMP" || exit 1
imports() { "$D" history import --to "$U" --password-source "file:$TMP/pw" "$@"; }
report() { imports --json "$@" >report.json 2>err; python3 -c 'import json; print([k["result"] for k in json.load(open("report.json"))["keys"]])'; }
opens() { "$D" decrypt --token "$U" --text -o plain.out "$1.eml" && tr -d "\r" <plain.out | cmp - letter; }

for g in g1 g2 g3; do status 3 "$g.eml does not open before" "$D" decrypt --token "$U" $g.eml; done
says "would be imported" "--dry-run" imports --dry-run g1.p12
status 3 "and writes nothing" "$D" decrypt --token "$U" g1.eml
check "RC2-40 and Triple DES" imports g1.p12
check "AES-256, and an EC key" imports g2.p12 g3.p12
for g in g1 g2 g3; do check "$g.eml opens now" opens $g; done
says "['already there', 'already there', 'already there']" "again: nothing to do" report g1.p12 g2.p12 g3.p12
objects() { pkcs11-tool --module "$SOFTHSM" --token-label laptop --login --pin $PIN -O; }
count() { [ "$(objects 2>/dev/null | grep -c "$1")" = "$2" ] || { objects; return 1; }; }
check "four private keys, no more" count '^Private Key' 4
check "each sensitive, none extractable" bash -c "! pkcs11-tool --module '$SOFTHSM' --token-label laptop --login --pin $PIN -O --type privkey 2>/dev/null | grep 'Access:' | grep -vq sensitive"
same_ids() { [ "$(objects 2>/dev/null | sed -n 's/^  ID: *//p' | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 3 ]; }
check "private key, public key and certificate have one CKA_ID" same_ids

typed() { python3 "$ROOT/tests/lib/on_terminal.py" "pass wörd" "$D" history import --to "$U" g1.p12 g2.p12 >typed.out && cat typed.out && grep -q 'Password of g1.p12: ' typed.out && grep -q 'prompts: 1' typed.out  && ! grep -q 'pass w' typed.out; }
check "on a terminal: asked for by the file's name, once for both files" typed

# --- what is refused ------------------------------------------------------------------------------------------------
status 5 "a signature key is left out" imports sign.p12
says "not meant for decrypting" "and it says why" imports sign.p12
status 5 "somebody else's key is left out" imports eve.p12
says "is for eve@example.test, which none of your certificates has (they have pat@example.test)" "and it says whose" imports eve.p12
check "unless the address was the person's" imports --address eve@example.test --dry-run eve.p12
check "a chain that leads to an anchor, expired" imports --cafile root.pem --dry-run g1.p12
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj "/CN=Other Root" -days 30 -out other.pem 2>/dev/null
status 5 "a chain that does not" imports --cafile other.pem --dry-run g2.p12
status 4 "a wrong password" "$D" history import --to "$U" --password-source "file:$TMP/pin" eve.p12
status 4 "no password and no terminal" "$D" history import --to "$U" eve.p12
head -c 300 g2.p12 >cut.p12
status 1 "a damaged file" imports cut.p12
openssl pkcs12 -export -inkey eve.key -in g1.pem -passout file:pw -out wrong.p12 2>/dev/null ||
    openssl pkcs12 -export -inkey eve.key -nocerts -passout file:pw -out wrong.p12 2>/dev/null
status 5 "a key without its certificate" imports wrong.p12
check "none of it is on the token" count '^Private Key' 4
mkdir -p dir/sub && cp g1.p12 dir/a.p12 && cp g2.p12 dir/B.PFX && cp cut.p12 dir/c.txt
says "['already there', 'already there']" "a directory" report dir
status 3 "a directory without any" imports dir/sub
# half of an import: the key is there, its certificate is not
id=$(objects 2>/dev/null | grep -A3 'Old encryption key 2017' | sed -n 's/^  ID: *//p' | head -n 1)
p11tool_quiet --token-label laptop --delete-object --type cert --id "$id"
says "['completed']" "an import that was cut short is completed" report g2.p12
check "and opens" opens g2
p11tool_quiet --token-label laptop --delete-object --type privkey --id "$id"
says "['completed']" "also when only the certificate is there" report g2.p12
check "and opens again" opens g2
check "no key twice" count '^Private Key' 4

# --- a token that does not take keys by C_CreateObject ---------------------------------------------------------------
gcc -shared -fPIC -o shim.so "$ROOT/tests/interop/import_shim.c" -ldl $(pkg-config --cflags p11-kit-1) || fail "the shim does not build"
softhsm2-util --init-token --free --label wrapped --so-pin 12345678 --pin $PIN >/dev/null
shimmed() { IMPORT_SHIM_MODULE=$SOFTHSM IMPORT_SHIM_REFUSE=$1 "$D" history import --to "pkcs11:token=wrapped?module-path=$TMP/shim.so&pin-source=file:$TMP/pin" --password-source "file:$TMP/pw" "${@:2}"; }
says "takes no private key like this from outside (C_CreateObject: CKR_FUNCTION_NOT_SUPPORTED; C_UnwrapKey: CKR_FUNCTION_NOT_SUPPORTED)" \
    "a token that takes no keys says so" shimmed create,unwrap g1.p12
status 1 "and that is a failure" shimmed create,unwrap g1.p12
none() { [ -z "$(pkcs11-tool --module "$SOFTHSM" --token-label wrapped --login --pin $PIN -O 2>/dev/null)" ]; }
check "and nothing is left on it" none
check "by C_UnwrapKey: RSA and EC" shimmed create g1.p12 g3.p12
W=$(p11_uri wrapped '' | sed 's/;?/?/')
for g in g1 g3; do check "$g.eml opens with the unwrapped key" bash -c '"$0" decrypt --token "$1" --text -o plain.out '$g'.eml && tr -d "\r" <plain.out | cmp - letter' "$D" "$W"; done

# --- a card ---------------------------------------------------------------------------------------------------------
card_make p256 --yubikey --firmware 5.7.1 || fail "no card"
echo 010203040506070801020304050607080102030405060708 >admin
chmod 600 admin
on_card() {
	cd "$TMP" || return 1
	export DPIV_PKCS11_MODULE=$BUILD/dpiv-pkcs11.so
	local c="pkcs11:?module-path=$BUILD/dpiv-pkcs11.so&pin-source=file:$TMP/pin"
	"$@" "$c"
}
card_brings() {
	printf '[module]\nmanagement_key_file = %s\n' "$TMP/admin" >"$DPIV_CONF"
	"$D" history import --to "$1" --password-source "file:$TMP/pw" g1.p12 g2.p12 || return 1
	"$D" history list --login --json --token "$1" >list.json || return 1
	python3 -c 'import json; k={x["id"]: x["held"] for x in json.load(open("list.json"))["keys"]}; assert k == {"03": "yes", "05": "yes", "06": "yes"}, k' || return 1
	for g in g1 g2; do "$D" decrypt --token "$1" --text -o plain.out $g.eml && tr -d "\r" <plain.out | cmp - letter || return 1; done
	"$D" history import --json --to "$1" --password-source "file:$TMP/pw" g1.p12 g2.p12 | grep -c 'already there' | grep -qx 2 || return 1
	pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" --read-object --type data --label 'Key History Object' -o history
	[ "$(od -An -tx1 -N6 history | tr -d ' ')" = c10102c20100 ]
}
card_refuses() {
	: >"$DPIV_CONF"
	"$D" history import --to "$1" --password-source "file:$TMP/pw" g1.p12 >said
	[ $? -eq 1 ] && grep -q management_key_file said
}
with_it() { (cd "$ROOT" && with_card p256 on_card "$@"); }
check "a card: two keys into its retired places, Key History right, and they open" with_it card_brings
check "a card without its management key refuses, and says what to do" with_it card_refuses
