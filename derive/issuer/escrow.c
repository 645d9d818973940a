/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Escrow of encryption keys: rows of wrapped keys in the ledger, each with its certificate's serial number and the
 * certificate of the recovery key that it was wrapped for. The recovery key is opened for a release and closed again,
 * so that a server which only issues never holds it; its PIN comes from the URI's pin-source. A release is decided and
 * recorded by the caller (est_keygen.c).
 */
#include <unistd.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/x509io.h"
#include "derive/keywrap.h"

enum err
escrow_open(struct issuer *i)
{
	EVP_PKEY *pub;
	enum err e;

	if (access(i->config.recovery_cert, F_OK) != 0)
		return E_OK;
	if ((e = x509io_read_cert(i->config.recovery_cert, &i->recovery)) != E_OK)
		return e;
	pub = X509_get0_pubkey(i->recovery);
	if (pub == NULL || (EVP_PKEY_get_base_id(pub) != EVP_PKEY_RSA && EVP_PKEY_get_base_id(pub) != EVP_PKEY_EC))
		return err_set(
		    E_CONF, "%s: the recovery key must be RSA or on an elliptic curve", i->config.recovery_cert);
	if (EVP_PKEY_get_security_bits(pub) < 112)
		return err_set(E_CONF, "%s: the recovery key is too short", i->config.recovery_cert);
	return E_OK;
}

enum err
escrow_wrap(const struct issuer *i, EVP_PKEY *key, struct wbuf *out)
{
	return keywrap_seal(key, NULL, NULL, X509_get0_pubkey(i->recovery), out);
}

static enum err
recovery_sha256(const struct issuer *i, char out[65])
{
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 65536);
	if ((e = x509io_cert_der(i->recovery, &der)) == E_OK)
		x509io_sha256_text(wbuf_view(&der), out);
	return e;
}

enum err
escrow_put(struct issuer *i, const char *serial, int64_t account, const struct escrow_row *row, time_t now)
{
	char by[65];
	enum err e = recovery_sha256(i, by);

	if (e != E_OK)
		return e;
	return db_run(i->db,
	    "INSERT INTO escrow (serial, account, recovery, wrapped, created, way, sent) VALUES (?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_text(serial), db_int(account), db_text(by), db_blob(row->kept), db_int(now), db_text(row->way),
		db_blob(row->sent)));
}

enum err
escrow_again(
    struct issuer *i, const char *way, const char *card_sha256, time_t since, struct wbuf *cert, struct wbuf *sent)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(i->db, &q,
	    "SELECT c.der, e.sent FROM escrow e JOIN certificate c ON c.serial = e.serial"
	    " WHERE e.way = ? AND c.card_sha256 = ? AND c.state = 'issued' AND e.created >= ?"
	    " AND c.serial NOT IN (SELECT serial FROM revocation) ORDER BY e.created DESC LIMIT 1",
	    DB_ARGS(db_text(way), db_text(card_sha256), db_int(since)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "no key was made for this request before");
	if (e == E_OK) {
		wbuf_span(cert, db_col_blob(q, 0));
		wbuf_span(sent, db_col_blob(q, 1));
	}
	db_done(&q);
	return e;
}

/* --- release ------------------------------------------------------------------------------------------------------ */

static enum err
row_open(struct db_rows *q, EVP_PKEY *with, X509 **cert, EVP_PKEY **key)
{
	struct span der = db_col_blob(q, 1);
	const unsigned char *p = der.p;
	enum err e;

	*key = NULL;
	*cert = d2i_X509(NULL, &p, (long)der.n);
	if (*cert == NULL)
		return err_crypto(E_STORE, "the certificate of an escrowed key cannot be read");
	e = keywrap_open(db_col_blob(q, 2), with, NULL, key);
	if (e == E_CRYPTO)
		e = err_crypto(E_CRYPTO, "the recovery key does not open the escrowed key %s", db_col_text(q, 0));
	if (e == E_OK && EVP_PKEY_eq(*key, X509_get0_pubkey(*cert)) != 1)
		e = err_crypto(E_STORE, "the escrowed key %s is another one", db_col_text(q, 0));
	return e;
}

/* One cursor is open while the caller's function runs; it must not write to the ledger. */
static enum err
rows_open(struct issuer *i, int64_t account, EVP_PKEY *with, escrow_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	char by[65];
	bool row = false;
	enum err e = recovery_sha256(i, by);

	if (e == E_OK)
		e = db_query(i->db, &q,
		    "SELECT e.serial, c.der, e.wrapped FROM escrow e JOIN certificate c ON c.serial = e.serial"
		    " WHERE e.account = ? AND e.recovery = ? AND c.state = 'issued'"
		    " ORDER BY e.created DESC, e.rowid DESC LIMIT ?",
		    DB_ARGS(db_int(account), db_text(by), db_int(ESCROW_MAX)));
	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		EVP_PKEY *key;
		X509 *cert;

		if ((e = row_open(q, with, &cert, &key)) == E_OK)
			e = fn(arg, db_col_text(q, 0), cert, key);
		EVP_PKEY_free(key);
		X509_free(cert);
	}
	db_done(&q);
	return e;
}

enum err
escrow_each(struct issuer *i, int64_t account, escrow_fn *fn, void *arg)
{
	struct cakey *key = NULL;
	int64_t n;
	enum err e = db_number(i->db, &n, "SELECT count(*) FROM escrow WHERE account = ?", DB_ARGS(db_int(account)));

	if (e != E_OK || n == 0)
		return e;
	e = cakey_open_as(
	    "recovery key", i->config.recovery_key, i->config.demo, false, X509_get0_pubkey(i->recovery), &key);
	if (e == E_OK)
		e = rows_open(i, account, cakey_pkey(key), fn, arg);
	cakey_close(&key);
	return e;
}
