/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual card's contacts: the seven APDU cases, classes, command and response chaining (SP 800-73-5 Part 2,
 * 2.4; ISO/IEC 7816-4). Every row is one rule.
 */
#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

static void
play(const char *extra, const struct step *steps)
{
	struct vcard *vc = card_fixture(extra);

	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_length(void **state)
{
	static const struct step steps[] = {
		{ "", "6700" },
		{ "00", "6700" },
		{ "00CB3F", "6700" },
		{ "00CB3FFF 05 5C035FC1", "6700" },	       /* Lc says more than there is */
		{ "00CB3FFF 05 5C035FC102 00 00", "6700" },    /* bytes behind Le */
		{ "00CB3FFF 000005 5C035FC102 0000", "6700" }, /* extended, not supported */
		{ "00CB3FFF 00 5C", "6700" },
		{ "00200080", "63C3" },
		{ "0020008000", "63C3" },
		{ VERIFY_OK "00", "6700" }, /* VERIFY has no response data, so no Le */
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_class(void **state)
{
	static const struct step steps[] = {
		{ "80CB3FFF 05 5C035FC102 00", "6E00" },
		{ "01CB3FFF 05 5C035FC102 00", "6E00" },
		{ "0CCB3FFF 05 5C035FC102 00", "6882" }, /* no secure messaging */
		{ "1CCB3FFF 05 5C035FC102 00", "6882" },
		{ "00CA3FFF 05 5C035FC102 00", "6D00" },
		{ "00FD000000", "6D00" }, /* Yubico's */
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_response_chaining(void **state)
{
	static const struct step steps[] = {
		{ "00C0000000", "6985" }, /* nothing to fetch */
		{ GET_CHUID, "53820128*612C" },
		{ "00C0000010", "*611C" },
		{ "00C000001C", "*9000" },
		{ "00C0000000", "6985" },
		{ GET_CHUID, "*612C" },
		{ "00C00000FF", "*9000" }, /* more than there is: what there is */
		{ "00CB3FFF 05 5C035FC102 08", "53820128 3B820124 6100" },
		{ "00C0000000", "*6124" },
		{ VERIFY_EMPTY, "63C3" }, /* any command throws the rest away */
		{ "00C0000000", "6985" },
		{ "00CB3FFF 05 5C035FC102", "6100" }, /* no Le, no data */
		{ "00C0000000", "53820128*612C" },
		{ "00C0010000", "6A86" },
		{ "00C00000", "6700" },
		{ "10C0000000", "6884" },
		{ "00CB3FFF 05 5C035FC102 00", "*612C" },
		{ "other", "" },
		{ "00C0000000", "6985" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

/* GENERAL AUTHENTICATE with 9E (P-384, no PIN): 7C 34 82 00 81 30 …, in three pieces. */
#define D16 "000102030405060708090A0B0C0D0E0F"
#define ONE "7C34 8200 8130" D16
#define TWO D16

static void
test_command_chaining(void **state)
{
	static const struct step steps[] = {
		{ "1087149E16" ONE, "9000" },
		{ "1087149E10" TWO, "9000" },
		{ "0087149E10" TWO "00", "7C*9000" },
		{ "1087149E16" ONE "00", "6700" }, /* Le in a piece */
		{ "1087149E", "6700" },		   /* an empty piece */
		{ "1020008008 313233343536FFFF", "6884" },
		{ "10A4040009 A00000030800001000", "6884" },
		{ "10CB3FFF05 5C035FC102", "6884" },
		{ "102C008010 31323334353637383132333435 36FFFF", "6884" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_interrupted_chain(void **state)
{
	static const struct step steps[] = {
		/* another command is executed, and the chain is gone */
		{ "1087149E16" ONE, "9000" },
		{ VERIFY_EMPTY, "63C3" },
		{ "0087149E10" TWO "00", "6A80" },
		/* other P1 P2: a new chain */
		{ "1087149E16" ONE, "9000" },
		{ "1087149D16" ONE, "9000" },
		{ "1087149E10" TWO, "9000" },
		{ "0087149E10" TWO "00", "6A80" },
		/* GET RESPONSE is a command too */
		{ "1087149E16" ONE, "9000" },
		{ "00C0000000", "6985" },
		{ "0087149E10" TWO "00", "6A80" },
		/* so are a malformed and an unknown one */
		{ "1087149E16" ONE, "9000" },
		{ "00CB3F", "6700" },
		{ "0087149E10" TWO "00", "6A80" },
		{ "1087149E16" ONE, "9000" },
		{ "00700000", "6D00" },
		{ "0087149E10" TWO "00", "6A80" },
		/* a reset */
		{ "1087149E16" ONE, "9000" },
		{ "reset", "" },
		{ "0087149E10" TWO "00", "6A80" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_chain_limit(void **state)
{
	struct vcard *vc = card_fixture("");
	static char cmd[2 * 260 + 1];
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	char *p = cmd + sprintf(cmd, "1087149EFF");
	int pieces = 0;

	(void)state;
	for (int i = 0; i < 255; i++)
		p += sprintf(p, "AA");
	while (card_send(vc, cmd, rsp) == 2 && rsp[0] == 0x90 && pieces < 1000)
		pieces++;
	assert_int_equal(pieces, 16384 / 255);
	assert_int_equal(rsp[0] << 8 | rsp[1], 0x6A84);
	vcard_free(vc);
}

static void
test_extended(void **state)
{
	static const struct step steps[] = {
		{ "00CB3FFF 000005 5C035FC102 0000", "53820128*9000" },
		{ "00CB3FFF 000005 5C035FC102 0010", "53820128*6100" },
		{ "00C0000000", "*611C" },
		{ "00CB3FFF 000005 5C035FC102", "6100" },
		{ "00CB3FFF 05 5C035FC102 00", "*612C" },
		{ "00CB3FFF 000006 5C035FC102 0000", "6700" },
		{ "00CB3FFF 000000", "6A80" }, /* case 2 extended: no data field */
		{ "00CB3FFF 0000", "6700" },
		{ NULL, NULL },
	};

	(void)state;
	play("\"extended\": true", steps);
}

/* A card that answers although Le is absent, as most do over T=1. */
static void
test_le_not_required(void **state)
{
	static const struct step steps[] = {
		{ "00CB3FFF 05 5C035FC102", "53820128*612C" },
		{ NULL, NULL },
	};

	(void)state;
	play("\"le_required\": false", steps);
}

static void
test_removed(void **state)
{
	static const struct step steps[] = {
		{ VERIFY_OK, "9000" },
		{ "remove", "" },
		{ VERIFY_EMPTY, "" },
		{ "insert", "" },
		{ VERIFY_EMPTY, "63C3" },
		{ NULL, NULL },
	};

	(void)state;
	play("", steps);
}

static void
test_counters(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = { { GET_CHUID, "*612C" }, { "00C0000000", "*9000" },
		{ VERIFY_EMPTY, "63C3" }, { NULL, NULL } };

	(void)state;
	card_play(vc, steps);
	assert_int_equal(vcard_stats(vc)->apdus, 3);
	assert_int_equal(vcard_stats(vc)->per_ins[0xCB], 1);
	assert_int_equal(vcard_stats(vc)->per_ins[0xC0], 1);
	assert_int_equal(vcard_stats(vc)->bytes_in, 11 + 5 + 4);
	assert_int_equal(vcard_stats(vc)->bytes_out, 258 + 46 + 2);
	vcard_stats_clear(vc);
	assert_int_equal(vcard_stats(vc)->apdus, 0);
	vcard_free(vc);
}

/* Neither PIN nor other data ever reaches the log. */
static void
test_log(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = { { VERIFY_OK, "9000" }, { NULL, NULL } };
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	vcard_log(vc, f);
	card_play(vc, steps);
	fclose(f);
	assert_non_null(strstr(text, "ins=20 p1=00 p2=80 in=13 out=2 sw=9000"));
	assert_null(strstr(text, "123456"));
	assert_null(strstr(text, "3132"));
	free(text);
	vcard_log(vc, NULL);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_response_chaining),
		cmocka_unit_test(test_command_chaining),
		cmocka_unit_test(test_interrupted_chain),
		cmocka_unit_test(test_chain_limit),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_le_not_required),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
