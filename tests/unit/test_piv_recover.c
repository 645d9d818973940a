/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What other programs and people do to the card, before every single command of a day's work in turn: reset it, select
 * another application, pull it out, pull it and put it back, or the card loses its state and nobody is told. Every
 * operation must give the right result or a clean error; a PIN that was refused must never be sent again; and after the
 * disturbance the next operation must work.
 */
#include <stdio.h>

#include "tests/lib/piv_bench.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

/* --- what is watched on the wire --- */

struct watch {
	unsigned verifies; /* with a PIN */
};

static void
watch_command(void *arg, struct vcard *card, const uint8_t *cmd, size_t n)
{
	struct watch *w = arg;

	(void)card;
	if (n == 13 && cmd[1] == 0x20)
		w->verifies++;
}

/* --- a day's work --- */

struct work {
	struct bench b;
	EVP_PKEY *key[4];
	enum piv_alg alg[4];
};

static const uint8_t refs[4] = { PIV_KEY_9A, PIV_KEY_9C, PIV_KEY_9D, PIV_KEY_9E };

static struct work
work_new(const struct vcard_spec *spec)
{
	struct work w = { .b = bench_new(spec) };
	size_t i;

	for (i = 0; i < 4; i++)
		w.key[i] = card_key(&w.b, refs[i], &w.alg[i]);
	return w;
}

static void
work_free(struct work *w)
{
	size_t i;

	for (i = 0; i < 4; i++)
		EVP_PKEY_free(w->key[i]);
	bench_free(&w->b);
}

#define STEPS 8

/* Everything once; results are checked inside. The last step that failed, and how. */
static enum err
step(struct work *w, size_t i)
{
	struct bench *b = &w->b;
	WBUF_AUTO out;
	int left;

	wbuf_init(&out, PIV_OBJ_MAX);
	switch (i) {
	case 0: return piv_pin_verify(b->piv, PIV_PIN_APP, PIN, true, &left);
	case 1: return sign_with(b, PIV_KEY_9A, w->alg[0], w->key[0], SPAN_NONE);
	case 2: return sign_with(b, PIV_KEY_9C, w->alg[1], w->key[1], PIN);
	case 3: return decrypt_with(b, PIV_KEY_9D, w->alg[2], w->key[2]);
	case 4: return piv_cert_get(b->piv, PIV_KEY_9D, &out);
	case 5: return piv_pin_tries(b->piv, PIV_PIN_APP, &left);
	case 6: return sign_with(b, PIV_KEY_9E, w->alg[3], w->key[3], SPAN_NONE);
	case 7: return piv_present(b->piv);
	}
	return E_INTERNAL;
}

/* Some of it inside one transaction. */
static enum err
bundle(struct work *w, bool together, size_t *failed)
{
	enum err e = E_OK, now;
	size_t i;

	*failed = STEPS;
	for (i = 0; i < STEPS; i++) {
		if (together && i == 1 && (now = piv_begin(w->b.piv)) != E_OK) {
			*failed = i;
			return now;
		}
		now = step(w, i);
		if (now != E_OK) {
			e = now;
			*failed = i;
			if (together && i >= 1)
				piv_end(w->b.piv);
			return e;
		}
	}
	if (together)
		piv_end(w->b.piv);
	return e;
}

static void
fresh(struct work *w)
{
	struct bench *b = &w->b;

	piv_close(&b->piv);
	vreaders_plan(b->v, 0, 0, VREADERS_NOTHING);
	if (!vcard_present(b->card))
		vreaders_insert(b->v, 0, NULL);
	vcard_reset(b->card);
	assert_ok(piv_open(&b->r, "Reader", &b->piv));
	vreaders_count_clear(b->v, 0);
}

/* After any disturbance one more round must work; after a removal, once the card is back. */
static void
works_again(struct work *w)
{
	size_t i;

	if (!vcard_present(w->b.card))
		vreaders_insert(w->b.v, 0, NULL);
	vreaders_plan(w->b.v, 0, 0, VREADERS_NOTHING);
	for (i = 0; i < STEPS; i++)
		assert_ok(step(w, i));
}

static bool
is_clean(enum vreaders_event what, enum err e)
{
	if (what == VREADERS_REMOVE)
		return e == E_CARDGONE;
	return e == E_AUTH || e == E_IO || e == E_BUSY || e == E_UNSUP || e == E_NOTFOUND || e == E_SW || e == E_PROTO;
}

