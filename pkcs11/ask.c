/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking for a PIN that no program gave: [module] pin_helper.
 *
 * Some programs cannot answer for a PIN-always key (PKCS#11 2.40, 5.6, CKU_CONTEXT_SPECIFIC): OpenSSL with a PIN in a
 * file, pkcs11-provider, libp11 without a terminal, scripts. Others come to a key whose login has ended. When the user
 * has configured a helper, the module asks through it; since it does, CKA_ALWAYS_AUTHENTICATE then is CK_FALSE to all
 * programs (fresh.c), which makes the ones that would fail before they sign, sign. The question names the
 * card, the key, the program and the tries left; that it is the last one counts as shown, as in C_GetTokenInfo.
 *
 * Only the slot's lock is held meanwhile: other slots, and the list of slots, go on. C_CloseSession,
 * C_CloseAllSessions, C_SessionCancel and C_Finalize in another thread end the question.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "pkcs11/ask.h"

#define ASK_TIMES 3
#define TEXT_MAX  700 /* escaped, it must fit a line of Assuan */
#define NAME_MAX_ 64

static bool
is_interrupted(void *arg)
{
	struct p11_slot *slot = arg;

	return atomic_load(&slot->interrupted) || module_closing(slot->module);
}

/* --- waiting, and being told to stop --- */

void
ask_begin(struct p11_session *s)
{
	atomic_store(&s->slot->interrupted, false);
	atomic_store(&s->slot->asking, s->handle);
}

/* Whoever saw us waiting may be about to talk to the card's connection: it must not go away under him. */
void
ask_end(struct p11_session *s)
{
	const struct timespec moment = { .tv_nsec = 1000 * 1000 };

	atomic_store(&s->slot->asking, 0);
	while (atomic_load(&s->slot->interrupters) > 0)
		nanosleep(&moment, NULL);
}

void
ask_interrupt(struct p11_slot *slot, CK_SESSION_HANDLE h)
{
	CK_SESSION_HANDLE asking;

	atomic_fetch_add(&slot->interrupters, 1);
	asking = atomic_load(&slot->asking);
	if (asking != 0 && (h == 0 || asking == h)) {
		atomic_store(&slot->interrupted, true);
		if (atomic_load(&slot->on_pad))
			piv_pad_interrupt(slot->token->card);
	}
	atomic_fetch_sub(&slot->interrupters, 1);
}

/* --- the question --- */

/* The file that this process runs. */
static void
program_name(char out[NAME_MAX_])
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	const char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	text_safe(span_str(slash != NULL ? slash + 1 : "unknown"), out, NAME_MAX_);
}

/* By the certificate of the key, or of any other one that was read. */
static void
holder_name(const struct p11_token *t, const struct p11_cred *c, char out[NAME_MAX_])
{
	const X509_NAME *subject;
	unsigned char *utf8 = NULL;
	int at, n;

	snprintf(out, NAME_MAX_, "PIV card");
	for (size_t i = 0; (c == NULL || c->x509 == NULL) && i < P11_CREDS; i++)
		c = &t->cred[i];
	if (c == NULL || c->x509 == NULL || (subject = X509_get_subject_name(c->x509)) == NULL)
		return;
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0)
		return;
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0)
		text_safe(span_of(utf8, (size_t)n), out, NAME_MAX_);
	OPENSSL_free(utf8);
}

static void
tries_text(int tries, char *out, size_t cap)
{
	if (tries == 1)
		snprintf(out, cap, "\nThis is the LAST TRY before the PIN is blocked.");
	else if (tries > 1)
		snprintf(out, cap, "\n%d tries left", tries);
	else
		out[0] = '\0';
}

static void
ask_text(const struct p11_slot *slot, const struct p11_cred *c, char out[TEXT_MAX])
{
	char program[NAME_MAX_], holder[NAME_MAX_], reader[READER_NAME_MAX], tries[64], key[64] = "";

	program_name(program);
	holder_name(slot->token, c, holder);
	text_safe(span_str(slot->reader), reader, sizeof reader);
	tries_text(slot->token->tries, tries, sizeof tries);
	if (c != NULL)
		snprintf(key, sizeof key, "\nKey: %s %s", c->row->name, c->row->use);
	snprintf(out, TEXT_MAX, "Card: %s, in %s%s\nProgram: %s (process %ld)%s", holder, reader, key, program,
	    (long)getpid(), tries);
}

/* --- asking --- */

static CK_RV
ask_once(struct p11_session *s, const struct p11_cred *c, const char *error, struct secret **pin)
{
	struct p11_slot *slot = s->slot;
	struct ask a = { .error = error };
	char text[TEXT_MAX];
	enum err e;

	*pin = NULL;
	if ((e = token_tries(slot->token)) != E_OK)
		return token_result(slot, e);
	if (slot->token->tries == 0)
		return CKR_PIN_LOCKED;
	ask_text(slot, c, text);
	a.text = text;
	slot->token->final_shown = slot->token->tries == 1;
	ask_begin(s);
	e = helper_ask(slot->module->conf, &a, is_interrupted, slot, pin);
	ask_end(s);
	if (e == E_OK)
		return CKR_OK;
	log_info("pin-helper", "slot=%lu error=%s text=\"%s\"", slot->id, err_name(e), err_msg());
	return e == E_CANCELED ? CKR_FUNCTION_CANCELED : CKR_USER_NOT_LOGGED_IN;
}

static const char *
complaint(CK_RV rv, struct span pin)
{
	if (rv != CKR_PIN_INCORRECT)
		return NULL;
	return pin_new_check(pin) == CKR_OK ? "Wrong PIN." : "A PIN has 6 to 8 digits.";
}

/* Until the PIN is right, or the user, or the card, has enough. A try that was used up elsewhere is shown first. */
static CK_RV
ask_until(struct p11_session *s, const struct p11_cred *c, CK_RV (*use)(struct p11_session *, struct span))
{
	const char *error = NULL;
	CK_RV rv = CKR_USER_NOT_LOGGED_IN;

	for (int i = 0; i < ASK_TIMES; i++) {
		SECRET_AUTO pin = NULL;

		if ((rv = ask_once(s, c, error, &pin)) != CKR_OK)
			return rv;
		rv = use(s, secret_view(pin));
		if (rv != CKR_PIN_INCORRECT && rv != CKR_FUNCTION_REJECTED)
			return rv;
		error = complaint(rv, secret_view(pin));
	}
	return rv;
}

CK_RV
ask_for_operation(struct p11_session *s, struct p11_op *op)
{
	if (!helper_usable(s->slot->module->conf))
		return CKR_USER_NOT_LOGGED_IN;
	if (fresh_serves(s->slot->token, op))
		return CKR_OK;
	return ask_until(s, op->cred, login_context);
}

CK_RV
ask_for_login(struct p11_session *s)
{
	if (!helper_usable(s->slot->module->conf) || s->slot->token->so != SO_NONE)
		return CKR_USER_NOT_LOGGED_IN;
	return ask_until(s, NULL, login_user);
}
