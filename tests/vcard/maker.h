/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_VCARD_MAKER_H
#define DPIV_VCARD_MAKER_H

#include <openssl/x509.h>

#include "tests/vcard/model.h"

/* A card being personalised: what the files that issue, sign and write share. */
struct vc_maker {
	const struct vcard_spec *spec;
	const struct vc_alg *alg;
	const char *name, *email, *upn, *base_url, *policy;
	X509 *root, *ca, *signer; /* root: only with the throw-away CA */
	EVP_PKEY *ca_key, *signer_key;
	ASN1_TIME *not_before, *not_after;
	BIGNUM *serial; /* of the next certificate; NULL: random ones */
	uint8_t uuid[16];
	char uuid_text[37];
	uint8_t fascn[25];
	struct vcard *vc;
	char *why;
};

/* identity.c: UUID and FASC-N. */
bool vc_uuid_set(struct vc_maker *, const char *text); /* NULL: random version 4 */
bool vc_fascn_set(struct vc_maker *, const char *hex); /* NULL: agency 0032, random credential */
/* fields: agency system credential series issue person category organisation association */
void vc_fascn_encode(const uint64_t fields[9], uint8_t out[25]);

/* certify.c: the Federal PKI profiles. */
enum vc_profile {
	PROFILE_ROOT,
	PROFILE_CA,
	PROFILE_AUTH,
	PROFILE_DERIVED,
	PROFILE_SIGN,
	PROFILE_KM,
	PROFILE_CARDAUTH,
	PROFILE_CONTENT,
	PROFILE_ATTEST
};
/* A certificate for key by the CA, or by itself. NULL: maker->why is set. */
X509 *vc_certify(struct vc_maker *, enum vc_profile, EVP_PKEY *key);
X509 *vc_certify_self(struct vc_maker *, enum vc_profile, EVP_PKEY *key);
bool vc_ca_open(struct vc_maker *); /* the given CA, or a throw-away one */

/* seal.c: the two signed objects. */
bool vc_chuid(struct vc_maker *);
bool vc_security_object(struct vc_maker *);

/* fill.c: the unsigned objects. */
bool vc_fill(struct vc_maker *);
bool vc_certificate_object(struct vc_maker *, uint32_t tag, X509 *, bool gzip);
bool vc_object_put(struct vcard *, uint32_t tag, const struct vc_out *content); /* 53 L content FE 00 */

#endif
