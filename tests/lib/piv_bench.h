/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_PIV_BENCH_H
#define DPIV_TESTS_PIV_BENCH_H

#include <openssl/evp.h>

#include "tests/lib/test.h"
#include "tests/lib/vcard_reader.h"

#include "hw/piv_int.h"

/* What the tests of the card edge share: a virtual card in a reader in this process, opened, and keys that are used and
 * whose results are checked with libcrypto. Failures that no test expects end the test. */
#define PIN   span_str("123456")
#define PUK   span_str("12345678")
#define ADMIN span_of("\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10", 24)

struct bench {
	struct vcard *card;
	struct vreaders *v;
	struct readers r;
	struct piv_card *piv;
};

struct bench bench_new(const struct vcard_spec *spec);
void bench_free(struct bench *b);
/* The commands since the last call. */
unsigned spent(struct bench *b);
/* The key of a certificate on the card; free it. */
EVP_PKEY *card_key(struct bench *b, uint8_t ref, enum piv_alg *alg);
/* Log in, the PIN kept; costs one command. */
void login(struct bench *b);
/* A signature, verified; a decryption or key agreement, compared. What piv_key_use() says. */
enum err sign_with(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key, struct span pin);
enum err decrypt_with(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key);
/* The same, with the key from the certificate on the card; spent() then counts the signature alone. */
enum err sign(struct bench *b, uint8_t ref, struct span pin);

#endif
