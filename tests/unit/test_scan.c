/* SPDX-License-Identifier: BSD-2-Clause */
/* The scan of mailboxes: RecipientInfos byte by byte, From_ lines, nesting, and what is cut off or lies. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/scan.h"

#define S(text) span_of(text, sizeof(text) - 1)

struct seen {
	size_t ids, messages, encrypted, damaged;
	bool is_keyid;
	uint8_t serial[16];
	size_t n;
	struct scan_message last;
};

static void
on_id(void *arg, const struct scan_id *id)
{
	struct seen *s = arg;

	s->ids++;
	s->is_keyid = id->is_keyid;
	s->n = id->serial.n;
	assert_true(s->n <= sizeof s->serial);
	memcpy(s->serial, id->serial.p, s->n);
}

static void
on_message(void *arg, const struct scan_message *m)
{
	struct seen *s = arg;

	s->messages++;
	s->encrypted += m->encrypted;
	s->damaged += m->damaged;
	s->last = *m;
}

/* ContentInfo { id-envelopedData, EnvelopedData { 2, SET OF RecipientInfo ... } }, by hand */
#define OID_ENVELOPED "\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x03"
#define NAME	      "\x30\x0C\x31\x0A\x30\x08\x06\x03\x55\x04\x03\x0C\x01\x41"
#define ISSUER_SERIAL "\x30\x11" NAME "\x02\x01\x07"
#define ALG	      "\x30\x03\x06\x01\x2A"
#define KTRI	      "\x30\x1D\x02\x01\x00" ISSUER_SERIAL ALG "\x04\x00"
#define KTRI_SKI      "\x30\x0E\x02\x01\x02\x80\x02\xAB\xCD" ALG "\x04\x00"
#define KEYS	      "\x30\x0B\x30\x09\xA0\x05\x04\x03\x01\x02\x03\x04\x00"
#define KARI_SKI      "\xA1\x1A\x02\x01\x03\xA0\x03\x80\x01\x01" ALG KEYS
#define KEK	      "\xA2\x03\x02\x01\x04"

/* Everything outside is of indefinite length, as streams are written. */
#define OPEN(infos) "\x30\x80" OID_ENVELOPED "\xA0\x80\x30\x80\x02\x01\x02\x31\x80" infos "\x00\x00"

static enum scan_state
feed(struct span in, size_t piece, struct seen *s)
{
	struct scan_cms c;
	enum scan_state st = SCAN_MORE;
	struct span one;

	memset(s, 0, sizeof *s);
	scan_cms_init(&c);
	while (st == SCAN_MORE && in.n > 0 && span_take(&in, piece < in.n ? piece : in.n, &one))
		st = scan_cms_put(&c, one, on_id, s);
	scan_cms_free(&c);
	return st;
}

static void
every_kind_of_recipient(void **state)
{
	struct span all = S(OPEN(KTRI KEK KARI_SKI KTRI_SKI));
	struct seen s;

	(void)state;
	for (size_t piece = 1; piece <= all.n; piece++) {
		assert_int_equal(feed(all, piece, &s), SCAN_END);
		assert_int_equal(s.ids, 3);
		assert_true(s.is_keyid);
		assert_memory_equal(s.serial, "\xAB\xCD", 2);
	}
	assert_int_equal(feed(S(OPEN(KTRI)), 1000, &s), SCAN_END);
	assert_false(s.is_keyid);
	assert_int_equal(s.serial[0], 7);
}

static void
cut_anywhere_is_more(void **state)
{
	struct span all = S(OPEN(KTRI KARI_SKI)), part;
	struct seen s;

	(void)state;
	for (size_t n = 1; n < all.n; n++) {
		assert_true(span_sub(all, 0, n, &part));
		assert_int_equal(feed(part, n, &s), SCAN_MORE);
	}
}

