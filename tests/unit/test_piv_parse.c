/* SPDX-License-Identifier: BSD-2-Clause */
/* The pure parsers of the card edge: CHUID, Discovery, Key History, certificate containers, keys' algorithms, tables.
 */
#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <zlib.h>

#include "tests/lib/test.h"

#include "hw/piv_int.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

#define FASCN                                                                                                          \
	"\x30\x19\xD4\xE7\x39\xDA\x73\x9C\xED\x39\xCE\x73\x9D\xA1\x68\x5A\x10\x82\x10\x8C\xE7\x39\x84\x11\x92\x57\xFC"
#define GUID "\x34\x10\x00\x11\x22\x33\x44\x55\x46\x77\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF"
#define EXPIRY                                                                                                         \
	"\x35\x08"                                                                                                     \
	"20301231"

/* --- CHUID --- */

static void
test_chuid(void **state)
{
	struct piv_chuid c;

	(void)state;
	assert_ok(piv_chuid_parse(S("\xEE\x02\x0B\x64" FASCN GUID EXPIRY "\x3E\x02\x30\x00\xFE\x00"), &c));
	assert_true(c.has_fascn && c.has_guid);
	assert_false(c.has_cardholder);
	assert_int_equal(c.fascn[24], 0xFC);
	assert_int_equal(c.guid[15], 0xFF);
	assert_string_equal(c.expiry, "20301231");
	assert_bytes(c.signature, "\x30\x00");

	/* any order, empty elements, an expiry that is none */
	assert_ok(piv_chuid_parse(S(GUID "\x30\x00\x35\x08xxxxxxxx"), &c));
	assert_true(c.has_guid);
	assert_false(c.has_fascn);
	assert_string_equal(c.expiry, "");

	assert_err(piv_chuid_parse(S("\x30\x05\x01\x02\x03\x04\x05"), &c), E_PROTO);
	assert_err(
	    piv_chuid_parse(S("\x34\x11\x00\x11\x22\x33\x44\x55\x46\x77\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF\x00"), &c),
	    E_PROTO);
	assert_err(piv_chuid_parse(S("\x34\x10\x00\x11"), &c), E_PROTO); /* lies about its length */
	assert_ok(piv_chuid_parse(SPAN_NONE, &c));
}

static void
test_chuid_prefix(void **state)
{
	static const char whole[] = "\x53\x82\x0B\x64\xEE\x02\x0B\x64" FASCN GUID EXPIRY "\x3E\x82\x0B\x00";
	struct piv_chuid c;
	size_t n;

	(void)state;
	assert_ok(piv_chuid_prefix(S("\x53\x82\x0B\x64\xEE\x02\x0B\x64" FASCN GUID EXPIRY "\x3E\x82\x0B\x00half"), &c));
	assert_true(c.has_fascn && c.has_guid);
	assert_int_equal(c.signature.n, 0);
	/* cut anywhere: what is whole counts, and something must be */
	for (n = 0; n < sizeof whole; n++) {
		enum err e = piv_chuid_prefix(span_of(whole, n), &c);

		assert_int_equal(e == E_OK, n >= 8 + 27);
		assert_true(e == E_OK || e == E_NOTFOUND || e == E_PROTO);
		assert_int_equal(c.has_guid, n >= 8 + 27 + 18);
	}
	/* somebody else's answers */
	assert_err(piv_chuid_prefix(S("\x7E\x12\x4F\x0B"), &c), E_PROTO);
	assert_err(piv_chuid_prefix(S("\x53\x00"), &c), E_NOTFOUND);
	assert_err(piv_chuid_prefix(S("\x53\x04\x01\x02\x03\x04"), &c), E_NOTFOUND);
	assert_err(piv_chuid_prefix(S("\x53\x00" FASCN), &c), E_NOTFOUND); /* behind the object */
	assert_err(piv_chuid_prefix(SPAN_NONE, &c), E_PROTO);
}

/* --- Discovery --- */

#define AID_ELEMENT "\x4F\x0B\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00"

