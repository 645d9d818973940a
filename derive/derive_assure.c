/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Evidence in the course of a derivation: the token is judged before anything is asked of a person or made, and the key
 * when it is there. A person may demand AAL3, and is refused before a key is made where the token cannot carry it, and
 * after, with everything undone, where the key turns out not to. What was found stays with the credential
 * (SP 800-157r1, 2.2: the basis of trust in the device is documented).
 */
#include <stdlib.h>
#include <string.h>

#include "derive/derive_int.h"

static enum err
assure_enough(const struct derive *d, const struct assure *a)
{
	if (a->level == ASSURE_NONE)
		return err_set(E_POLICY, "a key on token '%s' cannot be a derived PIV credential: %s",
		    token_label(d->to), assure_why(a));
	if (a->level < d->req->assurance)
		return err_set(E_POLICY, "AAL3 is demanded, and a key on token '%s' carries %s only: %s",
		    token_label(d->to), assure_name(a->level), assure_why(a));
	if (d->policy == NULL || policy_judge_assurance(d->policy, (int)a->level, d->to) == E_OK)
		return E_OK;
	return err_set(E_POLICY, "%s: %s", err_msg(), assure_why(a));
}

static enum err
assure_look(struct derive *d)
{
	enum err e = d->looked ? E_OK : assure_rules_load(NULL, &d->rules);

	if (e == E_OK && !d->looked)
		e = token_facts(d->to, &d->facts);
	if (e == E_OK && !d->looked)
		assure_judge(&d->facts, NULL, NULL, &d->rules, &d->assure);
	d->looked = d->looked || e == E_OK;
	return e;
}

enum err
assure_target(struct derive *d)
{
	enum err e = assure_look(d);

	if (e == E_OK && d->req->assured != NULL)
		d->req->assured(d->req->ui_arg, token_label(d->to), &d->assure);
	return e == E_OK ? assure_enough(d, &d->assure) : e;
}

static enum err
evidence_keep(struct attempt *a)
{
	WBUF_AUTO text;

	wbuf_init(&text, 4096);
	assure_write(&a->assure, &text);
	wbuf_u8(&text, '\0');
	free(a->e.evidence);
	a->e.evidence = !text.bad ? strdup((const char *)text.p) : NULL;
	return a->e.evidence != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}

/* A key for encryption may come from elsewhere (SP 800-157r1, App. A): there the token counts. */
static const struct assure *
assure_counts(const struct attempt *a)
{
	return a->e.role == ROLE_ENCRYPT ? &a->d->assure : &a->assure;
}

enum err
assure_key(struct attempt *a)
{
	struct derive *d = a->d;
	struct token_key_facts key = { .sensitive = false };
	bool brought = a->imported != NULL;
	enum err e = assure_look(d);

	if (e == E_OK)
		e = token_key_facts(d->to, brought ? a->place.id : a->e.id, brought ? a->place.id_len : a->e.id_len,
		    role_info(a->e.role)->use, &key);
	if (e == E_OK) {
		assure_judge(&d->facts, &key, brought ? a->imported : a->pub, &d->rules, &a->assure);
		e = assure_enough(d, assure_counts(a));
	}
	token_key_facts_clear(&key);
	return e == E_OK ? evidence_keep(a) : e;
}

void
assure_rules_of_cert(const struct attempt *a, struct cert_rules *r)
{
	const struct assure *by = assure_counts(a);

	r->carries = by->level;
	r->carries_why = assure_why(by);
	r->demands = a->d->req->assurance;
	if (a->d->policy != NULL && policy_min_assurance(a->d->policy) >= ASSURE_AAL3)
		r->demands = ASSURE_AAL3;
}

void
assure_clear(struct derive *d)
{
	token_facts_clear(&d->facts);
	assure_rules_free(&d->rules);
}
