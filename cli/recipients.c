/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recipients and their certificates. A certificate counts for an address when it certifies it (rfc822Name, RFC 8550,
 * 3), is within its dates, and keyUsage allows key transport or agreement; of several the one that was issued last.
 * Nobody is left out silently: who has no usable certificate is put on a list with the reason.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/certs.h"
#include "cli/mail.h"
#include "cli/recipients.h"

#define FILES_MAX 10000

struct known {
	X509 *cert;
	struct smime_caps caps;
};

struct recipients {
	struct known *known;
	size_t n_known;
	STACK_OF(X509) * all; /* the same certificates, for chains */
	STACK_OF(X509) * chosen;
	struct smime_caps *caps; /* of the chosen */
	X509_STORE *store;
	char **missing;
	size_t n_missing;
};

enum err
recipients_new(struct recipients **out)
{
	struct recipients *r = calloc(1, sizeof *r);

	*out = NULL;
	if (r != NULL) {
		r->chosen = sk_X509_new_null();
		r->all = sk_X509_new_null();
	}
	if (r == NULL || r->chosen == NULL || r->all == NULL) {
		recipients_free(&r);
		return err_set(E_NOMEM, "no memory for recipients");
	}
	*out = r;
	return E_OK;
}

void
recipients_free(struct recipients **p)
{
	struct recipients *r = *p;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_known; i++)
		X509_free(r->known[i].cert);
	for (size_t i = 0; i < r->n_missing; i++)
		free(r->missing[i]);
	sk_X509_pop_free(r->chosen, X509_free);
	sk_X509_free(r->all);
	free(r->known);
	free(r->caps);
	free(r->missing);
	free(r);
	*p = NULL;
}

void
recipients_trust(struct recipients *r, X509_STORE *store)
{
	r->store = store;
}

/* --- looking for certificates --------------------------------------------------------------------------------------
 */

/* Capabilities in the certificate itself go before those that a message told. */
static enum err
known_add(struct recipients *r, X509 *cert, const struct smime_caps *told)
{
	struct known *grown = realloc(r->known, (r->n_known + 1) * sizeof *grown), *k;

	if (grown == NULL)
		return err_set(E_NOMEM, "no memory for certificates");
	r->known = grown;
	k = &grown[r->n_known];
	smime_caps_cert(cert, &k->caps);
	if (!k->caps.known && told != NULL)
		k->caps = *told;
	if (sk_X509_push(r->all, cert) <= 0 || X509_up_ref(cert) != 1)
		return err_set(E_NOMEM, "no memory for certificates");
	k->cert = cert;
	r->n_known++;
	return E_OK;
}

enum err
recipients_look_at(struct recipients *r, STACK_OF(X509) * certs)
{
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < sk_X509_num(certs); i++)
		e = known_add(r, sk_X509_value(certs, i), NULL);
	return e;
}

static enum err
look_at_message(struct recipients *r, struct span data)
{
	struct smime_part p;
	struct smime_report report = { 0 };
	struct smime_caps caps;
	STACK_OF(X509) *certs = NULL;
	WBUF_AUTO content;
	enum err e = smime_find(data, &p);

	wbuf_init(&content, MAIL_MAX * 2);
	if (e != E_OK)
		return e;
	if ((e = smime_verify(&p, NULL, &content, &report)) == E_OK) {
		smime_caps_signer(&p, 0, &caps);
		certs = CMS_get1_certs(p.cms);
		for (int i = 0; e == E_OK && i < sk_X509_num(certs); i++)
			e = known_add(r, sk_X509_value(certs, i), &caps);
		sk_X509_pop_free(certs, X509_free);
	}
	smime_report_free(&report);
	smime_part_free(&p);
	return e;
}

static enum err
look_in_file(struct recipients *r, const char *path)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	WBUF_AUTO data;
	enum err e = certs == NULL ? err_set(E_NOMEM, "no memory for certificates") : E_OK;

	wbuf_init(&data, MAIL_MAX);
	if (e == E_OK && (e = file_read(path, &data)) == E_OK) {
		e = certs_parse(wbuf_view(&data), certs);
		if (e == E_OK)
			e = recipients_look_at(r, certs);
		else if (look_at_message(r, wbuf_view(&data)) == E_OK)
			e = E_OK;
		else
			e = err_set(E_NOTFOUND, "%s: no certificate in it (PEM, DER, or a signed message)", path);
	}
	sk_X509_pop_free(certs, X509_free);
	return e;
}

static enum err
look_in_directory(struct recipients *r, const char *path, DIR *dir)
{
	const struct dirent *entry;
	int seen = 0;

	while ((entry = readdir(dir)) != NULL) {
		char file[4096];
		struct stat st;
		int n = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);

		if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof file || stat(file, &st) != 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (++seen > FILES_MAX)
			return err_set(E_PROTO, "%s: more than %d files", path, FILES_MAX);
		if (look_in_file(r, file) == E_NOMEM)
			return E_NOMEM;
	}
	err_clear();
	return E_OK;
}

enum err
recipients_look_in(struct recipients *r, const char *path)
{
	DIR *dir = opendir(path);
	enum err e;

	if (dir == NULL)
		return look_in_file(r, path);
	e = look_in_directory(r, path, dir);
	closedir(dir);
	return e;
}

