/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SELECT on the virtual card: which names match, what happens to the security status, what follows a reset (SP
 * 800-73-5 Part 2, 3.1.1; SP 800-157r1, B.1.1). Every row is one rule.
 */
#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define PIV_TEMPLATE "6129 4F0BA000000308000010000100 79074F05A000000308 501164706976207669727475616C2063617264"
#define OTHER	     "00A404000B F064706976 2D6F74686572"

static void
play(const char *extra, const struct step *steps)
{
	struct vcard *vc = card_fixture(extra);

	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_names(void **state)
{
	static const struct step steps[] = {
		{ "00A404000B A000000308000010000100 00", PIV_TEMPLATE "9000" },
		{ SELECT_PIV, PIV_TEMPLATE "9000" },
		{ "00A404000A A0000003080000100001 00", "6A82" },     /* half a version */
		{ "00A4040008 A000000308000010 00", "6A82" },	      /* less than RID and PIX */
		{ "00A4040005 A000000308 00", "6A82" },		      /* the RID alone */
		{ "00A404000C A00000030800001000010000 00", "6A82" }, /* more than the AID */
		{ "00A404000B A000000308000010000200 00", "6A82" },   /* another version */
		{ "00A404000B A000000308000020000100 00", "6A82" },   /* the derived application is not here */
		{ "00A4040009 A00000030800001000", "612B" },	      /* no Le: no data */
		{ "00A40400", "6700" },
		{ "00A4040011 A00000030800001000000000000000000000 00", "6700" },
		{ "00A4000009 A00000030800001000 00", "6A86" },
		{ "00A4040409 A00000030800001000 00", "6A86" },
		{ "00A4040C09 A00000030800001000 00", "6A86" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_derived(void **state)
{
	static const struct step steps[] = {
		{ "00A4040009 A00000030800002000 00", "61294F0BA000000308000020000100*9000" },
		{ "00A404000B A000000308000020000100 00", "61294F0BA000000308000020000100*9000" },
		{ SELECT_PIV, "6A82" },
		/* letters in the activation secret: a well-formed, wrong value */
		{ "0020008008 506172743231FFFF", "63C2" },
		{ "0020008008 50617274 2D31FFFF", "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	play("\"aid\": \"A000000308000020000100\"", steps);
}

static void
test_security_status(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_OK, "9000" },
		{ SELECT_PIV, "*9000" }, /* selected already: keeps its status */
		{ VERIFY_EMPTY, "9000" },
		{ "00A4040009 A00000030800009900 00", "6A82" }, /* unknown: changes nothing */
		{ VERIFY_EMPTY, "9000" },
		{ OTHER "00", "9000" }, /* another valid AID: deselects */
		{ VERIFY_EMPTY, "6D00" },
		{ SELECT_PIV, "*9000" },
		{ VERIFY_EMPTY, "63C3" },
		{ VERIFY_OK, "9000" },
		{ "other", "" }, /* by another program */
		{ "0087079A0A 7C0882008104000102 0300", "6D00" },
		{ SELECT_PIV, "*9000" },
		{ VERIFY_EMPTY, "63C3" },
		{ VERIFY_OK, "9000" },
		{ "reset", "" },
		{ VERIFY_EMPTY, "63C3" }, /* selected by default, but logged out */
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_other_applet(void **state)
{
	static const struct step steps[] = {
		{ OTHER, "9000" },
		{ GET_CHUID, "6D00" },
		{ "00C0000000", "6985" },
		{ "00A4040009 A00000030800009900 00", "6A82" },
		{ GET_CHUID, "6D00" },
		{ SELECT_PIV, "*9000" },
		{ GET_CHUID, "*612C" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_not_selected_by_default(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_EMPTY, "6D00" },
		{ SELECT_PIV, "*9000" },
		{ VERIFY_EMPTY, "63C3" },
		{ "reset", "" },
		{ VERIFY_EMPTY, "6D00" },
		{ NULL, NULL },
	};

	(void)state;
	play("\"select_default\": false", steps);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_derived),
		cmocka_unit_test(test_security_status),
		cmocka_unit_test(test_other_applet),
		cmocka_unit_test(test_not_selected_by_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
