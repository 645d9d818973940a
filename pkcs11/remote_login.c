/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs of a token behind another module. They go to that module; what is kept here is what it may lack (SP 800-157r1,
 * 3.1.4; SP 800-63B-4, 3.2.10 and 3.2.2): a least length when a PIN is set, and a count of consecutive wrong ones,
 * after which no PIN is tried any more. A hardware token counts by itself and is left to it; pin_counter says
 * otherwise.
 *
 * A locked user PIN is unlocked by the security officer's C_InitPIN. The SO PIN has the same count; a token whose SO
 * PIN is locked too is of no use any more, and its credential is to be revoked.
 *
 * The login state of a module belongs to the whole process: when another part of it has logged in already, that is
 * said (CKR_USER_ALREADY_LOGGED_IN), no PIN was proved, and we do not log it out.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pkcs11/remote.h"
#include "pkcs11/tries.h"

#define PIN_MAX 255

static bool
counts_here(const struct remote *r)
{
	if (r->counter == PIN_COUNTER_AUTO)
		return (r->slot_info.flags & CKF_HW_SLOT) == 0;
	return r->counter == PIN_COUNTER_DPIV;
}

/* A file name for the token: its manufacturer's and its own number. Tokens of one serial number share a counter. */
#define COUNTER_NAME (2 * sizeof((CK_TOKEN_INFO *)0)->serialNumber + 1)
static const char *
counter_name(const struct remote *r, char out[COUNTER_NAME])
{
	return text_hex(span_of(r->info.serialNumber, sizeof r->info.serialNumber), out, COUNTER_NAME);
}

/* --- before and after a PIN is tried --- */

static CK_RV
try_begin(struct p11_slot *slot, enum tries_of who)
{
	const struct remote *r = slot->remote;
	char name[COUNTER_NAME];
	enum err e;

	if (!counts_here(r) || (e = tries_count(counter_name(r, name), who, r->pin_tries)) == E_OK)
		return CKR_OK;
	log_warn("pin", "slot=%lu error=\"%s\"", slot->id, err_msg());
	return e == E_PINLOCKED ? CKR_PIN_LOCKED : CKR_FUNCTION_FAILED;
}

static void
try_counted(struct p11_slot *slot, enum tries_of who, CK_RV rv)
{
	const struct remote *r = slot->remote;
	char name[COUNTER_NAME];
	enum err e;

	if (!counts_here(r) || rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_EXPIRED)
		return;
	e = rv == CKR_OK ? tries_reset(counter_name(r, name), who) : tries_undo(counter_name(r, name), who);
	if (e != E_OK)
		log_warn("pin", "slot=%lu error=\"%s\"", slot->id, err_msg());
}

static CK_RV
try_end(struct p11_slot *slot, enum tries_of who, CK_RV rv)
{
	struct p11_token *t = slot->token;

	try_counted(slot, who, rv);
	if (who == TRIES_USER && rv == CKR_OK)
		t->refused = t->final_shown = false;
	if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED) {
		t->refused = who == TRIES_USER || t->refused;
		t->final_shown = false;
		log_info("pin", "slot=%lu refused", slot->id);
		return rv;
	}
	/* PIN lengths are not what C_Login complains about. */
	if (rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID)
		return rv;
	return remote_rv(slot, rv);
}

/* What the token's flags tell of its own counter. */
static int
tries_told(const CK_TOKEN_INFO *info)
{
	if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
		return 0;
	return (info->flags & CKF_USER_PIN_FINAL_TRY) != 0 ? 1 : -1;
}

enum err
remote_tries(struct p11_token *t)
{
	struct remote *r = t->remote;
	char name[COUNTER_NAME];
	unsigned used;
	enum err e;

	t->tries_known = true;
	if (!counts_here(r)) {
		(void)r->f->C_GetTokenInfo(r->id, &r->info);
		t->tries = tries_told(&r->info);
		t->refused = (r->info.flags & CKF_USER_PIN_COUNT_LOW) != 0;
		return E_OK;
	}
	if ((e = tries_used(counter_name(r, name), TRIES_USER, &used)) != E_OK)
		return e;
	t->tries = used < r->pin_tries ? (int)(r->pin_tries - used) : 0;
	t->refused = used > 0;
	return E_OK;
}

CK_FLAGS
remote_so_flags(const struct remote *r)
{
	char name[COUNTER_NAME];
	unsigned used;

	if (!counts_here(r) || tries_used(counter_name(r, name), TRIES_SO, &used) != E_OK || used == 0)
		return 0;
	return CKF_SO_PIN_COUNT_LOW | (used + 1 == r->pin_tries ? CKF_SO_PIN_FINAL_TRY : 0) |
	    (used >= r->pin_tries ? CKF_SO_PIN_LOCKED : 0);
}

/* --- C_Login --- */

