/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Security Object after a write: true again where a content signer is at hand, said to be wrong where none is; and
 * the functions that read and make it, over the virtual card's own.
 */
#include <stdio.h>
#include <unistd.h>

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "hw/piv_secobj.h"
#include "hw/tlv.h"
#include "tests/lib/p11_card.h"

#define ADMIN "010203040506070801020304050607080102030405060708"

static CK_BBOOL yes = CK_TRUE;
static char pem_path[] = "/tmp/dpiv-secobj-pem-XXXXXX", conf_path[] = "/tmp/dpiv-secobj-conf-XXXXXX";
static X509 *signer;
static EVP_PKEY *signer_key;

static int
signer_make(void **state)
{
	int pem = mkstemp(pem_path), conf = mkstemp(conf_path);
	FILE *f = fdopen(pem, "w"), *c = fdopen(conf, "w");
	X509_NAME *name;

	(void)state;
	signer_key = EVP_EC_gen("P-256");
	signer = X509_new();
	name = X509_get_subject_name(signer);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"Content Signer", -1, -1, 0);
	X509_set_version(signer, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(signer), 3);
	X509_set_issuer_name(signer, name);
	X509_gmtime_adj(X509_getm_notBefore(signer), 0);
	X509_gmtime_adj(X509_getm_notAfter(signer), 86400);
	X509_set_pubkey(signer, signer_key);
	X509_sign(signer, signer_key, EVP_sha256());
	PEM_write_PrivateKey(f, signer_key, NULL, NULL, 0, NULL, NULL);
	PEM_write_X509(f, signer);
	fprintf(c, "[module]\ncontent_signer = %s\n", pem_path);
	return fclose(f) || fclose(c);
}

static int
signer_remove(void **state)
{
	(void)state;
	unlink(pem_path);
	unlink(conf_path);
	X509_free(signer);
	EVP_PKEY_free(signer_key);
	return 0;
}

static size_t
data_count(CK_SESSION_HANDLE h, const char *label)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) } };

	return p11_count(h, t, 2);
}

static CK_OBJECT_HANDLE
data_find(CK_SESSION_HANDLE h, const char *label)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) } };
	CK_OBJECT_HANDLE o = 0;
	CK_ULONG n = 0;

	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, &o, 1, &n));
	assert_rv_ok(C_FindObjectsFinal(h));
	assert_int_equal(n, 1);
	return o;
}

static struct span
data_value(CK_SESSION_HANDLE h, const char *label, CK_BYTE out[4096])
{
	CK_ATTRIBUTE v = { CKA_VALUE, out, 4096 };

	assert_rv_ok(C_GetAttributeValue(h, data_find(h, label), &v, 1));
	return span_of(out, v.ulValueLen);
}

static void
data_write(CK_SESSION_HANDLE h, const char *label, const void *p, size_t n)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_TOKEN, &yes, 1 },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) }, { CKA_VALUE, (void *)(uintptr_t)p, n } };
	CK_OBJECT_HANDLE o;

	assert_rv_ok(C_CreateObject(h, t, 4, &o));
}

static void
check(struct span so, uint32_t tag, struct span value, bool covered, bool same)
{
	bool c, s;

	assert_ok(piv_secobj_check(so, tag, value, &c, &s));
	assert_int_equal(c, covered);
	assert_int_equal(s, same);
}

/* Signed by our signer? inside: with the certificate that came along; content: when it is detached. */
static bool
signed_by_us(struct span der, struct span content, bool inside)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der.n);
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *in = content.n > 0 ? BIO_new_mem_buf(content.p, (int)content.n) : NULL;
	bool good;

	assert_non_null(cms);
	if (!inside)
		sk_X509_push(certs, signer);
	good = CMS_verify(cms, certs, NULL, in, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1;
	sk_X509_free(certs);
	BIO_free(in);
	CMS_ContentInfo_free(cms);
	return good;
}

static bool
is_ours(struct span contents)
{
	struct piv_secobj so;

	assert_ok(piv_secobj_parse(contents, &so));
	return signed_by_us(so.cms, SPAN_NONE, false);
}

