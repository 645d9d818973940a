/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The card edge against the virtual card in process: every operation, its result checked with libcrypto, and the number
 * of APDUs that it costs. The numbers are the floors; a change that needs one more command fails here.
 */
#include <jansson.h>
#include <openssl/core_names.h>

#include "tests/lib/piv_bench.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

/* --- opening --- */

static void
test_open_cost(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);

	(void)state;
	assert_int_equal(piv_id(b.piv)->aid_len, 9);
	assert_true(piv_id(b.piv)->has_guid && piv_id(b.piv)->has_fascn);
	assert_false(piv_id(b.piv)->derived);
	assert_true(piv_id(b.piv)->atr_len > 0);
	assert_string_equal(piv_name(b.piv), "Reader: PIV card");

	/* current: one; another application current: two more */
	piv_close(&b.piv);
	vreaders_foreign(b.v, 0);
	vreaders_count_clear(b.v, 0);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	assert_int_equal(spent(&b), 3);
	piv_close(&b.piv);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	assert_int_equal(spent(&b), 1);
	bench_free(&b);
}

static void
test_open_derived(void **state)
{
	struct vcard_spec spec = { .alg = "p256", .derived = true };
	struct bench b = bench_new(&spec);
	int left;

	(void)state;
	piv_close(&b.piv);
	vreaders_foreign(b.v, 0);
	vreaders_count_clear(b.v, 0);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	assert_true(piv_id(b.piv)->derived);
	assert_memory_equal(piv_id(b.piv)->aid, "\xA0\x00\x00\x03\x08\x00\x00\x20\x00", 9);
	assert_true(spent(&b) <= 4);
	/* letters are a wrong secret here, not a malformed one: the card decides */
	assert_err(piv_pin_verify(b.piv, PIV_PIN_APP, S("abcdef"), false, &left), E_PIN);
	assert_int_equal(vcard_tries(b.card, 0x80), left);
	bench_free(&b);
}

static void
test_open_failures(void **state)
{
	struct vreaders *v = vreaders_new();
	struct readers r = vreaders_ops(v);
	struct vcard_spec spec = { .alg = "p256" };
	struct vcard *card = vcard_make(&spec, NULL);
	struct piv_card *piv;

	(void)state;
	assert_non_null(card);
	vreaders_add(v, "Empty", NULL);
	vreaders_add(v, "Reader", card);
	assert_err(piv_open(&r, "Empty", &piv), E_NOCARD);
	assert_null(piv);
	assert_err(piv_open(&r, "No such", &piv), E_NOREADER);
	assert_true(vcard_fault_add(card, "every ins A4 sw 6A82", NULL));
	vcard_other_program(card);
	assert_err(piv_open(&r, "Reader", &piv), E_NOTPIV);
	assert_says("Reader");
	vreaders_hold(v, 1, true);
	assert_err(piv_open(&r, "Reader", &piv), E_BUSY);
	vreaders_free(v);
	vcard_free(card);
}

/* --- the floors --- */

static void
test_rsa_floor(void **state)
{
	struct vcard_spec spec = { .alg = "rsa2048" };
	struct bench b = bench_new(&spec);

	(void)state;
	login(&b);
	assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
	assert_int_equal(spent(&b), 3);
	assert_ok(sign(&b, PIV_KEY_9C, PIN));
	assert_int_equal(spent(&b), 4);
	assert_ok(sign(&b, PIV_KEY_9E, SPAN_NONE));
	assert_int_equal(spent(&b), 3);
	bench_free(&b);
}

static void
test_ec_floor(void **state)
{
	static const char *const algs[] = { "p256", "p384" };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct vcard_spec spec = { .alg = algs[i] };
		struct bench b = bench_new(&spec);

		login(&b);
		assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
		assert_int_equal(spent(&b), 1);
		assert_ok(sign(&b, PIV_KEY_9C, PIN));
		assert_int_equal(spent(&b), 2);
		bench_free(&b);
	}
}

/* Whatever r and s happen to be: their length is fixed. */
static void
test_many_ec_signatures(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	int i;

	(void)state;
	login(&b);
	for (i = 0; i < 300; i++) /* one in 128 has a short r or s */
		assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
	bench_free(&b);
}

