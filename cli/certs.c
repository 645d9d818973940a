/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mail wants to know of certificates: names, addresses, what they may be used for (RFC 8550, 3 and 4), reading
 * them from files, and the trust anchors.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/address.h"
#include "cli/certs.h"

#define CERTS_MAX (4u * 1024 * 1024)

char *
name_text(const X509_NAME *name, char *out, size_t cap)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p;
	long n;

	out[0] = '\0';
	if (b == NULL)
		return out;
	X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
	n = BIO_get_mem_data(b, &p);
	text_safe(span_of(p, n > 0 ? (size_t)n : 0), out, cap);
	BIO_free(b);
	return out;
}

char *
certs_name(X509 *cert, char *out, size_t cap)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
	unsigned char *utf8 = NULL;

	if (at < 0 || (n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)))) <= 0)
		return name_text(subject, out, cap);
	text_safe(span_of(utf8, (size_t)n), out, cap);
	OPENSSL_free(utf8);
	return out;
}

bool
certs_has_address(X509 *cert, const char *address)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_email(cert);
	bool found = false;

	for (int i = 0; i < sk_OPENSSL_STRING_num(all) && !found; i++)
		found = address_eq(sk_OPENSSL_STRING_value(all, i), address);
	X509_email_free(all);
	return found;
}

char *
certs_addresses(X509 *cert, char *out, size_t cap)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_email(cert);
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_OPENSSL_STRING_num(all) && n < cap; i++) {
		char one[ADDRESS_MAX];

		text_safe(span_str(sk_OPENSSL_STRING_value(all, i)), one, sizeof one);
		n += (size_t)snprintf(out + n, cap - n, "%s%s", i > 0 ? ", " : "", one);
	}
	X509_email_free(all);
	return out;
}

bool
certs_may(X509 *cert, enum cert_use use)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	bool ec = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
	uint32_t need = use == CERT_SIGN ? KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION
	    : ec			 ? KU_KEY_AGREEMENT
					 : KU_KEY_ENCIPHERMENT;
	uint32_t ext = X509_get_extended_key_usage(cert);

	if (key == NULL || (X509_get_extension_flags(cert) & (EXFLAG_INVALID | EXFLAG_CA)) != 0)
		return false;
	if ((X509_get_key_usage(cert) & need) == 0)
		return false;
	return ext == UINT32_MAX || (ext & (XKU_SMIME | XKU_ANYEKU)) != 0;
}

static enum err
dates_check(X509 *cert, const char *name)
{
	char when[64] = "?";
	const ASN1_TIME *end = X509_get0_notAfter(cert);
	struct tm tm;

	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		return err_set(E_EXPIRED, "the certificate of %s is not valid yet", name);
	if (X509_cmp_current_time(end) > 0)
		return E_OK;
	if (ASN1_TIME_to_tm(end, &tm) == 1)
		strftime(when, sizeof when, "%Y-%m-%d", &tm);
	return err_set(E_EXPIRED, "the certificate of %s expired on %s", name, when);
}

enum err
certs_usable(X509 *cert, enum cert_use use)
{
	char name[128];

	certs_name(cert, name, sizeof name);
	if (!certs_may(cert, use))
		return err_set(E_POLICY, "the certificate of %s is not meant for %s mail (key usage)", name,
		    use == CERT_SIGN ? "signing" : "encrypting");
	return dates_check(cert, name);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static bool
push(STACK_OF(X509) * out, X509 *cert)
{
	if (cert == NULL)
		return false;
	if (sk_X509_push(out, cert) > 0)
		return true;
	X509_free(cert);
	return false;
}

enum err
certs_parse(struct span data, STACK_OF(X509) * out)
{
	int before = sk_X509_num(out);
	BIO *b = BIO_new_mem_buf(data.n > 0 ? (const void *)data.p : "", (int)data.n);

	if (b == NULL)
		return err_set(E_NOMEM, "no memory for certificates");
	if (span_starts(data, "\x30", 1))
		(void)push(out, d2i_X509_bio(b, NULL));
	else
		while (push(out, PEM_read_bio_X509(b, NULL, NULL, NULL)))
			;
	ERR_clear_error();
	BIO_free(b);
	return sk_X509_num(out) > before ? E_OK : err_set(E_NOTFOUND, "no certificate in it (PEM or DER)");
}

enum err
certs_load(const char *path, STACK_OF(X509) * out)
{
	WBUF_AUTO data;
	enum err e;

	wbuf_init(&data, CERTS_MAX);
	if ((e = file_read(path, &data)) != E_OK)
		return e;
	e = certs_parse(wbuf_view(&data), out);
	return e == E_OK ? E_OK : err_up(e, "%s", path);
}

STACK_OF(X509) * certs_chain(X509 *cert, STACK_OF(X509) * among)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	bool found = chain != NULL;

	while (found && sk_X509_num(chain) < 8) {
		found = false;
		for (int i = 0; i < sk_X509_num(among) && !found; i++) {
			X509 *issuer = sk_X509_value(among, i);

			if (X509_check_issued(issuer, cert) != X509_V_OK || X509_cmp(issuer, cert) == 0 ||
			    (X509_get_extension_flags(issuer) & EXFLAG_SS) != 0)
				continue;
			found = X509_up_ref(issuer) && push(chain, issuer);
			cert = issuer;
		}
	}
	return chain;
}

/* --- trust -------------------------------------------------------------------------------------------------------- */

static enum err
anchors_load(X509_STORE *store, const char *cafile)
{
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

	if (lookup == NULL || X509_load_cert_file(lookup, cafile, X509_FILETYPE_PEM) <= 0)
		return err_crypto(E_NOTFOUND, "%s: no trust anchors (PEM)", cafile);
	if (X509_load_crl_file(lookup, cafile, X509_FILETYPE_PEM) > 0)
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	ERR_clear_error();
	return E_OK;
}

enum err
trust_open(const char *cafile, X509_STORE **out)
{
	X509_STORE *store = X509_STORE_new();
	struct conf *conf = NULL;
	enum err e = E_OK;

	*out = NULL;
	if (store == NULL)
		return err_set(E_NOMEM, "no memory for trust anchors");
	if (cafile == NULL && (e = conf_load(&conf)) == E_OK)
		cafile = conf_str(conf, "mail", "cafile");
	if (e == E_OK && cafile != NULL)
		e = anchors_load(store, cafile);
	else if (e == E_OK && X509_STORE_set_default_paths(store) != 1)
		e = err_crypto(E_NOTFOUND, "the system's trust anchors cannot be read; name some by --cafile");
	conf_free(&conf);
	if (e == E_OK)
		*out = store;
	else
		X509_STORE_free(store);
	return e;
}
