/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots with another module behind them: see remote.h. Their ids come from the order of the sections in the
 * configuration and stay; a token that is away, or a module that is missing or does not start, is a slot without token
 * and a line in the log. The module is loaded when somebody first asks what is in the slot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "pkcs11/remote.h"

#define AGAIN_ABSENT  1	 /* seconds until a token is looked for again */
#define AGAIN_FAILED  30 /* and a module that did not start */
#define SLOTS_LOOK_AT 64

static time_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* --- configuration --- */

static unsigned
number(const struct conf *c, const char *section, const char *key, long min, long max)
{
	long n = conf_num(c, section, key);

	if (n < min || n > max)
		log_warn("config", "section=\"%s\" text=\"%s is from %ld to %ld\"", section, key, min, max);
	return (unsigned)(n < min ? min : n > max ? max : n);
}

/* Who keeps the counter: auto: the token when it is hardware. */
static enum pin_counter
counter_of(const struct conf *c, const char *section)
{
	const char *word = conf_str(c, section, "pin_counter");

	if (word != NULL && strcmp(word, "dpiv") == 0)
		return PIN_COUNTER_DPIV;
	if (word != NULL && strcmp(word, "token") == 0)
		return PIN_COUNTER_TOKEN;
	if (word == NULL || strcmp(word, "auto") != 0)
		log_warn("config", "section=\"%s\" text=\"pin_counter is auto, dpiv or token\"", section);
	return PIN_COUNTER_AUTO;
}

/* Of a section that is not a slot (dpiv's own module, or slot = no): NULL. What cannot be used keeps its slot, so that
 * the others keep theirs. */
static struct remote *
remote_new(const struct conf *c, const char *name)
{
	struct remote *r = calloc(1, sizeof *r);
	char section[80];
	const char *uri;

	snprintf(section, sizeof section, "token %s", name);
	uri = conf_str(c, section, "uri");
	if (r == NULL || uri == NULL || !conf_bool(c, section, "slot")) {
		free(r);
		return NULL;
	}
	snprintf(r->name, sizeof r->name, "%s", name);
	r->pin_min = number(c, section, "pin_min", 4, 64);
	r->pin_tries = number(c, section, "pin_tries", 1, 10);
	r->counter = counter_of(c, section);
	if (remote_uri_parse(uri, &r->uri) != E_OK)
		log_error("config", "section=\"%s\" error=\"%s\"", section, err_msg());
	else if (p11_kit_uri_get_module_path(r->uri) == NULL)
		remote_free(&r);
	return r;
}

void
remotes_make(struct p11_module *m)
{
	const char *name;

	for (size_t i = 0; (name = conf_named(m->conf, "token", i)) != NULL; i++) {
		struct remote *r = remote_new(m->conf, name);
		struct p11_slot *slot;

		if (r == NULL)
			continue;
		if (m->n_remote == P11_REMOTE_MAX || (slot = slot_make(m, P11_REMOTE_ID + m->n_remote)) == NULL) {
			log_error("config", "section=\"token %s\" text=\"no slot for it\"", name);
			remote_free(&r);
			return;
		}
		snprintf(slot->reader, sizeof slot->reader, "%s", name);
		slot->remote = r;
		m->remote[m->n_remote++] = slot;
	}
}

void
remote_free(struct remote **rp)
{
	struct remote *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	if (r->up)
		(void)r->f->C_CloseSession(r->session);
	p11mod_close(&r->mod);
	if (r->uri != NULL)
		p11_kit_uri_free(r->uri);
	free(r);
}

void
remote_forget(struct remote *r)
{
	r->up = false;
	p11mod_forget(&r->mod);
}

/* --- coming and going --- */

/* The token that the uri names, first of those that are there. */
static bool
token_look(struct remote *r)
{
	CK_SLOT_ID ids[SLOTS_LOOK_AT];
	CK_ULONG n = 0;

	/* a NULL list makes a module look for new tokens */
	if (r->f->C_GetSlotList(CK_TRUE, NULL, &n) != CKR_OK)
		return false;
	n = SLOTS_LOOK_AT;
	if (r->f->C_GetSlotList(CK_TRUE, ids, &n) != CKR_OK)
		return false;
	for (CK_ULONG i = 0; i < n && i < SLOTS_LOOK_AT; i++) {
		CK_SLOT_INFO slot = { 0 };
		CK_TOKEN_INFO token = { 0 };

		if (r->f->C_GetSlotInfo(ids[i], &slot) != CKR_OK || r->f->C_GetTokenInfo(ids[i], &token) != CKR_OK ||
		    !remote_uri_is_token(r, ids[i], &slot, &token))
			continue;
		r->id = ids[i];
		r->slot_info = slot;
		r->info = token;
		return true;
	}
	return false;
}

