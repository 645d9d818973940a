/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_X509IO_H
#define DPIV_ISSUER_X509IO_H

#include <time.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"

/* Certificates, CRLs and keys between files, bytes and libcrypto. DER goes to the end of a caller's wbuf. */
#define X509IO_FILE_MAX (8u << 20)

enum err x509io_read_cert(const char *path, X509 **out) MUST_CHECK; /* the first certificate of a PEM file */
enum err x509io_read_certs(const char *path, STACK_OF(X509) * *out) MUST_CHECK;
/* Every CRL of a PEM file, or one DER CRL. */
enum err x509io_read_crls(const char *path, STACK_OF(X509_CRL) * *out) MUST_CHECK;
enum err x509io_read_key(const char *path, EVP_PKEY **out) MUST_CHECK;
enum err x509io_write_cert(const char *path, X509 *first, X509 *second) MUST_CHECK; /* PEM; second may be NULL */
enum err x509io_write_key(const char *path, EVP_PKEY *key) MUST_CHECK;		    /* PEM, 0600 */

enum err x509io_cert_der(const X509 *cert, struct wbuf *out) MUST_CHECK;
enum err x509io_crl_der(const X509_CRL *crl, struct wbuf *out) MUST_CHECK;
enum err x509io_crl_pem(X509_CRL *crl, struct wbuf *out) MUST_CHECK;
enum err x509io_name_der(const X509_NAME *name, struct wbuf *out) MUST_CHECK;
enum err x509io_spki_der(const EVP_PKEY *key, struct wbuf *out) MUST_CHECK;
/* certs-only SignedData (RFC 5652, RFC 7030 4.1.3) of these certificates. */
enum err x509io_certs_only(STACK_OF(X509) * certs, struct wbuf *out) MUST_CHECK;

/* One line for people and events: RFC 2253 order, UTF-8, controls escaped. */
char *x509io_name_text(const X509_NAME *name, char *out, size_t cap);
/* Upper-case hex without leading zeros cut: the ledger's form of a serial number. */
#define X509IO_SERIAL_MAX 65
char *x509io_serial_text(const ASN1_INTEGER *serial, char *out, size_t cap);
/* As people write it (any case, colons, zeros in front) into that form; false when it is none. */
bool x509io_serial_read(const char *text, char *out, size_t cap);
char *x509io_sha256_text(struct span in, char out[65]);
char *x509io_time_text(const ASN1_TIME *t, char *out, size_t cap);
/* Seconds since 1970; false when t is malformed. */
bool x509io_time(const ASN1_TIME *t, time_t *out);

#endif
