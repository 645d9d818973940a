/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_ASSURE_H
#define DPIV_DERIVE_ASSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/conf.h"
#include "base/err.h"
#include "derive/token.h"

/*
 * The assurance that a key can carry (SP 800-157r1, 2.2.1 and 3.1.2): AAL2, id-fpki-common-derived-pivAuth, or AAL3,
 * id-fpki-common-derived-pivAuth-hardware, which is for keys that were made in a validated hardware module and never
 * leave it. It follows from facts that the token shows and from the administrator's list of validated models, never
 * from what somebody says; whatever is not known counts against it.
 */
enum assure_level { ASSURE_NONE, ASSURE_AAL2 = 2, ASSURE_AAL3 = 3 };
const char *assure_name(enum assure_level level);   /* "AAL2" */
const char *assure_policy(enum assure_level level); /* the certificate policy's name */
/* "aal3" or "3"; E_USAGE. */
enum err assure_parse(const char *text, enum assure_level *out) MUST_CHECK;

/* An [assurance NAME] section: a model that the administrator knows to be validated. Patterns are those of fnmatch(3).
 */
struct assure_rule {
	char name[64];
	const char *manufacturer, *model, *firmware, *serial; /* NULL: any */
	STACK_OF(X509) * roots; /* the key's attestation has to lead to one of these; NULL: none is needed */
};
struct assure_rules {
	struct assure_rule *rule;
	size_t n;
	struct conf *conf; /* what the rules point to */
};
/* From the administrator's file alone, CONF_SYSTEM_PATH when path is NULL: what a user may write is not evidence. A
 * file that is not there has no rules. E_CONF. */
enum err assure_rules_load(const char *path, struct assure_rules *out) MUST_CHECK;
void assure_rules_free(struct assure_rules *r);

#define ASSURE_LINES 12
struct assure {
	enum assure_level level;
	size_t n;
	struct assure_line {
		bool good;
		char text[152];
	} line[ASSURE_LINES];
};
/* key NULL: there is none yet, and the level is what one could carry. pub: the key as it was read from the token. */
void assure_judge(const struct token_facts *token, const struct token_key_facts *key, EVP_PKEY *pub,
    const struct assure_rules *rules, struct assure *out);
/* The first thing that stands in the way of more; "" when nothing does. */
const char *assure_why(const struct assure *a);

/* As it is kept with a credential: the level, then a line for each fact, "+ …" or "- …". */
void assure_write(const struct assure *a, struct wbuf *out);
/* false when it is not such a text */
bool assure_read(const char *text, struct assure *out);

#endif
