/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which tokens a module has, and the one that a URI names. Slots without a token and tokens that were never
 * initialised are passed over; texts from tokens are foreign and shown only after text_safe().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "derive/token_int.h"

#define SLOTS_MAX 256
#define PCSCD	  "/run/pcscd/pcscd.comm"

char *
find_text(const CK_UTF8CHAR *p, size_t n, char *out, size_t cap)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
		n--;
	return text_safe(span_of(p, n), out, cap);
}

static enum err
find_slots(struct token_module *m, CK_BBOOL with_token, CK_SLOT_ID **ids, CK_ULONG *n)
{
	CK_RV rv = m->f->C_GetSlotList(with_token, NULL, n);
	char buf[24];

	*ids = NULL;
	if (rv == CKR_OK && *n > SLOTS_MAX)
		*n = SLOTS_MAX;
	if (rv == CKR_OK && *n > 0) {
		*ids = calloc(*n, sizeof **ids);
		if (*ids == NULL)
			return err_set(E_NOMEM, "out of memory");
		rv = m->f->C_GetSlotList(with_token, *ids, n);
	}
	if (rv == CKR_OK)
		return E_OK;
	free(*ids);
	*ids = NULL;
	return err_set(rv_err(rv), "the module %s does not list its slots: %s", m->path, rv_name(rv, buf));
}

static enum err
find_in(struct token_module *m, CK_BBOOL with_token, find_fn *fn, void *arg)
{
	CK_SLOT_ID *ids;
	CK_ULONG n = 0;
	enum err e = find_slots(m, with_token, &ids, &n);
	bool more = true;

	for (CK_ULONG i = 0; e == E_OK && more && i < n; i++) {
		CK_SLOT_INFO si = { 0 };
		CK_TOKEN_INFO ti = { 0 };

		if (m->f->C_GetSlotInfo(ids[i], &si) != CKR_OK || m->f->C_GetTokenInfo(ids[i], &ti) != CKR_OK ||
		    (ti.flags & CKF_TOKEN_INITIALIZED) == 0)
			continue;
		more = fn(arg, ids[i], &si, &ti);
	}
	free(ids);
	return e;
}

enum err
find_tokens(struct token_module *m, find_fn *fn, void *arg)
{
	return find_in(m, CK_TRUE, fn, arg);
}

enum err
find_all_tokens(struct token_module *m, find_fn *fn, void *arg)
{
	return find_in(m, CK_FALSE, fn, arg);
}

struct list {
	struct token_module *m;
	char **uris;
	size_t n;
	enum err e;
};

static bool
list_add(void *arg, CK_SLOT_ID slot, const CK_SLOT_INFO *si, const CK_TOKEN_INFO *ti)
{
	struct list *l = arg;
	char **grown = realloc(l->uris, (l->n + 1) * sizeof *grown);

	(void)slot;
	(void)si;
	if (grown == NULL) {
		l->e = err_set(E_NOMEM, "out of memory");
		return false;
	}
	l->uris = grown;
	l->e = ref_format(l->m, ti, &l->uris[l->n]);
	if (l->e == E_OK)
		l->n++;
	return l->e == E_OK;
}

enum err
token_list(const char *module_path, char ***uris, size_t *n)
{
	struct list l = { .e = E_OK };
	enum err e = module_open(module_path, &l.m);

	*uris = NULL;
	*n = 0;
	if (e != E_OK)
		return e;
	e = find_tokens(l.m, list_add, &l);
	if (e == E_OK)
		e = l.e;
	module_close(&l.m);
	if (e != E_OK) {
		for (size_t i = 0; i < l.n; i++)
			free(l.uris[i]);
		free(l.uris);
		return e;
	}
	*uris = l.uris;
	*n = l.n;
	return E_OK;
}

/* One slot's reason; E_OK when it has a token after all. */
static enum err
absent_slot(struct token_module *m, CK_SLOT_ID slot)
{
	CK_SLOT_INFO si = { 0 };
	CK_TOKEN_INFO ti = { 0 };
	char reader[65], buf[24];
	CK_RV rv = m->f->C_GetSlotInfo(slot, &si);

	find_text(si.slotDescription, sizeof si.slotDescription, reader, sizeof reader);
	if (rv != CKR_OK || (si.flags & CKF_TOKEN_PRESENT) == 0)
		return err_set(
		    E_NOCARD, "there is no card in the reader '%s'; insert the PIV card and try again", reader);
	rv = m->f->C_GetTokenInfo(slot, &ti);
	if (rv == CKR_OK)
		return E_OK;
	if (rv == CKR_TOKEN_NOT_RECOGNIZED)
		return err_set(E_NOTPIV, "the card in the reader '%s' is not a PIV card", reader);
	return err_set(rv_err(rv), "the card in the reader '%s' does not answer (%s); take it out, insert it again",
	    reader, rv_name(rv, buf));
}

static void
slot_look(struct token_module *m, CK_SLOT_ID id, struct token_slot *s)
{
	CK_SLOT_INFO si = { 0 };
	CK_TOKEN_INFO ti = { 0 };

	*s = (struct token_slot){ .e = absent_slot(m, id) };
	if (m->f->C_GetSlotInfo(id, &si) != CKR_OK)
		return;
	find_text(si.slotDescription, sizeof si.slotDescription, s->name, sizeof s->name);
	s->reader = (si.flags & CKF_REMOVABLE_DEVICE) != 0;
	s->present = (si.flags & CKF_TOKEN_PRESENT) != 0;
	if (s->e == E_OK && m->f->C_GetTokenInfo(id, &ti) == CKR_OK)
		find_text(ti.label, sizeof ti.label, s->label, sizeof s->label);
}

enum err
token_slots(const char *module_path, void (*fn)(void *arg, const struct token_slot *s), void *arg)
{
	struct token_module *m;
	struct token_slot s;
	CK_SLOT_ID *ids = NULL;
	CK_ULONG n = 0;
	enum err e = module_open(module_path, &m);

	if (e != E_OK)
		return e;
	e = find_slots(m, CK_FALSE, &ids, &n);
	for (CK_ULONG i = 0; e == E_OK && i < n; i++) {
		slot_look(m, ids[i], &s);
		fn(arg, &s);
	}
	free(ids);
	module_close(&m);
	return e;
}

static enum err
absent_reader(void)
{
	if (access(PCSCD, F_OK) != 0)
		return err_set(E_NOREADER,
		    "the smart card service pcscd is not running; install pcscd and start it (systemctl "
		    "enable --now pcscd.socket)");
	return err_set(E_NOREADER, "there is no smart card reader; plug one in, with the PIV card in it");
}

enum err
token_absent(const char *module_path)
{
	struct token_module *m;
	CK_SLOT_ID *ids = NULL;
	CK_ULONG n = 0;
	enum err e = module_open(module_path, &m), worst = E_OK;

	if (e != E_OK)
		return e;
	e = find_slots(m, CK_FALSE, &ids, &n);
	if (e == E_OK && n == 0)
		e = absent_reader();
	/* a card that is no PIV card says more than an empty reader beside it */
	for (CK_ULONG i = 0; e == E_OK && i < n && worst != E_NOTPIV; i++)
		worst = absent_slot(m, ids[i]);
	if (e == E_OK)
		e = worst != E_OK ? worst : err_set(E_NOTFOUND, "no token is ready; try again");
	free(ids);
	module_close(&m);
	return e;
}