/* --- choosing ------------------------------------------------------------------------------------------------------
 */

static enum err
missing_add(struct recipients *r, const char *who, const char *why)
{
	char **grown = realloc(r->missing, (r->n_missing + 1) * sizeof *grown), *text = NULL;
	char safe[ADDRESS_MAX];

	if (grown != NULL)
		r->missing = grown;
	if (grown == NULL || asprintf(&text, "%s: %s", text_safe(span_str(who), safe, sizeof safe), why) < 0)
		return err_set(E_NOMEM, "no memory for recipients");
	r->missing[r->n_missing++] = text;
	return E_OK;
}

static enum err
choose(struct recipients *r, const struct known *k)
{
	int n = sk_X509_num(r->chosen);
	struct smime_caps *grown;

	for (int i = 0; i < n; i++) {
		if (X509_cmp(sk_X509_value(r->chosen, i), k->cert) == 0)
			return E_OK;
	}
	grown = realloc(r->caps, ((size_t)n + 1) * sizeof *grown);
	if (grown == NULL || X509_up_ref(k->cert) != 1)
		return err_set(E_NOMEM, "no memory for recipients");
	r->caps = grown;
	grown[n] = k->caps;
	if (sk_X509_push(r->chosen, k->cert) > 0)
		return E_OK;
	X509_free(k->cert);
	return err_set(E_NOMEM, "no memory for recipients");
}

static enum err
trusted(struct recipients *r, X509 *cert)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char name[128];
	enum err e = E_OK;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, r->store, cert, r->all) != 1 ||
	    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SMIME_ENCRYPT) != 1)
		e = err_set(E_NOMEM, "no memory to check a certificate");
	else if (X509_verify_cert(ctx) != 1)
		e = err_set(E_POLICY, "the certificate of %s does not lead to a trust anchor: %s",
		    certs_name(cert, name, sizeof name), X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return e;
}

static enum err
usable(struct recipients *r, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char name[128];
	enum err e = certs_usable(cert, CERT_ENCRYPT);

	if (e == E_OK && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < 2048)
		e = err_set(E_POLICY, "the key of %s is too short (RSA, %d bits)", certs_name(cert, name, sizeof name),
		    EVP_PKEY_get_bits(key));
	return e == E_OK && r->store != NULL ? trusted(r, cert) : e;
}

static bool
is_newer(X509 *a, X509 *b)
{
	return ASN1_TIME_compare(X509_get0_notBefore(a), X509_get0_notBefore(b)) > 0;
}

enum err
recipients_add_address(struct recipients *r, const char *address)
{
	const struct known *best = NULL;
	char why[512] = "no certificate found; give one by --cert FILE";

	for (size_t i = 0; i < r->n_known; i++) {
		const struct known *k = &r->known[i];

		if (!certs_has_address(k->cert, address))
			continue;
		if (usable(r, k->cert) != E_OK) {
			/* a signature certificate of theirs is no news if there is a better reason */
			if (certs_may(k->cert, CERT_ENCRYPT) || strncmp(why, "no certificate", 14) == 0)
				snprintf(why, sizeof why, "%s", err_msg());
		} else if (best == NULL || is_newer(k->cert, best->cert))
			best = k;
	}
	return best != NULL ? choose(r, best) : missing_add(r, address, why);
}

enum err
recipients_add_cert(struct recipients *r, X509 *cert, const char *who)
{
	enum err e = known_add(r, cert, NULL);

	if (e != E_OK)
		return e;
	return usable(r, cert) == E_OK ? choose(r, &r->known[r->n_known - 1]) : missing_add(r, who, err_msg());
}

enum err
recipients_add_file(struct recipients *r, const char *path)
{
	size_t first = r->n_known, n = 0;
	enum err e = look_in_file(r, path);

	for (size_t i = first; e == E_OK && i < r->n_known; i++) {
		if (!certs_may(r->known[i].cert, CERT_ENCRYPT))
			continue;
		n++;
		e = usable(r, r->known[i].cert) == E_OK ? choose(r, &r->known[i]) : missing_add(r, path, err_msg());
	}
	if (e == E_OK && n == 0)
		e = missing_add(r, path, "no certificate in it is meant for encrypting mail (key usage)");
	return e;
}

size_t
recipients_missing(const struct recipients *r)
{
	return r->n_missing;
}

const char *
recipients_missing_at(const struct recipients *r, size_t i)
{
	return i < r->n_missing ? r->missing[i] : NULL;
}

STACK_OF(X509) * recipients_certs(const struct recipients *r)
{
	return r->chosen;
}

enum smime_cipher
recipients_cipher(const struct recipients *r)
{
	int n = sk_X509_num(r->chosen), gcm = 0;
	bool only128 = false;

	for (int i = 0; i < n; i++) {
		gcm += r->caps[i].known && r->caps[i].prefers_gcm;
		only128 |= r->caps[i].known && !r->caps[i].aes256_cbc && r->caps[i].aes128_cbc;
	}
	if (n > 0 && gcm == n)
		return SMIME_AES256_GCM;
	return only128 ? SMIME_AES128_CBC : SMIME_AES256_CBC;
}
