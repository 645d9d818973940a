#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# S/MIME both ways between dpiv and plain openssl cms, on SoftHSM2 tokens: signing, verifying, encrypting, decrypting, RSA
# and EC, and everything that has to be refused.
. tests/lib/shell.sh
. tests/lib/softhsm.sh

D=$BUILD/dpiv
[ -x "$D" ] || { echo "not ok - $D is not built"; exit 1; }
export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/config DPIV_CONF=$TMP/dpiv.conf
mkdir -p "$HOME"
: >"$DPIV_CONF"
softhsm_start
agency_make
token_make rsa rsa2048
token_make ec p256
token_make big p384
U() { p11_uri "$1" "${2-}" | sed 's/;?/?/'; }
cd "$TMP" || exit 1

printf 'Hello Bob,\nthis is it.\n' >letter.txt
printf 'Gr\303\274\303\237e, \342\202\254 5\n\nFrom here to there \n.\n' >utf8.txt
head -c 3000 /dev/urandom >blob.bin
cat >draft.eml <<'M'
From: Pat Example <pat@example.test>
To: "Doe, Bob" <bob@example.test>,
 eve@example.test (Eve)
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=
Message-ID: <1@example.test>
Date: Tue, 01 Sep 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

preamble
--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße aus dem Entwurf
--b1
Content-Type: application/octet-stream; name=x.bin
Content-Transfer-Encoding: base64

AAECAwQ=
--b1--
M

# --- signing --------------------------------------------------------------------------------------------------------
signs() { # TOKEN INPUT [options]
	local token=$1 input=$2
	shift 2
	"$D" sign --token "$(U "$token")" --from pat@example.test --to bob@example.test --subject Hi --chain ca.pem "$@" -o signed.eml "$input" &&
	    openssl cms -verify -in signed.eml -CAfile root.pem -purpose smimesign -signer signer.pem -out content
}
has_not() { ! grep -q "$@"; }
for t in rsa ec big; do
	check "sign a file, $t: openssl cms -verify accepts it" signs $t letter.txt
	check "and dpiv verify" "$D" verify --cafile root.pem signed.eml
	check "with the signature key, not the others, $t" grep -q . <(openssl x509 -in signer.pem -noout -subject | grep "$t 9c")
	check "sign --opaque, $t" signs $t letter.txt --opaque
	check "and dpiv verify (opaque, $t)" "$D" verify --cafile root.pem signed.eml
	check "sign a mail with 8-bit parts, $t" signs $t draft.eml
done
signs ec letter.txt >/dev/null 2>&1
check "micalg is sha-256 for P-256" grep -q 'micalg=sha-256' signed.eml
check "every line ends in CRLF" bash -c '! grep -qv $'"'\r\$'"' signed.eml'
check "no lines over 998, nothing 8-bit" bash -c '! LC_ALL=C grep -q -e "[^ -~[:space:]]" signed.eml && [ "$(wc -L <signed.eml)" -le 998 ]'
check "the text comes back as it was" cmp letter.txt <("$D" verify --cafile root.pem --text signed.eml 2>/dev/null)
signs big letter.txt >/dev/null 2>&1
check "micalg is sha-384 for P-384" grep -q 'micalg=sha-384' signed.eml
printed() { openssl cms -cmsout -print -noout -in signed.eml; }
signs rsa letter.txt >/dev/null 2>&1
for a in contentType messageDigest signingTime 'S/MIME Capabilities' id-smime-aa-encrypKeyPref aes-256-cbc aes-128-cbc; do
	says "$a" "signed attribute: $a" printed
