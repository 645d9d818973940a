/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects and attributes: what each kind has, ids and labels, retired keys, profiles, C_GetAttributeValue's rules.
 */
#include <openssl/x509.h>

#include "tests/lib/p11_card.h"

static CK_SESSION_HANDLE
start_in(struct vcard *card)
{
	CK_SESSION_HANDLE h;

	p11_start_with(card);
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	return h;
}

static void
text_is(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, const char *want)
{
	char text[100];
	CK_ATTRIBUTE a = { type, text, sizeof text - 1 };

	assert_rv_ok(C_GetAttributeValue(h, o, &a, 1));
	text[a.ulValueLen] = '\0';
	assert_string_equal(text, want);
}

static void
labels_and_ids(void **state)
{
	static const struct {
		CK_BYTE id;
		const char *cert, *pub, *priv;
	} want[] = {
		{ 1, "Certificate for PIV Authentication", "PIV AUTH pubkey", "PIV AUTH key" },
		{ 2, "Certificate for Digital Signature", "SIGN pubkey", "SIGN key" },
		{ 3, "Certificate for Key Management", "KEY MAN pubkey", "KEY MAN key" },
		{ 4, "Certificate for Card Authentication", "CARD AUTH pubkey", "CARD AUTH key" },
		{ 5, "Retired Certificate for Key Management 1", "Retired KEY MAN 1", "Retired KEY MAN 1" },
		{ 6, "Retired Certificate for Key Management 2", "Retired KEY MAN 2", "Retired KEY MAN 2" },
	};
	CK_SESSION_HANDLE h;

	(void)state;
	h = start_in(p11_card("p256", 2, false));
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		text_is(h, p11_find(h, CKO_CERTIFICATE, want[i].id), CKA_LABEL, want[i].cert);
		text_is(h, p11_find(h, CKO_PUBLIC_KEY, want[i].id), CKA_LABEL, want[i].pub);
		text_is(h, p11_find(h, CKO_PRIVATE_KEY, want[i].id), CKA_LABEL, want[i].priv);
	}
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 7), 0);
}

static void
retired_keys(void **state)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t = { CKA_CLASS, &class, sizeof class };
	CK_SESSION_HANDLE h;

	(void)state;
	h = start_in(p11_card("p256", 2, false));
	assert_int_equal(p11_count(h, &t, 1), 6);
	p11_stop();
	h = start_in(p11_card("p256", 2, true)); /* no Key History: looked for, once */
	assert_int_not_equal(p11_find(h, CKO_PRIVATE_KEY, 6), 0);
	assert_int_equal(p11_count(h, &t, 1), 6);
	p11_apdus();
	assert_int_equal(p11_count(h, &t, 1), 6);
	assert_apdus(0);
}

/* The attributes of PKCS#11 2.40, 4.6 to 4.9, that programs ask for: present, with the right length. */
static void
attributes_are_complete(void **state)
{
	static const CK_ATTRIBUTE_TYPE all[] = { CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_LABEL,
		CKA_COPYABLE, CKA_DESTROYABLE, CKA_UNIQUE_ID, CKA_ID, CKA_SUBJECT, CKA_PUBLIC_KEY_INFO };
	static const CK_ATTRIBUTE_TYPE cert[] = { CKA_CERTIFICATE_TYPE, CKA_CERTIFICATE_CATEGORY, CKA_TRUSTED,
		CKA_VALUE, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_START_DATE, CKA_END_DATE, CKA_CHECK_VALUE };
	static const CK_ATTRIBUTE_TYPE key[] = { CKA_KEY_TYPE, CKA_LOCAL, CKA_KEY_GEN_MECHANISM, CKA_ALLOWED_MECHANISMS,
		CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_DERIVE, CKA_START_DATE };
	static const CK_ATTRIBUTE_TYPE pub[] = { CKA_ENCRYPT, CKA_VERIFY, CKA_WRAP, CKA_VERIFY_RECOVER,
		CKA_MODULUS_BITS };
	static const CK_ATTRIBUTE_TYPE priv[] = { CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_ALWAYS_SENSITIVE,
		CKA_NEVER_EXTRACTABLE, CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP, CKA_ALWAYS_AUTHENTICATE,
		CKA_WRAP_WITH_TRUSTED, CKA_SIGN_RECOVER };
	const struct {
		CK_OBJECT_CLASS class;
		const CK_ATTRIBUTE_TYPE *type;
		size_t n;
	} want[] = { { CKO_CERTIFICATE, all, 11 }, { CKO_PUBLIC_KEY, all, 11 }, { CKO_PRIVATE_KEY, all, 11 },
		{ CKO_CERTIFICATE, cert, 9 }, { CKO_PUBLIC_KEY, key, 8 }, { CKO_PRIVATE_KEY, key, 8 },
		{ CKO_PUBLIC_KEY, pub, 5 }, { CKO_PRIVATE_KEY, priv, 10 } };
	CK_BYTE value[4096];
	CK_SESSION_HANDLE h;

	(void)state;
	h = start_in(p11_card("rsa2048", 0, false));
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		for (size_t k = 0; k < want[i].n; k++) {
			CK_ATTRIBUTE a = { want[i].type[k], NULL, 0 };
			CK_ULONG n;

			assert_rv_ok(C_GetAttributeValue(h, p11_find(h, want[i].class, 1), &a, 1));
			n = a.ulValueLen;
			a.pValue = value;
			a.ulValueLen = sizeof value;
			assert_rv_ok(C_GetAttributeValue(h, p11_find(h, want[i].class, 1), &a, 1));
			assert_int_equal(a.ulValueLen, n);
		}
}

