/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Revocation, the frame: who issued the certificate, by a path to a trusted root, then one source after the other until
 * one knows. The path comes first: an answer can be authentic only when its signer is. Sources and limits:
 * revoked_ocsp.c and revoked_crl.c. Addresses come out of certificates, so they are foreign: http and https only, few,
 * bounded in time and size.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "derive/revoked_int.h"

#define TIMEOUT 20

const char *
revoked_name(enum revoked_state s)
{
	return s == REVOKED_NO ? "good" : s == REVOKED_YES ? "revoked" : "unknown";
}

void
revoked_because(struct revoked_q *q, const char *fmt, ...)
{
	size_t n = strlen(q->out->why);
	va_list ap;

	if (n > 0)
		n += (size_t)snprintf(q->out->why + n, sizeof q->out->why - n, "; ");
	if (n >= sizeof q->out->why)
		return;
	va_start(ap, fmt);
	vsnprintf(q->out->why + n, sizeof q->out->why - n, fmt, ap);
	va_end(ap);
}

static bool
store_make(struct revoked_q *q)
{
	const STACK_OF(X509) *anchors = q->conf->anchors;

	q->store = X509_STORE_new();
	/* an issuing CA that was configured is trusted as it is: what is above it may not be known here */
	if (q->store == NULL || X509_STORE_set_flags(q->store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return false;
	if (anchors == NULL)
		return X509_STORE_set_default_paths(q->store) == 1;
	for (int i = 0; i < sk_X509_num(anchors); i++)
		if (X509_STORE_add_cert(q->store, sk_X509_value(anchors, i)) != 1)
			return false;
	return true;
}

/* The path, and with it the issuer. */
static bool
issuer_find(struct revoked_q *q)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = ctx != NULL && X509_STORE_CTX_init(ctx, q->store, q->cert, q->conf->others) == 1;

	if (!ok) {
		revoked_because(q, "out of memory");
	} else if (X509_verify_cert(ctx) != 1) {
		revoked_because(q, "it does not lead to a trusted issuer (%s)",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	} else {
		STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
		X509 *issuer = sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : NULL;

		if (issuer != NULL && X509_up_ref(issuer) == 1)
			q->issuer = issuer;
		else
			revoked_because(q, "it has no issuer above it");
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return q->issuer != NULL;
}

static void
sources(struct revoked_q *q)
{
	const struct http_conf conf = { .cafile = q->conf->cafile,
		.plain = true,
		.timeout = q->conf->timeout > 0 ? q->conf->timeout : TIMEOUT,
		.body_max = REVOKED_CRL_MAX };

	if (q->conf->crls != NULL && revoked_by_crls(q, q->conf->crls, "CRL file"))
		return;
	if (http_open(&conf, &q->http) != E_OK) {
		revoked_because(q, "%s", err_msg());
		return;
	}
	if (!revoked_by_ocsp(q) && !revoked_by_points(q) && q->out->why[0] == '\0')
		revoked_because(q, "the certificate does not say where to ask");
}

void
revoked_ask(X509 *cert, const struct revoked_conf *conf, struct revoked *out)
{
	struct revoked_q q = { .cert = cert, .conf = conf, .out = out };

	memset(out, 0, sizeof *out);
	if (!store_make(&q))
		revoked_because(&q, "the trust anchors cannot be used");
	else if (issuer_find(&q))
		sources(&q);
	if (out->state != REVOKED_UNKNOWN)
		out->why[0] = '\0';
	if (q.http != NULL)
		http_close(&q.http);
	X509_free(q.issuer);
	X509_STORE_free(q.store);
	ERR_clear_error();
}
