/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The uri of a [token NAME] (RFC 7512), parsed by p11-kit: which module, which token in it, and perhaps which objects
 * of that token. An attribute that is not understood is an error rather than a wider match (RFC 7512, 2.3 leaves it to
 * the consumer). PINs in it (pin-value, pin-source) are for the dpiv command; the module takes PINs from its callers.
 */
#include <stdlib.h>

#include "pkcs11/remote.h"

enum err
remote_uri_parse(const char *uri, P11KitUri **out)
{
	P11KitUri *u = p11_kit_uri_new();
	int rc;

	*out = NULL;
	if (u == NULL)
		return err_set(E_NOMEM, "out of memory");
	rc = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, u);
	if (p11_kit_uri_get_pin_value(u) != NULL)
		p11_kit_uri_set_pin_value(u, NULL);
	if (rc == P11_KIT_URI_OK && !p11_kit_uri_any_unrecognized(u)) {
		*out = u;
		return E_OK;
	}
	p11_kit_uri_free(u);
	if (rc == P11_KIT_URI_OK)
		return err_set(E_CONF, "the uri has an attribute that dpiv does not know");
	return err_set(E_CONF, "the uri is malformed; write it like pkcs11:token=NAME?module-path=/PATH");
}

bool
remote_uri_is_token(const struct remote *r, CK_SLOT_ID id, CK_SLOT_INFO *slot, CK_TOKEN_INFO *token)
{
	CK_SLOT_ID want = p11_kit_uri_get_slot_id(r->uri);
	CK_INFO module = { 0 };

	if ((token->flags & CKF_TOKEN_INITIALIZED) == 0 || r->f->C_GetInfo(&module) != CKR_OK)
		return false;
	return (want == (CK_SLOT_ID)-1 || want == id) && p11_kit_uri_match_module_info(r->uri, &module) &&
	    p11_kit_uri_match_slot_info(r->uri, slot) && p11_kit_uri_match_token_info(r->uri, token);
}

bool
remote_uri_names(const struct remote *r)
{
	CK_ULONG n = 0;

	p11_kit_uri_get_attributes(r->uri, &n);
	return n > 0;
}

bool
remote_uri_fits(const struct remote *r, CK_OBJECT_CLASS class, struct span id, struct span label)
{
	CK_ATTRIBUTE *want;

	if ((want = p11_kit_uri_get_attribute(r->uri, CKA_CLASS)) != NULL &&
	    !span_eq(span_of(want->pValue, want->ulValueLen), span_of(&class, sizeof class)))
		return false;
	if ((want = p11_kit_uri_get_attribute(r->uri, CKA_ID)) != NULL &&
	    !span_eq(span_of(want->pValue, want->ulValueLen), id))
		return false;
	want = p11_kit_uri_get_attribute(r->uri, CKA_LABEL);
	return want == NULL || span_eq(span_of(want->pValue, want->ulValueLen), label);
}