done
refuse "capabilities: no legacy ciphers" bash -c 'openssl cms -cmsout -print -noout -in signed.eml | grep -E "OBJECT +:(des|rc2|DES|RC2)"'
certs_inside() { openssl cms -cmsout -print -noout -in signed.eml | grep 'subject:'; }
says "CN=Test Issuing CA" "the intermediate is in" certs_inside
refuse "the root is not" bash -c 'openssl cms -cmsout -print -noout -in signed.eml | grep "subject: CN=Test Root"'
says "rsa 9d" "the encryption certificate is in" certs_inside
signs rsa draft.eml >/dev/null 2>&1
check "outer header: Subject stays as it was" grep -q '^Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=' signed.eml
check "outer header: Message-ID and Date stay" bash -c 'grep -q "^Message-ID: <1@example.test>" signed.eml && grep -q "^Date: Tue, 01 Sep 2026 10:00:00" signed.eml'
check "outer header: one MIME-Version, one Content-Type" bash -c '[ "$(sed "/^\r*$/q" signed.eml | grep -ciE "^(mime-version|content-type):")" = 2 ]'
signs rsa utf8.txt >/dev/null 2>&1
check "UTF-8 text survives" cmp utf8.txt <("$D" verify --cafile root.pem --text signed.eml 2>/dev/null)
check "no line begins with From in the body" bash -c '! sed "1,/^\r$/d" signed.eml | grep -q "^From "'
signs ec blob.bin >/dev/null 2>&1
check "a binary file survives" cmp blob.bin <("$D" verify --cafile root.pem --text signed.eml 2>/dev/null)
check "standard input and output" bash -c '"$0" sign --token "$1" --chain ca.pem <letter.txt | openssl cms -verify -CAfile root.pem -out content' "$D" "$(U rsa)"
check "--key chooses" bash -c '"$0" sign --key "$1" letter.txt >s.eml && openssl cms -verify -in s.eml -noverify -signer who.pem -out /dev/null && openssl x509 -in who.pem -noout -subject | grep -q "ec 9c"' \
    "$D" "$(U ec 'id=%02')"
status 5 "--key that is not for mail (9a)" "$D" sign --key "$(U ec 'id=%01')" letter.txt
status 3 "--key that is not there" "$D" sign --key "$(U ec 'id=%77')" letter.txt
says "warning: From is bob@example.test" "From that is not the certificate's: warned" "$D" sign --token "$(U rsa)" --from bob@example.test letter.txt

# a message of which only transport line ends were changed still verifies
signs rsa draft.eml >/dev/null 2>&1
tr -d '\r' <signed.eml >unix.eml
check "LF instead of CRLF on disk" "$D" verify --cafile root.pem unix.eml

# --- verifying ------------------------------------------------------------------------------------------------------
signs rsa letter.txt >/dev/null 2>&1
says "pat@example.test" "verify names the address" "$D" verify --cafile root.pem signed.eml
says "leads to Test Root" "verify names the trust anchor" "$D" verify --cafile root.pem signed.eml
sed 's/this is it/this was it/' signed.eml >tampered.eml
status 1 "a changed message" "$D" verify --cafile root.pem tampered.eml
says "BAD SIGNATURE" "and it says so" "$D" verify --cafile root.pem tampered.eml
check "nothing of it is written" bash -c '"$0" verify --cafile root.pem -o leaked tampered.eml; [ ! -e leaked ]' "$D"
sed 's/^From: .*/From: boss@example.test\r/' signed.eml >from.eml
status 5 "From is somebody else" "$D" verify --cafile root.pem from.eml
says "IS SOMEBODY ELSE" "and it says so (From)" "$D" verify --cafile root.pem from.eml
sed '1i From: boss@example.test\r' signed.eml >from2.eml
status 5 "two From fields" "$D" verify --cafile root.pem from2.eml
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj "/CN=Other Root" -days 30 -out other.pem 2>/dev/null
status 5 "no trust anchor for it" "$D" verify --cafile other.pem signed.eml
status 3 "a message that is not signed" "$D" verify --cafile root.pem draft.eml
head -c 900 signed.eml >cut.eml
status 1 "a truncated message" "$D" verify --cafile root.pem cut.eml
{ printf 'From: pat@example.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\r\nPay Eve.\r\n--out\r\n'
	sed -n '/^MIME-Version/,$p' signed.eml; printf '\r\n--out--\r\n'; } >partial.eml
status 5 "a signed part within an unsigned message" "$D" verify --cafile root.pem partial.eml
says "only a part" "and it says so (part)" "$D" verify --cafile root.pem partial.eml
openssl cms -sign -in letter.txt -signer rsa-9c.pem -inkey rsa-9c.key -certfile ca.pem -md sha1 -out sha1.eml 2>/dev/null
status 5 "SHA-1" "$D" verify --cafile root.pem sha1.eml
for form in DER PEM; do
	openssl cms -sign -nodetach -in letter.txt -signer ec-9c.pem -inkey ec-9c.key -certfile ca.pem -outform $form -out s.$form
	check "verify $form" "$D" verify --cafile root.pem s.$form
