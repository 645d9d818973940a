/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Key attestation: a certificate that a token makes for a key which it has generated itself, signed by a key of its
 * maker's. The one kind that reaches PKCS #11 is Yubico's (extensions 1.3.6.1.4.1.41482.3: 3 firmware version, three
 * bytes; 7 serial number, INTEGER; 8 PIN policy and touch policy, two bytes; their values are not DER but for the
 * serial number). Dates are not looked at: an attestation says what was, and a wrong clock changes nothing in that.
 *
 * The attester's certificate comes from the token, so from the other side: without a root that the administrator has
 * configured, nothing here is worth anything.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "derive/attest.h"

#define ARC "1.3.6.1.4.1.41482.3."

/* The extension's value; empty when there is none. */
static struct span
extension(X509 *x, const char *oid)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	int at = o != NULL ? X509_get_ext_by_OBJ(x, o, -1) : -1;
	X509_EXTENSION *e = at >= 0 ? X509_get_ext(x, at) : NULL;
	const ASN1_OCTET_STRING *v = e != NULL ? X509_EXTENSION_get_data(e) : NULL;

	ASN1_OBJECT_free(o);
	return v != NULL ? span_of(ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v)) : span_of(NULL, 0);
}

static bool
read_firmware(struct span v, struct attest *out)
{
	if (v.n == 3)
		snprintf(out->firmware, sizeof out->firmware, "%u.%u.%u", v.p[0], v.p[1], v.p[2]);
	return v.n == 0 || v.n == 3;
}

static bool
read_serial(struct span v, struct attest *out)
{
	const unsigned char *p = v.p;
	ASN1_INTEGER *n = v.n > 0 ? d2i_ASN1_INTEGER(NULL, &p, (long)v.n) : NULL;
	uint64_t serial;
	bool ok = v.n == 0 || (n != NULL && p == v.p + v.n && ASN1_INTEGER_get_uint64(&serial, n) == 1);

	if (ok && v.n > 0)
		snprintf(out->serial, sizeof out->serial, "%llu", (unsigned long long)serial);
	ASN1_INTEGER_free(n);
	return ok;
}

static bool
read_policies(struct span v, struct attest *out)
{
	static const enum attest_pin pins[] = { ATTEST_PIN_UNSAID, ATTEST_PIN_NEVER, ATTEST_PIN_ONCE,
		ATTEST_PIN_ALWAYS };

	if (v.n == 2 && v.p[0] < sizeof pins / sizeof pins[0])
		out->pin = pins[v.p[0]];
	return v.n == 0 || v.n == 2;
}

enum err
attest_read(X509 *x, struct attest *out)
{
	bool ok;

	memset(out, 0, sizeof *out);
	ok = read_firmware(extension(x, ARC "3"), out) && read_serial(extension(x, ARC "7"), out) &&
	    read_policies(extension(x, ARC "8"), out);
	ERR_clear_error();
	return ok ? E_OK : err_set(E_PROTO, "the token's attestation is malformed");
}

enum err
attest_verify(X509 *attestation, X509 *attester, EVP_PKEY *pub)
{
	EVP_PKEY *by = X509_get0_pubkey(attester), *key = X509_get0_pubkey(attestation);
	bool named = X509_NAME_cmp(X509_get_issuer_name(attestation), X509_get_subject_name(attester)) == 0;
	bool ok = by != NULL && named && X509_verify(attestation, by) == 1;
	bool same = pub == NULL || (key != NULL && EVP_PKEY_eq(key, pub) == 1);

	ERR_clear_error();
	if (!ok)
		return err_set(E_POLICY, "the attestation is not signed by the token's attestation key");
	return same ? E_OK : err_set(E_POLICY, "the attestation is for another key");
}

enum err
attest_trusted(X509 *attester, STACK_OF(X509) * roots)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ready = store != NULL && ctx != NULL;
	enum err e = E_OK;

	for (int i = 0; ready && i < sk_X509_num(roots); i++)
		ready = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
	ready = ready && X509_STORE_CTX_init(ctx, store, attester, roots) == 1 &&
	    X509_VERIFY_PARAM_set_flags(
		X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME) == 1;
	if (!ready)
		e = err_crypto(E_NOMEM, "cannot check the attestation");
	else if (X509_verify_cert(ctx) != 1)
		e = err_set(E_POLICY, "the token's attestation key is not certified by its maker: %s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return e;
}
