/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The credentials of a token behind another module. Of all its objects those are taken that the uri names, with what
 * has the same CKA_ID; when it names none, every certificate that has a key. A certificate brings its public key along,
 * also where the token has no such object or hides it: without public keys beside the certificates NSS uses neither. A
 * key without a certificate is taken only when the uri names it, and needs its public key object.
 *
 * Each search looks at the token's object handles again, and at the objects only when these are others than before.
 * While nobody is logged in private keys are not to be seen; that they are missing then says nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "base/text.h"
#include "pkcs11/remote.h"

struct item {
	CK_OBJECT_HANDLE handle;
	enum p11_kind kind;
	bool private;
	uint8_t id[REMOTE_ID];
	size_t id_len;
	char label[64];
};

struct inventory {
	struct item item[REMOTE_SEEN];
	size_t n;
};

static const struct {
	CK_OBJECT_CLASS class;
	enum p11_kind kind;
} classes[] = { { CKO_CERTIFICATE, KIND_CERT }, { CKO_PUBLIC_KEY, KIND_PUBLIC }, { CKO_PRIVATE_KEY, KIND_PRIVATE } };
#define N_CLASSES (sizeof classes / sizeof classes[0])

/* --- what the token shows --- */

static CK_RV
handles_read(const struct remote *r, struct inventory *in)
{
	CK_OBJECT_HANDLE found[REMOTE_SEEN / N_CLASSES];
	size_t n;
	CK_RV rv;

	in->n = 0;
	for (size_t c = 0; c < N_CLASSES; c++) {
		rv = p11mod_find(r->f, r->session, classes[c].class, found, REMOTE_SEEN / N_CLASSES, &n);
		if (rv != CKR_OK)
			return rv;
		for (size_t i = 0; i < n; i++)
			in->item[in->n++] = (struct item){ .handle = found[i], .kind = classes[c].kind };
	}
	return CKR_OK;
}

static bool
handles_known(struct remote *r, const struct inventory *in)
{
	bool same = in->n == r->n_seen && in->n > 0;

	for (size_t i = 0; i < in->n && same; i++)
		same = r->seen[i] == in->item[i].handle;
	for (size_t i = 0; i < in->n && !same; i++)
		r->seen[i] = in->item[i].handle;
	r->n_seen = in->n;
	return same;
}

static void
item_read(const struct remote *r, struct item *o)
{
	WBUF_AUTO id;
	WBUF_AUTO label;

	wbuf_init(&id, REMOTE_ID);
	wbuf_init(&label, sizeof o->label - 1);
	if (p11mod_attr(r->f, r->session, o->handle, CKA_ID, &id) == CKR_OK && !id.bad && id.n > 0) {
		memcpy(o->id, id.p, id.n);
		o->id_len = id.n;
	}
	if (p11mod_attr(r->f, r->session, o->handle, CKA_LABEL, &label) == CKR_OK && !label.bad && label.n > 0)
		memcpy(o->label, label.p, label.n);
	o->private = p11mod_bool(r->f, r->session, o->handle, CKA_PRIVATE, o->kind == KIND_PRIVATE);
}

static bool
same_id(const struct item *a, const struct item *b)
{
	return span_eq(span_of(a->id, a->id_len), span_of(b->id, b->id_len));
}

static struct item *
item_of(struct inventory *in, const struct item *like, enum p11_kind kind)
{
	for (size_t i = 0; i < in->n; i++)
		if (in->item[i].kind == kind && same_id(&in->item[i], like))
			return &in->item[i];
	return NULL;
}

/* Does the uri name this object or one with the same id? */
static bool
is_named(const struct remote *r, const struct inventory *in, const struct item *like)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct item *o = &in->item[i];
		CK_OBJECT_CLASS class = CKO_CERTIFICATE;

		for (size_t c = 0; c < N_CLASSES; c++)
			if (classes[c].kind == o->kind)
				class = classes[c].class;
		if (same_id(o, like) && remote_uri_fits(r, class, span_of(o->id, o->id_len), span_str(o->label)))
			return true;
	}
	return false;
}

/* --- the certificate --- */