/* Can it be one at all? Nothing is counted for what is none. */
static CK_RV
pin_possible(const struct remote *r, const CK_BYTE *pin, CK_ULONG n)
{
	if (pin == NULL)
		return (r->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0 && n == 0 ? CKR_OK : CKR_ARGUMENTS_BAD;
	return n > 0 && n <= PIN_MAX ? CKR_OK : CKR_PIN_INCORRECT;
}

/* The module's prototype wants a mutable PIN. With a PIN pad this waits for a person, and nobody waits for us. */
static CK_RV
call_login(struct p11_session *s, CK_SESSION_HANDLE h, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n)
{
	union {
		const CK_BYTE *c;
		CK_BYTE *m;
	} cast = { pin };
	CK_RV rv;

	if (pin != NULL)
		return s->slot->remote->f->C_Login(h, user, cast.m, n);
	remote_go(s);
	rv = s->slot->remote->f->C_Login(h, user, NULL, 0);
	remote_come_back(s);
	return rv;
}

static CK_RV
try_login(struct p11_session *s, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n)
{
	struct remote *r = s->slot->remote;
	enum tries_of who = user == CKU_SO ? TRIES_SO : TRIES_USER;
	CK_RV rv;

	if (who == TRIES_USER && (rv = login_guard(s->slot)) != CKR_OK)
		return rv;
	if ((rv = try_begin(s->slot, who)) != CKR_OK)
		return rv;
	rv = call_login(s, user == CKU_CONTEXT_SPECIFIC ? s->remote.handle : r->session, user, pin, n);
	rv = try_end(s->slot, who, rv);
	return rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID ? CKR_PIN_INCORRECT : rv;
}

static CK_RV
login_operation(struct p11_session *s, const CK_BYTE *pin, CK_ULONG n)
{
	struct p11_op *op = login_waiting(s);
	CK_RV rv;

	if (op == NULL || op->link == NULL)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (op->context_login)
		return CKR_USER_ALREADY_LOGGED_IN;
	if ((rv = try_login(s, CKU_CONTEXT_SPECIFIC, pin, n)) == CKR_OK)
		op->context_login = true;
	return rv;
}

CK_RV
remote_login_held(struct p11_session *s, struct p11_op *op)
{
	struct span pin = secret_view(op->pin);
	CK_RV rv = try_login(s, CKU_CONTEXT_SPECIFIC, pin.p, pin.n);

	secret_free(&op->pin);
	return rv;
}

CK_RV
remote_login(struct p11_session *s, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n)
{
	struct p11_token *t = s->slot->token;
	CK_RV rv;

	if ((rv = pin_possible(s->slot->remote, pin, n)) != CKR_OK)
		return rv;
	if (user == CKU_CONTEXT_SPECIFIC)
		return login_operation(s, pin, n);
	if (user == CKU_SO && t->so != SO_NONE)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (user == CKU_SO && t->user)
		return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	rv = try_login(s, user, pin, n);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		s->slot->remote->logged_in = rv == CKR_OK;
		t->user = user == CKU_USER;
		t->so = user == CKU_SO ? SO_REMOTE : SO_NONE;
	}
	if (rv == CKR_OK && user == CKU_USER && pin != NULL)
		fresh_set(s->slot, span_of(pin, n));
	if (rv == CKR_OK && user == CKU_USER && pin != NULL && n < s->slot->remote->pin_min)
		log_warn("pin", "slot=%lu text=\"the PIN is shorter than %u characters: change it\"", s->slot->id,
		    s->slot->remote->pin_min);
	return rv;
}

void
remote_logout(struct p11_token *t, bool tell)
{
	struct remote *r = t->remote;

	if (tell && r->up && r->logged_in)
		(void)r->f->C_Logout(r->session);
	r->logged_in = false;
	/* handles of private objects do not outlive the login */
	for (size_t i = 0; i < P11_CREDS; i++)
		if (t->cred[i].remote != NULL && t->cred[i].row->pin)
			t->cred[i].remote->key = CK_INVALID_HANDLE;
	r->n_seen = 0;
	t->so = SO_NONE;
}

/* --- C_SetPIN, C_InitPIN --- */

static CK_RV
new_pin(const struct remote *r, struct span pin)
{
	return pin.n >= r->pin_min && pin.n <= PIN_MAX ? CKR_OK : CKR_PIN_LEN_RANGE;
}

static CK_BYTE *mutable(struct span s)
{
	union {
		const uint8_t *c;
		CK_BYTE *m;
	} cast = { s.p };

	return cast.m;
}

/* The old PIN is proved with it: a try. As security officer, of the SO PIN. */
CK_RV
remote_set_pin(struct p11_session *s, struct span old, struct span pin)
{
	struct p11_slot *slot = s->slot;
	enum tries_of who = slot->token->so != SO_NONE ? TRIES_SO : TRIES_USER;
	CK_RV rv;

	if ((rv = new_pin(slot->remote, pin)) != CKR_OK)
		return rv;
	if (old.n == 0 || old.n > PIN_MAX)
		return CKR_PIN_INCORRECT;
	if ((rv = remote_session_open(s)) != CKR_OK || (who == TRIES_USER && (rv = login_guard(slot)) != CKR_OK) ||
	    (rv = try_begin(slot, who)) != CKR_OK)
		return rv;
	rv = slot->remote->f->C_SetPIN(s->remote.handle, mutable(old), old.n, mutable(pin), pin.n);
	return try_end(slot, who, rv);
}

CK_RV
remote_init_pin(struct p11_session *s, struct span pin)
{
	struct p11_slot *slot = s->slot;
	CK_RV rv;

	if ((rv = new_pin(slot->remote, pin)) != CKR_OK || (rv = remote_session_open(s)) != CKR_OK)
		return rv;
	rv = slot->remote->f->C_InitPIN(s->remote.handle, mutable(pin), pin.n);
	if (rv != CKR_OK)
		return remote_rv(slot, rv);
	return try_end(slot, TRIES_USER, rv);
}
