/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer init. The demo agency is shaped like the Federal PKI: a root that asserts no policy of its own, an
 * issuing CA that may assert the Common Policy's (CP 1.2) and has path length 0, and the few certificates that the
 * service needs. Since its CA key is at hand it can also certify virtual PIV cards. All of it is test material;
 * issuer.conf says demo = yes.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "derive/issuer/cakey.h"
#include "derive/issuer/codekey.h"
#include "derive/issuer/config.h"
#include "derive/issuer/init.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/mkcert.h"
#include "derive/issuer/x509io.h"

#define DAY	 86400
#define BASE_URL "http://localhost/pki"
#define ARC	 "2.16.840.1.101.3.2.1.3."

static const char ca_policies[] = ARC "6," ARC "7," ARC "8," ARC "13," ARC "16," ARC "17," ARC "39," ARC "40," ARC "41";

/* A certificate to be made: its life in days and its extensions in libcrypto's text form. */
struct ext {
	int nid;
	const char *value;
};

static const struct ext root_ext[] = {
	{ NID_basic_constraints, "critical,CA:TRUE" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_sinfo_access, "caRepository;URI:" BASE_URL "/root.p7c" },
	{ 0, NULL },
};

static const struct ext ca_ext[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_certificate_policies, ca_policies },
	{ NID_crl_distribution_points, "URI:" BASE_URL "/root.crl" },
	{ NID_info_access, "caIssuers;URI:" BASE_URL "/root.p7c" },
	{ 0, NULL },
};

static const struct ext tls_ext[] = {
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth,1.3.6.1.5.5.7.3.28" }, /* id-kp-cmcRA: an EST server (RFC 7030 3.6.1) */
	{ NID_certificate_policies, ARC "8" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_crl_distribution_points, "URI:" BASE_URL "/ca.crl" },
	{ NID_info_access, "caIssuers;URI:" BASE_URL "/ca.p7c" },
	{ 0, NULL },
};

static const struct ext ocsp_ext[] = {
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "critical,OCSPSigning" },
	{ NID_id_pkix_OCSP_noCheck, "ignored" },
	{ NID_certificate_policies, ARC "7" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_info_access, "caIssuers;URI:" BASE_URL "/ca.p7c" },
	{ 0, NULL },
};

static const struct ext notices_ext[] = {
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "emailProtection" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_crl_distribution_points, "URI:" BASE_URL "/ca.crl" },
	{ NID_info_access, "caIssuers;URI:" BASE_URL "/ca.p7c" },
	{ 0, NULL },
};

static const struct ext ra_ext[] = {
	{ NID_key_usage, "critical,digitalSignature,keyEncipherment" },
	{ NID_ext_key_usage, "1.3.6.1.5.5.7.3.28" }, /* id-kp-cmcRA */
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ NID_crl_distribution_points, "URI:" BASE_URL "/ca.crl" },
	{ NID_info_access, "caIssuers;URI:" BASE_URL "/ca.p7c" },
	{ 0, NULL },
};

static const struct ext recovery_ext[] = {
	{ NID_key_usage, "critical,keyEncipherment" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0, NULL },
};

/* The agency while it is being made. */
struct agency {
	const struct init_options *o;
	EVP_PKEY *root_key, *tls_key, *ocsp_key, *recovery_key, *notices_key, *ra_key;
	struct cakey *ca_key;
	EVP_PKEY *ca_file_key; /* when the CA key is a file */
	X509 *root, *ca, *tls, *ocsp, *recovery, *notices, *ra;
	time_t now;
};

static enum err
path_of(const struct init_options *o, const char *below, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s", o->dir, below);

	return n > 0 && n < PATH_MAX ? E_OK : err_set(E_ARG, "%s: path too long", o->dir);
}

static enum err
make_cert(const struct agency *a, const struct mkcert_rdn *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
    int days, const struct ext *ext, const char *san, X509 **out)
{
	uint8_t serial[MKCERT_SERIAL];
	X509_NAME *subject = NULL;
	enum err e;

	if ((e = mkcert_name(name, &subject)) != E_OK || (e = mkcert_serial(serial)) != E_OK)
		goto out;
	e = mkcert_new(serial, subject, issuer, key, a->now - 3600, a->now - 3600 + (time_t)days * DAY, out);
	for (; e == E_OK && ext->nid; ext++)
		e = mkcert_ext(*out, issuer, ext->nid, ext->value);
	if (e == E_OK && san)
		e = mkcert_ext(*out, issuer, NID_subject_alt_name, san);
	if (e == E_OK)
		e = mkcert_sign(*out, issuer_key);
out:
	X509_NAME_free(subject);
	return e;
}

