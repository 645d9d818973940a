/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_PAD_H
#define DPIV_HW_PAD_H

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * RSA padding in the host: a PIV card gives the raw operation only (RFC 8017). len is the modulus length in bytes, mod
 * the modulus itself. Digests are named as in libcrypto ("SHA256"). out is initialised by the caller; results are
 * appended.
 */

/* EMSA-PKCS1-v1_5 block type 1 around these bytes as they are (CKM_RSA_PKCS: a DigestInfo, or anything else): E_ARG
 * when they do not leave room for eight bytes FF. */
enum err pad_pkcs1(struct span data, size_t len, struct wbuf *out) MUST_CHECK;
/* The same around DigestInfo { digest algorithm, digest }. E_UNSUP for a digest without a row, E_ARG for its length. */
enum err pad_pkcs1_digest(const char *name, struct span digest, size_t len, struct wbuf *out) MUST_CHECK;
/* The DigestInfo alone. */
enum err pad_digest_info(const char *name, struct span digest, struct wbuf *out) MUST_CHECK;
/* EMSA-PSS with a fresh salt of salt_len bytes; mgf NULL: as name. bits: of the modulus (2048). E_ARG when it does not
 * fit. */
enum err pad_pss(
    const char *name, const char *mgf, size_t salt_len, struct span digest, size_t bits, struct wbuf *out) MUST_CHECK;
/* No padding (CKM_RSA_X_509): zeros on the left. E_ARG when in is longer than the modulus or not below it. */
enum err pad_raw(struct span in, struct span mod, struct wbuf *out) MUST_CHECK;

/*
 * Removing PKCS#1 v1.5 type 2 padding from what the card made of ciphertext, with implicit rejection: a block without
 * proper padding yields bytes of a plausible length that depend on secret and ciphertext alone, and E_OK. No code,
 * sentence, log line or branch depends on which of the two it was. secret: 32 bytes or more, lasting as long as the
 * same answers are wanted, unknown to whoever sends ciphertexts. E_ARG: em is not one block (public).
 */
enum err pad_pkcs1_unpad(struct span em, struct span secret, struct span ciphertext, struct wbuf *out) MUST_CHECK;
/* Removing OAEP padding: mgf NULL: as name; label may be empty. E_CRYPTO, with one sentence, whatever was wrong. */
enum err
pad_oaep_unpad(struct span em, const char *name, const char *mgf, struct span label, struct wbuf *out) MUST_CHECK;

#endif
