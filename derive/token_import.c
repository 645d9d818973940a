/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing a key and its certificate to a token: the private key first, the public key, the certificate last, so that
 * what an interruption leaves is a key that the next call finds by its CKA_ID (the SHA-1 of the public key, RFC 5280,
 * 4.2.1.2 (1), as other programs have it) and completes. A failure undoes what was made, or says what stays. The key is
 * looked at afterwards: a token that ignores "sensitive, not extractable" is refused.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sha.h>

#include "base/log.h"
#include "base/text.h"
#include "derive/token_int.h"

struct import {
	struct private_key key;
	X509 *cert;
	struct token_place *place;
	bool has_key, has_cert;
	CK_OBJECT_HANDLE made[2];
	size_t n_made;
};

static bool
id_is(const struct token_key *k, const struct token_place *p)
{
	return span_eq(span_of(k->id, k->id_len), span_of(p->id, p->id_len));
}

static void
id_set(struct token_place *p, const uint8_t *id, size_t n)
{
	memcpy(p->id, id, n);
	p->id_len = n;
}

static bool
same_key(X509 *a, X509 *b)
{
	bool same = EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1;

	ERR_clear_error();
	return same;
}

/* What is there: this certificate, else another one of this key, else the key alone under the id that it gets here. */
static enum err
import_look(struct token *t, struct import *im)
{
	const struct token_key *keys, *cert = NULL, *other = NULL;
	struct token_place *p = im->place;
	uint8_t id[SHA_DIGEST_LENGTH];
	unsigned int id_len = 0;
	size_t n;
	enum err e = token_login(t);

	if (e == E_OK)
		e = token_keys(t, &keys, &n);
	if (e != E_OK)
		return e;
	if (X509_pubkey_digest(im->cert, EVP_sha1(), id, &id_len) != 1)
		return err_crypto(E_CRYPTO, "the certificate's public key cannot be hashed");
	for (size_t i = 0; i < n; i++) {
		if (keys[i].cert == NULL || keys[i].id_len == 0)
			continue;
		if (X509_cmp(keys[i].cert, im->cert) == 0)
			cert = cert == NULL || keys[i].has_private ? &keys[i] : cert;
		else if (same_key(keys[i].cert, im->cert) && keys[i].has_private)
			other = &keys[i];
	}
	if (cert != NULL)
		id_set(p, cert->id, cert->id_len);
	else if (other != NULL)
		id_set(p, other->id, other->id_len);
	else
		id_set(p, id, id_len);
	im->has_cert = cert != NULL;
	for (size_t i = 0; i < n; i++)
		im->has_key |= keys[i].has_private && id_is(&keys[i], p);
	p->how = im->has_key && im->has_cert ? TOKEN_HAD
	    : im->has_key || im->has_cert    ? TOKEN_COMPLETED
					     : TOKEN_IMPORTED;
	if (cert == NULL && other != NULL && t->m->own)
		return err_set(E_EXISTS,
		    "token '%s' has this key already, with another certificate, and keeps one certificate a key",
		    t->label);
	return E_OK;
}

static enum err
import_check(struct token *t, struct import *im, CK_OBJECT_HANDLE o)
{
	WBUF_AUTO id;

	wbuf_init(&id, sizeof im->place->id);
	if (!raw_bool(t, o, CKA_PRIVATE) || !raw_bool(t, o, CKA_SENSITIVE) || raw_bool(t, o, CKA_EXTRACTABLE))
		return err_set(E_POLICY,
		    "token '%s' does not keep the key to itself (sensitive, not extractable); take another token",
		    t->label);
	/* a PIV card says where it has put the key */
	if (raw_get(t, o, CKA_ID, &id) == E_OK && !id.bad && id.n > 0)
		id_set(im->place, id.p, id.n);
	return E_OK;
}

static enum err
import_key(struct token *t, struct import *im)
{
	CK_OBJECT_HANDLE o;
	enum err e;

	im->key.id = im->place->id;
	im->key.id_len = im->place->id_len;
	if ((e = private_put(t, &im->key, &o)) != E_OK)
		return e;
	im->made[im->n_made++] = o;
	if ((e = import_check(t, im, o)) != E_OK || t->m->own)
		return e;
	im->key.id_len = im->place->id_len;
	/* nothing of dpiv needs it; other programs like it, and some tokens have none */
	if (private_put_public(t, &im->key, &o) == E_OK)
		im->made[im->n_made++] = o;
	return E_OK;
}

/* What an interrupted import may have left out: nothing of dpiv needs it. */
static void
import_public(struct token *t, struct import *im)
{
	static const CK_OBJECT_CLASS cls = CKO_PUBLIC_KEY;
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL, made;
	size_t n = 0;

	im->key.id = im->place->id;
	im->key.id_len = im->place->id_len;
	tmpl_add(&q, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&q, CKA_ID, im->key.id, im->key.id_len);
	if (raw_find(t, q.a, q.n, &o, &n) == E_OK && n == 0 && private_put_public(t, &im->key, &made) == E_OK)
		im->made[im->n_made++] = made;
	free(o);
}

