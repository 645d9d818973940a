/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PIV token has besides keys and certificates, as SP 800-157r1, B.1.2, wants it of a derived one: a Discovery
 * object, where there is one, names the application in use and lets nothing but its own PIN in (40, 48 or 4C, then 00);
 * a Key History object where there are retired keys; a Security Object where there is one of these. It is looked at and
 * told, for the record; the module writes Key History, and the Security Object where it has a content signer.
 *
 * Discovery is optional. A token that has none gets one before its first key when a Security Object can follow it (a
 * token with the one and without the other is none of the appendix), with 40 00: neither the Global PIN nor OCC nor VCI
 * counts where it is missing, so that nothing changes by saying it. One that is there is left alone; some tokens make
 * it themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "derive/token_int.h"

#define POLICY_PIN_ONLY 0x40

#define OID(a, b) 0x06, 0x0A, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x07, 0x02, a, b

static const uint8_t discovery_oid[] = { OID(0x60, 0x50) }, history_oid[] = { OID(0x60, 0x60) };
static const uint8_t security_oid[] = { 0x06, 0x0B, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x07, 0x02, 0x81, 0x10, 0x00 };

/* The whole contents of a Discovery object, but for the two bytes of the policy. */
static const uint8_t piv[] = { 0x4F, 0x0B, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00, 0x5F, 0x2F,
	0x02 };
static const uint8_t derived[] = { 0x4F, 0x0B, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x20, 0x00, 0x01, 0x00, 0x5F,
	0x2F, 0x02 };

enum err
object_read(struct token *t, struct span oid, struct wbuf *value, bool *there)
{
	static const CK_OBJECT_CLASS cls = CKO_DATA;
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	enum err e;

	tmpl_add(&q, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&q, CKA_OBJECT_ID, oid.p, oid.n);
	e = raw_find(t, q.a, q.n, &o, &n);
	*there = e == E_OK && n > 0;
	if (*there)
		e = raw_get(t, o[0], CKA_VALUE, value);
	free(o);
	return e == E_NOTFOUND ? E_OK : e;
}

/* The application in use, by its token's model. */
static struct span
discovery_head(const struct token *t)
{
	return memcmp(t->info.model, "Derived PIV", 11) == 0 ? span_of(derived, sizeof derived)
							     : span_of(piv, sizeof piv);
}

static const char *
discovery_judge(const struct token *t, struct span v, bool there)
{
	struct span want = discovery_head(t), head;
	uint8_t policy, primary;

	if (!there)
		return t->no_discovery[0] != '\0' ? t->no_discovery : "none";
	if (!span_take(&v, want.n, &head) || !span_eq(head, want))
		return "names another application";
	if (!span_u8(&v, &policy) || !span_u8(&v, &primary) || v.n != 0 || primary != 0 ||
	    (policy != 0x40 && policy != 0x48 && policy != 0x4C))
		return "lets in more than the PIN of the application";
	return "as it should be";
}

static bool
has_content_signer(void)
{
	struct conf *conf = NULL;
	bool has = conf_load(&conf) == E_OK && conf_str(conf, "module", "content_signer") != NULL;

	conf_free(&conf);
	return has;
}

static CK_RV
discovery_put(struct token *t, struct span value)
{
	static const CK_OBJECT_CLASS cls = CKO_DATA;
	struct tmpl o = { .n = 0 };
	CK_OBJECT_HANDLE h;

	tmpl_add(&o, CKA_CLASS, &cls, sizeof cls);
	tmpl_bool(&o, CKA_TOKEN, true);
	tmpl_add(&o, CKA_OBJECT_ID, discovery_oid, sizeof discovery_oid);
	tmpl_add(&o, CKA_VALUE, value.p, value.n);
	return t->m->f->C_CreateObject(t->session, o.a, o.n, &h);
}

/* Asked for as well where it is there already: the module then writes the Security Object alone, if that is missing. */
enum err
token_discovery(struct token *t)
{
	WBUF_AUTO want;
	WBUF_AUTO now;
	char name[24];
	bool there;
	CK_RV rv;
	enum err e = raw_session(t, true);

	wbuf_init(&want, 32);
	wbuf_init(&now, 1024);
	if (e == E_OK)
		e = object_read(t, span_of(discovery_oid, sizeof discovery_oid), &now, &there);
	if (e != E_OK)
		return e;
	wbuf_span(&want, discovery_head(t));
	wbuf_u8(&want, POLICY_PIN_ONLY);
	wbuf_u8(&want, 0);
	if (there && !span_eq(wbuf_view(&now), wbuf_view(&want)))
		return E_OK;
	snprintf(t->no_discovery, sizeof t->no_discovery,
	    "none, since there is no content_signer for the Security Object that it asks for");
	if (!has_content_signer())
		return E_OK;
	rv = discovery_put(t, wbuf_view(&want));
	log_info("token.discovery", "token=%s there=%d rv=%s", t->label, there, rv_name(rv, name));
	snprintf(t->no_discovery, sizeof t->no_discovery, "none, and the token takes none (%s)", rv_name(rv, name));
	return rv == CKR_OK || token_present(t) ? E_OK : rv_set(t, rv, "cannot be given a Discovery object");
}

enum err
token_objects(struct token *t, char *out, size_t cap)
{
	WBUF_AUTO discovery;
	WBUF_AUTO other;
	bool has_discovery, has_history, has_security;
	enum err e;

	wbuf_init(&discovery, 1024);
	wbuf_init(&other, 64 * 1024);
	e = object_read(t, span_of(discovery_oid, sizeof discovery_oid), &discovery, &has_discovery);
	if (e == E_OK)
		e = object_read(t, span_of(history_oid, sizeof history_oid), &other, &has_history);
	if (e == E_OK)
		e = object_read(t, span_of(security_oid, sizeof security_oid), &other, &has_security);
	if (e != E_OK)
		return e;
	snprintf(out, cap, "Discovery: %s; Key History: %s; Security Object: %s",
	    discovery_judge(t, wbuf_view(&discovery), has_discovery), has_history ? "there" : "none",
	    has_security		       ? "there"
		: has_discovery || has_history ? "missing, its content signer has to make one"
					       : "none is needed");
	return E_OK;
}
