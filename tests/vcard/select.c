/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SELECT (SP 800-73-5 Part 2, 3.1.1). The card carries one PIV application, under the PIV AID or the derived AID,
 * perhaps another one with its own keys, PINs and objects under the other AID (vc->second), and an applet that stands
 * for every other program's interest in the card.
 *
 *  - full AID, or the AID without its two version bytes; nothing else matches (a YubiKey also knows the bare RID);
 *  - the application that is selected already keeps its security status;
 *  - another valid AID deselects it and clears that status;
 *  - an unknown AID changes nothing.
 */
#include <string.h>

#include "tests/vcard/model.h"

const uint8_t vc_aid_piv[11] = { 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00 };
const uint8_t vc_aid_derived[11] = { 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x20, 0x00, 0x01, 0x00 };

#define RID_LEN 5

bool
vc_is_derived(const struct vcard *vc)
{
	return vc->aid_n == sizeof vc_aid_derived && memcmp(vc->aid, vc_aid_derived, vc->aid_n) == 0;
}

static bool
names_piv(const struct vcard *vc, struct vc_in aid)
{
	if (aid.n > vc->aid_n || memcmp(aid.p, vc->aid, aid.n) != 0)
		return false;
	return aid.n == vc->aid_n || aid.n + 2 == vc->aid_n || (vc->opt.yubikey && aid.n == RID_LEN);
}

static bool
names_other(struct vc_in aid)
{
	return aid.n == VCARD_OTHER_AID_LEN && memcmp(aid.p, VCARD_OTHER_AID, aid.n) == 0;
}

/* Application property template, SP 800-73-5 Part 2 table 3. */
static void
property_template(const struct vcard *vc, struct vc_out *out)
{
	struct vc_out t = { NULL, 0, 0, false }, authority = { NULL, 0, 0, false };
	static const char label[] = "dpiv virtual card";

	vc_tlv_put(&t, 0x4F, vc->aid, vc->aid_n);
	vc_tlv_put(&authority, 0x4F, vc->aid, RID_LEN);
	vc_tlv_out(&t, 0x79, &authority);
	vc_tlv_put(&t, 0x50, label, sizeof label - 1);
	vc_tlv_out(out, 0x61, &t);
	vc_out_free(&authority);
	vc_out_free(&t);
}

static void
enter(struct vcard *vc, int app)
{
	if (vc->app == app)
		return;
	vc_security_clear(vc);
	vc->app = app;
}

/* One of the two applications, and not the other. */
static void
enter_piv(struct vcard *vc, struct vcard *which, struct vc_out *out)
{
	if (vc->second)
		enter(which == vc ? vc->second : vc, APP_NONE);
	enter(which, APP_PIV);
	property_template(which, out);
}

static void
enter_other(struct vcard *vc)
{
	vc->stats.selects_other++;
	enter(vc, APP_OTHER);
	if (vc->second)
		enter(vc->second, APP_NONE);
}

struct vcard *
vc_current(struct vcard *vc)
{
	return vc->second && vc->second->app == APP_PIV ? vc->second : vc;
}

uint16_t
vc_select(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	if (a->p1 != 0x04 || a->p2 != 0x00)
		return SW_P1P2;
	if (a->data.n < RID_LEN || a->data.n > 16)
		return SW_LENGTH;
	if (names_piv(vc, a->data)) {
		enter_piv(vc, vc, out);
		return SW_OK;
	}
	if (vc->second && names_piv(vc->second, a->data)) {
		enter_piv(vc, vc->second, out);
		return SW_OK;
	}
	if (names_other(a->data)) {
		enter_other(vc);
		return SW_OK;
	}
	return SW_NOT_FOUND;
}

void
vcard_other_program(struct vcard *vc)
{
	vc_transfer_clear(vc);
	if (vc->second)
		vc_transfer_clear(vc->second);
	enter_other(vc);
}
