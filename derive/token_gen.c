/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and destroying keys on a token, by raw calls. SP 800-157r1, 2.2.1: the key pair is generated in the device
 * that will hold it; so the template demands CKA_SENSITIVE and forbids CKA_EXTRACTABLE, and afterwards CKA_LOCAL,
 * CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are read back: a token that ignores a template is found out, the key
 * destroyed and the token refused. Algorithms are those of SP 800-78-5, table 1.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "derive/token_int.h"

static const CK_BYTE exponent[] = { 0x01, 0x00, 0x01 };
static const CK_BYTE p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
static const CK_BYTE p384[] = { 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22 };

static const struct alg {
	CK_MECHANISM_TYPE mech;
	CK_ULONG bits;	    /* RSA */
	const CK_BYTE *oid; /* EC: the curve as CKA_EC_PARAMS */
	size_t oid_len;
} algs[] = {
	[TOKEN_RSA2048] = { CKM_RSA_PKCS_KEY_PAIR_GEN, 2048, NULL, 0 },
	[TOKEN_RSA3072] = { CKM_RSA_PKCS_KEY_PAIR_GEN, 3072, NULL, 0 },
	[TOKEN_P256] = { CKM_EC_KEY_PAIR_GEN, 0, p256, sizeof p256 },
	[TOKEN_P384] = { CKM_EC_KEY_PAIR_GEN, 0, p384, sizeof p384 },
};

static void
tmpl_name(struct tmpl *t, const char *label, const uint8_t *id, size_t id_len)
{
	tmpl_bool(t, CKA_TOKEN, true);
	tmpl_add(t, CKA_LABEL, label, strlen(label));
	tmpl_add(t, CKA_ID, id, id_len);
}

/*
 * What is said of a key's uses. Tokens differ in what they let be said, so one that refuses a template is asked again
 * with less of it; what makes the key safe is in every one, and read back. Nothing is said of the public key's:
 * tpm2-pkcs11 takes no word about them that is not the TPM's own.
 */
enum tell { TELL_ALL, TELL_NEEDED, TELL_COUNT };

static void
tmpl_public(struct tmpl *t, const struct alg *alg)
{
	tmpl_bool(t, CKA_PRIVATE, false);
	if (alg->oid != NULL) {
		tmpl_add(t, CKA_EC_PARAMS, alg->oid, alg->oid_len);
	} else {
		tmpl_add(t, CKA_MODULUS_BITS, &alg->bits, sizeof alg->bits);
		tmpl_add(t, CKA_PUBLIC_EXPONENT, exponent, sizeof exponent);
	}
}

/* An encryption key must sign its own request once (proof of possession, RFC 2986), so it gets CKA_SIGN as well; its
 * certificate's keyUsage says what it is for. */
static void
tmpl_private(struct tmpl *t, const struct alg *alg, enum token_use use, enum tell tell)
{
	bool decrypts = use != TOKEN_USE_SIGN;

	tmpl_bool(t, CKA_PRIVATE, true);
	tmpl_bool(t, CKA_SENSITIVE, true);
	tmpl_bool(t, CKA_EXTRACTABLE, false);
	tmpl_bool(t, CKA_SIGN, true);
	/* said either way: a token's default may be "everything", and a signature key that decrypts is an oracle */
	if (decrypts || tell != TELL_NEEDED)
		tmpl_bool(t, alg->oid != NULL ? CKA_DERIVE : CKA_DECRYPT, decrypts);
	if (alg->oid == NULL && tell != TELL_NEEDED)
		tmpl_bool(t, CKA_UNWRAP, decrypts);
}

static bool
gen_is_safe(struct token *t, CK_OBJECT_HANDLE o)
{
	return raw_bool(t, o, CKA_PRIVATE) && raw_bool(t, o, CKA_TOKEN) && raw_bool(t, o, CKA_SENSITIVE) &&
	    !raw_bool(t, o, CKA_EXTRACTABLE) && raw_bool(t, o, CKA_LOCAL) && raw_bool(t, o, CKA_ALWAYS_SENSITIVE) &&
	    raw_bool(t, o, CKA_NEVER_EXTRACTABLE);
}

static enum err
gen_check(struct token *t, CK_OBJECT_HANDLE pub_o, CK_OBJECT_HANDLE priv_o, EVP_PKEY **pub)
{
	if (!gen_is_safe(t, priv_o))
		return err_set(E_POLICY,
		    "token '%s' does not keep the new key to itself (sensitive, never extractable, generated "
		    "on the token); it was deleted again, take another token",
		    t->label);
	return pub_read(t, pub_o, pub);
}

