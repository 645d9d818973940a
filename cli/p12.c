/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading PKCS#12. Files that browsers and Windows wrote use RC2-40 and Triple DES, which OpenSSL 3 has in its legacy
 * provider only; it is loaded into a library context of our own, so that nothing else of the process sees these
 * ciphers. All bags are walked, since a file can have several keys; which certificate belongs to which key tells the
 * public key. Nothing is kept that the file does not need: its bytes and the keys stay in this process's memory.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>

#include "cli/p12.h"

#define KEYS_MAX 64
#define DEPTH	 4

struct reader {
	struct p12 *p;
	const char *password;
	int n;
};

static enum err
key_add(struct p12 *p, EVP_PKEY *key)
{
	EVP_PKEY **grown;

	if (key == NULL)
		return err_crypto(E_PROTO, "a private key in it cannot be read");
	grown = p->n_keys < KEYS_MAX ? realloc(p->keys, (p->n_keys + 1) * sizeof(EVP_PKEY *)) : NULL;
	if (grown == NULL) {
		EVP_PKEY_free(key);
		return err_set(E_PROTO, "more than %d keys in it", KEYS_MAX);
	}
	p->keys = grown;
	grown[p->n_keys++] = key;
	return E_OK;
}

/* Why could something not be decrypted, when the password was right? */
static enum err
cipher_failed(const struct p12 *p)
{
	if (p->legacy == NULL) {
		ERR_clear_error();
		return err_set(E_UNSUP,
		    "it is encrypted with an old cipher, and OpenSSL's legacy provider is not installed (Debian: "
		    "openssl-provider-legacy, or libssl3)");
	}
	return err_crypto(E_PROTO, "it cannot be decrypted");
}

static enum err
shrouded_add(struct reader *r, const PKCS12_SAFEBAG *bag)
{
	PKCS8_PRIV_KEY_INFO *info = PKCS12_decrypt_skey_ex(bag, r->password, r->n, r->p->lib, NULL);
	enum err e;

	if (info == NULL)
		return cipher_failed(r->p);
	e = key_add(r->p, EVP_PKCS82PKEY_ex(info, r->p->lib, NULL));
	PKCS8_PRIV_KEY_INFO_free(info);
	return e;
}

static enum err
cert_add(struct p12 *p, const PKCS12_SAFEBAG *bag)
{
	X509 *cert;

	if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
		return E_OK;
	cert = PKCS12_SAFEBAG_get1_cert(bag);
	if (cert == NULL)
		return err_crypto(E_PROTO, "a certificate in it cannot be read");
	if (sk_X509_push(p->certs, cert) > 0)
		return E_OK;
	X509_free(cert);
	return err_set(E_NOMEM, "out of memory");
}

static enum err bags_read(struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags, int depth);

static enum err
bag_read(struct reader *r, const PKCS12_SAFEBAG *bag, int depth)
{
	switch (PKCS12_SAFEBAG_get_nid(bag)) {
	case NID_keyBag: return key_add(r->p, EVP_PKCS82PKEY_ex(PKCS12_SAFEBAG_get0_p8inf(bag), r->p->lib, NULL));
	case NID_pkcs8ShroudedKeyBag: return shrouded_add(r, bag);
	case NID_certBag: return cert_add(r->p, bag);
	case NID_safeContentsBag:
		return depth < DEPTH ? bags_read(r, PKCS12_SAFEBAG_get0_safes(bag), depth + 1)
				     : err_set(E_PROTO, "it is nested too deeply");
	default: return E_OK;
	}
}

static enum err
bags_read(struct reader *r, const STACK_OF(PKCS12_SAFEBAG) * bags, int depth)
{
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < sk_PKCS12_SAFEBAG_num(bags); i++)
		e = bag_read(r, sk_PKCS12_SAFEBAG_value(bags, i), depth);
	return e;
}

static enum err
safe_read(struct reader *r, PKCS7 *safe)
{
	STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
	enum err e;

	if (PKCS7_type_is_data(safe))
		bags = PKCS12_unpack_p7data(safe);
	else if (PKCS7_type_is_encrypted(safe))
		bags = PKCS12_unpack_p7encdata(safe, r->password, r->n);
	else
		return err_set(E_UNSUP, "it is encrypted for a key, not by a password");
	e = bags != NULL ? bags_read(r, bags, 0) : cipher_failed(r->p);
	sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
	return e;
}

