/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CMP message to the issuer: what is looked at before libcrypto, and then the whole way through cmp_run() with an
 * issuer that trusts nobody. Nothing that comes in here may get a certificate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/err.h>

#include "derive/issuer/cmp_peek.h"
#include "derive/issuer/est.h"
#include "derive/issuer/init.h"
#include "derive/issuer/issuer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NOW 1795561761 /* when the seeds were fresh */

static struct issuer issuer;

/* Makes keys, which can last longer than one input may. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char dir[] = "/tmp/dpiv-fuzz-cmp.XXXXXX";
	struct init_options o = { .name = "Fuzz", .host = "localhost", .port = 8443, .demo = true, .dir = dir };
	char cmd[80];

	(void)argc;
	(void)argv;
	if (mkdtemp(dir) == NULL || init_run(&o) != E_OK ||
	    issuer_open(dir, ISSUER_KEY | ISSUER_TRUST, &issuer) != E_OK || issuer.ra == NULL || issuer.codes == NULL)
		abort();
	/* all of it is open now, and a fuzzer is left by a signal */
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	if (system(cmd) != 0)
		abort();
	return 0;
}

static void
peek(struct span in)
{
	struct cmp_peek p;
	struct span details;
	WBUF_AUTO key = { 0 };

	if (!cmp_peek(in, &p))
		return;
	if (p.type < 0 || p.type > CMP_BODY_MAX || p.covered.n > in.n || p.body.n > in.n)
		abort();
	wbuf_init(&key, 65536);
	(void)cmp_peek_spki(&p, &key);
	(void)cmp_peek_revocation(&p, &details);
	(void)cmp_peek_iterations(p.alg);
	(void)cmp_peek_rejects(&p);
	sk_X509_pop_free(cmp_peek_certs(&p, 10), X509_free);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct est_request rq = { .post = true,
		.path = "/.well-known/cmp",
		.media_type = "application/pkixcmp",
		.body = span_of(data, n),
		.from = "192.0.2.1" };
	struct est_reply r;
	struct cmp_peek ours;

	peek(rq.body);
	est_handle(&issuer, &rq, NOW, &r);
	if (r.status == 200 && cmp_peek(wbuf_view(&r.body), &ours) && (ours.type == CMP_PKICONF || r.known))
		abort();
	wbuf_free(&r.body);
	ERR_clear_error();
	return 0;
}