static enum err
gen_id_free(struct token *t, const uint8_t *id, size_t id_len)
{
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	enum err e;

	tmpl_add(&q, CKA_ID, id, id_len);
	e = raw_find(t, q.a, q.n, &o, &n);
	free(o);
	if (e == E_OK && n > 0)
		return err_set(E_EXISTS, "token '%s' already has an object with this identifier", t->label);
	return e;
}

/* A token that fails half-way may keep one of the two. The sentence stays that of the failure. */
static enum err
gen_undo(struct token *t, const uint8_t *id, size_t id_len, enum err e)
{
	char *why = strdup(err_msg());

	if (token_destroy(t, id, id_len) != E_OK)
		log_error("token.undo", "token=%s %s", t->label, err_msg());
	e = err_set(e, "%s", why != NULL ? why : err_text(e));
	free(why);
	return e;
}

/* Answers that may be about the template; GENERAL_ERROR is what tpm2-pkcs11 says. */
static bool
gen_refused(CK_RV rv)
{
	static const CK_RV some[] = { CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY,
		CKR_TEMPLATE_INCONSISTENT, CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED };

	for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
		if (rv == some[i])
			return true;
	return false;
}

/*
 * tpm2-pkcs11 makes an RSA key that may not decrypt and cannot sign with it either, as its public half says. (Trying it
 * would not do: a signature that failed leaves its key in use until the process ends, and it cannot be destroyed.)
 */
static bool
gen_is_useless(struct token *t, const struct token_new *k, enum tell tell, CK_OBJECT_HANDLE pub_o)
{
	WBUF_AUTO v;

	wbuf_init(&v, 8);
	return tell == TELL_ALL && algs[k->alg].oid == NULL && raw_get(t, pub_o, CKA_VERIFY, &v) == E_OK && v.n == 1 &&
	    v.p[0] == CK_FALSE;
}

static CK_RV
gen_ask(struct token *t, const struct token_new *k, enum tell tell, CK_OBJECT_HANDLE *pub_o, CK_OBJECT_HANDLE *priv_o)
{
	const struct alg *alg = &algs[k->alg];
	CK_MECHANISM mech = { alg->mech, NULL, 0 };
	struct tmpl pub = { .n = 0 }, priv = { .n = 0 };

	tmpl_name(&pub, k->label, k->id, k->id_len);
	tmpl_public(&pub, alg);
	tmpl_name(&priv, k->label, k->id, k->id_len);
	tmpl_private(&priv, alg, k->use, tell);
	if (k->pin_always)
		tmpl_bool(&priv, CKA_ALWAYS_AUTHENTICATE, true);
	return t->m->f->C_GenerateKeyPair(t->session, &mech, pub.a, pub.n, priv.a, priv.n, pub_o, priv_o);
}

/* A token with places has put back what was there when it has made no key; others may have kept half a pair. */
static enum err
gen_undo_if(struct token *t, const struct token_new *k, CK_RV rv, enum err e)
{
	return k->over && rv != CKR_OK ? e : gen_undo(t, k->id, k->id_len, e);
}

static enum err
gen_pair(struct token *t, const struct token_new *k, EVP_PKEY **pub)
{
	CK_OBJECT_HANDLE pub_o = CK_INVALID_HANDLE, priv_o = CK_INVALID_HANDLE;
	CK_RV rv = CKR_GENERAL_ERROR;
	enum err e = E_OK;

	for (int tell = TELL_ALL; e == E_OK && tell < TELL_COUNT; tell++) {
		rv = gen_ask(t, k, (enum tell)tell, &pub_o, &priv_o);
		if (rv == CKR_OK && gen_is_useless(t, k, (enum tell)tell, pub_o))
			rv = CKR_TEMPLATE_INCONSISTENT;
		if (!gen_refused(rv) || k->over)
			break;
		log_info("token.template", "token=%s rv=0x%lX told=%d", t->label, rv, tell);
		/* half a pair may be there all the same */
		e = token_destroy(t, k->id, k->id_len);
	}
	e = rv == CKR_OK ? gen_check(t, pub_o, priv_o, pub) : place_rv(t, rv, "cannot generate a key");
	return e == E_OK ? E_OK : gen_undo_if(t, k, rv, e);
}

