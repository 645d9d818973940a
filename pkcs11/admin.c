/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management key, for a user who is logged in with the PIN alone. Programs such as pk12util know no security
 * officer. Two places may hold the key for them:
 *
 *	dpiv.conf	management_key_file names a file with it, in hexadecimal digits
 *	the card	YubiKey's "PIN-protected" management key: admin data (5FFF00, 80 { 81 flags }) say so with bit
 *2, and Printed Information, which the PIN protects, holds it (88 { 89 key })
 *
 * It is read when something is to be written, proved to the card, and not kept; the session stays the user's.
 */
#include "base/file.h"
#include "base/log.h"
#include "hw/tlv.h"
#include "pkcs11/p11.h"

#define ADMIN_DATA     0x5FFF00u
#define FLAG_PROTECTED 0x02

/* Does the card hold its management key under the PIN? */
enum err
admin_is_protected(struct piv_card *card, bool *yes)
{
	struct span data, flags;
	WBUF_AUTO object = { 0 };
	enum err e;

	*yes = false;
	wbuf_init(&object, PIV_OBJ_MAX);
	e = piv_object_get(card, ADMIN_DATA, &object);
	if (e == E_NOTFOUND || e == E_UNSUP || e == E_SW || e == E_PROTO)
		return E_OK;
	if (e != E_OK)
		return e;
	if (tlv_find(wbuf_view(&object), 0x80, &data) == E_OK && tlv_find(data, 0x81, &flags) == E_OK && flags.n == 1)
		*yes = (flags.p[0] & FLAG_PROTECTED) != 0;
	return E_OK;
}

static enum err
from_card(struct piv_card *card, struct secret **out)
{
	struct span data, key;
	WBUF_AUTO object = { 0 };
	bool is_there;
	enum err e;

	if ((e = admin_is_protected(card, &is_there)) != E_OK || !is_there)
		return e;
	wbuf_init(&object, PIV_OBJ_MAX);
	if ((e = piv_object_get(card, PIV_OBJ_PRINTED, &object)) != E_OK)
		return e;
	if (tlv_find(wbuf_view(&object), 0x88, &data) != E_OK || tlv_find(data, 0x89, &key) != E_OK || key.n > 32)
		return err_set(E_PROTO, "%s: no management key under the PIN, though the card says so", piv_name(card));
	*out = secret_copy(key.p, key.n);
	return *out != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}

static enum err
from_file(const char *path, struct secret **out)
{
	SECRET_AUTO text = NULL;
	enum err e;

	if ((e = file_read_secret(path, &text)) != E_OK)
		return e;
	if ((*out = secret_new(ADMIN_KEY_MAX)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	if (admin_key_hex(secret_view(text), *out))
		return E_OK;
	secret_free(out);
	return err_set(E_CONF, "%s: 32, 48 or 64 hexadecimal digits are a management key", path);
}

CK_RV
admin_of_user(struct p11_session *s)
{
	const char *path = conf_str(s->slot->module->conf, "module", "management_key_file");
	struct p11_token *t = s->slot->token;
	SECRET_AUTO key = NULL;
	enum err e;

	if (t->admin)
		return CKR_OK;
	e = path != NULL ? from_file(path, &key) : from_card(t->card, &key);
	if (e == E_OK && key == NULL)
		return CKR_USER_NOT_LOGGED_IN;
	if (e == E_OK)
		e = piv_admin_auth(t->card, PIV_ALG_NONE, secret_view(key));
	if (e == E_OK) {
		log_info("admin", "slot=%lu text=\"the user writes with the management key\"", s->slot->id);
		t->admin = true;
		return CKR_OK;
	}
	log_warn("admin", "slot=%lu error=\"%s\"", s->slot->id, err_msg());
	return e == E_AUTH || e == E_CONF || e == E_STORE || e == E_PROTO ? CKR_USER_NOT_LOGGED_IN
									  : token_result(s->slot, e);
}

void
admin_end(struct p11_token *t, bool tell_card)
{
	if (t->admin && tell_card && t->card != NULL)
		piv_admin_end(t->card);
	t->admin = false;
}
