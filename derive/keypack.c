/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private keys between libcrypto and bytes: PKCS #8 (RFC 5208), and the list around it that CMS carries (RFC 5958:
 * SEQUENCE OF OneAsymmetricKey). What is written lies in a struct secret; libcrypto's own copy inside of
 * PKCS8_PRIV_KEY_INFO is wiped by libcrypto when it is freed.
 */
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "derive/der.h"
#include "derive/keypack.h"

#define HEAD_MAX 6

enum err
keypack_pkcs8(EVP_PKEY *key, struct secret **out)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int n = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
	unsigned char *p;
	enum err e = E_OK;

	*out = n > 0 ? secret_new((size_t)n) : NULL;
	if (*out != NULL) {
		p = (*out)->v;
		(*out)->n = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &p);
	} else
		e = err_crypto(E_NOMEM, "the key cannot be written down");
	PKCS8_PRIV_KEY_INFO_free(info);
	return e;
}

enum err
keypack_write(EVP_PKEY *key, struct secret **out)
{
	SECRET_AUTO one = NULL;
	uint8_t head[HEAD_MAX];
	unsigned char *p = head;
	enum err e = keypack_pkcs8(key, &one);

	*out = NULL;
	if (e != E_OK)
		return e;
	if (one->n > 0xFFFF || (*out = secret_new(one->n + HEAD_MAX)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	ASN1_put_object(&p, 1, (int)one->n, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	return secret_put(*out, head, (size_t)(p - head)) && secret_put(*out, one->v, one->n)
	    ? E_OK
	    : err_set(E_NOMEM, "out of memory");
}

/* RFC 5958: the version, an INTEGER, comes first in a key; a list begins with another SEQUENCE. */
static bool
is_list(struct span inside)
{
	struct span one;

	return der_take(&inside, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &one);
}

enum err
keypack_read(struct span der, EVP_PKEY **out)
{
	struct span rest = der, inside;
	PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *p;
	enum err e = E_OK;

	*out = NULL;
	if (!der_take(&rest, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &inside) || rest.n != 0)
		return err_set(E_PROTO, "what was sent as a private key is none");
	if (is_list(inside))
		der = inside;
	p = der.p;
	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der.n);
	if (info != NULL && p == der.p + der.n)
		*out = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (*out == NULL || (EVP_PKEY_get_base_id(*out) != EVP_PKEY_RSA && EVP_PKEY_get_base_id(*out) != EVP_PKEY_EC)) {
		EVP_PKEY_free(*out);
		*out = NULL;
		e = err_set(E_PROTO, "what was sent as a private key is not one RSA or elliptic-curve key");
	}
	ERR_clear_error();
	return e;
}