static void
get_attribute_value_answers_every_row(void **state)
{
	CK_BYTE id = 0, small[1], big[300];
	CK_ATTRIBUTE t[] = { { CKA_PRIVATE_EXPONENT, big, sizeof big }, { CKA_ID, &id, 1 },
		{ 0x80000009UL, big, sizeof big }, { CKA_MODULUS, small, sizeof small },
		{ CKA_MODULUS, big, sizeof big }, { CKA_EC_POINT, NULL, 0 } };
	CK_SESSION_HANDLE h;
	CK_RV rv;

	(void)state;
	h = start_in(p11_card("rsa2048", 0, false));
	rv = C_GetAttributeValue(h, p11_find(h, CKO_PRIVATE_KEY, 1), t, 6);
	assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL);
	assert_int_equal(t[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(t[1].ulValueLen, 1);
	assert_int_equal(id, 1);
	assert_int_equal(t[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(t[3].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(t[4].ulValueLen, 256);
	assert_int_equal(t[5].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	t[3].ulValueLen = sizeof small;
	assert_rv(C_GetAttributeValue(h, p11_find(h, CKO_PRIVATE_KEY, 1), t + 3, 1), CKR_BUFFER_TOO_SMALL);
	assert_rv(C_GetAttributeValue(h, 424242, t, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void
encodings(void **state)
{
	CK_BYTE serial[40], point[140], params[20], subject[400], der[4000];
	CK_ATTRIBUTE t[] = { { CKA_SERIAL_NUMBER, serial, sizeof serial }, { CKA_SUBJECT, subject, sizeof subject },
		{ CKA_VALUE, der, sizeof der } };
	CK_ATTRIBUTE k[] = { { CKA_EC_POINT, point, sizeof point }, { CKA_EC_PARAMS, params, sizeof params } };
	unsigned char *own = NULL;
	const unsigned char *p = der;
	CK_SESSION_HANDLE h;
	X509 *x;
	int n;

	(void)state;
	h = start_in(p11_card("p256", 0, false));
	assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_CERTIFICATE, 1), t, 3));
	assert_non_null(x = d2i_X509(NULL, &p, (long)t[2].ulValueLen));
	assert_true((n = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &own)) > 0);
	assert_int_equal(t[0].ulValueLen, n); /* DER INTEGER */
	assert_memory_equal(serial, own, n);
	OPENSSL_free(own);
	own = NULL;
	assert_true((n = i2d_X509_NAME(X509_get_subject_name(x), &own)) > 0);
	assert_int_equal(t[1].ulValueLen, n);
	assert_memory_equal(subject, own, n);
	OPENSSL_free(own);
	X509_free(x);
	assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_PUBLIC_KEY, 1), k, 2));
	assert_int_equal(k[0].ulValueLen, 67); /* DER OCTET STRING of the uncompressed point */
	assert_memory_equal(point, "\x04\x41\x04", 3);
	assert_int_equal(k[1].ulValueLen, 10);
	assert_memory_equal(params, "\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07", 10);
}

static void
searches_by_subject_and_value(void **state)
{
	CK_BYTE subject[400], modulus[256];
	CK_ATTRIBUTE s = { CKA_SUBJECT, subject, sizeof subject }, m = { CKA_MODULUS, modulus, sizeof modulus };
	CK_OBJECT_HANDLE cert;
	CK_SESSION_HANDLE h;

	(void)state;
	h = start_in(p11_card("rsa2048", 0, false));
	cert = p11_find(h, CKO_CERTIFICATE, 2);
	assert_rv_ok(C_GetAttributeValue(h, cert, &s, 1));
	assert_true(p11_count(h, &s, 1) >= 3);
	assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_PUBLIC_KEY, 2), &m, 1));
	assert_int_equal(p11_count(h, &m, 1), 2); /* public and private */
	modulus[255] ^= 2;
	assert_int_equal(p11_count(h, &m, 1), 0);
}

static void
profiles(void **state)
{
	CK_OBJECT_CLASS class = CKO_PROFILE;
	CK_ULONG id = CKP_PUBLIC_CERTIFICATES_TOKEN;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_PROFILE_ID, &id, sizeof id } };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_int_equal(p11_count(h, t, 2), 1);
	for (id = 1; id <= 4; id++)
		assert_int_equal(p11_count(h, t, 2), 1);
	id = 5;
	assert_int_equal(p11_count(h, t, 2), 0);
}

static void
usage_by_key(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start_in(p11_card("p256", 0, false));
	for (CK_BYTE id = 1; id <= 4; id++) {
		CK_OBJECT_HANDLE o = p11_find(h, CKO_PRIVATE_KEY, id);

		assert_int_equal(p11_bool(h, o, CKA_SIGN), id != 3);
		assert_int_equal(p11_bool(h, o, CKA_DERIVE), id == 3);
		assert_false(p11_bool(h, o, CKA_DECRYPT));
		assert_int_equal(p11_bool(h, o, CKA_ALWAYS_AUTHENTICATE), id == 2);
		assert_int_equal(p11_bool(h, o, CKA_PRIVATE), id != 4);
		assert_true(p11_bool(h, o, CKA_SENSITIVE));
		assert_false(p11_bool(h, o, CKA_EXTRACTABLE));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(labels_and_ids, p11_teardown),
		cmocka_unit_test_teardown(retired_keys, p11_teardown),
		cmocka_unit_test_teardown(attributes_are_complete, p11_teardown),
		cmocka_unit_test_teardown(get_attribute_value_answers_every_row, p11_teardown),
		cmocka_unit_test_teardown(encodings, p11_teardown),
		cmocka_unit_test_teardown(searches_by_subject_and_value, p11_teardown),
		cmocka_unit_test_teardown(profiles, p11_teardown),
		cmocka_unit_test_teardown(usage_by_key, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
