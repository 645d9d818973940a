/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands that a YubiKey adds to PIV and that concern the whole application: version (FD), serial number (F8),
 * retry counters (FA), wiping (FB), a new management key (FF), moving and deleting keys (F6). After Yubico's
 * published command reference; the firmware version is the image's. Keys are imported and described in ykkey.c.
 */
#include <string.h>

#include "tests/vcard/model.h"

uint16_t
vc_yk_version(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	if (a->p1 || a->p2)
		return SW_P1P2;
	vc_out_put(out, vc->opt.version, sizeof vc->opt.version);
	return SW_OK;
}

uint16_t
vc_yk_serial(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	if (a->p1 || a->p2)
		return SW_P1P2;
	for (int shift = 24; shift >= 0; shift -= 8)
		vc_out_u8(out, (uint8_t)(vc->opt.serial >> shift));
	return SW_OK;
}

static void
factory_secrets(struct vcard *vc, int pin_tries, int puk_tries)
{
	vc_secret_set(&vc->secret[VC_PIN], "123456");
	vc_secret_set(&vc->secret[VC_PUK], "12345678");
	vc->secret[VC_PIN].max = vc->secret[VC_PIN].left = pin_tries;
	vc->secret[VC_PUK].max = vc->secret[VC_PUK].left = puk_tries;
	vc->secret[VC_PIN].verified = false;
	vc->dirty = true;
}

uint16_t
vc_yk_retries(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	(void)out;
	if (a->p1 == 0 || a->p2 == 0)
		return SW_P1P2;
	if (!vc->admin || !vc->secret[VC_PIN].verified)
		return SW_SECURITY;
	factory_secrets(vc, a->p1, a->p2);
	return SW_OK;
}

/* Only for a card whose owner is locked out: PIN and PUK both blocked. */
uint16_t
vc_yk_wipe(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	(void)out;
	if (a->p1 || a->p2)
		return SW_P1P2;
	if (vc->secret[VC_PIN].left || vc->secret[VC_PUK].left)
		return SW_CONDITIONS;
	for (size_t i = 0; i < VC_KEYS; i++)
		if (vc_key_ref(i) != 0xF9)
			vc_key_clear(&vc->key[i]);
	for (size_t i = 0; i < vc->objects; i++)
		if (vc->object[i].tag != 0x5FFF01)
			vc_object_set(vc, vc->object[i].tag, NULL, 0);
	for (size_t i = 0; i < 24; i++)
		vc->mgmt[i] = (uint8_t)(i % 8 + 1);
	vc->mgmt_n = 24;
	vc->mgmt_alg = ALG_3DES;
	vc->admin = false;
	factory_secrets(vc, 3, 3);
	return SW_OK;
}

/* Data: algorithm, 9B, length, key. P2 FE asks for touch, which is accepted and not modelled. */
uint16_t
vc_yk_set_mgmt(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_in in = a->data, key;
	uint8_t alg, ref, n;

	(void)out;
	if (a->p1 != 0xFF || (a->p2 != 0xFF && a->p2 != 0xFE))
		return SW_P1P2;
	if (!vc->admin)
		return SW_SECURITY;
	if (!vc_in_u8(&in, &alg) || !vc_in_u8(&in, &ref) || !vc_in_u8(&in, &n) || ref != 0x9B || n != vc_sym_key(alg) ||
	    alg == ALG_3DES_OLD || !vc_in_take(&in, n, &key) || in.n)
		return SW_DATA;
	memcpy(vc->mgmt, key.p, key.n);
	vc->mgmt_n = key.n;
	vc->mgmt_alg = alg;
	vc->dirty = true;
	return SW_OK;
}

/* P1 destination, FF to delete; P2 source. */
uint16_t
vc_yk_move(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_key *from = vc_key_find(vc, a->p2), *to = vc_key_find(vc, a->p1);

	(void)out;
	if (!from || (a->p1 != 0xFF && (!to || to == from)) || a->p1 == 0xF9)
		return SW_P1P2;
	if (!vc->admin)
		return SW_SECURITY;
	if (!from->pkey)
		return SW_REFERENCE;
	if (to && a->p1 != 0xFF) {
		vc_key_clear(to);
		*to = *from;
		*from = (struct vc_key){ .pkey = NULL };
	} else {
		vc_key_clear(from);
	}
	vc->dirty = true;
	return SW_OK;
}
