/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The enrolment protocols by name, and what all of them hand over. EST comes first: TLS with the card's key is PKI-AUTH
 * (FIPS 201-3, 6.2.3.1) by itself. CMP signed by the card's key carries it in the message. SCEP carries none: there it
 * is the client authentication of the TLS below, or a challenge that the issuer gave to somebody whom it knew.
 */
#include <string.h>

#include "base/text.h"
#include "derive/proto.h"

static const struct proto *const protos[] = { &proto_est, &proto_cmp, &proto_scep };

enum err
proto_find(const char *name, const struct proto **out)
{
	char safe[40];

	*out = &proto_est;
	if (name == NULL)
		return E_OK;
	for (size_t i = 0; i < sizeof protos / sizeof protos[0]; i++) {
		if (strcmp(protos[i]->name, name) == 0) {
			*out = protos[i];
			return E_OK;
		}
	}
	return err_set(E_CONF, "there is no protocol '%s'; protocol in dpiv.conf is est, cmp or scep",
	    text_safe(span_str(name), safe, sizeof safe));
}

void
proto_attrs_free(struct proto_attrs *a)
{
	sk_X509_EXTENSION_pop_free(a->exts, X509_EXTENSION_free);
	memset(a, 0, sizeof *a);
}

void
proto_issued_free(struct proto_issued *i)
{
	sk_X509_pop_free(i->certs, X509_free);
	keygen_free(&i->keys);
	memset(i, 0, sizeof *i);
}