static bool
same_token(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
	return memcmp(a->label, b->label, sizeof a->label) == 0 &&
	    memcmp(a->serialNumber, b->serialNumber, sizeof a->serialNumber) == 0 &&
	    memcmp(a->manufacturerID, b->manufacturerID, sizeof a->manufacturerID) == 0;
}

/* The token is there: the one that was, or another one, whose sessions then are not these. */
static CK_RV
token_adopt(struct p11_slot *slot, const CK_TOKEN_INFO *before)
{
	struct remote *r = slot->remote;
	CK_RV rv;

	if (slot->token != NULL && !same_token(before, &r->info)) {
		if (r->outside > 0)
			return CKR_TOKEN_NOT_PRESENT;
		slot->generation++;
		slot_sessions_close(slot);
		token_free(&slot->token);
	}
	if (slot->token == NULL) {
		if ((rv = token_new(slot)) != CKR_OK)
			return rv;
		slot->token->remote = r;
		for (size_t i = 0; i < P11_CREDS; i++)
			slot->token->cred[i].state = CRED_ABSENT;
		for (size_t i = 0; i < P11_DATA; i++)
			slot->token->data[i].state = DATA_ABSENT;
	}
	return CKR_OK;
}

/* Read and write when it can be, so that a security officer can log in beside it. */
static CK_RV
own_session(struct remote *r)
{
	CK_RV rv = r->f->C_OpenSession(r->id, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &r->session);

	if (rv == CKR_TOKEN_WRITE_PROTECTED)
		rv = r->f->C_OpenSession(r->id, CKF_SERIAL_SESSION, NULL, NULL, &r->session);
	return rv;
}

static CK_RV
remote_come(struct p11_slot *slot)
{
	struct remote *r = slot->remote;
	CK_TOKEN_INFO before = r->info;
	CK_RV rv;

	if (!token_look(r)) {
		r->info = before;
		return CKR_TOKEN_NOT_PRESENT;
	}
	if ((rv = token_adopt(slot, &before)) != CKR_OK || (rv = own_session(r)) != CKR_OK)
		return rv;
	r->up = true;
	r->n_seen = 0;
	if (atomic_fetch_add(&r->epoch, 1) + 1 == 0)
		atomic_store(&r->epoch, 1); /* 0 is no session */
	atomic_store(&r->hardware, (r->slot_info.flags & CKF_HW_SLOT) != 0);
	remote_mechs_read(r);
	atomic_store(&slot->present, true);
	log_info("token", "slot=%lu name=\"%s\" label=\"%.32s\"", slot->id, r->name, r->info.label);
	return CKR_OK;
}

static CK_RV
remote_load(struct remote *r)
{
	enum err e;

	if (r->mod != NULL)
		return CKR_OK;
	if ((e = p11mod_open(p11_kit_uri_get_module_path(r->uri), &r->mod)) != E_OK) {
		log_warn("token", "name=\"%s\" error=\"%s\"", r->name, err_msg());
		r->again = now() + (e == E_BUSY ? AGAIN_ABSENT : AGAIN_FAILED);
		return CKR_TOKEN_NOT_PRESENT;
	}
	r->f = p11mod_calls(r->mod);
	return CKR_OK;
}

/* It was finalised by another part of the program, which had initialised it: begin again. */
static void
remote_unload(struct remote *r)
{
	if (r->outside == 0)
		p11mod_close(&r->mod);
}

static void
remote_lose(struct p11_slot *slot)
{
	struct remote *r = slot->remote;

	if (!r->up)
		return;
	log_info("removed", "slot=%lu name=\"%s\"", slot->id, r->name);
	r->up = r->logged_in = false;
	atomic_fetch_add(&r->epoch, 1);
	r->again = 0;
	atomic_store(&slot->present, false);
	token_logout(slot->token, false);
}

CK_RV
remote_attach(struct p11_slot *slot)
{
	struct remote *r = slot->remote;
	CK_RV rv;

	if (r->up)
		return CKR_OK;
	if (r->uri == NULL || now() < r->again)
		return CKR_TOKEN_NOT_PRESENT;
	if ((rv = remote_load(r)) != CKR_OK)
		return rv;
	if ((rv = remote_come(slot)) == CKR_OK)
		return CKR_OK;
	if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
		remote_unload(r);
	if (rv != CKR_TOKEN_NOT_PRESENT)
		log_warn("token", "name=\"%s\" rv=0x%lx", r->name, rv);
	r->again = now() + AGAIN_ABSENT;
	return CKR_TOKEN_NOT_PRESENT;
}

CK_RV
remote_check(struct p11_slot *slot)
{
	unsigned before = slot->generation;
	CK_RV rv;

	if (slot->remote->up)
		return CKR_OK;
	rv = remote_attach(slot);
	if (slot->generation != before)
		return CKR_SESSION_HANDLE_INVALID;
	return rv == CKR_TOKEN_NOT_PRESENT ? CKR_DEVICE_REMOVED : rv;
}

