#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Deriving into PIV tokens through dpiv's own module: one with the PIV AID that does what SP 800-73 has and no more, one
# that can move and delete keys, one with the derived AID alone, one with both applications. OpenSC, yubico-piv-tool and
# OpenSSL judge what comes out.
. tests/lib/derive.sh
BESIDE='"second": {"format": "piv-image-1", "name": "second", "aid": "A000000308000020000100", "pin": "Part21", "puk": "12345678",
	"select_default": false}'
derive_inside "--alg p256" "blank:" 'blank:"yubikey": true, "version": "5.7.1", "serial": 77' \
	'blank:"aid": "A000000308000020000100"' "blank:$BESIDE" "--alg p256"
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
yubico_pair() { # ID SLOT: yubico-piv-tool has the same certificate, and the key behind it
	yubico-piv-tool -r "$READER" -a read-certificate -s "$2" -o "$TMP/y.pem" &&
		[ "$(openssl x509 -in "$TMP/y.pem" -noout -serial)" = "$(serial "$1")" ] &&
		yubico-piv-tool -r "$READER" -a verify-pin -P 123456 -a test-signature -s "$2" -i "$TMP/y.pem"
}
engine_signs() { # ID
	echo message >"$TMP/message" && openssl x509 -in "$TMP/$1.pem" -noout -pubkey >"$TMP/pub.pem" &&
		OPENSSL_ENGINES=$BUILD openssl dgst -sha256 -engine dpiv -keyform engine \
			-sign "pkcs11:slot-id=$SLOT;id=%$1;type=private?pin-source=file:$TMP/pin" -out "$TMP/sig" "$TMP/message" &&
		openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/sig" "$TMP/message"
}
recorded() { # TEXT: in the state store's events
	python3 -c 'import sqlite3, sys
sys.exit(not any(sys.argv[2] in r[0] for r in sqlite3.connect(sys.argv[1]).execute("SELECT detail FROM event")))' \
		"$XDG_STATE_HOME/dpiv/state.db" "$1"
}
# the content signer of a laboratory
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/signer.key" -out "$TMP/signer.crt" -days 30 \
	-subj "/CN=Content Signer" 2>/dev/null
cat "$TMP/signer.key" "$TMP/signer.crt" >"$TMP/signer.pem"
with_signer() { sed -i "/^management_key_file/a content_signer = $TMP/signer.pem" "$XDG_CONFIG_HOME/dpiv/dpiv.conf"; }
security_object() { # LABEL: verified with the certificate that is in it; the hash of that object is in the signed part
	p11 --read-object --type data --label 'Security Object' -o "$TMP/so" &&
		p11 --read-object --type data --label "$1" -o "$TMP/covered" &&
		python3 - "$TMP/so" "$TMP/so.cms" <<-'PY' && openssl cms -verify -noverify -binary -inform DER -in "$TMP/so.cms" -out "$TMP/lds" &&
		import sys
		d, at = open(sys.argv[1], 'rb').read(), 0
		while at < len(d):
		    tag, n, at = d[at], d[at + 1], at + 2
		    if n > 128:
		        k = n - 128
		        n, at = int.from_bytes(d[at:at + k], 'big'), at + k
		    if tag == 0xBB:
		        open(sys.argv[2], 'wb').write(d[at:at + n])
		    at += n
		PY
		xxd -p "$TMP/lds" | tr -d '\n' | grep -q "$(sha256sum "$TMP/covered" | cut -d' ' -f1)"
}
discovery_is() { # AID: the application in use, and no PIN but its own
	[ "$(p11 --read-object --type data --label 'Discovery Object' 2>/dev/null | xxd -p)" = "4f0b${1}5f2f024000" ]
}
issuer_start || fail "an issuer" "$(cat "$TMP/issuer.log")"
fresh
card 1

# --- a token that does what the standard has ---
target 2
says "cannot sign the request" "PIV AID: an EC key in 9D cannot sign its request" derive --role encrypt --alg p256
check "PIV AID: and leaves nothing" no_cert 03
fault() { tests/vcard-ctl fault clear 1 >/dev/null && tests/vcard-ctl fault "$1" 1 >/dev/null; }
# of the eight commands of SP 800-73 part 2 (SP 800-157r1, B.2) those that a derivation needs, as a token without them answers
for ins in CB 20 87 DB 47; do
	fault "every ins $ins sw 6D00"
	refuse "PIV AID: no target is a token without the command $ins" derive --role auth
	tests/vcard-ctl fault clear 1 >/dev/null
	check "PIV AID: and nothing is left on it" no_cert 01
