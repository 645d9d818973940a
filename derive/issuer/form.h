/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_FORM_H
#define DPIV_ISSUER_FORM_H

#include <stdbool.h>

#include "base/bytes.h"

/* A submitted form: application/x-www-form-urlencoded (WHATWG URL, 5.1), which is hostile. */
#define FORM_FIELDS 12
#define FORM_NAME   24
#define FORM_VALUE  192

struct form {
	size_t n;
	struct {
		char name[FORM_NAME], value[FORM_VALUE];
	} field[FORM_FIELDS];
};

/* False: too many fields or too long ones, a name twice, a broken percent code, or a character below blank. */
bool form_read(struct span body, struct form *out);
/* NULL: not sent. */
const char *form_get(const struct form *f, const char *name);

#endif