static bool
has_signer(struct span contents)
{
	struct piv_secobj so;

	assert_ok(piv_secobj_parse(contents, &so));
	return signed_by_us(so.cms, SPAN_NONE, true);
}

static CK_SESSION_HANDLE
start(const char *conf)
{
	CK_SESSION_HANDLE h;

	setenv("DPIV_CONF", conf, 1);
	p11_start_with(p11_card("p256", 2, false));
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	return h;
}

static const char history[] = "\xC1\x01\x01\xC2\x01\x00\xFE\x00";

static void
without_a_signer_it_stays(void **state)
{
	CK_BYTE before[4096], after[4096], value[4096];
	CK_SESSION_HANDLE h = start("/dev/null");
	struct span was = data_value(h, "Security Object", before), now;

	(void)state;
	check(was, PIV_OBJ_HISTORY, data_value(h, "Key History Object", value), true, true);
	check(was, PIV_OBJ_CHUID, data_value(h, "Card Holder Unique Identifier", value), true, true);
	check(was, 0x5FC122, SPAN_NONE, false, false);
	data_write(h, "Key History Object", history, sizeof history - 1);
	now = data_value(h, "Security Object", after);
	assert_true(span_eq(was, now));
	check(now, PIV_OBJ_HISTORY, data_value(h, "Key History Object", value), true, false);
}

static void
with_a_signer_it_follows(void **state)
{
	CK_BYTE so[4096], value[4096];
	CK_SESSION_HANDLE h = start(conf_path);
	struct span now = data_value(h, "Security Object", so);

	(void)state;
	assert_false(is_ours(now));
	data_write(h, "Key History Object", history, sizeof history - 1);
	now = data_value(h, "Security Object", so);
	assert_true(is_ours(now));
	check(now, PIV_OBJ_HISTORY, data_value(h, "Key History Object", value), true, true);
	check(now, PIV_OBJ_CHUID, data_value(h, "Card Holder Unique Identifier", value), true, true);
	/* one that it did not have; and one that goes */
	data_write(h, "Secure Messaging Certificate Signer", "\x70\x01\x00", 3);
	now = data_value(h, "Security Object", so);
	check(now, 0x5FC122, span_of("\x70\x01\x00", 3), true, true);
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Key History Object")));
	now = data_value(h, "Security Object", so);
	check(now, PIV_OBJ_HISTORY, SPAN_NONE, false, false);
	check(now, PIV_OBJ_CHUID, data_value(h, "Card Holder Unique Identifier", value), true, true);
	assert_true(is_ours(now));
}

/* A certificate of a retired key goes: Key History and with it the Security Object follow. */
static void
certificate_makes_both_follow(void **state)
{
	CK_BYTE so[4096], value[4096];
	CK_SESSION_HANDLE h = start(conf_path);
	struct span now;

	(void)state;
	assert_rv_ok(C_DestroyObject(h, p11_find(h, CKO_CERTIFICATE, 6)));
	now = data_value(h, "Key History Object", value);
	assert_memory_equal(now.p, "\xC1\x01\x01", 3);
	check(data_value(h, "Security Object", so), PIV_OBJ_HISTORY, now, true, true);
	assert_true(is_ours(data_value(h, "Security Object", so)));
}

