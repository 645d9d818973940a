/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Discovery object and the PIN usage policy: SP 800-73-5 part 1, 3.3.2. Read at most once a card, and only when
 * somebody wants to know which PIN is the primary one: a card without it has the application PIN alone.
 */
#include <string.h>

#include "hw/piv_int.h"

#define TAG_AID	   0x4F
#define TAG_POLICY 0x5F2F

#define POLICY_APP	  0x40
#define POLICY_GLOBAL	  0x20
#define POLICY_OCC	  0x10
#define POLICY_VCI	  0x08
#define POLICY_NO_PAIRING 0x04
#define PRIMARY_GLOBAL	  0x20

enum err
piv_discovery_parse(struct span contents, struct piv_discovery *out)
{
	uint8_t policy, primary;
	struct span aid, p;
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = tlv_find(contents, TAG_AID, &aid)) == E_OK)
		e = tlv_find(contents, TAG_POLICY, &p);
	if (e == E_NOTFOUND)
		return err_set(E_PROTO, "Discovery object: AID or PIN usage policy is missing");
	if (e != E_OK)
		return err_up(e, "Discovery object");
	if (aid.n == 0 || aid.n > sizeof out->aid)
		return err_set(E_PROTO, "Discovery object: AID of %zu bytes", aid.n);
	if (p.n != 2 || !span_u8(&p, &policy) || !span_u8(&p, &primary))
		return err_set(E_PROTO, "Discovery object: PIN usage policy of %zu bytes", p.n);
	memcpy(out->aid, aid.p, aid.n);
	out->aid_len = aid.n;
	out->app_pin = policy & POLICY_APP;
	out->global_pin = policy & POLICY_GLOBAL;
	out->occ = policy & POLICY_OCC;
	out->vci = policy & POLICY_VCI;
	out->vci_no_pairing = policy & POLICY_NO_PAIRING;
	out->global_primary = out->global_pin && primary == PRIMARY_GLOBAL;
	return E_OK;
}

enum err
piv_pin_primary(struct piv_card *card, uint8_t *ref)
{
	struct piv_discovery d;
	WBUF_AUTO out;
	enum err e;

	*ref = PIV_PIN_APP;
	wbuf_init(&out, 1024);
	if (!card->discovery_read) {
		memset(&d, 0, sizeof d);
		e = piv_object_get(card, PIV_OBJ_DISCOVERY, &out);
		if (e == E_OK)
			e = piv_discovery_parse(wbuf_view(&out), &d);
		/* A card that has none, hides it or has it wrong: the application PIN, which every card has. */
		if (e == E_CARDGONE || e == E_IO || e == E_BUSY || e == E_NOMEM)
			return e;
		card->discovery_read = true;
		card->primary = d.global_primary ? PIV_PIN_GLOBAL : PIV_PIN_APP;
		piv_application_is(card, span_of(d.aid, d.aid_len));
	}
	*ref = card->primary;
	return E_OK;
}