enum err
token_make(struct token *t, const struct token_new *k, EVP_PKEY **pub)
{
	enum err e = token_writable(t);

	*pub = NULL;
	if (e == E_OK)
		e = token_login(t);
	if (e == E_OK && !k->over)
		e = gen_id_free(t, k->id, k->id_len);
	return e == E_OK ? gen_pair(t, k, pub) : e;
}

enum err
token_generate(struct token *t, enum token_alg alg, enum token_use use, const char *label, const uint8_t *id,
    size_t id_len, EVP_PKEY **pub)
{
	const struct token_new k = { .alg = alg, .use = use, .label = label, .id = id, .id_len = id_len };

	return token_make(t, &k, pub);
}

static void
cert_der(X509 *cert, struct wbuf *subject, struct wbuf *issuer, struct wbuf *serial, struct wbuf *der)
{
	unsigned char *p;
	const X509_NAME *names[] = { X509_get_subject_name(cert), X509_get_issuer_name(cert) };
	struct wbuf *out[] = { subject, issuer };
	int n;

	for (int i = 0; i < 2; i++) {
		n = i2d_X509_NAME(names[i], NULL);
		p = n > 0 ? wbuf_room(out[i], (size_t)n) : NULL;
		if (p == NULL || i2d_X509_NAME(names[i], &p) != n)
			out[i]->bad = true;
	}
	n = i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), NULL);
	p = n > 0 ? wbuf_room(serial, (size_t)n) : NULL;
	if (p == NULL || i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &p) != n)
		serial->bad = true;
	n = i2d_X509(cert, NULL);
	p = n > 0 ? wbuf_room(der, (size_t)n) : NULL;
	if (p == NULL || i2d_X509(cert, &p) != n)
		der->bad = true;
}

enum err
token_put_cert(struct token *t, const char *label, const uint8_t *id, size_t id_len, X509 *cert)
{
	static const CK_OBJECT_CLASS cls = CKO_CERTIFICATE;
	static const CK_CERTIFICATE_TYPE type = CKC_X_509;
	struct tmpl c = { .n = 0 };
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	WBUF_AUTO subject;
	WBUF_AUTO issuer;
	WBUF_AUTO serial;
	WBUF_AUTO der;
	CK_RV rv;
	enum err e;

	wbuf_init(&subject, 16 * 1024);
	wbuf_init(&issuer, 16 * 1024);
	wbuf_init(&serial, 256);
	wbuf_init(&der, 64 * 1024);
	e = token_writable(t);
	if (e == E_OK)
		e = token_login(t);
	if (e != E_OK)
		return e;
	cert_der(cert, &subject, &issuer, &serial, &der);
	if (subject.bad || issuer.bad || serial.bad || der.bad)
		return err_set(E_NOSPACE, "the certificate is too large for a token");
	tmpl_name(&c, label, id, id_len);
	tmpl_add(&c, CKA_CLASS, &cls, sizeof cls);
	tmpl_add(&c, CKA_CERTIFICATE_TYPE, &type, sizeof type);
	tmpl_bool(&c, CKA_PRIVATE, false);
	tmpl_add(&c, CKA_SUBJECT, subject.p, subject.n);
	tmpl_add(&c, CKA_ISSUER, issuer.p, issuer.n);
	tmpl_add(&c, CKA_SERIAL_NUMBER, serial.p, serial.n);
	tmpl_add(&c, CKA_VALUE, der.p, der.n);
	rv = t->m->f->C_CreateObject(t->session, c.a, c.n, &o);
	return rv == CKR_OK ? E_OK : place_rv(t, rv, "cannot store the certificate");
}

enum err
token_destroy(struct token *t, const uint8_t *id, size_t id_len)
{
	struct tmpl q = { .n = 0 };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	CK_RV rv = CKR_OK;
	enum err e = token_login(t);

	if (e != E_OK)
		return e;
	if (id_len == 0)
		return err_set(E_ARG, "refusing to destroy objects without identifier");
	tmpl_add(&q, CKA_ID, id, id_len);
	e = raw_find(t, q.a, q.n, &o, &n);
	for (size_t i = 0; e == E_OK && i < n; i++) {
		rv = t->m->f->C_DestroyObject(t->session, o[i]);
		/* a PIV token's public key goes with its certificate, and few delete a private one: see token_zeroize()
		 */
		if (rv == CKR_ACTION_PROHIBITED && t->m->own)
			continue;
		if (rv != CKR_OK && rv != CKR_OBJECT_HANDLE_INVALID)
			e = rv_set(t, rv, "cannot delete an object");
	}
	free(o);
	return e;
}