static void
test_discovery(void **state)
{
	static const struct {
		struct span in;
		enum err e;
		bool global, primary;
	} rows[] = {
#define IN(l) { (const uint8_t *)(l), sizeof(l) - 1 }
		{ IN(AID_ELEMENT "\x5F\x2F\x02\x40\x00"), E_OK, false, false },
		{ IN(AID_ELEMENT "\x5F\x2F\x02\x60\x10"), E_OK, true, false },
		{ IN(AID_ELEMENT "\x5F\x2F\x02\x60\x20"), E_OK, true, true },
		{ IN(AID_ELEMENT "\x5F\x2F\x02\x40\x20"), E_OK, false, false }, /* primary, but not allowed */
		{ IN(AID_ELEMENT), E_PROTO, false, false },
		{ IN("\x5F\x2F\x02\x40\x00"), E_PROTO, false, false },
		{ IN(AID_ELEMENT "\x5F\x2F\x01\x40"), E_PROTO, false, false },
		{ IN("\x4F\x11\xA0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00\x00\x00\x00\x00\x00\x00\x5F\x2F\x02\x40"
		     "\x00"),
		    E_PROTO, false, false },
		{ IN(AID_ELEMENT "\x5F\x2F\x20\x40\x00"), E_PROTO, false, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct piv_discovery d;

		assert_err(piv_discovery_parse(rows[i].in, &d), rows[i].e);
		if (rows[i].e != E_OK)
			continue;
		assert_int_equal(d.aid_len, 11);
		assert_true(d.app_pin);
		assert_int_equal(d.global_pin, rows[i].global);
		assert_int_equal(d.global_primary, rows[i].primary);
	}
}

/* --- Key History --- */

static void
test_history(void **state)
{
	struct piv_history h;
	WBUF_AUTO w;

	(void)state;
	assert_ok(piv_history_parse(S("\xC1\x01\x05\xC2\x01\x02\xF3\x0Ahttp://a/b\xFE\x00"), &h));
	assert_int_equal(h.on_card, 5);
	assert_int_equal(h.off_card, 2);
	assert_string_equal(h.url, "http://a/b");
	assert_ok(piv_history_parse(S("\xC1\x01\x00\xC2\x01\x00\xF3\x00\xFE\x00"), &h));
	assert_string_equal(h.url, "");
	assert_err(piv_history_parse(S("\xC1\x01\x15\xC2\x01\x00"), &h), E_PROTO);
	assert_err(piv_history_parse(S("\xC1\x01\x0B\xC2\x01\x0A"), &h), E_PROTO); /* 21 */
	assert_err(piv_history_parse(S("\xC1\x02\x00\x01"), &h), E_PROTO);
	assert_err(piv_history_parse(S("\xC1\x01\x05\xF3\x04http\x00"), &h), E_OK);
	assert_err(piv_history_parse(S("\xF3\x03"
				       "a\x00"
				       "b"),
		       &h),
	    E_PROTO);
	assert_err(piv_history_parse(S("\xF3\x03"
				       "a b"),
		       &h),
	    E_PROTO);
	assert_err(piv_history_parse(S("\xF3\x03"
				       "a\nb"),
		       &h),
	    E_PROTO);

	/* CVE-2026-40510: a URL longer than its container may be */
	wbuf_init(&w, 1000);
	tlv_put(&w, 0xF3, "x", 1);
	wbuf_clear(&w);
	{
		size_t m = tlv_open(&w, 0xF3);

		wbuf_fill(&w, 'u', 118);
		tlv_close(&w, m);
		assert_ok(piv_history_parse(wbuf_view(&w), &h));
		assert_int_equal(strlen(h.url), 118);
		wbuf_clear(&w);
		m = tlv_open(&w, 0xF3);
		wbuf_fill(&w, 'u', 119);
		tlv_close(&w, m);
		assert_err(piv_history_parse(wbuf_view(&w), &h), E_PROTO);
		assert_string_equal(h.url, "");
	}
}

/* --- certificates --- */

static void
pack(int window, struct span in, struct wbuf *out)
{
	z_stream z = { 0 };
	uint8_t *room = wbuf_room(out, 1 << 20);

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = room;
	z.avail_out = 1 << 20;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	wbuf_cut(out, z.total_out);
	deflateEnd(&z);
}

static void
container(struct wbuf *w, struct span cert, int info)
{
	wbuf_clear(w);
	tlv_put(w, 0x70, cert.p, cert.n);
	if (info >= 0)
		tlv_put_u8(w, 0x71, (uint8_t)info);
	tlv_put(w, 0xFE, NULL, 0);
}

#define DER "\x30\x05\x02\x03\x01\x02\x03"

static void
expect_cert(struct wbuf *w, enum err want)
{
	WBUF_AUTO der;

	wbuf_init(&der, PIV_OBJ_MAX);
	assert_err(piv_cert_parse(wbuf_view(w), &der), want);
	if (want == E_OK)
		assert_bytes(wbuf_view(&der), DER);
}

static void
test_cert(void **state)
{
	WBUF_AUTO w;
	WBUF_AUTO z;

	(void)state;
	wbuf_init(&w, 2 << 20);
	wbuf_init(&z, 2 << 20);
	container(&w, S(DER), 0);
	expect_cert(&w, E_OK);
	container(&w, S(DER), -1); /* no CertInfo */
	expect_cert(&w, E_OK);
	container(&w, S(DER "\x00\x00\x00"), 0); /* padding behind the certificate */
	expect_cert(&w, E_OK);
	container(&w, S(DER "\xFF\xFF"), 0);
	expect_cert(&w, E_OK);
	pack(15 + 16, S(DER), &z); /* gzip */
	container(&w, wbuf_view(&z), 1);
	expect_cert(&w, E_OK);
	container(&w, wbuf_view(&z), 0); /* compressed, and not said so */
	expect_cert(&w, E_OK);
	wbuf_cut(&z, z.n - 6);
	container(&w, wbuf_view(&z), 1);
	expect_cert(&w, E_PROTO); /* half a checksum is damage, too */
	wbuf_cut(&z, 12);
	container(&w, wbuf_view(&z), 1);
	expect_cert(&w, E_PROTO);
	wbuf_clear(&z);
	pack(15, S(DER), &z); /* zlib */
	container(&w, wbuf_view(&z), 1);
	expect_cert(&w, E_OK);

	container(&w, SPAN_NONE, 0);
	expect_cert(&w, E_NOTFOUND);
	wbuf_clear(&w);
	tlv_put(&w, 0x71, "\x00", 1);
	expect_cert(&w, E_NOTFOUND);
	container(&w, S("\x31\x00"), 0);
	expect_cert(&w, E_PROTO);
	container(&w, S("\x30\x82\x10\x00\x00"), 0); /* longer than it is */
	expect_cert(&w, E_PROTO);
	container(&w, S(DER), 1); /* said to be compressed, and is not */
	expect_cert(&w, E_PROTO);
}

/* A kilobyte that expands to a megabyte. */
static void
test_cert_bomb(void **state)
{
	WBUF_AUTO big;
	WBUF_AUTO z;
	WBUF_AUTO w;

	(void)state;
	wbuf_init(&big, 2 << 20);
	wbuf_init(&z, 2 << 20);
	wbuf_init(&w, 2 << 20);
	wbuf_put(&big, "\x30\x83\x0F\xFF\xFB", 5);
	wbuf_fill(&big, 0, (1 << 20) - 5);
	pack(15 + 16, wbuf_view(&big), &z);
	assert_true(z.n < 4096);
	container(&w, wbuf_view(&z), 1);
	expect_cert(&w, E_PROTO);
}

/* --- objects --- */

static void
test_object(void **state)
{
	static const struct {
		uint32_t tag;
		struct span in;
		enum err e;
		size_t len;
	} rows[] = {
		{ PIV_OBJ_CCC, IN("\x53\x02\x01\x02"), E_OK, 2 },
		{ PIV_OBJ_CCC, IN("\x53\x02\x01\x02\x00\x00"), E_OK, 2 },
		{ PIV_OBJ_CCC, IN("\x53\x02\x01\x02\x03"), E_PROTO, 0 },
		{ PIV_OBJ_CCC, IN("\x53\x03\x01\x02"), E_PROTO, 0 },
		{ PIV_OBJ_CCC, IN("\x54\x02\x01\x02"), E_PROTO, 0 },
		{ PIV_OBJ_CCC, IN("\x53\x00"), E_NOTFOUND, 0 },
		{ PIV_OBJ_CCC, IN("\x53\x02\xFE\x00"), E_NOTFOUND, 2 },
		{ PIV_OBJ_CCC, IN(""), E_NOTFOUND, 0 },
		{ PIV_OBJ_DISCOVERY, IN("\x7E\x02\x4F\x00"), E_OK, 2 },
		{ PIV_OBJ_DISCOVERY, IN("\x53\x02\x4F\x00"), E_PROTO, 0 },
		{ 0x7F61, IN("\x7F\x61\x03\x02\x01\x00"), E_OK, 3 },
	};
	struct span contents;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_err(piv_object_parse(rows[i].tag, rows[i].in, &contents), rows[i].e);
		assert_int_equal(contents.n, rows[i].len);
	}
}