done
target 2
named() { p11 --read-object --type data --label 'Card Holder Unique Identifier' -o "$TMP/chuid" && [ "${LABEL#PIV }" != 00000000 ]; }
check "PIV AID: a token without CHUID has one" named
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
old_key_is_gone() { # with the old certificate beside it again, 9A signs with another key
	openssl x509 -in "$TMP/01.pem" -outform DER -out "$TMP/old.der" &&
		p11 --login --pin 123456 --write-object "$TMP/old.der" --type cert --id 01 >/dev/null && ! signs 01 &&
		p11 --login --pin 123456 --delete-object --type cert --id 01
}
cert 01
fault "ins 47 remove"
refuse "PIV AID: pulled while the key is destroyed" revoke auth --local
tests/vcard-ctl insert 1
check "PIV AID: no certificate is left in 9A" no_cert 01
check "PIV AID: the next run goes on" revoke auth
check "PIV AID: and the old key is gone" old_key_is_gone
check "PIV AID: derived anew after that" derive --role auth

# --- cut short: what is on the card and in the store, and what the next run makes of it ---
unharmed() { # the state store has it, its token has it, and it signs
	"$BUILD/dpiv" status --json | python3 -c 'import json, sys
sys.exit(not any(c["role"] == "auth" and c["state"] == "ok" for c in json.load(sys.stdin)["credentials"]))' && cert 01 && signs 01
}
before=$(cert 01; serial 01)
fault "ins 47 sw 6F00"
refuse "PIV AID: a token that makes no key" renew auth --force --replace
check "PIV AID: the old credential is put back" unharmed
check "PIV AID: it is the same" test "$before" = "$(serial 01)"
fault "ins 47 remove"
refuse "PIV AID: pulled before the key is made" renew auth --force --replace
tests/vcard-ctl insert 1
check "PIV AID: its certificate is put back by the next run" "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer demo --role auth
check "PIV AID: the credential is as it was" unharmed
check "PIV AID: it is the same" test "$before" = "$(serial 01)"
fault "ins 47 remove-after"
refuse "PIV AID: pulled after the key is made" renew auth --force --replace
tests/vcard-ctl insert 1
says "derive a new one with the PIV card" "PIV AID: the next renewal says what to do" renew auth --force --replace
check "PIV AID: which is done" derive --role auth
check "PIV AID: and well" unharmed

# --- an issuer that wants time: the key waits in 9A, and a later process uses it ---
check "PIV AID: revoked" revoke auth --local
issuer_stop
hostile_start pending_once
tests/vcard-ctl clear 1 >/dev/null
status 6 "PIV AID: an issuer that wants time" derive --role auth
sleep 1
check "PIV AID: the next run goes on" derive --role auth
check "PIV AID: with the same key" test "$(tests/vcard-ctl log 1 | sed -n 's/^ins=47 *\(count=\)\{0,1\}\([0-9]*\).*/\2/p')" = 1
check "PIV AID: which signs" unharmed
hostile_stop
issuer_start || fail "an issuer again" "$(cat "$TMP/issuer.log")"

# --- Discovery and its Security Object ---
check "PIV AID: without a content signer there is no Discovery object" recorded 'Discovery: none, since there is no content_signer'
with_signer
fault "ins DB sw 6A81"
check "PIV AID: a token that takes no Discovery object" derive --role sign --again
check "PIV AID: is a target all the same" recorded 'Discovery: none, and the token takes none'
fault "ins DB 2 remove"
refuse "PIV AID: pulled between Discovery and Security Object" derive --role sign --again
tests/vcard-ctl insert 1
check "PIV AID: the next run writes it" derive --role sign --again
check "PIV AID: Discovery has the AID in use" discovery_is a000000308000010000100
check "PIV AID: the Security Object has it" security_object 'Discovery Object'
check "PIV AID: and the CHUID" security_object 'Card Holder Unique Identifier'
check "PIV AID: in the record" recorded 'Discovery: as it should be; Key History: none; Security Object: there'

# --- a token that can move and delete keys ---
fresh
target 3
check "5.7: derive auth, sign, encrypt" derive --role auth,sign,encrypt
for id in 01 02 03; do check "5.7: certificate $id" cert $id; done
check "5.7: yubico-piv-tool's signature with 9A" yubico_pair 01 9a
check "5.7: 9C signs" signs 02
check "5.7: 9D decrypts" decrypts 03
cp "$TMP/03.pem" "$TMP/old03.pem"
first="$(serial 01) $(serial 02) $(serial 03)"
check "5.7: auth is renewed" renew auth --force
check "5.7: sign is renewed" renew sign --force
check "5.7: encrypt is renewed" renew encrypt --force
for id in 01 02 03; do cert $id; done
check "5.7: with other certificates" test "$first" != "$(serial 01) $(serial 02) $(serial 03)"
check "5.7: yubico-piv-tool's signature with the new 9A" yubico_pair 01 9a
check "5.7: the new 9C signs" signs 02
wants_pin() { yubico-piv-tool -r "$READER" -a status | grep -q . && p11 --login --pin 123456 -O --type privkey | grep -A9 'SIGN key' | grep -q 'always authenticate'; }
check "5.7: and wants its PIN each time" wants_pin
check "5.7: the new 9D decrypts" decrypts 03
check "5.7: the old encryption key is retired key 1" cert 05
check "5.7: with its certificate" cmp "$TMP/05.pem" "$TMP/old03.pem"
check "5.7: and reads old mail" decrypts 05
history_is() { [ "$(p11 --read-object --type data --label 'Key History Object' 2>/dev/null | xxd -p)" = "$1" ]; }
check "5.7: Key History says so" history_is c10101c20100fe00
nothing_waits() { p11 --login --pin 123456 -O --type privkey 2>/dev/null | sed -n 's/^ *ID: *//p' | tr -d '\n'; }
check "5.7: no key waits anywhere" test "$(nothing_waits)" = "01020305"
check "5.7: derived anew with the card" derive --role auth,encrypt --again
check "5.7: two retired keys now" history_is c10102c20100fe00
check "5.7: revoked" revoke sign --local
check "5.7: no certificate is left in 9C" no_cert 02
no_key() { ! yubico-piv-tool -r "$READER" -a verify-pin -P 123456 -a test-signature -s 9c -i "$TMP/02.pem"; }
check "5.7: no key is left in 9C" no_key