static enum err
make_keys(struct agency *a)
{
	enum err e = E_OK;

	if ((a->root_key = EVP_RSA_gen(3072)) == NULL || (a->tls_key = EVP_EC_gen("P-256")) == NULL ||
	    (a->ocsp_key = EVP_EC_gen("P-256")) == NULL || (a->recovery_key = EVP_RSA_gen(3072)) == NULL ||
	    (a->notices_key = EVP_RSA_gen(2048)) == NULL || (a->ra_key = EVP_RSA_gen(2048)) == NULL)
		return err_crypto(E_CRYPTO, "cannot generate keys");
	if (a->o->ca_key)
		return cakey_open(a->o->ca_key, false, true, NULL, &a->ca_key);
	if ((a->ca_file_key = EVP_RSA_gen(3072)) == NULL)
		e = err_crypto(E_CRYPTO, "cannot generate keys");
	return e;
}

static EVP_PKEY *
ca_pkey(const struct agency *a)
{
	return a->ca_key ? cakey_pkey(a->ca_key) : a->ca_file_key;
}

static bool
is_ip(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);

	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

static enum err
make_certs(struct agency *a)
{
	const char *agency = a->o->name;
	char cn[200], san[400];
	const struct mkcert_rdn root[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, "Demo PKI" }, { NID_commonName, "Demo Common Policy Root" },
		{ 0, NULL } };
	const struct mkcert_rdn ca[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, cn }, { 0, NULL } };
	const struct mkcert_rdn tls[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, a->o->host }, { 0, NULL } };
	const struct mkcert_rdn ocsp[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, "OCSP Signer" }, { 0, NULL } };
	const struct mkcert_rdn recovery[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, "Key Recovery" }, { 0, NULL } };
	const struct mkcert_rdn notices[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, "Notices" }, { 0, NULL } };
	const struct mkcert_rdn ra[] = { { NID_countryName, "US" }, { NID_organizationName, "Demo Government" },
		{ NID_organizationalUnitName, agency }, { NID_commonName, "Registration Authority" }, { 0, NULL } };
	enum err e;

	(void)snprintf(cn, sizeof cn, "%.40s Issuing CA", agency);
	(void)snprintf(
	    san, sizeof san, "%s:%s,DNS:localhost,IP:127.0.0.1,IP:::1", is_ip(a->o->host) ? "IP" : "DNS", a->o->host);
	if ((e = make_cert(a, root, a->root_key, NULL, a->root_key, 7300, root_ext, NULL, &a->root)) != E_OK ||
	    (e = make_cert(a, ca, ca_pkey(a), a->root, a->root_key, 3650, ca_ext, NULL, &a->ca)) != E_OK ||
	    (e = make_cert(a, recovery, a->recovery_key, a->ca, ca_pkey(a), 3649, recovery_ext, NULL, &a->recovery)) !=
		E_OK ||
	    (e = make_cert(a, notices, a->notices_key, a->ca, ca_pkey(a), 398, notices_ext,
		 "email:dpiv-issuer@localhost", &a->notices)) != E_OK ||
	    (e = make_cert(a, ra, a->ra_key, a->ca, ca_pkey(a), 398, ra_ext, NULL, &a->ra)) != E_OK ||
	    (e = make_cert(a, tls, a->tls_key, a->ca, ca_pkey(a), 398, tls_ext, san, &a->tls)) != E_OK)
		return e;
	return make_cert(a, ocsp, a->ocsp_key, a->ca, ca_pkey(a), 120, ocsp_ext, NULL, &a->ocsp);
}

static enum err
write_keys(const struct agency *a)
{
	const struct {
		const char *below;
		EVP_PKEY *key;
	} rows[] = {
		{ "private/root.key", a->root_key },
		{ "private/ca.key", a->ca_file_key },
		{ "private/tls.key", a->tls_key },
		{ "private/ocsp.key", a->ocsp_key },
		{ "private/recovery.key", a->recovery_key },
		{ "private/notices.key", a->notices_key },
		{ "private/front.key", a->ra_key },
	};
	char path[PATH_MAX];
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK && i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].key && (e = path_of(a->o, rows[i].below, path)) == E_OK)
			e = x509io_write_key(path, rows[i].key);
	return e;
}

static enum err
write_certs(const struct agency *a)
{
	const struct {
		const char *below;
		X509 *first, *second;
	} rows[] = {
		{ "root.pem", a->root, NULL },
		{ "ca.pem", a->ca, NULL },
		{ "chain.pem", a->ca, a->root },
		{ "tls.pem", a->tls, a->ca },
		{ "ocsp.pem", a->ocsp, NULL },
		{ "recovery.pem", a->recovery, NULL },
		{ "notices.pem", a->notices, NULL },
		{ "front.pem", a->ra, a->ca },
	};
	char path[PATH_MAX];
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK && i < sizeof rows / sizeof rows[0]; i++)
		if ((e = path_of(a->o, rows[i].below, path)) == E_OK)
			e = x509io_write_cert(path, rows[i].first, rows[i].second);
	return e;
}

