/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace played as a card: order, repetition, other chunking, what is hidden, and what is damaged. */
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "hw/replay.h"
#include "tests/lib/test.h"

#define P     "2026-01-01T00:00:00.000Z pid=7 level=trace event="
#define R     P "apdu reader=\"R 1\" "
#define CHUID "lc=5 data=5C035FC102 "

static struct readers readers;
static void *conn;

static enum err
load(const char *text)
{
	char path[] = "/tmp/dpiv-test-replay.XXXXXX";
	int fd = mkstemp(path);
	enum err e;

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	e = replay_open(path, &readers);
	unlink(path);
	return e;
}

static void
start(const char *text)
{
	assert_int_equal(load(text), E_OK);
	assert_int_equal(readers.ops->connect(readers.ctx, "R 1", &conn), E_OK);
}

static int
stop(void **state)
{
	(void)state;
	if (conn != NULL)
		readers.ops->disconnect(conn);
	conn = NULL;
	replay_close(&readers);
	return 0;
}

/* The answer to a command, both in hex. */
static void
expect(const char *cmd, const char *want)
{
	WBUF_AUTO c, r, w;
	bool reset;

	wbuf_init(&c, 1000);
	wbuf_init(&r, 70000);
	wbuf_init(&w, 1000);
	assert_true(text_unhex(cmd, &c) && text_unhex(want, &w));
	assert_int_equal(readers.ops->transmit(conn, wbuf_view(&c), &r, &reset), E_OK);
	assert_int_equal(r.n, w.n);
	assert_memory_equal(r.p, w.p, w.n);
}

static void
answers_in_order(void **state)
{
	(void)state;
	start(R "cla=00 ins=20 p1=00 p2=80 lc=0 data= answer=0 rsp= sw=63C3\n" R
		"cla=00 ins=20 p1=00 p2=80 lc=8 data=* answer=0 rsp= sw=63C2\n"
		"something else\n" R "cla=00 ins=20 p1=00 p2=80 lc=8 data=* answer=0 rsp= sw=9000\n");
	expect("0020008008 3132333435363738", "63C2");
	expect("0020008008 3132333435363738", "9000");
	expect("0020008008 3132333435363738", "9000"); /* and the last one again */
	expect("00200080", "63C3");
	expect("0020008007 31323334353637", "6F00");
	expect("00CB3FFF055C035FC10200", "6A82");
}

static void
pieces_are_put_together(void **state)
{
	(void)state;
	start(R "cla=10 ins=CB p1=3F p2=FF lc=2 data=5C03 answer=0 rsp= sw=9000\n" R
		"cla=00 ins=CB p1=3F p2=FF lc=3 data=5FC102 answer=2 rsp=5304 sw=6104\n" P
		"apdu reader=\"R 2\" cla=00 ins=CB p1=3F p2=FF lc=5 data=5C035FC102 answer=1 rsp=EE sw=9000\n" R
		"cla=00 ins=C0 p1=00 p2=00 lc=0 data= answer=4 rsp=01020304 sw=9000\n");
	expect("00CB3FFF055C035FC10200", "5304010203049000");
	expect("00CB3FFF055C035FC10204", "530401026102");
	expect("00C0000000", "03049000");
	expect("00C0000000", "6F00");
	expect("00CB3FFF0000055C035FC1020000", "5304010203049000");
	expect("10CB3FFF035C035F", "9000");
	expect("00CB3FFF02C10200", "5304010203049000");
}

static void
the_most_of_an_object(void **state)
{
	(void)state;
	start(R "cla=00 ins=CB p1=3F p2=FF " CHUID "answer=2 rsp=5304 sw=6104\n" R
		"cla=00 ins=6C p1=00 p2=00 lc=0 data= answer=0 rsp= sw=6C04\n" R "cla=00 ins=CB p1=3F p2=FF " CHUID
		"answer=6 rsp=530401020304 sw=9000\n" R
		"cla=00 ins=CB p1=3F p2=FF lc=5 data=5C035FC105 answer=2 rsp=5304 sw=6104\n");
	for (int i = 0; i < 3; i++)
		expect("00CB3FFF055C035FC10200", "5304010203049000");
	expect("00CB3FFF055C035FC10500", "53046100"); /* the rest was never fetched */
	expect("00C0000000", "6F00");
}

static void
what_is_hidden(void **state)
{
	(void)state;
	start(R "cla=00 ins=87 p1=11 p2=9A lc=4 data=* answer=10 rsp=* sw=9000\n" R
		"cla=00 ins=87 p1=11 p2=9C lc=4 data=* answer=0 rsp= sw=6982\n" R
		"cla=00 ins=CB p1=3F p2=FF lc=5 data=5C035FC109 answer=6 rsp=* sw=9000\n");
	expect("0087119A047C02810000", "6F00");
	expect("0087119C047C02810000", "6982");
	expect("00CB3FFF055C035FC10900", "5304000000009000");
}

static void
damage(void **state)
{
	static const char *const bad[] = {
		R "cla=00 ins=CB p1=3F p2=FF lc=5 data=5C answer=0 rsp= sw=9000\n",
		R "cla=00 ins=CB p1=3F p2=FF lc=1 data=5X answer=0 rsp= sw=9000\n",
		R "cla=00 ins=CB p1=3F p2=FF lc=1 data=5C answer=99999999 rsp= sw=9000\n",
		R "cla=00 ins=1CB p1=3F p2=FF lc=1 data=5C answer=0 rsp= sw=9000\n",
		R "cla=00 ins=CB p1=3F p2=FF lc=0 data= answer=0 rsp=\n",
		P "apdu reader=\"R 1 cla=00 ins=CB p1=3F p2=FF lc=0 data= answer=0 rsp= sw=9000\n",
		P "atr reader=\"R 1\" atr=3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B3B\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(load(bad[i]), E_PROTO);
	assert_int_equal(load(""), E_NOTFOUND);
	assert_int_equal(load("hello\n" P "p11 call=C_Initialize\n"), E_NOTFOUND);
	assert_int_equal(replay_open("/nonexistent", &readers), E_NOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(answers_in_order, stop),
		cmocka_unit_test_teardown(pieces_are_put_together, stop),
		cmocka_unit_test_teardown(the_most_of_an_object, stop),
		cmocka_unit_test_teardown(what_is_hidden, stop),
		cmocka_unit_test_teardown(damage, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
