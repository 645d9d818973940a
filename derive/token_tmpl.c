/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Templates of raw calls: attributes one by one, in an array that is large enough for every object that dpiv makes. A
 * template points to its values, which live as long as it.
 */
#include "derive/token_int.h"

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

/* Cryptoki's templates are not const; modules read them only. */
void
tmpl_add(struct tmpl *t, CK_ATTRIBUTE_TYPE type, const void *p, size_t n)
{
	union {
		const void *c;
		void *m;
	} cast = { p };

	if (t->n < TMPL_MAX)
		t->a[t->n++] = (CK_ATTRIBUTE){ type, cast.m, n };
}

void
tmpl_bool(struct tmpl *t, CK_ATTRIBUTE_TYPE type, bool v)
{
	tmpl_add(t, type, v ? &yes : &no, sizeof yes);
}
