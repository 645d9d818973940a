/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER on the virtual card (SP 800-73-5 Part 2, 2.4.3 and 3.2.1 to
 * 3.2.3): formats, counters, verified status, the Global PIN and the Discovery object. Every row is one rule.
 */
#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define PIN	"313233343536FFFF"
#define NEW	"393837363534FFFF"
#define WRONG	"363534333231FFFF"
#define PUK	"3132333435363738"
#define BADPUK	"3838383838383838"
#define CHANGE	"0024008010"
#define UNBLOCK "002C008010"

static void
play(const char *extra, const struct step *steps)
{
	struct vcard *vc = card_fixture(extra);

	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_verify(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_EMPTY, "63C3" },
		{ VERIFY_OK, "9000" },
		{ VERIFY_EMPTY, "9000" },
		{ VERIFY_BAD, "63C2" }, /* and no longer verified */
		{ VERIFY_EMPTY, "63C2" },
		{ VERIFY_OK, "9000" },	 /* the counter is full again */
		{ "00 20FF80", "9000" }, /* logs out, costs nothing */
		{ VERIFY_EMPTY, "63C3" },
		{ "0020FF8008" PIN, "6A80" },
		{ "00200180", "6A86" },
		{ "0020018008" PIN, "6A86" },
		{ "0020008108" PUK, "6A88" }, /* the PUK is not for VERIFY */
		{ "0020000008" PIN, "6A88" }, /* no Global PIN here */
		{ "0020009608" PIN, "6A88" },
		{ "0020009808" PIN, "6A88" },
		{ "0020FF96", "6A88" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_block(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_BAD, "63C2" },
		{ VERIFY_BAD, "63C1" },
		{ "reset", "" }, /* the counter outlives it */
		{ VERIFY_EMPTY, "63C1" },
		{ VERIFY_BAD, "63C0" },
		{ VERIFY_BAD, "6983" },
		{ VERIFY_OK, "6983" },
		{ VERIFY_EMPTY, "6983" },
		{ "0020008006 313233343536", "6983" }, /* before any other complaint */
		{ CHANGE PIN NEW, "6983" },
		{ "00 20FF80", "9000" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_format(void **state)
{
	static const struct step steps[] = {
		{ "0020008006 313233343536", "6A80" },	   /* not padded */
		{ "0020008008 3132333435FFFFFF", "6A80" }, /* five digits */
		{ "0020008008 3132333435360000", "6A80" }, /* padded with 00 */
		{ "0020008008 313233FF34353637", "6A80" }, /* FF inside */
		{ "0020008008 31323334354AFFFF", "6A80" }, /* a letter */
		{ "0020008009 3132333435363738FF", "6A80" },
		{ VERIFY_EMPTY, "63C3" },		   /* none of them cost a try */
		{ "0020008008 3132333435363738", "63C2" }, /* eight digits are well-formed */
		{ VERIFY_OK, "9000" },
		{ "0020008008 3132333435FFFFFF", "6A80" },
		{ VERIFY_EMPTY, "9000" }, /* nor the verified status */
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

/* The other kind of card: a malformed value is a wrong one. */
static void
test_format_costs(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_OK, "9000" },
		{ "0020008006 313233343536", "63C2" },
		{ VERIFY_EMPTY, "63C2" },
		{ CHANGE "3132333435FFFFFF" NEW, "63C1" },
		{ "0020008008 31323334354AFFFF", "63C0" },
		{ VERIFY_OK, "6983" },
		{ NULL, NULL },
	};

	(void)state;
	play("\"format_costs_try\": true", steps);
}

static void
test_change(void **state)
{
	static const struct step steps[] = {
		{ CHANGE WRONG NEW, "63C2" },
		{ CHANGE PIN "3132333435FFFFFF", "6A80" }, /* the new one malformed: nothing happens */
		{ VERIFY_EMPTY, "63C2" },
		{ CHANGE "31FFFFFFFFFFFFFF" NEW, "6A80" },
		{ "0024008008" PIN, "6A80" },
		{ "0024018010" PIN NEW, "6A86" },
		{ "0024009A10" PIN NEW, "6A88" },
		{ "0024000010" PIN NEW, "6A88" },
		{ CHANGE PIN NEW, "9000" },
		{ VERIFY_EMPTY, "9000" }, /* success verifies, and fills the counter */
		{ "00 20FF80", "9000" },
		{ VERIFY_EMPTY, "63C3" },
		{ VERIFY_OK, "63C2" },
		{ "0020008008" NEW, "9000" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_change_puk(void **state)
{
	static const struct step steps[] = {
		{ "0024008110" BADPUK PUK, "63C2" },
		{ "0024008110" PUK "0001020304050607", "9000" }, /* any eight bytes */
		{ VERIFY_EMPTY, "63C3" },
		{ UNBLOCK PUK NEW, "63C2" },
		{ UNBLOCK "0001020304050607" NEW, "9000" },
		{ "0024008108" PUK, "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_reset_retry(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_BAD, "63C2" },
		{ VERIFY_BAD, "63C1" },
		{ VERIFY_BAD, "63C0" },
		{ UNBLOCK BADPUK NEW, "63C2" },
		{ UNBLOCK PUK "3132FFFFFFFFFFFF", "6A80" }, /* costs nothing */
		{ UNBLOCK BADPUK NEW, "63C1" },
		{ UNBLOCK PUK NEW, "9000" },
		{ VERIFY_EMPTY, "63C3" }, /* full again, but not verified */
		{ "0020008008" NEW, "9000" },
		{ UNBLOCK PUK PIN, "9000" },
		{ VERIFY_EMPTY, "63C3" }, /* an earlier verification does not stay */
		{ "002C018010" PUK NEW, "6A86" },
		{ "002C008110" PUK NEW, "6A88" },
		{ "002C000010" PUK NEW, "6A88" },
		{ "002C008008" PUK, "6A80" },
		{ UNBLOCK BADPUK NEW, "63C2" },
		{ UNBLOCK BADPUK NEW, "63C1" },
		{ UNBLOCK BADPUK NEW, "63C0" },
		{ UNBLOCK PUK NEW, "6983" },
		{ "0024008110" PUK PUK, "6983" },
		{ VERIFY_OK, "9000" }, /* a blocked PUK does not hurt the PIN */
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

#define DISCOVERY(policy)                                                                                              \
	"\"global_pin\": \"87654321\", \"objects\": {\"7E\": \"7E124F0BA0000003080000100001005F2F02" policy            \
	"\", \"5FC109\": \"5307010548656C6C6F\"}"
#define GLOBAL	    "3837363534333231"
#define GET_PRINTED "00CB3FFF05 5C035FC109 00"

static void
test_global_pin(void **state)
{
	static const struct step steps[] = {
		{ "00200000", "63C3" },
		{ "0020000008" PIN, "63C2" },
		{ VERIFY_EMPTY, "63C3" }, /* a counter of its own */
		{ GET_PRINTED, "6982" },
		{ "0020000008" GLOBAL, "9000" },
		{ GET_PRINTED, "5307*9000" }, /* satisfies the access rules */
		{ VERIFY_EMPTY, "63C3" },     /* without verifying the other */
		{ "0020FF00", "9000" },
		{ GET_PRINTED, "6982" },
		{ "0024000010" GLOBAL NEW, "9000" },
		{ "0020000008" NEW, "9000" },
		{ NULL, NULL },
	};
	static const struct step without[] = {
		{ "00200000", "6A88" },
		{ "0020000008" GLOBAL, "6A88" },
		{ NULL, NULL },
	};

	(void)state;
	play(DISCOVERY("6010"), steps);
	play(DISCOVERY("6020"), steps);
	play(DISCOVERY("4000"), without);
	play("\"global_pin\": \"87654321\", \"objects\": {}", without);
	play("\"objects\": {\"7E\": \"7E124F0BA0000003080000100001005F2F026010\"}", without); /* says so, has none */
}

static void
test_accessors(void **state)
{
	struct vcard *vc = card_fixture("\"pin_tries\": 5, \"puk_tries\": 10, \"puk_tries_left\": 4");
	static const struct step steps[] = { { VERIFY_BAD, "63C4" }, { NULL, NULL } },
				 good[] = { { VERIFY_OK, "9000" }, { NULL, NULL } };

	(void)state;
	card_play(vc, steps);
	assert_int_equal(vcard_tries(vc, 0x80), 4);
	assert_int_equal(vcard_tries(vc, 0x81), 4);
	assert_int_equal(vcard_tries(vc, 0x9A), -1);
	assert_false(vcard_verified(vc, 0x80));
	card_play(vc, good);
	assert_true(vcard_verified(vc, 0x80));
	assert_int_equal(vcard_tries(vc, 0x80), 5);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_costs),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_change_puk),
		cmocka_unit_test(test_reset_retry),
		cmocka_unit_test(test_global_pin),
		cmocka_unit_test(test_accessors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
