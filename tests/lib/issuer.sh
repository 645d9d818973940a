# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A demo agency, PIV certificates in files (made with plain OpenSSL, by the agency's CA) and a running issuer, below $TMP.
# Sourced after tests/lib/shell.sh.

ISSUER=$BUILD/dpiv-issuer
AGENCY=$TMP/agency
FASCN=D0439458210C2C19A0846D83685A1082108CE73984108CA3FC # agency 32, system 1, credential 92446
CARD_UUID=5a3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b10
PERSON="/C=US/O=Demo Government/OU=Demo Agency/CN=PAT EXAMPLE"

# agency_init [options of init]
agency_init() {
	"$ISSUER" init --demo "$@" "$AGENCY" >"$TMP/init.out" || return 1
	mkdir -p "$TMP/signed"
	: >"$TMP/index.txt"
	cat >"$TMP/fpki.cnf" <<CNF
[card]
database = $TMP/index.txt
new_certs_dir = $TMP/signed
certificate = $AGENCY/ca.pem
private_key = $AGENCY/private/ca.key
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
preserve = yes
[any]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
[auth]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4
certificatePolicies = 2.16.840.1.101.3.2.1.3.13
authorityKeyIdentifier = keyid:always
subjectAltName = @san
[san]
otherName.1 = 2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:$FASCN
URI.1 = urn:uuid:$CARD_UUID
otherName.2 = 1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test
[auth_no_san]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,msSmartcardLogin
certificatePolicies = 2.16.840.1.101.3.2.1.3.13
authorityKeyIdentifier = keyid:always
[cardauth]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,2.16.840.1.101.3.6.8
certificatePolicies = 2.16.840.1.101.3.2.1.3.17
authorityKeyIdentifier = keyid:always
subjectAltName = critical,@san
[sign]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = emailProtection
certificatePolicies = 2.16.840.1.101.3.2.1.3.7
authorityKeyIdentifier = keyid:always
subjectAltName = email:pat@example.test
[signauth]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = clientAuth,emailProtection
certificatePolicies = 2.16.840.1.101.3.2.1.3.13
authorityKeyIdentifier = keyid:always
subjectAltName = @san
CNF
}

# agency_set 'key = value'...: lines of issuer.conf
agency_set() {
	local line
	for line in "$@"; do
		sed -i "s|^#* *${line%% *} =.*|$line|" "$AGENCY/issuer.conf"
		grep -qxF "$line" "$AGENCY/issuer.conf" || return 1
	done
}

# file_key NAME rsa2048|rsa3072|p256|p384: $TMP/NAME.key
file_key() {
	case $2 in
	rsa*) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:"${2#rsa}" -out "$TMP/$1.key" 2>/dev/null ;;
	p*) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-"${2#p}" -pkeyopt ec_param_enc:named_curve -out "$TMP/$1.key" ;;
	esac
}

# file_card NAME ALG [PROFILE [options of openssl ca]]: $TMP/NAME.pem and .key
file_card() {
	local name=$1 alg=$2 profile=${3:-auth}
	shift $(($# < 3 ? $# : 3))
	[ $# -gt 0 ] || set -- -days 300
	file_key "$name" "$alg" &&
		openssl req -new -key "$TMP/$name.key" -subj "$PERSON" -out "$TMP/$name.csr" -config /dev/null 2>"$TMP/openssl.err" &&
		openssl ca -batch -notext -config "$TMP/fpki.cnf" -name card -extensions "$profile" "$@" -in "$TMP/$name.csr" \
			-out "$TMP/$name.pem" 2>"$TMP/openssl.err" || { cat "$TMP/openssl.err"; return 1; }
}

# issuer_start [options of serve]: sets URL and ISSUER_PID
issuer_start() {
	local n
	: >"$TMP/issuer.out"
	"$ISSUER" serve --listen 127.0.0.1:0 "$@" "$AGENCY" >"$TMP/issuer.out" 2>>"$TMP/issuer.log" </dev/null &
	ISSUER_PID=$!
	for n in $(seq 100); do
		URL=$(sed -n 's/^listening on //p' "$TMP/issuer.out")
		[ -n "$URL" ] && return 0
		kill -0 "$ISSUER_PID" 2>/dev/null || break
		sleep 0.1
	done
	cat "$TMP/issuer.log" >&2
	return 1
}

# issuer_stop: SIGTERM; returns its exit status
issuer_stop() {
	kill "$ISSUER_PID" 2>/dev/null
	wait "$ISSUER_PID"
}

# As check, but in this shell, so that URL and ISSUER_PID are kept: check_start NAME [options of serve], check_stop NAME
check_start() {
	local name=$1
	shift
	if issuer_start "$@"; then pass "$name"; else fail "$name" "$(cat "$TMP/issuer.log")"; fi
}
check_stop() {
	if issuer_stop; then pass "$1"; else fail "$1" "exit status $?"; fi
}
at_end 'kill "${ISSUER_PID-}" 2>/dev/null'

# est CARD|- PATH [curl options]: the answer on standard output, status of HTTP in $TMP/http
est() {
	local card=$1 path=$2
	shift 2
	[ "$card" = - ] || set -- --cert "$TMP/$card.pem" --key "$TMP/$card.key" "$@"
	curl -sS --http1.1 --cacert "$AGENCY/root.pem" -D "$TMP/headers" -w '%{stderr}%{http_code}\n' "$@" "$URL$path" 2>"$TMP/http"
}

# csr NAME [challenge]: $TMP/NAME.b64 in 64-column lines; the name in it is somebody else's
csr() {
	{
		printf '[req]\nprompt=no\ndistinguished_name=dn\nattributes=at\nreq_extensions=ex\n[dn]\nCN=root\n[at]\n'
		[ -z "${2-}" ] || printf 'challengePassword=%s\n' "$2"
		printf '[ex]\nbasicConstraints=CA:TRUE\nsubjectAltName=email:root@example.test\n'
	} >"$TMP/$1.cnf"
	openssl req -new -key "$TMP/$1.key" -config "$TMP/$1.cnf" -outform DER -out "$TMP/$1.der" &&
		base64 -w 64 "$TMP/$1.der" >"$TMP/$1.b64"
}

# enroll CARD LABEL NAME [curl options]: certifies $TMP/NAME.key into $TMP/NAME.pem
enroll() {
	local card=$1 label=$2 name=$3
	shift 3
	csr "$name" || return 1
	est "$card" "/.well-known/est/${label:+$label/}simpleenroll" -H 'Content-Type: application/pkcs10' \
		--data-binary "@$TMP/$name.b64" "$@" >"$TMP/$name.answer" || { cat "$TMP/http"; return 1; }
	[ "$(tail -n 1 "$TMP/http")" = 200 ] || { cat "$TMP/http" "$TMP/$name.answer"; return 1; }
	base64 -di "$TMP/$name.answer" | openssl pkcs7 -inform der -print_certs | openssl x509 -out "$TMP/$name.pem"
}

# card_code CARD [ROLES as in JSON]: sets CODE, a binding code that the card asked for
card_code() {
	CODE=$(est "$1" /.well-known/dpiv/bind -H 'Content-Type: application/json' --data "{\"roles\":[${2-\"auth\"}]}" |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["code"])')
}
