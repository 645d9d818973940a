/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects by the raw function list: the calls that libp11 has not, over one session a token. Lengths that a module
 * reports are bounded before memory is reserved for them; an object that vanishes between two calls is skipped.
 */
#include <stdlib.h>
#include <string.h>

#include "derive/token_int.h"

#define OBJECTS_MAX 4096
#define VALUE_MAX   (64 * 1024)

enum err
raw_session(struct token *t, bool write)
{
	CK_SESSION_INFO si;
	CK_FLAGS flags = CKF_SERIAL_SESSION;
	CK_RV rv;

	if (t->session != CK_INVALID_HANDLE && t->m->f->C_GetSessionInfo(t->session, &si) == CKR_OK) {
		if (!write || (si.flags & CKF_RW_SESSION) != 0)
			return E_OK;
		return err_set(E_READONLY, "token '%s' is write-protected", t->label);
	}
	t->session = CK_INVALID_HANDLE;
	t->logged_in = false;
	if ((t->info.flags & CKF_WRITE_PROTECTED) == 0)
		flags |= CKF_RW_SESSION;
	else if (write)
		return err_set(E_READONLY, "token '%s' is write-protected", t->label);
	rv = t->m->f->C_OpenSession(t->slot, flags, NULL, NULL, &t->session);
	if (rv == CKR_OK)
		return E_OK;
	t->session = CK_INVALID_HANDLE;
	return rv_set(t, rv, "cannot be opened");
}

void
raw_close(struct token *t)
{
	if (t->session != CK_INVALID_HANDLE)
		(void)t->m->f->C_CloseSession(t->session);
	t->session = CK_INVALID_HANDLE;
	t->logged_in = false;
}

static enum err
find_grow(CK_OBJECT_HANDLE **list, size_t *n, const CK_OBJECT_HANDLE *more, CK_ULONG got)
{
	CK_OBJECT_HANDLE *grown;

	if (*n + got > OBJECTS_MAX)
		return err_set(E_PROTO, "the token lists more than %d objects", OBJECTS_MAX);
	grown = realloc(*list, (*n + got) * sizeof *grown);
	if (grown == NULL)
		return err_set(E_NOMEM, "out of memory");
	memcpy(grown + *n, more, got * sizeof *grown);
	*list = grown;
	*n += got;
	return E_OK;
}

enum err
raw_find(struct token *t, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE **out, size_t *count)
{
	CK_OBJECT_HANDLE some[32];
	CK_ULONG got = 0;
	CK_RV rv;
	enum err e = raw_session(t, false);

	*out = NULL;
	*count = 0;
	if (e != E_OK)
		return e;
	rv = t->m->f->C_FindObjectsInit(t->session, tmpl, n);
	if (rv != CKR_OK)
		return rv_set(t, rv, "cannot list its objects");
	do {
		got = 0;
		rv = t->m->f->C_FindObjects(t->session, some, 32, &got);
		if (rv != CKR_OK || got > 32)
			e = rv_set(t, rv != CKR_OK ? rv : CKR_GENERAL_ERROR, "cannot list its objects");
		else if (got > 0)
			e = find_grow(out, count, some, got);
	} while (e == E_OK && got > 0);
	(void)t->m->f->C_FindObjectsFinal(t->session);
	if (e != E_OK) {
		free(*out);
		*out = NULL;
		*count = 0;
	}
	return e;
}

enum err
raw_get(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, struct wbuf *out)
{
	CK_ATTRIBUTE a = { type, NULL, 0 };
	CK_RV rv = t->m->f->C_GetAttributeValue(t->session, o, &a, 1);
	size_t was = out->n;

	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_OBJECT_HANDLE_INVALID ||
	    (rv == CKR_OK && a.ulValueLen == CK_UNAVAILABLE_INFORMATION))
		return err_set(E_NOTFOUND, "token '%s': an object without attribute 0x%lX", t->label, type);
	if (rv != CKR_OK)
		return rv_set(t, rv, "cannot read an object");
	if (a.ulValueLen > VALUE_MAX)
		return err_set(E_PROTO, "token '%s': an attribute of %lu bytes", t->label, a.ulValueLen);
	if (a.ulValueLen == 0)
		return E_OK;
	a.pValue = wbuf_room(out, a.ulValueLen);
	if (a.pValue == NULL)
		return err_set(E_NOMEM, "out of memory");
	rv = t->m->f->C_GetAttributeValue(t->session, o, &a, 1);
	if (rv != CKR_OK)
		return rv_set(t, rv, "cannot read an object");
	if (a.ulValueLen < out->n - was)
		wbuf_cut(out, was + a.ulValueLen);
	return E_OK;
}

bool
raw_failed(enum err e)
{
	static const enum err all[] = { E_IO, E_CARDGONE, E_NOCARD, E_NOREADER, E_AUTH, E_NOMEM, E_BUSY };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i] == e)
			return true;
	return false;
}

bool
raw_bool(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL v = CK_FALSE;
	CK_ATTRIBUTE a = { type, &v, sizeof v };

	return t->m->f->C_GetAttributeValue(t->session, o, &a, 1) == CKR_OK && a.ulValueLen == sizeof v && v == CK_TRUE;
}

enum err
token_count(struct token *t, const uint8_t *id, size_t id_len, const char *label, size_t *all, size_t *labelled)
{
	union {
		const uint8_t *c;
		uint8_t *m;
	} cast = { id };
	CK_ATTRIBUTE tmpl = { CKA_ID, cast.m, id_len };
	CK_OBJECT_HANDLE *o = NULL;
	enum err e = token_login(t);

	*all = *labelled = 0;
	if (e == E_OK)
		e = raw_find(t, &tmpl, 1, &o, all);
	for (size_t i = 0; e == E_OK && i < *all; i++) {
		WBUF_AUTO v;

		wbuf_init(&v, 1024);
		e = raw_get(t, o[i], CKA_LABEL, &v);
		if (e == E_OK && span_eq(wbuf_view(&v), span_str(label)))
			++*labelled;
		e = raw_failed(e) ? e : E_OK;
	}
	free(o);
	return e;
}
