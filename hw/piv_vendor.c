/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What YubiKeys, and cards like them, can do beyond SP 800-73: attest a key (F9), take one in (FE), delete or move one
 * (F6), change the management key (FF). After Yubico's published command reference. Each needs the management key,
 * attestation excepted. A command that a card does not know (6D00) is not sent to it again.
 *
 * Private keys and management keys are put together in memory that is locked and wiped; the trace shows none of these
 * commands' data (apdu.c).
 */
#include <string.h>

#include "hw/piv_int.h"

#define TAG_SEED   0x07 /* Ed25519 */
#define TAG_SCALAR 0x06
#define TAG_X25519 0x08
#define MOVE_AWAY  0xFF

enum piv_vendor_what { ATTEST, IMPORT, DELETE, MOVE, SET_ADMIN };

static const struct {
	enum piv_extension ext;
	uint8_t ins;
	const char *what;
} commands[] = {
	[ATTEST] = { PIV_EXT_ATTEST, INS_ATTEST, "attestation" },
	[IMPORT] = { PIV_EXT_IMPORT, INS_IMPORT, "taking a key in" },
	[DELETE] = { PIV_EXT_MOVE, INS_MOVE, "deleting a key" },
	[MOVE] = { PIV_EXT_MOVE, INS_MOVE, "moving a key" },
	[SET_ADMIN] = { PIV_EXT_SET_9B, INS_SET_9B, "a new management key" },
};

struct vendor_io {
	enum piv_vendor_what what;
	uint8_t p1, p2;
	struct span data;
	struct wbuf *answer; /* NULL: none is expected */
	bool unknown;
};

static enum err
vendor_step(struct piv_card *card, void *arg)
{
	struct vendor_io *io = arg;
	struct apdu a = { .ins = commands[io->what].ins,
		.p1 = io->p1,
		.p2 = io->p2,
		.data = io->data,
		.le = io->answer != NULL,
		.brief = io->what != ATTEST };
	enum err e;

	if (io->answer != NULL)
		wbuf_clear(io->answer);
	if ((e = piv_send(card, &a, io->answer)) != E_OK)
		return e;
	io->unknown = card->sw == 0x6D00;
	if (card->sw == SW_NOT_LOGGED_IN)
		return err_set(E_AUTH, "%s: %s needs the management key", card->name, commands[io->what].what);
	return card->sw == SW_OK ? E_OK : piv_refused(card, commands[io->what].what);
}

static enum err
vendor_run(struct piv_card *card, struct vendor_io *io)
{
	enum piv_has *has = &card->has[commands[io->what].ext];
	enum err e;

	if (*has == PIV_HAS_NOT)
		return err_set(E_UNSUP, "%s: the card has no command for %s", card->name, commands[io->what].what);
	e = piv_run(card, vendor_step, io, false);
	if (e == E_OK || e == E_AUTH || e == E_NOTFOUND)
		*has = PIV_HAS;
	else if (e == E_UNSUP && io->unknown)
		*has = PIV_HAS_NOT;
	return e;
}

/* --- attestation --- */

/* One certificate; for F9 itself it lies in an object. */
static enum err
attester(struct piv_card *card, struct wbuf *der)
{
	WBUF_AUTO object = { 0 };
	enum err e;

	wbuf_init(&object, PIV_OBJ_MAX);
	if ((e = piv_object_get(card, PIV_OBJ_ATTESTER, &object)) != E_OK)
		return e;
	return (e = piv_cert_parse(wbuf_view(&object), der)) == E_OK ? E_OK : err_up(e, "%s: F9", card->name);
}

