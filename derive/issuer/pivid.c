/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a PIV certificate is about: subject, FASC-N (otherName 2.16.840.1.101.3.6.6), card UUID (urn:uuid URI), UPN and
 * mail address of its subjectAltName. FIPS 201-3 and SP 800-73-5 part 1, 3.1.2; order and number of the names vary
 * (first-generation cards have no UUID), but two different values of one kind would make the person ambiguous and are
 * refused.
 */
#include <string.h>
#include <strings.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "derive/cert.h"
#include "derive/fascn.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/x509io.h"

bool
pivid_fascn_id(struct span fascn, char out[15])
{
	return fascn_card(fascn, out);
}

bool
pivid_federal(const struct pivid *id)
{
	return id->fascn[0] != '\0' && strncmp(id->fascn_id, "99999999999999", 14) != 0;
}

bool
pivid_email_ok(const char *email)
{
	const char *at = strchr(email, '@');
	size_t n = strlen(email);

	if (at == NULL || at == email || at[1] == '\0' || strchr(&at[1], '@') || n > 254)
		return false;
	for (size_t i = 0; i < n; i++)
		if (email[i] <= ' ' || email[i] > '~' || strchr("<>\"(),;:\\", email[i]))
			return false;
	return true;
}

/* Text of a name without NUL or control characters; false otherwise. Two different values are an error too. */
static bool
take_text(const ASN1_STRING *s, char *out, size_t cap)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	int n = ASN1_STRING_length(s);

	if (n <= 0 || (size_t)n >= cap)
		return false;
	for (int i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	if (out[0] != '\0')
		return strlen(out) == (size_t)n && memcmp(out, p, (size_t)n) == 0;
	memcpy(out, p, (size_t)n);
	out[n] = '\0';
	return true;
}

static bool
take_fascn(const ASN1_STRING *s, struct pivid *id)
{
	struct span in = span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	char hex[51], digits[15];

	if (in.n != FASCN_BYTES)
		return false;
	text_hex(in, hex, sizeof hex);
	if (id->fascn[0] != '\0')
		return strcmp(id->fascn, hex) == 0;
	memcpy(id->fascn, hex, sizeof hex);
	if (pivid_fascn_id(in, digits))
		memcpy(id->fascn_id, digits, sizeof digits);
	else
		memcpy(id->fascn_id, hex, sizeof hex);
	return true;
}

static bool
take_uri(const ASN1_STRING *s, struct pivid *id)
{
	static const char prefix[] = "urn:uuid:";
	const char *p = (const char *)ASN1_STRING_get0_data(s);
	size_t n = (size_t)ASN1_STRING_length(s), start = sizeof prefix - 1;
	char uuid[TEXT_UUID_MAX];

	if (n < start || strncasecmp(p, prefix, start) != 0)
		return true; /* some other address */
	if (n != start + TEXT_UUID_MAX - 1)
		return false;
	for (size_t i = 0; i < TEXT_UUID_MAX - 1; i++) {
		char c = p[start + i];
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? c != '-' : c == '\0' || strchr("0123456789abcdefABCDEF", c) == NULL)
			return false;
		uuid[i] = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
	}
	uuid[TEXT_UUID_MAX - 1] = '\0';
	if (id->uuid[0] != '\0')
		return strcmp(id->uuid, uuid) == 0;
	memcpy(id->uuid, uuid, sizeof uuid);
	return true;
}

static bool
take_other(const OTHERNAME *o, struct pivid *id)
{
	char oid[80];

	if (o->value == NULL || OBJ_obj2txt(oid, sizeof oid, o->type_id, 1) <= 0)
		return false;
	if (strcmp(oid, OID_FASCN) == 0)
		return o->value->type == V_ASN1_OCTET_STRING && take_fascn(o->value->value.octet_string, id);
	if (strcmp(oid, OID_UPN) == 0)
		return o->value->type == V_ASN1_UTF8STRING &&
		    take_text(o->value->value.utf8string, id->upn, sizeof id->upn);
	return true;
}

static bool
take_name(const GENERAL_NAME *g, struct pivid *id)
{
	switch (g->type) {
	case GEN_OTHERNAME: return take_other(g->d.otherName, id);
	case GEN_URI: return take_uri(g->d.uniformResourceIdentifier, id);
	case GEN_EMAIL: /* several are legal: the first that is sound counts */
		if (id->email[0] == '\0' &&
		    (!take_text(g->d.rfc822Name, id->email, sizeof id->email) || !pivid_email_ok(id->email)))
			id->email[0] = '\0';
		return true;
	default: return true;
	}
}

bool
pivid_names(const GENERAL_NAMES *names, struct pivid *out)
{
	bool ok = true;

	for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++)
		ok = take_name(sk_GENERAL_NAME_value(names, i), out);
	return ok;
}

enum err
pivid_read(X509 *cert, struct pivid *out)
{
	/* id-fpki-common-authentication, and the same of the test programme */
	static const char *const policies[] = { "2.16.840.1.101.3.2.1.3.13", "2.16.840.1.101.3.2.1.48.11", NULL };
	WBUF_AUTO der = { 0 };
	GENERAL_NAMES *names;
	bool ok;
	int critical;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&der, 1u << 20);
	if ((e = x509io_cert_der(cert, &der)) != E_OK)
		return e;
	x509io_sha256_text(wbuf_view(&der), out->sha256);
	x509io_name_text(X509_get_subject_name(cert), out->subject, sizeof out->subject);
	out->piv = cert_has_policy(cert, policies, NULL);
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
	if (names == NULL)
		return critical == -1 ? E_OK : err_set(E_PROTO, "the subjectAltName of %s is malformed", out->subject);
	ok = pivid_names(names, out);
	GENERAL_NAMES_free(names);
	if (!ok)
		return err_set(E_PROTO, "the subjectAltName of %s is malformed or contradicts itself", out->subject);
	return E_OK;
}
