/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_SMIME_H
#define DPIV_CLI_SMIME_H

#include <stdbool.h>
#include <time.h>
#include <openssl/cms.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/mime.h"
#include "derive/token.h"

/* S/MIME (RFC 8551): CMS objects in and around MIME. All cryptography is libcrypto's CMS_*. */

/* The CMS object of a message: of a mail, or bare as DER, PEM or base64. */
struct smime_part {
	CMS_ContentInfo *cms;
	bool detached;	     /* multipart/signed: the content is beside the signature */
	struct span content; /* detached: the signed entity, as it stands in the message */
	bool partial;	     /* something in the message stands outside this part */
};
/* The first in the message; E_NOTFOUND when there is none, E_PROTO when it is malformed. The spans point into in. */
enum err smime_find(struct span in, struct smime_part *p) MUST_CHECK;
/* Is a part of this type a CMS object? */
bool smime_is_type(const struct mime_type *t);
void smime_part_free(struct smime_part *p);
bool smime_is_signed(const struct smime_part *p);
bool smime_is_encrypted(const struct smime_part *p); /* EnvelopedData or AuthEnvelopedData */

/* --- signing (smime_sign.c) --- */
struct smime_sign {
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* goes along, without cert; may be NULL */
	X509 *encrypt; /* the same person's encryption certificate: SMIMEEncryptionKeyPreference; may be NULL */
	bool opaque;   /* content inside */
};
/* SHA-256, or SHA-384 for P-384 (SP 800-78): its name in micalg. */
const EVP_MD *smime_digest(EVP_PKEY *key, const char **micalg);
enum err smime_sign(const struct smime_sign *s, struct span content, struct wbuf *der) MUST_CHECK;

/* --- verifying (smime_verify.c) --- */
struct smime_signer {
	X509 *cert; /* owned by the part */
	time_t when;
	bool has_time;
	enum err chain; /* E_OK, E_EXPIRED, E_REVOKED, E_POLICY (everything else) */
	char why[256];	/* chain: what is wrong */
	char anchor[128];
};
struct smime_report {
	struct smime_signer *signers;
	int n;
};
/* E_CRYPTO: a signature is wrong or its signer's certificate is missing; content is empty then. E_OK: all signatures
 * are right; what their certificates are worth stands in the report. store NULL: certificates are not looked at. */
enum err
smime_verify(const struct smime_part *p, X509_STORE *store, struct wbuf *content, struct smime_report *r) MUST_CHECK;
void smime_report_free(struct smime_report *r);

/* --- envelopes (smime_envelope.c) --- */
enum smime_cipher { SMIME_AES256_CBC, SMIME_AES128_CBC, SMIME_AES256_GCM };
/* RSA: PKCS#1 v1.5 key transport; EC: ephemeral-static ECDH, X9.63 KDF with SHA-256, or SHA-384 for P-384. */
enum err smime_encrypt(STACK_OF(X509) * to, enum smime_cipher cipher, struct span content, struct wbuf *der) MUST_CHECK;
/* The DER of a CMS message, appended. E_PROTO when it does not fit der->max. */
enum err smime_der(CMS_ContentInfo *cms, struct wbuf *der) MUST_CHECK;

/* Whom an envelope is for. */
int smime_recipients(CMS_ContentInfo *cms);
/* Is the certificate that of recipient i? */
bool smime_recipient_is(CMS_ContentInfo *cms, int i, X509 *cert);
/* "serial 01AB of CN=Issuer" or "key identifier 0123…" */
void smime_recipient_name(CMS_ContentInfo *cms, int i, char *out, size_t cap);
enum err smime_decrypt(CMS_ContentInfo *cms, EVP_PKEY *key, X509 *cert, struct wbuf *content) MUST_CHECK;

/* --- capabilities (smime_caps.c) --- */
struct smime_caps {
	bool known, aes256_cbc, aes128_cbc, prefers_gcm; /* prefers_gcm: AES-256-GCM stands before every CBC */
};
/* Of a signer of the part (its signature has to be verified before), or of a certificate (RFC 4262). */
void smime_caps_signer(const struct smime_part *p, int i, struct smime_caps *c);
void smime_caps_cert(X509 *cert, struct smime_caps *c);
/* The list that dpiv's signatures carry. */
STACK_OF(X509_ALGOR) * smime_caps_own(void);

#endif
