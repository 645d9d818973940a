/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays tables of command and expected response to a virtual card, and makes the card that the tables are written
 * for. A step that goes wrong is shown with its number, command and response.
 */
#include <ctype.h>
#include <stdio.h>

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define HEX_MAX 20000

static size_t
unhex(const char *s, uint8_t *out)
{
	size_t n = 0;
	unsigned v;

	for (; *s; s += 2) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		if (sscanf(s, "%2x", &v) != 1 || !isxdigit((unsigned char)s[1]))
			fail_msg("not hexadecimal: %s", s);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static void
hex(const uint8_t *p, size_t n, char *out)
{
	*out = 0;
	for (size_t i = 0; i < n && i < HEX_MAX / 2; i++)
		out += sprintf(out, "%02X", p[i]);
}

static bool
matches(const char *got, const char *want)
{
	char plain[HEX_MAX];
	const char *star;
	size_t n = 0, len = strlen(got);

	for (; *want; want++)
		if (*want != ' ')
			plain[n++] = (char)toupper((unsigned char)*want);
	plain[n] = 0;
	star = strchr(plain, '*');
	if (!star)
		return strcmp(got, plain) == 0;
	return len >= n - 1 && strncmp(got, plain, (size_t)(star - plain)) == 0 &&
	    strcmp(got + len - strlen(star + 1), star + 1) == 0;
}

size_t
card_send(struct vcard *vc, const char *cmd, uint8_t *out)
{
	static uint8_t raw[HEX_MAX];
	size_t n = unhex(cmd, raw);
	uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees every byte read too many */
	size_t got;

	memcpy(exact, raw, n);
	got = vcard_transmit(vc, exact, n, out, VCARD_RESPONSE_MAX);
	free(exact);
	return got;
}

static bool
event(struct vcard *vc, const char *cmd)
{
	static const struct {
		const char *word;
		void (*run)(struct vcard *);
	} events[] = { { "reset", vcard_reset }, { "other", vcard_other_program }, { "remove", vcard_remove },
		{ "insert", vcard_insert } };

	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (strcmp(cmd, events[i].word) == 0) {
			events[i].run(vc);
			return true;
		}
	return false;
}

void
card_play(struct vcard *vc, const struct step *step)
{
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	static char got[HEX_MAX + 1];

	for (int i = 1; step->cmd; i++, step++) {
		if (event(vc, step->cmd))
			continue;
		hex(rsp, card_send(vc, step->cmd, rsp), got);
		if (!matches(got, step->want))
			fail_msg("step %d, %s: response %.200s, not %s", i, step->cmd, got, step->want);
	}
}

static json_t *
new_key(const char *alg, const char *type, const char *param)
{
	EVP_PKEY *key = strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)atoi(param))
						 : EVP_PKEY_Q_keygen(NULL, NULL, type, param);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	json_t *v;
	long n;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &pem);
	v = json_pack("{s:s, s:s#}", "alg", alg, "pem", pem, (int)n);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return v;
}

/* The keys are made once in a process: RSA takes its time. */
static json_t *
fixture_keys(void)
{
	static json_t *keys;

	if (!keys) {
		json_t *rsa = new_key("07", "RSA", "2048"), *ec = new_key("11", "EC", "P-256");

		keys = json_pack("{s:o, s:O, s:O, s:o, s:O, s:o, s:o}", "9A", rsa, "9D", rsa, "83", rsa, "9C", ec, "82",
		    ec, "9E", new_key("14", "EC", "P-384"), "84", new_key("06", "RSA", "1024"));
		assert_non_null(keys);
	}
	return keys;
}

/* Never freed while keys are cached: visible to the leak checker through the static. */
static json_t *
fixture_objects(void)
{
	char chuid[2 * 300 + 1], *p = chuid + sprintf(chuid, "538201283B820124");

	for (int i = 0; i < 292; i++)
		p += sprintf(p, "%02X", i & 0xFF);
	return json_pack("{s:s, s:s, s:s, s:s}", "7E", "7E124F0BA0000003080000100001005F2F024000", "5FC102", chuid,
	    "5FC109", "5307010548656C6C6F", "5FC105", "530770020102710100");
}

struct vcard *
card_fixture(const char *extra)
{
	char why[VCARD_WHY] = "", *text;
	json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:[s, s], s:O}", "format", "piv-image-1", "name",
	    "fixture", "pin", "123456", "puk", "12345678", "pin_tries", 3, "objects", fixture_objects(), "read_pin",
	    "5FC109", "5FC103", "keys", fixture_keys());
	json_t *more;
	struct vcard *vc;

	assert_true(asprintf(&text, "{%s}", extra) > 0);
	more = json_loads(text, 0, NULL);
	assert_non_null(more);
	json_object_update(root, more);
	free(text);
	text = json_dumps(root, 0);
	if (!(vc = vcard_from_json(text, why)))
		fail_msg("the fixture does not load: %s", why);
	free(text);
	json_decref(more);
	json_decref(root);
	return vc;
}

const uint8_t card_demo_key[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8 };

void
card_encrypt(uint8_t alg, const uint8_t *key, const uint8_t *in, uint8_t *out)
{
	static const char *const names[] = {
		[0x03] = "DES-EDE3-ECB", [0x08] = "AES-128-ECB", [0x0A] = "AES-192-ECB", [0x0C] = "AES-256-ECB"
	};
	EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, names[alg], NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	assert_int_equal(EVP_EncryptInit_ex2(ctx, c, key, NULL, NULL), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, in, alg == 0x03 ? 8 : 16), 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
}

void
card_admin(struct vcard *vc, const uint8_t *key, uint8_t alg)
{
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	uint8_t answer[16];
	char cmd[128], digits[33];
	size_t block = alg == 0x03 ? 8 : 16, n;

	sprintf(cmd, "0087%02X9B04 7C028100 00", alg);
	n = card_send(vc, cmd, rsp);
	assert_int_equal(n, 4 + block + 2);
	card_encrypt(alg, key ? key : card_demo_key, rsp + 4, answer);
	hex(answer, block, digits);
	sprintf(cmd, "0087%02X9B%02zX 7C%02zX82%02zX %s", alg, block + 4, block + 2, block, digits);
	card_play(vc, (const struct step[]){ { cmd, "9000" }, { NULL, NULL } });
}