static void
sweep(const char *alg, enum vreaders_event what, bool together, bool must_succeed)
{
	struct vcard_spec spec = { .alg = alg };
	struct work w = work_new(&spec);
	unsigned n, total;
	size_t failed;
	enum err e;

	fresh(&w);
	assert_ok(bundle(&w, together, &failed));
	total = vreaders_count(w.b.v, 0);
	assert_true(total > STEPS);
	for (n = 1; n <= total; n++) {
		fresh(&w);
		vreaders_plan(w.b.v, 0, n, what);
		e = bundle(&w, together, &failed);
		assert_true(vreaders_fired(w.b.v, 0));
		if (e != E_OK && (must_succeed || !is_clean(what, e)))
			fail_msg("%s, event %d before command %u of %u: step %zu: E_%s: %s", alg, (int)what, n, total,
			    failed, err_name(e), err_msg());
		if (e != E_OK && err_msg()[0] == '\0')
			fail_msg("a failure without a sentence");
		works_again(&w);
	}
	work_free(&w);
}

static void
test_reset(void **state)
{
	(void)state;
	sweep("rsa2048", VREADERS_RESET, false, true);
	sweep("p256", VREADERS_RESET, false, true);
	sweep("p256", VREADERS_RESET, true, true);
	sweep("rsa2048", VREADERS_RESET, true, true);
}

static void
test_replug(void **state)
{
	(void)state;
	sweep("rsa2048", VREADERS_REPLUG, false, true);
	sweep("p256", VREADERS_REPLUG, true, true);
}

/* PC/SC lets nobody in during a transaction; here the other program comes even there. Between transactions, which is
 * before the first command of a step, the result must be right. */
static void
test_foreign(void **state)
{
	(void)state;
	sweep("rsa2048", VREADERS_FOREIGN, false, false);
	sweep("p256", VREADERS_FOREIGN, false, false);
	sweep("p256", VREADERS_FOREIGN, true, false);
}

static void
test_foreign_between(void **state)
{
	struct vcard_spec spec = { .alg = "rsa2048" };
	struct work w = work_new(&spec);
	size_t i;

	(void)state;
	fresh(&w);
	assert_ok(step(&w, 0));
	for (i = 1; i < STEPS; i++) {
		vreaders_foreign(w.b.v, 0);
		assert_ok(step(&w, i));
		vreaders_foreign(w.b.v, 0);
		vreaders_reset(w.b.v, 0);
		assert_ok(step(&w, i));
	}
	work_free(&w);
}

static void
test_silent(void **state)
{
	(void)state;
	sweep("rsa2048", VREADERS_SILENT, false, false);
	sweep("p256", VREADERS_SILENT, true, false);
}

static void
test_remove(void **state)
{
	(void)state;
	sweep("rsa2048", VREADERS_REMOVE, false, false);
	sweep("p256", VREADERS_REMOVE, true, false);
}

/* Between transactions another program selects its own application and then PIV again: current, but logged out. */
static void
test_logged_out_by_others(void **state)
{
	static const uint8_t select_piv[] = { 0x00, 0xA4, 0x04, 0x00, 0x09, 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00,
		0x10, 0x00, 0x00 };
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	uint8_t rsp[300];

	(void)state;
	fresh(&w);
	assert_ok(step(&w, 0));
	vreaders_foreign(w.b.v, 0);
	assert_true(vcard_transmit(w.b.card, select_piv, sizeof select_piv, rsp, sizeof rsp) > 2);
	vreaders_count_clear(w.b.v, 0);
	assert_ok(step(&w, 1));
	assert_int_equal(spent(&w.b), 4); /* refused, looked, verified, done */
	work_free(&w);
}

/* The PIN was changed behind our back: the kept one is tried once, refused, forgotten. */
static void
test_kept_pin_refused(void **state)
{
	static const uint8_t change[] = "\x00\x24\x00\x80\x10"
					"123456\xFF\xFF"
					"654321\xFF\xFF";
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	uint8_t rsp[300];
	int tries, i;

	(void)state;
	fresh(&w);
	tries = vcard_tries(w.b.card, 0x80);
	assert_ok(step(&w, 0));
	assert_int_equal(vcard_transmit(w.b.card, change, sizeof change - 1, rsp, sizeof rsp), 2);
	assert_int_equal(rsp[0], 0x90);
	for (i = 0; i < 5; i++) {
		vreaders_reset(w.b.v, 0);
		assert_err(step(&w, 1), E_AUTH);
		assert_int_equal(vcard_tries(w.b.card, 0x80), tries - 1); /* one try, not one a reset */
	}
	assert_false(piv_pin_is_kept(w.b.piv, PIN));
	assert_err(step(&w, 2), E_PIN); /* 9C with the old PIN: the caller's own decision, one more try */
	assert_int_equal(vcard_tries(w.b.card, 0x80), tries - 2);
	assert_ok(step(&w, 6)); /* 9E needs no PIN */
	work_free(&w);
}

