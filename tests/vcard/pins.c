/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (SP 800-73-5 Part 2, 3.2.1 to 3.2.3; formats: 2.4.3).
 *
 *  - a malformed value is 6A80 and costs nothing, or 63CX and a try, as the card's maker chose (option);
 *  - a wrong value clears the verified status of its reference; a counter at zero is 6983 whatever comes;
 *  - only VERIFY makes the PIN fresh for the PIN-always key;
 *  - RESET RETRY COUNTER leaves the PIN unverified;
 *  - the Global PIN exists only when the Discovery object says that it satisfies the PIV access rules.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "tests/vcard/model.h"

#define LEN 8

bool
vc_secret_set(struct vc_secret *s, const char *text)
{
	size_t n = strlen(text);

	if (n > LEN)
		return false;
	memset(s->v, 0xFF, LEN);
	memcpy(s->v, text, n);
	s->set = true;
	return true;
}

/* PIN usage policy, first byte, bit 6: the Global PIN satisfies the access rules (SP 800-73-5 Part 1, 3.3.2). */
bool
vc_global_pin_usable(const struct vcard *vc)
{
	for (size_t i = 0; i < vc->objects; i++) {
		struct vc_in in = { vc->object[i].p, vc->object[i].n }, body, policy;
		uint32_t t;

		if (vc->object[i].tag != 0x7E || !vc_tlv_next(&in, &t, &body))
			continue;
		return vc->secret[VC_GLOBAL].set && vc_tlv_find(body, 0x5F2F, &policy) && policy.n == 2 &&
		    (policy.p[0] & 0x20);
	}
	return false;
}

bool
vc_pin_verified(const struct vcard *vc)
{
	return vc->secret[VC_PIN].verified || (vc->secret[VC_GLOBAL].verified && vc_global_pin_usable(vc));
}

static struct vc_secret *
reference(struct vcard *vc, uint8_t ref, bool puk)
{
	if (ref == 0x80)
		return &vc->secret[VC_PIN];
	if (ref == 0x81 && puk)
		return &vc->secret[VC_PUK];
	return ref == 0x00 && vc_global_pin_usable(vc) ? &vc->secret[VC_GLOBAL] : NULL;
}

static bool
is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* 6 to 8 characters, then FF. Digits; letters too in a derived application (SP 800-157r1 B.2.1); a YubiKey takes
 * anything. */
static bool
pin_format(const struct vcard *vc, const uint8_t *v)
{
	size_t n = 0;

	while (n < LEN && v[n] != 0xFF) {
		bool digit = v[n] >= '0' && v[n] <= '9';

		if (!digit && !vc->opt.yubikey && !(vc_is_derived(vc) && is_alnum(v[n])))
			return false;
		n++;
	}
	for (size_t i = n; i < LEN; i++)
		if (v[i] != 0xFF)
			return false;
	return n >= 6;
}

static bool
format_ok(const struct vcard *vc, const struct vc_secret *s, const uint8_t *v)
{
	return s == &vc->secret[VC_PUK] || pin_format(vc, v);
}

static uint16_t
tries_sw(const struct vc_secret *s)
{
	return s->left ? (uint16_t)(SW_TRIES | (s->left < 15 ? s->left : 15)) : (uint16_t)SW_BLOCKED;
}

/* Compare and count. The answer to a wrong value is 63CX even when it was the last try. */
static uint16_t
attempt(struct vcard *vc, struct vc_secret *s, const uint8_t *v)
{
	if (s->left == 0)
		return SW_BLOCKED;
	if (CRYPTO_memcmp(s->v, v, LEN) != 0) {
		s->verified = false;
		s->left--;
		vc->dirty = true;
		return (uint16_t)(SW_TRIES | (s->left < 15 ? s->left : 15));
	}
	if (s->left != s->max)
		vc->dirty = true;
	s->left = s->max;
	return SW_OK;
}

/* A malformed value: free of charge, or a wrong try. */
static uint16_t
malformed(struct vcard *vc, struct vc_secret *s)
{
	if (!vc->opt.format_costs_try)
		return SW_DATA;
	if (s->left == 0)
		return SW_BLOCKED;
	s->verified = false;
	s->left--;
	vc->dirty = true;
	return (uint16_t)(SW_TRIES | s->left);
}

uint16_t
vc_verify(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_secret *s = reference(vc, a->p2, false);
	uint16_t sw;

	(void)out;
	if (a->p1 != 0x00 && a->p1 != 0xFF)
		return SW_P1P2;
	if (!s)
		return SW_REFERENCE;
	if (a->p1 == 0xFF) {
		if (a->data.n)
			return SW_DATA;
		s->verified = false;
		return SW_OK;
	}
	if (a->data.n == 0)
		return s->verified ? SW_OK : tries_sw(s);
	if (s->left == 0)
		return SW_BLOCKED;
	if (a->data.n != LEN || !format_ok(vc, s, a->data.p))
		return malformed(vc, s);
	if ((sw = attempt(vc, s, a->data.p)) == SW_OK)
		s->verified = vc->fresh = true;
	return sw;
}

uint16_t
vc_change_reference(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_secret *s = reference(vc, a->p2, true);
	uint16_t sw;

	(void)out;
	if (a->p1 != 0x00)
		return SW_P1P2;
	if (!s)
		return SW_REFERENCE;
	if (s->left == 0)
		return SW_BLOCKED;
	if (a->data.n != 2 * LEN)
		return SW_DATA;
	if (!format_ok(vc, s, a->data.p))
		return malformed(vc, s);
	if (!format_ok(vc, s, a->data.p + LEN))
		return SW_DATA;
	if ((sw = attempt(vc, s, a->data.p)) != SW_OK)
		return sw;
	memcpy(s->v, a->data.p + LEN, LEN);
	s->verified = s != &vc->secret[VC_PUK];
	vc->dirty = true;
	return SW_OK;
}

uint16_t
vc_reset_retry(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_secret *pin = &vc->secret[VC_PIN], *puk = &vc->secret[VC_PUK];
	uint16_t sw;

	(void)out;
	if (a->p1 != 0x00)
		return SW_P1P2;
	if (a->p2 != 0x80)
		return SW_REFERENCE;
	if (puk->left == 0)
		return SW_BLOCKED;
	if (a->data.n != 2 * LEN || !pin_format(vc, a->data.p + LEN))
		return SW_DATA;
	pin->verified = false;
	if ((sw = attempt(vc, puk, a->data.p)) != SW_OK)
		return sw;
	memcpy(pin->v, a->data.p + LEN, LEN);
	pin->left = pin->max;
	vc->dirty = true;
	return SW_OK;
}

int
vcard_tries(const struct vcard *vc, uint8_t ref)
{
	return ref == 0x80 ? vc->secret[VC_PIN].left
	    : ref == 0x81  ? vc->secret[VC_PUK].left
	    : ref == 0x00  ? vc->secret[VC_GLOBAL].left
			   : -1;
}

bool
vcard_verified(const struct vcard *vc, uint8_t ref)
{
	return (ref == 0x80 && vc->secret[VC_PIN].verified) || (ref == 0x00 && vc->secret[VC_GLOBAL].verified);
}
