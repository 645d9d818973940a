#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Deriving for real: dpiv-issuer, virtual PIV cards with RSA-2048 and P-256 keys, TLS 1.2 and 1.3, into SoftHSM2. What comes
# out is judged by plain OpenSSL and OpenSC.
. tests/lib/derive.sh
derive_inside "--alg rsa2048" "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
SECRET=Zebra-4711-Quagga

policy_ok() { # FILE OID
	openssl verify -x509_strict -policy_check -explicit_policy -policy "2.16.840.1.101.3.2.1.3.$2" \
		-CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" "$1"
}

usage_is() { # FILE TEXT
	[ "$(openssl x509 -in "$1" -noout -ext keyUsage | tail -n 1 | sed 's/^ *//')" = "$2" ]
}

uuid_of() { openssl x509 -in "$1" -noout -ext subjectAltName | grep -o 'urn:uuid:[0-9a-f-]*'; }

own_uuid() { # derived, card
	[ -n "$(uuid_of "$1")" ] && [ "$(uuid_of "$1" | wc -l)" = 1 ] && [ "$(uuid_of "$1")" != "$(uuid_of "$2")" ]
}

no_fascn() { ! openssl x509 -in "$1" -outform DER | xxd -p | tr -d '\n' | grep -q 6086480165030606; }

same_subject() { [ "$(openssl x509 -in "$1" -noout -subject)" = "$(openssl x509 -in "$2" -noout -subject)" ]; }

keys_are_safe() { # three private keys, each sensitive, never extractable, made there
	[ "$(token_objects | grep -c '^Private Key Object')" = "${1:-3}" ] &&
		[ "$(pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O --type privkey 2>/dev/null |
			grep -c 'sensitive, always sensitive, never extractable, local')" = "${1:-3}" ]
}

key_signs() { # ID CERT: the private key and the certificate belong together
	local mech=SHA256-RSA-PKCS in=$TMP/message format=()
	openssl x509 -in "$2" -noout -pubkey >"$TMP/pub.pem"
	echo message >"$TMP/message"
	if openssl pkey -pubin -in "$TMP/pub.pem" -text -noout | grep -q prime256v1; then
		openssl dgst -sha256 -binary -out "$TMP/digest" "$TMP/message"
		mech=ECDSA in=$TMP/digest format=(--signature-format openssl)
	fi
	pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --sign --mechanism $mech --id "$1" "${format[@]}" \
		-i "$in" -o "$TMP/signature" &&
		openssl dgst -sha256 -verify "$TMP/pub.pem" -signature "$TMP/signature" "$TMP/message"
}

one() { # NAME CARD TLS ALG
	local what="$1 card, TLS $3, $4"
	issuer_start --tls "$3" || fail "$what: an issuer" "$(cat "$TMP/issuer.log")"
	token_fresh laptop
	card "$2"
	check "$what: derive auth, sign, encrypt" derive --role auth,sign,encrypt --alg "$4"
	check "$what: the keys are sensitive, never extractable, local" keys_are_safe 3
	card_cert "$TMP/card.pem"
	for r in 01 02 03; do
		check "$what: certificate $r is there" token_cert $r "$TMP/$r.pem"
		check "$what: subject of $r is the card's" same_subject "$TMP/$r.pem" "$TMP/card.pem"
		check "$what: no FASC-N in $r" no_fascn "$TMP/$r.pem"
	done
	check "$what: auth passes policy 40" policy_ok "$TMP/01.pem" 40
	check "$what: sign passes policy 6" policy_ok "$TMP/02.pem" 6
	check "$what: encrypt passes policy 6" policy_ok "$TMP/03.pem" 6
	refuse "$what: auth does not pass as a PIV card" policy_ok "$TMP/01.pem" 13
	check "$what: auth is for digitalSignature only" usage_is "$TMP/01.pem" 'Digital Signature'
	check "$what: sign has nonRepudiation" usage_is "$TMP/02.pem" 'Digital Signature, Non Repudiation'
	case $4 in
	rsa*) check "$what: encrypt is for keyEncipherment" usage_is "$TMP/03.pem" 'Key Encipherment' ;;
	*) check "$what: encrypt is for keyAgreement" usage_is "$TMP/03.pem" 'Key Agreement' ;;
	esac
	check "$what: a UUID of its own" own_uuid "$TMP/01.pem" "$TMP/card.pem"
	check "$what: the auth key signs" key_signs 01 "$TMP/01.pem"
	check "$what: the sign key signs" key_signs 02 "$TMP/02.pem"
	issuer_stop
}

