/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two independent answers, and both must be right. What the browser says: Sec-Fetch-Site (Fetch Metadata) where it
 * sends it, and Origin (RFC 6454, 7), which every browser sends with a POST; none of the two is a refusal, since then
 * it is no browser of these years and the programs' paths are elsewhere. And what only our own page can know: a token,
 * HMAC-SHA256 over its end, the card's certificate and the path, under a key in the ledger that all processes of this
 * issuer share; nothing is kept for it, so forms survive a restart and cost no memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/text.h"
#include "derive/issuer/guard.h"
#include "derive/issuer/refuse.h"

#define LIFE   3600
#define KEY    32
#define NAME   "page-form"
#define DIGITS 16 /* of the end in hex */

static enum err
shared_key(struct db *db, uint8_t key[KEY])
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e;

	if (RAND_bytes(key, KEY) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	e = db_query(db, &q, "SELECT value FROM secret WHERE name = ?", DB_ARGS(db_text(NAME)));
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row) {
		struct span had = db_col_blob(q, 0);

		if (had.n != KEY)
			e = err_set(E_STORE, "the key of the page's forms in the ledger is damaged");
		else
			memcpy(key, had.p, KEY);
	}
	db_done(&q);
	if (e != E_OK || row)
		return e;
	e = db_run(
	    db, "INSERT INTO secret (name, value) VALUES (?, ?)", DB_ARGS(db_text(NAME), db_blob(span_of(key, KEY))));
	return e == E_EXISTS ? shared_key(db, key) : e; /* another process was faster; rows are never removed */
}

static enum err
make(struct db *db, const char *sha256, const char *path, long long end, char out[GUARD_TOKEN])
{
	uint8_t key[KEY], mac[EVP_MAX_MD_SIZE];
	char text[256], hex[65];
	unsigned n = 0;
	int len = snprintf(text, sizeof text, "dpiv page 1|%016llx|%s|%s", (unsigned long long)end, sha256, path);
	enum err e;

	if (len < 0 || (size_t)len >= sizeof text)
		return err_set(E_INTERNAL, "a path is too long for a form");
	if ((e = shared_key(db, key)) == E_OK &&
	    (HMAC(EVP_sha256(), key, KEY, (const unsigned char *)text, (size_t)len, mac, &n) == NULL || n != 32))
		e = err_crypto(E_CRYPTO, "cannot compute an HMAC");
	OPENSSL_cleanse(key, sizeof key);
	if (e == E_OK)
		(void)snprintf(
		    out, GUARD_TOKEN, "%016llx%s", (unsigned long long)end, text_hex(span_of(mac, n), hex, sizeof hex));
	return e;
}

enum err
guard_token(struct db *db, const char *sha256, const char *path, time_t now, char out[GUARD_TOKEN])
{
	return make(db, sha256, path, (long long)now + LIFE, out);
}

static bool
own_origin(const struct est_request *rq)
{
	static const char scheme[] = "https://";

	return rq->host && strncasecmp(rq->origin, scheme, sizeof scheme - 1) == 0 &&
	    strcasecmp(&rq->origin[sizeof scheme - 1], rq->host) == 0;
}

/* Until when, by the token itself; -1: it is none. */
static long long
end_of(const char *token)
{
	char text[DIGITS + 1];

	if (token == NULL || strlen(token) != DIGITS + 64 || strspn(token, "0123456789abcdefABCDEF") != DIGITS + 64)
		return -1;
	memcpy(text, token, DIGITS);
	text[DIGITS] = '\0';
	return strtoll(text, NULL, 16);
}

enum err
guard_check(struct db *db, const struct est_request *rq, const char *sha256, const char *token, time_t now)
{
	char want[GUARD_TOKEN];
	long long end = end_of(token);
	enum err e;

	if (rq->site == NULL && rq->origin == NULL)
		return refuse(REFUSE_CROSS_SITE, "the browser does not say from which page this form was sent");
	if ((rq->site && strcmp(rq->site, "same-origin") != 0) || (rq->origin && !own_origin(rq)))
		return refuse(REFUSE_CROSS_SITE, "this form was sent from a page of another site");
	if (end < 0 || end > (long long)now + LIFE)
		return refuse(REFUSE_CROSS_SITE, "this form was not made by this issuer's page");
	if ((e = make(db, sha256, rq->path, end, want)) != E_OK)
		return e;
	if (CRYPTO_memcmp(want, token, DIGITS + 64) != 0)
		return refuse(REFUSE_CROSS_SITE, "this form was not made by this issuer's page for this card");
	return end >= (long long)now
	    ? E_OK
	    : refuse(REFUSE_CROSS_SITE, "this form is older than an hour; open the page again");
}
