#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# SCEP of dpiv-issuer and other people's clients: strongSwan's pki and certmonger enrol with a binding code that the PIV card
# asked for, renew by themselves, and are refused without a code, with a used one and with a guess. curl and OpenSSL look
# at what every message has to have.
. tests/lib/shell.sh
. tests/lib/issuer.sh

good() { # NAME
	openssl verify -x509_strict -explicit_policy -policy 2.16.840.1.101.3.2.1.3.40 -CAfile "$AGENCY/root.pem" \
		-untrusted "$AGENCY/ca.pem" "$TMP/$1.pem" &&
		[ "$(openssl x509 -in "$TMP/$1.pem" -noout -subject)" = "$(openssl x509 -in "$TMP/pat.pem" -noout -subject)" ]
}
its_key() { cmp <(openssl x509 -in "$TMP/$1.pem" -noout -pubkey) <(openssl pkey -in "$TMP/$1.key" -pubout); }
refused_last() { # CODE
	sed -n 's/.*code=\([a-z-]*\).*/\1/p' "$TMP/issuer.log" | tail -n 1 | grep -qx "$1" || { tail -n 3 "$TMP/issuer.log"; return 1; }
}
check 'a demo agency' agency_init
check 'a card' file_card pat rsa2048
sed -i '/^\[publish\]/,/^\[ocsp\]/s|^#* *address =.*|address = 127.0.0.1:0|' "$AGENCY/issuer.conf"
check_start 'start'
PLAIN=$(sed -n 's/^publishing on //p' "$TMP/issuer.out")
SCEP=$PLAIN/scep

# --- what is said to everybody -------------------------------------------------------------------------------------------
caps() { curl -sS "$SCEP?operation=GetCACaps" | sort | tr '\n' ' '; }
check 'capabilities' test "$(caps)" = 'AES POSTPKIOperation Renewal SCEPStandard SHA-256 SHA-384 SHA-512 '
ca_certs() {
	curl -sS -D "$TMP/head" "$SCEP?operation=GetCACert" | openssl pkcs7 -inform der -print_certs >"$TMP/cas" &&
		grep -qi '^content-type: application/x-x509-ca-ra-cert' "$TMP/head" && [ "$(grep -c BEGIN "$TMP/cas")" = 3 ] &&
		[ "$(openssl x509 -in "$TMP/cas")" = "$(openssl x509 -in "$AGENCY/front.pem")" ]
}
check 'certificates: the registration authority first' ca_certs

# --- strongSwan ----------------------------------------------------------------------------------------------------------
openssl x509 -in "$AGENCY/front.pem" -out "$TMP/ca-front.pem"
check 'strongSwan: CA certificates' sh -c "cd $TMP && pki --scepca --url $SCEP --caout ca.pem --raout ra.pem --outform pem && cmp ra.pem ca-front.pem"
swan() { # NAME [options of pki --scep]: a certificate for $TMP/NAME.key
	local name=$1
	shift
	timeout 30 pki --scep --url "$SCEP" --in "$TMP/$name.key" --dn "${DN-CN=root}" --cacert-enc "$AGENCY/front.pem" \
		--cacert-sig "$AGENCY/front.pem" --cacert "$AGENCY/ca.pem" --cacert "$AGENCY/root.pem" "$@" --outform pem >"$TMP/$name.pem"
}
file_key swan rsa2048
refuse 'strongSwan: refused without a code' swan swan
check '  for that reason' refused_last no-code
refuse 'strongSwan: refused with what is no code' swan swan --password sesame
check '  for that reason' refused_last code-mistyped
card_code pat
check 'strongSwan: enrols with a code that the card asked for' swan swan --password "$CODE"
check '  as the profile says' good swan
check '  for its key' its_key swan
file_key other rsa2048
refuse 'strongSwan: refused when the code was used' swan other --password "$CODE"
check '  for that reason' refused_last code-used
cp "$TMP/swan.key" "$TMP/again.key"
check 'strongSwan: the same request again' swan again --password "$CODE"
check '  gets the same certificate' cmp "$TMP/again.pem" "$TMP/swan.pem"
file_key swan2 rsa2048
DN='C=US, O=Demo Government, OU=Demo Agency, CN=PAT EXAMPLE'
refuse 'strongSwan: the card is not renewed' swan swan2 --cert "$TMP/pat.pem" --key "$TMP/pat.key"
check '  for that reason' refused_last untrusted
check 'strongSwan: renews with what it got' swan swan2 --cert "$TMP/swan.pem" --key "$TMP/swan.key"
check '  as the profile says' good swan2
check '  for its key' its_key swan2

# --- certmonger ----------------------------------------------------------------------------------------------------------
# Its daemon on a bus of its own; -N is the root that the CA certificates lead to.
monger() { # COMMANDS: with the daemon running
	HOME=$TMP/monger timeout 50 dbus-run-session -- bash -c "
		/usr/lib/certmonger/certmonger-session -n >$TMP/monger.log 2>&1 & daemon=\$!
		for n in \$(seq 50); do getcert list-cas -s >/dev/null 2>&1 && break; sleep 0.1; done
		$1
		status=\$?; kill \$daemon; wait \$daemon 2>/dev/null; exit \$status"
}
mkdir -p "$TMP/monger"
card_code pat
check 'certmonger: enrols with a code' monger "getcert add-scep-ca -s -c issuer -u $SCEP -N $AGENCY/root.pem &&
	getcert request -s -c issuer -k $TMP/cm.key -f $TMP/cm.pem -N CN=root -L $CODE -w --wait-timeout=20; getcert list -s; grep -q BEGIN $TMP/cm.pem"
check '  as the profile says' good cm
cp "$TMP/cm.pem" "$TMP/cm-first.pem"
card_code pat
check 'certmonger: a new key with another code' monger "getcert rekey -s -L $CODE -f $TMP/cm.pem -w --wait-timeout=20; getcert list -s; ! cmp -s $TMP/cm.pem $TMP/cm-first.pem"
check '  as the profile says' good cm
check '  for its key' its_key cm
check 'certmonger: refused without a code' monger "getcert request -s -c issuer -k $TMP/no.key -f $TMP/no.pem -N CN=root -w --wait-timeout=10; getcert list -s -f $TMP/no.pem; ! [ -e $TMP/no.pem ]"
check '  for that reason' refused_last no-code