# --- old keys into retired places ---
p12() { # NAME: an old encryption key
	printf '%s\n' '[req]' distinguished_name=dn x509_extensions=x '[dn]' '[x]' 'basicConstraints=critical,CA:FALSE' \
		'keyUsage=critical,keyEncipherment' 'subjectAltName=email:pat@example.test' >"$TMP/req.cnf"
	openssl req -new -newkey rsa:2048 -nodes -keyout "$TMP/$1.key" -out "$TMP/$1.csr" -subj "/CN=Pat Example" \
		-config "$TMP/req.cnf" 2>/dev/null &&
		openssl x509 -req -in "$TMP/$1.csr" -CA "$AGENCY/ca.pem" -CAkey "$AGENCY/private/ca.key" -set_serial "$2" -days 30 \
			-extfile "$TMP/req.cnf" -extensions x -out "$TMP/$1.crt" 2>/dev/null &&
		openssl pkcs12 -export -inkey "$TMP/$1.key" -in "$TMP/$1.crt" -out "$TMP/$1.p12" -passout pass:x
}
echo x >"$TMP/password"
p12 old1 0x1001 && p12 old2 0x1002 && p12 old3 0x1003
import() { "$BUILD/dpiv" history import --to "$TO" --password-source "file:$TMP/password" --cafile "$1" "$TMP/old1.p12" "$TMP/old2.p12"; }
cat "$AGENCY/root.pem" "$AGENCY/ca.pem" >"$TMP/old.pem"
check "5.7: history import" import "$TMP/old.pem"
cert 07
check "5.7: the third and fourth retired keys" history_is c10104c20100fe00
check "5.7: an imported key decrypts" decrypts 07
check "5.7: a missing Security Object is in the record" recorded 'Security Object: missing'
with_signer
import_third() { "$BUILD/dpiv" history import --to "$TO" --password-source "file:$TMP/password" --cafile "$TMP/old.pem" "$TMP/old3.p12"; }
check "5.7: another one, with a content signer" import_third
check "5.7: the Security Object is there, with its signer" security_object 'Key History Object'
check "5.7: a derivation sees it" derive --role sign
check "5.7: and records it" recorded 'Discovery: as it should be; Key History: there; Security Object: there'
check "5.7: Discovery is the token's own" discovery_is a000000308000010000100
check "5.7: nothing was written in its place" bash -c "! grep -q '\"7E\"' '$DERIVE_DIR/3.json'"
check "5.7: it is in the Security Object" security_object 'Discovery Object'

# --- the derived AID ---
fresh
target 4
check "derived AID: it is a derived application" test "${LABEL%% *}" = Derived
with_signer
check "derived AID: derive auth, sign, encrypt" derive --role auth,sign,encrypt
for id in 01 02 03; do check "derived AID: certificate $id" cert $id; done
check "derived AID: 9A signs" signs 01
check "derived AID: 9C signs" signs 02
check "derived AID: 9D decrypts" decrypts 03
check "derived AID: is in the record" recorded A000000308000020000100
check "derived AID: Discovery has it" discovery_is a000000308000020000100
check "derived AID: the Security Object has Discovery, and its signer" security_object 'Discovery Object'
check "derived AID: renewed" renew auth --force --replace
cert 01
check "derived AID: the new key signs" signs 01
check "derived AID: revoked" revoke auth --local
check "derived AID: no certificate is left in 9A" no_cert 01

# --- the derived application beside another one: a PIN with letters ---
fresh
target 5 "Derived PIV in "
echo Part21 >"$TMP/pin"
check "both: the second application is a token" test "${LABEL%% *}" = Derived
check "both: derive into the derived application" derive --role auth,encrypt
check "both: certificate 01" cert 01
target 5
no_first() { ! p11 -O --type cert | grep -q 'ID: *01'; }
check "both: the PIV application is as it was" no_first

# --- what is refused ---
fresh
target 1
status 2 "the card itself" derive --role auth
target 6
says "dpiv did not put there" "another PIV card" derive --role auth