static bool
cert_read(struct p11_slot *slot, CK_OBJECT_HANDLE handle, struct p11_cred *c)
{
	const struct remote *r = slot->remote;

	wbuf_free(&c->der);
	wbuf_init(&c->der, PIV_OBJ_MAX);
	return p11mod_ulong(r->f, r->session, handle, CKA_CERTIFICATE_TYPE, CKC_X_509) == CKC_X_509 &&
	    p11mod_attr(r->f, r->session, handle, CKA_VALUE, &c->der) == CKR_OK && !c->der.bad && cred_parse(slot, c);
}

static bool
is_newer(const struct p11_cred *a, const struct p11_cred *b)
{
	return b->x509 == NULL || ASN1_TIME_compare(X509_get0_notBefore(a->x509), X509_get0_notBefore(b->x509)) > 0;
}

/* The newest of this id: a renewal may stand beside what it renews. */
static CK_OBJECT_HANDLE
cert_choose(struct p11_slot *slot, struct inventory *in, const struct item *like, struct p11_cred *best)
{
	CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;

	for (size_t i = 0; i < in->n; i++) {
		struct p11_cred c = { .state = CRED_UNREAD };

		if (in->item[i].kind != KIND_CERT || !same_id(&in->item[i], like))
			continue;
		if (cert_read(slot, in->item[i].handle, &c) && is_newer(&c, best)) {
			struct p11_cred older = *best;

			*best = c;
			c = older;
			handle = in->item[i].handle;
		}
		cred_clear(&c);
	}
	return handle;
}

/* --- the private key --- */

/* From the certificate's key usage, as long as the key itself is hidden. */
static void
row_guess(struct remote_cred *rc, X509 *x)
{
	uint32_t usage = X509_get_key_usage(x);

	rc->row.sign = (usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) != 0;
	rc->row.decrypt = (usage & (KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT | KU_KEY_AGREEMENT)) != 0;
	rc->row.pin = true;
}

/* Is it the certificate's? Elliptic-curve private keys do not tell their point. */
static bool
key_fits(const struct remote *r, CK_OBJECT_HANDLE key, const struct p11_cred *c)
{
	bool rsa = piv_alg_is_rsa(c->alg), fits;
	BIGNUM *own = NULL, *theirs = NULL;
	WBUF_AUTO n;

	wbuf_init(&n, 1024);
	if (p11mod_ulong(r->f, r->session, key, CKA_KEY_TYPE, CKK_VENDOR_DEFINED) != (rsa ? CKK_RSA : CKK_EC))
		return false;
	if (!rsa || p11mod_attr(r->f, r->session, key, CKA_MODULUS, &n) != CKR_OK || n.bad || n.n == 0)
		return true;
	theirs = BN_bin2bn(n.p, (int)n.n, NULL);
	fits = theirs != NULL && EVP_PKEY_get_bn_param(c->pkey, "n", &own) == 1 && BN_cmp(own, theirs) == 0;
	BN_free(own);
	BN_free(theirs);
	ERR_clear_error();
	return fits;
}

static void
key_read(const struct remote *r, CK_OBJECT_HANDLE key, const struct p11_cred *c)
{
	struct remote_cred *rc = c->remote;
	const CK_FUNCTION_LIST *f = r->f;
	CK_ATTRIBUTE_TYPE other = piv_alg_is_rsa(c->alg) ? CKA_DECRYPT : CKA_DERIVE;

	rc->key = key;
	rc->has_key = true;
	rc->row.sign = p11mod_bool(f, r->session, key, CKA_SIGN, false);
	rc->row.decrypt = p11mod_bool(f, r->session, key, other, false);
	rc->row.pin = p11mod_bool(f, r->session, key, CKA_PRIVATE, true);
	rc->row.pin_always = p11mod_bool(f, r->session, key, CKA_ALWAYS_AUTHENTICATE, false);
	rc->local = p11mod_bool(f, r->session, key, CKA_LOCAL, false);
	rc->sensitive = p11mod_bool(f, r->session, key, CKA_SENSITIVE, true);
	rc->extractable = p11mod_bool(f, r->session, key, CKA_EXTRACTABLE, false);
	rc->always_sensitive = p11mod_bool(f, r->session, key, CKA_ALWAYS_SENSITIVE, false);
	rc->never_extractable = p11mod_bool(f, r->session, key, CKA_NEVER_EXTRACTABLE, false);
}