/* A token that has none: the first object that wants one makes it, with the signer's certificate inside. */
static void
first_one_is_made(void **state)
{
	static const char chuid[] = "\x34\x10"
				    "0123456789abcdef"
				    "\x35\x08"
				    "20501231"
				    "\x3E\x00\xFE\x00";
	static const char chuid_tbs[] = "\x34\x10"
					"0123456789abcdef"
					"\x35\x08"
					"20501231"
					"\xFE\x00";
	CK_BYTE so[4096], value[4096];
	CK_SESSION_HANDLE h = start(conf_path);
	struct piv_chuid parsed;
	struct span now;

	(void)state;
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Key History Object")));
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Security Object")));
	data_write(h, "Card Holder Unique Identifier", chuid, sizeof chuid - 1);
	now = data_value(h, "Card Holder Unique Identifier", value);
	assert_ok(piv_chuid_parse(now, &parsed));
	assert_true(signed_by_us(parsed.signature, span_of(chuid_tbs, sizeof chuid_tbs - 1), true));
	data_write(h, "Key History Object", history, sizeof history - 1);
	now = data_value(h, "Security Object", so);
	check(now, PIV_OBJ_HISTORY, data_value(h, "Key History Object", value), true, true);
	check(now, PIV_OBJ_CHUID, data_value(h, "Card Holder Unique Identifier", value), true, true);
	check(now, PIV_OBJ_CCC, data_value(h, "Card Capability Container", value), true, true);
	assert_true(is_ours(now));
	assert_true(has_signer(now));
	/* and is still there after the next one */
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Card Capability Container")));
	now = data_value(h, "Security Object", so);
	check(now, PIV_OBJ_CCC, SPAN_NONE, false, false);
	assert_true(has_signer(now));
}

static void
without_a_signer_none_is_made(void **state)
{
	static const char chuid[] = "\x34\x10"
				    "0123456789abcdef"
				    "\x35\x08"
				    "20501231"
				    "\x3E\x00\xFE\x00";
	CK_BYTE value[4096];
	CK_SESSION_HANDLE h = start("/dev/null");

	(void)state;
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Security Object")));
	data_write(h, "Card Holder Unique Identifier", chuid, sizeof chuid - 1);
	assert_true(span_eq(data_value(h, "Card Holder Unique Identifier", value), span_of(chuid, sizeof chuid - 1)));
	data_write(h, "Key History Object", history, sizeof history - 1);
	assert_int_equal(data_count(h, "Security Object"), 0);
}

/* A YubiKey's Discovery object cannot be written. Given to it as it is, it is there, and its hash follows. */
static void
discovery_of_its_own(void **state)
{
	CK_BYTE so[4096], value[4096], other[64];
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_TOKEN, &yes, 1 },
		{ CKA_LABEL, (void *)(uintptr_t) "Discovery Object", 16 }, { CKA_VALUE, other, 0 } };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;
	struct span was;

	(void)state;
	setenv("DPIV_CONF", conf_path, 1);
	p11_start_with(p11_card("yubikey-p256", 0, false));
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv_ok(C_DestroyObject(h, data_find(h, "Security Object")));
	was = data_value(h, "Discovery Object", value);
	data_write(h, "Discovery Object", value, was.n);
	check(data_value(h, "Security Object", so), PIV_OBJ_DISCOVERY, was, true, true);
	assert_true(is_ours(data_value(h, "Security Object", so)));
	memcpy(other, value, was.n);
	other[was.n - 2] = 0x60;
	t[3].ulValueLen = was.n;
	assert_int_not_equal(C_CreateObject(h, t, 4, &o), CKR_OK);
	assert_true(span_eq(data_value(h, "Discovery Object", so), was));
}

static void
malformed_ones(void **state)
{
	static const char *const bad[] = { "", "\xBA\x02\x01\x30", "\xBA\x03\x01\x30\x00\xBB\x00",
		"\xBA\x03\x01\x60\x60\xBB\x02\x30\x00" };
	static const size_t length[] = { 0, 4, 7, 9 };
	bool covered, same;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_err(
		    piv_secobj_check(span_of(bad[i], length[i]), PIV_OBJ_HISTORY, SPAN_NONE, &covered, &same), E_PROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(without_a_signer_it_stays, p11_teardown),
		cmocka_unit_test_teardown(with_a_signer_it_follows, p11_teardown),
		cmocka_unit_test_teardown(certificate_makes_both_follow, p11_teardown),
		cmocka_unit_test_teardown(first_one_is_made, p11_teardown),
		cmocka_unit_test_teardown(without_a_signer_none_is_made, p11_teardown),
		cmocka_unit_test_teardown(discovery_of_its_own, p11_teardown),
		cmocka_unit_test(malformed_ones),
	};

	return cmocka_run_group_tests(tests, signer_make, signer_remove);
}
