/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The card's data objects as CKO_DATA (PKCS#11 2.40, 4.5; SP 800-73-5 part 1, table 3 and appendix A). CKA_VALUE is
 * what is inside the card's container (of its 53; of Discovery's 7E and the biometric group's 7F61), which is also what
 * the Security Object has the hashes of. CKA_OBJECT_ID is the container's object identifier in DER; labels are those
 * that people know from OpenSC.
 *
 * A search looks whether an object is there, by its first block of bytes; the value is read when somebody asks for it.
 * What needs the PIN is private: it is not looked for before login, and its value does not outlive the login.
 */
#include <string.h>

#include "base/log.h"
#include "pkcs11/p11.h"

#define ARC "\x60\x86\x48\x01\x65\x03\x07" /* 2.16.840.1.101.3.7 */
#define OID(suffix)                                                                                                    \
	{                                                                                                              \
		(const uint8_t *)ARC suffix, sizeof(ARC suffix) - 1                                                    \
	}

static const struct p11_data_row rows[P11_DATA] = {
	{ PIV_OBJ_CCC, OID("\x01\x81\x5B\x00"), "Card Capability Container", false },
	{ PIV_OBJ_CHUID, OID("\x02\x30\x00"), "Card Holder Unique Identifier", false },
	{ 0x5FC103, OID("\x02\x60\x10"), "Cardholder Fingerprints", true },
	{ PIV_OBJ_SECURITY, OID("\x02\x81\x10\x00"), "Security Object", false },
	{ 0x5FC108, OID("\x02\x60\x30"), "Cardholder Facial Image", true },
	{ 0x5FC109, OID("\x02\x30\x01"), "Printed Information", true },
	{ PIV_OBJ_DISCOVERY, OID("\x02\x60\x50"), "Discovery Object", false },
	{ PIV_OBJ_HISTORY, OID("\x02\x60\x60"), "Key History Object", false },
	{ 0x5FC121, OID("\x02\x10\x15"), "Cardholder Iris Images", true },
	{ 0x7F61, OID("\x02\x10\x16"), "Biometric Information Templates Group Template", false },
	{ 0x5FC122, OID("\x02\x10\x17"), "Secure Messaging Certificate Signer", false },
	{ 0x5FC123, OID("\x02\x10\x18"), "Pairing Code Reference Data Container", true },
};

void
data_init(struct p11_token *t)
{
	for (size_t i = 0; i < P11_DATA; i++) {
		t->data[i].row = &rows[i];
		wbuf_init(&t->data[i].value, PIV_OBJ_MAX);
	}
}

/* Back to what is known of it for sure: nothing, or that it is there or not. */
void
data_clear(struct p11_data *d, enum data_state state)
{
	wbuf_free(&d->value);
	wbuf_init(&d->value, PIV_OBJ_MAX);
	d->state = state;
}

void
data_forget_private(struct p11_token *t)
{
	for (size_t i = 0; i < P11_DATA; i++)
		if (t->data[i].row->pin && t->remote == NULL)
			data_clear(&t->data[i], DATA_UNKNOWN);
}

struct p11_data *
data_by_tag(struct p11_token *t, uint32_t tag)
{
	for (size_t i = 0; i < P11_DATA; i++)
		if (t->data[i].row->tag == tag)
			return &t->data[i];
	return NULL;
}

/* Failures that say something about the card or the reader, not about this object. */
static bool
is_trouble(enum err e)
{
	return e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY || e == E_NOMEM || e == E_AUTH;
}

enum err
data_look(struct p11_slot *slot, struct p11_data *d, bool named)
{
	struct p11_token *t = slot->token;
	bool there = d->row->tag == PIV_OBJ_CHUID && (t->id.has_guid || t->id.has_fascn);
	enum err e = E_OK;

	if (d->state != DATA_UNKNOWN && (d->state != DATA_DOUBTED || !named))
		return E_OK;
	if (!there && !named && piv_recall(t->card, d->row->tag) == PIV_ABSENT) {
		d->state = DATA_DOUBTED;
		return E_OK;
	}
	there = there || (!named && piv_recall(t->card, d->row->tag) == PIV_PRESENT);
	if (!there && (e = piv_object_exists(t->card, d->row->tag, &there)) != E_OK && is_trouble(e))
		return e;
	if (e != E_OK)
		log_warn("data", "object=\"%s\" error=\"%s\"", d->row->label, err_msg());
	d->state = there ? DATA_THERE : DATA_ABSENT;
	return E_OK;
}

enum err
data_load(struct p11_slot *slot, struct p11_data *d)
{
	enum err e;

	if (d->state == DATA_READ || d->state == DATA_ABSENT)
		return E_OK;
	wbuf_clear(&d->value);
	e = piv_object_get(slot->token->card, d->row->tag, &d->value);
	if (e == E_OK || e == E_NOTFOUND) {
		d->state = e == E_OK ? DATA_READ : DATA_ABSENT;
		return E_OK;
	}
	return e;
}

void
data_put_oid(const struct p11_data *d, struct wbuf *out)
{
	wbuf_u8(out, 0x06);
	wbuf_u8(out, (uint8_t)d->row->oid.n);
	wbuf_span(out, d->row->oid);
}

/* --- which one does a template mean? --- */

/* In DER as Cryptoki wants it, or without tag and length as pkcs11-tool gives it. */
bool
data_has_oid(const struct p11_data *d, struct span oid)
{
	WBUF_AUTO der;

	wbuf_init(&der, 64);
	data_put_oid(d, &der);
	return span_eq(oid, wbuf_view(&der)) || span_eq(oid, d->row->oid);
}

static bool
has_text(const CK_ATTRIBUTE *a, const char *text)
{
	return a != NULL && span_eq(span_of(a->pValue, a->ulValueLen), span_str(text));
}

struct p11_data *
data_of_template(struct p11_token *t, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	const CK_ATTRIBUTE *oid = template_find(tmpl, n, CKA_OBJECT_ID);
	const CK_ATTRIBUTE *application = template_find(tmpl, n, CKA_APPLICATION);
	const CK_ATTRIBUTE *label = template_find(tmpl, n, CKA_LABEL);

	for (size_t i = 0; i < P11_DATA; i++) {
		struct p11_data *d = &t->data[i];

		if (oid != NULL && oid->ulValueLen > 0) {
			if (data_has_oid(d, span_of(oid->pValue, oid->ulValueLen)))
				return d;
		} else if (has_text(application, d->row->label) || has_text(label, d->row->label)) {
			return d;
		}
	}
	return NULL;
}
