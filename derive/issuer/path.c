/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One path, as RFC 5280 section 6 says, with require-explicit-policy and inhibit-any-policy set and the given policies
 * as initial set; revocation is checked for every certificate on the path and fails closed. All of libcrypto's findings
 * are collected and the most telling one is reported: a card that is both expired and without CRL is "expired".
 * Whatever is collected refuses; nothing is forgiven. Issuers and CRLs of one name are told apart by their key
 * identifiers.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/config.h"
#include "derive/issuer/path.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"

#define MAX_SENT  10 /* certificates of the handshake that are looked at */
#define MAX_DEPTH 8

/* Findings by rank: the first row that occurred decides. %s is the certificate's subject, and the second one what it
 * was to be. */
static const struct finding {
	int error;
	enum refuse why;
	const char *sentence;
} findings[] = {
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, REFUSE_UNTRUSTED,
	    "the signature on the certificate of %s does not verify" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, REFUSE_UNTRUSTED,
	    "the certificate of %s is self-signed and not trusted here" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, REFUSE_UNTRUSTED, "the root %s is not trusted here" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, REFUSE_UNTRUSTED,
	    "the issuer of the certificate of %s is not trusted here" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, REFUSE_UNTRUSTED,
	    "the issuer of the certificate of %s is not trusted here" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, REFUSE_UNTRUSTED,
	    "the issuer of the certificate of %s is not trusted here" },
	{ X509_V_ERR_CERT_REVOKED, REFUSE_REVOKED, "the certificate of %s has been revoked" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, REFUSE_EXPIRED, "the certificate of %s has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, REFUSE_NOT_YET_VALID, "the certificate of %s is not yet valid" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, REFUSE_ALGORITHM, "the key in the certificate of %s is too short" },
	{ X509_V_ERR_NO_EXPLICIT_POLICY, REFUSE_POLICY,
	    "the certificate of %s has none of the policies that %s must have" },
	{ X509_V_ERR_INVALID_POLICY_EXTENSION, REFUSE_POLICY, "the policies in the certificate of %s are malformed" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, REFUSE_STATUS, "there is no CRL here for the issuer of the certificate of %s" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, REFUSE_STATUS,
	    "the CRL for the certificate of %s has an unknown issuer" },
	{ X509_V_ERR_CRL_HAS_EXPIRED, REFUSE_STATUS, "the CRL for the certificate of %s is out of date" },
	{ X509_V_ERR_CRL_NOT_YET_VALID, REFUSE_STATUS, "the CRL for the certificate of %s is not yet valid" },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE, REFUSE_STATUS,
	    "the signature on the CRL for the certificate of %s is wrong" },
	{ X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE, REFUSE_STATUS,
	    "the CRL for the certificate of %s cannot be checked" },
	{ X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, REFUSE_STATUS, "the CRL for the certificate of %s is malformed" },
	{ X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD, REFUSE_STATUS, "the CRL for the certificate of %s is malformed" },
	{ X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, REFUSE_STATUS, "the CA of %s may not sign CRLs" },
	{ X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, REFUSE_STATUS,
	    "the CRL for the certificate of %s is of an unknown kind" },
	{ X509_V_ERR_DIFFERENT_CRL_SCOPE, REFUSE_STATUS, "the CRL does not cover the certificate of %s" },
	{ X509_V_ERR_CRL_PATH_VALIDATION_ERROR, REFUSE_STATUS, "the CRL for the certificate of %s has no valid path" },
};
#define N_FINDINGS (sizeof findings / sizeof findings[0])

struct verdict {
	size_t rank; /* N_FINDINGS: none; N_FINDINGS + 1 and an error: one without a row */
	int error;
	char who[512];
};

static size_t
rank_of(int error)
{
	size_t i = 0;

	while (i < N_FINDINGS && findings[i].error != error)
		i++;
	return i;
}

