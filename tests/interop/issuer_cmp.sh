#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv-issuer and `openssl cmp`: p10cr, ir, cr and kur, protected by the PIV card's signature or by a binding code; and
# refused without them, with the reason in the PKIStatus.
. tests/lib/shell.sh
. tests/lib/issuer.sh

cmp() { # OPTIONS...: over TLS
	openssl cmp -server "${URL#https://}" -path "/.well-known/cmp${LABEL+/p/$LABEL}" -tls_used -tls_trusted "$AGENCY/root.pem" \
		-trusted "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" -recipient "/CN=x" "$@" >"$TMP/cmp.log" 2>&1 || { cat "$TMP/cmp.log"; return 1; }
}
card() { # NAME OPTIONS...: signed by this card
	local name=$1
	shift
	cmp -cert "$TMP/$name.pem" -key "$TMP/$name.key" "$@"
}
code() { # [ROLE]: a new binding code into CODE
	CODE=$(est ec /.well-known/dpiv/bind -H 'Content-Type: application/json' --data-binary "{\"roles\":[\"${1:-auth}\"]}" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["code"])')
}
by_code() { cmp -ref "${CODE%%-*}" -secret "pass:$CODE" -subject /CN=somebody "$@"; }
good() { # NAME POLICY
	openssl verify -x509_strict -policy_check -CAfile "$AGENCY/root.pem" -untrusted "$AGENCY/ca.pem" -explicit_policy \
		-policy "2.16.840.1.101.3.2.1.3.$2" "$TMP/$1.pem" &&
		[ "$(openssl x509 -in "$TMP/$1.pem" -noout -pubkey)" = "$(openssl pkey -in "$TMP/$1.key" -pubout)" ] &&
		openssl x509 -in "$TMP/$1.pem" -noout -subject | grep -q 'PAT EXAMPLE'
}
refused() { # TEXT NAME COMMAND...
	local text=$1 name=$2
	shift 2
	rm -f "$TMP/no.pem"
	says "$text" "$name" "$@"
	check "$name: and there is no certificate" test ! -e "$TMP/no.pem"
}
serial() { openssl x509 -in "$TMP/$1.pem" -noout -serial; }

check 'init' agency_init
check 'a card' file_card ec p256
check 'an RSA card' file_card rsa rsa2048
for k in new:p256 second:rsa2048 third:p384 fourth:p256 fifth:p256; do file_key "${k%:*}" "${k#*:}"; done
for k in new second third fourth fifth; do openssl req -new -key "$TMP/$k.key" -subj /CN=other -out "$TMP/$k.csr" -config /dev/null; done
check_start 'serve'

# --- the card signs -----------------------------------------------------------------------------------------------------
check 'p10cr signed by an EC card' card ec -cmd p10cr -csr "$TMP/new.csr" -certout "$TMP/new.pem"
check 'p10cr: the certificate is for the key, the policy and the person' good new 40
check 'the client has confirmed' grep -q 'received PKICONF' "$TMP/cmp.log"
cp "$TMP/new.pem" "$TMP/first.pem"
check 'asked again for the same key' card ec -cmd p10cr -csr "$TMP/new.csr" -certout "$TMP/new.pem"
check 'it gets the same certificate' test "$(serial new)" = "$(serial first)"
check 'cr signed by an RSA card' card rsa -cmd cr -newkey "$TMP/second.key" -subject /CN=x -certout "$TMP/second.pem"
check 'cr: the certificate is good' good second 40
check 'ir, implicitly confirmed' card ec -cmd ir -newkey "$TMP/third.key" -subject /CN=x -implicit_confirm -certout "$TMP/third.pem"
check 'ir: the certificate is good' good third 40

# --- a binding code -----------------------------------------------------------------------------------------------------
code
check 'p10cr by a code' by_code -cmd p10cr -csr "$TMP/fourth.csr" -certout "$TMP/fourth.pem"
check 'p10cr by a code: the certificate is good' good fourth 40
refused 'code-used' 'the code is used up' by_code -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
cp "$TMP/fourth.pem" "$TMP/first.pem"
check 'the same key may have its answer again' by_code -cmd p10cr -csr "$TMP/fourth.csr" -certout "$TMP/fourth.pem"
check 'which is the same certificate' test "$(serial fourth)" = "$(serial first)"

# --- renewal ------------------------------------------------------------------------------------------------------------
file_key next p256
check 'kur signed by the credential' card new -cmd kur -oldcert "$TMP/new.pem" -newkey "$TMP/next.key" -certout "$TMP/next.pem"
check 'kur: the certificate is good' good next 40
check 'kur: it is another one' test "$(serial next)" != "$(serial new)"
refused 'no-certificate: a kur is signed by the derived credential' 'the card does not sign a kur' \
	card ec -cmd kur -oldcert "$TMP/new.pem" -newkey "$TMP/fifth.key" -certout "$TMP/no.pem"

# --- refused ------------------------------------------------------------------------------------------------------------
check 'a card of nobody' openssl req -x509 -key "$TMP/ec.key" -subj "$PERSON" -days 9 -out "$TMP/self.pem" -config /dev/null
cp "$TMP/ec.key" "$TMP/self.key"
refused 'no-certificate' 'a certificate of nobody' card self -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
refused 'derived credential; only the PIV card itself' 'a derived credential binds no other' \
	card new -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
check 'a 9E certificate' file_card cardauth p256 cardauth
refused 'Card Authentication certificate' 'the card without its holder' card cardauth -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"
refused 'key-reused' "another person's key, or another purpose's" env LABEL=sign bash -c "$(declare -f card cmp); $(declare -p TMP URL AGENCY); card ec -cmd p10cr -csr $TMP/new.csr -certout $TMP/no.pem"
file_key weak rsa1024
openssl req -new -key "$TMP/weak.key" -subj /CN=x -out "$TMP/weak.csr" -config /dev/null
refused 'key-policy' 'a short key' card ec -cmd p10cr -csr "$TMP/weak.csr" -certout "$TMP/no.pem"
refused 'key-policy' 'a short key in a template' card ec -cmd cr -newkey "$TMP/weak.key" -subject /CN=x -certout "$TMP/no.pem"
refused 'popo raverified' 'no proof of possession' card ec -cmd cr -popo 0 -newkey "$TMP/fifth.key" -subject /CN=x -certout "$TMP/no.pem"

code
GOOD=$CODE
CODE=${GOOD%????}0000
refused 'code-wrong' 'a wrong code' by_code -cmd p10cr -csr "$TMP/fifth.csr" -unprotected_errors -certout "$TMP/no.pem"
CODE=ZZZZ-0000-0000-0000-0000
refused 'code-wrong' 'a code that was never given' by_code -cmd p10cr -csr "$TMP/fifth.csr" -unprotected_errors -certout "$TMP/no.pem"
CODE=$GOOD
LABEL=sign refused 'code-role' 'a code for another role' by_code -cmd p10cr -csr "$TMP/fifth.csr" -certout "$TMP/no.pem"

# --- not accepted: a client that finds the certificate wrong rejects it, and it is revoked --------------------------------
check 'the client rejects what does not lead to its anchor' \
	bash -c "! ($(declare -f card cmp); $(declare -p TMP URL AGENCY); card ec -cmd p10cr -csr $TMP/fifth.csr -out_trusted $TMP/self.pem -certout $TMP/no.pem)"
check 'and it is revoked' grep -q 'the client did not accept it' "$TMP/issuer.log"
check 'no code is in the log' bash -c "! grep -q '${GOOD#*-}\|${GOOD//-/}' $TMP/issuer.log"
check_stop 'stop'