one RSA-2048 1 1.2 rsa2048
one RSA-2048 1 1.3 p256
one P-256 2 1.2 p256
one P-256 2 1.3 rsa2048

# --- again, and by configuration ---------------------------------------------------------------------------------------
issuer_start >/dev/null
token_fresh laptop "$SECRET"
card 1
check 'first run' derive
token_objects >"$TMP/before"
issued() { grep -c ' issued ' "$TMP/issuer.log"; }
says 'was there already' 'a second run leaves the credential alone' derive
unchanged() { token_objects | cmp - "$TMP/before" && [ "$(issued)" = 1 ]; }
check 'a second run changed nothing and asked for nothing' unchanged
check '--again derives another' derive --again
two() { [ "$(token_objects | grep -c '^Private Key')" = 2 ] && [ "$(token_objects | grep -c '^Certificate')" = 2 ]; }
check '--again added one key and one certificate' two
for a in rsa3072 p384; do check "--alg $a" derive --again --alg $a; done
mkdir -p "$XDG_CONFIG_HOME/dpiv"
cat >"$XDG_CONFIG_HOME/dpiv/dpiv.conf" <<CONF
[derive]
to = $TO
issuer = agency
roles = sign
[issuer agency]
url = https://localhost:8443/.well-known/est/
cafile = $AGENCY/chain.pem
label = sign=sign
tls = 1.3
CONF
says 'sign ' 'everything from dpiv.conf' "$BUILD/dpiv" derive --from "$CARD_URI"
rm "$XDG_CONFIG_HOME/dpiv/dpiv.conf"

# --- nothing secret is left anywhere -----------------------------------------------------------------------------------
token_fresh other "$SECRET"
export DPIV_LOG=trace:$TMP/home/trace.log
derive --role auth,sign,encrypt --alg p256 >"$TMP/home/out.log" 2>&1 &
pid=$!
echo "$SECRET" >"$TMP/secret"
ps_clean() { # while it ran, no process list and no environment had the PIN
	while kill -0 $pid 2>/dev/null; do
		cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -Ff "$TMP/secret" && return 1
	done
	return 0
}
check 'no PIN in a process list or environment' ps_clean
wait $pid
check 'that run derived' test $? -eq 0
unset DPIV_LOG
check 'the run was logged' test -s "$TMP/home/trace.log"
no_pin() { ! grep -raF "$SECRET" "$TMP/state" "$TMP/home"; }
no_key() { ! grep -rlaE 'PRIVATE KEY' "$TMP/state" "$TMP/home"; }
check 'no PIN in any file that dpiv wrote' no_pin
check 'no private key in any file that dpiv wrote' no_key
private_files() { [ -z "$(find "$TMP/state" -perm /077)" ]; }
check 'the state is readable by its owner only' private_files

# --- status ------------------------------------------------------------------------------------------------------------
json() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); assert $1, s"; }
check 'status --json has three credentials that are in order' json \
	'[c["state"] for c in s["credentials"]] == ["ok"] * 3'
check 'status --json sees both cards' json 'len(s["cards"]) == 2 and s["card_problem"] is None'
check 'nothing needs attention' json 's["attention"] == []'
says 'Everything is in order' 'status for a person' "$BUILD/dpiv" status
pkcs11-tool --module "$SOFTHSM" --login --pin "$SECRET" --delete-object --type cert --id 02 >/dev/null 2>&1
check 'a certificate that was deleted is missed' json '"missing" in [c["state"] for c in s["credentials"]]'
check 'and what to run is said' json 'any("dpiv derive" in a["command"] for a in s["attention"])'
