/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens with places of their own: PIV tokens, by dpiv's module. A CKA_ID there is a key reference, which has room for
 * one key and one certificate; the card keeps no labels, a key without a certificate cannot be asked for its public
 * half, and most cards can neither delete nor move a key (docs/dpiv-pkcs11.7). What follows from that is here, by
 * Cryptoki alone.
 *
 * A key is destroyed by deleting it where the card can, else by a throw-away key over it (SP 800-157r1, 2.4: zeroized).
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/log.h"
#include "derive/token_int.h"

#define MOVABLE	       (CKA_VENDOR_DEFINED | 0x64700004UL) /* CKA_DPIV_MOVABLE, pkcs11/cryptoki3.h */
#define RETIRED_FIRST  0x05				   /* 82 */
#define RETIRED_LAST   0x18				   /* 95 */
#define CHALLENGE_SIZE 32

bool
token_has_places(const struct token *t)
{
	return t->m->own;
}

const char *
token_application(const struct token *t)
{
	if (!t->m->own)
		return NULL;
	return memcmp(t->info.model, "Derived PIV", 11) == 0 ? "A000000308000020000100 (derived PIV)"
							     : "A000000308000010000100 (PIV)";
}

enum err
place_rv(const struct token *t, CK_RV rv, const char *what)
{
	if (t->m->own && (rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_TOKEN_WRITE_PROTECTED))
		return err_set(E_AUTH,
		    "token '%s': %s without its management key: put that into a file and name it in dpiv.conf, section "
		    "[module], management_key_file",
		    t->label, what);
	return rv_set(t, rv, what);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

/* The private key object of this id; CK_INVALID_HANDLE when none can be seen. */
static enum err
place_private(struct token *t, const uint8_t *id, size_t id_len, CK_OBJECT_HANDLE *o)
{
	static const CK_OBJECT_CLASS cls = CKO_PRIVATE_KEY;
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *all = NULL;
	size_t n = 0;
	enum err e = raw_session(t, true);

	*o = CK_INVALID_HANDLE;
	if (e == E_OK)
		e = token_login(t);
	if (e != E_OK)
		return e;
	tmpl_add(&q, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&q, CKA_ID, id, id_len);
	e = raw_find(t, q.a, q.n, &all, &n);
	if (n > 0)
		*o = all[0];
	free(all);
	return e;
}

enum err
token_tell(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY *pub)
{
	const struct private_key k = { .key = pub, .label = "", .id = id, .id_len = id_len };
	CK_OBJECT_HANDLE o;
	enum err e = place_private(t, id, id_len, &o);

	return e != E_OK || o != CK_INVALID_HANDLE ? e : private_put_public(t, &k, &o);
}

static bool
signature_fits(EVP_PKEY *key, EVP_PKEY *pub)
{
	unsigned char tbs[CHALLENGE_SIZE], sig[1024];
	size_t n = sizeof sig;
	EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
	bool fits;

	fits = s != NULL && v != NULL && RAND_bytes(tbs, sizeof tbs) == 1 &&
	    EVP_DigestSignInit(s, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(s, sig, &n, tbs, sizeof tbs) == 1 &&
	    EVP_DigestVerifyInit(v, NULL, EVP_sha256(), NULL, pub) == 1 &&
	    EVP_DigestVerify(v, sig, n, tbs, sizeof tbs) == 1;
	EVP_MD_CTX_free(s);
	EVP_MD_CTX_free(v);
	return fits;
}

/* A key for key agreement, as an EC key for encryption is, gives the same secret as its public half with another. */
static bool
agreement_fits(EVP_PKEY *key, EVP_PKEY *pub)
{
	unsigned char mine[128], theirs[128];
	size_t n = sizeof mine, m = sizeof theirs;
	char curve[64];
	EVP_PKEY *other = EVP_PKEY_get_group_name(pub, curve, sizeof curve, NULL) == 1 ? EVP_EC_gen(curve) : NULL;
	EVP_PKEY_CTX *a = other != NULL ? EVP_PKEY_CTX_new(other, NULL) : NULL, *b = EVP_PKEY_CTX_new(key, NULL);
	bool fits;

	fits = a != NULL && b != NULL && EVP_PKEY_derive_init(a) == 1 && EVP_PKEY_derive_set_peer(a, pub) == 1 &&
	    EVP_PKEY_derive(a, mine, &n) == 1 && EVP_PKEY_derive_init(b) == 1 &&
	    EVP_PKEY_derive_set_peer(b, other) == 1 && EVP_PKEY_derive(b, theirs, &m) == 1 && n == m &&
	    CRYPTO_memcmp(mine, theirs, n) == 0;
	EVP_PKEY_CTX_free(a);
	EVP_PKEY_CTX_free(b);
	EVP_PKEY_free(other);
	return fits;
}

/* Some keys do one, some the other. */
static bool
key_fits(EVP_PKEY *key, EVP_PKEY *pub)
{
	bool fits = signature_fits(key, pub);

	if (!fits && EVP_PKEY_get_base_id(pub) == EVP_PKEY_EC) {
		ERR_clear_error();
		fits = agreement_fits(key, pub);
	}
	return fits;
}

enum err
token_proves(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY *pub, bool *yes)
{
	EVP_PKEY *key = NULL;
	enum err e = token_pkey(t, id, id_len, &key);

	*yes = false;
	if (e != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	if (EVP_PKEY_eq(key, pub) == 1)
		*yes = key_fits(key, pub);
	if (!*yes && ERR_peek_error() != 0) {
		e = token_failed(t, E_OK, "cannot try the key");
		/* refused by the card: then it is another key; anything else says nothing about it */
		if (e == E_CRYPTO || e == E_IO || e == E_NOTFOUND || e == E_UNSUP || e == E_POLICY)
			e = token_present(t) ? E_OK : e;
	}
	EVP_PKEY_free(key);
	return e;
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

enum err
token_movable(struct token *t, const uint8_t *id, size_t id_len, bool *yes)
{
	CK_OBJECT_HANDLE o;
	enum err e = token_has_places(t) ? place_private(t, id, id_len, &o) : E_NOTFOUND;

	*yes = e == E_OK && o != CK_INVALID_HANDLE && raw_bool(t, o, MOVABLE);
	return e == E_NOTFOUND ? E_OK : e;
}

enum err
token_move(struct token *t, const uint8_t *id, size_t id_len, uint8_t to)
{
	CK_ATTRIBUTE a = { CKA_ID, &to, sizeof to };
	CK_OBJECT_HANDLE o;
	CK_RV rv;
	enum err e = place_private(t, id, id_len, &o);

	if (e != E_OK)
		return e;
	if (o == CK_INVALID_HANDLE)
		return err_set(E_NOTFOUND, "token '%s' has no key to be moved", t->label);
	rv = t->m->f->C_SetAttributeValue(t->session, o, &a, 1);
	pkey_forget(t);
	return rv == CKR_OK ? E_OK : place_rv(t, rv, "cannot move a key");
}

enum err
token_free_retired(struct token *t, X509 *cert, uint8_t *place)
{
	const struct token_key *keys;
	size_t n, all, labelled;
	enum err e = token_keys(t, &keys, &n);

	for (size_t i = 0; e == E_OK && cert != NULL && i < n; i++) {
		*place = keys[i].id_len == 1 ? keys[i].id[0] : 0;
		if (*place >= RETIRED_FIRST && *place <= RETIRED_LAST && keys[i].cert != NULL &&
		    X509_cmp(keys[i].cert, cert) == 0)
			return E_OK;
	}
	for (int i = cert != NULL ? RETIRED_FIRST : RETIRED_LAST; e == E_OK && i >= RETIRED_FIRST && i <= RETIRED_LAST;
	     i += cert != NULL ? 1 : -1) {
		*place = (uint8_t)i;
		e = token_count(t, place, 1, "", &all, &labelled);
		if (e == E_OK && all == 0)
			return E_OK;
	}
	return e != E_OK ? e : err_set(E_NOSPACE, "token '%s': all twenty places of retired keys are taken", t->label);
}

/* --- destroying --------------------------------------------------------------------------------------------------- */

/* true: deleted, or nothing was there */
static enum err
place_delete(struct token *t, const uint8_t *id, size_t id_len, bool *deleted)
{
	CK_OBJECT_HANDLE o;
	CK_RV rv;
	enum err e = place_private(t, id, id_len, &o);

	*deleted = false;
	if (e != E_OK || o == CK_INVALID_HANDLE)
		return e;
	rv = t->m->f->C_DestroyObject(t->session, o);
	*deleted = rv == CKR_OK;
	return rv == CKR_OK || rv == CKR_ACTION_PROHIBITED ? E_OK : place_rv(t, rv, "cannot delete a key");
}

enum err
token_discard(struct token *t, const uint8_t *id, size_t id_len)
{
	bool deleted;

	return place_delete(t, id, id_len, &deleted);
}

static enum err
place_overwrite(struct token *t, const uint8_t *id, size_t id_len, enum token_alg alg, EVP_PKEY *was)
{
	const struct token_new n = {
		.alg = alg, .use = TOKEN_USE_SIGN, .label = "", .id = id, .id_len = id_len, .over = true
	};
	EVP_PKEY *now = NULL;
	enum err e = token_make(t, &n, &now);

	if (e == E_OK && was != NULL && EVP_PKEY_eq(was, now) == 1)
		e = err_set(E_IO, "token '%s' still has the key that was to be destroyed", t->label);
	EVP_PKEY_free(now);
	ERR_clear_error();
	return e;
}

enum err
token_zeroize(struct token *t, const uint8_t *id, size_t id_len, enum token_alg alg, EVP_PKEY *was)
{
	size_t all, labelled;
	bool deleted = false;
	enum err e = place_delete(t, id, id_len, &deleted);

	if (e == E_OK && !deleted) {
		e = place_overwrite(t, id, id_len, alg, was);
		if (e == E_OK)
			e = place_delete(t, id, id_len, &deleted); /* the throw-away key of a card that can delete */
	}
	if (e == E_OK && deleted) {
		e = token_count(t, id, id_len, "", &all, &labelled);
		if (e == E_OK && all > 0)
			e = err_set(E_IO, "token '%s' still has the key or certificate that was deleted", t->label);
	}
	log_info(
	    "token.zeroized", "token=%s how=%s error=%s", t->label, deleted ? "deleted" : "overwritten", err_name(e));
	return e;
}