static void
conf_line(struct wbuf *w, const char *key, const char *value)
{
	wbuf_span(w, span_str(key));
	wbuf_span(w, span_str(value[0] ? " = " : " ="));
	wbuf_span(w, span_str(value));
	wbuf_span(w, span_str("\n"));
}

/* What init decides for a key, or NULL: then the line is a comment that shows the default. */
static const char *
chosen(const struct init_options *o, const char *address, const struct conf_key *k)
{
	const struct {
		const char *section, *key, *value;
	} rows[] = {
		{ "issuer", "name", o->name },
		{ "issuer", "demo", o->demo ? "yes" : "no" },
		{ "ca", "key", o->ca_key },
		{ "listen", "address", address },
		{ "accounts", "mode", o->demo ? "auto" : "listed" },
		{ "accounts", "email_from", o->demo ? "upn" : NULL },
		{ "accounts", "max_credentials", o->demo ? "0" : NULL },
		/* Plain clients such as curl cannot bind nor read cards, and a demo is there to be tried with them. */
		{ "piv", "require_chuid", o->demo ? "no" : NULL },
		{ "profile", "require_binding", o->demo ? "no" : NULL },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(rows[i].section, k->section) == 0 && strcmp(rows[i].key, k->key) == 0)
			return rows[i].value;
	return NULL;
}

static enum err
write_conf(const struct init_options *o)
{
	const struct conf_key *table;
	const char *section = "", *value;
	char path[PATH_MAX], address[64];
	WBUF_AUTO w = { 0 };
	enum err e;
	size_t n;

	wbuf_init(&w, 65536);
	(void)snprintf(address, sizeof address, "127.0.0.1:%d", o->port);
	wbuf_span(&w, span_str("# dpiv-issuer. A line with # shows the default; DIR is the folder of this file.\n"));
	table = config_table(&n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(section, table[i].section) != 0) {
			section = table[i].section;
			wbuf_span(&w, span_str("\n["));
			wbuf_span(&w, span_str(section));
			wbuf_span(&w, span_str("]\n"));
		}
		wbuf_span(&w, span_str("# "));
		wbuf_span(&w, span_str(table[i].help));
		wbuf_span(&w, span_str("\n"));
		if ((value = chosen(o, address, &table[i])) == NULL) {
			wbuf_span(&w, span_str("# "));
			value = table[i].initial ? table[i].initial : "";
		}
		conf_line(&w, table[i].key, value);
	}
	if (w.bad)
		return err_set(E_NOMEM, "out of memory");
	if ((e = path_of(o, "issuer.conf", path)) != E_OK)
		return e;
	return file_write(path, 0644, wbuf_view(&w));
}

/* The ledger comes into being with the first CRLs. */
static enum err
first_crls(const struct init_options *o, time_t now)
{
	struct issuer i;
	enum err e;

	if ((e = issuer_open(o->dir, ISSUER_KEY, &i)) != E_OK)
		return e;
	e = issuer_refresh_crls(&i, now, true);
	issuer_close(&i);
	return e;
}

static enum err
write_code_key(const struct init_options *o)
{
	char path[PATH_MAX];
	enum err e = path_of(o, "private/codes.key", path);

	return e != E_OK ? e : codekey_make(path);
}

static enum err
init_demo(const struct init_options *o)
{
	struct agency a = { .o = o, .now = time(NULL) };
	enum err e;

	if ((e = make_keys(&a)) == E_OK && (e = make_certs(&a)) == E_OK && (e = write_keys(&a)) == E_OK &&
	    (e = write_certs(&a)) == E_OK && (e = write_code_key(o)) == E_OK)
		e = write_conf(o);
	X509_free(a.root);
	X509_free(a.ca);
	X509_free(a.tls);
	X509_free(a.ocsp);
	X509_free(a.recovery);
	X509_free(a.notices);
	X509_free(a.ra);
	EVP_PKEY_free(a.root_key);
	EVP_PKEY_free(a.tls_key);
	EVP_PKEY_free(a.ocsp_key);
	EVP_PKEY_free(a.recovery_key);
	EVP_PKEY_free(a.notices_key);
	EVP_PKEY_free(a.ra_key);
	EVP_PKEY_free(a.ca_file_key);
	cakey_close(&a.ca_key); /* before first_crls() logs in to the same token */
	return e != E_OK ? e : first_crls(o, a.now);
}

