/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Revocation, the frame: who issued the certificate, by a path to a trusted root, then one source after the other until
 * one knows. The path comes first: an answer can be authentic only when its signer is; CAs that are missing on it are
 * fetched from where the certificates say. Sources and limits: revoked_aia.c, revoked_ocsp.c and revoked_crl.c.
 * Addresses come out of certificates, so they are foreign: http and https only, few, bounded in time and size.
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

/* The path, and with it the issuer; *last: where the path ends without one (owned), for who can say more. */
static bool
issuer_try(struct revoked_q *q, X509 **last, int *why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) * chain;

	*why = X509_V_ERR_OUT_OF_MEM;
	if (ctx != NULL && X509_STORE_CTX_init(ctx, q->store, q->cert, q->pool) == 1) {
		*why = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
		chain = X509_STORE_CTX_get0_chain(ctx);
		if (*why == X509_V_OK && sk_X509_num(chain) > 1 && X509_up_ref(sk_X509_value(chain, 1)) == 1)
			q->issuer = sk_X509_value(chain, 1);
		else if (sk_X509_num(chain) > 0 && X509_up_ref(sk_X509_value(chain, sk_X509_num(chain) - 1)) == 1)
			*last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return q->issuer != NULL;
}

static bool
issuer_find(struct revoked_q *q)
{
	X509 *last = NULL;
	int why;
	bool found = issuer_try(q, &last, &why);

	for (int i = 0; !found && i < REVOKED_DEPTH && last != NULL && revoked_aia(q, last); i++) {
		X509_free(last);
		last = NULL;
		found = issuer_try(q, &last, &why);
	}
	X509_free(last);
	if (found)
		q->out->why[0] = '\0';
	else if (why == X509_V_OK)
		revoked_because(q, "it has no issuer above it");
	else
		revoked_because(q, "it does not lead to a trusted issuer (%s)", X509_verify_cert_error_string(why));
	return found;
}

static void
sources(struct revoked_q *q)
{
	if (q->conf->crls != NULL && revoked_by_crls(q, q->conf->crls, "CRL file"))
		return;
	if (!revoked_by_ocsp(q) && !revoked_by_points(q) && q->out->why[0] == '\0')
		revoked_because(q, "the certificate does not say where to ask");
}

static bool
client_open(struct revoked_q *q)
{
	const struct http_conf conf = { .cafile = q->conf->cafile,
		.plain = true,
		.timeout = q->conf->timeout > 0 ? q->conf->timeout : TIMEOUT,
		.body_max = REVOKED_CRL_MAX };

	return http_open(&conf, &q->http) == E_OK;
}

/* What is fetched on the way is for this question alone. */
static bool
pool_make(struct revoked_q *q)
{
	q->pool = q->conf->others != NULL ? X509_chain_up_ref(q->conf->others) : sk_X509_new_null();
	return q->pool != NULL;
}

void
revoked_ask(X509 *cert, const struct revoked_conf *conf, struct revoked *out)
{
	struct revoked_q q = { .cert = cert, .conf = conf, .out = out };

	memset(out, 0, sizeof *out);
	if (!store_make(&q))
		revoked_because(&q, "the trust anchors cannot be used");
	else if (!pool_make(&q))
		revoked_because(&q, "out of memory");
	else if (!client_open(&q))
		revoked_because(&q, "%s", err_msg());
	else if ((out->path = issuer_find(&q)))
		sources(&q);
	if (out->state != REVOKED_UNKNOWN)
		out->why[0] = '\0';
	if (q.http != NULL)
		http_close(&q.http);
	sk_X509_pop_free(q.pool, X509_free);
	X509_free(q.issuer);
	X509_STORE_free(q.store);
	ERR_clear_error();
}
