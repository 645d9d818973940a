/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Session objects: attributes kept as they are given. The value of a secret key is not among them; it is in a secret
 * of its own, and leaves only when the key is extractable and not sensitive (PKCS#11 2.40, 4.10).
 */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/p11.h"

const struct attr_value *
store_find(const struct attr_store *st, CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->v[i].type == type)
			return &st->v[i];
	return NULL;
}

static struct attr_value *
store_slot(struct attr_store *st, CK_ATTRIBUTE_TYPE type)
{
	struct attr_value *v;

	for (size_t i = 0; i < st->n; i++)
		if (st->v[i].type == type)
			return &st->v[i];
	if ((v = reallocarray(st->v, st->n + 1, sizeof *v)) == NULL)
		return NULL;
	st->v = v;
	v[st->n] = (struct attr_value){ .type = type };
	return &v[st->n++];
}

bool
store_set(struct attr_store *st, CK_ATTRIBUTE_TYPE type, const void *p, size_t n)
{
	struct attr_value *v = store_slot(st, type);
	uint8_t *copy = malloc(n + 1);

	if (v == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	if (n > 0)
		memcpy(copy, p, n);
	if (v->p != NULL)
		OPENSSL_cleanse(v->p, v->n);
	free(v->p);
	v->p = copy;
	v->n = n;
	return true;
}

bool
store_set_ulong(struct attr_store *st, CK_ATTRIBUTE_TYPE type, CK_ULONG v)
{
	return store_set(st, type, &v, sizeof v);
}

bool
store_set_bool(struct attr_store *st, CK_ATTRIBUTE_TYPE type, bool v)
{
	CK_BBOOL b = v ? CK_TRUE : CK_FALSE;

	return store_set(st, type, &b, sizeof b);
}

bool
store_bool(const struct attr_store *st, CK_ATTRIBUTE_TYPE type)
{
	const struct attr_value *v = store_find(st, type);

	return v != NULL && v->n == sizeof(CK_BBOOL) && v->p[0] != CK_FALSE;
}

CK_ULONG
store_ulong(const struct attr_store *st, CK_ATTRIBUTE_TYPE type)
{
	const struct attr_value *v = store_find(st, type);
	CK_ULONG u = CK_UNAVAILABLE_INFORMATION;

	if (v != NULL && v->n == sizeof u)
		memcpy(&u, v->p, sizeof u);
	return u;
}

void
store_free(struct attr_store *st)
{
	for (size_t i = 0; i < st->n; i++) {
		if (st->v[i].p != NULL)
			OPENSSL_cleanse(st->v[i].p, st->v[i].n);
		free(st->v[i].p);
	}
	free(st->v);
	*st = (struct attr_store){ 0, NULL };
}
