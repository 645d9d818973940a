/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The token in a slot: the PIV card edge, opened when something first needs it, with what the module knows of it.
 *
 * Removal. The reader's event count says that something happened; only then is the card looked at, by the reader. A
 * card that is out leaves its token (objects, sessions) behind, logged out: every call says CKR_DEVICE_REMOVED. When
 * the same card comes back (AID, ATR, GUID, FASC-N) the sessions go on; when another one comes they are closed, so that
 * no session ever speaks to a card that it was not opened on.
 *
 * PIN tries are asked for (an empty VERIFY, which spends none) once and remembered until something here changes them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

void
text_pad(unsigned char *out, size_t n, const char *text)
{
	size_t len = strnlen(text, n);

	for (size_t i = 0; i < n; i++)
		out[i] = i < len && text[i] >= 0x20 && text[i] < 0x7f ? (unsigned char)text[i] : ' ';
}

void
text_clean(unsigned char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
}

/* --- identity --- */

static bool
any_byte(const uint8_t *p, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any != 0;
}

/*
 * FASC-N (PACS 2.3, 6.3): 40 characters of five bits, each four bits of BCD with the lowest first and odd parity;
 * SS, agency 4, FS, system 4, FS, credential 6, FS, series, FS, issue, FS, ... The first 16 digits name the card.
 */
static bool
fascn_digits(const uint8_t fascn[25], char out[TOKEN_SERIAL + 1])
{
	size_t digits = 0;

	for (size_t c = 0; c < 40 && digits < TOKEN_SERIAL; c++) {
		unsigned v = 0;

		for (size_t b = 0; b < 4; b++)
			v |= (unsigned)(fascn[(c * 5 + b) / 8] >> (7 - (c * 5 + b) % 8) & 1) << b;
		if (v < 10)
			out[digits++] = (char)('0' + v);
	}
	out[digits] = '\0';
	return digits == TOKEN_SERIAL;
}

void
token_serial(const struct piv_id *id, char out[TOKEN_SERIAL + 1])
{
	if (id->has_guid && any_byte(id->guid, sizeof id->guid))
		text_hex(span_of(id->guid, TOKEN_SERIAL / 2), out, TOKEN_SERIAL + 1);
	else if (!id->has_fascn || !fascn_digits(id->fascn, out))
		memcpy(out, "0000000000000000", TOKEN_SERIAL + 1);
}

/* "PIV " and the agency, system and credential numbers that are printed on the back of a federal card; 9999 is the
 * agency of all others, whose cards are told apart by their GUID. */
static void
token_label(const struct piv_id *id, char *out, size_t cap)
{
	const char *what = id->derived ? "Derived PIV" : "PIV";
	char d[TOKEN_SERIAL + 1], serial[TOKEN_SERIAL + 1];

	token_serial(id, serial);
	if (id->has_fascn && fascn_digits(id->fascn, d) && strncmp(d, "9999", 4) != 0)
		snprintf(out, cap, "%s %.4s-%.4s-%.6s", what, d, d + 4, d + 8);
	else
		snprintf(out, cap, "%s %.8s", what, serial);
}

static bool
same_card(const struct piv_id *a, const struct piv_id *b)
{
	return a->aid_len == b->aid_len && memcmp(a->aid, b->aid, a->aid_len) == 0 && a->derived == b->derived &&
	    a->atr_len == b->atr_len && memcmp(a->atr, b->atr, a->atr_len) == 0 && a->has_guid == b->has_guid &&
	    (!a->has_guid || memcmp(a->guid, b->guid, sizeof a->guid) == 0) && a->has_fascn == b->has_fascn &&
	    (!a->has_fascn || memcmp(a->fascn, b->fascn, sizeof a->fascn) == 0);
}

/* --- coming and going --- */

void
token_free(struct p11_token **t)
{
	if (*t == NULL)
		return;
	objects_free(*t);
	for (size_t i = 0; i < P11_CREDS; i++)
		cred_clear(&(*t)->cred[i]);
	for (size_t i = 0; i < P11_ATTESTS; i++)
		cred_clear(&(*t)->attest[i]);
	for (size_t i = 0; i < P11_DATA; i++)
		data_clear(&(*t)->data[i], DATA_UNKNOWN);
	wbuf_free(&(*t)->off_card);
	secret_free(&(*t)->rejection);
	secret_free(&(*t)->puk);
	fresh_end(*t);
	piv_close(&(*t)->card);
	free(*t);
	*t = NULL;
}

void
token_forget(struct p11_token *t)
{
	if (t == NULL)
		return;
	secret_free(&t->puk);
	fresh_end(t);
	piv_forget(&t->card);
}

static bool
stored_private(const struct p11_object *o, const void *arg)
{
	(void)arg;
	return o->kind == KIND_STORED && object_is_private(o);
}

