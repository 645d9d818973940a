/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Key attestation as certificates (hw/piv_vendor.c): the attester's own, and for every key that was made on the card a
 * certificate that says so. Numbers and labels are ykcs11's: CKA_ID 25 is F9's certificate, 26 that of 9A, and so on.
 * Their CKA_ID is nobody's private key, so that no program takes one for the key's certificate.
 *
 * An attestation is a signature that the card makes when it is asked, a tenth of a second or more each. So nothing is
 * attested because somebody lists certificates: they are there for a search that names one by CKA_ID or CKA_LABEL, on
 * any card, which is asked once whether it can, and in listings with `attestations = yes` in dpiv.conf.
 */
#include <stdio.h>

#include "base/log.h"
#include "pkcs11/p11.h"

static const struct piv_key_info attester = { PIV_KEY_F9, PIV_OBJ_ATTESTER, "F9", "Attestation", false, false, false,
	false };

void
attest_init(struct p11_token *t)
{
	for (unsigned i = 0; i < P11_ATTESTS; i++) {
		t->attest[i].row = i == 0 ? &attester : piv_key_row(i - 1);
		t->attest[i].number = P11_CREDS + 1 + i;
		t->attest[i].alg = PIV_ALG_NONE;
	}
}

bool
is_attestation(const struct p11_cred *c)
{
	return c->number > P11_CREDS && c->remote == NULL;
}

const char *
attest_label(const struct p11_cred *c, char out[64])
{
	if (c->row->ref == PIV_KEY_F9)
		snprintf(out, 64, "X.509 Certificate for PIV Attestation");
	else
		snprintf(out, 64, "X.509 Certificate for PIV Attestation %02x", c->row->ref);
	return out;
}

/* Nobody looks for these by habit, unless told to. */
bool
attest_wanted(struct p11_slot *slot, const struct p11_cred *c, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	const struct p11_cred *key = c->row->ref == PIV_KEY_F9 ? NULL : &slot->token->cred[c->number - P11_CREDS - 2];

	if (template_find(t, n, CKA_ID) != NULL || template_find(t, n, CKA_LABEL) != NULL)
		return true;
	return conf_bool(slot->module->conf, "module", "attestations") &&
	    (key == NULL || key->state == CRED_THERE || key->state == CRED_KEY);
}

enum err
attest_load(struct p11_slot *slot, struct p11_cred *c)
{
	enum err e;

	if (c->state != CRED_UNREAD)
		return E_OK;
	wbuf_init(&c->der, PIV_OBJ_MAX);
	e = piv_attest(slot->token->card, c->row->ref, &c->der);
	if (e == E_OK && cred_parse(slot, c)) {
		c->state = CRED_THERE;
		return E_OK;
	}
	cred_clear(c);
	if (e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY || e == E_NOMEM)
		return e;
	if (e != E_NOTFOUND && e != E_UNSUP)
		log_info("attestation", "key=%s error=\"%s\"", c->row->name, err_msg());
	c->state = CRED_ABSENT;
	return E_OK;
}
