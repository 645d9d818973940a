/* SPDX-License-Identifier: BSD-2-Clause */
/* A question to the OCSP responder, by POST and by GET, from the bytes to the signed answer; the ledger is empty. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "derive/issuer/init.h"
#include "derive/issuer/publish.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct issuer issuer;
static struct ocsp *responder;

/* Makes keys, which can last longer than one input may. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char dir[] = "/tmp/dpiv-fuzz-ocsp.XXXXXX";
	struct init_options o = { .name = "Fuzz", .host = "localhost", .port = 8443, .demo = true, .dir = dir };
	char cmd[80];

	(void)argc;
	(void)argv;
	if (mkdtemp(dir) == NULL || init_run(&o) != E_OK || issuer_open(dir, ISSUER_LEDGER, &issuer) != E_OK ||
	    ocsp_open(&issuer, &responder) != E_OK || responder == NULL)
		abort();
	/* all of it is open now, and a fuzzer is left by a signal */
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	if (system(cmd) != 0)
		abort();
	return 0;
}

/* Whatever was asked: a response, and never good about what was never issued. */
static void
check(const struct est_reply *r)
{
	const unsigned char *p = r->body.p;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;

	if (r->status != 200)
		return;
	if ((response = d2i_OCSP_RESPONSE(NULL, &p, (long)r->body.n)) == NULL || p != r->body.p + r->body.n)
		abort();
	basic = OCSP_response_get1_basic(response);
	if ((basic != NULL) != (OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL))
		abort();
	for (int i = 0; basic && i < OCSP_resp_count(basic); i++)
		if (OCSP_single_get0_status(OCSP_resp_get0(basic, i), NULL, NULL, NULL, NULL) !=
		    V_OCSP_CERTSTATUS_UNKNOWN)
			abort();
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char path[2 * OCSP_BODY_MAX] = "/pki/ocsp/";
	struct est_request rq = {
		.post = true, .path = "/pki/ocsp", .media_type = "application/ocsp-request", .body = span_of(data, n)
	};
	struct est_reply r;
	size_t at = strlen("/pki/ocsp/");

	publish_handle(&issuer, responder, &rq, 1800000000, &r);
	check(&r);
	wbuf_free(&r.body);
	for (size_t i = 0; i < n && at < sizeof path - 1; i++)
		if (data[i])
			path[at++] = (char)data[i];
	path[at] = '\0';
	rq = (struct est_request){ .path = path };
	publish_handle(&issuer, responder, &rq, 1800000000, &r);
	check(&r);
	wbuf_free(&r.body);
	path[strlen("/pki/ocsp/")] = '\0';
	ERR_clear_error();
	return 0;
}
