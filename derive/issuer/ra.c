/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening the registration authority (ra.h). What clients would refuse is refused here already: a certificate of
 * another CA, without the usages that SCEP and CMP need, or with a key that cannot decrypt.
 */
#include <stdlib.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/cert.h"
#include "derive/issuer/ra.h"
#include "derive/issuer/x509io.h"

static enum err
check(X509 *cert, X509 *ca, const char *path)
{
	const uint32_t usage = KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT;

	if (X509_check_issued(ca, cert) != X509_V_OK || X509_verify(cert, X509_get0_pubkey(ca)) != 1) {
		ERR_clear_error();
		return err_set(E_CONF, "%s: not certified by this issuer's CA", path);
	}
	if (EVP_PKEY_get_base_id(X509_get0_pubkey(cert)) != EVP_PKEY_RSA ||
	    (X509_get_key_usage(cert) & usage) != usage || !cert_has_eku(cert, NID_cmcRA))
		return err_set(E_CONF,
		    "%s: not the certificate of a registration authority: an RSA key for digitalSignature and "
		    "keyEncipherment, with the extended key usage cmcRA",
		    path);
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return err_set(E_EXPIRED, "%s: the certificate of the registration authority has expired", path);
	return E_OK;
}

static enum err
fill(const struct config *c, X509 *ca, struct ra *ra)
{
	enum err e;

	if ((e = x509io_read_cert(c->ra_cert, &ra->cert)) != E_OK || (e = check(ra->cert, ca, c->ra_cert)) != E_OK)
		return e;
	if ((ra->chain = sk_X509_new_null()) == NULL || X509_up_ref(ca) != 1)
		return err_set(E_NOMEM, "out of memory");
	if (!sk_X509_push(ra->chain, ca)) {
		X509_free(ca);
		return err_set(E_NOMEM, "out of memory");
	}
	return cakey_open_as(
	    "key of the registration authority", c->ra_key, true, false, X509_get0_pubkey(ra->cert), &ra->key);
}

enum err
ra_open(const struct config *c, X509 *ca, struct ra **out)
{
	enum err e;

	*out = NULL;
	if (access(c->ra_cert, F_OK) != 0)
		return E_OK;
	if ((*out = calloc(1, sizeof **out)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	if ((e = fill(c, ca, *out)) != E_OK)
		ra_close(out);
	return e;
}

void
ra_close(struct ra **ra)
{
	if (*ra == NULL)
		return;
	X509_free((*ra)->cert);
	sk_X509_pop_free((*ra)->chain, X509_free);
	cakey_close(&(*ra)->key);
	free(*ra);
	*ra = NULL;
}