static enum err
safes_read(struct reader *r, const PKCS12 *file)
{
	STACK_OF(PKCS7) *safes = PKCS12_unpack_authsafes(file);
	enum err e = safes != NULL ? E_OK : err_crypto(E_PROTO, "its contents cannot be read");

	for (int i = 0; e == E_OK && i < sk_PKCS7_num(safes); i++)
		e = safe_read(r, sk_PKCS7_value(safes, i));
	sk_PKCS7_pop_free(safes, PKCS7_free);
	return e;
}

/* An empty password is written in two ways (RFC 7292, appendix B.1 leaves it open). */
static enum err
password_check(struct reader *r, PKCS12 *file)
{
	if (PKCS12_mac_present(file) != 1)
		return err_set(E_UNSUP, "it has no integrity check by a password");
	if (PKCS12_verify_mac(file, r->password, r->n) == 1)
		return E_OK;
	if (r->n == 0 && PKCS12_verify_mac(file, NULL, 0) == 1) {
		r->password = NULL;
		return E_OK;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE || ERR_peek_last_error() == 0) {
		ERR_clear_error();
		return err_set(E_PIN, "the password is wrong");
	}
	return cipher_failed(r->p);
}

static enum err
context_make(struct p12 *p)
{
	memset(p, 0, sizeof *p);
	p->certs = sk_X509_new_null();
	p->lib = OSSL_LIB_CTX_new();
	if (p->certs == NULL || p->lib == NULL)
		return err_set(E_NOMEM, "out of memory");
	p->standard = OSSL_PROVIDER_load(p->lib, "default");
	if (p->standard == NULL)
		return err_crypto(E_CRYPTO, "OpenSSL's default provider cannot be loaded");
	p->legacy = OSSL_PROVIDER_load(p->lib, "legacy");
	ERR_clear_error();
	return E_OK;
}

static PKCS12 *
file_parse(struct p12 *p, struct span der)
{
	const unsigned char *at = der.p;
	PKCS12 *file = PKCS12_init_ex(NID_pkcs7_data, p->lib, NULL);

	/* on failure d2i frees what it was given */
	return file != NULL ? d2i_PKCS12(&file, &at, (long)der.n) : NULL;
}

enum err
p12_read(struct span der, const struct secret *password, struct p12 *p)
{
	SECRET_AUTO text = secret_new(password->n + 1); /* the API wants it to end with NUL */
	struct reader r = { p, text != NULL ? (const char *)text->v : "", (int)password->n };
	PKCS12 *file = NULL;
	enum err e = context_make(p);

	if (e == E_OK && (text == NULL || !secret_put(text, password->v, password->n)))
		e = err_set(E_NOMEM, "out of memory");
	if (e == E_OK && (file = file_parse(p, der)) == NULL)
		e = err_crypto(E_PROTO, "this is not a PKCS#12 file");
	if (e == E_OK)
		e = password_check(&r, file);
	if (e == E_OK)
		e = safes_read(&r, file);
	PKCS12_free(file);
	ERR_clear_error();
	if (e != E_OK)
		p12_free(p);
	return e;
}

void
p12_free(struct p12 *p)
{
	for (size_t i = 0; i < p->n_keys; i++)
		EVP_PKEY_free(p->keys[i]);
	free(p->keys);
	sk_X509_pop_free(p->certs, X509_free);
	if (p->legacy != NULL)
		OSSL_PROVIDER_unload(p->legacy);
	if (p->standard != NULL)
		OSSL_PROVIDER_unload(p->standard);
	OSSL_LIB_CTX_free(p->lib);
	memset(p, 0, sizeof *p);
}

X509 *
p12_cert(const struct p12 *p, size_t i)
{
	X509 *found = NULL;

	for (int c = 0; c < sk_X509_num(p->certs) && found == NULL; c++) {
		if (X509_check_private_key(sk_X509_value(p->certs, c), p->keys[i]) == 1)
			found = sk_X509_value(p->certs, c);
	}
	ERR_clear_error();
	return found;
}