done
openssl cms -sign -in letter.txt -text -signer ec-9c.pem -inkey ec-9c.key -certfile ca.pem -from pat@example.test -out ossl.eml
check "verify what openssl cms signed" "$D" verify --cafile root.pem ossl.eml
"$D" sign --token "$(U ec)" --chain ca.pem --opaque signed.eml -o twice.eml 2>/dev/null
says "inner signature: good" "a message signed twice: both layers are told" "$D" verify --cafile root.pem twice.eml
openssl cms -sign -in letter.txt -signer rsa-9c.pem -inkey rsa-9c.key -certfile ca.pem -signer ec-9c.pem -inkey ec-9c.key -out two.eml
check "two signers" bash -c '[ "$("$0" verify --cafile root.pem two.eml | grep -c "signed by")" = 2 ]' "$D"
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n' >crl.cnf
: >index.txt
openssl ca -gencrl -config crl.cnf -keyfile ca.key -cert ca.pem -out empty.crl 2>/dev/null
cat root.pem empty.crl >with-crl.pem
check "with an empty CRL all is well" "$D" verify --cafile with-crl.pem signed.eml
printf 'R\t301231000000Z\t261101000000Z\t%s\tunknown\t/CN=x\n' "$(openssl x509 -in rsa-9c.pem -noout -serial | cut -d= -f2)" >index.txt
openssl ca -gencrl -config crl.cnf -keyfile ca.key -cert ca.pem -out full.crl 2>/dev/null
cat root.pem full.crl >with-crl.pem
says "certificate revoked" "a revoked signer" "$D" verify --cafile with-crl.pem signed.eml
status 5 "a revoked signer is refused" "$D" verify --cafile with-crl.pem signed.eml

# --- encrypting -----------------------------------------------------------------------------------------------------
encrypts() { # RECIPIENT INPUT: openssl decrypts with the software copy of the key
	"$D" encrypt --to "$1-9d.pem" --from pat@example.test -o enc.eml "$2" &&
	    openssl cms -decrypt -in enc.eml -inkey "$1-9d.key" -recip "$1-9d.pem" -out content
}
for t in rsa ec big; do
	check "encrypt, $t: openssl cms -decrypt reads it" encrypts $t letter.txt
	check "and dpiv decrypt, $t" cmp letter.txt <("$D" decrypt --token "$(U $t)" --text enc.eml)
done
printed_enc() { openssl cms -cmsout -print -noout -in enc.eml; }
encrypts ec letter.txt >/dev/null 2>&1
says "aes-256-cbc" "content: AES-256-CBC" printed_enc
says "dhSinglePass-stdDH-sha256kdf-scheme" "P-256: X9.63 KDF with SHA-256" printed_enc
encrypts big letter.txt >/dev/null 2>&1
says "dhSinglePass-stdDH-sha384kdf-scheme" "P-384: X9.63 KDF with SHA-384" printed_enc
encrypts rsa letter.txt >/dev/null 2>&1
says "rsaEncryption" "RSA: PKCS#1 v1.5" printed_enc
check "smime-type is enveloped-data" grep -q 'smime-type=enveloped-data' enc.eml
refuse "nothing of the plaintext is in it" grep -q 'this is it' enc.eml

key_make rsa2048 bob.key
EMAIL=bob@example.test cert_make encrypt bob.key "/CN=Bob" bob.pem
EMAIL=eve@example.test cert_make encrypt bob.key "/CN=Eve Expired" eve.pem ca 20250101000000Z 20260101000000Z
mkdir certs && cp bob.pem eve.pem certs/ && cp letter.txt certs/
"$D" encrypt --to bob@example.test --to pat@example.test --cert certs --token "$(U rsa)" letter.txt >multi.eml
check "several recipients: Bob reads it" openssl cms -decrypt -in multi.eml -inkey bob.key -recip bob.pem -out content
check "several recipients: Pat's token reads it" cmp letter.txt <("$D" decrypt --token "$(U rsa)" --text multi.eml)
status 3 "a recipient whose certificate has expired" "$D" encrypt --to bob@example.test --to eve@example.test --cert certs letter.txt
says "eve@example.test: the certificate of Eve Expired expired on" "and it says who and why" "$D" encrypt --to bob@example.test --to eve@example.test --cert certs letter.txt
says "zoe@example.test: no certificate found" "a recipient without a certificate" "$D" encrypt --to zoe@example.test --cert certs letter.txt
check "nothing is written then" bash -c '"$0" encrypt --to bob@example.test --to zoe@example.test --cert certs -o no.eml letter.txt; [ ! -e no.eml ]' "$D"
says "left out: zoe@example.test" "--drop-missing names who is left out" "$D" encrypt --to bob@example.test --to zoe@example.test --cert certs --drop-missing -o drop.eml letter.txt
check "and encrypts to the others" openssl cms -decrypt -in drop.eml -inkey bob.key -recip bob.pem -out content
status 3 "--drop-missing with nobody left" "$D" encrypt --to zoe@example.test --cert certs --drop-missing letter.txt
says "no certificate in it is meant for encrypting mail" "a signature certificate as recipient" "$D" encrypt --to rsa-9c.pem letter.txt
cp draft.eml all.eml
says "eve@example.test" "recipients out of To and Cc" "$D" encrypt --cert certs all.eml
says "does not lead to a trust anchor" "--cafile: an untrusted recipient certificate" "$D" encrypt --to bob.pem --cafile other.pem letter.txt

