/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A freshly personalised card: the FASC-N's check vectors, what a specification may not say, and that every
 * algorithm gives a card whose keys, certificates and signed objects belong together. The certificates' profiles
 * are checked with the openssl command by tests/interop/vcard_make.sh.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <zlib.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"
#include "tests/vcard/maker.h"

static void
test_fascn(void **state)
{
	static const struct {
		uint64_t fields[9];
		const char *hex;
	} rows[] = {
		{ { 32, 1, 92446, 0, 1, 1112223333, 1, 1223, 2 },
		    "D0439458210C2C19A0846D83685A1082108CE73984108CA3FC" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t out[25];
		char *hex;

		vc_fascn_encode(rows[i].fields, out);
		hex = vc_hex(out, sizeof out);
		assert_string_equal(hex, rows[i].hex);
		free(hex);
	}
}

static void
test_refused(void **state)
{
	static const struct {
		struct vcard_spec spec;
		const char *says;
	} rows[] = {
		{ { .alg = "rsa1024" }, "--alg" },
		{ { .alg = "p521" }, "--alg" },
		{ { .alg = "p256", .retired = 21 }, "--retired" },
		{ { .alg = "p256", .serial = "12x" }, "--serial" },
		{ { .alg = "p256", .serial = "0" }, "--serial" },
		{ { .alg = "p256", .uuid = "1234" }, "--uuid" },
		{ { .alg = "p256", .fascn = "D4" }, "--fascn" },
		{ { .alg = "p256", .not_after = "tomorrow" }, "tomorrow" },
		{ { .alg = "p256", .email = "pat\n@example.test" }, "not usable" },
		{ { .alg = "p256", .base_url = "http://$base" }, "not usable" },
		{ { .alg = "p256", .ca_cert = "/nonexistent.pem" }, "/nonexistent.pem" },
		{ { .alg = "p256", .export_dir = "/nonexistent/dir" }, "/nonexistent/dir" },
	};
	char why[VCARD_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		*why = 0;
		assert_null(vcard_make(&rows[i].spec, why));
		if (!strstr(why, rows[i].says))
			fail_msg("row %zu: no \"%s\" in: %s", i, rows[i].says, why);
	}
}

/* The certificate of an object, unpacked when it is compressed. */
static X509 *
certificate(struct vcard *vc, uint32_t tag)
{
	const struct vc_object *o = vc_object_find(vc, tag);
	struct vc_in in = { o->p, o->n }, body, cert, info;
	static uint8_t plain[8192];
	const unsigned char *p;
	uint32_t t;
	X509 *x;

	assert_true(vc_tlv_next(&in, &t, &body) && t == 0x53 && in.n == 0);
	assert_true(vc_tlv_find(body, 0x70, &cert) && vc_tlv_find(body, 0x71, &info) && info.n == 1);
	p = cert.p;
	if (info.p[0] == 1) {
		z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)cert.p,
			.avail_in = (uInt)cert.n,
			.next_out = plain,
			.avail_out = sizeof plain };

		assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
		assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
		cert.n = z.total_out;
		inflateEnd(&z);
		p = plain;
	}
	x = d2i_X509(NULL, &p, (long)cert.n);
	assert_non_null(x);
	return x;
}

static void
belongs(struct vcard *vc, uint8_t ref, uint32_t tag)
{
	X509 *x = certificate(vc, tag);
	EVP_PKEY *pub = X509_get_pubkey(x);

	assert_int_equal(EVP_PKEY_eq(pub, vc_key_find(vc, ref)->pkey), 1);
	EVP_PKEY_free(pub);
	X509_free(x);
}

static void
test_algorithms(void **state)
{
	static const struct {
		const char *name;
		uint8_t id;
	} rows[] = { { "rsa2048", 0x07 }, { "rsa3072", 0x05 }, { "p256", 0x11 }, { "p384", 0x14 } };
	static const uint32_t objects[] = { 0x7E, 0x5FC107, 0x5FC102, 0x5FC109, 0x5FC106, 0x5FC10C };
	char why[VCARD_WHY] = "";

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct vcard_spec spec = { .alg = rows[i].name, .retired = 2, .gzip = i & 1 };
		struct vcard *vc = vcard_make(&spec, why);

		if (!vc)
			fail_msg("%s", why);
		belongs(vc, 0x9A, 0x5FC105);
		belongs(vc, 0x9C, 0x5FC10A);
		belongs(vc, 0x9D, 0x5FC10B);
		belongs(vc, 0x9E, 0x5FC101);
		belongs(vc, 0x82, 0x5FC10D);
		belongs(vc, 0x83, 0x5FC10E);
		assert_int_equal(vc_key_find(vc, 0x9A)->alg, rows[i].id);
		for (size_t k = 0; k < sizeof objects / sizeof *objects; k++)
			assert_non_null(vc_object_find(vc, objects[k]));
		vcard_free(vc);
	}
}

static void
test_given_values(void **state)
{
	struct vcard_spec spec = { .alg = "p256",
		.uuid = "00112233-4455-4677-8899-AABBCCDDEEFF",
		.serial = "41",
		.no_history = true,
		.fascn = "D0439458210C2C19A0846D83685A1082108CE73984108CA3FC",
		.not_before = "20200101000000Z",
		.not_after = "20210101000000Z" };
	char why[VCARD_WHY] = "";
	struct vcard *vc = vcard_make(&spec, why);
	const struct vc_object *chuid;
	X509 *x;

	(void)state;
	if (!vc)
		fail_msg("%s", why);
	chuid = vc_object_find(vc, 0x5FC102);
	assert_non_null(
	    memmem(chuid->p, chuid->n, "\x34\x10\x00\x11\x22\x33\x44\x55\x46\x77\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF", 18));
	assert_non_null(memmem(chuid->p, chuid->n,
	    "\x35\x08"
	    "20210101",
	    10));
	assert_non_null(memmem(chuid->p, chuid->n, "\x30\x19\xD0\x43\x94\x58", 6));
	assert_null(vc_object_find(vc, 0x5FC10C));
	x = certificate(vc, 0x5FC105);
	assert_int_equal(X509_cmp_current_time(X509_get0_notAfter(x)), -1);
	X509_free(x);
	vcard_free(vc);
}

static void
test_derived(void **state)
{
	struct vcard_spec spec = { .alg = "p256", .derived = true };
	char why[VCARD_WHY] = "";
	struct vcard *vc = vcard_make(&spec, why);
	static const struct step steps[] = {
		{ "00A4040009 A00000030800002000 00", "*9000" },
		{ "00CB3FFF03 5C017E 00", "7E124F0BA0000003080000200001005F2F0240009000" },
		{ "00CB3FFF05 5C035FC105 00", "53*" },
		{ "00CB3FFF05 5C035FC106 00", "53*" },
		{ "00CB3FFF05 5C035FC102 00", "6A82" },
		{ "00CB3FFF05 5C035FC101 00", "6A82" },
		{ NULL, NULL },
	};

	(void)state;
	if (!vc)
		fail_msg("%s", why);
	card_play(vc, steps);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fascn),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_given_values),
		cmocka_unit_test(test_derived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
