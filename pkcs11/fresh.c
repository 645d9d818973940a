/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PIN that the user has just entered: one prompt for one signature with a PIN-always key.
 *
 * SP 800-73-5 part 1, table 5 ("PIN always"): the cardholder's PIN is given for each use of the digital signature key.
 * PKCS#11 (2.40, 4.9 and 5.6; 3.0, 4.10): CKA_ALWAYS_AUTHENTICATE makes a program log in a second time, in the context
 * of the operation. So the first signature asks twice for one PIN, where the user has done one thing. Here, a PIN that
 * C_Login(CKU_USER) has just verified is a PIN for one operation of a PIN-always key, when
 *
 *	- it was entered at most ten seconds ago in this process for this card, and is still logged in with;
 *	- no private-key operation that needed it has come since: it is worth one use, that one or this one;
 *	- keep_pin is on: otherwise there is no PIN here that could be used; and
 *	- the program asked whether the key needs a PIN, and was told that it does not.
 *
 * The last is what makes it a promise and not a hole. Programs that read CKA_ALWAYS_AUTHENTICATE between C_SignInit
 * and C_Sign (OpenSSH, pkcs11-tool, and NSS, which reads in another session of its own than it signs in) read CK_FALSE,
 * and that operation is theirs, when there is but one that waits; it does VERIFY and GENERAL AUTHENTICATE in one
 * transaction like any other. pkcs11-helper (gnupg-pkcs11-scd, OpenVPN) reads it before, with all that the key can do
 * in one template, each time it makes a key object: it is promised the next signature of that session. To everybody
 * else, and always for the second signature, the attribute is CK_TRUE. libp11 reads it once for all time and therefore
 * is never told otherwise. With a pin_helper nobody needs to be told: see ask.c.
 */
#include <time.h>

#include "pkcs11/ask.h"

#define FRESH_MS 10000

static int64_t (*clock_now)(void);

void
p11_clock_override(int64_t (*now)(void))
{
	clock_now = now;
}

int64_t
p11_now_ms(void)
{
	struct timespec t;

	if (clock_now != NULL)
		return clock_now();
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
fresh_end(struct p11_token *t)
{
	secret_free(&t->fresh);
}

void
fresh_set(struct p11_slot *slot, struct span pin)
{
	struct p11_token *t = slot->token;

	fresh_end(t);
	if (!conf_bool(slot->module->conf, "module", "keep_pin"))
		return;
	t->fresh = secret_copy(pin.p, pin.n); /* without memory the program asks twice */
	t->fresh_at = p11_now_ms();
}

static bool
is_fresh(struct p11_token *t)
{
	if (t->fresh != NULL && (!t->user || p11_now_ms() - t->fresh_at > FRESH_MS))
		fresh_end(t);
	return secret_view(t->fresh).n > 0;
}

/* The operation is the one that this PIN is for; nobody else gets it. */
static bool
op_take(struct p11_token *t, struct p11_op *op)
{
	if (op->context_login || !is_fresh(t))
		return false;
	op->pin = t->fresh;
	t->fresh = NULL;
	op->context_login = op->promised = true;
	return true;
}

static bool
is_helpers_template(const CK_ATTRIBUTE *t, CK_ULONG n)
{
	return template_find(t, n, CKA_SIGN) != NULL && template_find(t, n, CKA_SIGN_RECOVER) != NULL &&
	    template_find(t, n, CKA_DECRYPT) != NULL && template_find(t, n, CKA_UNWRAP) != NULL;
}

/* Questions for the length say nothing and promise nothing. */
static bool
is_answered(const CK_ATTRIBUTE *a)
{
	return a->pValue != NULL && a->ulValueLen >= sizeof(CK_BBOOL);
}

bool
fresh_promise(struct p11_session *s, struct p11_cred *c, const CK_ATTRIBUTE *tmpl, CK_ULONG n, const CK_ATTRIBUTE *a)
{
	struct p11_op *op = &s->op[OP_SIGN];

	if (!is_answered(a))
		return false;
	if (helper_usable(s->slot->module->conf)) /* the module asks by itself */
		return s->slot->token->told_never = true;
	if (op->active)
		return op->cred == c && (op->promised || op_take(s->slot->token, op));
	if ((op = slot_op_signing(s->slot, c)) != NULL)
		return op->promised || op_take(s->slot->token, op);
	s->promised = is_helpers_template(tmpl, n) && is_fresh(s->slot->token) ? c : NULL;
	return s->promised != NULL;
}

bool
fresh_serves(struct p11_token *t, struct p11_op *op)
{
	return t->told_never && op_take(t, op);
}

void
fresh_redeem(struct p11_session *s, struct p11_op *op)
{
	if (op->always_auth && op->cred == s->promised)
		(void)op_take(s->slot->token, op);
}