static void
test_login_needed(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);

	(void)state;
	assert_err(sign(&b, PIV_KEY_9A, SPAN_NONE), E_AUTH);
	assert_says("9A");
	assert_int_equal(spent(&b), 2); /* the operation, and a look at the CHUID */
	assert_ok(sign(&b, PIV_KEY_9E, SPAN_NONE));
	login(&b);
	assert_err(sign(&b, PIV_KEY_9C, SPAN_NONE), E_AUTH); /* the login's PIN is not for PIN-always keys */
	assert_int_equal(spent(&b), 0);
	piv_logout(b.piv);
	assert_false(vcard_verified(b.card, 0x80));
	assert_false(piv_pin_is_kept(b.piv, PIN));
	spent(&b);
	assert_err(sign(&b, PIV_KEY_9A, SPAN_NONE), E_AUTH);
	bench_free(&b);
}

static void
test_rsa_decrypt(void **state)
{
	struct vcard_spec spec = { .alg = "rsa2048" };
	struct bench b = bench_new(&spec);
	enum piv_alg alg;
	EVP_PKEY *key = card_key(&b, PIV_KEY_9D, &alg);
	uint8_t block[255] = { 0 };
	WBUF_AUTO out;
	int left;

	(void)state;
	wbuf_init(&out, 600);
	login(&b);
	assert_ok(decrypt_with(&b, PIV_KEY_9D, alg, key));
	assert_int_equal(spent(&b), 3);
	/* a block of another length never reaches the card */
	assert_err(
	    piv_key_use(b.piv, PIV_KEY_9D, alg, PIV_OP_DECRYPT, span_of(block, 255), SPAN_NONE, &left, &out), E_ARG);
	assert_err(
	    piv_key_use(b.piv, PIV_KEY_9D, alg, PIV_OP_DERIVE, span_of(block, 65), SPAN_NONE, &left, &out), E_ARG);
	assert_int_equal(spent(&b), 0);
	EVP_PKEY_free(key);
	bench_free(&b);
}

static void
test_ecdh(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	enum piv_alg alg;
	EVP_PKEY *key = card_key(&b, PIV_KEY_9D, &alg);
	uint8_t point[65];
	size_t n = 0;
	WBUF_AUTO out;
	int left;

	(void)state;
	wbuf_init(&out, 600);
	login(&b);
	assert_ok(decrypt_with(&b, PIV_KEY_9D, alg, key));
	assert_int_equal(spent(&b), 1);

	/* invalid curve: turned away here, not sent */
	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
	point[64] ^= 1;
	assert_err(
	    piv_key_use(b.piv, PIV_KEY_9D, alg, PIV_OP_DERIVE, span_of(point, n), SPAN_NONE, &left, &out), E_ARG);
	point[64] ^= 1;
	point[0] = 0x02; /* compressed */
	assert_err(
	    piv_key_use(b.piv, PIV_KEY_9D, alg, PIV_OP_DERIVE, span_of(point, 33), SPAN_NONE, &left, &out), E_ARG);
	assert_err(piv_key_use(b.piv, PIV_KEY_9D, alg, PIV_OP_DERIVE, S("\x00"), SPAN_NONE, &left, &out), E_ARG);
	point[0] = 0x04;
	assert_err(
	    piv_key_use(b.piv, PIV_KEY_9A, alg, PIV_OP_DERIVE, span_of(point, n), SPAN_NONE, &left, &out), E_UNSUP);
	assert_int_equal(spent(&b), 0);
	EVP_PKEY_free(key);
	bench_free(&b);
}

static void
test_no_such_key(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	WBUF_AUTO out;
	int left;

	(void)state;
	wbuf_init(&out, 600);
	login(&b);
	assert_err(piv_cert_get(b.piv, 0x95, &out), E_NOTFOUND);
	assert_int_equal(spent(&b), 2); /* alone in its transaction: the object, a look at the CHUID */
	assert_ok(piv_begin(b.piv));
	assert_err(piv_cert_get(b.piv, 0x95, &out), E_NOTFOUND);
	spent(&b);
	assert_err(piv_cert_get(b.piv, 0x94, &out), E_NOTFOUND);
	assert_err(piv_cert_get(b.piv, 0x93, &out), E_NOTFOUND);
	assert_int_equal(spent(&b), 2); /* nobody can have intervened: one each */
	piv_end(b.piv);
	assert_int_not_equal(piv_key_use(b.piv, 0x82, PIV_ALG_P256, PIV_OP_SIGN, S("a digest of thirty-two bytes....."),
				 SPAN_NONE, &left, &out),
	    E_OK);
	assert_int_equal(out.n, 0);
	bench_free(&b);
}

