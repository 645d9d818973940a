/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Card images: what loads and what is refused, and that generated keys, written objects, changed PINs and used
 * tries are there again after saving and loading. Saving is atomic and private.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

static struct vcard *
again(struct vcard *vc)
{
	char *text = vcard_to_json(vc), why[VCARD_WHY] = "";
	struct vcard *copy = vcard_from_json(text, why);

	if (!copy)
		fail_msg("%s", why);
	free(text);
	vcard_free(vc);
	return copy;
}

static void
test_survives(void **state)
{
	struct vcard *vc = card_fixture("\"extended\": true, \"notes\": [\"kept\"], \"max_object\": 4000");
	static const struct step change[] = {
		{ "0047009D05 AC03800114 00", "*9000" },
		{ "00DB3FFF09 5C035FC107 5302FE00", "9000" },
		{ "0024008010 313233343536FFFF 3938373635343332", "9000" },
		{ "0024008110 3132333435363738 FF01020304050600", "9000" },
		{ VERIFY_BAD, "63C2" },
		{ VERIFY_BAD, "63C1" },
		{ NULL, NULL },
	};
	static const struct step check[] = {
		{ VERIFY_EMPTY, "63C1" },
		{ "0020008008 3938373635343332", "9000" },
		{ "00CB3FFF05 5C035FC107 00", "5302FE009000" },
		{ "00CB3FFF000005 5C035FC102 0000", "53820128*9000" },
		{ "0087149D26 7C2482008120 000102030405060708090A0B0C0D0E0F000102030405060708090A0B0C0D0E0F 00",
		    "6A80" },
		{ "0087079D26 7C2482008120 000102030405060708090A0B0C0D0E0F000102030405060708090A0B0C0D0E0F 00",
		    "6A86" },
		{ "002C008010 FF01020304050600 313233343536FFFF", "9000" },
		{ "0020FF80", "9000" },
		{ "00CB3FFF05 5C035FC103 00", "6982" }, /* the access rule of an absent object */
		{ NULL, NULL },
	};
	char *text;

	(void)state;
	card_admin(vc, NULL, 0x03);
	card_play(vc, change);
	vc = again(again(vc));
	card_play(vc, check);
	text = vcard_to_json(vc);
	assert_non_null(strstr(text, "kept"));
	assert_non_null(strstr(text, "4000"));
	free(text);
	vcard_free(vc);
}

static void
test_save(void **state)
{
	char dir[] = "/tmp/test_vcard_image.XXXXXX", path[64], why[VCARD_WHY];
	struct vcard *vc = card_fixture(""), *copy;
	static const struct step bad[] = { { VERIFY_BAD, "63C2" }, { NULL, NULL } },
				 still[] = { { VERIFY_EMPTY, "63C2" }, { NULL, NULL } };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/card.json", dir);
	assert_false(vcard_dirty(vc));
	card_play(vc, bad);
	assert_true(vcard_dirty(vc));
	assert_true(vcard_save(vc, path, why));
	assert_false(vcard_dirty(vc));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	copy = vcard_load(path, why);
	assert_non_null(copy);
	card_play(copy, still);
	vcard_free(copy);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left in it */
	assert_false(vcard_save(vc, path, why));
	assert_non_null(strstr(why, path));
	assert_null(vcard_load(path, why));
	vcard_free(vc);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} images[] = {
		{ "", "line" },
		{ "[]", "not a card image" },
		{ "{\"format\": \"piv-image-2\"}", "not a card image" },
		{ "{\"format\": \"piv-image-1\"}", "no pin" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456789\"}", "pin" },
		{ "{\"format\": \"piv-image-1\", \"pin\": 123456}", "pin" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"pin_tries_left\": 4}", "pin" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"pin\": \"123456\"}", "duplicate" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"extendet\": true}", "unknown key extendet" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"extended\": 1}", "extended" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"memory\": -1}", "memory" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"atr\": \"3B\"}", "atr" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"aid\": \"A0000003080\"}", "aid" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"mgmt_key\": \"0102\"}", "mgmt" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"mgmt_alg\": \"08\"}", "mgmt" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"objects\": {\"XY\": \"5300\"}}", "object XY" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"objects\": {\"7E\": \"5\"}}", "object 7E" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"read_pin\": [1]}", "read_pin" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"keys\": {\"9A\": {\"alg\": \"07\"}}}",
		    "key 9A" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"keys\": {\"99\": {\"alg\": \"07\", \"pem\": "
		  "\"\"}}}",
		    "key 99" },
		{ "{\"format\": \"piv-image-1\", \"pin\": \"123456\", \"yubikey\": true, \"version\": \"new\"}",
		    "version" },
	};
	char why[VCARD_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
		*why = 0;
		assert_null(vcard_from_json(images[i].text, why));
		if (!strstr(why, images[i].says))
			fail_msg("row %zu: no \"%s\" in: %s", i, images[i].says, why);
		assert_null(vcard_from_json(images[i].text, NULL));
	}
}

/* Every option away from its default is there again. */
static void
test_options_saved(void **state)
{
	static const char *const rows[] = { "\"extended\": true", "\"select_default\": false",
		"\"format_costs_try\": true", "\"le_required\": false", "\"max_object\": 77", "\"memory\": 777777",
		"\"pin_tries\": 7", "\"puk_tries\": 9", "\"pin_tries_left\": 0", "\"atr\": \"3B00\"",
		"\"aid\": \"A000000308000020000100\"", "\"mgmt_alg\": \"0A\"" };
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct vcard *vc = again(card_fixture(rows[i]));

		text = vcard_to_json(vc);
		if (!strstr(text, rows[i]))
			fail_msg("lost: %s", rows[i]);
		free(text);
		vcard_free(vc);
	}
}

static void
test_atr(void **state)
{
	struct vcard *vc = card_fixture(""), *wide = card_fixture("\"extended\": true");
	uint8_t atr[33], check = 0;
	size_t n = vcard_atr(vc, atr, sizeof atr);

	(void)state;
	assert_true(n > 5 && atr[0] == 0x3B);
	for (size_t i = 1; i < n; i++)
		check ^= atr[i];
	assert_int_equal(check, 0);
	assert_int_equal(atr[8] & 0x40, 0);
	assert_int_equal(vcard_atr(vc, atr, 4), 4);
	vcard_atr(wide, atr, sizeof atr);
	assert_int_equal(atr[8] & 0x40, 0x40);
	vcard_free(vc);
	vcard_free(wide);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_save),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_options_saved),
		cmocka_unit_test(test_atr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
