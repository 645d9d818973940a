#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Other people's EST clients at dpiv-issuer. Bouncy Castle shows a PIV certificate and binds its request to the connection,
# so it also enrols where require_binding = yes, as outside a demo; strongSwan's pki shows a certificate only to renew, so it
# enrols with a binding code that the card asked for, and renews by itself. Each gets what the profile says and nothing of
# what it asked for, and is refused without certificate or code.
. tests/lib/shell.sh
. tests/lib/issuer.sh

good() { # NAME
	openssl verify -x509_strict -explicit_policy -policy 2.16.840.1.101.3.2.1.3.40 -CAfile "$AGENCY/root.pem" \
		-untrusted "$AGENCY/ca.pem" "$TMP/$1.pem" &&
		[ "$(openssl x509 -in "$TMP/$1.pem" -noout -subject)" = "$(openssl x509 -in "$TMP/pat.pem" -noout -subject)" ]
}
its_key() { cmp <(openssl x509 -in "$TMP/$1.pem" -noout -pubkey) <(openssl pkey -in "$TMP/$1.key" -pubout); }
refused_last() { # CODE
	sed -n 's/.*code=\([a-z-]*\).*/\1/p' "$TMP/issuer.log" | tail -n 1 | grep -qx "$1"
}
check 'a demo agency' agency_init
check 'a card' file_card pat rsa2048
check_start 'start'

# --- strongSwan ----------------------------------------------------------------------------------------------------------
swan() { # NAME [options of pki --est]: a certificate for $TMP/NAME.key
	local name=$1
	shift
	pki --req --in "$TMP/$name.key" --dn "${DN-CN=root}" >"$TMP/$name.csr" &&
		timeout 30 pki --est --url "$URL" --in "$TMP/$name.csr" --cacert "$AGENCY/root.pem" --cacert "$AGENCY/ca.pem" "$@" \
			--outform pem >"$TMP/$name.pem"
}
ca_certs() {
	(cd "$TMP" && timeout 30 pki --estca --url "$URL" --cacert agency/root.pem --cacert agency/ca.pem --caout estca.pem --outform pem --force) &&
		cmp <(openssl x509 -in "$TMP/estca.pem" -outform DER) <(openssl x509 -in "$AGENCY/root.pem" -outform DER)
}
check 'strongSwan: CA certificates' ca_certs
file_key swan rsa2048
refuse 'strongSwan: refused without certificate and code' swan swan
check '  for that reason' refused_last no-certificate
refuse 'strongSwan: refused with a code that nobody gave' swan swan --userpass pat:7F3K-9QWD-ZX01-4MTP-HB2C
check '  for that reason' refused_last code-mistyped
card_code pat
check 'strongSwan: enrols with a code that the card asked for' swan swan --userpass "pat:$CODE"
check '  as the profile says' good swan
check '  for its key' its_key swan
file_key other p256
refuse 'strongSwan: refused when the code was used' swan other --userpass "pat:$CODE"
check '  for that reason' refused_last code-used
file_key swan2 p256
DN='C=US, O=Demo Government, OU=Demo Agency, CN=PAT EXAMPLE'
refuse 'strongSwan: the card is not renewed' swan swan2 --cert "$TMP/pat.pem" --key "$TMP/pat.key"
check '  for that reason' refused_last untrusted
check 'strongSwan: renews with what it got' swan swan2 --cert "$TMP/swan.pem" --key "$TMP/swan.key"
check '  as the profile says' good swan2
check '  for its key' its_key swan2
check_stop 'stop'

# --- Bouncy Castle -------------------------------------------------------------------------------------------------------
JARS=/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar:/usr/share/java/bctls.jar
bc() { # NAME CARD|- TLS plain|bind
	local card=-
	[ "$2" = - ] || card=$TMP/$2.p12
	timeout 60 java -XX:TieredStopAtLevel=1 -cp "$JARS:$TMP/java" EstClient "${URL#https://}" "$AGENCY/root.pem" "$card" "$3" "$4" >"$TMP/$1.pem"
}
check 'Bouncy Castle: the client is compiled' ecj -17 -proc:none -nowarn -cp "$JARS" -d "$TMP/java" tests/interop/est_bc/EstClient.java
openssl pkcs12 -export -in "$TMP/pat.pem" -inkey "$TMP/pat.key" -certfile "$AGENCY/ca.pem" -passout pass:x -out "$TMP/pat.p12"
check_start 'start'
check 'Bouncy Castle: enrols with TLS 1.3' bc bc13 pat 1.3 plain
check '  as the profile says' good bc13
refuse 'Bouncy Castle: refused without certificate' bc no - 1.3 plain
check '  for that reason' refused_last no-certificate
check_stop 'stop'
check 'requests must be bound' agency_set 'require_binding = yes'
check_start 'start'
check 'Bouncy Castle: enrols with TLS 1.2, bound' bc bound pat 1.2 bind
check '  as the profile says' good bound
refuse 'Bouncy Castle: refused unbound' bc no pat 1.2 plain
check '  for that reason' refused_last binding
check_stop 'stop'
