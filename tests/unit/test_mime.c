/* SPDX-License-Identifier: BSD-2-Clause */
/* Mail as it comes and as it should never come: header fields, parameters, parts, encodings, addresses, rewriting. */
#include "tests/lib/test.h"

#include <stdio.h>

#include "cli/address.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

#define S(text) span_of(text, sizeof(text) - 1)

static void
fields_and_folds(void **state)
{
	struct span in = S("From: a@x.test\r\nSubject: one\r\n two\nX-Empty:\r\n\r\nbody\r\n"), head, body;
	struct mime_field f;

	(void)state;
	assert_true(mime_split(in, &head, &body));
	assert_bytes(body, "body\r\n");
	assert_true(mime_field(&head, &f));
	assert_true(mime_is_named(&f, "from"));
	assert_bytes(f.value, "a@x.test");
	assert_true(mime_field(&head, &f));
	assert_bytes(f.value, "one\r\n two");
	assert_bytes(f.raw, "Subject: one\r\n two\n");
	assert_true(mime_field(&head, &f));
	assert_true(mime_is_named(&f, "X-"));
	assert_bytes(f.value, "");
	assert_false(mime_field(&head, &f));
}

static void
what_is_no_header(void **state)
{
	static const char *const bad[] = { "no header here\n\nbody", " folded first\n\n", ": no name\n\n",
		"a b: blank in name\n\n", "A: ok\nnot a field\n\n", "" };
	struct span head, body;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(mime_split(span_str(bad[i]), &head, &body));
		assert_int_equal(head.n, 0);
		assert_int_equal(body.n, strlen(bad[i]));
	}
}

static void
parameters(void **state)
{
	struct span v = S("Multipart/Signed (a (nested) comment; x=y); micalg=sha-256;\r\n boundary=\"a;b\\\"c\" ; "
			  "empty=; protocol=p");
	char out[32], small[4];

	(void)state;
	assert_true(mime_word(v, out, sizeof out));
	assert_string_equal(out, "multipart/signed");
	assert_true(mime_param(v, "MICALG", out, sizeof out));
	assert_string_equal(out, "sha-256");
	assert_true(mime_param(v, "boundary", out, sizeof out));
	assert_string_equal(out, "a;b\"c");
	assert_true(mime_param(v, "protocol", out, sizeof out));
	assert_false(mime_param(v, "empty", out, sizeof out));
	assert_false(mime_param(v, "x", out, sizeof out));
	assert_false(mime_param(v, "micalg", small, sizeof small));
	assert_false(mime_param(S("a/b; boundary=\"never closed"), "boundary", out, sizeof out));
	assert_false(mime_word(S("multipart/signed garbage"), out, sizeof out));
	assert_false(mime_param(S("a/b (comment never closed; boundary=x"), "boundary", out, sizeof out));
}

static void
two_content_types_are_refused(void **state)
{
	struct mime_type t;

	(void)state;
	assert_err(mime_type(S("Content-Type: text/plain\nContent-Type: text/html\n"), &t), E_PROTO);
	assert_ok(mime_type(S("X: y\n"), &t));
	assert_string_equal(t.type, "text/plain");
	assert_false(t.given);
}

static void
quoted_printable(void **state)
{
	WBUF_AUTO w, again;

	(void)state;
	wbuf_init(&w, 1000);
	assert_ok(mime_decode(MIME_QP, S("a=3D=\r\nb =20\r\n=zz=4\nGr=C3=BC=\n"), &w));
	assert_bytes(wbuf_view(&w), "a=b  \r\n=zz=4\nGr\xC3\xBC");
	wbuf_clear(&w);
	mime_put_qp(S("From x =\n.dot \ntab\t\n\xC3\xBC"), &w);
	assert_bytes(wbuf_view(&w), "=46rom x =3D\r\n=2Edot=20\r\ntab=09\r\n=C3=BC");
	wbuf_init(&again, 1000);
	assert_ok(mime_decode(MIME_QP, wbuf_view(&w), &again));
	assert_bytes(wbuf_view(&again), "From x =\r\n.dot \r\ntab\t\r\n\xC3\xBC");
}

static void
long_lines_are_broken(void **state)
{
	char line[3000];
	struct span s, one;
	WBUF_AUTO w, back;

	(void)state;
	memset(line, 'x', sizeof line);
	wbuf_init(&w, 10000);
	wbuf_init(&back, 10000);
	mime_put_qp(span_of(line, sizeof line), &w);
	s = wbuf_view(&w);
	while (mime_line(&s, &one, NULL))
		assert_true(one.n <= 76);
	assert_ok(mime_decode(MIME_QP, wbuf_view(&w), &back));
	assert_true(span_eq(wbuf_view(&back), span_of(line, sizeof line)));
}

