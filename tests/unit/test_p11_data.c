/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data objects as CKO_DATA: which are listed, by what name, what they hold, what needs the PIN, and what listing them
 * costs; and retired keys that Key History is silent or wrong about.
 */
#include "hw/piv.h"
#include "tests/lib/p11_card.h"

#define CHUID_OID "\x06\x0A\x60\x86\x48\x01\x65\x03\x07\x02\x30\x00"

static CK_OBJECT_CLASS class_data = CKO_DATA;

/* 0: none */
static CK_OBJECT_HANDLE
data_labelled(CK_SESSION_HANDLE h, const char *label)
{
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_data, sizeof class_data },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) } };
	CK_OBJECT_HANDLE o[2] = { 0, 0 };
	CK_ULONG n = 0;

	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, o, 2, &n));
	assert_rv_ok(C_FindObjectsFinal(h));
	assert_true(n <= 1);
	return n == 1 ? o[0] : 0;
}

static size_t
data_count(CK_SESSION_HANDLE h)
{
	CK_ATTRIBUTE t = { CKA_CLASS, &class_data, sizeof class_data };

	return p11_count(h, &t, 1);
}

static void
listed_without_a_pin(void **state)
{
	static const char *const there[] = { "Card Capability Container", "Card Holder Unique Identifier",
		"Security Object", "Discovery Object", "Key History Object" };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	p11_apdus();
	assert_int_equal(data_count(h), 5);
	/* One block each of CCC, Security Object, Discovery, Key History, and two that are not there; CHUID is known.
	 */
	assert_apdus(6);
	assert_int_equal(data_count(h), 5);
	for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
		assert_int_not_equal(data_labelled(h, there[i]), 0);
	assert_int_equal(data_labelled(h, "Printed Information"), 0);
	assert_int_equal(data_labelled(h, "Secure Messaging Certificate Signer"), 0);
	assert_apdus(0);
}

static void
attributes(void **state)
{
	CK_BYTE oid[32], value[4096], text[64];
	CK_ATTRIBUTE t[] = { { CKA_OBJECT_ID, oid, sizeof oid }, { CKA_APPLICATION, text, sizeof text } };
	CK_ATTRIBUTE v = { CKA_VALUE, value, sizeof value };
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	struct piv_chuid chuid;
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	o = data_labelled(h, "Card Holder Unique Identifier");
	p11_apdus();
	assert_rv_ok(C_GetAttributeValue(h, o, t, 2));
	assert_int_equal(t[0].ulValueLen, sizeof CHUID_OID - 1);
	assert_memory_equal(oid, CHUID_OID, sizeof CHUID_OID - 1);
	assert_int_equal(t[1].ulValueLen, strlen("Card Holder Unique Identifier"));
	assert_true(p11_bool(h, o, CKA_TOKEN));
	assert_false(p11_bool(h, o, CKA_PRIVATE));
	assert_rv(C_SignInit(h, &m, o), CKR_KEY_HANDLE_INVALID); /* and no key */
	assert_int_equal(p11_ulong(h, o, CKA_CLASS), CKO_DATA);
	assert_apdus(0); /* nothing of that is the value */
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_true(p11_apdus() > 0);
	assert_int_equal(piv_chuid_parse(span_of(value, v.ulValueLen), &chuid), E_OK);
	assert_true(chuid.has_guid && chuid.signature.n > 0);
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_apdus(0);
}

static void
found_by_oid_and_value(void **state)
{
	CK_BYTE oid[] = CHUID_OID, value[4096];
	CK_ATTRIBUTE t[] = { { CKA_OBJECT_ID, oid, sizeof oid - 1 }, { CKA_VALUE, value, sizeof value } };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	p11_apdus();
	assert_int_equal(p11_count(h, t, 1), 1);
	assert_apdus(0);
	assert_rv_ok(C_GetAttributeValue(h, data_labelled(h, "Card Holder Unique Identifier"), t + 1, 1));
	assert_int_equal(p11_count(h, t, 2), 1);
	value[0] ^= 1;
	assert_int_equal(p11_count(h, t, 2), 0);
}

static void
private_data_needs_the_pin(void **state)
{
	CK_BYTE value[200];
	CK_ATTRIBUTE v = { CKA_VALUE, value, sizeof value };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;
	size_t public;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	public = data_count(h);
	assert_int_equal(data_labelled(h, "Printed Information"), 0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(o = data_labelled(h, "Printed Information"), 0);
	assert_int_equal(data_labelled(h, "Cardholder Fingerprints"), 0);
	assert_true(p11_bool(h, o, CKA_PRIVATE));
	assert_int_equal(data_count(h), public + 1);
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_memory_equal(value, "\x01\x0BPat Example\x02", 14);
	assert_rv_ok(C_Logout(h));
	v.ulValueLen = sizeof value;
	assert_rv(C_GetAttributeValue(h, o, &v, 1), CKR_OBJECT_HANDLE_INVALID);
	assert_int_equal(data_count(h), public);
}

static void
other_searches_do_not_look(void **state)
{
	CK_OBJECT_CLASS cert = CKO_CERTIFICATE;
	CK_BYTE id = 1;
	CK_ATTRIBUTE by_class = { CKA_CLASS, &cert, sizeof cert }, by_id = { CKA_ID, &id, 1 };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_int_equal(p11_count(h, &by_class, 1), 4);
	p11_apdus();
	assert_int_equal(p11_count(h, &by_id, 1), 2);
	assert_int_equal(p11_count(h, &by_class, 1), 4);
	assert_apdus(0);
	assert_true(p11_count(h, NULL, 0) >= 5 + 4 + 4);
	assert_apdus(5); /* Key History was read for the retired keys */
}

static void
retired_certificates_without_history(void **state)
{
	CK_OBJECT_CLASS cert = CKO_CERTIFICATE, profile = CKO_PROFILE;
	CK_ATTRIBUTE t = { CKA_CLASS, &cert, sizeof cert };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start_with(p11_card("p256", 3, true));
	h = p11_session(0);
	p11_apdus();
	t.pValue = &profile;
	assert_int_equal(p11_count(h, &t, 1), 4);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
	assert_true(p11_apdus() < 6);
	t.pValue = &cert;
	assert_int_equal(p11_count(h, &t, 1), 7);
	p11_apdus();
	assert_int_equal(p11_count(h, &t, 1), 7);
	assert_apdus(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(listed_without_a_pin, p11_teardown),
		cmocka_unit_test_teardown(attributes, p11_teardown),
		cmocka_unit_test_teardown(found_by_oid_and_value, p11_teardown),
		cmocka_unit_test_teardown(private_data_needs_the_pin, p11_teardown),
		cmocka_unit_test_teardown(other_searches_do_not_look, p11_teardown),
		cmocka_unit_test_teardown(retired_certificates_without_history, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
