/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a token and a key on it show of themselves, as evidence; judging is somebody else's (assure.c). Facts that a
 * token does not know are taken for the worse: an attribute that is missing is no CKA_LOCAL and no
 * CKA_NEVER_EXTRACTABLE, and a key is extractable unless it says that it is not.
 *
 * Attestations are read through dpiv's own module alone, which has them as certificates: CKA_ID 19 is the attester's,
 * and a key's has its own CKA_ID and 19 hex more. They are made when a search names them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive/token_int.h"

#define ATTESTER 0x19
#define LAST_KEY 0x18

/* The certificate of this one-byte CKA_ID; NULL: none. */
static X509 *
facts_cert(struct token *t, uint8_t id)
{
	static const CK_OBJECT_CLASS cls = CKO_CERTIFICATE;
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	X509 *cert = NULL;
	WBUF_AUTO der;

	wbuf_init(&der, 64 * 1024);
	tmpl_add(&q, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&q, CKA_ID, &id, 1);
	if (raw_find(t, q.a, q.n, &o, &n) == E_OK && n == 1 && raw_get(t, o[0], CKA_VALUE, &der) == E_OK && der.n > 0) {
		const unsigned char *p = der.p;

		cert = d2i_X509(NULL, &p, (long)der.n);
	}
	free(o);
	return cert;
}

enum err
token_facts(struct token *t, struct token_facts *out)
{
	CK_SLOT_INFO si = { 0 };
	enum err e = login_refresh(t);

	memset(out, 0, sizeof *out);
	if (e != E_OK)
		return e;
	find_text(t->info.manufacturerID, sizeof t->info.manufacturerID, out->manufacturer, sizeof out->manufacturer);
	find_text(t->info.model, sizeof t->info.model, out->model, sizeof out->model);
	find_text(t->info.serialNumber, sizeof t->info.serialNumber, out->serial, sizeof out->serial);
	snprintf(
	    out->firmware, sizeof out->firmware, "%u.%u", t->info.firmwareVersion.major, t->info.firmwareVersion.minor);
	out->own = t->m->own;
	out->login = (t->info.flags & CKF_LOGIN_REQUIRED) != 0;
	out->hw_slot = t->m->f->C_GetSlotInfo(t->slot, &si) == CKR_OK && (si.flags & CKF_HW_SLOT) != 0;
	if (out->own)
		out->attester = facts_cert(t, ATTESTER);
	return E_OK;
}

void
token_facts_clear(struct token_facts *f)
{
	X509_free(f->attester);
	memset(f, 0, sizeof *f);
}

/* An attribute that is there and says no. */
static bool
says_no(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE a)
{
	WBUF_AUTO v;

	wbuf_init(&v, 8);
	return raw_get(t, o, a, &v) == E_OK && v.n == sizeof(CK_BBOOL) && v.p[0] == CK_FALSE;
}

static void
facts_read(struct token *t, CK_OBJECT_HANDLE o, enum token_use use, struct token_key_facts *out)
{
	out->sensitive = raw_bool(t, o, CKA_SENSITIVE);
	out->extractable = !says_no(t, o, CKA_EXTRACTABLE);
	out->local = raw_bool(t, o, CKA_LOCAL);
	out->always_sensitive = raw_bool(t, o, CKA_ALWAYS_SENSITIVE);
	out->never_extractable = raw_bool(t, o, CKA_NEVER_EXTRACTABLE);
	out->decrypts_too = use == TOKEN_USE_SIGN && (raw_bool(t, o, CKA_DECRYPT) || raw_bool(t, o, CKA_UNWRAP));
}

enum err
token_key_facts(struct token *t, const uint8_t *id, size_t id_len, enum token_use use, struct token_key_facts *out)
{
	static const CK_OBJECT_CLASS cls = CKO_PRIVATE_KEY;
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	enum err e = token_login(t);

	memset(out, 0, sizeof *out);
	tmpl_add(&q, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&q, CKA_ID, id, id_len);
	if (e == E_OK)
		e = raw_find(t, q.a, q.n, &o, &n);
	if (e == E_OK && n != 1)
		e = err_set(E_NOTFOUND, "token '%s' has %zu private keys with this identifier", t->label, n);
	if (e == E_OK)
		facts_read(t, o[0], use, out);
	if (e == E_OK && t->m->own && id_len == 1 && id[0] >= 1 && id[0] <= LAST_KEY)
		out->attestation = facts_cert(t, (uint8_t)(id[0] + ATTESTER));
	free(o);
	return e;
}

void
token_key_facts_clear(struct token_key_facts *f)
{
	X509_free(f->attestation);
	memset(f, 0, sizeof *f);
}
