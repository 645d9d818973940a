/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private keys: GENERAL AUTHENTICATE, SP 800-73-5 part 2, 3.2.4 and appendix A; algorithms by SP 800-78-5.
 *
 * The card gives raw results: RSA of a padded block, ECDSA as a DER SEQUENCE, ECDH as the X coordinate. Here they get
 * the form that Cryptoki wants: fixed length, leading zeros restored where a card trims them. A peer's point is checked
 * to be on the curve before the card sees it (invalid curve attacks). For PIN-always keys VERIFY is the command
 * immediately before, in the same transaction.
 */
#include <openssl/ec.h>
#include <openssl/err.h>

#include "hw/crypto.h"
#include "hw/piv_int.h"

#define TAG_TEMPLATE  0x7C
#define TAG_CHALLENGE 0x81
#define TAG_RESPONSE  0x82
#define TAG_EXPONENT  0x85

/* --- what goes to the card --- */

static enum err
check_point(const struct piv_card *card, enum piv_alg alg, struct span point)
{
	EC_GROUP *group;
	EC_POINT *p;
	bool good;

	ERR_set_mark();
	group = EC_GROUP_new_by_curve_name_ex(hw_crypto(), NULL, piv_alg_nid(alg));
	p = group != NULL ? EC_POINT_new(group) : NULL;
	good = p != NULL && point.n == 1 + 2 * piv_alg_len(alg) && point.p[0] == 0x04 &&
	    EC_POINT_oct2point(group, p, point.p, point.n, NULL) == 1 && EC_POINT_is_on_curve(group, p, NULL) == 1 &&
	    EC_POINT_is_at_infinity(group, p) == 0;

	EC_POINT_free(p);
	EC_GROUP_free(group);
	ERR_pop_to_mark();
	return good ? E_OK
		    : err_set(E_ARG, "%s: the other side's public key is no point on the key's curve", card->name);
}

/* SP 800-73-5 part 2, 3.2.4: the leftmost bytes of a long digest; a short one is padded on the left. */
static void
put_digest(struct wbuf *w, size_t field, struct span digest)
{
	struct span left;
	size_t m = tlv_open(w, TAG_CHALLENGE);

	if (digest.n < field)
		wbuf_fill(w, 0, field - digest.n);
	if (span_sub(digest, 0, digest.n < field ? digest.n : field, &left))
		wbuf_span(w, left);
	tlv_close(w, m);
}

static enum err
put_input(const struct piv_card *card, enum piv_alg alg, enum piv_op op, struct span in, struct wbuf *w)
{
	size_t len = piv_alg_len(alg);

	if (piv_alg_is_rsa(alg)) {
		if (op == PIV_OP_DERIVE || in.n != len)
			return err_set(E_ARG, "%s: RSA block of %zu bytes instead of %zu", card->name, in.n, len);
		tlv_put(w, TAG_CHALLENGE, in.p, in.n);
		return E_OK;
	}
	if (piv_alg_is_ec(alg) && op == PIV_OP_SIGN && in.n > 0) {
		put_digest(w, len, in);
		return E_OK;
	}
	if (alg == PIV_ALG_ED25519 && op == PIV_OP_SIGN && in.n <= PIV_EDDSA_MAX) {
		tlv_put(w, TAG_CHALLENGE, in.p, in.n);
		return E_OK;
	}
	if (op == PIV_OP_DERIVE && (piv_alg_is_ec(alg) || (alg == PIV_ALG_X25519 && in.n == len))) {
		tlv_put(w, TAG_EXPONENT, in.p, in.n);
		return piv_alg_is_ec(alg) ? check_point(card, alg, in) : E_OK;
	}
	return err_set(E_UNSUP, "%s: this key's algorithm cannot do that", card->name);
}

/* --- what comes back --- */

/* A number in exactly n bytes. So many leading zeros may be missing; more than that no honest number has. */
#define TRIMMED_MAX 8

static bool
put_fixed(struct wbuf *out, struct span v, size_t n)
{
	while (v.n > n && v.p[0] == 0)
		if (!span_skip(&v, 1))
			return false;
	if (v.n > n || n - v.n > TRIMMED_MAX)
		return false;
	wbuf_fill(out, 0, n - v.n);
	wbuf_span(out, v);
	return true;
}

/* The r or s of an ECDSA-Sig-Value: positive, not zero, at most n bytes. */
static bool
put_integer(struct wbuf *out, struct span v, size_t n)
{
	if (v.n == 0 || (v.p[0] & 0x80))
		return false;
	while (v.n > 0 && v.p[0] == 0)
		if (!span_skip(&v, 1))
			return false;
	return put_fixed(out, v, n);
}

static bool
put_signature(struct wbuf *out, struct span der, size_t n)
{
	struct span seq, r, s;

	return tlv_get(&der, 0x30, &seq) == E_OK && tlv_end(&der) == E_OK && tlv_get(&seq, 0x02, &r) == E_OK &&
	    tlv_get(&seq, 0x02, &s) == E_OK && tlv_end(&seq) == E_OK && put_integer(out, r, n) &&
	    put_integer(out, s, n);
}

static enum err
put_result(const struct piv_card *card, enum piv_alg alg, enum piv_op op, struct span answer, struct wbuf *out)
{
	size_t before = out->n;
	struct span template, v;
	bool good = false;

	if (tlv_get(&answer, TAG_TEMPLATE, &template) != E_OK || tlv_find(template, TAG_RESPONSE, &v) != E_OK)
		v = SPAN_NONE;
	else if (piv_alg_is_ec(alg) && op == PIV_OP_SIGN)
		good = put_signature(out, v, piv_alg_len(alg));
	else if (alg == PIV_ALG_ED25519)
		good = put_fixed(out, v, 64) && v.n == 64;
	else
		good = put_fixed(out, v, piv_alg_len(alg));
	if (good && !out->bad)
		return E_OK;
	wbuf_cut(out, before);
	return err_set(E_PROTO, "%s: the card's answer is not a result of the key's algorithm", card->name);
}

