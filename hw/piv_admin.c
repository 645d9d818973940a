/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Administration: authentication with the management key 9B (SP 800-73-5 part 2, 3.2.4 and appendix A.1; single block
 * ECB of 3TDEA or AES).
 *
 * Mutual authentication is tried first: the host proves the key by decrypting the card's witness, the card by
 * encrypting the host's challenge, compared in constant time. A card that does not know the form gets the external one.
 * What the card is allowed to answer is bounded by the block length.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rand.h>

#include "hw/crypto.h"
#include "hw/piv_int.h"

#define TAG_TEMPLATE  0x7C
#define TAG_WITNESS   0x80
#define TAG_CHALLENGE 0x81
#define TAG_RESPONSE  0x82
#define BLOCK_MAX     16

/* --- the management key's cipher --- */

struct admin_io {
	enum piv_alg alg;
	struct span key;
	size_t block;
	bool unknown_form;	 /* the card refused the first step: it does not know this form of authentication */
	uint8_t ours[BLOCK_MAX]; /* challenge */
};

/* One block under the management key. */
static enum err
cipher(const struct admin_io *io, bool encrypt, const uint8_t *in, uint8_t *out)
{
	EVP_CIPHER *c = EVP_CIPHER_fetch(hw_crypto(), OBJ_nid2sn(piv_alg_nid(io->alg)), NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	bool good;

	good = c != NULL && ctx != NULL && (size_t)EVP_CIPHER_get_key_length(c) == io->key.n &&
	    EVP_CipherInit_ex2(ctx, c, io->key.p, NULL, encrypt, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_CipherUpdate(ctx, out, &n, in, (int)io->block) == 1 &&
	    (size_t)n == io->block;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
	return good ? E_OK : err_crypto(E_CRYPTO, "management key: cipher");
}

/* The element of the answer's template, which must be one block. */
static enum err
block_of(const struct piv_card *card, struct span answer, uint32_t tag, size_t block, struct span *out)
{
	struct span template;

	if (tlv_get(&answer, TAG_TEMPLATE, &template) != E_OK || tlv_find(template, tag, out) != E_OK ||
	    out->n != block)
		return err_set(E_PROTO, "%s: management key: malformed answer", card->name);
	return E_OK;
}

static enum err
send_template(struct piv_card *card, const struct admin_io *io, struct wbuf *w, bool le, struct wbuf *answer)
{
	struct apdu a = {
		.ins = INS_AUTH, .p1 = (uint8_t)io->alg, .p2 = PIV_KEY_9B, .data = wbuf_view(w), .le = le, .brief = true
	};

	wbuf_clear(answer);
	return w->bad ? err_set(E_NOMEM, "out of memory") : piv_send(card, &a, answer);
}

/* The first step: ask for a witness or a challenge. */
static enum err
first_step(struct piv_card *card, struct admin_io *io, uint32_t tag, struct wbuf *answer)
{
	WBUF_AUTO w = { 0 };
	size_t m;
	enum err e;

	io->unknown_form = false;
	wbuf_init(&w, 64);
	m = tlv_open(&w, TAG_TEMPLATE);
	tlv_put(&w, tag, NULL, 0);
	tlv_close(&w, m);
	if ((e = send_template(card, io, &w, true, answer)) != E_OK)
		return e;
	if (card->sw == SW_OK)
		return E_OK;
	io->unknown_form = true;
	return piv_refused(card, "management key");
}

/* After the second step. */
static enum err
outcome(const struct piv_card *card)
{
	if (card->sw == SW_OK)
		return E_OK;
	if (card->sw == SW_NOT_LOGGED_IN || card->sw == 0x6A80 || piv_sw_is_wrong_pin(card->sw))
		return err_set(E_AUTH, "%s: wrong management key (status %04X)", card->name, card->sw);
	return piv_refused(card, "management key");
}

static enum err
mutual_step(struct piv_card *card, void *arg)
{
	struct admin_io *io = arg;
	uint8_t plain[BLOCK_MAX], expected[BLOCK_MAX];
	struct span v;
	WBUF_AUTO w = { 0 };
	WBUF_AUTO answer = { 0 };
	size_t m;
	enum err e;

	wbuf_init(&w, 256);
	wbuf_init(&answer, 256);
	if ((e = first_step(card, io, TAG_WITNESS, &answer)) != E_OK ||
	    (e = block_of(card, wbuf_view(&answer), TAG_WITNESS, io->block, &v)) != E_OK ||
	    (e = cipher(io, false, v.p, plain)) != E_OK || (e = cipher(io, true, io->ours, expected)) != E_OK)
		return e;
	m = tlv_open(&w, TAG_TEMPLATE);
	tlv_put(&w, TAG_WITNESS, plain, io->block);
	tlv_put(&w, TAG_CHALLENGE, io->ours, io->block);
	tlv_put(&w, TAG_RESPONSE, NULL, 0);
	tlv_close(&w, m);
	explicit_bzero(plain, sizeof plain);
	if ((e = send_template(card, io, &w, true, &answer)) != E_OK || (e = outcome(card)) != E_OK ||
	    (e = block_of(card, wbuf_view(&answer), TAG_RESPONSE, io->block, &v)) != E_OK)
		return e;
	if (CRYPTO_memcmp(v.p, expected, io->block) != 0)
		return err_set(E_AUTH, "%s: the card does not have this management key", card->name);
	return E_OK;
}

static enum err
external_step(struct piv_card *card, void *arg)
{
	struct admin_io *io = arg;
	uint8_t secret[BLOCK_MAX];
	struct span v;
	WBUF_AUTO w = { 0 };
	WBUF_AUTO answer = { 0 };
	size_t m;
	enum err e;

	wbuf_init(&w, 256);
	wbuf_init(&answer, 256);
	if ((e = first_step(card, io, TAG_CHALLENGE, &answer)) != E_OK ||
	    (e = block_of(card, wbuf_view(&answer), TAG_CHALLENGE, io->block, &v)) != E_OK ||
	    (e = cipher(io, true, v.p, secret)) != E_OK)
		return e;
	m = tlv_open(&w, TAG_TEMPLATE);
	tlv_put(&w, TAG_RESPONSE, secret, io->block);
	tlv_close(&w, m);
	if ((e = send_template(card, io, &w, false, &answer)) != E_OK)
		return e;
	return outcome(card);
}

/* --- which algorithm --- */

/* By the key's length, in the order of trying. */
static const struct {
	enum piv_alg alg;
	size_t key, block;
} ciphers[] = {
	{ PIV_ALG_3DES, 24, 8 },
	{ PIV_ALG_AES192, 24, 16 },
	{ PIV_ALG_AES128, 16, 16 },
	{ PIV_ALG_AES256, 32, 16 },
};

static enum err
auth_with(struct piv_card *card, size_t row, struct span key, bool *unknown)
{
	struct admin_io io = { .alg = ciphers[row].alg, .key = key, .block = ciphers[row].block };
	enum err e;

	*unknown = false;
	if (hw_crypto() == NULL || RAND_bytes_ex(hw_crypto(), io.ours, sizeof io.ours, 0) != 1)
		return err_crypto(E_CRYPTO, "management key: no random numbers");
	e = piv_run(card, mutual_step, &io, false);
	if (io.unknown_form) {
		io.unknown_form = false;
		e = piv_run(card, external_step, &io, false);
		*unknown = io.unknown_form;
	}
	return e;
}

enum err
piv_admin_auth(struct piv_card *card, enum piv_alg alg, struct span key)
{
	bool unknown, any = false;
	struct piv_metadata meta;
	WBUF_AUTO answer = { 0 };
	enum err e = E_ARG;
	size_t i;

	wbuf_init(&answer, PIV_METADATA_MAX);
	/* Metadata name it where the card has them. */
	if (alg == PIV_ALG_NONE && (e = piv_metadata_get(card, PIV_KEY_9B, &answer, &meta)) == E_OK)
		alg = meta.alg;
	else if (alg == PIV_ALG_NONE && e != E_UNSUP && e != E_NOTFOUND && e != E_PROTO && e != E_SW)
		return e;
	for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		if (ciphers[i].key != key.n || (alg != PIV_ALG_NONE && ciphers[i].alg != alg))
			continue;
		any = card->stay = true;
		e = auth_with(card, i, key, &unknown);
		card->stay = e == E_OK;
		if (!unknown) /* the card knows the algorithm: its answer stands */
			return e;
	}
	if (!any)
		return err_set(E_AUTH, "%s: a management key of %zu bytes does not fit this card", card->name, key.n);
	return e;
}

void
piv_admin_end(struct piv_card *card)
{
	card->stay = false;
	if (card->gone || piv_begin(card) != E_OK)
		return; /* whoever was authenticated, is not any more, or the card is out */
	card->reset_at_end = true;
	piv_end(card);
}