static void
what_is_no_envelope(void **state)
{
	static const struct {
		struct span in;
		enum scan_state want;
	} rows[] = {
		{ { (const uint8_t *)"\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80", 15 }, SCAN_OTHER },
		{ { (const uint8_t *)"\x31\x80", 2 }, SCAN_BAD },
		{ { (const uint8_t *)"\x30\x80\x02\x01\x02", 5 }, SCAN_BAD },
		{ { (const uint8_t *)"\x30\x85\x01\x01\x01\x01\x01", 7 }, SCAN_BAD },
		{ { (const uint8_t *)"\x30\x80\x06\x84\xFF\xFF\xFF\xFF", 8 }, SCAN_BAD },
		{ { (const uint8_t *)"\x3F\x80", 2 }, SCAN_BAD },
	};
	struct seen s;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(feed(rows[i].in, 1000, &s), rows[i].want);
	assert_int_equal(feed(S(OPEN("\x30\x03\x02\x01\x00")), 1000, &s), SCAN_BAD);
	assert_int_equal(feed(S(OPEN("\xA7\x03\x02\x01\x00")), 1000, &s), SCAN_BAD);
	assert_int_equal(feed(S(OPEN("\x30\x80\x02\x01\x00")), 1000, &s), SCAN_BAD);
}

/* A RecipientInfo that reaches beyond its SET. */
static void
a_length_that_lies(void **state)
{
	struct seen s;

	(void)state;
	assert_int_equal(
	    feed(S("\x30\x80" OID_ENVELOPED "\xA0\x80\x30\x80\x02\x01\x02\x31\x05" KTRI "\x30\x00"), 1000, &s),
	    SCAN_BAD);
	assert_int_equal(s.ids, 0);
}

/* --- mail --- */

static void
box(const char *text, size_t n, struct seen *s)
{
	struct scan_sink sink = { s, on_id, on_message, NULL };
	char path[] = "/tmp/dpiv-scan.XXXXXX";
	int fd = mkstemp(path);

	memset(s, 0, sizeof *s);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	close(fd);
	if (scan_box(path, &sink, NULL) != E_OK)
		assert_int_equal(s->messages, 0);
	unlink(path);
}

#define BOX(text) box(text, sizeof(text) - 1, &s)

static void
from_lines(void **state)
{
	struct seen s;

	(void)state;
	BOX("From a Fri Feb  1 10:00:00 2019\nSubject: x\n\nFrom here on\n\nFrom there to here\n\n"
	    "From b Fri Feb  1 10:00:00 2019\nSubject: y\n\n>From c 10:00\nFrom d 10:00\n");
	assert_int_equal(s.messages, 2);
	BOX("From \r\nSubject: x\r\n\r\nbody\r\n\r\nFrom \r\nSubject: y\r\n\r\n");
	assert_int_equal(s.messages, 2);
	BOX("Subject: x\n\nbody\n\nFrom b Fri Feb  1 10:00:00 2019\nSubject: y\n");
	assert_int_equal(s.messages, 1);
	BOX("nothing of the kind\n\n");
	assert_int_equal(s.messages, 0);
	BOX("");
	assert_int_equal(s.messages, 0);
}

/* Wherever the reader's buffer ends, no message is lost: lines of every length come to lie across its end. */
static void
across_the_buffer(void **state)
{
	static const char from[] = "From a Fri Feb  1 10:00:00 2019\n\n";
	struct seen s;
	struct wbuf w;

	(void)state;
	for (size_t shift = 0; shift < 48; shift++) {
		size_t n = 0;

		wbuf_init(&w, 4 * 1024 * 1024);
		wbuf_put(&w, from, sizeof from - 1);
		wbuf_fill(&w, 'x', shift);
		for (; w.n < 2200000; n++) {
			wbuf_put(&w, "\nbody\n\n", 7);
			if (n % 3 == 0)
				wbuf_put(&w, "From one to another\n\n", 21);
			wbuf_put(&w, from, sizeof from - 1);
		}
		box((const char *)w.p, w.n, &s);
		assert_int_equal(s.messages, n + 1);
		wbuf_free(&w);
	}
	/* a line that is longer than the buffer */
	wbuf_init(&w, 4 * 1024 * 1024);
	wbuf_put(&w, from, sizeof from - 1);
	wbuf_fill(&w, 'x', 2500000);
	wbuf_put(&w, "\n\n", 2);
	wbuf_put(&w, from, sizeof from - 1);
	box((const char *)w.p, w.n, &s);
	assert_int_equal(s.messages, 2);
	wbuf_free(&w);
}

