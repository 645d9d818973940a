#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# EST (RFC 7030) as a CGI program: TLS and the client's certificate are Apache's business, certificates are made by openssl.
# $RUN has ca.pem, ca.key and root.pem. With a file $RUN/wait every request answers 202 with Retry-After: 1.
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
	[ ! -e "$RUN/wait" ] || say '202 Accepted' 'somebody has to look at it' 'Retry-After: 1'
}

certify() {
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

case ${PATH_INFO:-} in
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
