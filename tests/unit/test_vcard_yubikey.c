/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The YubiKey extensions of the virtual card: they answer only on an image that asks for them, and then by Yubico's
 * rules.
 */
#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define YUBIKEY "\"yubikey\": true, \"serial\": 305419896, \"version\": \"5.7.1\""
#define DIGEST	"000102030405060708090A0B0C0D0E0F000102030405060708090A0B0C0D0E0F"
#define SCALAR	"0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20"

static void
test_absent(void **state)
{
	static const char *const ins[] = { "F6", "F7", "F8", "F9", "FA", "FB", "FD", "FE", "FF" };
	struct vcard *vc = card_fixture("");
	char cmd[16];

	(void)state;
	for (size_t i = 0; i < sizeof ins / sizeof *ins; i++) {
		snprintf(cmd, sizeof cmd, "00%s000000", ins[i]);
		card_play(vc, (const struct step[]){ { cmd, "6D00" }, { NULL, NULL } });
	}
	vcard_free(vc);
}

static void
test_public(void **state)
{
	struct vcard *vc = card_fixture(YUBIKEY);
	static const struct step steps[] = {
		{ "00FD000000", "0507019000" },
		{ "00F8000000", "123456789000" },
		{ "00FD010000", "6A86" },
		{ "00A4040005 A000000308", "61*9000" }, /* the RID, and no Le */
		{ "00F7008000", "0101FF 050101 06020303 9000" },
		{ VERIFY_BAD, "63C2" },
		{ "00F7008000", "0101FF 050101 06020302 9000" },
		{ "00F7008100", "0101FF 050101 06020303 9000" },
		{ "00F7009B00", "010103 02020001 050101 9000" },
		{ "00F7009C00", "010111 02020301 030101 044386 4104*9000" },
		{ "00F7009E00", "010114 02020101*9000" },
		{ "00F7008500", "6A88" }, /* empty */
		{ "00F700F900", "6A88" },
		{ "00F9850000", "6A80" },
		{ "00F99A0000", "6A88" }, /* no attestation key here */
		{ "0087119C12 7C108200810C000102030405060708090A0B 00", "6982" },
		{ "00CB3FFF05 5C035FFF00 00", "6A82" },
		{ "00CB3FFF03 5C017E 00", "7E124F0BA0000003080000100001005F2F0240009000" }, /* its own */
		{ NULL, NULL },
	};

	(void)state;
	card_play(vc, steps);
	vcard_free(vc);
}

static void
test_needs_management_key(void **state)
{
	struct vcard *vc = card_fixture(YUBIKEY);
	static const struct step refused[] = {
		{ "00FE119A22 0620" SCALAR, "6982" },
		{ "00FFFFFF1B 039B18 010203040506070801020304050607080102030405060709", "6982" },
		{ "00F6FF9A00", "6982" },
		{ "00FA050500", "6982" },
		{ NULL, NULL },
	};
	static const struct step steps[] = {
		{ "00FE119A28 0620" SCALAR "AA0101 AB0101", "9000" },
		{ "00F7009A00", "010111 02020101 030102*9000" }, /* imported, PIN never */
		{ "0087119A26 7C2482008120" DIGEST "00", "7C*9000" },
		{ "0087119A16 7C1482008110 000102030405060708090A0B0C0D0E0F 00", "7C*9000" }, /* a shorter digest */
		{ "00F99A0000", "6A80" }, /* imported keys are not attested */
		{ "00FE119A21 061F"
		  "0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
		    "9000" },
		{ "00FE119A23 0621" SCALAR "00", "6A80" },
		{ "00FE119A02 0600", "6A80" },
		{ "00FE079A22 0620" SCALAR, "6A80" },
		{ "00FE11AA22 0620" SCALAR, "6A86" },
		{ "00F6839A00", "9000" }, /* 9A -> 83 */
		{ "00F7009A00", "6A88" },
		{ "00F7008300", "010111*9000" },
		{ "00F6FF8300", "9000" },
		{ "00F7008300", "6A88" },
		{ "00F6FF8300", "6A88" },
		{ "0047008205 AC03800111 00", "7F49*9000" }, /* retired keys may be generated */
		{ "0047009A0B AC09800111 AA0103 AB0102 00", "7F49*9000" },
		{ "00F7009A00", "010111 02020302*9000" },
		{ "00DB3FFF09 5C035FFF00 53020101", "9000" },
		{ "00CB3FFF05 5C035FFF00 00", "530201019000" },
		{ "00DB3FFF07 5C035FFF00 5300", "9000" },
		{ "00CB3FFF05 5C035FFF00 00", "6A82" }, /* emptied is gone */
		{ "00FA050700", "6982" },		/* PIN too */
		{ VERIFY_OK, "9000" },
		{ "00FA050700", "9000" },
		{ VERIFY_EMPTY, "63C5" },
		{ "00FFFFFF13 089B10 000102030405060708090A0B0C0D0E0F", "9000" },
		{ "00FFFFFF13 039B10 000102030405060708090A0B0C0D0E0F", "6A80" },
		{ NULL, NULL },
	};
	static const uint8_t aes[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	(void)state;
	card_play(vc, refused);
	card_admin(vc, NULL, 0x03);
	card_play(vc, steps);
	vcard_reset(vc);
	card_admin(vc, aes, 0x08);
	vcard_free(vc);
}

static void
waited(void *arg, unsigned ms)
{
	*(unsigned *)arg += ms;
}

/* Policy "PIN always, touch always" on 9A: a fresh PIN each time, and somebody's finger. */
static void
test_policies(void **state)
{
	struct vcard *vc = card_fixture(YUBIKEY);
	unsigned ms = 0;
	static const struct step steps[] = {
		{ "0047009A0B AC09800111 AA0103 AB0102 00", "7F49*9000" },
		{ "0087119A26 7C2482008120" DIGEST "00", "6982" },
		{ VERIFY_OK, "9000" },
		{ "0087119A26 7C2482008120" DIGEST "00", "7C*9000" },
		{ "0087119A26 7C2482008120" DIGEST "00", "6982" },
		{ NULL, NULL },
	};

	(void)state;
	vcard_sleep_set(vc, waited, &ms);
	card_admin(vc, NULL, 0x03);
	card_play(vc, steps);
	assert_int_equal(ms, 300);
	vcard_free(vc);
}

static void
test_wipe(void **state)
{
	struct vcard *vc = card_fixture(YUBIKEY ", \"pin_tries\": 1, \"puk_tries\": 1");
	static const struct step steps[] = {
		{ "00FB000000", "6985" },
		{ VERIFY_BAD, "63C0" },
		{ "00FB000000", "6985" },
		{ "002C008010 3838383838383838 313233343536FFFF", "63C0" },
		{ "00FB000000", "9000" },
		{ VERIFY_OK, "9000" },
		{ "00F7009A00", "6A88" },
		{ GET_CHUID, "6A82" },
		{ NULL, NULL },
	};

	(void)state;
	card_play(vc, steps);
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_needs_management_key),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_wipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
