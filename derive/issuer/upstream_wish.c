/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CA is asked to certify. With CMP the registration authority says it itself (RFC 4211: a template, and the
 * proof of possession vouched for). With EST, and with CMP's p10cr, the person's own request goes on unchanged, since
 * nobody else can sign it; then it is looked through before: a request that asks for anything that the profile does not
 * have would be a certificate that has to be revoked. How such a request gets the right names is RFC 9908's way:
 * csrattrs tells the client what to put in. Its UUID is a random one that csrattrs has given, or that the client has
 * made; that nobody had it before is what counts.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/csr.h"
#include "derive/issuer/lint.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"

static bool
goes_as_it_is(const struct issuer *i)
{
	return strcmp(i->config.up.protocol, "est") == 0 || strcmp(i->config.up.request, "p10cr") == 0;
}

bool
upstream_wants_names(const struct issuer *i)
{
	return upstream_is(i) && goes_as_it_is(i) && strcmp(i->config.up.names, "request") == 0;
}

/* --- a person's request ------------------------------------------------------------------------------------------- */

static bool
same(const char *got, const char *want)
{
	return strcmp(got, want != NULL ? want : "") == 0;
}

static enum err
uuid_is_new(struct issuer *i, const char *uuid)
{
	int64_t n;
	enum err e = db_number(i->db, &n, "SELECT count(*) FROM certificate WHERE uuid = ?", DB_ARGS(db_text(uuid)));

	if (e == E_OK && n > 0)
		return refuse(REFUSE_BAD_CSR,
		    "the UUID in the request's subjectAltName is that of another certificate; leave it to csrattrs, or "
		    "make a new one");
	return e;
}

static enum err
check_names(struct issuer *i, const GENERAL_NAMES *names, const struct profile *p, const struct profile_values *v,
    const char *card_uuid)
{
	int expected = p->mail ? 1 : 1 + (v->upn && v->upn[0]);
	struct pivid id = { .uuid = "" };

	if (!pivid_names(names, &id) || sk_GENERAL_NAME_num(names) != expected || id.fascn[0] != '\0')
		return refuse(REFUSE_BAD_CSR, "the names in the request's subjectAltName are not those of its profile");
	if (p->mail && !same(id.email, v->email))
		return refuse(
		    REFUSE_BAD_CSR, "the mail address in the request is not the one of the account, %s", v->email);
	if (!same(id.upn, p->mail ? "" : v->upn))
		return refuse(REFUSE_BAD_CSR, "the user principal name in the request is not the one of the account");
	if (p->uuid && (!lint_uuid_v4(id.uuid) || same(id.uuid, card_uuid)))
		return refuse(REFUSE_BAD_CSR, "the UUID in the request is not a random one of its own");
	return p->uuid ? uuid_is_new(i, id.uuid) : E_OK;
}

static bool
usage_fits(const ASN1_BIT_STRING *got, const EVP_PKEY *key, const struct profile *p)
{
	uint32_t want = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? p->usage_ec : p->usage_rsa;

	for (int bit = 0; bit < 8; bit++)
		if (ASN1_BIT_STRING_get_bit(got, bit) != 0 && (want & (0x80U >> bit)) == 0)
			return false;
	return ASN1_STRING_length(got) <= 1;
}

static bool
eku_fits(const EXTENDED_KEY_USAGE *got, const struct profile *p)
{
	for (int k = 0; k < sk_ASN1_OBJECT_num(got); k++) {
		char oid[80];
		bool has = false;

		if (OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(got, k), 1) > 0)
			for (const char *const *w = p->eku_oids; !has && *w != NULL; w++)
				has = strcmp(oid, *w) == 0;
		if (!has)
			return false;
	}
	return true;
}

/* What may be in it besides names: what the profile gives anyway. */
static bool
ext_fits(X509_EXTENSION *ext, const EVP_PKEY *key, const struct profile *p)
{
	int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));
	ASN1_BIT_STRING *usage = nid == NID_key_usage ? X509V3_EXT_d2i(ext) : NULL;
	EXTENDED_KEY_USAGE *eku = nid == NID_ext_key_usage ? X509V3_EXT_d2i(ext) : NULL;
	bool ok = (usage != NULL && usage_fits(usage, key, p)) || (eku != NULL && eku_fits(eku, p)) ||
	    nid == NID_subject_alt_name || nid == NID_subject_key_identifier;

	ASN1_BIT_STRING_free(usage);
	EXTENDED_KEY_USAGE_free(eku);
	ERR_clear_error();
	return ok;
}

