/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of an object when the program died inside the token's library while that made it: SoftHSM2 writes an
 * object attribute by attribute, and PKCS#11 has no word on it. It is a data object until it has a class, and has
 * neither identifier, label nor anything in it. Nothing of any program looks like that, and nobody can find it by its
 * CKA_ID.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "derive/token_int.h"

/* No such attribute, and an empty one, are the same here. */
static enum err
has(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE a, bool *any)
{
	WBUF_AUTO v;
	enum err e;

	wbuf_init(&v, 64 * 1024);
	e = raw_get(t, o, a, &v);
	*any = *any || (e == E_OK && (v.n > 0 || v.bad));
	return raw_failed(e) ? e : E_OK;
}

/* May this kind of object be judged by its attributes? One that was cut off early has no kind yet. */
static enum err
judged(struct token *t, CK_OBJECT_HANDLE o, bool *yes, bool *value_counts)
{
	WBUF_AUTO v;
	CK_OBJECT_CLASS cls = CKO_DATA;
	enum err e;

	wbuf_init(&v, sizeof cls);
	e = raw_get(t, o, CKA_CLASS, &v);
	if (e == E_OK && v.n == sizeof cls)
		memcpy(&cls, v.p, sizeof cls);
	*yes = cls == CKO_DATA || cls == CKO_CERTIFICATE || cls == CKO_PUBLIC_KEY || cls == CKO_PRIVATE_KEY;
	*value_counts = cls != CKO_PRIVATE_KEY;
	return raw_failed(e) ? e : E_OK;
}

static enum err
is_torn(struct token *t, CK_OBJECT_HANDLE o, bool *torn)
{
	static const CK_ATTRIBUTE_TYPE name[] = { CKA_ID, CKA_LABEL, CKA_MODULUS, CKA_EC_PARAMS, CKA_EC_POINT,
		CKA_PRIME, CKA_APPLICATION, CKA_OBJECT_ID, CKA_SUBJECT };
	bool any = false, yes, value;
	enum err e = judged(t, o, &yes, &value);

	for (size_t i = 0; i < sizeof name / sizeof name[0] && e == E_OK && yes && !any; i++)
		e = has(t, o, name[i], &any);
	if (e == E_OK && yes && value && !any)
		e = has(t, o, CKA_VALUE, &any);
	*torn = e == E_OK && yes && !any;
	return e;
}

enum err
token_clear_torn(struct token *t)
{
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	bool torn;
	enum err e = token_login(t);

	if (e == E_OK)
		e = raw_find(t, NULL, 0, &o, &n);
	for (size_t i = 0; e == E_OK && i < n; i++) {
		e = is_torn(t, o[i], &torn);
		if (e != E_OK || !torn)
			continue;
		log_warn("token.torn", "token=%s removed: half made, with no name and nothing in it", t->label);
		if (t->m->f->C_DestroyObject(t->session, o[i]) != CKR_OK)
			log_warn("token.torn", "token=%s cannot be removed", t->label);
	}
	free(o);
	return e;
}
