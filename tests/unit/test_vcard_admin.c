/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The management key of the virtual card (SP 800-73-5 Part 2, appendix A.1 and A.2), external and mutual
 * authentication with every algorithm, and GENERATE ASYMMETRIC KEY PAIR (3.3.2), which needs it.
 */
#include <stdio.h>

#include <openssl/evp.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

static const uint8_t key[32] = { 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18, 0x29, 0x3A, 0x4B, 0x5C, 0x6D, 0x7E,
	0x8F, 0x90, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0x01 };

static const struct {
	uint8_t alg;
	size_t key, block;
} algs[] = { { 0x03, 24, 8 }, { 0x08, 16, 16 }, { 0x0A, 24, 16 }, { 0x0C, 32, 16 } };

#define GENERATE_9E "0047009E05 AC03800111 00"

static void
print(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		out += sprintf(out, "%02X", p[i]);
}

static struct vcard *
card_with(size_t i)
{
	char digits[65], extra[160];

	print(key, algs[i].key, digits);
	sprintf(extra, "\"mgmt_key\": \"%s\", \"mgmt_alg\": \"%02X\"", digits, algs[i].alg);
	return card_fixture(extra);
}

static void
test_external(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		struct vcard *vc = card_with(i);

		card_play(vc, (const struct step[]){ { GENERATE_9E, "6982" }, { NULL, NULL } });
		card_admin(vc, key, algs[i].alg);
		card_play(vc, (const struct step[]){ { GENERATE_9E, "7F49438641 04*9000" }, { NULL, NULL } });
		vcard_free(vc);
	}
}

/* A wrong answer: refused, and what was authenticated before is no longer. */
static void
test_external_wrong(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = {
		{ GENERATE_9E, "7F49*9000" },
		{ "0087039B04 7C028100 00", "7C0A8108*9000" },
		{ "0087039B0C 7C0A8208 0000000000000000", "6982" },
		{ GENERATE_9E, "6982" },
		{ "0087039B0C 7C0A8208 0000000000000000", "6985" }, /* without a challenge */
		{ "0087039B04 7C028100 00", "7C0A8108*9000" },
		{ "0087039B08 7C068204 00000000", "6982" },
		{ "0087089B04 7C028100 00", "6A86" },		       /* not this key's algorithm */
		{ "0087009B04 7C028100 00", "7C0A8108*9000" },	       /* 00 is 3DES too */
		{ "0087039B0C 7C0A8108 0000000000000000 00", "6A80" }, /* no internal authentication */
		{ "0087039B04 7C028200 00", "6A80" },
		{ "0087039B04 7C028500 00", "6A80" },
		{ "0087039B00", "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	card_admin(vc, NULL, 0x03);
	card_play(vc, steps);
	vcard_free(vc);
}

/* The challenge is for the very next command. */
static void
test_challenge_forgotten(void **state)
{
	struct vcard *vc = card_fixture("");
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	uint8_t answer[8];
	char digits[17], cmd[64];

	(void)state;
	assert_int_equal(card_send(vc, "0087039B04 7C028100 00", rsp), 14);
	card_encrypt(0x03, card_demo_key, rsp + 4, answer);
	print(answer, 8, digits);
	sprintf(cmd, "0087039B0C 7C0A8208 %s", digits);
	card_play(vc,
	    (const struct step[]){
		{ VERIFY_EMPTY, "63C3" }, { cmd, "6985" }, { GENERATE_9E, "6982" }, { NULL, NULL } });
	vcard_free(vc);
}

static void
mutual(size_t i, bool right, bool with_response)
{
	struct vcard *vc = card_with(i);
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	uint8_t witness[32], host[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 }, proof[16];
	char cmd[160], w[33], c[33], want[80], p[33];
	size_t block = algs[i].block, body = 2 * (block + 2) + (with_response ? 2 : 0);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL,
	    algs[i].alg == 3	    ? "DES-EDE3-ECB"
		: algs[i].alg == 8  ? "AES-128-ECB"
		: algs[i].alg == 10 ? "AES-192-ECB"
				    : "AES-256-ECB",
	    NULL);
	int n = 0;

	sprintf(cmd, "0087%02X9B04 7C028000 00", algs[i].alg);
	assert_int_equal(card_send(vc, cmd, rsp), 4 + block + 2);
	assert_int_equal(rsp[2], 0x80);
	EVP_DecryptInit_ex2(ctx, cipher, key, NULL, NULL);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_DecryptUpdate(ctx, witness, &n, rsp + 4, (int)block), 1);
	witness[0] ^= right ? 0 : 1;
	card_encrypt(algs[i].alg, key, host, proof);
	print(witness, block, w);
	print(host, block, c);
	print(proof, block, p);
	sprintf(cmd, "0087%02X9B%02zX 7C%02zX 80%02zX%s 81%02zX%s %s 00", algs[i].alg, body + 2, body, block, w, block,
	    c, with_response ? "8200" : "");
	sprintf(want, "7C%02zX82%02zX%s9000", block + 2, block, p);
	card_play(vc,
	    (const struct step[]){ { cmd, right ? want : "6982" }, { GENERATE_9E, right ? "7F49*9000" : "6982" },
		{ cmd, "6985" }, { NULL, NULL } });
	EVP_CIPHER_free(cipher);
	EVP_CIPHER_CTX_free(ctx);
	vcard_free(vc);
}

static void
test_mutual(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		mutual(i, true, true);
		mutual(i, true, false);
		mutual(i, false, true);
	}
}

static void
test_generate(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = {
		{ "0047009A05 AC03800107 00", "7F4982010981820100*610E" }, /* RSA-2048 */
		{ "00C0000000", "*82030100019000" },
		{ "0047009A05 AC03800114 00", "7F4963866104*9000" },
		{ "0047009A0A AC08800107 8103010001 00", "7F4982010981820100*610E" },
		{ "0047009A0A AC08800107 8103010000 00", "6A80" }, /* even exponent */
		{ "0047009A08 AC06800107 810103 00", "6A80" },	   /* three */
		{ "0047009A0A AC08800111 8103010001 00", "6A80" }, /* an exponent for EC */
		{ "0047009A05 AC03800106 00", "6A80" },		   /* RSA-1024 is not generated */
		{ "0047009A05 AC03800116 00", "6A80" },
		{ "0047009A05 AC03800127 00", "6A80" },
		{ "0047009A02 AC00 00", "6A80" },
		{ "0047009A08 AC06800111 AA0101 00", "6A80" }, /* Yubico's */
		{ "0047009A06 AC0380011100 00", "6A80" },
		{ "0047009A05 AD03800111 00", "6A80" },
		{ "0047008205 AC03800111 00", "6A86" }, /* retired keys are not generated */
		{ "0047000405 AC03800111 00", "6A86" },
		{ "0047009B05 AC03800111 00", "6A86" },
		{ "0047019A05 AC03800111 00", "6A86" },
		{ "0047009C05 AC03800111", "61*" }, /* no Le: no data */
		{ "00C0000000", "7F49438641*9000" },
		{ VERIFY_OK, "9000" },
		{ "0087119C26 7C2482008120 000102030405060708090A0B0C0D0E0F000102030405060708090A0B0C0D0E0F 00",
		    "7C*9000" },
		{ "reset", "" },
		{ GENERATE_9E, "6982" },
		{ NULL, NULL },
	};

	(void)state;
	card_admin(vc, NULL, 0x03);
	card_play(vc, steps);
	assert_true(vcard_dirty(vc));
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_external_wrong),
		cmocka_unit_test(test_challenge_forgotten),
		cmocka_unit_test(test_mutual),
		cmocka_unit_test(test_generate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