static enum err
check_extensions(struct issuer *i, const struct csr *csr, STACK_OF(X509_EXTENSION) * exts, const char *card_uuid,
    const struct profile *p, const struct profile_values *v)
{
	GENERAL_NAMES *names;
	enum err e = E_OK;

	for (int k = 0; k < sk_X509_EXTENSION_num(exts); k++) {
		X509_EXTENSION *ext = sk_X509_EXTENSION_value(exts, k);

		if (!ext_fits(ext, csr->key, p))
			return refuse(REFUSE_BAD_CSR,
			    "the request goes to the CA as it is, and asks for something that a certificate for %s "
			    "does not have (%s)",
			    p->what, OBJ_nid2sn(OBJ_obj2nid(X509_EXTENSION_get_object(ext))));
	}
	if (!upstream_wants_names(i))
		return E_OK;
	names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	if (names == NULL)
		e = refuse(REFUSE_BAD_CSR,
		    "the CA behind this issuer takes the names from the request, and it has no subjectAltName; "
		    "csrattrs says what to put in");
	else
		e = check_names(i, names, p, v, card_uuid);
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return e;
}

enum err
upstream_wish_check(
    struct issuer *i, const struct csr *csr, X509 *piv, const struct profile *p, const struct profile_values *v)
{
	STACK_OF(X509_EXTENSION) * exts;
	struct pivid card;
	enum err e;

	if (!goes_as_it_is(i))
		return E_OK;
	if (csr->req == NULL)
		return refuse(REFUSE_BAD_CSR,
		    "the CA behind this issuer takes certification requests (PKCS#10) only, and this is another kind; "
		    "with CMP, use p10cr");
	if (strcmp(i->config.up.names, "request") == 0 &&
	    X509_NAME_cmp(X509_REQ_get_subject_name(csr->req), X509_get_subject_name(piv)) != 0)
		return refuse(REFUSE_BAD_CSR,
		    "the CA behind this issuer takes the names from the request, and its subject is not the card's");
	if ((e = pivid_read(piv, &card)) != E_OK)
		return e;
	exts = X509_REQ_get_extensions(csr->req);
	e = check_extensions(i, csr, exts, card.uuid, p, v);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return e;
}

/* --- a key that was made here ------------------------------------------------------------------------------------- */

enum err
upstream_wish_csr(EVP_PKEY *key, X509 *piv, const struct profile *p, const struct profile_values *v, struct wbuf *out)
{
	struct proto_attrs attrs = { .binding = false };
	struct csr_in in = { .subject = X509_get_subject_name(piv), .pub = key, .key = key, .attrs = &attrs };
	enum err e;

	if ((e = role_parse(p->name, strlen(p->name), &in.role)) == E_OK &&
	    (e = profile_wish(p, v, key, &attrs.exts)) == E_OK)
		e = csr_build(&in, out);
	proto_attrs_free(&attrs);
	return e;
}

/* --- csrattrs ----------------------------------------------------------------------------------------------------- */

/* The subjectAltName alone: what else a request may say, the CA's profile says. */
static enum err
names_attribute(const struct profile *p, const struct profile_values *v, X509_ATTRIBUTE **out)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *san = NULL;
	unsigned char *der = NULL;
	int n = 0;
	enum err e = profile_names(p, v, &san);

	*out = NULL;
	if (e == E_OK && exts != NULL && sk_X509_EXTENSION_push(exts, san) > 0)
		n = ASN1_item_i2d((const ASN1_VALUE *)exts, &der, ASN1_ITEM_rptr(X509_EXTENSIONS));
	if (n > 0)
		*out = X509_ATTRIBUTE_create_by_NID(NULL, NID_ext_req, V_ASN1_SEQUENCE, der, n);
	if (e == E_OK && *out == NULL)
		e = err_crypto(E_CRYPTO, "cannot write csrattrs");
	OPENSSL_free(der);
	X509_EXTENSION_free(san);
	sk_X509_EXTENSION_free(exts);
	return e;
}

enum err
upstream_wish_attrs(const struct profile *p, const struct profile_values *v, struct wbuf *out)
{
	static const uint8_t challenge[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07 };
	X509_ATTRIBUTE *names = NULL;
	unsigned char head[8], *h = head, *der = NULL;
	enum err e = names_attribute(p, v, &names);
	int n = e == E_OK ? i2d_X509_ATTRIBUTE(names, &der) : 0;

	if (n > 0) {
		ASN1_put_object(&h, 1, (int)sizeof challenge + n, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
		wbuf_put(out, head, (size_t)(h - head));
		wbuf_put(out, challenge, sizeof challenge);
		wbuf_put(out, der, (size_t)n);
	} else if (e == E_OK) {
		e = err_crypto(E_CRYPTO, "cannot write csrattrs");
	}
	OPENSSL_free(der);
	X509_ATTRIBUTE_free(names);
	return e == E_OK && out->bad ? err_set(E_NOMEM, "out of memory") : e;
}
