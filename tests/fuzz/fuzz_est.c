/* SPDX-License-Identifier: BSD-2-Clause */
/* What an EST server sends: cacerts and simpleenroll bodies, csrattrs, and the certificates in them. */
#include <openssl/objects.h>

#include "derive/cert.h"
#include "derive/csr.h"
#include "derive/est_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
facts(X509 *x)
{
	char text[128], uuid[TEXT_UUID_MAX];
	const char *found;

	cert_name(x, text, sizeof text);
	cert_serial(x, text, sizeof text);
	cert_email(x, text, sizeof text);
	cert_uuids(x, uuid);
	(void)cert_has_fascn(x);
	(void)cert_has_eku(x, NID_client_auth);
	(void)cert_has_policy(x, role_info(ROLE_AUTH)->policies, &found);
	(void)cert_is_piv_auth(x);
	(void)cert_not_after(x);
}

/* The certificate as its own card: everything that a check reads is read. */
static void
check(X509 *x)
{
	EVP_PKEY *pub = X509_get0_pubkey(x);
	STACK_OF(X509) *none = sk_X509_new_null();
	struct cert_rules rules = { .pub = pub, .card = x, .anchors = none, .now = 1800000000 };

	for (int r = 0; pub != NULL && none != NULL && r < ROLE_COUNT; r++) {
		rules.role = (enum role)r;
		if (cert_check(x, &rules) == E_OK)
			__builtin_trap(); /* there is nothing to trust */
	}
	sk_X509_free(none);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	STACK_OF(X509) *certs = NULL;
	struct proto_attrs attrs;
	enum token_alg alg;

	if (est_read_certs(span_of(data, n), &certs) == E_OK) {
		for (int i = 0; i < sk_X509_num(certs); i++) {
			facts(sk_X509_value(certs, i));
			check(sk_X509_value(certs, i));
		}
		sk_X509_pop_free(certs, X509_free);
	}
	if (est_read_attrs(span_of(data, n), &attrs) == E_OK) {
		if (csr_algorithm(&attrs, false, TOKEN_RSA2048, &alg) == E_OK)
			(void)alg_name(alg);
		proto_attrs_free(&attrs);
	}
	return 0;
}
