/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GENERAL AUTHENTICATE with private keys on the virtual card (SP 800-73-5 Part 2, 3.2.4 and appendix A): which key
 * answers to which algorithm and template, the PIN rules, above all "PIN always"; results are verified with EVP.
 * Every row is one rule.
 */
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define D16    "000102030405060708090A0B0C0D0E0F"
#define D32    D16 D16
#define D48    D32 D16
#define SIG256 "7C24 8200 8120" D32
#define SIG384 "7C34 8200 8130" D48
/* The P-256 base point and something that is not on the curve. */
#define G256                                                                                                           \
	"046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"                                           \
	"4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
#define OFF256 "04" D32 D32
#define ECDH   "7C45 8200 8541"

static void
play(const char *extra, const struct step *steps)
{
	struct vcard *vc = card_fixture(extra);

	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_pin_rules(void **state)
{
	static const struct step steps[] = {
		{ "0087149E36" SIG384 "00", "7C*9000" }, /* 9E: no PIN */
		{ "0087118247" ECDH G256 "00", "6982" }, /* retired keys: PIN */
		{ "0087119C26" SIG256 "00", "6982" },
		{ "0087079A06 7C0482008100 00", "6982" },
		{ "0087079D06 7C0482008100 00", "6982" },
		{ VERIFY_OK, "9000" },
		{ "0087118247" ECDH G256 "00", "7C228220*9000" },
		{ "0087118247" ECDH G256 "00", "7C228220*9000" }, /* once is enough */
		{ "0020FF80", "9000" },
		{ "0087118247" ECDH G256 "00", "6982" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

/* SP 800-73-5 Part 1, 5.1: VERIFY must come immediately before. Whatever else was in between takes it away. */
static void
test_pin_always(void **state)
{
	static const char *const between[] = { VERIFY_EMPTY, GET_CHUID, SELECT_PIV, "00C0000000",
		"0087149E36" SIG384 "00", "0087118247" ECDH G256 "00", "0070000000", "00CB",
		"00A4040009 A00000030800009900 00", "80CB3FFF00", "1087149E10000102030405060708090A0B0C0D0E0F",
		"0087119B04 7C028100 00" };
	struct vcard *vc = card_fixture("");
	static const struct step good[] = {
		{ VERIFY_OK, "9000" },
		{ "0087119C26" SIG256 "00", "7C*9000" },
		{ "0087119C26" SIG256 "00", "6982" }, /* used up */
		{ VERIFY_EMPTY, "9000" },	      /* although the PIN is still verified */
		{ VERIFY_OK, "9000" },
		{ "1087119C14 7C24 8200 8120"
		  "000102030405060708090A0B0C0D",
		    "9000" }, /* pieces of one command are one command */
		{ "0087119C12 0E0F" D16 "00", "7C*9000" },
		{ VERIFY_OK, "9000" },
		{ "0087119C26" SIG256, "61*" }, /* and GET RESPONSE comes after it */
		{ "00C0000000", "7C*9000" },
		{ VERIFY_OK, "9000" },
		{ "0087119C06 7C0482008100 00", "6A80" }, /* a failure uses it up too */
		{ "0087119C26" SIG256 "00", "6982" },
		{ VERIFY_OK, "9000" },
		{ "0087079C26" SIG256 "00", "6A86" },
		{ "0087119C26" SIG256 "00", "6982" },
		{ "0024008010 313233343536FFFF313233343536FFFF", "9000" }, /* verified, but not by VERIFY */
		{ "0087119C26" SIG256 "00", "6982" },
		{ NULL, NULL },
	};

	(void)state;
	card_play(vc, good);
	for (size_t i = 0; i < sizeof between / sizeof *between; i++)
		card_play(vc,
		    (const struct step[]){ { VERIFY_OK, "9000" }, { between[i], "*" },
			{ "0087119C26" SIG256 "00", "6982" }, { NULL, NULL } });
	vcard_free(vc);
}

static void
test_references(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_OK, "9000" },
		{ "0087119A26" SIG256 "00", "6A86" }, /* another algorithm than the key's */
		{ "0087119E26" SIG256 "00", "6A86" },
		{ "0087059A26" SIG256 "00", "6A86" },
		{ "0087169A26" SIG256 "00", "6A86" },
		{ "0087118526" SIG256 "00", "6A86" }, /* empty slot */
		{ "0087119626" SIG256 "00", "6A86" }, /* no such reference */
		{ "0087110426" SIG256 "00", "6A86" },
		{ "008711F926" SIG256 "00", "6A86" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_templates(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_OK, "9000" },
		{ "0087149E36 7C34 8130" D48 "8200 00", "7C*9000" }, /* the order does not matter */
		{ "0087149E34 7C32 8130" D48 "00", "6A80" },	     /* nowhere to put the response */
		{ "0087149E37 7C35 820100 8130" D48 "00", "6A80" },
		{ "0087149E26" SIG256 "00", "6A80" }, /* digest shorter than the field */
		{ "0087149E38 7C36 8200 8132" D48 "FFFF 00", "6A80" },
		{ "0087149E02 7C00 00", "6A80" },
		{ "0087149E 00", "6A80" },
		{ "0087149E38 7C36 8200 8200 8130" D48 "00", "6A80" }, /* twice */
		{ "0087149E38 7C36 8200 8300 8130" D48 "00", "6A80" }, /* unknown element */
		{ "0087149E37" SIG384 "FF 00", "6A80" },
		{ "0087149E37 7C8134 8200 8130" D48 "00", "6A80" }, /* not the shortest length */
		{ "0087149E36 7D34 8200 8130" D48 "00", "6A80" },
		{ "0087149E47" ECDH G256 "00", "6A80" }, /* 9E does not agree keys */
		{ "0087118226" SIG256 "00", "6A80" },	 /* retired keys do not sign */
		{ "0087118247" ECDH OFF256 "00", "6A80" },
		{ "0087118246 7C44 8200 8540" D32 D32 "00", "6A80" },
		{ "0087118227 7C25 8200 8521 02" D32 "00", "6A80" }, /* compressed */
		{ "0087079D47" ECDH G256 "00", "6A80" },
		{ "0087079A26" SIG256 "00", "6A80" }, /* a block shorter than the modulus */
		{ "0087149E04 7C028100 00", "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

static EVP_PKEY *
key_of(struct vcard *vc, const char *ref)
{
	char *text = vcard_to_json(vc);
	json_t *root = json_loads(text, 0, NULL);
	const char *pem =
	    json_string_value(json_object_get(json_object_get(json_object_get(root, "keys"), ref), "pem"));
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	assert_non_null(key);
	BIO_free(bio);
	json_decref(root);
	free(text);
	return key;
}

static void
test_ecdsa_verifies(void **state)
{
	struct vcard *vc = card_fixture("");
	EVP_PKEY *key = key_of(vc, "9C");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	uint8_t digest[32];
	size_t n;

	(void)state;
	for (uint8_t i = 0; i < 32; i++)
		digest[i] = i % 16;
	card_play(vc, (const struct step[]){ { VERIFY_OK, "9000" }, { NULL, NULL } });
	n = card_send(vc, "0087119C26" SIG256 "00", rsp);
	assert_true(n > 6 && rsp[0] == 0x7C && rsp[2] == 0x82);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	assert_int_equal(EVP_PKEY_verify(ctx, rsp + 4, rsp[3], digest, 32), 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	vcard_free(vc);
}

/* Raw RSA, chained, one answer of 264 bytes: the block comes back when the public key is applied. */
static void
test_rsa_raw(void **state)
{
	struct vcard *vc = card_fixture("");
	EVP_PKEY *key = key_of(vc, "9A");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	uint8_t sig[256], block[256], back[256];
	char first[600], last[80], *p;
	size_t n = sizeof back;

	(void)state;
	for (int i = 0; i < 256; i++)
		block[i] = i ? (uint8_t)(i * 7) : 0;
	p = first + sprintf(first, "1087079AFF7C8201068200 81820100");
	for (int i = 0; i < 255 - 10; i++)
		p += sprintf(p, "%02X", block[i]);
	p = last + sprintf(last, "0087079A0B");
	for (int i = 245; i < 256; i++)
		p += sprintf(p, "%02X", block[i]);
	sprintf(p, "00");
	card_play(vc, (const struct step[]){ { VERIFY_OK, "9000" }, { first, "9000" }, { NULL, NULL } });
	assert_int_equal(card_send(vc, last, rsp), 258);
	assert_memory_equal(rsp, "\x7C\x82\x01\x04\x82\x82\x01\x00", 8);
	assert_memory_equal(rsp + 256, "\x61\x08", 2);
	memcpy(sig, rsp + 8, 248);
	assert_int_equal(card_send(vc, "00C0000008", rsp), 10);
	memcpy(sig + 248, rsp, 8);
	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, back, &n, sig, sizeof sig), 1);
	assert_memory_equal(back, block, 256);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	vcard_free(vc);
}

/* A block as large as the modulus or larger is no block. */
static void
test_rsa_too_large(void **state)
{
	struct vcard *vc = card_fixture("");
	char first[600], *p = first + sprintf(first, "1087079AFF7C8201068200 81820100");

	(void)state;
	for (int i = 0; i < 255 - 10; i++)
		p += sprintf(p, "FF");
	card_play(vc,
	    (const struct step[]){ { VERIFY_OK, "9000" }, { first, "9000" },
		{ "0087079A0B FFFFFFFFFFFFFFFFFFFFFF 00", "6A80" }, { NULL, NULL } });
	vcard_free(vc);
}

static void
test_ecdh(void **state)
{
	struct vcard *vc = card_fixture("");
	EVP_PKEY *key = key_of(vc, "82");
	uint8_t point[65];
	size_t n;
	static uint8_t rsp[VCARD_RESPONSE_MAX];

	(void)state;
	/* With the base point as the other side, Z is the X coordinate of the card's own public key. */
	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
	card_play(vc, (const struct step[]){ { VERIFY_OK, "9000" }, { NULL, NULL } });
	assert_int_equal(card_send(vc, "0087118247" ECDH G256 "00", rsp), 38);
	assert_memory_equal(rsp, "\x7C\x22\x82\x20", 4);
	assert_memory_equal(rsp + 4, point + 1, 32);
	EVP_PKEY_free(key);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pin_rules),
		cmocka_unit_test(test_pin_always),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_ecdsa_verifies),
		cmocka_unit_test(test_rsa_raw),
		cmocka_unit_test(test_rsa_too_large),
		cmocka_unit_test(test_ecdh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