/* Of several keys with this id the one that is the certificate's. */
static void
key_choose(const struct remote *r, const struct inventory *in, const struct item *like, const struct p11_cred *c)
{
	for (size_t i = 0; i < in->n; i++)
		if (in->item[i].kind == KIND_PRIVATE && same_id(&in->item[i], like) &&
		    key_fits(r, in->item[i].handle, c)) {
			key_read(r, in->item[i].handle, c);
			return;
		}
}

/* --- the credential --- */

/* Keys that dpiv derived carry their role in their labels, and get the labels that such a key has on a card. */
static unsigned
role_of(const struct p11_token *t, const char *label)
{
	static const char *const roles[] = { "dpiv auth ", "dpiv sign ", "dpiv encrypt " };
	unsigned role = 0;

	for (unsigned i = 0; i < 3; i++)
		if (strncmp(label, roles[i], strlen(roles[i])) == 0)
			role = i + 1;
	for (size_t i = 0; i < P11_CREDS && role != 0; i++)
		if (t->cred[i].remote != NULL && t->cred[i].number == role)
			return 0; /* an older one: as stored */
	return role;
}

static struct p11_cred *
cred_of(struct p11_token *t, const struct item *like)
{
	struct p11_cred *empty = NULL;

	for (size_t i = P11_CREDS; i > 0; i--) {
		struct p11_cred *c = &t->cred[i - 1];

		if (c->remote == NULL)
			empty = c;
		else if (span_eq(span_of(c->remote->id, c->remote->id_len), span_of(like->id, like->id_len)))
			return c;
	}
	return empty;
}

static bool
remote_cred_new(struct p11_token *t, struct p11_cred *c, const struct item *cert)
{
	struct remote_cred *rc = calloc(1, sizeof *rc);

	if (rc == NULL)
		return false;
	memcpy(rc->id, cert->id, cert->id_len);
	rc->id_len = cert->id_len;
	memcpy(rc->label, cert->label, sizeof rc->label);
	text_hex(span_of(rc->id, rc->id_len), rc->name, sizeof rc->name);
	rc->row = (struct piv_key_info){ .name = rc->name, .use = rc->label };
	rc->sensitive = true;
	c->number = role_of(t, rc->label);
	c->row = &rc->row;
	c->remote = rc;
	return true;
}

/* The labels of keys may be others than the certificate's. */
static void
key_label(struct remote_cred *rc, struct inventory *in, const struct item *cert)
{
	const struct item *key = item_of(in, cert, KIND_PRIVATE);

	if (key == NULL)
		key = item_of(in, cert, KIND_PUBLIC);
	if (key != NULL)
		memcpy(rc->key_label, key->label, sizeof rc->key_label);
}

/* Make or mend the credential of this certificate's id. */
static void
cred_update(struct p11_slot *slot, struct inventory *in, const struct item *cert)
{
	struct p11_cred *c = cred_of(slot->token, cert), best = { .state = CRED_UNREAD };
	CK_OBJECT_HANDLE handle;

	if (c == NULL) {
		log_warn("token", "slot=%lu text=\"more than %d credentials\"", slot->id, P11_CREDS);
		return;
	}
	if (c->remote == NULL || c->remote->cert == CK_INVALID_HANDLE) {
		handle = cert_choose(slot, in, cert, &best);
		if (handle == CK_INVALID_HANDLE || (c->remote == NULL && !remote_cred_new(slot->token, c, cert))) {
			cred_clear(&best);
			return;
		}
		EVP_PKEY_free(c->pkey); /* of the time before the certificate */
		c->x509 = best.x509;
		c->pkey = best.pkey;
		c->der = best.der;
		c->alg = best.alg;
		c->state = CRED_THERE;
		c->remote->cert = handle;
		c->remote->hidden = cert->private;
		row_guess(c->remote, c->x509);
	}
	if (c->alg != PIV_ALG_NONE)
		key_choose(slot->remote, in, cert, c);
	key_label(c->remote, in, cert);
	c->remote->stays = true;
}