/* --- PINs --- */

static void
test_pin_formats(void **state)
{
	static const char *const bad[] = { "", "12345", "123456789", "12345a", "12 456", "\xFF\xFF\xFF\xFF\xFF\xFF" };
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	int left;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(piv_pin_verify(b.piv, PIV_PIN_APP, span_str(bad[i]), true, &left), E_PINLEN);
	assert_true(spent(&b) <= 4); /* Discovery, and whether it is a YubiKey; never a VERIFY */
	assert_int_equal(vcard_stats(b.card)->per_ins[0x20], 0);
	assert_err(piv_pin_change(b.piv, PIV_PIN_APP, PIN, S("12345x"), &left), E_PINLEN);
	assert_err(piv_pin_change(b.piv, PIV_PUK, S("1234"), PUK, &left), E_PINLEN);
	assert_err(piv_pin_unblock(b.piv, PUK, S("1234"), &left), E_PINLEN);
	assert_int_equal(vcard_stats(b.card)->per_ins[0x24] + vcard_stats(b.card)->per_ins[0x2C], 0);
	bench_free(&b);
}

static void
test_pin_wrong_and_blocked(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	int left, tries = vcard_tries(b.card, 0x80);

	(void)state;
	assert_ok(piv_pin_tries(b.piv, PIV_PIN_APP, &left));
	assert_int_equal(left, tries);
	login(&b);
	assert_true(piv_pin_is_kept(b.piv, PIN));
	assert_false(piv_pin_is_kept(b.piv, S("123457")));
	assert_false(piv_pin_is_kept(b.piv, SPAN_NONE));
	for (; tries > 0; tries--) {
		assert_err(piv_pin_verify(b.piv, PIV_PIN_APP, S("000000"), true, &left), E_PIN);
		assert_int_equal(left, tries - 1);
	}
	assert_err(piv_pin_verify(b.piv, PIV_PIN_APP, PIN, true, &left), E_PINLOCKED);
	assert_int_equal(left, 0);
	assert_false(piv_pin_is_kept(b.piv, PIN)); /* blocked: of no use any more */
	assert_ok(piv_pin_tries(b.piv, PIV_PIN_APP, &left));
	assert_int_equal(left, 0);
	assert_ok(piv_pin_unblock(b.piv, PUK, S("654321"), &left));
	assert_ok(piv_pin_verify(b.piv, PIV_PIN_APP, S("654321"), true, &left));
	assert_err(piv_pin_unblock(b.piv, S("00000000"), PIN, &left), E_PIN);
	assert_true(left >= 0);
	bench_free(&b);
}

static void
test_pin_change(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	int left;

	(void)state;
	login(&b);
	assert_err(piv_pin_change(b.piv, PIV_PIN_APP, S("111111"), S("222222"), &left), E_PIN);
	assert_true(piv_pin_is_kept(b.piv, PIN)); /* somebody else's mistake */
	assert_ok(piv_pin_change(b.piv, PIV_PIN_APP, PIN, S("222222"), &left));
	assert_true(piv_pin_is_kept(b.piv, S("222222")));
	vreaders_reset(b.v, 0);
	assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE)); /* recovers with the new one */
	assert_ok(piv_pin_change(b.piv, PIV_PUK, PUK, S("87654321"), &left));
	assert_ok(piv_pin_unblock(b.piv, S("87654321"), PIN, &left));
	assert_false(piv_pin_is_kept(b.piv, S("222222")));
	bench_free(&b);
}

static void
test_discovery_once(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	uint8_t ref = 0x55;

	(void)state;
	assert_ok(piv_pin_primary(b.piv, &ref));
	assert_int_equal(ref, PIV_PIN_APP);
	assert_int_equal(spent(&b), 1);
	assert_ok(piv_pin_primary(b.piv, &ref));
	assert_int_equal(spent(&b), 0);
	bench_free(&b);
}

/* --- administration --- */