# capabilities of the recipient, out of a signed message of theirs
caps_from() { # OPENSSL-CONFIGURED-CAPABILITIES are not to be had: a certificate with the extension (RFC 4262) is
	printf '[e]\nkeyUsage=keyEncipherment\nsubjectAltName=email:cap@example.test\n1.2.840.113549.1.9.15=ASN1:SEQUENCE:c\n[c]\n' >caps.cnf
	local i=0
	for oid in "$@"; do i=$((i + 1)); printf 'v%d=SEQUENCE:o%d\n' $i $i >>caps.cnf; done
	i=0
	for oid in "$@"; do i=$((i + 1)); printf '[o%d]\no=OID:%s\n' $i "$oid" >>caps.cnf; done
	openssl req -new -key bob.key -subj "/CN=Cap" -config ca.cnf -out req.pem
	openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile caps.cnf -extensions e -out cap.pem 2>/dev/null
	"$D" encrypt --to cap.pem letter.txt >enc.eml && openssl cms -decrypt -in enc.eml -inkey bob.key -recip cap.pem -out content
}
check "a recipient that knows AES-128-CBC only" caps_from 2.16.840.1.101.3.4.1.2
says "aes-128-cbc" "gets AES-128-CBC" printed_enc
check "a recipient that prefers AES-256-GCM" caps_from 2.16.840.1.101.3.4.1.46 2.16.840.1.101.3.4.1.42
says "aes-256-gcm" "gets AuthEnvelopedData" printed_enc
check "smime-type is authEnveloped-data" grep -q 'smime-type=authEnveloped-data' enc.eml
check "a recipient that knows GCM but prefers CBC" caps_from 2.16.840.1.101.3.4.1.42 2.16.840.1.101.3.4.1.46
says "aes-256-cbc" "gets AES-256-CBC" printed_enc
signs rsa letter.txt >/dev/null 2>&1
check "--cert takes a signed message" "$D" encrypt --to pat@example.test --cert signed.eml --token "$(U ec)" -o enc.eml letter.txt

# --- decrypting what others made ------------------------------------------------------------------------------------
decrypts() { # TOKEN [options of openssl cms -encrypt]
	local token=$1
	shift
	openssl cms -encrypt -recip "$token-9d.pem" "$@" -in letter.txt -text -out other.eml &&
	    "$D" decrypt --token "$(U "$token")" --text other.eml >content && cmp letter.txt content
}
check "RSA PKCS#1, AES-256" decrypts rsa -aes-256-cbc
check "RSA OAEP with SHA-1" decrypts rsa -aes-128-cbc -keyopt rsa_padding_mode:oaep
check "RSA OAEP with SHA-256" decrypts rsa -aes-256-cbc -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256
check "RSA, subject key identifier" decrypts rsa -aes-256-cbc -keyid
check "RSA, AuthEnvelopedData" decrypts rsa -aes-256-gcm
check "3DES of old mail" decrypts rsa -des3
for kdf in sha1 sha224 sha256 sha384 sha512; do
	check "ECDH P-256, KDF $kdf" decrypts ec -aes-128-cbc -keyopt ecdh_kdf_md:$kdf