/* The credential of a named key that has no certificate. */
static void
cred_of_key(struct p11_slot *slot, struct inventory *in, const struct item *pub)
{
	struct p11_cred *c = cred_of(slot->token, pub);
	unsigned char *spki = NULL;
	EVP_PKEY *key;
	int n;

	if (c == NULL ||
	    (c->remote == NULL && (key = remote_pub(slot->remote, slot->module->lib, pub->handle)) == NULL))
		return;
	if (c->remote == NULL) {
		n = i2d_PUBKEY(key, &spki);
		c->alg = n > 0 ? piv_alg_of_spki(span_of(spki, (size_t)n)) : PIV_ALG_NONE;
		OPENSSL_free(spki);
		c->pkey = key;
		if (c->alg == PIV_ALG_NONE || !remote_cred_new(slot->token, c, pub)) {
			cred_clear(c);
			c->state = CRED_ABSENT;
			return;
		}
		c->state = CRED_KEY;
		c->remote->row.sign = c->remote->row.decrypt = c->remote->row.pin = true;
	}
	key_choose(slot->remote, in, pub, c);
	key_label(c->remote, in, pub);
	c->remote->stays = true;
}

/* A certificate that belongs to somebody else (an authority's) is one without a key, as far as can be seen. */
static bool
is_wanted(struct p11_slot *slot, struct inventory *in, struct item *cert)
{
	struct p11_cred c = { .state = CRED_UNREAD };
	bool wanted;

	if (cert->id_len == 0)
		return false;
	if (remote_uri_names(slot->remote))
		return is_named(slot->remote, in, cert);
	if (item_of(in, cert, KIND_PRIVATE) != NULL || item_of(in, cert, KIND_PUBLIC) != NULL)
		return true;
	wanted = !slot->token->user && cert_read(slot, cert->handle, &c) && X509_check_ca(c.x509) == 0;
	cred_clear(&c);
	return wanted;
}

/* What was there and is there no more, as far as it would be seen now. */
static void
creds_sweep(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;

	for (size_t i = 0; i < P11_CREDS; i++) {
		struct p11_cred *c = &t->cred[i];

		if (c->remote == NULL || c->remote->stays || (c->remote->hidden && !t->user))
			continue;
		cred_changed(slot, c);
	}
}

CK_RV
remote_creds(struct p11_slot *slot)
{
	struct remote *r = slot->remote;
	struct inventory *in;
	CK_RV rv;

	if (r->outside > 0) /* calls are using what would be changed */
		return CKR_OK;
	if ((in = calloc(1, sizeof *in)) == NULL)
		return CKR_HOST_MEMORY;
	rv = handles_read(r, in);
	if (rv != CKR_OK || handles_known(r, in))
		goto out;
	for (size_t i = 0; i < P11_CREDS; i++)
		if (slot->token->cred[i].remote != NULL)
			slot->token->cred[i].remote->stays = false;
	for (size_t i = 0; i < in->n; i++)
		item_read(r, &in->item[i]);
	for (size_t i = 0; i < in->n; i++)
		if (in->item[i].kind == KIND_CERT && item_of(in, &in->item[i], KIND_CERT) == &in->item[i] &&
		    is_wanted(slot, in, &in->item[i]))
			cred_update(slot, in, &in->item[i]);
	for (size_t i = 0; i < in->n && remote_uri_names(r); i++)
		if (in->item[i].kind == KIND_PUBLIC && in->item[i].id_len > 0 &&
		    item_of(in, &in->item[i], KIND_CERT) == NULL && is_named(r, in, &in->item[i]))
			cred_of_key(slot, in, &in->item[i]);
	creds_sweep(slot);
out:
	free(in);
	return remote_rv(slot, rv);
}

const char *
remote_label(const struct p11_cred *c, enum p11_kind kind)
{
	if (c->remote == NULL || c->number != 0)
		return NULL;
	return kind == KIND_CERT || c->remote->key_label[0] == '\0' ? c->remote->label : c->remote->key_label;
}