/* The sentence stays that of the failure; what cannot be taken back is named. */
static enum err
import_undo(struct token *t, struct import *im, enum err e)
{
	char *why = strdup(err_msg()), hex[2 * 64 + 1];
	bool left = false;

	for (size_t i = im->n_made; i-- > 0;)
		left |= t->m->f->C_DestroyObject(t->session, im->made[i]) != CKR_OK;
	if (left)
		e = err_set(e,
		    "%s; the key stays on '%s' (id %s) without its certificate: the next import completes it",
		    why != NULL ? why : err_text(e), t->label,
		    text_hex(span_of(im->place->id, im->place->id_len), hex, sizeof hex));
	else
		e = err_set(e, "%s", why != NULL ? why : err_text(e));
	free(why);
	return e;
}

static EVP_PKEY *
probe_key(enum token_alg alg)
{
	switch (alg) {
	case TOKEN_P256: return EVP_EC_gen("P-256");
	case TOKEN_P384: return EVP_EC_gen("P-384");
	case TOKEN_RSA3072: return EVP_RSA_gen(3072);
	default: return EVP_RSA_gen(2048);
	}
}

enum err
token_import_probe(struct token *t, enum token_alg alg)
{
	static const uint8_t id[] = "dpiv probe";
	struct private_key k = { .label = "dpiv probe", .id = id, .id_len = sizeof id - 1, .fleeting = true };
	CK_OBJECT_HANDLE o;
	enum err e = token_writable(t);

	if (e == E_OK)
		e = token_login(t);
	if (e != E_OK)
		return e;
	if ((k.key = probe_key(alg)) == NULL)
		return err_crypto(E_CRYPTO, "no key to try the token with");
	if ((e = private_put(t, &k, &o)) == E_OK)
		(void)t->m->f->C_DestroyObject(t->session, o); /* else it goes with the session */
	EVP_PKEY_free(k.key);
	return e;
}

enum err
token_bring(struct token *t, EVP_PKEY *key, const uint8_t *id, size_t id_len)
{
	struct token_place place = { .how = TOKEN_IMPORTED };
	struct private_key k = { .key = key, .label = "", .id = id, .id_len = id_len };
	struct import im = { .place = &place };
	CK_OBJECT_HANDLE o;
	enum err e = raw_session(t, true);

	if (e == E_OK)
		e = token_login(t);
	if (e == E_OK)
		e = private_put(t, &k, &o);
	if (e == E_OK)
		e = import_check(t, &im, o);
	if (e == E_OK && !span_eq(span_of(place.id, place.id_len), span_of(id, id_len)))
		e = err_set(E_IO, "token '%s' has put the key into another place", t->label);
	log_info("token.bring", "token=%s error=%s", t->label, err_name(e));
	return e;
}

enum err
token_bring_probe(struct token *t, enum token_alg alg, const uint8_t *id, size_t id_len)
{
	EVP_PKEY *key = probe_key(alg);
	enum err e = key != NULL ? token_bring(t, key, id, id_len) : err_crypto(E_CRYPTO, "no key to try with");

	EVP_PKEY_free(key);
	if (e != E_UNSUP)
		return e;
	return err_set(E_UNSUP,
	    "token '%s' takes no key from outside, which no command of SP 800-73 does and this token has none of its "
	    "own for (or not for keys of this kind): let it make the key (encrypt = generate in dpiv.conf), or take "
	    "another token",
	    t->label);
}

enum err
token_import_look(struct token *t, X509 *cert, struct token_place *place)
{
	struct import im = { .cert = cert, .place = place };

	memset(place, 0, sizeof *place);
	return import_look(t, &im);
}

enum err
token_import(struct token *t, EVP_PKEY *key, X509 *cert, const char *label, struct token_place *place)
{
	struct import im = { .key = { .key = key, .label = label }, .cert = cert, .place = place };
	enum err e;

	memset(place, 0, sizeof *place);
	if ((e = token_writable(t)) != E_OK || (e = import_look(t, &im)) != E_OK)
		return e;
	if (!im.has_key)
		e = import_key(t, &im);
	else if (!im.has_cert && !t->m->own)
		import_public(t, &im);
	if (e == E_OK && !im.has_cert)
		e = token_put_cert(t, label, place->id, place->id_len, cert);
	log_info("token.import", "token=%s how=%d error=%s", t->label, (int)place->how, err_name(e));
	return e == E_OK || im.n_made == 0 ? e : import_undo(t, &im, e);
}
