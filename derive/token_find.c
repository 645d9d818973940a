/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which tokens a module has, and the one that a URI names. Slots without a token and tokens that were never
 * initialised are passed over; texts from tokens are foreign and shown only after text_safe().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/token_int.h"

#define SLOTS_MAX 256

char *
find_text(const CK_UTF8CHAR *p, size_t n, char *out, size_t cap)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
		n--;
	return text_safe(span_of(p, n), out, cap);
}

static enum err
find_slots(struct token_module *m, CK_SLOT_ID **ids, CK_ULONG *n)
{
	CK_RV rv = m->f->C_GetSlotList(CK_TRUE, NULL, n);
	char buf[24];

	*ids = NULL;
	if (rv == CKR_OK && *n > SLOTS_MAX)
		*n = SLOTS_MAX;
	if (rv == CKR_OK && *n > 0) {
		*ids = calloc(*n, sizeof **ids);
		if (*ids == NULL)
			return err_set(E_NOMEM, "out of memory");
		rv = m->f->C_GetSlotList(CK_TRUE, *ids, n);
	}
	if (rv == CKR_OK)
		return E_OK;
	free(*ids);
	*ids = NULL;
	return err_set(rv_err(rv), "the module %s does not list its slots: %s", m->path, rv_name(rv, buf));
}

enum err
find_tokens(struct token_module *m, find_fn *fn, void *arg)
{
	CK_SLOT_ID *ids;
	CK_ULONG n = 0;
	enum err e = find_slots(m, &ids, &n);
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
