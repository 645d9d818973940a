/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_LETTER_H
#define DPIV_ISSUER_LETTER_H

#include <openssl/x509.h>

#include "derive/issuer/outbox.h"

struct letter_from {
	const char *agency, *address;
	X509 *cert;    /* NULL: unsigned */
	EVP_PKEY *key; /* of cert */
	X509 *ca;      /* goes along with a signature */
};
/* A notice as a mail message (RFC 5322, CR LF), signed by S/MIME (RFC 8551, multipart/signed). E_ARG: a kind that there
 * is not, or an address that cannot be one. */
enum err letter_write(const struct letter_from *from, const struct outbox_mail *m, struct wbuf *out) MUST_CHECK;

#endif
