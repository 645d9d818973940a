/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates, CRLs and keys: in from PEM files, out as PEM or DER. Files are read whole and capped before libcrypto
 * sees them, so that a mistaken path (a device, a huge file) ends in a message. Private keys never pass through a wbuf
 * that is not wiped, and are written with mode 0600 by rename.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/sha.h>

#include "base/file.h"
#include "base/text.h"
#include "derive/issuer/x509io.h"

static enum err
open_file(const char *path, struct wbuf *w, BIO **bio)
{
	enum err e;

	*bio = NULL;
	wbuf_init(w, X509IO_FILE_MAX);
	if ((e = file_read(path, w)) != E_OK)
		return e;
	if (w->n > INT_MAX || (*bio = BIO_new_mem_buf(w->p ? (const void *)w->p : "", (int)w->n)) == NULL)
		return err_set(E_NOMEM, "%s: out of memory", path);
	return E_OK;
}

enum err
x509io_read_certs(const char *path, STACK_OF(X509) * *out)
{
	STACK_OF(X509) *certs = NULL;
	WBUF_AUTO w = { 0 };
	BIO *bio = NULL;
	X509 *x;
	enum err e;

	*out = NULL;
	if ((e = open_file(path, &w, &bio)) != E_OK)
		return e;
	if ((certs = sk_X509_new_null()) == NULL)
		e = err_set(E_NOMEM, "%s: out of memory", path);
	while (e == E_OK && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_push(certs, x)) {
			X509_free(x);
			e = err_set(E_NOMEM, "%s: out of memory", path);
		}
	if (e == E_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		e = err_crypto(E_CONF, "%s: not a PEM file of certificates", path);
	else if (e == E_OK && sk_X509_num(certs) == 0)
		e = err_set(E_CONF, "%s: no certificate in it", path);
	ERR_clear_error();
	BIO_free(bio);
	if (e != E_OK)
		sk_X509_pop_free(certs, X509_free);
	else
		*out = certs;
	return e;
}

enum err
x509io_read_cert(const char *path, X509 **out)
{
	STACK_OF(X509) *certs = NULL;
	enum err e;

	*out = NULL;
	if ((e = x509io_read_certs(path, &certs)) != E_OK)
		return e;
	*out = sk_X509_shift(certs);
	sk_X509_pop_free(certs, X509_free);
	return E_OK;
}

static enum err
collect_crls(BIO *bio, const struct wbuf *w, STACK_OF(X509_CRL) * crls)
{
	const uint8_t *p = w->p;
	X509_CRL *c = NULL;

	if (w->n > 0 && w->p[0] == 0x30) {
		if ((c = d2i_X509_CRL(NULL, &p, (long)w->n)) == NULL)
			return err_crypto(E_PROTO, "not a CRL");
		if (!sk_X509_CRL_push(crls, c)) {
			X509_CRL_free(c);
			return err_set(E_NOMEM, "out of memory");
		}
		return E_OK;
	}
	while ((c = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_CRL_push(crls, c)) {
			X509_CRL_free(c);
			return err_set(E_NOMEM, "out of memory");
		}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return err_crypto(E_PROTO, "not a PEM file of CRLs");
	return E_OK;
}

enum err
x509io_read_crls(const char *path, STACK_OF(X509_CRL) * *out)
{
	STACK_OF(X509_CRL) *crls = NULL;
	WBUF_AUTO w = { 0 };
	BIO *bio = NULL;
	enum err e;

	*out = NULL;
	if ((e = open_file(path, &w, &bio)) != E_OK)
		return e;
	if ((crls = sk_X509_CRL_new_null()) == NULL)
		e = err_set(E_NOMEM, "%s: out of memory", path);
	else if ((e = collect_crls(bio, &w, crls)) != E_OK)
		e = err_up(e, "%s", path);
	ERR_clear_error();
	BIO_free(bio);
	if (e != E_OK)
		sk_X509_CRL_pop_free(crls, X509_CRL_free);
	else
		*out = crls;
	return e;
}

/* No passphrase is ever asked for: a service has no terminal. */
static int
no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return 0;
}

enum err
x509io_read_key(const char *path, EVP_PKEY **out)
{
	WBUF_AUTO w = { 0 };
	BIO *bio = NULL;
	enum err e;

	*out = NULL;
	if ((e = open_file(path, &w, &bio)) != E_OK)
		return e;
	if ((*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)) == NULL)
		e = err_crypto(E_CONF, "%s: not an unencrypted PEM private key", path);
	BIO_free(bio);
	return e;
}

static enum err
bio_to_wbuf(BIO *bio, struct wbuf *out)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	if (n <= 0)
		return err_set(E_NOMEM, "out of memory");
	wbuf_put(out, p, (size_t)n);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

enum err
x509io_write_cert(const char *path, X509 *first, X509 *second)
{
	WBUF_AUTO w = { 0 };
	BIO *bio = BIO_new(BIO_s_mem());
	enum err e;

	wbuf_init(&w, X509IO_FILE_MAX);
	if (bio == NULL || !PEM_write_bio_X509(bio, first) || (second && !PEM_write_bio_X509(bio, second)))
		e = err_crypto(E_CRYPTO, "%s: cannot encode the certificate", path);
	else if ((e = bio_to_wbuf(bio, &w)) == E_OK)
		e = file_write(path, 0644, wbuf_view(&w));
	BIO_free(bio);
	return e;
}

