/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_FindObjects (PKCS#11 2.40, 5.7). The result is a snapshot of handles taken at C_FindObjectsInit.
 *
 * Certificates are read as late as can be: an object is first held against what is known of it without its certificate
 * (class, id, label, private ...), and only what still matches has its certificate read. So a search for one id costs
 * one certificate, and a search for classes that a card never has costs nothing. Retired keys are tried when the
 * template names one of them, and all twenty, once, when a listing may have one in it: whatever the card's Key History
 * (SP 800-73-5 part 1, 3.3.3) says of them; the log has it when that is not the truth. What is remembered of a card
 * (hw/piv_cache.c) spares those that were not there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define PRIMARY_KEYS 4

void
find_end(struct p11_find *f)
{
	free(f->handle);
	*f = (struct p11_find){ .active = false };
}

static bool
find_add(struct p11_find *f, const struct p11_object *o)
{
	size_t cap = f->cap == 0 ? 32 : f->cap * 2;
	CK_OBJECT_HANDLE *grown;

	if (o == NULL)
		return false;
	if (f->n == f->cap) {
		if ((grown = reallocarray(f->handle, cap, sizeof *grown)) == NULL)
			return false;
		f->handle = grown;
		f->cap = cap;
	}
	f->handle[f->n++] = o->handle;
	return true;
}

/* Do all of the template's attributes match, of those known without the certificate (or of the others)? */
static bool
matches(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n, bool fixed)
{
	for (CK_ULONG i = 0; i < n; i++)
		if (attr_is_static(tmpl[i].type, o->kind) == fixed && !attr_matches(t, o, &tmpl[i]))
			return false;
	return true;
}

/* How many certificates of retired keys does the card admit to? Asked once. */
static enum err
retired_count(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;
	struct p11_data *d = data_by_tag(t, PIV_OBJ_HISTORY);
	struct piv_history h;
	enum err e;

	if (t->history_read)
		return E_OK;
	e = data_load(slot, d);
	if (e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY)
		return e;
	if (e == E_OK && d->state == DATA_READ)
		e = piv_history_parse(wbuf_view(&d->value), &h);
	if (e != E_OK)
		log_warn("history", "error=\"%s\"", err_msg());
	if (e == E_OK && d->state == DATA_READ)
		t->retired = h.on_card;
	else
		t->retired_probe = true;
	t->history_read = true;
	if (e == E_OK && d->state == DATA_READ)
		off_card_open(slot, &h);
	return E_OK;
}

/*
 * The first retired key that is remembered to have no certificate: that is where programs that do not keep Key History
 * put the next one, so it is looked at all the same.
 */
static bool
is_next(const struct p11_token *t, const struct p11_cred *c)
{
	for (size_t i = PRIMARY_KEYS; i < P11_CREDS; i++)
		if (piv_recall(t->card, t->cred[i].row->cert_tag) == PIV_ABSENT)
			return &t->cred[i] == c;
	return false;
}

/* Is this credential worth a certificate? */
static enum err
worth_reading(struct p11_slot *slot, const struct p11_cred *c, bool named, bool *yes)
{
	struct p11_token *t = slot->token;
	struct span cert;
	enum err e;

	*yes = c->state != CRED_UNREAD || c->number <= PRIMARY_KEYS || named;
	if (*yes)
		return E_OK;
	if ((e = retired_count(slot)) == E_OK)
		*yes =
		    piv_recall(t->card, c->row->cert_tag) != PIV_ABSENT || is_next(t, c) || off_card_has(t, c, &cert);
	return e;
}

/* One that was remembered to be absent: then the others are not to be believed either. */
static enum err
load_and_check(struct p11_slot *slot, struct p11_cred *c)
{
	bool absent = piv_recall(slot->token->card, c->row->cert_tag) == PIV_ABSENT;
	enum err e = cred_load(slot, c);

	if (e == E_OK && absent && c->state == CRED_THERE)
		piv_recall_doubt(slot->token->card);
	return e;
}

/* All twenty were looked for: does the log have to know? */
static void
retired_tell(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;
	unsigned found = 0;

	if (!t->history_read || t->retired_told)
		return;
	for (size_t i = PRIMARY_KEYS; i < P11_CREDS; i++) {
		if (t->cred[i].state == CRED_UNREAD && piv_recall(t->card, t->cred[i].row->cert_tag) != PIV_ABSENT)
			return;
		found += t->cred[i].state == CRED_THERE;
	}
	t->retired_told = true;
	if (found != t->retired)
		log_warn("history", "slot=%lu retired-certificates=%u admitted=%u", slot->id, found, t->retired);
}

/* The certificate: of a retired key, from Key History's file when it is not on the card. */
static enum err
cert_load(struct p11_slot *slot, struct p11_cred *c)
{
	const struct p11_token *t = slot->token;
	bool unread = c->state == CRED_UNREAD;
	enum err e;

	if (unread && t->history_read && c->number > PRIMARY_KEYS + t->retired && off_card_take(slot, c))
		return E_OK;
	if ((e = load_and_check(slot, c)) != E_OK || !unread || c->state != CRED_ABSENT || c->number <= PRIMARY_KEYS)
		return e;
	if ((e = retired_count(slot)) == E_OK)
		(void)off_card_take(slot, c);
	return e;
}

/* A key without a certificate: on cards that tell of their keys, for a program that names its place and may change it.
 */
static enum err
key_look(struct p11_session *s, struct p11_cred *c, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	const struct p11_token *t = s->slot->token;

	if (c->state != CRED_ABSENT || t->card == NULL || (s->flags & CKF_RW_SESSION) == 0 ||
	    (!t->user && t->so != SO_ADMIN) || template_find(tmpl, n, CKA_ID) == NULL)
		return E_OK;
	return key_without_certificate(s->slot, c);
}

static enum err
find_cred(
    struct p11_session *s, struct p11_cred *c, enum p11_kind kind, const CK_ATTRIBUTE *tmpl, CK_ULONG n, bool *begun)
{
	struct p11_token *t = s->slot->token;
	struct p11_object probe = { .kind = kind, .cred = c };
	bool named = template_find(tmpl, n, CKA_ID) != NULL || template_find(tmpl, n, CKA_LABEL) != NULL, worth;
	enum err e;

	if (!object_is_visible(t, &probe) || !matches(t, &probe, tmpl, n, true))
		return E_OK;
	if (c->state == CRED_UNREAD && !*begun) {
		if ((e = piv_begin(t->card)) != E_OK)
			return e;
		*begun = true;
	}
	if ((e = worth_reading(s->slot, c, named, &worth)) != E_OK || !worth)
		return e;
	if ((e = cert_load(s->slot, c)) != E_OK || (e = key_look(s, c, tmpl, n)) != E_OK)
		return e;
	if (!cred_has(c, kind))
		return E_OK;
	if ((kind != KIND_CERT && c->alg == PIV_ALG_NONE) || !matches(t, &probe, tmpl, n, false))
		return E_OK;
	return find_add(&s->find, object_of_cred(s->slot, c, kind)) ? E_OK : err_set(E_NOMEM, "out of memory");
}

/* Attestation certificates, for a search that means them. */
static enum err
find_attested(struct p11_session *s, struct p11_cred *c, const CK_ATTRIBUTE *tmpl, CK_ULONG n, bool *begun)
{
	struct p11_token *t = s->slot->token;
	struct p11_object probe = { .kind = KIND_CERT, .cred = c };
	enum err e;

	if (!attest_wanted(s->slot, c, tmpl, n) || !matches(t, &probe, tmpl, n, true))
		return E_OK;
	if (c->state == CRED_UNREAD && !*begun) {
		if ((e = piv_begin(t->card)) != E_OK)
			return e;
		*begun = true;
	}
	if ((e = attest_load(s->slot, c)) != E_OK || c->state != CRED_THERE || !matches(t, &probe, tmpl, n, false))
		return e;
	return find_add(&s->find, object_of_cred(s->slot, c, KIND_CERT)) ? E_OK : err_set(E_NOMEM, "out of memory");
}

/* All reading in one transaction: so an object that is missing needs no second look at the card (hw/piv_card.c). */
static CK_RV
find_creds(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	static const enum p11_kind kinds[] = { KIND_CERT, KIND_PUBLIC, KIND_PRIVATE };
	struct p11_token *t = s->slot->token;
	bool begun = false;
	enum err e = E_OK;

	for (size_t i = 0; i < P11_CREDS && e == E_OK; i++)
		for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && e == E_OK; k++)
			e = find_cred(s, &t->cred[i], kinds[k], tmpl, n, &begun);
	for (size_t i = 0; i < P11_ATTESTS && e == E_OK && t->card != NULL; i++)
		e = find_attested(s, &t->attest[i], tmpl, n, &begun);
	if (begun)
		piv_end(t->card);
	if (e == E_OK)
		retired_tell(s->slot);
	return token_result(s->slot, e);
}