done
check "ECDH P-384, KDF sha384, AES-256" decrypts big -aes-256-cbc -keyopt ecdh_kdf_md:sha384
check "ECDH, subject key identifier" decrypts ec -aes-256-cbc -keyid
check "ECDH, AuthEnvelopedData" decrypts ec -aes-256-gcm
for form in DER PEM; do
	openssl cms -encrypt -aes-256-cbc -recip rsa-9d.pem -in letter.txt -binary -outform $form -out x.$form
	check "a bare object in $form" cmp letter.txt <("$D" decrypt --token "$(U rsa)" x.$form)
done
openssl base64 -in x.DER -out x.b64
check "a bare object in base64" cmp letter.txt <("$D" decrypt --token "$(U rsa)" x.b64)
openssl cms -encrypt -aes-256-cbc -in letter.txt -text -out three.eml bob.pem rsa-9d.pem ec-9d.pem
check "the right key among three recipients (RSA)" cmp letter.txt <("$D" decrypt --token "$(U rsa)" --text three.eml)
check "the right key among three recipients (EC)" cmp letter.txt <("$D" decrypt --token "$(U ec)" --text three.eml)
printf '[token a]\nuri = "%s"\n[token b]\nuri = "%s"\n' "$(U ec)" "$(U rsa)" >"$DPIV_CONF"
check "the key is found over all tokens of dpiv.conf" cmp letter.txt <("$D" decrypt --text other.eml)
: >"$DPIV_CONF"

# --- and what has to fail -------------------------------------------------------------------------------------------
openssl cms -encrypt -aes-256-cbc -in letter.txt -text -out bob.eml bob.pem
status 3 "no key for it" "$D" decrypt --token "$(U rsa)" bob.eml
says "serial $(openssl x509 -in bob.pem -noout -serial | cut -d= -f2) of CN=Test Issuing CA" "and it says which key" "$D" decrypt --token "$(U rsa)" bob.eml
status 3 "not encrypted at all" "$D" decrypt --token "$(U rsa)" draft.eml
openssl cms -encrypt -aes-256-gcm -recip rsa-9d.pem -in letter.txt -binary -outform DER -out g.der
python3 - <<'P'
d = bytearray(open('g.der', 'rb').read()); d[-40] ^= 1; open('g.der', 'wb').write(d)
P
status 1 "a damaged GCM message" "$D" decrypt --token "$(U rsa)" g.der
check "shows nothing" bash -c '[ "$("$0" decrypt --token "$1" g.der 2>/dev/null | wc -c)" = 0 ]' "$D" "$(U rsa)"
echo 999999 >badpin
status 4 "a wrong PIN" "$D" decrypt --token "pkcs11:token=rsa?module-path=$SOFTHSM&pin-source=file:$TMP/badpin" three.eml
status 4 "a wrong PIN, signing" "$D" sign --token "pkcs11:token=rsa?module-path=$SOFTHSM&pin-source=file:$TMP/badpin" letter.txt
status 3 "a token that is not there" "$D" sign --token "pkcs11:token=none?module-path=$SOFTHSM" letter.txt
status 2 "an unknown option" "$D" sign --nonsense
status 3 "a file that is not there" "$D" decrypt --token "$(U rsa)" none.eml
softhsm2-util --init-token --free --label old --so-pin 12345678 --pin $PIN >/dev/null
key_make p256 old-9c.key
cert_make sign old-9c.key "/CN=Old Pat" old-9c.pem ca 20250101000000Z 20260101000000Z
token_add old p256 9c 02 sign --usage-sign
status 5 "an expired signer certificate" "$D" sign --token "$(U old)" letter.txt
says "expired on" "and it says when" "$D" sign --token "$(U old)" letter.txt

# signed, then encrypted, then read
"$D" sign --token "$(U rsa)" --chain ca.pem --from pat@example.test --to bob@example.test letter.txt 2>/dev/null |
    "$D" encrypt --to ec-9d.pem >both.eml
check "signed and encrypted: decrypt, then verify" bash -c '"$0" decrypt --token "$1" both.eml | "$0" verify --cafile root.pem' "$D" "$(U ec)"
check "the header of the mail is around the decrypted message" bash -c '"$0" decrypt --token "$1" both.eml | head -1 | grep -q "^From: pat@example.test"' "$D" "$(U ec)"
for v in sign verify encrypt decrypt; do says "examples:" "$v --help teaches" "$D" $v --help; done
