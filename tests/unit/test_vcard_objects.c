/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GET DATA and PUT DATA on the virtual card (SP 800-73-5 Part 2, 3.1.2 and 3.3.1) after
 * authentication with the management key. Every row is one rule.
 */
#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define GET_PRINTED "00CB3FFF05 5C035FC109 00"
#define GET_FINGERS "00CB3FFF05 5C035FC103 00"

static void
test_get(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = {
		{ "00CB3FFF03 5C017E 00", "7E124F0BA0000003080000100001005F2F0240009000" },
		{ GET_CHUID, "53820128*612C" },
		{ "00CB3FFF05 5C035FC107 00", "6A82" }, /* not on this card */
		{ "00CB3FFF05 5C035FC1FF 00", "6A82" }, /* on no card */
		{ "00CB3FFF04 5C027F61 00", "6A82" },
		{ GET_PRINTED, "6982" },
		{ GET_FINGERS, "6982" }, /* absent and protected: the rule comes first */
		{ VERIFY_OK, "9000" },
		{ GET_PRINTED, "5307010548656C6C6F9000" },
		{ GET_PRINTED, "*9000" }, /* one VERIFY lasts */
		{ GET_FINGERS, "6A82" },
		{ "0020FF80", "9000" },
		{ GET_PRINTED, "6982" },
		{ "00CB00FF05 5C035FC102 00", "6A86" },
		{ "00CB3F0005 5C035FC102 00", "6A86" },
		{ "00CB3FFF", "6A80" },
		{ "00CB3FFF02 5C00 00", "6A80" },
		{ "00CB3FFF06 5C045FC10200 00", "6A80" },
		{ "00CB3FFF06 5C035FC10200 00", "6A80" }, /* bytes behind the tag list */
		{ "00CB3FFF06 5C81035FC102 00", "6A80" }, /* not the shortest length */
		{ "00CB3FFF05 53035FC102 00", "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_put(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step before[] = { { "00DB3FFF09 5C035FC107 5302FE00", "6982" }, { VERIFY_OK, "9000" },
		{ "00DB3FFF09 5C035FC107 5302FE00", "6982" }, { NULL, NULL } };
	static const struct step steps[] = {
		{ "00DB3FFF09 5C035FC107 5302FE00", "9000" },
		{ "00CB3FFF05 5C035FC107 00", "5302FE009000" },
		{ "00DB3FFF07 5C035FC107 5300", "9000" },
		{ "00CB3FFF05 5C035FC107 00", "53009000" }, /* an empty container stays one */
		{ "00DB3FFF04 7E025F2F", "9000" },	    /* bare templates */
		{ "00CB3FFF03 5C017E 00", "7E025F2F9000" },
		{ "00DB3FFF06 7F6103020100", "9000" },
		{ "00CB3FFF04 5C027F61 00", "7F61030201009000" },
		{ "00DB3FFF05 5C017E 5300", "6A80" }, /* but not behind a tag list */
		{ "00DB3FFF09 5C035FC124 5302FE00", "6A81" },
		{ "00DB3FFF09 5C035FFF00 5302FE00", "6A81" },
		{ "00DB3FFF05 5C035FC107", "6A80" },
		{ "00DB3FFF09 5C035FC107 5303FE00", "6A80" },
		{ "00DB3FFF09 5C035FC107 5301FE00", "6A80" },
		{ "00DB3FFF09 5C035FC107 5402FE00", "6A80" },
		{ "00DB3FFF09 53025FC1 5C035FC107", "6A80" },
		{ "00DB3FFE09 5C035FC107 5302FE00", "6A86" },
		{ "00DB3FFF09 5C035FC107 5302FE00 00", "6700" }, /* Le where no data comes back */
		{ "10DB3FFF05 5C035FC107", "9000" },		 /* chained */
		{ "10DB3FFF02 5303", "9000" },
		{ "00DB3FFF03 010203", "9000" },
		{ "00CB3FFF05 5C035FC107 00", "53030102039000" },
		{ "10DB3FFF05 5C035FC107", "9000" },
		{ GET_CHUID, "*612C" },
		{ "00DB3FFF05 5303040506", "6A80" }, /* rolled back */
		{ "00CB3FFF05 5C035FC107 00", "53030102039000" },
		{ "reset", "" },
		{ "00DB3FFF09 5C035FC107 5302FE00", "6982" },
		{ NULL, NULL },
	};

	(void)state;
	card_play(vc, before);
	card_admin(vc, NULL, 0x03);
	assert_false(vcard_dirty(vc));
	card_play(vc, steps);
	assert_true(vcard_dirty(vc));
	vcard_free(vc);
}

/* The global limits: of one object, of the whole memory. */
static void
test_put_limits(void **state)
{
	struct vcard *vc = card_fixture("\"max_object\": 16, \"memory\": 400");
	static const struct step steps[] = {
		{ "00DB3FFF15 5C035FC107 530E 0102030405060708090A0B0C0D0E", "9000" },
		{ "00DB3FFF16 5C035FC107 530F 0102030405060708090A0B0C0D0E0F", "6A84" },
		{ "00CB3FFF05 5C035FC107 00", "530E0102*9000" },
		{ "00DB3FFF16 5C035FC108 530F 0102030405060708090A0B0C0D0E0F", "9000" }, /* the face may be larger */
		{ NULL, NULL },
	};
	char big[2 * 80 + 64];
	struct step full[] = { { big, "6A84" }, { NULL, NULL } };
	char *p = big + sprintf(big, "00DB3FFF4B 5C035FC108 5344");

	(void)state;
	for (int i = 0; i < 0x44; i++)
		p += sprintf(p, "AA");
	card_admin(vc, NULL, 0x03);
	card_play(vc, steps);
	card_play(vc, full);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_put_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
