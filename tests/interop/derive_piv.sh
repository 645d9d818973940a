#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Deriving into PIV tokens through dpiv's own module: one with the PIV AID that does what SP 800-73 has and no more, one
# that can move and delete keys, one with the derived AID alone, one with both applications. OpenSC, yubico-piv-tool and
# OpenSSL judge what comes out.
. tests/lib/derive.sh
derive_inside "--alg p256" "blank:" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77' \
	'blank:"aid": "A000000308000020000100", "atr": "3B8B80018073000080656470697632C2"'
. tests/lib/shell.sh
at_end issuer_stop
M=$BUILD/dpiv-pkcs11.so
printf 'app opensc-pkcs11 {\n pkcs11 {\n max_virtual_slots = 64;\n }\n}\n' >"$TMP/opensc.conf"
export OPENSC_CONF=$TMP/opensc.conf
AGENCY=$DERIVE_DIR/agency
ADMIN=010203040506070801020304050607080102030405060708


fresh() { # the person's things are new, the tokens as they are
	rm -rf "$TMP/state" "$TMP/home"
	mkdir -p "$TMP/home/.config/dpiv"
	export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/home/.config
	echo 123456 >"$TMP/pin"
	echo $ADMIN >"$TMP/admin"
	chmod 600 "$TMP/pin" "$TMP/admin"
	printf '%s\n' '[module]' "management_key_file = $TMP/admin" '[issuer demo]' "url = $ISSUER" \
		"cafile = $AGENCY/root.pem" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}
target() { # N [LABEL]: the N-th image is the target: READER, SLOT, LABEL, TO
	READER="Virtual PCD $(($1 - 1)) 00 00"
	SLOT=$(pkcs11-tool --module "$M" -L | sed -n "s/^Slot [0-9]* (\(.*\)): ${2:-}$READER\$/\1/p")
	SLOT=$((SLOT))
	LABEL=$(pkcs11-tool --module "$M" -L | awk -v r=": ${2:-}$READER" '
		/^Slot/ { here = index($0, r) } here && /token label/ { sub(/.* : /, ""); print; exit }')
	TO="pkcs11:slot-id=$SLOT?pin-source=file:$TMP/pin"
}
p11() { pkcs11-tool --module "$M" --slot "$SLOT" "$@"; }
renew() { "$BUILD/dpiv" renew "$@" --token "$TO"; }
revoke() { "$BUILD/dpiv" revoke "$@" --token "$TO" --yes; }
cert() { # ID: its certificate in $TMP/ID.pem
	p11 --read-object --type cert --id "$1" -o "$TMP/cert.der" >/dev/null 2>&1 &&
		openssl x509 -inform DER -in "$TMP/cert.der" -out "$TMP/$1.pem"
}
no_cert() { ! cert "$1" || { echo "there is a certificate in $1"; return 1; }; }
serial() { openssl x509 -in "$TMP/$1.pem" -noout -serial; }
chain_ok() { # ID POLICY
	openssl verify -x509_strict -policy_check -explicit_policy -policy "2.16.840.1.101.3.2.1.3.$2" -CAfile "$AGENCY/root.pem" \
		-untrusted "$AGENCY/ca.pem" "$TMP/$1.pem"
}
signs() { # ID: OpenSC's pkcs11-tool through the module; OpenSSL judges
	local mech=SHA256-RSA-PKCS format=()
	openssl x509 -in "$TMP/$1.pem" -noout -pubkey >"$TMP/pub.pem" || return 1
	echo message >"$TMP/message"
	! openssl pkey -pubin -in "$TMP/pub.pem" -text -noout | grep -q prime256v1 || { mech=ECDSA-SHA256 format=(-f openssl); }
	p11 --login --pin 123456 --sign --mechanism $mech --id "$1" "${format[@]}" -i "$TMP/message" -o "$TMP/sig" >/dev/null &&
		openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/message"
}
decrypts() { # ID: what OpenSSL encrypted to the certificate
	openssl x509 -in "$TMP/$1.pem" -noout -pubkey >"$TMP/pub.pem" &&
		echo secret | openssl pkeyutl -encrypt -pubin -inkey "$TMP/pub.pem" -out "$TMP/box" &&
		p11 --login --pin 123456 --decrypt --mechanism RSA-PKCS --id "$1" -i "$TMP/box" -o "$TMP/plain" >/dev/null &&
		[ "$(cat "$TMP/plain")" = secret ]
}
opensc_signs() { # ID: with OpenSC's own module instead
	openssl x509 -in "$TMP/$1.pem" -noout -pubkey >"$TMP/pub.pem" && echo message >"$TMP/message" &&
		pkcs11-tool --module opensc-pkcs11.so --slot-description "$READER" --login --pin 123456 --sign --mechanism SHA256-RSA-PKCS \
			--id "$1" -i "$TMP/message" -o "$TMP/sig" &&
		openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/message"
}
same_as_yubico() { # ID SLOT: yubico-piv-tool reads the same certificate
	yubico-piv-tool -r "$READER" -a read-certificate -s "$2" -o "$TMP/y.pem" && openssl x509 -in "$TMP/y.pem" -outform DER -out "$TMP/y.der" &&
		openssl x509 -in "$TMP/$1.pem" -outform DER | cmp - "$TMP/y.der"
}
engine_signs() { # ID
	echo message >"$TMP/message" && openssl x509 -in "$TMP/$1.pem" -noout -pubkey >"$TMP/pub.pem" &&
		OPENSSL_ENGINES=$BUILD openssl dgst -sha256 -engine dpiv -keyform engine \
			-sign "pkcs11:slot-id=$SLOT;id=%$1;type=private?pin-source=file:$TMP/pin" -out "$TMP/sig" "$TMP/message" &&
		openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/message"
}
issuer_start || fail "an issuer" "$(cat "$TMP/issuer.log")"
fresh
card 1

# --- a token that does what the standard has ---
target 2
check "PIV AID: derive auth, sign, encrypt" derive --role auth,sign,encrypt
for id in 01 02 03; do check "PIV AID: certificate $id" cert $id; done
check "PIV AID: 9A is a derived PIV authentication certificate" chain_ok 01 40
check "PIV AID: 9A signs" signs 01
check "PIV AID: 9C signs" signs 02
check "PIV AID: 9D decrypts" decrypts 03
check "PIV AID: OpenSC's module signs with it" opensc_signs 01
check "PIV AID: the engine signs" engine_signs 01
says "Pat Example" "PIV AID: status lists it" "$BUILD/dpiv" status
first=$(serial 01)
says "was there already" "PIV AID: a second run does nothing" derive --role auth,sign,encrypt
status 5 "PIV AID: an encryption key is not replaced" derive --role encrypt --again
says "could not be read any more" "PIV AID: and the reason is said" derive --role encrypt --again
status 5 "PIV AID: a renewal does not put the old key at risk" renew auth --force
says "--replace" "PIV AID: unless that is said" renew auth --force
check "PIV AID: the credential is as it was" signs 01
check "PIV AID: renewed with --replace" renew auth --force --replace
cert 01
check "PIV AID: with another certificate" test "$first" != "$(serial 01)"
check "PIV AID: the new key signs" signs 01
check "PIV AID: sign is renewed by the authentication key" renew sign --force --replace
cert 02
check "PIV AID: the new key signs" signs 02
check "PIV AID: revoked" revoke auth --local
check "PIV AID: no certificate is left in 9A" no_cert 01
old_key_is_gone() { # raw: 9A answers, with another key
	local msg
	msg=$(printf '0001%0*d' 0 0)
	true
}
check "PIV AID: derived anew after that" derive --role auth