static enum err
find_datum(struct p11_session *s, struct p11_data *d, const CK_ATTRIBUTE *tmpl, CK_ULONG n, bool *begun)
{
	struct p11_token *t = s->slot->token;
	struct p11_object probe = { .kind = KIND_DATA, .data = d };
	bool named = template_find(tmpl, n, CKA_OBJECT_ID) != NULL || template_find(tmpl, n, CKA_LABEL) != NULL ||
	    template_find(tmpl, n, CKA_APPLICATION) != NULL;
	enum err e;

	if (!object_is_visible(t, &probe) || !matches(t, &probe, tmpl, n, true))
		return E_OK;
	if (!*begun && d->state != DATA_ABSENT && d->state != DATA_READ) {
		if ((e = piv_begin(t->card)) != E_OK)
			return e;
		*begun = true;
	}
	if (!named && d->state == DATA_UNKNOWN && (e = retired_count(s->slot)) != E_OK)
		return e;
	if ((e = data_look(s->slot, d, named)) != E_OK || d->state == DATA_ABSENT || d->state == DATA_DOUBTED)
		return e;
	if (template_find(tmpl, n, CKA_VALUE) != NULL && ((e = data_load(s->slot, d)) != E_OK || d->state != DATA_READ))
		return e;
	if (!matches(t, &probe, tmpl, n, false))
		return E_OK;
	return find_add(&s->find, object_of_data(s->slot, d)) ? E_OK : err_set(E_NOMEM, "out of memory");
}

