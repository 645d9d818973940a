/* SPDX-License-Identifier: BSD-2-Clause */
/* The page for people, the parts without a network: escaping, forms, QR codes as SVG, and the guard of the forms. */
#include <string.h>

#include "derive/issuer/form.h"
#include "derive/issuer/guard.h"
#include "derive/issuer/html.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/qrsvg.h"
#include "derive/issuer/refuse.h"
#include "tests/lib/test.h"

#define CARD  "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"
#define OTHER "FF112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"

static void
assert_html(const char *text, const char *want)
{
	WBUF_AUTO w = { 0 };

	wbuf_init(&w, 4096);
	html_put(&w, "[%s]", text);
	wbuf_u8(&w, 0);
	assert_false(w.bad);
	assert_string_equal((char *)w.p, want);
}

static void
text_is_escaped(void **state)
{
	WBUF_AUTO w = { 0 };

	(void)state;
	assert_html("plain", "[plain]");
	assert_html(NULL, "[]");
	assert_html("<b>&\"'", "[&lt;b&gt;&amp;&quot;&#39;]");
	assert_html("&amp;", "[&amp;amp;]");
	assert_html("\xc3\xa4\xff\x01", "[\xc3\xa4??]");
	wbuf_init(&w, 8);
	html_put(&w, "%s", "<<<<"); /* does not fit */
	assert_true(w.bad);
}

static bool
reads(const char *text, struct form *f)
{
	return form_read(span_str(text), f);
}

static void
forms(void **state)
{
	struct form f;
	char long_one[FORM_VALUE + 3] = "a=";

	(void)state;
	assert_true(reads("a=1&b=x+y%2Fz&&c", &f));
	assert_string_equal(form_get(&f, "a"), "1");
	assert_string_equal(form_get(&f, "b"), "x y/z");
	assert_string_equal(form_get(&f, "c"), "");
	assert_null(form_get(&f, "d"));
	assert_true(reads("", &f));
	assert_int_equal(f.n, 0);
	assert_false(reads("a=1&a=2", &f));
	assert_false(reads("a=1&%61=2", &f));
	assert_false(reads("a=%", &f));
	assert_false(reads("a=%2", &f));
	assert_false(reads("a=%zz", &f));
	assert_false(reads("a=%00", &f));
	assert_false(reads("a=\n", &f));
	assert_false(reads("a=%7f", &f));
	assert_false(reads("a1=&a2=&a3=&a4=&a5=&a6=&a7=&a8=&a9=&b1=&b2=&b3=&b4=", &f));
	memset(&long_one[2], 'x', FORM_VALUE - 1);
	assert_true(reads(long_one, &f));
	long_one[FORM_VALUE + 1] = 'x';
	assert_false(reads(long_one, &f));
}

static void
assert_refused(struct db *db, const struct est_request *rq, const char *card, const char *token, time_t now)
{
	assert_int_equal(guard_check(db, rq, card, token, now), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_CROSS_SITE);
}

static void
guard(void **state)
{
	struct est_request rq = {
		.path = "/code", .host = "h:8443", .origin = "https://h:8443", .site = "same-origin"
	};
	const time_t now = 1900000000;
	char token[GUARD_TOKEN], again[GUARD_TOKEN];
	struct db *db;

	(void)state;
	assert_ok(ledger_open(":memory:", &db));
	assert_ok(guard_token(db, CARD, "/code", now, token));
	assert_ok(guard_token(db, CARD, "/code", now, again));
	assert_string_equal(token, again);
	assert_ok(guard_check(db, &rq, CARD, token, now));
	assert_ok(guard_check(db, &rq, CARD, token, now + 3600));
	assert_refused(db, &rq, CARD, token, now + 3601);
	assert_refused(db, &rq, CARD, token, now - 1);
	assert_refused(db, &rq, OTHER, token, now);
	assert_refused(db, &rq, CARD, NULL, now);
	assert_refused(db, &rq, CARD, "", now);
	for (size_t k = 0; k < strlen(token); k++) {
		char was = token[k];

		token[k] = was == '1' ? '2' : '1';
		assert_refused(db, &rq, CARD, token, now);
		token[k] = was;
	}
	rq.path = "/credential/01";
	assert_refused(db, &rq, CARD, token, now);
	rq.path = "/code";
	rq.site = NULL;
	assert_ok(guard_check(db, &rq, CARD, token, now));
	rq.origin = "https://h:8443.evil.example";
	assert_refused(db, &rq, CARD, token, now);
	rq.origin = "http://h:8443";
	assert_refused(db, &rq, CARD, token, now);
	rq.origin = NULL;
	assert_refused(db, &rq, CARD, token, now);
	rq.site = "same-origin";
	assert_ok(guard_check(db, &rq, CARD, token, now));
	rq.site = "none";
	assert_refused(db, &rq, CARD, token, now);
	db_close(&db);
}

static void
picture(void **state)
{
	WBUF_AUTO w = { 0 };
	char longer[1000];

	(void)state;
	wbuf_init(&w, 1u << 16);
	assert_true(qrsvg_put(&w, "7F3K-9QWD-ZX01-4MTP-HB2C", "a \"name\""));
	wbuf_u8(&w, 0);
	assert_non_null(strstr((char *)w.p, "viewBox=\"0 0 33 33\"")); /* version 2: 25 modules */
	assert_non_null(strstr((char *)w.p, "aria-label=\"a &quot;name&quot;\""));
	assert_non_null(strstr((char *)w.p, "M4 4h7v1h-7z")); /* the finder pattern's first row */
	memset(longer, 'A', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_false(qrsvg_put(&w, longer, "x"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(forms),
		cmocka_unit_test(guard),
		cmocka_unit_test(picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