/* Ask the other module: tokens that can be pulled tell nobody. */
static CK_RV
remote_look(struct p11_slot *slot)
{
	struct remote *r = slot->remote;
	CK_TOKEN_INFO info = { 0 };
	CK_RV rv;

	if ((rv = remote_attach(slot)) != CKR_OK)
		return rv;
	rv = r->f->C_GetTokenInfo(r->id, &info);
	if (rv == CKR_OK && same_token(&info, &r->info)) {
		r->info = info;
		return CKR_OK;
	}
	remote_lose(slot);
	if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
		remote_unload(r);
	return remote_attach(slot);
}

void
remote_peek(struct p11_slot *slot)
{
	if (!mutex_try(&slot->lock))
		return; /* in use: what was seen last holds */
	(void)remote_look(slot);
	mutex_unlock(&slot->lock);
}

/* --- C_GetTokenInfo --- */

CK_RV
remote_info(struct p11_slot *slot, CK_TOKEN_INFO *info)
{
	const CK_FLAGS theirs = CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_PROTECTED_AUTHENTICATION_PATH |
	    CKF_TOKEN_INITIALIZED | CKF_USER_PIN_TO_BE_CHANGED | CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY |
	    CKF_SO_PIN_LOCKED | CKF_SO_PIN_TO_BE_CHANGED | CKF_CLOCK_ON_TOKEN;
	struct remote *r = slot->remote;
	CK_RV rv;

	if ((rv = remote_look(slot)) != CKR_OK)
		return rv;
	if (remote_tries(slot->token) != E_OK)
		slot->token->tries = -1;
	*info = r->info;
	text_clean(info->label, sizeof info->label);
	text_clean(info->manufacturerID, sizeof info->manufacturerID);
	text_clean(info->model, sizeof info->model);
	text_clean(info->serialNumber, sizeof info->serialNumber);
	text_clean(info->utcTime, sizeof info->utcTime);
	token_counts(slot, info);
	info->ulMaxPinLen = r->info.ulMaxPinLen;
	info->ulMinPinLen = r->info.ulMinPinLen > r->pin_min ? r->info.ulMinPinLen : r->pin_min;
	info->flags = CKF_RNG | (r->info.flags & theirs) | token_pin_flags(slot->token) | remote_so_flags(r);
	return CKR_OK;
}

/* --- answers of the other module --- */

static bool
means_gone(CK_RV rv)
{
	switch (rv) {
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_TOKEN_NOT_RECOGNIZED:
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_SESSION_CLOSED:
	case CKR_SLOT_ID_INVALID:
	case CKR_CRYPTOKI_NOT_INITIALIZED: return true;
	default: return false;
	}
}

CK_RV
remote_rv(struct p11_slot *slot, CK_RV rv)
{
	if (rv == CKR_OK)
		return rv;
	log_info("token", "call=%s slot=%lu rv=0x%lx", slot->where, slot->id, rv);
	if (means_gone(rv)) {
		remote_lose(slot);
		if (rv == CKR_CRYPTOKI_NOT_INITIALIZED)
			remote_unload(slot->remote);
		return CKR_DEVICE_REMOVED;
	}
	if (rv == CKR_USER_NOT_LOGGED_IN)
		token_logout(slot->token, false);
	return rv;
}

/* --- sessions --- */

CK_RV
remote_session_open(struct p11_session *s)
{
	struct remote *r = s->slot->remote;
	struct remote_session *rs = &s->remote;
	CK_FLAGS flags = CKF_SERIAL_SESSION | (s->flags & CKF_RW_SESSION);
	CK_RV rv;

	if (rs->epoch == r->epoch && !rs->spoiled)
		return CKR_OK;
	remote_session_close(s);
	rv = r->f->C_OpenSession(r->id, flags, NULL, NULL, &rs->handle);
	if (rv == CKR_TOKEN_WRITE_PROTECTED)
		rv = r->f->C_OpenSession(r->id, CKF_SERIAL_SESSION, NULL, NULL, &rs->handle);
	if (rv != CKR_OK)
		return remote_rv(s->slot, rv);
	rs->epoch = r->epoch;
	return CKR_OK;
}

void
remote_session_close(struct p11_session *s)
{
	struct remote *r = s->slot->remote;

	if (r != NULL && s->remote.epoch != 0 && s->remote.epoch == atomic_load(&r->epoch))
		(void)r->f->C_CloseSession(s->remote.handle);
	s->remote = (struct remote_session){ .epoch = 0 };
}

void
remote_go(struct p11_session *s)
{
	s->slot->remote->outside++;
	mutex_unlock(&s->slot->lock);
}

void
remote_come_back(struct p11_session *s)
{
	mutex_lock(&s->slot->lock);
	s->slot->remote->outside--;
}