static void
base64(void **state)
{
	WBUF_AUTO w;

	(void)state;
	wbuf_init(&w, 4);
	assert_ok(mime_decode(MIME_BASE64, S("YWJj\r\nZA==\r\n"), &w));
	assert_bytes(wbuf_view(&w), "abcd");
	wbuf_clear(&w);
	assert_err(mime_decode(MIME_BASE64, S("YWJjZGU="), &w), E_PROTO); /* capped */
	wbuf_clear(&w);
	assert_err(mime_decode(MIME_BASE64, S("YW!j"), &w), E_PROTO);
	assert_err(mime_decode(MIME_UNKNOWN, S("x"), &w), E_PROTO);
}

static struct mime_parts
parts_of(const char *type, struct span body, enum err want)
{
	struct mime_type t;
	struct mime_parts p;

	assert_ok(mime_type(span_str(type), &t));
	assert_err(mime_parts_open(&t, body, &p), want);
	return p;
}

static void
multipart(void **state)
{
	struct mime_parts p = parts_of("Content-Type: multipart/mixed; boundary=b\n",
	    S("pre\r\n--b \r\none\r\n\r\n--bx\r\n--b\n\n--b--\r\nepilogue\r\n--b\r\n"), E_OK);
	struct span part;

	(void)state;
	assert_true(mime_parts_next(&p, &part));
	assert_bytes(part, "one\r\n\r\n--bx");
	assert_true(mime_parts_next(&p, &part));
	assert_bytes(part, "");
	assert_true(p.closed);
	assert_false(mime_parts_next(&p, &part));
}

static void
multipart_malformed(void **state)
{
	struct mime_parts p;
	struct span part;

	(void)state;
	(void)parts_of("Content-Type: multipart/mixed\n", S("--b\n"), E_PROTO);
	(void)parts_of("Content-Type: multipart/mixed; boundary=\"\"\n", S("--\n"), E_PROTO);
	(void)parts_of("Content-Type: multipart/mixed; boundary=b\n", S("no delimiter"), E_PROTO);
	(void)parts_of("Content-Type: multipart/mixed; boundary=b\n", S("--b--\n"), E_PROTO);
	(void)parts_of("Content-Type: multipart/mixed; "
		       "boundary=0123456789012345678901234567890123456789012345678901234567890123456789xx\n",
	    S("--b\n"), E_PROTO);
	p = parts_of("Content-Type: multipart/mixed; boundary=b\n", S("--b\ncut off"), E_OK);
	assert_false(mime_parts_next(&p, &part));
	assert_false(p.closed);
}

