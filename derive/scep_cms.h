/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_SCEP_CMS_H
#define DPIV_DERIVE_SCEP_CMS_H

#include <openssl/cms.h>

#include "derive/scep_msg.h"

/* What both sides of SCEP read of a message, before either judges it. Nothing here sets a sentence. */
#define SCEP_MESSAGE_MAX (512 * 1024)

/* One ContentInfo of this type and nothing behind it; or NULL. */
CMS_ContentInfo *scep_parse(struct span der, int nid);
/* The one signer; NULL: there is none, or more. */
CMS_SignerInfo *scep_signer(CMS_ContentInfo *cms);
/* NID of the signer's digest, NID_undef for an unknown one. */
int scep_digest(CMS_SignerInfo *si);
/* NID of an envelope's cipher. */
int scep_cipher(struct span der);
/* A signed attribute that is there once, with one value of this type; or NULL. Borrowed. */
const ASN1_STRING *scep_attr(CMS_SignerInfo *si, const char *oid, int type);
bool scep_string_is(const ASN1_STRING *s, const void *p, size_t n);
/* Is it this PrintableString? */
bool scep_attr_is(CMS_SignerInfo *si, const char *oid, const char *text);
/* Has one of these certificates, and none that came with it, made the signature? The content, which may be absent, is
 * appended. */
bool scep_verify(CMS_ContentInfo *cms, STACK_OF(X509) * signers, struct wbuf *content);
/* The content of an envelope. E_PROTO: it is none, or not for this party; E_CRYPTO: the key did not work, and
 * libcrypto's queue says more. */
enum err scep_open(struct span der, const struct scep_party *who, struct wbuf *out) MUST_CHECK;

#endif