/* libcrypto asks "go on?" at each finding: yes, to see them all; path_check() refuses in the end. */
static int
collect(int ok, X509_STORE_CTX *ctx)
{
	struct verdict *v = X509_STORE_CTX_get_app_data(ctx);
	int error = X509_STORE_CTX_get_error(ctx);
	size_t rank = rank_of(error);
	X509 *x;

	if (ok)
		return 1;
	/* a finding without a row is a broken path: it ranks first, and first come first kept */
	if (v->error != X509_V_OK && (rank_of(v->error) == N_FINDINGS || (rank != N_FINDINGS && rank >= v->rank)))
		return 1;
	v->rank = rank;
	v->error = error;
	if ((x = X509_STORE_CTX_get_current_cert(ctx)) == NULL)
		x = X509_STORE_CTX_get0_cert(ctx);
	x509io_name_text(X509_get_subject_name(x), v->who, sizeof v->who);
	return 1;
}

static enum err
refuse_verdict(const struct verdict *v, const char *what)
{
	if (v->rank < N_FINDINGS) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		return refuse(findings[v->rank].why, findings[v->rank].sentence, v->who, what);
#pragma GCC diagnostic pop
	}
	return refuse(REFUSE_UNTRUSTED, "the path of the certificate of %s is not valid: %s", v->who,
	    X509_verify_cert_error_string(v->error));
}

static bool
set_policies(X509_VERIFY_PARAM *param, const char *list)
{
	char word[128];
	int count = 0;
	size_t n;

	for (const char *at; (at = config_list_next(&list, &n)) != NULL; count++) {
		ASN1_OBJECT *oid;

		if (n >= sizeof word)
			return false;
		memcpy(word, at, n);
		word[n] = '\0';
		if ((oid = OBJ_txt2obj(word, 1)) == NULL || !X509_VERIFY_PARAM_add0_policy(param, oid))
			return false;
	}
	return count > 0;
}

static STACK_OF(X509) * untrusted(const struct trust *t, STACK_OF(X509) * sent)
{
	STACK_OF(X509) *all = sk_X509_dup(t->intermediates);

	for (int i = 0; all && sent && i < sk_X509_num(sent) && i < MAX_SENT; i++)
		if (!sk_X509_push(all, sk_X509_value(sent, i))) {
			sk_X509_free(all);
			return NULL;
		}
	return all;
}

enum err
path_check(struct trust *t, const struct path_rules *rules, X509 *leaf, STACK_OF(X509) * sent, time_t now)
{
	const unsigned long flags = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_POLICY_CHECK |
	    X509_V_FLAG_EXPLICIT_POLICY | X509_V_FLAG_INHIBIT_ANY | X509_V_FLAG_TRUSTED_FIRST;
	struct verdict v = { .rank = N_FINDINGS, .error = X509_V_OK };
	STACK_OF(X509) *others = untrusted(t, sent);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	enum err e = E_OK;
	int rc;

	if (others == NULL || ctx == NULL || !X509_STORE_CTX_init(ctx, t->anchors, leaf, others)) {
		e = err_crypto(E_CRYPTO, "cannot validate a path");
		goto out;
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, flags);
	X509_VERIFY_PARAM_set_time(param, now);
	X509_VERIFY_PARAM_set_depth(param, MAX_DEPTH);
	X509_VERIFY_PARAM_set_auth_level(param, 2); /* 112 bits, SP 800-78-5 3.1 */
	if (!set_policies(param, rules->policies)) {
		e = err_set(E_CONF, "issuer.conf: [piv] %s is not a list of object identifiers", rules->key);
		goto out;
	}
	if (t->crls)
		X509_STORE_CTX_set0_crls(ctx, t->crls);
	X509_STORE_CTX_set_app_data(ctx, &v);
	X509_STORE_CTX_set_verify_cb(ctx, collect);
	rc = X509_verify_cert(ctx);
	if (v.error != X509_V_OK)
		e = refuse_verdict(&v, rules->what);
	else if (rc <= 0 || X509_STORE_CTX_get_error(ctx) != X509_V_OK)
		e = err_crypto(E_CRYPTO, "path validation failed");
out:
	X509_STORE_CTX_free(ctx);
	sk_X509_free(others);
	ERR_clear_error();
	return e;
}
