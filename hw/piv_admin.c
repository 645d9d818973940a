/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Administration: authentication with the management key 9B (SP 800-73-5 part 2, 3.2.4 and appendix A.1; single block
 * ECB of 3TDEA or AES) and GENERATE ASYMMETRIC KEY PAIR (3.3.1).
 *
 * Mutual authentication is tried first: the host proves the key by decrypting the card's witness, the card by
 * encrypting the host's challenge, compared in constant time. A card that does not know the form gets the external one.
 * What the card is allowed to answer is bounded by the block length and, for a new key, by libcrypto's own checks.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

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
	WBUF_AUTO w;
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
	WBUF_AUTO w;
	WBUF_AUTO answer;
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
	WBUF_AUTO w;
	WBUF_AUTO answer;
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

/* YubiKey's metadata name it; other cards do not know the command. */
static enum err
metadata_step(struct piv_card *card, void *arg)
{
	struct apdu a = { .ins = INS_METADATA, .p2 = PIV_KEY_9B, .le = true, .brief = true };
	enum piv_alg *alg = arg;
	struct span v;
	WBUF_AUTO answer;
	enum err e;

	wbuf_init(&answer, 1024);
	if ((e = piv_send(card, &a, &answer)) != E_OK)
		return e;
	if (card->sw == SW_OK && tlv_find(wbuf_view(&answer), 0x01, &v) == E_OK && v.n == 1)
		*alg = (enum piv_alg)v.p[0];
	return E_OK;
}

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
	enum err e = E_ARG;
	size_t i;

	if (alg == PIV_ALG_NONE && (e = piv_run(card, metadata_step, &alg, false)) != E_OK)
		return e;
	for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		if (ciphers[i].key != key.n || (alg != PIV_ALG_NONE && ciphers[i].alg != alg))
			continue;
		any = true;
		e = auth_with(card, i, key, &unknown);
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
	if (card->gone || piv_begin(card) != E_OK)
		return; /* whoever was authenticated, is not any more, or the card is out */
	card->reset_at_end = true;
	piv_end(card);
}

/* --- new keys --- */

struct generate_io {
	uint8_t ref;
	enum piv_alg alg;
	struct wbuf *spki;
};

static bool
rsa_params(OSSL_PARAM_BLD *b, enum piv_alg alg, struct span key, BIGNUM **n, BIGNUM **e)
{
	struct span mod, exp;

	if (tlv_find(key, 0x81, &mod) != E_OK || tlv_find(key, 0x82, &exp) != E_OK || exp.n > 32 || mod.n > 1024)
		return false;
	*n = BN_bin2bn(mod.p, (int)mod.n, NULL);
	*e = BN_bin2bn(exp.p, (int)exp.n, NULL);
	return *n != NULL && *e != NULL && (size_t)BN_num_bits(*n) == 8 * piv_alg_len(alg) && BN_is_odd(*n) &&
	    BN_is_odd(*e) && !BN_is_one(*e) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, *n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, *e) == 1;
}

static bool
ec_params(OSSL_PARAM_BLD *b, enum piv_alg alg, struct span key)
{
	struct span point;

	return tlv_find(key, 0x86, &point) == E_OK && point.n == 1 + 2 * piv_alg_len(alg) && point.p[0] == 0x04 &&
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, OBJ_nid2sn(piv_alg_nid(alg)), 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) == 1;
}

static EVP_PKEY *
make_key(const char *type, OSSL_PARAM_BLD *b)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(hw_crypto(), type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* The contents of 7F49 as a key; NULL when they are none of this algorithm. */
static EVP_PKEY *
public_key(enum piv_alg alg, struct span body)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;
	struct span raw;

	if (b == NULL)
		return NULL;
	if (piv_alg_is_rsa(alg) && rsa_params(b, alg, body, &n, &e))
		key = make_key("RSA", b);
	else if (piv_alg_is_ec(alg) && ec_params(b, alg, body))
		key = make_key("EC", b);
	else if (!piv_alg_is_rsa(alg) && !piv_alg_is_ec(alg) && tlv_find(body, 0x86, &raw) == E_OK)
		key = EVP_PKEY_new_raw_public_key_ex(hw_crypto(), OBJ_nid2sn(piv_alg_nid(alg)), NULL, raw.p, raw.n);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	BN_free(e);
	return key;
}

static enum err
put_spki(const struct piv_card *card, enum piv_alg alg, struct span body, struct wbuf *spki)
{
	unsigned char *der = NULL;
	EVP_PKEY *key;
	int n;

	if (hw_crypto() == NULL)
		return err_set(E_NOMEM, "out of memory");
	key = public_key(alg, body);
	n = key != NULL ? i2d_PUBKEY(key, &der) : -1;
	EVP_PKEY_free(key);
	if (n <= 0)
		return err_crypto(E_PROTO, "%s: the card's new public key is malformed", card->name);
	wbuf_put(spki, der, (size_t)n);
	OPENSSL_free(der);
	return spki->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

static enum err
generate_step(struct piv_card *card, void *arg)
{
	struct generate_io *io = arg;
	/* Never worth a second try: that makes another key. */
	struct apdu a = { .ins = INS_GENERATE, .p2 = io->ref, .le = true, .brief = true };
	struct span answer, body;
	WBUF_AUTO w;
	WBUF_AUTO out;
	size_t m;
	enum err e;

	wbuf_init(&w, 64);
	wbuf_init(&out, 2048);
	m = tlv_open(&w, 0xAC);
	tlv_put_u8(&w, 0x80, (uint8_t)io->alg);
	tlv_close(&w, m);
	a.data = wbuf_view(&w);
	if ((e = piv_send(card, &a, &out)) != E_OK)
		return e;
	if (card->sw == SW_NOT_LOGGED_IN)
		return err_set(E_AUTH, "%s: making a key needs the management key", card->name);
	if (card->sw != SW_OK)
		return piv_refused(card, "making a key");
	answer = wbuf_view(&out);
	if (tlv_get(&answer, 0x7F49, &body) != E_OK)
		return err_set(E_PROTO, "%s: the card's new public key is malformed", card->name);
	return put_spki(card, io->alg, body, io->spki);
}

enum err
piv_key_generate(struct piv_card *card, uint8_t ref, enum piv_alg alg, struct wbuf *spki)
{
	struct generate_io io = { ref, alg, spki };

	if (piv_key_find(ref) == NULL && ref != PIV_KEY_F9)
		return err_set(E_ARG, "%s: no key reference %02X", card->name, ref);
	if (piv_alg_len(alg) == 0)
		return err_set(E_ARG, "%s: no key can be made of algorithm %02X", card->name, (unsigned)alg);
	return piv_run(card, generate_step, &io, false);
}