/* Another application is current and would refuse our PIN: that is no verdict on it, and it is not sent again. */
static void
test_foreign_refuses_pin(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	struct watch watch = { 0 };
	int left;

	(void)state;
	fresh(&w);
	vcard_hook_set(w.b.card, watch_command, &watch);
	vreaders_foreign(w.b.v, 0);
	assert_true(vcard_fault_add(w.b.card, "ins 20 sw 63C1", NULL));
	assert_err(piv_pin_verify(w.b.piv, PIV_PIN_APP, PIN, true, &left), E_BUSY);
	assert_int_equal(watch.verifies, 1);
	assert_ok(piv_pin_verify(w.b.piv, PIV_PIN_APP, PIN, true, &left));
	work_free(&w);
}

/* Without a kept PIN the caller hears that nobody is logged in. */
static void
test_no_kept_pin(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	int left;

	(void)state;
	fresh(&w);
	assert_ok(piv_pin_verify(w.b.piv, PIV_PIN_APP, PIN, false, &left));
	assert_ok(step(&w, 1));
	vreaders_reset(w.b.v, 0);
	assert_err(step(&w, 1), E_AUTH);
	assert_ok(step(&w, 2));
	work_free(&w);
}

/* A card of the same make with another holder. */
static void
test_other_card(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	struct vcard *other = vcard_make(&spec, NULL);
	struct watch watch = { 0 };
	size_t i;

	(void)state;
	fresh(&w);
	assert_ok(step(&w, 0));
	vcard_hook_set(other, watch_command, &watch);
	vreaders_remove(w.b.v, 0);
	vreaders_insert(w.b.v, 0, other);
	for (i = 0; i < STEPS; i++)
		assert_err(step(&w, i), E_CARDGONE);
	assert_int_equal(watch.verifies, 0); /* our PIN went to no stranger's card */
	assert_false(piv_pin_is_kept(w.b.piv, PIN));
	work_free(&w);
	vcard_free(other);
}

/* A held reader is busy, not broken. */
static void
test_busy(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);

	(void)state;
	fresh(&w);
	assert_ok(step(&w, 0));
	vreaders_hold(w.b.v, 0, true);
	assert_err(step(&w, 1), E_BUSY);
	vreaders_hold(w.b.v, 0, false);
	assert_ok(step(&w, 1));
	work_free(&w);
}

/* One answer in turn is malformed: never a wrong result, never a PIN twice, and the next round works. */
static void
test_malformed(void **state)
{
	static const char *const actions[] = { "short 0", "short 1", "truncate 1", "truncate 40", "garbage 40",
		"garbage 2", "sw 6F00", "sw 6D00", "sw 6A82", "sw 6982", "reply 9000", "reply 61FF", "reply 6C10",
		"reply 53820FFF9000", "reply 7C82FFFF9000", "reply 7C048202FFFF9000",
		"reply 7C0A820830060201000201009000" };
	struct vcard_spec spec = { .alg = "p256" };
	struct work w = work_new(&spec);
	unsigned n, total;
	size_t failed, i;
	char rule[96];

	(void)state;
	fresh(&w);
	assert_ok(bundle(&w, false, &failed));
	total = vreaders_count(w.b.v, 0);
	for (i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		for (n = 1; n <= total; n++) {
			char why[VCARD_WHY];

			fresh(&w);
			snprintf(rule, sizeof rule, "at %u %s", n, actions[i]);
			if (!vcard_fault_add(w.b.card, rule, why))
				fail_msg("%s: %s", rule, why);
			(void)bundle(&w, false, &failed); /* what succeeded was checked inside */
			vcard_fault_clear(w.b.card);
			works_again(&w);
		}
	}
	work_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_replug),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_foreign_between),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_logged_out_by_others),
		cmocka_unit_test(test_kept_pin_refused),
		cmocka_unit_test(test_foreign_refuses_pin),
		cmocka_unit_test(test_no_kept_pin),
		cmocka_unit_test(test_other_card),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
