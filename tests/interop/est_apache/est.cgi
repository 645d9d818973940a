#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# EST (RFC 7030) as a CGI program: TLS and the client's certificate are Apache's business, certificates are made by openssl.
# $RUN has ca.pem, ca.key and root.pem. With a file $RUN/wait every request answers 202 with Retry-After: 1, with $RUN/slow
# each takes two seconds, with $RUN/no it is refused.
# A peer for tests and no CA: subject and key come from the request, and no policy is looked at.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

say() { # STATUS TEXT [HEADER]
	printf 'Status: %s\r\nContent-Type: text/plain\r\n%s\r\n%s\n' "$1" "${3:+$3$'\r\n'}" "$2"
	exit 0
}

give() { # TYPE, the body on standard input
	base64 -w0 >"$dir/out"
	printf 'Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-Length: %d\r\n\r\n' "$1" "$(wc -c <"$dir/out")"
	cat "$dir/out"
}

request() {
	[ "${SSL_CLIENT_VERIFY:-NONE}" = SUCCESS ] || say '403 Forbidden' "no good certificate: ${SSL_CLIENT_VERIFY:-NONE}"
	head -c "${CONTENT_LENGTH:-65536}" | tr -d '\r\n ' | base64 -d >"$dir/csr" 2>/dev/null
	openssl req -inform DER -in "$dir/csr" -verify -noout 2>/dev/null || say '400 Bad Request' 'this is no request'
	[ ! -e "$RUN/slow" ] || sleep 2
	[ ! -e "$RUN/no" ] || say '403 Forbidden' 'not this one'
	[ ! -e "$RUN/wait" ] || say '202 Accepted' 'somebody has to look at it' 'Retry-After: 1'
}

# With a file $RUN/ext (and $RUN/ext.encrypt for that label): a CA that has registration authorities. The profile is the
# file's, the names are the request's; with $RUN/other.pub it is for that key.
certify_for_ra() {
	openssl x509 -req -inform DER -in "$dir/csr" -copy_extensions copy -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" \
		-set_serial "0x$(openssl rand -hex 15)" -days 90 -sha256 -extfile "$1" -out "$dir/new.pem" \
		${OTHER:+-force_pubkey "$OTHER"} 2>"$dir/err" || say '500 Internal Server Error' "$(tail -n 1 "$dir/err")"
	openssl crl2pkcs7 -nocrl -certfile "$dir/new.pem" -outform DER | give 'application/pkcs7-mime; smime-type=certs-only'
	exit 0
}

