/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificate revocation lists: RFC 5280 section 5 and worksheet 16 of the Common Policy CRL profiles: full lists,
 * version 2, cRLNumber that only grows, authorityKeyIdentifier by key, reason codes except unspecified. A list is
 * written beside the old one and renamed over it; readers see one or the other.
 */
#include <string.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/mkcert.h"
#include "derive/issuer/x509io.h"

static const struct {
	int reason;
	const char *name;
} reasons[] = {
	{ CRL_REASON_UNSPECIFIED, "unspecified" },
	{ CRL_REASON_KEY_COMPROMISE, "keyCompromise" },
	{ CRL_REASON_AFFILIATION_CHANGED, "affiliationChanged" },
	{ CRL_REASON_SUPERSEDED, "superseded" },
	{ CRL_REASON_CESSATION_OF_OPERATION, "cessationOfOperation" },
	{ CRL_REASON_PRIVILEGE_WITHDRAWN, "privilegeWithdrawn" },
};

int
crl_reason(const char *name)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (strcmp(name, reasons[i].name) == 0)
			return reasons[i].reason;
	return -1;
}

const char *
crl_reason_name(int reason)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reason == reasons[i].reason)
			return reasons[i].name;
	return "unspecified";
}

static bool
set_reason(X509_REVOKED *r, int reason)
{
	ASN1_ENUMERATED *value;
	bool ok;

	if (reason == CRL_REASON_UNSPECIFIED) /* RFC 5280 5.3.1: leave it out */
		return true;
	value = ASN1_ENUMERATED_new();
	ok = value && ASN1_ENUMERATED_set(value, reason) &&
	    X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, value, 0, X509V3_ADD_DEFAULT) == 1;
	ASN1_ENUMERATED_free(value);
	return ok;
}

static enum err
add_revoked(void *arg, const char *serial, time_t at, int reason)
{
	X509_CRL *crl = arg;
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, at);
	ASN1_INTEGER *number = NULL;
	BIGNUM *bn = NULL;
	bool ok;

	ok = r && when && BN_hex2bn(&bn, serial) > 0 && (number = BN_to_ASN1_INTEGER(bn, NULL)) != NULL &&
	    X509_REVOKED_set_serialNumber(r, number) && X509_REVOKED_set_revocationDate(r, when) &&
	    set_reason(r, reason) && X509_CRL_add0_revoked(crl, r);
	if (!ok)
		X509_REVOKED_free(r);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(when);
	BN_free(bn);
	return ok ? E_OK : err_crypto(E_CRYPTO, "cannot put serial number %s on the CRL", serial);
}

static bool
set_number(X509_CRL *crl, int64_t number)
{
	ASN1_INTEGER *value = ASN1_INTEGER_new();
	bool ok = value && ASN1_INTEGER_set_int64(value, number) &&
	    X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, X509V3_ADD_DEFAULT) == 1;

	ASN1_INTEGER_free(value);
	return ok;
}

static bool
set_akid(X509_CRL *crl, X509 *ca)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	ext = X509V3_EXT_nconf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = ext && X509_CRL_add_ext(crl, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

static bool
set_dates(X509_CRL *crl, time_t now, long hours)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, now), *to = ASN1_TIME_set(NULL, now + hours * 3600);
	bool ok = from && to && X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to);

	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return ok;
}

enum err
crl_make(X509 *ca, EVP_PKEY *key, struct db *db, int64_t number, time_t now, long hours, X509_CRL **out)
{
	X509_CRL *crl = X509_CRL_new();
	enum err e = E_OK;

	*out = NULL;
	if (crl == NULL || !X509_CRL_set_version(crl, 1) || !X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) ||
	    !set_dates(crl, now, hours) || !set_number(crl, number) || !set_akid(crl, ca))
		e = err_crypto(E_CRYPTO, "cannot make a CRL");
	if (e == E_OK && db)
		e = ledger_each_revoked(db, add_revoked, crl);
	if (e == E_OK && (!X509_CRL_sort(crl) || X509_CRL_sign(crl, key, mkcert_digest(key)) <= 0))
		e = err_crypto(E_CRYPTO, "cannot sign the CRL");
	if (e != E_OK)
		X509_CRL_free(crl);
	else
		*out = crl;
	return e;
}

