/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public side of the issuer (publish.h). The files are those that EST's listener has below /pki/; OCSP is carried
 * as RFC 6960 appendix A says, and an answer to a GET without a nonce may be kept by caches for a minute (RFC
 * 5019, 6.2).
 */
#include <string.h>

#include "derive/issuer/est_int.h"
#include "derive/issuer/publish.h"
#include "derive/issuer/scep.h"

#define FILE_CACHE 300 /* seconds that a cache may keep a file */
#define ANSWER_MAX 65536

/* The path of base_url: certificates say that everything lies below it. */
static const char *
below_base(const struct issuer *i, const char *path)
{
	const char *host = strstr(i->config.base_url, "://");
	const char *base = host ? strchr(&host[3], '/') : NULL;
	size_t n = base ? strlen(base) : 0;

	while (n > 0 && base[n - 1] == '/')
		n--;
	return (n == 0 || strncmp(path, base, n) == 0) && path[n] == '/' ? &path[n + 1] : NULL;
}

static void
complain(struct est_reply *out, int status, const char *text)
{
	wbuf_clear(&out->body);
	wbuf_span(&out->body, span_str("dpiv-issuer: "));
	wbuf_span(&out->body, span_str(text));
	wbuf_span(&out->body, span_str("\n"));
	out->status = status;
	out->type = "text/plain; charset=utf-8";
	out->max_age = 0;
}

static void
answer(
    struct issuer *i, struct ocsp *o, const struct est_request *rq, struct span der, time_t now, struct est_reply *out)
{
	struct ocsp_asked asked;

	ocsp_answer(o, i->db, der, now, &asked, &out->body);
	out->status = 200;
	out->type = "application/ocsp-response";
	out->max_age = rq->post || asked.nonce || asked.certs == 0 ? 0 : OCSP_CACHE;
	if (out->body.bad || out->body.n == 0)
		complain(out, 500, "out of memory");
}

/* rest: what follows ocsp in the path. */
static void
op_ocsp(
    struct issuer *i, struct ocsp *o, const struct est_request *rq, const char *rest, time_t now, struct est_reply *out)
{
	WBUF_AUTO der = { 0 };

	wbuf_init(&der, OCSP_BODY_MAX);
	if (o == NULL)
		complain(out, 404, "there is no OCSP responder here");
	else if (rq->body.n > OCSP_BODY_MAX) /* the door lets more in, for SCEP */
		complain(out, 413, "the request is too large");
	else if (rq->post && rest[0] == '\0' && !est_media_is(rq->media_type, "application/ocsp-request"))
		complain(out, 415, "OCSP is asked with application/ocsp-request");
	else if (rq->post && rest[0] == '\0')
		answer(i, o, rq, rq->body, now, out);
	else if (!rq->post && rest[0] == '/' && ocsp_get_decode(&rest[1], &der))
		answer(i, o, rq, wbuf_view(&der), now, out);
	else
		complain(out, 400, "OCSP is asked with POST, or with GET and a request in base64 behind ocsp/");
}

static void
op_file(struct issuer *i, const struct est_request *rq, const char *path, time_t now, struct est_reply *out)
{
	const struct est_request file = { .path = path, .binding = "", .from = rq->from };

	est_handle(i, &file, now, out);
	if (out->status == 200)
		out->max_age = FILE_CACHE;
}

void
publish_handle(struct issuer *i, struct ocsp *o, const struct est_request *rq, time_t now, struct est_reply *out)
{
	static const char *const files[] = { "/pki/ca.crl", "/pki/root.crl", "/pki/ca.p7c", "/pki/root.p7c" };
	const char *name = below_base(i, rq->path);

	if (scep_is(rq->path)) {
		est_handle(i, rq, now, out);
		return;
	}
	memset(out, 0, sizeof *out);
	if (name && !rq->post)
		for (size_t k = 0; k < sizeof files / sizeof files[0]; k++)
			if (strcmp(&files[k][sizeof "/pki/" - 1], name) == 0) {
				op_file(i, rq, files[k], now, out);
				return;
			}
	wbuf_init(&out->body, ANSWER_MAX);
	if (name && strncmp(name, "ocsp", 4) == 0 && (name[4] == '\0' || name[4] == '/'))
		op_ocsp(i, o, rq, &name[4], now, out);
	else
		complain(out, 404, "no such path; there are ca.crl, root.crl, ca.p7c, root.p7c, ocsp and /scep");
}
