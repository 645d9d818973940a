/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 7512 URIs of tokens: parsed and formatted by p11-kit, with dpiv's rules on top: an attribute that is not
 * understood is an error rather than a wider match (RFC 7512, 2.3 leaves it to the consumer), module-path is absolute,
 * and the PIN comes from a file (pin-source) or, for tests only, from the URI itself (pin-value, which every process
 * list shows).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/uri.h>

#include "base/file.h"
#include "base/text.h"
#include "derive/token_int.h"

#define PIN_MAX 256

static bool
ref_has_attr(const P11KitUri *u, CK_ATTRIBUTE_TYPE type)
{
	/* p11-kit's prototype wants a mutable URI for reading */
	union {
		const P11KitUri *c;
		P11KitUri *m;
	} cast = { u };

	return p11_kit_uri_get_attribute(cast.m, type) != NULL;
}

enum err
ref_parse(const char *uri, struct token_ref *ref)
{
	P11KitUri *u = p11_kit_uri_new();
	char safe[128];
	int rc;

	memset(ref, 0, sizeof *ref);
	if (u == NULL)
		return err_set(E_NOMEM, "out of memory");
	ref->uri = u;
	/* a query may hold pin-value: show the path only */
	text_safe(span_of(uri, strcspn(uri, "?")), safe, sizeof safe);
	rc = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, u);
	if (rc != P11_KIT_URI_OK) {
		ref_free(ref);
		return err_set(E_ARG, "'%s' is not a token URI (%s); write it like pkcs11:token=NAME", safe,
		    p11_kit_uri_message(rc) != NULL ? p11_kit_uri_message(rc) : "malformed");
	}
	if (p11_kit_uri_any_unrecognized(u)) {
		ref_free(ref);
		return err_set(E_ARG, "'%s' has an attribute that dpiv does not know", safe);
	}
	if (p11_kit_uri_get_module_name(u) != NULL) {
		ref_free(ref);
		return err_set(
		    E_UNSUP, "'%s': module-name is not supported; name the module by module-path=/PATH", safe);
	}
	ref->module_path = p11_kit_uri_get_module_path(u);
	ref->names_key = ref_has_attr(u, CKA_ID) || ref_has_attr(u, CKA_LABEL) || ref_has_attr(u, CKA_CLASS);
	return E_OK;
}

void
ref_free(struct token_ref *ref)
{
	P11KitUri *u = ref->uri;

	if (u != NULL && p11_kit_uri_get_pin_value(u) != NULL)
		p11_kit_uri_set_pin_value(u, "");
	if (u != NULL)
		p11_kit_uri_free(u);
	memset(ref, 0, sizeof *ref);
}

bool
ref_matches(const struct token_ref *ref, const struct token_module *m, CK_SLOT_ID slot, const CK_SLOT_INFO *si,
    const CK_TOKEN_INFO *ti)
{
	P11KitUri *u = ref->uri;
	CK_SLOT_ID want = p11_kit_uri_get_slot_id(u);
	CK_INFO info = { 0 };

	if (m->f->C_GetInfo(&info) != CKR_OK)
		return false;
	return (want == (CK_SLOT_ID)-1 || want == slot) && p11_kit_uri_match_module_info(u, &info) &&
	    p11_kit_uri_match_slot_info(u, si) && p11_kit_uri_match_token_info(u, ti);
}

bool
ref_has_pin(const struct token_ref *ref)
{
	P11KitUri *u = ref->uri;

	return p11_kit_uri_get_pin_value(u) != NULL || p11_kit_uri_get_pin_source(u) != NULL;
}

enum err
ref_pin(const struct token_ref *ref, struct secret **pin)
{
	P11KitUri *u = ref->uri;
	const char *value = p11_kit_uri_get_pin_value(u), *source = p11_kit_uri_get_pin_source(u);
	enum err e;

	*pin = NULL;
	if (source != NULL) {
		e = file_read_source("pin-source", source, pin);
		return e == E_OK ? E_OK : err_up(e, "pin-source");
	}
	if (value == NULL)
		return E_OK;
	if (strlen(value) > PIN_MAX)
		return err_set(E_PINLEN, "the PIN in the URI is too long");
	*pin = secret_copy(value, strlen(value));
	return *pin != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}

/* RFC 7512 allows '/' in a query as it is; p11-kit writes %2F. */
static void
unescape_slashes(char *s)
{
	char *to = strchr(s, '?');
	const char *from = to;

	if (to == NULL)
		return;
	while (*from != '\0') {
		bool slash = strncmp(from, "%2F", 3) == 0;

		*to++ = slash ? '/' : *from;
		from += slash ? 3 : 1;
	}
	*to = '\0';
}

enum err
ref_format(const struct token_module *m, const CK_TOKEN_INFO *ti, char **out)
{
	P11KitUri *u = p11_kit_uri_new();
	CK_TOKEN_INFO *name;
	char *s = NULL;
	int rc = P11_KIT_URI_UNEXPECTED;

	*out = NULL;
	if (u == NULL)
		return err_set(E_NOMEM, "out of memory");
	name = p11_kit_uri_get_token_info(u);
	memcpy(name->label, ti->label, sizeof name->label);
	memcpy(name->serialNumber, ti->serialNumber, sizeof name->serialNumber);
	if (!m->own)
		p11_kit_uri_set_module_path(u, m->path);
	rc = p11_kit_uri_format(u, P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_MODULE, &s);
	p11_kit_uri_free(u);
	if (rc != P11_KIT_URI_OK)
		return err_set(E_INTERNAL, "cannot write the URI of a token");
	unescape_slashes(s);
	*out = s;
	return E_OK;
}

bool
token_key_named(const struct token *t, const struct token_key *k)
{
	P11KitUri *u = t->ref.uri;
	CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(u, CKA_ID);
	CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(u, CKA_LABEL);

	if (id != NULL && !span_eq(span_of(id->pValue, id->ulValueLen), span_of(k->id, k->id_len)))
		return false;
	return label == NULL || span_eq(span_of(label->pValue, label->ulValueLen), span_str(k->label));
}
