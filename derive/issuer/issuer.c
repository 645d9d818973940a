/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An issuer directory as one object: configuration, ledger, CA certificate and key, and the trust material for cards.
 * Every verb of the command and the server begin here, so that all of them refuse the same broken set-up with the same
 * words: a CA certificate without the needed rights, a key that is not its, a key file outside a demo.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <openssl/x509v3.h>

#include "derive/issuer/codekey.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/x509io.h"

/* A demo is started once in a while: lists that live longer than the interval let it work at once. */
#define CRL_LIFE_EXTRA 12

static enum err
check_ca(X509 *ca, const char *path)
{
	uint32_t usage = X509_get_key_usage(ca);

	if (X509_check_ca(ca) != 1 || (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != (KU_KEY_CERT_SIGN | KU_CRL_SIGN))
		return err_set(E_CONF, "%s: not the certificate of a CA that may sign certificates and CRLs", path);
	if (X509_cmp_current_time(X509_get0_notAfter(ca)) <= 0)
		return err_set(E_EXPIRED, "%s: the CA certificate has expired", path);
	if (X509_get0_subject_key_id(ca) == NULL)
		return err_set(E_CONF, "%s: the CA certificate has no subjectKeyIdentifier", path);
	return E_OK;
}

/* Where another CA issues, what init made for the CA that was here does not stop the service. */
static enum err
open_ra(struct issuer *i)
{
	enum err e = ra_open(&i->config, i->ca, &i->ra);

	if (e != E_CONF || !upstream_is(i))
		return e;
	note("no-scep", "%s", err_msg());
	return E_OK;
}

enum err
issuer_hold(const char *dir, bool alone, DIR **out)
{
	DIR *d = opendir(dir);

	*out = NULL;
	if (d == NULL)
		return err_set(E_CONF, "%s: %s", dir, strerror(errno));
	if (flock(dirfd(d), (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
		closedir(d);
		return alone ? err_set(E_BUSY, "%s: dpiv-issuer runs there; stop it first", dir)
			     : err_set(E_BUSY, "%s: it is being restored from a backup", dir);
	}
	*out = d;
	return E_OK;
}

static enum err
open_parts(const char *dir, unsigned parts, struct issuer *i)
{
	struct config *c = &i->config;
	enum err e;

	if ((e = config_load(dir, c)) != E_OK || (e = issuer_hold(c->dir, false, &i->held)) != E_OK ||
	    (e = x509io_read_cert(c->ca_cert, &i->ca)) != E_OK ||
	    (e = x509io_read_cert(c->root_cert, &i->root)) != E_OK || (e = check_ca(i->ca, c->ca_cert)) != E_OK ||
	    (e = ledger_open(c->db, &i->db)) != E_OK || (e = escrow_open(i)) != E_OK)
		return e;
	if ((parts & ISSUER_KEY) && !upstream_is(i))
		if ((e = cakey_open(c->ca_key, c->demo, false, X509_get0_pubkey(i->ca), &i->key)) != E_OK)
			return e;
	if ((parts & ISSUER_KEY) && ((e = open_ra(i)) != E_OK || (e = codekey_open(c->code_key, &i->codes)) != E_OK))
		return e;
	if (parts & ISSUER_TRUST)
		return trust_load(c->anchors, c->intermediates, c->piv_crls, &i->trust);
	return E_OK;
}

enum err
issuer_open(const char *dir, unsigned parts, struct issuer *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = open_parts(dir, parts, out)) != E_OK)
		issuer_close(out);
	return e;
}

void
issuer_close(struct issuer *i)
{
	trust_free(&i->trust);
	secret_free(&i->codes);
	cakey_close(&i->key);
	ra_close(&i->ra);
	X509_free(i->ca);
	X509_free(i->root);
	X509_free(i->recovery);
	db_close(&i->db);
	if (i->held)
		closedir(i->held);
	config_clear(&i->config);
	memset(i, 0, sizeof *i);
}

enum err
issuer_open_again(const struct issuer *i, struct issuer *out)
{
	struct config *c = &out->config;
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = config_load(i->config.dir, c)) == E_OK && (e = x509io_read_cert(c->ca_cert, &out->ca)) == E_OK &&
	    (e = x509io_read_cert(c->root_cert, &out->root)) == E_OK &&
	    (X509_cmp(out->ca, i->ca) != 0 || strcmp(c->ca_key, i->config.ca_key) != 0 ||
		upstream_is(out) != upstream_is(i)))
		e = err_set(E_CONF, "%s: another CA, or its key is elsewhere: start the service again", c->ca_cert);
	if (e == E_OK && (e = escrow_open(out)) == E_OK)
		e = trust_load(c->anchors, c->intermediates, c->piv_crls, &out->trust);
	if (e != E_OK) {
		issuer_close(out);
		return e;
	}
	out->held = i->held;
	out->db = i->db;
	out->key = i->key;
	out->ra = i->ra;
	return E_OK;
}

void
issuer_drop(struct issuer *again)
{
	again->held = NULL;
	again->db = NULL;
	again->key = NULL;
	again->ra = NULL;
	issuer_close(again);
}

void
issuer_replace(struct issuer *i, struct issuer *again)
{
	struct issuer old = *i;

	*i = *again;
	issuer_drop(&old);
}

/* The root's key exists beside the issuer in a demo only. */
static enum err
refresh_root(struct issuer *i, time_t now, bool force)
{
	struct config *c = &i->config;
	EVP_PKEY *key = NULL;
	enum err e;

	if (!c->demo || access(c->root_key, R_OK) != 0 || (!force && !crl_stale(c->root_crl, now, c->crl_hours)))
		return E_OK;
	if ((e = x509io_read_key(c->root_key, &key)) == E_OK)
		e = crl_publish(
		    i->db, "root-crl", i->root, key, false, c->root_crl, now, c->crl_hours + CRL_LIFE_EXTRA);
	EVP_PKEY_free(key);
	return e;
}

/* By age, or because a revocation is in the ledger alone: who recorded it was cut off before the list was made. */
static enum err
is_due(struct issuer *i, time_t now, bool *due)
{
	const struct config *c = &i->config;
	int64_t revoked;
	enum err e = ledger_count_revoked(i->db, &revoked);

	*due = e == E_OK && (crl_stale(c->ca_crl, now, c->crl_hours) || crl_entries(c->ca_crl) != revoked);
	return e;
}

enum err
issuer_refresh_crls(struct issuer *i, time_t now, bool force)
{
	struct config *c = &i->config;
	bool due = force;
	enum err e;

	if (upstream_is(i)) /* the lists are the CA's, and so is the list of what is revoked */
		return E_OK;
	e = force ? E_OK : is_due(i, now, &due);
	if (e == E_OK && due)
		e = crl_publish(
		    i->db, "crl", i->ca, cakey_pkey(i->key), true, c->ca_crl, now, c->crl_hours + CRL_LIFE_EXTRA);
	if (e != E_OK || (e = refresh_root(i, now, force)) != E_OK)
		return e;
	/* without the root's list (kept by someone else) there is nothing to bundle */
	return access(c->root_crl, R_OK) == 0 ? crl_bundle(c->ca_crl, c->root_crl, c->crls) : E_OK;
}