enum err
x509io_write_key(const char *path, EVP_PKEY *key)
{
	WBUF_AUTO w = { 0 };
	BIO *bio = BIO_new(BIO_s_secmem());
	enum err e;

	wbuf_init(&w, 65536);
	if (bio == NULL || !PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		e = err_crypto(E_CRYPTO, "%s: cannot encode the key", path);
	else if ((e = bio_to_wbuf(bio, &w)) == E_OK)
		e = file_write(path, 0600, wbuf_view(&w));
	BIO_free(bio);
	return e;
}

/* Takes what an i2d function allocated. */
static enum err
take_der(int n, unsigned char *der, struct wbuf *out)
{
	if (n <= 0 || der == NULL)
		return err_crypto(E_CRYPTO, "cannot encode to DER");
	wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

enum err
x509io_cert_der(const X509 *cert, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	return take_der(n, der, out);
}

enum err
x509io_crl_der(const X509_CRL *crl, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509_CRL(crl, &der);

	return take_der(n, der, out);
}

enum err
x509io_crl_pem(X509_CRL *crl, struct wbuf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	enum err e;

	if (bio == NULL || !PEM_write_bio_X509_CRL(bio, crl))
		e = err_crypto(E_CRYPTO, "cannot encode the CRL");
	else
		e = bio_to_wbuf(bio, out);
	BIO_free(bio);
	return e;
}

enum err
x509io_name_der(const X509_NAME *name, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(name, &der);

	return take_der(n, der, out);
}

enum err
x509io_spki_der(const EVP_PKEY *key, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	return take_der(n, der, out);
}

enum err
x509io_certs_only(STACK_OF(X509) * certs, struct wbuf *out)
{
	PKCS7 *p7 = PKCS7_new();
	unsigned char *der = NULL;
	enum err e = E_OK;
	int n;

	if (p7 == NULL || !PKCS7_set_type(p7, NID_pkcs7_signed) || !PKCS7_content_new(p7, NID_pkcs7_data))
		e = err_crypto(E_CRYPTO, "cannot make a certs-only message");
	if (e == E_OK)
		PKCS7_set_detached(p7, 1); /* RFC 5652 5.2: no eContent in the degenerate case */
	for (int i = 0; e == E_OK && i < sk_X509_num(certs); i++)
		if (!PKCS7_add_certificate(p7, sk_X509_value(certs, i)))
			e = err_crypto(E_CRYPTO, "cannot make a certs-only message");
	if (e == E_OK) {
		n = i2d_PKCS7(p7, &der);
		e = take_der(n, der, out);
	}
	PKCS7_free(p7);
	return e;
}

char *
x509io_name_text(const X509_NAME *name, char *out, size_t cap)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;

	if (cap > 0)
		out[0] = '\0';
	if (bio && name && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    (n = BIO_get_mem_data(bio, &p)) > 0)
		text_safe(span_of(p, (size_t)n), out, cap);
	BIO_free(bio);
	return out;
}

char *
x509io_serial_text(const ASN1_INTEGER *serial, char *out, size_t cap)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
	unsigned char bytes[32] = { 0 };
	int n = bn ? BN_num_bytes(bn) : 0;

	if (cap > 0)
		out[0] = '\0';
	if (bn && n <= (int)sizeof bytes && BN_bn2bin(bn, bytes) == n)
		text_hex(span_of(bytes, n ? (size_t)n : 1), out, cap);
	BN_free(bn);
	return out;
}

bool
x509io_serial_read(const char *text, char *out, size_t cap)
{
	size_t n = 0;

	while (*text == '0' || *text == ':')
		text++;
	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n + 2 >= cap || strchr("0123456789abcdefABCDEF", *text) == NULL)
			return false;
		out[n++] = (char)(*text >= 'a' && *text <= 'f' ? *text - 'a' + 'A' : *text);
	}
	if (n == 0)
		return false;
	if (n % 2) { /* whole octets */
		memmove(&out[1], out, n);
		out[0] = '0';
		n++;
	}
	out[n] = '\0';
	return true;
}

char *
x509io_sha256_text(struct span in, char out[65])
{
	unsigned char md[SHA256_DIGEST_LENGTH];

	SHA256(in.n ? in.p : (const unsigned char *)"", in.n, md);
	return text_hex(span_of(md, sizeof md), out, 65);
}

bool
x509io_time(const ASN1_TIME *t, time_t *out)
{
	struct tm tm = { 0 };

	*out = 0;
	if (t == NULL || !ASN1_TIME_to_tm(t, &tm))
		return false;
	*out = timegm(&tm);
	return true;
}

char *
x509io_time_text(const ASN1_TIME *t, char *out, size_t cap)
{
	struct tm tm = { 0 };

	if (t == NULL || !ASN1_TIME_to_tm(t, &tm) || strftime(out, cap, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)text_safe(span_str("an unreadable date"), out, cap);
	return out;
}