void
token_logout(struct p11_token *t, bool tell_card)
{
	if (t->remote != NULL && (t->user || t->so != SO_NONE))
		remote_logout(t, tell_card);
	if (t->so != SO_NONE)
		login_so_end(t, tell_card);
	fresh_end(t);
	if (!t->user)
		return;
	t->user = false;
	t->tries_known = false;
	admin_end(t, tell_card);
	objects_drop(t, stored_private, NULL);
	data_forget_private(t);
	if (tell_card && t->card != NULL)
		piv_logout(t->card);
}

void
token_detach(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;

	if (t == NULL || t->card == NULL)
		return;
	log_info("removed", "slot=%lu reader=\"%s\"", slot->id, slot->reader);
	token_logout(t, false);
	t->tries_known = false;
	t->final_shown = t->refused = false;
	piv_close(&t->card);
}

CK_RV
token_new(struct p11_slot *slot)
{
	static const CK_ULONG profiles[] = { CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER, CKP_AUTHENTICATION_TOKEN,
		CKP_PUBLIC_CERTIFICATES_TOKEN };
	struct p11_token *t = calloc(1, sizeof *t);

	if (t == NULL)
		return CKR_HOST_MEMORY;
	t->lib = slot->module->lib;
	creds_init(t);
	data_init(t);
	slot->token = t;
	for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
		struct p11_object *o = object_new(slot, KIND_PROFILE);

		if (o == NULL) {
			token_free(&slot->token);
			return CKR_HOST_MEMORY;
		}
		o->profile = profiles[i];
	}
	return CKR_OK;
}

/* The card edge was opened: on the card that this slot's token is, or on another one. */
static CK_RV
token_adopt(struct p11_slot *slot, struct piv_card *card, uint32_t event)
{
	const struct piv_id *id = piv_id(card);
	CK_RV rv;

	if (slot->token != NULL && !same_card(&slot->token->id, id)) {
		slot->generation++;
		slot_sessions_close(slot);
		token_free(&slot->token);
	}
	if (slot->token == NULL && (rv = token_new(slot)) != CKR_OK) {
		piv_close(&card);
		return rv;
	}
	slot->token->card = card;
	slot->token->id = *id;
	slot->token->event = event;
	return CKR_OK;
}

