/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of a serverkeygen reply (RFC 7030, 4.4.2; RFC 8951, 3.3): a wrapped key (smime-type=server-generated-key)
 * and its certificate (certs-only), in either order; a recovery has such a pair for each key. A key that is not wrapped
 * (application/pkcs8) is refused whatever else is there (SP 800-157r1, 2.2.1: over an authenticated protected channel;
 * TLS alone would leave it in the memory of whatever ends the TLS).
 */
#include <stdlib.h>
#include <string.h>

#include "derive/est_reply.h"
#include "derive/keygen_reply.h"
#include "derive/keywrap.h"
#include "derive/multipart.h"

void
keygen_free(struct keygen_reply **rp)
{
	struct keygen_reply *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (size_t i = 0; i < KEYGEN_MAX; i++) {
		wbuf_free(&r->item[i].wrapped);
		sk_X509_pop_free(r->item[i].certs, X509_free);
	}
	free(r);
}

/* The item that lacks this kind of part: the one that is being put together. */
static struct keygen_item *
item_open(struct keygen_reply *r)
{
	return r->n < KEYGEN_MAX ? &r->item[r->n] : NULL;
}

static enum err
part_take(const struct multipart_part *p, struct keygen_reply *r)
{
	struct keygen_item *it = item_open(r);
	bool mime = strcmp(p->type, "application/pkcs7-mime") == 0;
	bool key = mime && strcmp(p->smime_type, "server-generated-key") == 0;
	enum err e;

	if (strcmp(p->type, "application/pkcs8") == 0)
		return err_set(E_POLICY,
		    "a private key came in the clear, though an encrypted one was asked for; it was thrown away");
	if (!mime)
		return err_set(E_PROTO, "a part of the reply is neither a key nor a certificate (%s)", p->type);
	if (it == NULL || (key ? it->wrapped.n > 0 : it->certs != NULL))
		return err_set(E_PROTO, "keys and certificates of the reply do not go together");
	if (!key)
		e = est_read_certs(p->body, &it->certs);
	else {
		wbuf_init(&it->wrapped, KEYWRAP_MAX);
		e = est_read_der(p->body, &it->wrapped);
	}
	if (e == E_OK && it->wrapped.n > 0 && it->certs != NULL)
		r->n++;
	return e;
}

enum err
keygen_read(const struct http_reply *r, struct keygen_reply **out)
{
	struct multipart_part *parts = calloc(MULTIPART_MAX, sizeof *parts);
	struct keygen_reply *k = calloc(1, sizeof *k);
	size_t n = 0;
	enum err e = E_OK;

	*out = NULL;
	if (parts == NULL || k == NULL)
		e = err_set(E_NOMEM, "out of memory");
	else if (strcmp(r->type, "application/pkcs8") == 0)
		e = err_set(E_POLICY, "a private key came in the clear; it was thrown away");
	else if (strcmp(r->type, "multipart/mixed") != 0)
		e = err_set(E_PROTO, "the reply is not a key and a certificate (multipart/mixed)");
	else
		e = multipart_read(wbuf_view(&r->body), r->boundary, parts, MULTIPART_MAX, &n);
	for (size_t i = 0; e == E_OK && i < n; i++)
		e = part_take(&parts[i], k);
	if (e == E_OK && (k->n == 0 || n != 2 * k->n))
		e = err_set(E_PROTO, "keys and certificates of the reply do not go together");
	free(parts);
	if (e != E_OK)
		keygen_free(&k);
	*out = k;
	return e;
}