/* --- algorithms and tables --- */

static void
test_alg_of_spki(void **state)
{
	static const struct {
		const char *type, *detail;
		enum piv_alg alg;
	} rows[] = {
		{ "RSA", "1024", PIV_ALG_RSA1024 },
		{ "RSA", "2048", PIV_ALG_RSA2048 },
		{ "RSA", "1536", PIV_ALG_NONE },
		{ "EC", "P-256", PIV_ALG_P256 },
		{ "EC", "P-384", PIV_ALG_P384 },
		{ "EC", "P-521", PIV_ALG_NONE },
		{ "ED25519", NULL, PIV_ALG_ED25519 },
		{ "X25519", NULL, PIV_ALG_X25519 },
		{ "ED448", NULL, PIV_ALG_NONE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned char *der = NULL;
		EVP_PKEY *key;
		int n;

		if (strcmp(rows[i].type, "RSA") == 0)
			key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(rows[i].detail));
		else if (strcmp(rows[i].type, "EC") == 0)
			key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", rows[i].detail);
		else
			key = EVP_PKEY_Q_keygen(NULL, NULL, rows[i].type);
		assert_non_null(key);
		n = i2d_PUBKEY(key, &der);
		assert_true(n > 0);
		assert_int_equal(piv_alg_of_spki(span_of(der, (size_t)n)), rows[i].alg);
		assert_int_equal(piv_alg_of_spki(span_of(der, (size_t)n - 1)), PIV_ALG_NONE);
		assert_int_equal(piv_alg_of_cert(span_of(der, (size_t)n)), PIV_ALG_NONE);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
	assert_int_equal(piv_alg_of_spki(SPAN_NONE), PIV_ALG_NONE);
	assert_int_equal(piv_alg_of_cert(SPAN_NONE), PIV_ALG_NONE);
}

/* SP 800-73-5 part 1, tables 3 and 4: the retired keys follow formulas; nothing appears twice. */
static void
test_key_table(void **state)
{
	const struct piv_key_info *k, *other;
	size_t i, j, n;

	(void)state;
	for (n = 0; (k = piv_key_row(n)) != NULL; n++) {
		assert_ptr_equal(piv_key_find(k->ref), k);
		assert_string_equal(piv_object_name(k->cert_tag), k->use);
		for (j = 0; j < n; j++) {
			other = piv_key_row(j);
			assert_true(other->ref != k->ref && other->cert_tag != k->cert_tag);
			assert_string_not_equal(other->use, k->use);
		}
	}
	assert_int_equal(n, 24);
	for (i = 1; i <= 20; i++) {
		k = piv_key_find((uint8_t)(0x81 + i));
		assert_non_null(k);
		assert_int_equal(k->cert_tag, 0x5FC10C + i);
		assert_true(k->decrypt && k->pin && !k->pin_always);
	}
	assert_true(piv_key_find(PIV_KEY_9C)->pin_always);
	assert_false(piv_key_find(PIV_KEY_9E)->pin);
	assert_null(piv_key_find(PIV_KEY_9B));
	assert_null(piv_key_row(SIZE_MAX));
}

static void
test_status_words(void **state)
{
	static const struct {
		uint16_t sw;
		enum err e;
	} rows[] = { { 0x6982, E_AUTH }, { 0x6983, E_PINLOCKED }, { 0x63C2, E_PIN }, { 0x6302, E_PIN },
		{ 0x6A82, E_NOTFOUND }, { 0x6A88, E_NOTFOUND }, { 0x6A84, E_NOSPACE }, { 0x6D00, E_UNSUP },
		{ 0x6A80, E_SW }, { 0x1234, E_SW }, { 0x0000, E_SW }, { 0xFFFF, E_SW } };
	struct piv_card card = { .name = "Reader: PIV card" };
	char hex[8];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		card.sw = rows[i].sw;
		assert_err(piv_refused(&card, "doing"), rows[i].e);
		snprintf(hex, sizeof hex, "%04X", rows[i].sw);
		assert_says(hex);
		assert_says("Reader: PIV card: doing");
	}
	assert_int_equal(piv_sw_tries(0x63C5), 5);
	assert_int_equal(piv_sw_tries(0x63C0), 0);
	assert_int_equal(piv_sw_tries(0x6305), 5);
	assert_int_equal(piv_sw_tries(0x6300), -1);
	assert_int_equal(piv_sw_tries(0x6983), 0);
	assert_int_equal(piv_sw_tries(0x9000), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chuid),
		cmocka_unit_test(test_chuid_prefix),
		cmocka_unit_test(test_discovery),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_cert),
		cmocka_unit_test(test_cert_bomb),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_alg_of_spki),
		cmocka_unit_test(test_key_table),
		cmocka_unit_test(test_status_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