enum err
piv_attest(struct piv_card *card, uint8_t ref, struct wbuf *der)
{
	WBUF_AUTO answer = { 0 };
	struct vendor_io io = { .what = ATTEST, .p1 = ref, .answer = &answer };
	struct span rest, body;
	enum err e;

	if (ref == PIV_KEY_F9)
		return attester(card, der);
	wbuf_init(&answer, PIV_OBJ_MAX);
	if ((e = vendor_run(card, &io)) != E_OK) /* 6A80: imported; 6A86, 6A88: no key, no F9 */
		return e == E_SW ? err_set(E_NOTFOUND, "%s: key %02X was not made on the card", card->name, ref) : e;
	rest = wbuf_view(&answer);
	if (tlv_get(&rest, 0x30, &body) != E_OK || tlv_end(&rest) != E_OK)
		return err_set(E_PROTO, "%s: the attestation is no certificate", card->name);
	wbuf_span(der, wbuf_view(&answer));
	return der->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* --- private keys --- */

/* Tag, length and the number in n bytes, with zeros in front. */
static bool
put_number(struct secret *s, uint8_t tag, struct span v, size_t n)
{
	static const uint8_t zeros[64] = { 0 };
	WBUF_AUTO head = { 0 };
	struct span h;

	while (v.n > n && v.p[0] == 0)
		if (!span_skip(&v, 1))
			return false;
	if (v.n == 0 || v.n > n || n - v.n > sizeof zeros)
		return false;
	wbuf_init(&head, 8);
	wbuf_u8(&head, tag);
	if (n > 0xFF)
		wbuf_u8(&head, 0x82);
	else if (n > 0x7F)
		wbuf_u8(&head, 0x81);
	if (n > 0xFF)
		wbuf_be16(&head, (uint16_t)n);
	else
		wbuf_u8(&head, (uint8_t)n);
	h = wbuf_view(&head);
	return secret_put(s, h.p, h.n) && secret_put(s, zeros, n - v.n) && secret_put(s, v.p, v.n);
}

static bool
put_private(struct secret *s, const struct piv_private *key)
{
	size_t len = piv_alg_len(key->alg);

	if (key->alg == PIV_ALG_ED25519)
		return key->part[0].n == len && put_number(s, TAG_SEED, key->part[0], len);
	if (key->alg == PIV_ALG_X25519)
		return key->part[0].n == len && put_number(s, TAG_X25519, key->part[0], len);
	if (piv_alg_is_ec(key->alg))
		return put_number(s, TAG_SCALAR, key->part[0], len);
	for (uint8_t i = 0; i < 5; i++)
		if (!put_number(s, (uint8_t)(i + 1), key->part[i], len / 2))
			return false;
	return true;
}

enum err
piv_key_import(struct piv_card *card, uint8_t ref, const struct piv_private *key, struct piv_policy policy)
{
	struct vendor_io io = { .what = IMPORT, .p1 = (uint8_t)key->alg, .p2 = ref };
	SECRET_AUTO data = secret_new(2048);
	WBUF_AUTO rules = { 0 };
	struct span r;

	if (piv_key_find(ref) == NULL && ref != PIV_KEY_F9)
		return err_set(E_ARG, "%s: no key reference %02X", card->name, ref);
	if (piv_alg_len(key->alg) == 0)
		return err_set(E_ARG, "%s: no key of algorithm %02X", card->name, (unsigned)key->alg);
	wbuf_init(&rules, 16);
	piv_policy_put(policy, &rules);
	r = wbuf_view(&rules);
	if (data == NULL)
		return err_set(E_NOMEM, "out of memory");
	if (!put_private(data, key) || !secret_put(data, r.p, r.n))
		return err_set(E_ARG, "%s: the private key's numbers do not have its algorithm's lengths", card->name);
	io.data = secret_view(data);
	piv_policy_note(card, ref, PIV_PIN_DEFAULT);
	piv_cache_forget_key(card, ref);
	return vendor_run(card, &io);
}

enum err
piv_key_delete(struct piv_card *card, uint8_t ref)
{
	struct vendor_io io = { .what = DELETE, .p1 = MOVE_AWAY, .p2 = ref };

	if (piv_key_find(ref) == NULL)
		return err_set(E_ARG, "%s: no key reference %02X", card->name, ref);
	piv_policy_note(card, ref, PIV_PIN_DEFAULT);
	piv_cache_forget_key(card, ref);
	return vendor_run(card, &io);
}

enum err
piv_key_move(struct piv_card *card, uint8_t from, uint8_t to)
{
	struct vendor_io io = { .what = MOVE, .p1 = to, .p2 = from };

	if (piv_key_find(from) == NULL || piv_key_find(to) == NULL || from == to)
		return err_set(E_ARG, "%s: no key can be moved from %02X to %02X", card->name, from, to);
	piv_policy_note(card, from, PIV_PIN_DEFAULT);
	piv_policy_note(card, to, PIV_PIN_DEFAULT);
	piv_cache_forget_key(card, from);
	piv_cache_forget_key(card, to);
	return vendor_run(card, &io);
}

/* --- the management key --- */

/* The weak and semi-weak keys of DES, FIPS 74 (reaffirmed in SP 800-67), without their parity bits. */
static const uint64_t weak_des[] = { 0x0000000000000000, 0xFEFEFEFEFEFEFEFE, 0x1E1E1E1E0E0E0E0E, 0xE0E0E0E0F0F0F0F0,
	0x001E001E000E000E, 0x1E001E000E000E00, 0x00E000E000F000F0, 0xE000E000F000F000, 0x00FE00FE00FE00FE,
	0xFE00FE00FE00FE00, 0x1EE01EE00EF00EF0, 0xE01EE01EF00EF00E, 0x1EFE1EFE0EFE0EFE, 0xFE1EFE1EFE0EFE0E,
	0xE0FEE0FEF0FEF0FE, 0xFEE0FEE0FEF0FEF0 };

/* One of the three keys is weak, or two neighbours are the same and so undo each other. */
static bool
is_weak_3des(struct span key)
{
	uint64_t part[3] = { 0, 0, 0 };
	uint8_t b;

	for (size_t i = 0; i < 24 && span_u8(&key, &b); i++)
		part[i / 8] = part[i / 8] << 8 | (b & 0xFE);
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < sizeof weak_des / sizeof weak_des[0]; k++)
			if (part[i] == weak_des[k])
				return true;
	return part[0] == part[1] || part[1] == part[2];
}

static size_t
admin_length(enum piv_alg alg)
{
	switch (alg) {
	case PIV_ALG_AES128: return 16;
	case PIV_ALG_3DES:
	case PIV_ALG_AES192: return 24;
	case PIV_ALG_AES256: return 32;
	default: return 0;
	}
}

enum err
piv_admin_set(struct piv_card *card, enum piv_alg alg, struct span key)
{
	struct vendor_io io = { .what = SET_ADMIN, .p1 = 0xFF, .p2 = 0xFF };
	const uint8_t head[] = { (uint8_t)alg, PIV_KEY_9B, (uint8_t)key.n };
	SECRET_AUTO data = secret_new(64);

	if (key.n == 0 || key.n != admin_length(alg))
		return err_set(E_ARG, "%s: no management key has %zu bytes", card->name, key.n);
	if (alg == PIV_ALG_3DES && is_weak_3des(key))
		return err_set(E_ARG, "%s: a weak 3DES key is no management key", card->name);
	if (data == NULL || !secret_put(data, head, sizeof head) || !secret_put(data, key.p, key.n))
		return err_set(E_NOMEM, "out of memory");
	io.data = secret_view(data);
	return vendor_run(card, &io);
}
