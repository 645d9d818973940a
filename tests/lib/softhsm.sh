# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Tokens and certificates for tests without a card: a SoftHSM2 token whose keys are shaped as a PIV card's, certified by
# a throw-away agency, all below $TMP. Sourced after tests/lib/shell.sh. Every command here is plain OpenSSL or OpenSC.

SOFTHSM=$(find /usr/lib -name libsofthsm2.so -print -quit)
PIN=123456

# softhsm_start: an empty SoftHSM2 of our own
softhsm_start() {
	mkdir -p "$TMP/tokens"
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n' \
	    "$TMP/tokens" >"$TMP/softhsm2.conf"
	export SOFTHSM2_CONF=$TMP/softhsm2.conf
	printf '%s\n' "$PIN" >"$TMP/pin"
}

# agency_make: $TMP/root.pem $TMP/ca.pem $TMP/chain.pem and their keys
agency_make() {
	cat >"$TMP/ca.cnf" <<CNF
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[auth]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[sign]
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = emailProtection
subjectAltName = email:\${ENV::EMAIL}
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[encrypt]
keyUsage = critical,keyEncipherment
extendedKeyUsage = emailProtection
subjectAltName = email:\${ENV::EMAIL}
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[agree]
keyUsage = critical,keyAgreement
extendedKeyUsage = emailProtection
subjectAltName = email:\${ENV::EMAIL}
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[tls]
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
CNF
	export EMAIL=pat@example.test
	openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/root.key" -subj "/CN=Test Root" \
	    -days 3650 -config "$TMP/ca.cnf" -extensions root -out "$TMP/root.pem" 2>/dev/null
	key_make p256 "$TMP/ca.key"
	cert_make ca "$TMP/ca.key" "/CN=Test Issuing CA" "$TMP/ca.pem" "$TMP/root"
	cat "$TMP/ca.pem" "$TMP/root.pem" >"$TMP/chain.pem"
}

# key_make rsa2048|rsa3072|p256|p384 FILE
key_make() {
	case $1 in
	rsa*) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:"${1#rsa}" -out "$2" 2>/dev/null ;;
	p*) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-"${1#p}" -pkeyopt ec_param_enc:named_curve -out "$2" ;;
	esac
}

# cert_make PROFILE KEY SUBJECT OUT [CA [FROM TO]]: CA is a path without .pem and .key; FROM and TO are UTC times as
# YYYYMMDDHHMMSSZ (default: now, a year)
cert_make() {
	local ca=${5:-$TMP/ca} from to
	from=${6:-$(date -u +%Y%m%d%H%M%SZ)} to=${7:-$(date -u -d +1year +%Y%m%d%H%M%SZ)}
	openssl req -new -key "$2" -subj "$3" -config "$TMP/ca.cnf" -out "$TMP/req.pem"
	: >"$TMP/ca.db"
	printf '%s' 'unique_subject = no' >"$TMP/ca.db.attr"
	printf '[ca]\ndefault_ca = d\n[d]\ndatabase = %s\nnew_certs_dir = %s\nrand_serial = yes\ndefault_md = sha256\npolicy = p\n[p]\n%s\n%s\n' \
	    "$TMP/ca.db" "$TMP" 'commonName = supplied' 'organizationName = optional' >"$TMP/sign.cnf"
	openssl ca -batch -notext -config "$TMP/sign.cnf" -in "$TMP/req.pem" -cert "$ca.pem" -keyfile "$ca.key" -startdate "$from" \
	    -enddate "$to" -extfile "$TMP/ca.cnf" -extensions "$1" -out "$4" 2>"$TMP/ca.log" || cat "$TMP/ca.log" >&2
}

# token_make LABEL ALG: keys and certificates 9a 9c 9d (CKA_ID 01 02 03) for Pat; PEM copies in $TMP/LABEL-9x.{key,pem}.
# 9c demands its PIN for each use.
token_make() {
	softhsm2-util --init-token --free --label "$1" --so-pin 12345678 --pin $PIN >/dev/null
	token_add "$1" "$2" 9a 01 auth --usage-sign
	token_add "$1" "$2" 9c 02 sign --usage-sign --always-auth
	case $2 in
	rsa*) token_add "$1" "$2" 9d 03 encrypt --usage-decrypt ;;
	*) token_add "$1" "$2" 9d 03 agree --usage-derive ;;
	esac
}

# token_add LABEL ALG NAME ID PROFILE [options of pkcs11-tool --write-object]
token_add() {
	local token=$1 alg=$2 name=$3 id=$4 profile=$5 base=$TMP/$1-$3
	shift 5
	[ -f "$base.key" ] || key_make "$alg" "$base.key"
	[ -f "$base.pem" ] || cert_make "$profile" "$base.key" "/O=Example/CN=Pat Example ($token $name)" "$base.pem"
	openssl pkey -in "$base.key" -outform DER -out "$base.der"
	openssl pkey -in "$base.key" -pubout -outform DER -out "$base.pub"
	openssl x509 -in "$base.pem" -outform DER -out "$base.crt"
	p11tool_quiet --token-label "$token" --write-object "$base.der" --type privkey --id "$id" --label "$name key" "$@"
	p11tool_quiet --token-label "$token" --write-object "$base.pub" --type pubkey --id "$id" --label "$name key"
	p11tool_quiet --token-label "$token" --write-object "$base.crt" --type cert --id "$id" --label "$name certificate"
}

p11tool_quiet() {
	pkcs11-tool --module "$SOFTHSM" --login --pin $PIN "$@" >/dev/null 2>"$TMP/p11tool.err" || {
		cat "$TMP/p11tool.err" >&2
		return 1
	}
}

# p11_uri LABEL ATTRIBUTES: with the module and the PIN's file
p11_uri() {
	printf 'pkcs11:token=%s;%s?module-path=%s&pin-source=file:%s' "$1" "$2" "$SOFTHSM" "$TMP/pin"
}