certify() {
	[ ! -e "$RUN/other.pub" ] || OTHER=$RUN/other.pub
	case ${PATH_INFO:-} in
	/encrypt/*) [ ! -e "$RUN/ext.encrypt" ] || certify_for_ra "$RUN/ext.encrypt" ;;
	*) [ ! -e "$RUN/ext" ] || certify_for_ra "$RUN/ext" ;;
	esac
	cat >"$dir/ext" <<-EXT
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = clientAuth
		certificatePolicies = 2.16.840.1.101.3.2.1.3.40
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		subjectAltName = URI:urn:uuid:$(cat /proc/sys/kernel/random/uuid)
	EXT
	openssl x509 -req -inform DER -in "$dir/csr" -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" -set_serial "0x$(openssl rand -hex 15)" \
		-days 90 -sha256 -extfile "$dir/ext" -out "$dir/new.pem" 2>"$dir/err" ||
		say '500 Internal Server Error' "$(tail -n 1 "$dir/err")"
	openssl crl2pkcs7 -nocrl -certfile "$dir/new.pem" -outform DER | give 'application/pkcs7-mime; smime-type=certs-only'
}

# An encryption key that is made here (RFC 7030, 4.4), encrypted to the key of the request as openssl's command line does it:
# SignedData with its ContentInfo in an envelope of type id-data, ECDH with SHA-1. Files $RUN/plain and $RUN/unsigned: what no
# server should do.
keygen() {
	openssl asn1parse -inform DER -in "$dir/csr" | grep -qi '1.9.16.2.54\|asymmDecryptKeyID' ||
		say '400 Bad Request' 'to which key should it be encrypted?'
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER -out "$dir/key.der" 2>/dev/null
	openssl pkcs8 -topk8 -nocrypt -inform DER -in "$dir/key.der" -outform DER -out "$dir/pkcs8"
	openssl pkey -inform DER -in "$dir/key.der" -pubout -out "$dir/pub"
	cat >"$dir/ext" <<-EXT
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,keyEncipherment
		extendedKeyUsage = emailProtection
		certificatePolicies = 2.16.840.1.101.3.2.1.3.6
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		subjectAltName = email:pat@example.test
	EXT
	openssl x509 -req -inform DER -in "$dir/csr" -force_pubkey "$dir/pub" -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" \
		-set_serial "0x$(openssl rand -hex 15)" -days 90 -sha256 -extfile "$dir/ext" -out "$dir/new.pem" 2>"$dir/err" ||
		say '500 Internal Server Error' "$(tail -n 1 "$dir/err")"
	openssl x509 -req -inform DER -in "$dir/csr" -CA "$RUN/ca.pem" -CAkey "$RUN/ca.key" -set_serial 1 -days 1 \
		-extfile <(echo subjectKeyIdentifier=hash) -out "$dir/to.pem" 2>/dev/null
	openssl cms -sign -binary -nodetach -econtent_type 2.16.840.1.101.2.1.2.78.5 -signer "$RUN/tls.pem" -inkey "$RUN/tls.key" \
		-outform DER -in "$dir/pkcs8" -out "$dir/signed"
	[ ! -e "$RUN/unsigned" ] || cp "$dir/pkcs8" "$dir/signed"
	openssl cms -encrypt -binary -aes-256-cbc -keyid -outform DER -in "$dir/signed" -out "$dir/wrapped" "$dir/to.pem"
}
part() { # TYPE FILE
	printf -- '--parts of it\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n' "$1"
	base64 "$2"
	printf '\r\n'
}

path=${PATH_INFO:-}
case ${path#/encrypt} in
/serverkeygen)
	request
	keygen
	{
		openssl crl2pkcs7 -nocrl -certfile "$dir/new.pem" -outform DER -out "$dir/certs"
		part 'application/pkcs7-mime; smime-type=certs-only' "$dir/certs"
		if [ -e "$RUN/plain" ]; then
			part application/pkcs8 "$dir/pkcs8"
		else
			part 'application/pkcs7-mime; smime-type=server-generated-key' "$dir/wrapped"
		fi
		printf -- '--parts of it--\r\n'
	} >"$dir/out"
	printf 'Content-Type: multipart/mixed; boundary="parts of it"\r\nContent-Length: %d\r\n\r\n' "$(wc -c <"$dir/out")"
	cat "$dir/out"
	;;
/cacerts)
	cat "$RUN/ca.pem" "$RUN/root.pem" >"$dir/all"
	openssl crl2pkcs7 -nocrl -certfile "$dir/all" -outform DER | give application/pkcs7-mime
	;;
/csrattrs) # SEQUENCE { challengePassword }: the binding is wanted
	printf '\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07' | give application/csrattrs
	;;
/simpleenroll)
	request
	certify
	;;
/simplereenroll) # RFC 7030, 4.2.2: the names of the certificate that is shown
	request
	printf '%s\n' "$SSL_CLIENT_CERT" >"$dir/peer.pem"
	names() { openssl "$1" -inform "$2" -in "$3" -noout -subject | sed 's/ = /=/g'; }
	[ "$(names req DER "$dir/csr")" = "$(names x509 PEM "$dir/peer.pem")" ] || say '403 Forbidden' 'another subject'
	uuid() { grep -o 'urn:uuid:[0-9a-f-]*'; }
	[ "$(openssl req -inform DER -in "$dir/csr" -noout -text | uuid)" = "$(openssl x509 -in "$dir/peer.pem" -noout -text | uuid)" ] ||
		say '403 Forbidden' 'another subjectAltName'
	certify
	;;
*) say '404 Not Found' 'no such operation' ;;
esac
