/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_MINIPKI_H
#define DPIV_TESTS_MINIPKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"

/*
 * Certificates of any shape for tests, right or wrong, by libcrypto's configuration syntax. Shares no code with the
 * issuer. Everything aborts when libcrypto fails; times are seconds from now.
 */
EVP_PKEY *minipki_key(const char *alg); /* "P-256", "P-384", "P-521", "RSA-2048" ..., "ED25519" */

struct minipki_cert {
	const char *cn;
	EVP_PKEY *key;
	X509 *issuer; /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	long from, to;
	const char *ext; /* lines of a section, further sections behind it; NULL: none */
};
X509 *minipki_cert(const struct minipki_cert *c);
/* CA:TRUE, keyCertSign and cRLSign, SKI, AKI, and these policies (NULL: none). */
X509 *
minipki_ca(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long from, long to, const char *policies);
X509_CRL *minipki_crl(X509 *ca, EVP_PKEY *key, long from, long to, X509 *revoked);

/* DER of a request, signed by signer (NULL: key) with this digest; challenge may be NULL; ext as above, or NULL. */
void
minipki_csr(EVP_PKEY *key, EVP_PKEY *signer, const char *md, const char *challenge, const char *ext, struct wbuf *out);

void minipki_write_certs(const char *path, X509 *a, X509 *b);
void minipki_write_crls(const char *path, X509_CRL *a, X509_CRL *b);

/* Parts of extension texts. */
#define MINIPKI_FASCN	    "D0439458210C2C19A0846D83685A1082108CE73984108CA3FC"
#define MINIPKI_UUID	    "5a3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b10"
#define MINIPKI_KU_AUTH	    "keyUsage=critical,digitalSignature\n"
#define MINIPKI_EKU_AUTH    "extendedKeyUsage=clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4\n"
#define MINIPKI_POLICY(oid) "certificatePolicies=" oid "\n"
#define MINIPKI_PIV	    "2.16.840.1.101.3.2.1.3.13"
#define MINIPKI_AKI	    "authorityKeyIdentifier=keyid:always\nsubjectKeyIdentifier=hash\n"
#define MINIPKI_SAN                                                                                                    \
	"subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:" MINIPKI_FASCN                   \
	"\nURI.1=urn:uuid:" MINIPKI_UUID "\notherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test\n"
/* A good PIV Authentication certificate's extensions. */
#define MINIPKI_PIV_AUTH                                                                                               \
	MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV)                                                   \
	MINIPKI_AKI MINIPKI_SAN

#endif