static void
rewriting(void **state)
{
	WBUF_AUTO w;

	(void)state;
	wbuf_init(&w, 10000);
	assert_ok(mime_put_entity(S("Content-Type: text/plain\n\nas it is\n"), true, &w));
	assert_bytes(wbuf_view(&w), "Content-Type: text/plain\r\n\r\nas it is\r\n");
	wbuf_clear(&w);
	assert_ok(mime_put_entity(
	    S("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xC3\xBC\n"), true, &w));
	assert_bytes(wbuf_view(&w),
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n");
	wbuf_clear(&w);
	assert_ok(mime_put_entity(S("Content-Type: a/b\nContent-Transfer-Encoding: binary\n\n\x00\n"), false, &w));
	assert_bytes(wbuf_view(&w), "Content-Type: a/b\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\n");
	wbuf_clear(&w);
	assert_err(
	    mime_put_entity(S("Content-Type: multipart/signed; boundary=b\n\n--b\n\n\xC3\xBC\n--b--\n"), true, &w),
	    E_UNSUP);
	wbuf_clear(&w);
	assert_err(mime_put_entity(S("Content-Type: message/rfc822\n\nSubject: \xC3\xBC\n\n\n"), true, &w), E_UNSUP);
}

static void
nesting_is_bounded(void **state)
{
	struct span part;
	struct smime_part p;
	WBUF_AUTO w, out;

	(void)state;
	wbuf_init(&w, 1 << 20);
	wbuf_init(&out, 1 << 20);
	for (int i = 0; i < 1000; i++) {
		char level[80];

		snprintf(level, sizeof level, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
		wbuf_span(&w, span_str(level));
	}
	wbuf_span(&w, span_str("\n\xC3\xBC\n"));
	for (int i = 999; i >= 0; i--) {
		char level[32];

		snprintf(level, sizeof level, "--b%d--\n", i);
		wbuf_span(&w, span_str(level));
	}
	part = wbuf_view(&w);
	assert_err(mime_put_entity(part, true, &out), E_PROTO);
	assert_says("nested");
	assert_err(smime_find(part, &p), E_NOTFOUND);
}

static void
text_or_not(void **state)
{
	(void)state;
	assert_true(mime_is_text(S("plain\r\n\ttext \xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80")));
	assert_false(mime_is_text(S("a\0b")));
	assert_false(mime_is_text(S("\xC3")));
	assert_false(mime_is_text(S("\xFF\xFE")));
	assert_false(mime_is_text(S("\x1B[31m")));
	assert_false(mime_is_text(S("\xC0\xAF")));
	assert_true(mime_is_7bit(S("a\r\nb\n")));
	assert_false(mime_is_7bit(S("a\rb\n")));
}

static void
addresses(void **state)
{
	static const struct {
		const char *value, *want[3];
	} rows[] = {
		{ "pat@example.test", { "pat@example.test" } },
		{ "Pat Example <pat@example.test>", { "pat@example.test" } },
		{ "\"Doe, Bob <x@y.z>\" <bob@example.test>, Eve\r\n <eve@example.test>",
		    { "bob@example.test", "eve@example.test" } },
		{ "bob@example.test (Bob (the) builder, a@b.c)", { "bob@example.test" } },
		{ "team: a@x.test, b@x.test; c@x.test", { "a@x.test", "b@x.test", "c@x.test" } },
		{ "boss@example.test <pat@example.test>", { "pat@example.test" } },
		{ "<pat@example.test> boss@example.test", { "pat@example.test" } },
		{ "<@relay.test:pat@example.test>", { "pat@example.test" } },
		{ "nobody", { NULL } },
		{ "a@b@c, <unclosed@x.test, @x.test, x@", { NULL } },
		{ "\"quoted local\"@x.test", { NULL } },
		{ "A@x.test, a@X.TEST", { "A@x.test" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct addresses a = { 0 };

		assert_ok(addresses_add(&a, span_str(rows[i].value)));
		for (size_t k = 0; k < 3 && rows[i].want[k] != NULL; k++) {
			assert_true(k < a.n);
			assert_string_equal(a.v[k], rows[i].want[k]);
		}
		assert_true(a.n == 3 || rows[i].want[a.n] == NULL);
		addresses_free(&a);
	}
}

static void
header_injection(void **state)
{
	struct mail_add add = { "pat@example.test\r\nBcc: eve@example.test", NULL, NULL };
	struct mail m;

	(void)state;
	assert_err(mail_build(S("text\n"), NULL, &add, true, &m), E_USAGE);
	mail_free(&m);
	add.from = "pat@example.test";
	add.subject = "a\nBcc: eve@example.test";
	assert_err(mail_build(S("text\n"), NULL, &add, true, &m), E_USAGE);
	mail_free(&m);
}

static void
message_or_file(void **state)
{
	struct mail_add add = { "other@example.test", NULL, "S" };
	struct mail m;
	struct span value;

	(void)state;
	assert_ok(mail_build(S("From: pat@example.test\nContent-Type: text/html\nX-Y: z\nMIME-Version: 1.0\n\n<p>\n"),
	    NULL, &add, true, &m));
	assert_string_equal(m.from.v[0], "pat@example.test"); /* the input's own From stays */
	assert_int_equal(m.from.n, 1);
	assert_bytes(wbuf_view(&m.inner), "Content-Type: text/html\r\n\r\n<p>\r\n");
	assert_true(mime_find(wbuf_view(&m.outer), "X-Y", &value, NULL));
	assert_false(mime_find(wbuf_view(&m.outer), "MIME-Version", &value, NULL));
	assert_false(mime_find(wbuf_view(&m.outer), "Content-Type", &value, NULL));
	mail_free(&m);
	assert_ok(mail_build(S("Note: this is a letter\n\nbody\n"), NULL, &add, true, &m));
	assert_bytes(wbuf_view(&m.inner),
	    "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	    "Note: this is a letter\r\n\r\nbody\r\n");
	mail_free(&m);
}

static void
smime_malformed(void **state)
{
	static const char *const bad[] = {
		"From: a@x.test\nContent-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\nMIIB\n",
		"From: a@x.test\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b--\n",
		("From: a@x.test\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: "
		 "application/pkcs7-signature\n\nMIIB\n--b\n\nthird\n--b--\n"),
		"-----BEGIN CMS-----\nMIIB\n-----END CMS-----\n",
	};
	struct smime_part p;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(smime_find(span_str(bad[i]), &p), E_PROTO);
	assert_err(
	    smime_find(S("From: a@x.test\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: "
			 "application/pgp-signature\n\nx\n--b--\n"),
		&p),
	    E_NOTFOUND);
	assert_err(smime_find(S(""), &p), E_NOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_and_folds),
		cmocka_unit_test(what_is_no_header),
		cmocka_unit_test(parameters),
		cmocka_unit_test(two_content_types_are_refused),
		cmocka_unit_test(quoted_printable),
		cmocka_unit_test(long_lines_are_broken),
		cmocka_unit_test(base64),
		cmocka_unit_test(multipart),
		cmocka_unit_test(multipart_malformed),
		cmocka_unit_test(rewriting),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(text_or_not),
		cmocka_unit_test(addresses),
		cmocka_unit_test(header_injection),
		cmocka_unit_test(message_or_file),
		cmocka_unit_test(smime_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
