/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose token is it? A PIV token is known by the GUID or FASC-N of its CHUID (SP 800-73-5 part 1, 3.1.2). One that was
 * never set up has none: it looks like every other such token, and the state store could not tell which one holds a
 * credential. So an empty token gets a CHUID before its first key, with a random GUID (a version 4 UUID) and the FASC-N
 * of those who are no federal agency, as makers' own tools write it.
 *
 * It is signed where the module has a content signer. Without, it opens no door (SP 800-157r1, appendix D, asks for a
 * signed one and for the key 9E, both the issuer's to make), and nothing else asks for a signature. A token that has a
 * CHUID keeps it. The derived PIV application has none (appendix B.1.2), and gets none.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/log.h"
#include "derive/token_int.h"

#define NOBODY "0000000000000000" /* the module's serial number of a card without CHUID */
#define EXPIRY "20501231"

static const uint8_t oid[] = { 0x06, 0x0A, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x07, 0x02, 0x30, 0x00 };

/* SP 800-73-5 part 1, 3.1.2: agency 9999, system 9999, credential 999999 */
static const uint8_t fascn[] = { 0xD4, 0xE7, 0x39, 0xDA, 0x73, 0x9C, 0xED, 0x39, 0xCE, 0x73, 0x9D, 0x83, 0x68, 0x58,
	0x21, 0x08, 0x42, 0x10, 0x84, 0x21, 0xC8, 0x42, 0x10, 0xC3, 0xEB };

static void
put(struct wbuf *w, uint8_t tag, const void *p, uint8_t n)
{
	wbuf_u8(w, tag);
	wbuf_u8(w, n);
	wbuf_put(w, p, n);
}

static enum err
chuid_build(struct wbuf *w)
{
	uint8_t guid[16];

	if (RAND_bytes(guid, sizeof guid) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	guid[6] = (uint8_t)((guid[6] & 0x0F) | 0x40);
	guid[8] = (uint8_t)((guid[8] & 0x3F) | 0x80);
	put(w, 0x30, fascn, sizeof fascn);
	put(w, 0x34, guid, sizeof guid);
	put(w, 0x35, EXPIRY, 8);
	put(w, 0x3E, "", 0); /* the module's to fill, where it can */
	put(w, 0xFE, "", 0);
	return w->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

static enum err
chuid_put(struct token *t, struct span value)
{
	static const CK_OBJECT_CLASS cls = CKO_DATA;
	struct tmpl o = { .n = 0 };
	CK_OBJECT_HANDLE h;
	CK_RV rv;

	tmpl_add(&o, CKA_CLASS, &cls, sizeof cls);
	tmpl_bool(&o, CKA_TOKEN, true);
	tmpl_add(&o, CKA_OBJECT_ID, oid, sizeof oid);
	tmpl_add(&o, CKA_VALUE, value.p, value.n);
	rv = t->m->f->C_CreateObject(t->session, o.a, o.n, &h);
	return rv == CKR_OK ? E_OK : place_rv(t, rv, "cannot be given an identity (CHUID)");
}

/* The token under its new name. */
static enum err
known_again(struct token *t)
{
	char *uri = NULL;
	enum err e = login_refresh(t);

	if (e == E_OK)
		e = ref_format(t->m, &t->info, &uri);
	if (e != E_OK)
		return e;
	free(t->uri);
	t->uri = uri;
	find_text(t->info.label, sizeof t->info.label, t->label, sizeof t->label);
	find_text(t->info.serialNumber, sizeof t->info.serialNumber, t->serial, sizeof t->serial);
	return strcmp(t->serial, NOBODY) != 0 ? E_OK
					      : err_set(E_IO, "token '%s' does not keep its new CHUID", t->label);
}

enum err
token_chuid(struct token *t, struct wbuf *out)
{
	bool there;

	return object_read(t, span_of(oid, sizeof oid), out, &there);
}

enum err
token_identify(struct token *t, bool *now)
{
	const struct token_key *keys;
	size_t n;
	WBUF_AUTO value;
	enum err e;

	*now = false;
	wbuf_init(&value, 256);
	if (!token_has_places(t) || strcmp(t->serial, NOBODY) != 0 || memcmp(t->info.model, "PIV ", 4) != 0)
		return E_OK;
	e = token_login(t);
	if (e == E_OK)
		e = raw_session(t, true);
	if (e == E_OK)
		e = token_keys(t, &keys, &n);
	for (size_t i = 0; e == E_OK && i < n; i++)
		if (keys[i].cert != NULL)
			return E_OK; /* somebody uses it as it is */
	if (e == E_OK)
		e = chuid_build(&value);
	if (e == E_OK)
		e = chuid_put(t, wbuf_view(&value));
	if (e == E_OK)
		e = known_again(t);
	*now = e == E_OK;
	log_info("token.identified", "token=%s error=%s", t->label, err_name(e));
	return e;
}