/* MIAG CSqGSIb3DQEHA6CAMIACAQIxgDAdAgEAMBEwDDEKMAgGA1UEAwwBQQIBBzADBgEqBAAAAA== is OPEN(KTRI) */
#define B64 "MIAGCSqGSIb3DQEHA6CAMIACAQIxgDAdAgEAMBEwDDEKMAgGA1UEAwwBQQIBBzADBgEqBAAAAA=="
#define P7M "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n"

static void
dates(void **state)
{
	static const struct {
		const char *text;
		time_t want;
	} rows[] = { { "Date: Thu, 1 Jan 1970 00:00:10 +0000", 10 }, { "Date: 1 Jan 70 01:00 +0100", 0 },
		{ "Date:\n Tue, 24 Nov 2026 10:00:00 -0500 (EST)", 1795532400 } };
	struct seen s;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		snprintf(text, sizeof text, "%s\nMessage-ID: <%zu>\n\n", rows[i].text, i);
		box(text, strlen(text), &s);
		assert_true(s.last.dated);
		assert_int_equal(s.last.date, rows[i].want);
		assert_int_equal(s.last.name[1], '0' + (char)i);
	}
	BOX("Date: yesterday\n\n");
	assert_false(s.last.dated);
}

static void
parts(void **state)
{
	struct seen s;

	(void)state;
	BOX(P7M B64 "\n");
	assert_int_equal(s.ids, 1);
	assert_int_equal(s.encrypted, 1);
	assert_int_equal(s.damaged, 0);
	BOX("Content-Type: multipart/mixed; boundary=a\n\n--a\n\ntext\n--ab\n--a  \n" P7M B64 "\n--a--\n");
	assert_int_equal(s.ids, 1);
	BOX("Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n"
	    "--b\n\nx\n--a\n" P7M B64 "\n--a--\n");
	assert_int_equal(s.ids, 1);
	/* the object ends with its part */
	BOX("Content-Type: multipart/mixed; boundary=a\n\n--a\n" P7M "MIAGCSqG\n--a--\nSIb3DQEHA6CA\n");
	assert_int_equal(s.ids, 0);
	assert_int_equal(s.damaged, 1);
	BOX("Content-Type: multipart/mixed; boundary=a\n\n--a--\n--a\n" P7M B64 "\n");
	assert_int_equal(s.ids, 0);
	BOX(P7M "MIAG*CSqGSIb3DQEHA6CA\n");
	assert_int_equal(s.damaged, 1);
	BOX("Content-Type: text/plain\n\n" P7M B64 "\n");
	assert_int_equal(s.encrypted, 0);
}

static void
binary(void **state)
{
	struct seen s;

	(void)state;
	BOX(OPEN(KTRI));
	assert_int_equal(s.ids, 1);
	BOX("Content-Type: application/x-pkcs7-mime\nContent-Transfer-Encoding: binary\n\n" OPEN(KARI_SKI));
	assert_int_equal(s.ids, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_recipient),
		cmocka_unit_test(cut_anywhere_is_more),
		cmocka_unit_test(what_is_no_envelope),
		cmocka_unit_test(a_length_that_lies),
		cmocka_unit_test(from_lines),
		cmocka_unit_test(across_the_buffer),
		cmocka_unit_test(dates),
		cmocka_unit_test(parts),
		cmocka_unit_test(binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