/* --- the operation --- */

struct key_io {
	uint8_t ref, pin_ref;
	enum piv_alg alg;
	enum piv_op op;
	struct span cmd;
	const struct secret *pin; /* to verify immediately before; NULL */
	bool pad;		  /* or this, typed on the reader */
	int left;
	struct wbuf *out;
};

static enum err
use_refused(const struct piv_card *card, const struct key_io *io)
{
	const struct piv_key_info *key = piv_key_find(io->ref);
	const char *name = key != NULL ? key->name : "key";

	if (card->sw == SW_NOT_LOGGED_IN && io->pin == NULL && !io->pad && (key == NULL || key->pin))
		return err_set(E_AUTH, "%s: key %s needs the PIN", card->name, name);
	if (card->sw == SW_NOT_LOGGED_IN)
		return err_set(
		    E_AUTH, "%s: the card does not let key %s be used (not touched in time?)", card->name, name);
	if (card->sw == SW_NOT_FOUND || card->sw == SW_NO_REFERENCE || card->sw == 0x6B00)
		return err_set(E_NOTFOUND, "%s: no key %s on the card (status %04X)", card->name, name, card->sw);
	return piv_refused(card, name);
}

static enum err
use_step(struct piv_card *card, void *arg)
{
	struct key_io *io = arg;
	struct apdu a = { .ins = INS_AUTH,
		.p1 = (uint8_t)io->alg,
		.p2 = io->ref,
		.data = io->cmd,
		.le = true,
		.brief = !piv_alg_is_rsa(io->alg) };
	bool extended = card->link.extended;
	WBUF_AUTO answer;
	enum err e;

	wbuf_init(&answer, 1024);
	if (io->pin != NULL && (e = piv_verify(card, io->pin_ref, io->pin, &io->left)) != E_OK)
		return e;
	if (io->pad && (e = piv_verify_pad(card, io->pin_ref, &io->left)) != E_OK)
		return e;
	if ((e = piv_send(card, &a, &answer)) != E_OK)
		return e;
	/* Extended length was refused, and the refused command used the PIN up. */
	if (io->pin != NULL && extended && !card->link.extended && card->sw == SW_NOT_LOGGED_IN)
		return use_step(card, arg);
	if (card->sw != SW_OK)
		return use_refused(card, io);
	return put_result(card, io->alg, io->op, wbuf_view(&answer), io->out);
}

/* Which PIN a key's own PIN is: the one that was used last, else the primary one as far as it is known. */
static uint8_t
context_ref(const struct piv_card *card)
{
	return card->discovery_read ? card->primary : card->user_ref;
}

static enum err
use(struct piv_card *card, struct key_io *io, struct span in, int *left)
{
	const struct piv_key_info *key = piv_key_find(io->ref);
	struct span result;
	size_t before = io->out->n;
	WBUF_AUTO cmd;
	size_t m;
	enum err e;

	*left = -1;
	wbuf_init(&cmd, 4096);
	if (key == NULL || (io->op == PIV_OP_DERIVE && !key->decrypt && io->alg != PIV_ALG_X25519))
		return err_set(E_UNSUP, "%s: key %02X cannot do that", card->name, io->ref);
	if (piv_policy_always(card, key) && io->pin == NULL && !io->pad)
		return err_set(E_AUTH, "%s: key %s needs the PIN for every use", card->name, key->name);
	m = tlv_open(&cmd, TAG_TEMPLATE);
	tlv_put(&cmd, TAG_RESPONSE, NULL, 0);
	if ((e = put_input(card, io->alg, io->op, in, &cmd)) != E_OK)
		return e;
	tlv_close(&cmd, m);
	if (cmd.bad)
		return err_set(E_ARG, "%s: input is too long", card->name);
	io->cmd = wbuf_view(&cmd);
	if ((e = piv_proof_before(card, key, io->alg, io->op)) != E_OK)
		return e;
	e = piv_run(card, use_step, io, true);
	*left = io->left;
	if (e != E_OK)
		return e;
	card->worked = true;
	if (span_sub(wbuf_view(io->out), before, io->out->n - before, &result) &&
	    (e = piv_proof_after(card, key, io->alg, in, result)) != E_OK)
		wbuf_cut(io->out, before);
	return e;
}

enum err
piv_key_use(struct piv_card *card, uint8_t ref, enum piv_alg alg, enum piv_op op, struct span in, struct span pin,
    int *left, struct wbuf *out)
{
	struct key_io io = { ref, context_ref(card), alg, op, SPAN_NONE, NULL, false, -1, out };
	SECRET_AUTO field = NULL;
	enum err e;

	*left = -1;
	if (pin.n > 0 && (e = piv_pin_field(card, io.pin_ref, pin, &field)) != E_OK)
		return e;
	io.pin = field;
	return use(card, &io, in, left);
}

enum err
piv_key_use_pad(
    struct piv_card *card, uint8_t ref, enum piv_alg alg, enum piv_op op, struct span in, int *left, struct wbuf *out)
{
	struct key_io io = { ref, context_ref(card), alg, op, SPAN_NONE, NULL, true, -1, out };

	return use(card, &io, in, left);
}