/* The list in this file; NULL: there is none that can be read. */
static X509_CRL *
list_of(const char *path)
{
	STACK_OF(X509_CRL) *crls = NULL;
	X509_CRL *first = NULL;

	if (x509io_read_crls(path, &crls) == E_OK)
		first = sk_X509_CRL_shift(crls);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	return first;
}

/* The CRL number of the list in this file; 0: none. */
static int64_t
number_of(const char *path)
{
	X509_CRL *list = list_of(path);
	ASN1_INTEGER *got = list ? X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL) : NULL;
	int64_t number = 0;

	if (got == NULL || ASN1_INTEGER_get_int64(&number, got) != 1 || number < 0 || number > INT64_MAX / 2)
		number = 0;
	ASN1_INTEGER_free(got);
	X509_CRL_free(list);
	return number;
}

int64_t
crl_entries(const char *path)
{
	X509_CRL *list = list_of(path);
	int n = list ? sk_X509_REVOKED_num(X509_CRL_get_REVOKED(list)) : 0;
	int64_t entries = list == NULL ? -1 : n < 0 ? 0 : n; /* an empty list is left out */

	X509_CRL_free(list);
	return entries;
}

/* A list whose file was renamed into place, and whose number was not committed: the next has a higher one all the same
 * (RFC 5280 5.2.3). */
static enum err
make_and_write(struct db *db, const char *series, X509 *ca, EVP_PKEY *key, bool with_revoked, const char *path,
    time_t now, long hours)
{
	WBUF_AUTO pem = { 0 };
	X509_CRL *crl = NULL;
	int64_t number;
	enum err e;

	wbuf_init(&pem, X509IO_FILE_MAX);
	if ((e = ledger_next(db, series, number_of(path), &number)) == E_OK &&
	    (e = crl_make(ca, key, with_revoked ? db : NULL, number, now, hours, &crl)) == E_OK &&
	    (e = x509io_crl_pem(crl, &pem)) == E_OK)
		e = file_write(path, 0644, wbuf_view(&pem));
	X509_CRL_free(crl);
	return e;
}

enum err
crl_publish(struct db *db, const char *series, X509 *ca, EVP_PKEY *key, bool with_revoked, const char *path, time_t now,
    long hours)
{
	enum err e;

	if ((e = db_begin(db)) != E_OK)
		return e;
	return db_end(db, make_and_write(db, series, ca, key, with_revoked, path, now, hours));
}

enum err
crl_bundle(const char *ca_crl, const char *root_crl, const char *out)
{
	WBUF_AUTO both = { 0 }, one = { 0 }, old = { 0 };
	enum err e;

	wbuf_init(&both, 2 * X509IO_FILE_MAX);
	wbuf_init(&one, X509IO_FILE_MAX);
	wbuf_init(&old, 2 * X509IO_FILE_MAX);
	if ((e = file_read(ca_crl, &both)) != E_OK || (e = file_read(root_crl, &one)) != E_OK)
		return e;
	wbuf_span(&both, wbuf_view(&one));
	if (both.bad)
		return err_set(E_NOMEM, "%s: too large", out);
	if (file_read(out, &old) == E_OK && span_eq(wbuf_view(&old), wbuf_view(&both)))
		return E_OK;
	return file_write(out, 0644, wbuf_view(&both));
}

bool
crl_stale(const char *path, time_t now, long hours)
{
	X509_CRL *list = list_of(path);
	time_t from, to;
	bool stale = list == NULL || !x509io_time(X509_CRL_get0_lastUpdate(list), &from) ||
	    !x509io_time(X509_CRL_get0_nextUpdate(list), &to) || now >= from + hours * 3600 || now >= to ||
	    from > now + 300;

	X509_CRL_free(list);
	return stale;
}

bool
crl_lists(const char *path, const char *serial, time_t now)
{
	X509_CRL *list = list_of(path);
	ASN1_INTEGER *number = NULL;
	X509_REVOKED *r = NULL;
	BIGNUM *bn = NULL;
	time_t to;
	bool listed = list != NULL && BN_hex2bn(&bn, serial) > 0 && (number = BN_to_ASN1_INTEGER(bn, NULL)) != NULL &&
	    X509_CRL_get0_by_serial(list, &r, number) == 1 && x509io_time(X509_CRL_get0_nextUpdate(list), &to) &&
	    now < to;

	ASN1_INTEGER_free(number);
	BN_free(bn);
	X509_CRL_free(list);
	return listed;
}
