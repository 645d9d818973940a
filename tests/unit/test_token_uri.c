/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 7512 URIs of tokens: what is understood, what is refused, where the PIN comes from, what is written. */
#include <stdio.h>
#include <unistd.h>

#include "derive/token_int.h"
#include "tests/lib/test.h"

static void
test_refused(void **state)
{
	static const struct {
		const char *uri;
		enum err e;
	} bad[] = {
		{ "", E_ARG },
		{ "laptop", E_ARG },
		{ "http://x", E_ARG },
		{ "pkcs11:token=%", E_ARG },
		{ "pkcs11:token=%zz", E_ARG },
		{ "pkcs11:tokn=x", E_ARG },
		{ "pkcs11:token=x;slot-id=abc", E_ARG },
		{ "pkcs11:token=x?module-name=softhsm2", E_UNSUP },
	};
	struct token_ref ref;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (ref_parse(bad[i].uri, &ref) != bad[i].e)
			fail_msg("%s: E_%s expected: %s", bad[i].uri, err_name(bad[i].e), err_msg());
}

static void
test_parts(void **state)
{
	struct token_ref ref;

	(void)state;
	assert_ok(ref_parse("pkcs11:token=x?module-path=/usr/lib/m.so&pin-source=file:/run/pin", &ref));
	assert_string_equal(ref.module_path, "/usr/lib/m.so");
	assert_true(ref_has_pin(&ref));
	assert_false(ref.names_key);
	ref_free(&ref);
	assert_ok(ref_parse("pkcs11:token=x;id=%01;type=private", &ref));
	assert_null(ref.module_path);
	assert_true(ref.names_key);
	assert_false(ref_has_pin(&ref));
	ref_free(&ref);
}

static void
test_pin(void **state)
{
	static const char *const before[] = { "file:", "file://", "" };
	char path[] = "/tmp/dpiv-pin.XXXXXX", uri[256];
	int fd = mkstemp(path);
	struct token_ref ref;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "123456\n", 7), 7);
	close(fd);
	for (size_t i = 0; i < 3; i++) {
		SECRET_AUTO pin = NULL;

		snprintf(uri, sizeof uri, "pkcs11:token=x?pin-source=%s%s", before[i], path);
		assert_ok(ref_parse(uri, &ref));
		assert_ok(ref_pin(&ref, &pin));
		assert_bytes(secret_view(pin), "123456");
		ref_free(&ref);
	}
	unlink(path);
	assert_ok(ref_parse("pkcs11:token=x?pin-value=9876", &ref));
	SECRET_AUTO pin = NULL;
	assert_ok(ref_pin(&ref, &pin));
	assert_bytes(secret_view(pin), "9876");
	ref_free(&ref);
}

static void
test_pin_refused(void **state)
{
	SECRET_AUTO pin = NULL;
	struct token_ref ref;

	(void)state;
	assert_ok(ref_parse("pkcs11:token=x?pin-source=file:/nonexistent/pin", &ref));
	assert_true(ref_pin(&ref, &pin) != E_OK);
	assert_says("pin-source");
	ref_free(&ref);
	assert_ok(ref_parse("pkcs11:token=x?pin-source=%7Ccat%20/etc/passwd", &ref)); /* a command: never run */
	assert_err(ref_pin(&ref, &pin), E_ARG);
	ref_free(&ref);
	assert_ok(ref_parse("pkcs11:token=x", &ref));
	assert_ok(ref_pin(&ref, &pin));
	assert_null(pin);
	ref_free(&ref);
}

static void
test_no_pin_in_messages(void **state)
{
	struct token_ref ref;

	(void)state;
	assert_err(ref_parse("pkcs11:bogus=1?pin-value=Zebra4711", &ref), E_ARG);
	assert_null(strstr(err_msg(), "Zebra"));
}

static void
pad(unsigned char *to, size_t n, const char *text)
{
	memset(to, ' ', n);
	memcpy(to, text, strlen(text));
}

static void
test_format(void **state)
{
	char path[] = "/usr/lib/a b/m.so";
	struct token_module m = { .path = path };
	CK_TOKEN_INFO ti = { .flags = 0 };
	struct token_ref ref;
	char *uri;

	(void)state;
	pad(ti.label, sizeof ti.label, "my; token?");
	pad(ti.serialNumber, sizeof ti.serialNumber, "0001");
	assert_ok(ref_format(&m, &ti, &uri));
	assert_non_null(strstr(uri, "serial=0001"));
	assert_non_null(strstr(uri, "?module-path=/usr/lib/a%20b/m.so"));
	assert_null(strstr(uri, "pin"));
	assert_ok(ref_parse(uri, &ref)); /* what is written is read */
	assert_string_equal(ref.module_path, path);
	ref_free(&ref);
	free(uri);
	m.own = true;
	assert_ok(ref_format(&m, &ti, &uri));
	assert_null(strchr(uri, '?')); /* dpiv's own module goes without saying */
	free(uri);
}

static void
test_open_without_module(void **state)
{
	struct token *t;

	(void)state;
	assert_err(token_open("pkcs11:token=x?module-path=m.so", NULL, NULL, &t), E_ARG);
	assert_null(t);
	assert_err(token_open("pkcs11:token=x?module-path=/nonexistent/m.so", NULL, NULL, &t), E_NOTFOUND);
	assert_says("/nonexistent/m.so");
	token_close(&t); /* NULL is fine */
}

static void
test_rv(void **state)
{
	char buf[24];

	(void)state;
	assert_int_equal(rv_err(CKR_PIN_INCORRECT), E_PIN);
	assert_int_equal(rv_err(CKR_DEVICE_MEMORY), E_NOSPACE);
	assert_int_equal(rv_err(0x80001234UL), E_IO);
	assert_string_equal(rv_name(CKR_PIN_LOCKED, buf), "CKR_PIN_LOCKED");
	assert_string_equal(rv_name(0x80001234UL, buf), "CKR 0x80001234");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_pin), cmocka_unit_test(test_pin_refused),
		cmocka_unit_test(test_no_pin_in_messages), cmocka_unit_test(test_format),
		cmocka_unit_test(test_open_without_module), cmocka_unit_test(test_rv) };

	return cmocka_run_group_tests_name("token_uri", tests, NULL, NULL);
}
