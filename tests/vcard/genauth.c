/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GENERAL AUTHENTICATE with a private key (SP 800-73-5 Part 2, 3.2.4 and appendix A):
 *
 *	RSA     7C { 82 00, 81 L block }    the block as long as the modulus, already padded
 *	ECDSA   7C { 82 00, 81 L digest }   9A 9C 9E; the digest as long as the field
 *	ECDH    7C { 82 00, 85 L point }    9D and retired keys; the answer is the X coordinate
 *
 * Tests in this order: reference and algorithm (6A86), access rule (6982), template (6A80). The key reference 9B is
 * in admin.c.
 */
#include <string.h>

#include "tests/vcard/model.h"

enum { POLICY_NEVER = 1, POLICY_ONCE = 2, POLICY_ALWAYS = 3 };
enum { TOUCH_ALWAYS = 2, TOUCH_CACHED = 3 };

/* A touch takes a person this long. */
#define TOUCH_MS 300

static uint8_t
pin_policy(const struct vc_key *k, uint8_t ref)
{
	if (k->pin)
		return k->pin;
	return ref == 0x9E ? POLICY_NEVER : ref == 0x9C ? POLICY_ALWAYS : POLICY_ONCE;
}

static bool
may_use(const struct vcard *vc, const struct vc_key *k, uint8_t ref)
{
	uint8_t policy = pin_policy(k, ref);

	if (policy == POLICY_NEVER)
		return true;
	return vc_pin_verified(vc) && (policy != POLICY_ALWAYS || vc->fresh);
}

static bool
agrees(uint8_t ref)
{
	return ref == 0x9D || (ref >= 0x82 && ref <= 0x95);
}

/* YubiKey hashes of other lengths: shorter ones are padded by the key, longer ones refused. */
static bool
digest_ok(const struct vcard *vc, const struct vc_alg *alg, struct vc_in digest)
{
	size_t field = alg->bits / 8;

	return digest.n == field || (vc->opt.yubikey && digest.n > 0 && digest.n < field);
}

static bool
operate(const struct vcard *vc, const struct vc_key *k, uint8_t ref, struct vc_in tmpl, struct vc_out *out)
{
	struct vc_in response, challenge, point;
	bool sign = vc_tlv_find(tmpl, 0x81, &challenge), derive = vc_tlv_find(tmpl, 0x85, &point);
	const struct vc_alg *alg = vc_alg_find(k->alg);

	if (!vc_tlv_find(tmpl, 0x82, &response) || response.n || sign == derive)
		return false;
	if (alg->rsa)
		return sign && vc_rsa_raw(k->pkey, challenge, out);
	if (k->alg == ALG_ED25519)
		return sign && vc_eddsa(k->pkey, challenge, out);
	if (k->alg == ALG_X25519)
		return derive && vc_ecdh(k->pkey, point, out);
	if (derive)
		return agrees(ref) && vc_ecdh(k->pkey, point, out);
	return (!agrees(ref) || vc->opt.yubikey) && digest_ok(vc, alg, challenge) && vc_ecdsa(k->pkey, challenge, out);
}

/* Nothing but 80 81 82 85 in the template, each at most once. */
static bool
template_ok(struct vc_in seq)
{
	struct vc_in v;
	uint32_t t;
	unsigned seen = 0;

	while (vc_tlv_next(&seq, &t, &v)) {
		unsigned bit = t >= 0x80 && t <= 0x85 ? 1u << (t - 0x80) : 0;

		if (!bit || (seen & bit) || t == 0x83 || t == 0x84)
			return false;
		seen |= bit;
	}
	return seq.n == 0 && seen;
}

static bool
template_open(struct vc_in in, struct vc_in *body)
{
	uint32_t t;

	return vc_tlv_next(&in, &t, body) && t == 0x7C && in.n == 0 && template_ok(*body);
}

static uint16_t
private_key(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_key *k = vc_key_find(vc, a->p2);
	struct vc_out result = { NULL, 0, 0, false }, tmpl = { NULL, 0, 0, false };
	struct vc_in body;
	bool ok;

	if (!k || !k->pkey || k->alg != a->p1)
		return SW_P1P2;
	if (!may_use(vc, k, a->p2))
		return SW_SECURITY;
	if (k->touch == TOUCH_ALWAYS || k->touch == TOUCH_CACHED)
		vc_wait(vc, TOUCH_MS);
	ok = template_open(a->data, &body) && operate(vc, k, a->p2, body, &result);
	if (ok) {
		vc_tlv_out(&tmpl, 0x82, &result);
		vc_tlv_out(out, 0x7C, &tmpl);
	}
	vc_out_free(&tmpl);
	vc_out_free(&result);
	return ok ? SW_OK : SW_DATA;
}

uint16_t
vc_general_authenticate(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_in body;

	if (a->p2 != 0x9B)
		return private_key(vc, a, out);
	if (a->p1 != vc->mgmt_alg && !(a->p1 == ALG_3DES_OLD && vc->mgmt_alg == ALG_3DES))
		return SW_P1P2;
	return template_open(a->data, &body) ? vc_admin(vc, a, body, out) : SW_DATA;
}