static void
test_admin_and_generate(void **state)
{
	static const struct {
		enum piv_alg alg;
		const char *type;
	} rows[] = { { PIV_ALG_P256, "EC" }, { PIV_ALG_P384, "EC" }, { PIV_ALG_RSA2048, "RSA" } };
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	WBUF_AUTO spki;
	size_t i;

	(void)state;
	wbuf_init(&spki, 2048);
	assert_err(piv_key_generate(b.piv, PIV_KEY_9A, PIV_ALG_P256, (struct piv_policy){ 0, 0 }, &spki), E_AUTH);
	assert_err(piv_object_put(b.piv, PIV_OBJ_CCC, S("\xF5\x01\x10")), E_AUTH);
	assert_err(piv_admin_auth(b.piv, PIV_ALG_NONE, S("0102030405060708090a0b0c")), E_AUTH);
	assert_err(piv_admin_auth(b.piv, PIV_ALG_NONE, S("short")), E_AUTH);
	assert_ok(piv_admin_auth(b.piv, PIV_ALG_NONE, ADMIN));
	assert_ok(piv_admin_auth(b.piv, PIV_ALG_3DES, ADMIN));
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		wbuf_clear(&spki);
		assert_ok(piv_key_generate(b.piv, PIV_KEY_9E, rows[i].alg, (struct piv_policy){ 0, 0 }, &spki));
		assert_int_equal(piv_alg_of_spki(wbuf_view(&spki)), rows[i].alg);
	}
	assert_err(piv_key_generate(b.piv, PIV_KEY_9E, PIV_ALG_3DES, (struct piv_policy){ 0, 0 }, &spki), E_ARG);
	assert_err(piv_key_generate(b.piv, 0x11, PIV_ALG_P256, (struct piv_policy){ 0, 0 }, &spki), E_ARG);
	bench_free(&b);
}

/* The same card with two other values in its image. */
static void
bench_edit(struct bench *b, const char *key, const char *value, const char *object_or_key, const char *value2)
{
	char *text = vcard_to_json(b->card), *edited, why[VCARD_WHY] = "";
	json_t *image = json_loads(text, 0, NULL), *objects;

	assert_non_null(image);
	objects = json_object_get(image, "objects");
	json_object_set_new(image, key, json_string(value));
	json_object_set_new(strlen(object_or_key) == 2 ? objects : image, object_or_key, json_string(value2));
	edited = json_dumps(image, 0);
	json_decref(image);
	free(text);
	piv_close(&b->piv);
	vcard_free(b->card);
	b->card = vcard_from_json(edited, why);
	free(edited);
	if (b->card == NULL)
		fail_msg("vcard_from_json: %s", why);
	vreaders_insert(b->v, 0, b->card);
	assert_ok(piv_open(&b->r, "Reader", &b->piv));
	spent(b);
}

