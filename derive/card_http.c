/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PKI-AUTH (FIPS 201-3, 6.2.3.1) where nothing is enrolled: the card's key signs the TLS handshake with the issuer, for
 * a binding code or a question about one's credentials. The PIN comes first, so that nobody types while a server waits.
 */
#include <string.h>

#include "derive/card_http.h"
#include "derive/cert.h"

enum err
card_http_open(const struct derive_req *r, struct card_http *c)
{
	WBUF_AUTO header = { 0 };
	struct http_conf conf = {
		.cafile = r->cafile, .tls = r->tls, .timeout = r->timeout, .stop = r->stop, .stop_arg = r->ui_arg
	};
	enum err e;

	memset(c, 0, sizeof *c);
	if (r->step != NULL)
		r->step(r->ui_arg, "looking at the PIV card");
	e = r->cafile != NULL ? cert_read_file(r->cafile, &c->anchors) : E_OK;
	if (e == E_OK)
		e = card_open(r->from, r->ask, r->ask_arg, &c->card);
	if (e == E_OK)
		e = token_login(c->card.token);
	if (e == E_OK)
		e = token_pkey(c->card.token, c->card.id, c->card.id_len, &c->key);
	if (e == E_OK)
		e = card_chain(c->card.cert, c->anchors, &c->chain);
	if (e == E_OK)
		e = card_chuid_header(&c->card, &header);
	conf.header = header.n > 1 ? (const char *)header.p : NULL;
	conf.cert = c->card.cert;
	conf.key = c->key;
	conf.chain = c->chain;
	if (e == E_OK && r->step != NULL)
		r->step(r->ui_arg, "authenticating to the issuer with the card");
	return e == E_OK ? http_open(&conf, &c->http) : e;
}

void
card_http_close(struct card_http *c)
{
	http_close(&c->http);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	sk_X509_pop_free(c->anchors, X509_free);
	card_close(&c->card);
}
