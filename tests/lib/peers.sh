# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Issuers of another make, below $TMP, for the agency in $AGENCY. Sourced after tests/lib/derive.sh and shell.sh.
#
#   peer_files [MORE FILES]    HERE, RUN, PORT: the EST server of tests/interop/est_apache, with the agency's CA
#   apache_start [DEFINE...]   https://localhost:10443; apache_stop
#   mock_start CERT OPTIONS... the mock server of `openssl cmp` on port 8086, which answers with CERT; where SIGNED is set, by
#                              $TMP/srv.pem and .key; its log in $TMP/mock.log; mock_stop

#   peer_ext POLICY USAGE EKU  the profile of a CA that registration authorities ask, for $RUN/ext: peer_ext $AUTH digitalSignature
#                              $AUTH_EKU
#   peer_certify NAME EKU      $TMP/NAME.pem and .key by that CA: a registration authority, or a server

# The workers are nobody when this is root: they get copies in a place that they can reach.
peer_files() {
	export HERE=$TMP/www RUN=$TMP/run PORT=10443
	chmod 711 "$TMP"
	mkdir -p "$HERE" "$RUN"
	chmod 755 "$HERE"
	cp tests/interop/est_apache/* "$HERE"
	cp "$AGENCY/ca.pem" "$AGENCY/root.pem" "$AGENCY/crls.pem" "$AGENCY/private/ca.key" "$AGENCY/private/tls.key" "$RUN"
	cat "$AGENCY/tls.pem" "$AGENCY/ca.pem" >"$RUN/tls.pem"
	cat "$AGENCY/ca.pem" "$AGENCY/root.pem" >"$RUN/trust.pem"
	chmod -R a+rX "$RUN"
}
apache_start() {
	local options=() d
	for d in "$@"; do options+=("-D$d"); done
	/usr/sbin/apache2 -f "$HERE/httpd.conf" -DFOREGROUND "${options[@]}" >"$TMP/apache.log" 2>&1 &
	APACHE=$!
	for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/$PORT) 2>/dev/null && return 0; sleep 0.05; done
	fail 'Apache starts' "$(cat "$TMP/apache.log" "$RUN/error.log")"
}
apache_stop() {
	[ -z "${APACHE-}" ] || { kill "$APACHE"; wait "$APACHE"; } 2>/dev/null
	APACHE=
}

mock_start() {
	local cert=$1
	shift
	openssl cmp -port 8086 -srv_trusted "$AGENCY/root.pem" -srv_untrusted "$AGENCY/ca.pem" -rsp_cert "$cert" \
		-rsp_extracerts "$AGENCY/ca.pem" ${SIGNED+-srv_cert "$TMP/srv.pem" -srv_key "$TMP/srv.key"} "$@" >"$TMP/mock.log" 2>&1 &
	MOCK=$!
	for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/8086) 2>/dev/null && return 0; sleep 0.05; done
	cat "$TMP/mock.log"
	return 1
}
mock_stop() {
	[ -z "${MOCK-}" ] || { kill "$MOCK"; wait "$MOCK"; } 2>/dev/null
	MOCK=
}

AUTH=2.16.840.1.101.3.2.1.3.40 MAIL=2.16.840.1.101.3.2.1.3.6
AUTH_EKU=clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4
peer_ext() {
	cat <<-EXT
		keyUsage = critical,$2
		extendedKeyUsage = $3
		certificatePolicies = $1
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		crlDistributionPoints = URI:http://ca.example.test/ca.crl
		authorityInfoAccess = caIssuers;URI:http://ca.example.test/ca.p7c,OCSP;URI:http://ca.example.test/ocsp
	EXT
}
peer_certify() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/$1.key" -subj "/CN=$1" 2>/dev/null |
		openssl x509 -req -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 10 \
			-out "$TMP/$1.pem" -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n%s\n' "$2" \
				'subjectKeyIdentifier=hash') 2>/dev/null
}
