/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_PIV_SECOBJ_H
#define DPIV_HW_PIV_SECOBJ_H

#include <openssl/x509.h>

#include "hw/piv.h"

/* The Security Object, SP 800-73-5 part 1, 3.1.7, and the other things that a content signer signs: pure functions over
 * contents as piv_object_get() gives them. */
struct piv_secobj {
	struct span map; /* BA: number and container, three bytes each */
	struct span cms; /* BB */
};
enum err piv_secobj_parse(struct span contents, struct piv_secobj *out) MUST_CHECK;
/* Does it have a hash of the object with this tag, and is it the hash of these contents? The signature is not looked
 * at. */
enum err piv_secobj_check(struct span contents, uint32_t tag, struct span value, bool *covered, bool *same) MUST_CHECK;
/* The object that has the hash of these contents (of none: value empty), and the others' as they were, signed anew.
 * contents empty: the first one. The signer's certificate is in it when embed says so, in the first one, and where it
 * was: a derived token has it nowhere else (SP 800-157r1, B.1.2). */
struct piv_sealer {
	X509 *cert;
	EVP_PKEY *key;
	bool embed;
};
enum err piv_secobj_update(
    struct span contents, uint32_t tag, struct span value, const struct piv_sealer *by, struct wbuf *out) MUST_CHECK;

/* The CHUID with its signature in place of the one, or the empty place for one, that it has. */
enum err piv_chuid_seal(struct span contents, const struct piv_sealer *by, struct wbuf *out) MUST_CHECK;
/* CMS SignedData over the content; type: its object identifier. */
enum err piv_seal(
    const struct piv_sealer *by, const char *type, struct span content, bool detached, struct wbuf *out) MUST_CHECK;

#endif
