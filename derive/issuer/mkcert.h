/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_MKCERT_H
#define DPIV_ISSUER_MKCERT_H

#include <time.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"

/* Steps of making a certificate, shared by init (the agency's own) and issue (people's). */
#define MKCERT_SERIAL 16

/* 127 random bits, never zero, as DER wants a positive INTEGER: 16 octets (RFC 5280 4.1.2.2). */
enum err mkcert_serial(uint8_t out[MKCERT_SERIAL]) MUST_CHECK;
/* A version 3 certificate without extensions and signature. issuer NULL: self-issued. */
enum err mkcert_new(const uint8_t serial[MKCERT_SERIAL], const X509_NAME *subject, X509 *issuer, EVP_PKEY *key,
    time_t from, time_t to, X509 **out) MUST_CHECK;
/* An extension in libcrypto's text form, e.g. NID_key_usage "critical,digitalSignature". Never foreign text. */
enum err mkcert_ext(X509 *cert, X509 *issuer, int nid, const char *value) MUST_CHECK;
/* The digest that SP 800-78-5 table 2 pairs with this key. */
const EVP_MD *mkcert_digest(const EVP_PKEY *key);
enum err mkcert_sign(X509 *cert, EVP_PKEY *key) MUST_CHECK;
/* "/C=US/O=..." is not parsed: rows of (NID, text), ended by NID 0; all UTF8String but countryName. */
struct mkcert_rdn {
	int nid;
	const char *text;
};
enum err mkcert_name(const struct mkcert_rdn *rows, X509_NAME **out) MUST_CHECK;

#endif
