/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that a card can move from one place to another (YubiKey's F6, firmware 5.7): an encryption key makes room for
 * its successor and stays readable as a retired key; a new key waits in a retired place until its certificate is there.
 * SP 800-73 has no such command.
 *
 * A certificate follows its key. It is written at the new place first and removed from the old one last, so that
 * wherever this is cut off, the key has its certificate beside it, and the same call again finishes. Only an empty
 * place is moved to; that it is empty is what the card's metadata say, so a card without these moves nothing.
 */
#include "base/log.h"
#include "pkcs11/p11.h"

/* The key of a place as its metadata tell: E_NOTFOUND none, E_UNSUP the card does not tell. spki may be NULL. */
static enum err
key_told(struct p11_slot *slot, const struct p11_cred *c, enum piv_alg *alg, struct wbuf *spki)
{
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	enum err e;

	wbuf_init(&answer, PIV_METADATA_MAX);
	if ((e = piv_metadata_get(slot->token->card, c->row->ref, &answer, &m)) != E_OK)
		return e;
	*alg = m.alg;
	return spki != NULL ? piv_metadata_spki(&m, spki) : E_OK;
}

enum err
key_without_certificate(struct p11_slot *slot, struct p11_cred *c)
{
	enum piv_alg alg;
	WBUF_AUTO spki = { 0 };
	enum err e;

	if (piv_has(slot->token->card, PIV_EXT_METADATA) == PIV_HAS_NOT)
		return E_OK;
	wbuf_init(&spki, 2048);
	e = key_told(slot, c, &alg, &spki);
	if (e == E_OK)
		return cred_made(slot, c, alg, wbuf_view(&spki));
	return e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY || e == E_NOMEM ? e : E_OK;
}

/* --- can it? --- */

/* Moving a key that is not there says whether the card knows the command: to another empty place, if there is one. */
static enum err
probe(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;
	const struct p11_cred *from = NULL, *to = NULL;
	enum piv_alg alg;
	enum err e = E_OK;

	for (size_t i = P11_CREDS; i-- > PIV_FIRST_KEYS && (from == NULL || to == NULL);) {
		e = key_told(slot, &t->cred[i], &alg, NULL);
		if (e == E_NOTFOUND && from == NULL)
			from = &t->cred[i];
		else if (e == E_NOTFOUND)
			to = &t->cred[i];
		else if (e != E_OK)
			return e;
	}
	if (from == NULL)
		return err_set(E_NOSPACE, "%s: no retired place is empty", piv_name(t->card));
	if (to == NULL)
		to = &t->cred[from->number == P11_CREDS ? P11_CREDS - 2 : P11_CREDS - 1];
	e = piv_key_move(t->card, from->row->ref, to->row->ref);
	return e == E_NOTFOUND ? E_OK : e;
}

CK_RV
move_ready(struct p11_session *s)
{
	struct piv_card *card = s->slot->token->card;
	enum err e;
	CK_RV rv;

	if (s->slot->remote != NULL || piv_has(card, PIV_EXT_MOVE) != PIV_UNKNOWN || write_check(s) != CKR_OK)
		return CKR_OK;
	if ((rv = write_begin(s->slot)) != CKR_OK)
		return rv;
	e = probe(s->slot);
	write_end(s->slot);
	if (e == E_UNSUP || e == E_NOSPACE || e == E_SW || e == E_PROTO)
		return CKR_OK;
	return token_result(s->slot, e);
}

/* --- from one place to another --- */

static bool
same_certificate(const struct p11_cred *a, const struct p11_cred *b)
{
	return a->state == CRED_THERE && b->state == CRED_THERE && span_eq(wbuf_view(&a->der), wbuf_view(&b->der));
}

/* Where is the key? moved: an earlier call was cut short after it had moved. E_EXISTS: the place is taken. */
static enum err
look(struct p11_slot *slot, struct p11_cred *from, struct p11_cred *to, bool *moved)
{
	enum piv_alg alg;
	WBUF_AUTO a = { 0 };
	WBUF_AUTO b = { 0 };
	enum err e, e2;

	wbuf_init(&a, 2048);
	wbuf_init(&b, 2048);
	*moved = false;
	if ((e = cred_load(slot, to)) != E_OK)
		return e;
	if (to->state == CRED_THERE && !same_certificate(from, to))
		return err_set(E_EXISTS, "%s: %s has a certificate", piv_name(slot->token->card), to->row->name);
	e = key_told(slot, from, &alg, &a);
	e2 = key_told(slot, to, &alg, &b);
	if (e == E_OK && e2 == E_NOTFOUND)
		return E_OK;
	*moved = e == E_NOTFOUND && e2 == E_OK && same_certificate(from, to);
	if (*moved)
		return E_OK;
	if (e2 == E_OK)
		return err_set(E_EXISTS, "%s: %s has a key", piv_name(slot->token->card), to->row->name);
	return e != E_OK ? e : e2;
}

/* The certificate there, the key, the certificate here no longer, Key History. */
static CK_RV
carry(struct p11_slot *slot, struct p11_cred *from, struct p11_cred *to, bool moved)
{
	struct piv_card *card = slot->token->card;
	bool certified = from->state == CRED_THERE, made = from->made;
	enum piv_alg alg = from->alg;
	WBUF_AUTO spki = { 0 };
	enum err e = E_OK;
	CK_RV rv;

	wbuf_init(&spki, 2048);
	if (!certified && (e = key_told(slot, from, &alg, &spki)) != E_OK)
		return token_result(slot, e);
	if (certified && to->state != CRED_THERE)
		e = piv_cert_put(card, to->row->ref, wbuf_view(&from->der));
	if (e == E_OK && !moved)
		e = piv_key_move(card, from->row->ref, to->row->ref);
	if (e == E_OK && certified)
		e = piv_cert_put(card, from->row->ref, SPAN_NONE);
	if (e != E_OK)
		return token_result(slot, e);
	cred_changed(slot, to);
	cred_changed(slot, from);
	if ((rv = token_result(slot, certified ? cred_load(slot, to) : cred_made(slot, to, alg, wbuf_view(&spki)))) !=
	    CKR_OK)
		return rv;
	to->made = made;
	log_info("key", "slot=%lu moved=%s to=%s", slot->id, from->row->name, to->row->name);
	if (!certified)
		return CKR_OK;
	rv = history_follow(slot, to);
	return rv == CKR_OK ? history_follow(slot, from) : rv;
}

CK_RV
move_key(struct p11_session *s, struct p11_object *o, const CK_ATTRIBUTE *id)
{
	struct p11_cred *from = o->cred, *to;
	CK_OBJECT_HANDLE h = o->handle;
	bool moved;
	enum err e;
	CK_RV rv;

	if ((rv = cred_of_template(s->slot->token, id, 1, &to)) != CKR_OK || to == from)
		return rv;
	if ((rv = move_ready(s)) != CKR_OK)
		return rv;
	if (piv_has(s->slot->token->card, PIV_EXT_MOVE) != PIV_HAS)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if ((rv = write_begin(s->slot)) != CKR_OK)
		return rv;
	e = look(s->slot, from, to, &moved);
	if (e == E_EXISTS)
		log_warn("key", "slot=%lu error=\"%s\"", s->slot->id, err_msg());
	rv = e == E_EXISTS ? CKR_ATTRIBUTE_VALUE_INVALID : token_result(s->slot, e);
	if (rv == CKR_OK)
		rv = carry(s->slot, from, to, moved);
	write_end(s->slot);
	if (rv != CKR_OK)
		return rv;
	if ((o = object_of_cred(s->slot, to, KIND_PRIVATE)) == NULL)
		return CKR_HOST_MEMORY;
	o->handle = h; /* the same object to its users */
	return CKR_OK;
}
