/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Authentication with the card management key 9B (SP 800-73-5 Part 2, appendix A.1 and A.2), by 3DES or AES in ECB:
 *
 *	external  81 00 -> 81 challenge      then  82 Enc(challenge)
 *	mutual    80 00 -> 80 Enc(witness)   then  80 witness 81 host challenge 82 00 -> 82 Enc(host challenge)
 *
 * A challenge or witness serves once and for the next command only; the dispatcher forgets it at any other command.
 * A failure ends an authentication that was there before.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "tests/vcard/model.h"

#define WITNESS	  0x80
#define CHALLENGE 0x81
#define RESPONSE  0x82

/* First step of either: a nonce, sent plain as a challenge or encrypted as a witness. */
static uint16_t
begin(struct vcard *vc, uint8_t kind, size_t block, struct vc_out *out)
{
	struct vc_out tmpl = { NULL, 0, 0, false };
	uint8_t sent[16];
	bool ok = RAND_bytes(vc->nonce, (int)block) > 0;

	if (ok && kind == WITNESS)
		ok = vc_sym_encrypt(vc->mgmt_alg, vc->mgmt, vc->nonce, sent);
	else
		memcpy(sent, vc->nonce, block);
	vc->nonce_kind = ok ? kind : 0;
	vc_tlv_put(&tmpl, kind, sent, block);
	vc_tlv_out(out, 0x7C, &tmpl);
	vc_out_free(&tmpl);
	return ok ? SW_OK : SW_INTERNAL;
}

/* Compare with what the nonce leads to; the verdict is the new security status. */
static uint16_t
judge(struct vcard *vc, const uint8_t *expect, struct vc_in got, size_t block)
{
	vc->nonce_kind = 0;
	vc->admin = got.n == block && CRYPTO_memcmp(expect, got.p, block) == 0;
	return vc->admin ? SW_OK : SW_SECURITY;
}

static uint16_t
external_end(struct vcard *vc, struct vc_in response, size_t block)
{
	uint8_t expect[16];

	if (vc->nonce_kind != CHALLENGE) {
		vc->nonce_kind = 0;
		return SW_CONDITIONS;
	}
	if (!vc_sym_encrypt(vc->mgmt_alg, vc->mgmt, vc->nonce, expect))
		return SW_INTERNAL;
	return judge(vc, expect, response, block);
}

static uint16_t
mutual_end(struct vcard *vc, struct vc_in witness, struct vc_in challenge, size_t block, struct vc_out *out)
{
	struct vc_out tmpl = { NULL, 0, 0, false };
	uint8_t answer[16];
	uint16_t sw;

	if (vc->nonce_kind != WITNESS) {
		vc->nonce_kind = 0;
		return SW_CONDITIONS;
	}
	if (challenge.n != block)
		return SW_DATA;
	if ((sw = judge(vc, vc->nonce, witness, block)) != SW_OK)
		return sw;
	if (!vc_sym_encrypt(vc->mgmt_alg, vc->mgmt, challenge.p, answer))
		return SW_INTERNAL;
	vc_tlv_put(&tmpl, RESPONSE, answer, block);
	vc_tlv_out(out, 0x7C, &tmpl);
	vc_out_free(&tmpl);
	return SW_OK;
}

uint16_t
vc_admin(struct vcard *vc, const struct vc_apdu *a, struct vc_in tmpl, struct vc_out *out)
{
	struct vc_in w, c, r, point;
	bool has_w = vc_tlv_find(tmpl, WITNESS, &w), has_c = vc_tlv_find(tmpl, CHALLENGE, &c);
	bool has_r = vc_tlv_find(tmpl, RESPONSE, &r);
	size_t block = vc_sym_block(a->p1);

	if (vc_tlv_find(tmpl, 0x85, &point))
		return SW_DATA;
	if (has_c && !has_w && !has_r && c.n == 0)
		return begin(vc, CHALLENGE, block, out);
	if (has_w && !has_c && !has_r && w.n == 0)
		return begin(vc, WITNESS, block, out);
	if (has_r && !has_w && !has_c && r.n)
		return external_end(vc, r, block);
	/* OpenSC and yubico-piv-tool leave out the empty response element of the second step, and cards accept it. */
	if (has_w && has_c && r.n == 0)
		return mutual_end(vc, w, c, block, out);
	return SW_DATA;
}