static CK_RV
token_open(struct p11_slot *slot)
{
	struct piv_card *card = NULL;
	uint32_t event;
	enum err e;

	if (slots_refresh(slot->module, false) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	event = atomic_load(&slot->event);
	if (!atomic_load(&slot->present))
		return CKR_TOKEN_NOT_PRESENT;
	if (slot->foreign && slot->foreign_event == event)
		return slot->second ? CKR_TOKEN_NOT_PRESENT : CKR_TOKEN_NOT_RECOGNIZED;
	if (!slot->readers_open && (e = p11_readers_open(&slot->readers)) != E_OK)
		return p11_rv(e);
	slot->readers_open = true;
	e = (slot->second ? piv_open_second : piv_open)(&slot->readers, slot->reader, &card);
	if (slot->second)
		slot_known(slot, e == E_OK);
	slot->foreign = e == E_NOTPIV;
	slot->foreign_event = event;
	if (e == E_CARDGONE || e == E_NOREADER)
		e = E_NOCARD;
	if (e == E_NOTPIV && slot->second)
		return CKR_TOKEN_NOT_PRESENT;
	/* A trace has all of the card that was used, and what is played is no card. */
	if (e == E_OK && !log_on(LOG_TRACE) && secure_getenv("DPIV_REPLAY") == NULL &&
	    conf_bool(slot->module->conf, "module", "cache"))
		piv_cache(card);
	return e == E_OK ? token_adopt(slot, card, event) : p11_rv(e);
}

/* Something happened in this reader since the card was seen last. */
static void
token_look(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;
	uint32_t event = atomic_load(&slot->event);

	if (t == NULL || t->card == NULL || t->event == event)
		return;
	if (!atomic_load(&slot->present) || piv_present(t->card) != E_OK)
		token_detach(slot);
	else
		t->event = event;
}

CK_RV
token_attach(struct p11_slot *slot)
{
	if (slot->remote != NULL)
		return remote_attach(slot);
	if (slots_refresh(slot->module, false) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	token_look(slot);
	if (slot->token != NULL && slot->token->card != NULL)
		return CKR_OK;
	return token_open(slot);
}

CK_RV
token_check(struct p11_slot *slot)
{
	unsigned before = slot->generation;
	CK_RV rv;

	if (slot->remote != NULL)
		return remote_check(slot);
	token_look(slot);
	if (slot->token->card != NULL)
		return CKR_OK;
	rv = token_open(slot);
	if (slot->generation != before) /* another card: the sessions are closed */
		return CKR_SESSION_HANDLE_INVALID;
	if (rv == CKR_OK)
		return CKR_OK;
	return rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_TOKEN_NOT_RECOGNIZED ? CKR_DEVICE_REMOVED : rv;
}

#define NOTICE_MS 1000 /* PC/SC polls for cards every 400 ms */

/* The reader failed: because the card is out? PC/SC finds out a little later than the command that failed. */
static bool
was_pulled(struct p11_slot *slot)
{
	struct p11_module *m = slot->module;
	struct reader_list known;

	if (slots_refresh(m, false) != E_OK || !atomic_load(&slot->present))
		return true;
	mutex_lock(&m->listing);
	known = m->known;
	mutex_unlock(&m->listing);
	return slot->readers.ops->wait(slot->readers.ctx, &known, NOTICE_MS) == E_OK &&
	    (slots_refresh(m, false) != E_OK || !atomic_load(&slot->present));
}

CK_RV
token_result(struct p11_slot *slot, enum err e)
{
	struct p11_token *t = slot->token;

	if (e == E_OK)
		return CKR_OK;
	log_info("card", "call=%s slot=%lu error=%s text=\"%s\"", slot->where, slot->id, err_name(e), err_msg());
	if (e == E_CARDGONE || e == E_NOCARD || e == E_NOREADER || (e == E_IO && was_pulled(slot))) {
		token_detach(slot);
		return CKR_DEVICE_REMOVED;
	}
	if (e == E_AUTH || e == E_PINLOCKED)
		token_logout(t, false);
	if (e == E_PINLOCKED) {
		t->tries_known = true;
		t->tries = 0;
	}
	return p11_rv(e);
}

/* --- C_GetTokenInfo --- */

enum err
token_tries(struct p11_token *t)
{
	uint8_t ref;
	enum err e;

	if (t->remote != NULL)
		return remote_tries(t);
	if (t->tries_known)
		return E_OK;
	if ((e = piv_pin_primary(t->card, &ref)) != E_OK || (e = piv_pin_tries(t->card, ref, &t->tries)) != E_OK)
		return e;
	t->tries_known = true;
	t->tries_at = p11_now_ms();
	return E_OK;
}

CK_FLAGS
token_pin_flags(struct p11_token *t)
{
	CK_FLAGS flags = 0;

	if (t->refused || (t->tries >= 0 && t->tries < 3))
		flags |= CKF_USER_PIN_COUNT_LOW;
	if (t->tries == 1)
		flags |= CKF_USER_PIN_FINAL_TRY;
	if (t->tries == 0)
		flags |= CKF_USER_PIN_LOCKED;
	t->final_shown = t->tries == 1;
	return flags;
}

void
token_counts(struct p11_slot *slot, CK_TOKEN_INFO *info)
{
	mutex_lock(&slot->module->table);
	info->ulSessionCount = slot->sessions;
	info->ulRwSessionCount = slot->rw_sessions;
	mutex_unlock(&slot->module->table);
	info->ulMaxSessionCount = info->ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE;
	info->ulMaxPinLen = 8;
	info->ulMinPinLen = 6;
	info->ulTotalPublicMemory = info->ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION;
	info->ulTotalPrivateMemory = info->ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION;
}

CK_RV
token_info(struct p11_slot *slot, CK_TOKEN_INFO *info)
{
	char text[64];
	enum err e;
	CK_RV rv;

	if (info == NULL)
		return CKR_ARGUMENTS_BAD;
	if (slot->remote != NULL)
		return remote_info(slot, info);
	if ((rv = token_attach(slot)) != CKR_OK)
		return rv;
	/* Tries that the card will not tell are no reason to have no token. */
	if ((e = token_tries(slot->token)) == E_CARDGONE || e == E_NOCARD) {
		token_detach(slot);
		return CKR_TOKEN_NOT_PRESENT;
	}
	if (e != E_OK)
		slot->token->tries = -1;
	memset(info, 0, sizeof *info);
	token_label(&slot->token->id, text, sizeof text);
	text_pad(info->label, sizeof info->label, text);
	text_pad(info->manufacturerID, sizeof info->manufacturerID, "dpiv");
	text_pad(info->model, sizeof info->model, slot->token->id.derived ? "Derived PIV" : "PIV");
	token_serial(&slot->token->id, text);
	text_pad(info->serialNumber, sizeof info->serialNumber, text);
	text_pad(info->utcTime, sizeof info->utcTime, "");
	info->flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED |
	    token_pin_flags(slot->token) | (pad_usable(slot, PIV_PAD_VERIFY) ? CKF_PROTECTED_AUTHENTICATION_PATH : 0);
	token_counts(slot, info);
	return CKR_OK;
}