static void
test_admin_aes(void **state)
{
	static const struct {
		const char *key, *alg;
		size_t n;
	} rows[] = { { "000102030405060708090A0B0C0D0E0F", "08", 16 },
		{ "000102030405060708090A0B0C0D0E0F1011121314151617", "0A", 24 },
		{ "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "0C", 32 } };
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	uint8_t key[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bench_edit(&b, "mgmt_alg", rows[i].alg, "mgmt_key", rows[i].key);
		assert_err(piv_object_put(b.piv, PIV_OBJ_CCC, S("\xF5\x01\x10")), E_AUTH);
		assert_ok(piv_admin_auth(b.piv, PIV_ALG_NONE, span_of(key, rows[i].n)));
		assert_ok(piv_object_put(b.piv, PIV_OBJ_CCC, S("\xF5\x01\x10")));
		key[0] ^= 1;
		assert_err(piv_admin_auth(b.piv, PIV_ALG_NONE, span_of(key, rows[i].n)), E_AUTH);
		key[0] ^= 1;
	}
	bench_free(&b);
}

/* A Discovery object that makes the global PIN primary: everything that takes "the PIN" takes that one. */
static void
test_global_pin_primary(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	uint8_t ref = 0x55;
	int left;

	(void)state;
	bench_edit(&b, "global_pin", "777777", "7E", "7E124F0BA0000003080000100001005F2F026020");
	assert_ok(piv_pin_primary(b.piv, &ref));
	assert_int_equal(ref, PIV_PIN_GLOBAL);
	assert_ok(piv_pin_verify(b.piv, ref, S("777777"), true, &left));
	assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
	assert_ok(sign(&b, PIV_KEY_9C, S("777777")));
	vreaders_reset(b.v, 0);
	assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
	assert_err(sign(&b, PIV_KEY_9C, PIN), E_PIN);
	bench_free(&b);
}

static void
test_objects(void **state)
{
	struct vcard_spec spec = { .alg = "rsa2048", .gzip = true };
	struct bench b = bench_new(&spec);
	struct piv_history h;
	struct piv_chuid c;
	WBUF_AUTO out;
	WBUF_AUTO der;

	(void)state;
	wbuf_init(&out, PIV_OBJ_MAX);
	wbuf_init(&der, PIV_OBJ_MAX);
	assert_ok(piv_object_get(b.piv, PIV_OBJ_CHUID, &out));
	assert_ok(piv_chuid_parse(wbuf_view(&out), &c));
	assert_memory_equal(c.guid, piv_id(b.piv)->guid, 16);
	assert_true(c.signature.n > 500);
	wbuf_clear(&out);
	assert_ok(piv_object_get(b.piv, PIV_OBJ_HISTORY, &out));
	assert_ok(piv_history_parse(wbuf_view(&out), &h));
	assert_ok(piv_cert_get(b.piv, PIV_KEY_9A, &der)); /* compressed on this card */
	assert_int_equal(piv_alg_of_cert(wbuf_view(&der)), PIV_ALG_RSA2048);

	assert_ok(piv_admin_auth(b.piv, PIV_ALG_NONE, ADMIN));
	assert_ok(piv_cert_put(b.piv, 0x82, wbuf_view(&der)));
	wbuf_clear(&out);
	assert_ok(piv_cert_get(b.piv, 0x82, &out));
	assert_true(span_eq(wbuf_view(&out), wbuf_view(&der)));
	assert_ok(piv_cert_put(b.piv, 0x82, SPAN_NONE));
	assert_err(piv_cert_get(b.piv, 0x82, &out), E_NOTFOUND);
	assert_err(piv_cert_put(b.piv, 0x82, S("not DER")), E_ARG);
	assert_err(piv_cert_get(b.piv, 0x9B, &out), E_ARG);
	bench_free(&b);
}

/* --- presence --- */

static void
test_presence(void **state)
{
	struct vcard_spec spec = { .alg = "p256" };
	struct bench b = bench_new(&spec);
	struct vcard *other;

	(void)state;
	assert_ok(piv_present(b.piv));
	assert_int_equal(spent(&b), 0);
	vreaders_remove(b.v, 0);
	assert_err(piv_present(b.piv), E_CARDGONE);
	vreaders_insert(b.v, 0, NULL);
	assert_ok(piv_present(b.piv)); /* the same again */
	assert_ok(piv_present(b.piv));
	vreaders_remove(b.v, 0);
	other = vcard_make(&spec, NULL);
	vreaders_insert(b.v, 0, other);
	assert_err(piv_present(b.piv), E_CARDGONE);
	assert_err(piv_begin(b.piv), E_CARDGONE); /* for ever, whatever is put in now */
	vreaders_insert(b.v, 0, b.card);
	assert_err(piv_begin(b.piv), E_CARDGONE);
	bench_free(&b);
	vcard_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_cost),
		cmocka_unit_test(test_open_derived),
		cmocka_unit_test(test_open_failures),
		cmocka_unit_test(test_rsa_floor),
		cmocka_unit_test(test_ec_floor),
		cmocka_unit_test(test_many_ec_signatures),
		cmocka_unit_test(test_login_needed),
		cmocka_unit_test(test_rsa_decrypt),
		cmocka_unit_test(test_ecdh),
		cmocka_unit_test(test_no_such_key),
		cmocka_unit_test(test_pin_formats),
		cmocka_unit_test(test_pin_wrong_and_blocked),
		cmocka_unit_test(test_pin_change),
		cmocka_unit_test(test_discovery_once),
		cmocka_unit_test(test_admin_and_generate),
		cmocka_unit_test(test_admin_aes),
		cmocka_unit_test(test_global_pin_primary),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_presence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
