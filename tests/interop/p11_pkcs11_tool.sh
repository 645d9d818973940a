#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# OpenSC's pkcs11-tool on the module and a PIV card: objects, signatures, decryption, key agreement with 9A 9C 9D 9E, RSA
# and elliptic curve, each result checked by plain OpenSSL; its own tests; what removal and a wrong PIN look like.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
tool() { pkcs11-tool --module "$M" "$@"; }
agency_make
printf 'To be signed, or to be kept secret.' >"$TMP/msg"

pub() { openssl x509 -in "$TMP/$ALG-$1.pem" -pubkey -noout; }
digest_info() { # DigestInfo of SHA-256, RFC 8017, 9.2
	printf '\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20'
	openssl dgst -sha256 -binary "$TMP/msg"
}
sign() { # MECHANISM KEY ID [verification options]: combined mechanisms, hashed by the module
	local m=$1 key=$2 id=$3
	shift 3
	tool -l -p 123456 --sign -m "$m" --id "$id" -i "$TMP/msg" -o "$TMP/sig" -f openssl &&
	    openssl dgst "-$HASH" -verify <(pub "$key") "$@" -signature "$TMP/sig" "$TMP/msg"
}
sign_plain() { # KEY ID: what is signed was hashed outside
	if [ "$ALG" = p256 ]; then
		openssl dgst -sha256 -binary "$TMP/msg" >"$TMP/in"
		tool -l -p 123456 --sign -m ECDSA --id "$2" -i "$TMP/in" -o "$TMP/sig" -f openssl || return 1
	else
		digest_info >"$TMP/in"
		tool -l -p 123456 --sign -m RSA-PKCS --id "$2" -i "$TMP/in" -o "$TMP/sig" || return 1
	fi
	openssl dgst -sha256 -verify <(pub "$1") -signature "$TMP/sig" "$TMP/msg"
}
sign_raw() { # RSA-X-509 over a block that was padded outside
	local pad
	pad=$(printf 'ff%.0s' $(seq 202))
	{ printf "$(sed 's/../\\x&/g' <<<"0001${pad}00")"; digest_info; } >"$TMP/in"
	[ "$(wc -c <"$TMP/in")" -eq 256 ] || return 1
	tool -l -p 123456 --sign -m RSA-X-509 --id 01 -i "$TMP/in" -o "$TMP/sig" &&
	    openssl dgst -sha256 -verify <(pub 9a) -signature "$TMP/sig" "$TMP/msg"
}
verify_by_tool() { # MECHANISM ID
	tool -l -p 123456 --sign -m "$1" --id "$2" -i "$TMP/msg" -o "$TMP/sig" &&
	    tool --verify -m "$1" --id "$2" -i "$TMP/msg" --signature-file "$TMP/sig"
}
decrypt() { # MECHANISM [-pkeyopt ...] -- [options of pkcs11-tool]
	local m=$1 opts=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do opts+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	pub 9d >"$TMP/pub.pem"
	openssl pkeyutl -encrypt -pubin -inkey "$TMP/pub.pem" "${opts[@]}" -in "$TMP/msg" -out "$TMP/enc" &&
	    tool -l -p 123456 --decrypt -m "$m" --id 03 "$@" -i "$TMP/enc" -o "$TMP/out" && cmp "$TMP/msg" "$TMP/out"
}
derive() { # [options]
	openssl ecparam -name prime256v1 -genkey -noout -out "$TMP/eph.key" &&
	    openssl ec -in "$TMP/eph.key" -pubout -outform DER -out "$TMP/eph.der" 2>/dev/null &&
	    pub 9d >"$TMP/pub.pem" && openssl pkeyutl -derive -inkey "$TMP/eph.key" -peerkey "$TMP/pub.pem" -out "$TMP/want" &&
	    tool -l -p 123456 --derive -m ECDH1-DERIVE --id 03 "$@" -i "$TMP/eph.der" -o "$TMP/got" && cmp "$TMP/want" "$TMP/got"
}
objects() { # each certificate as OpenSC's users know it, and the same that was put on the card
	tool -O >"$TMP/objects" || return 1
	for l in 'Certificate for PIV Authentication' 'Certificate for Digital Signature' 'Certificate for Key Management' \
	    'Certificate for Card Authentication' 'PIV AUTH pubkey' 'SIGN pubkey' 'KEY MAN pubkey' 'CARD AUTH pubkey'; do
		grep -q "label: *$l\$" "$TMP/objects" || { echo "no $l"; return 1; }
	done
	for i in 01:9a 02:9c 03:9d 04:9e; do
		tool --read-object --type cert --id "${i%:*}" -o "$TMP/cert.der" || return 1
		openssl x509 -inform DER -in "$TMP/cert.der" -outform PEM | cmp - <(openssl x509 -in "$TMP/$ALG-${i#*:}.pem") || return 1
	done
}
private_keys() { tool "$@" -O --type privkey | grep -c '^Private Key Object'; }
private_before() { [ "$(private_keys)" -eq 1 ]; }
private_after() { [ "$(private_keys -l -p 123456)" -eq 4 ]; }
wrong_pin() { tool -l -p 654321 --sign -m ECDSA --id 01 -i "$TMP/msg" -o "$TMP/sig"; }
pin_tries() { # a malformed PIN costs none, a wrong one costs one
	tool -l -p 12345 -O >/dev/null 2>&1
	tool -l -p 12 -O >/dev/null 2>&1
	tool -L | grep -q 'user PIN count low' && return 1
	tool -l -p 654321 -O >/dev/null 2>&1
	tool -l -p 654321 -O >/dev/null 2>&1
	tool -L | grep -q 'final user PIN try'
}
pin_change() {
	tool -l -p 123456 --change-pin --new-pin 87654321 && tool -l -p 87654321 -O --type privkey | grep -q 'PIV AUTH key'
}
own_test() { tool -l -p 123456 --test | tee "$TMP/test" && grep -q '^No errors' "$TMP/test"; }
threads() { tool -l -p 123456 --test-threads ILGISLT0 --test-threads ILGISLT0; }
no_card() {
	tests/vcard-ctl remove
	sleep 1
	tool -L
	tool -l -p 123456 -O
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "objects, $ALG" with_card $ALG objects
	check "one private key before login, $ALG" with_card $ALG private_before
	check "four private keys after login, $ALG" with_card $ALG private_after
	for k in 9a:01 9c:02 9e:04; do
		check "signature over a digest, ${k%:*}, $ALG" with_card $ALG sign_plain "${k%:*}" "${k#*:}"
		for h in 1 224 256 384 512; do
			HASH=sha$h
			[ $ALG = p256 ] && m=ECDSA-SHA$h || m=SHA$h-RSA-PKCS
			check "$m, ${k%:*}" with_card $ALG sign "$m" "${k%:*}" "${k#*:}"
		done
	done
	[ $ALG = p256 ] && m=ECDSA-SHA256 || m=SHA256-RSA-PKCS
	check "verification, $ALG" with_card $ALG verify_by_tool $m 01
	check "change of PIN, $ALG" with_card $ALG pin_change
	check "its own test, $ALG" with_card $ALG own_test
done
ALG=rsa2048
for h in 256 384 512; do
	HASH=sha$h
	check "SHA$h-RSA-PKCS-PSS" with_card $ALG sign SHA$h-RSA-PKCS-PSS 9a 01 -sigopt rsa_padding_mode:pss
done
check "RSA-X-509, padded outside" with_card $ALG sign_raw
check "RSA-PKCS decryption" with_card $ALG decrypt RSA-PKCS
check "OAEP decryption, SHA-1" with_card $ALG decrypt RSA-PKCS-OAEP -pkeyopt rsa_padding_mode:oaep -- --hash-algorithm SHA-1
check "OAEP decryption, SHA-256" with_card $ALG decrypt RSA-PKCS-OAEP -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 -- --hash-algorithm SHA256 --mgf MGF1-SHA256
ALG=p256
check "ECDH" with_card $ALG derive
check "ECDH, the point in DER" with_card $ALG derive --derive-pass-der
says CKR_PIN_INCORRECT "a wrong PIN says so" with_card $ALG wrong_pin
check "malformed PINs cost nothing, flags follow the tries" with_card $ALG pin_tries
check "threads" with_card $ALG threads
check "fork" with_card $ALG tool --test-fork
says "(empty)" "a slot without card is empty" with_card $ALG no_card
refuse "without a card it fails" with_card $ALG no_card