static CK_RV
find_data(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	struct p11_token *t = s->slot->token;
	bool begun = false;
	enum err e = E_OK;

	for (size_t i = 0; i < P11_DATA && e == E_OK; i++)
		e = find_datum(s, &t->data[i], tmpl, n, &begun);
	if (begun)
		piv_end(t->card);
	return token_result(s->slot, e);
}

static CK_RV
find_others(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	struct p11_token *t = s->slot->token;
	CK_RV rv = CKR_OK;

	for (size_t i = 0; i < t->n_obj && rv == CKR_OK; i++) {
		struct p11_object *o = t->obj[i];
		bool all = true;

		if ((o->kind != KIND_STORED && o->kind != KIND_PROFILE) || !object_is_visible(t, o))
			continue;
		for (CK_ULONG a = 0; a < n && all; a++)
			all = attr_matches(t, o, &tmpl[a]);
		if (all && !find_add(&s->find, o))
			rv = CKR_HOST_MEMORY;
	}
	return rv;
}

CK_RV
find_init(struct p11_session *s, CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	CK_RV rv;

	if (s->find.active)
		return CKR_OPERATION_ACTIVE;
	if (!template_ok(tmpl, n))
		return CKR_ARGUMENTS_BAD;
	if (s->slot->remote != NULL && (rv = remote_creds(s->slot)) != CKR_OK)
		return rv;
	if ((rv = find_creds(s, tmpl, n)) == CKR_OK && (rv = find_data(s, tmpl, n)) == CKR_OK)
		rv = find_others(s, tmpl, n);
	if (rv != CKR_OK)
		find_end(&s->find);
	else
		s->find.active = true;
	return rv;
}

CK_RV
find_next(struct p11_session *s, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *n)
{
	struct p11_find *f = &s->find;

	if (!f->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (n == NULL || (out == NULL && max != 0))
		return CKR_ARGUMENTS_BAD;
	for (*n = 0; *n < max && f->next < f->n;)
		out[(*n)++] = f->handle[f->next++];
	return CKR_OK;
}

CK_RV
find_final(struct p11_session *s)
{
	if (!s->find.active)
		return CKR_OPERATION_NOT_INITIALIZED;
	find_end(&s->find);
	return CKR_OK;
}