static enum err
write_request(const struct init_options *o, const char *below, const char *cn, EVP_PKEY *key)
{
	const struct mkcert_rdn name[] = { { NID_organizationName, o->name }, { NID_commonName, cn }, { 0, NULL } };
	X509_REQ *req = X509_REQ_new();
	X509_NAME *subject = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	char path[PATH_MAX], *pem = NULL;
	long n = 0;
	enum err e;

	if ((e = mkcert_name(name, &subject)) == E_OK &&
	    (req == NULL || bio == NULL || !X509_REQ_set_subject_name(req, subject) || !X509_REQ_set_pubkey(req, key) ||
		X509_REQ_sign(req, key, mkcert_digest(key)) <= 0 || !PEM_write_bio_X509_REQ(bio, req) ||
		(n = BIO_get_mem_data(bio, &pem)) <= 0))
		e = err_crypto(E_CRYPTO, "cannot make a certification request");
	if (e == E_OK && (e = path_of(o, below, path)) == E_OK)
		e = file_write(path, 0644, span_of(pem, (size_t)n));
	X509_NAME_free(subject);
	X509_REQ_free(req);
	BIO_free(bio);
	return e;
}

static enum err
init_site(const struct init_options *o)
{
	struct cakey *ca = NULL;
	EVP_PKEY *tls = NULL;
	char cn[200], path[PATH_MAX];
	enum err e;

	(void)snprintf(cn, sizeof cn, "%.40s Derived Credential Issuing CA", o->name);
	if ((e = cakey_open(o->ca_key, false, true, NULL, &ca)) == E_OK &&
	    (e = write_request(o, "ca.csr", cn, cakey_pkey(ca))) == E_OK) {
		tls = EVP_EC_gen("P-256");
		e = tls ? path_of(o, "private/tls.key", path) : err_crypto(E_CRYPTO, "cannot generate a key");
	}
	if (e == E_OK && (e = x509io_write_key(path, tls)) == E_OK &&
	    (e = write_request(o, "tls.csr", o->host, tls)) == E_OK)
		e = write_conf(o);
	EVP_PKEY_free(tls);
	cakey_close(&ca);
	return e;
}

static enum err
check_options(const struct init_options *o)
{
	static const char host_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:";
	static const char name_bad[] = "$#\\\"'\n\r\t";

	if (o->host[0] == '\0' || strlen(o->host) > 64 || o->host[strspn(o->host, host_chars)] != '\0')
		return err_set(E_USAGE, "%s is not a host name", o->host);
	if (o->name[0] == '\0' || strlen(o->name) > 64 || o->name[strcspn(o->name, name_bad)] != '\0')
		return err_set(E_USAGE, "the name must have 1 to 64 characters and none of $ # \\ \" '");
	if (o->port < 1 || o->port > 65535)
		return err_set(E_USAGE, "%d is not a port", o->port);
	if (o->ca_key && (!cakey_is_uri(o->ca_key) || o->ca_key[strcspn(o->ca_key, "$#\\\"'\n\r")] != '\0'))
		return err_set(E_USAGE, "--ca-key takes a pkcs11: URI; percent-encode special characters (RFC 7512)");
	if (!o->demo && o->ca_key == NULL)
		return err_set(E_USAGE, "without --demo the CA key lives on a token: give --ca-key pkcs11:URI");
	return E_OK;
}

/* An old ledger would speak of certificates of a CA that is no more. */
static enum err
clear_old(const struct init_options *o)
{
	static const char *const files[] = { "issuer.db", "issuer.db-wal", "issuer.db-shm", "private/ca.key",
		"private/root.key", "private/recovery.key", "recovery.pem", "private/notices.key", "notices.pem",
		"private/front.key", "front.pem", "private/codes.key" };
	char path[PATH_MAX];
	enum err e;

	if ((e = path_of(o, "issuer.conf", path)) != E_OK)
		return e;
	if (access(path, F_OK) != 0)
		return E_OK;
	if (!o->force)
		return err_set(
		    E_EXISTS, "%s: there is an issuer already; --force makes a new one and forgets the old", o->dir);
	for (size_t i = 0; e == E_OK && i < sizeof files / sizeof files[0]; i++)
		if ((e = path_of(o, files[i], path)) == E_OK)
			(void)unlink(path); /* mostly there is none */
	return e;
}

enum err
init_run(const struct init_options *o)
{
	char private[PATH_MAX];
	enum err e;

	if ((e = check_options(o)) != E_OK || (e = path_of(o, "private", private)) != E_OK ||
	    (e = clear_old(o)) != E_OK || (e = file_mkdirs(o->dir, 0755)) != E_OK ||
	    (e = file_mkdirs(private, 0700)) != E_OK)
		return e;
	return o->demo ? init_demo(o) : init_site(o);
}
