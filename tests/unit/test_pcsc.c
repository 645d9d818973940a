/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers behind PC/SC. Without an argument: what can be tested where there is no service (PCSCLITE_CSOCK_NAME leads
 * nowhere). With one: a scenario for tests/interop/pcsc_*.sh, which has a pcscd and a card of its own; each line read
 * from standard input is the script's sign to go on.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/test.h"

#include "hw/piv.h"

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
nap(int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* --- without a service --- */

static void
test_no_service(void **state)
{
	struct reader_list list = { .n = 7 };
	struct readers r;
	struct piv_card *card;
	void *conn;

	(void)state;
	assert_ok(pcsc_open(&r));
	assert_err(r.ops->list(r.ctx, &list), E_NOREADER);
	assert_says("start it");
	assert_int_equal(list.n, 0);
	assert_err(r.ops->connect(r.ctx, "Reader", &conn), E_NOREADER);
	assert_says("Reader: ");
	assert_null(conn);
	assert_err(piv_open(&r, "Reader", &card), E_NOREADER);
	pcsc_close(&r);
	assert_null(r.ctx);
	pcsc_close(&r); /* twice does no harm */
}

static void
test_wait_times_out(void **state)
{
	struct reader_list none = { 0 };
	int64_t start = now_ms();
	struct readers r;

	(void)state;
	assert_ok(pcsc_open(&r));
	assert_err(r.ops->wait(r.ctx, &none, 0), E_BUSY);
	assert_err(r.ops->wait(r.ctx, &none, 300), E_BUSY);
	assert_true(now_ms() - start >= 300 && now_ms() - start < 3000);
	none.n = 1; /* a reader that is not there any more is a change */
	assert_ok(r.ops->wait(r.ctx, &none, 300));
	pcsc_close(&r);
}

static void *
cancel_soon(void *arg)
{
	struct readers *r = arg;

	nap(200);
	r->ops->cancel(r->ctx);
	return NULL;
}

static void
test_cancel(void **state)
{
	struct reader_list none = { 0 };
	int64_t start = now_ms();
	struct readers r;
	pthread_t thread;

	(void)state;
	assert_ok(pcsc_open(&r));
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &r), 0);
	assert_err(r.ops->wait(r.ctx, &none, -1), E_CANCELED);
	assert_true(now_ms() - start < 3000);
	pthread_join(thread, NULL);
	r.ops->cancel(r.ctx); /* before the wait: it ends at once */
	assert_err(r.ops->wait(r.ctx, &none, 5000), E_CANCELED);
	pcsc_close(&r);
}

/* --- with a service: scenarios --- */

static int
complain(const char *what)
{
	printf("%s: %s\n", what, err_msg());
	return 1;
}

/* The first reader with a card. */
static enum err
open_card(struct readers *r, struct piv_card **card)
{
	struct reader_list list;
	enum err e;
	size_t i;

	if ((e = r->ops->list(r->ctx, &list)) != E_OK)
		return e;
	for (i = 0; i < list.n; i++)
		if (list.r[i].present)
			return piv_open(r, list.r[i].name, card);
	return err_set(E_NOCARD, "no card in any reader");
}

static enum err
login_card(struct readers *r, struct piv_card **card)
{
	int left;
	enum err e;

	if ((e = open_card(r, card)) == E_OK)
		e = piv_pin_verify(*card, PIV_PIN_APP, span_str("123456"), true, &left);
	return e;
}

/* A signature with 9A, P-256. */
static enum err
sign(struct piv_card *card)
{
	WBUF_AUTO out;
	int left;

	wbuf_init(&out, 128);
	return piv_key_use(card, PIV_KEY_9A, PIV_ALG_P256, PIV_OP_SIGN, span_str("a digest of thirty-two bytes...."),
	    SPAN_NONE, &left, &out);
}

static void
go_on(const char *text)
{
	char line[64];

	printf("%s\n", text);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		return;
}

/* Sign at every sign from the script and say what came of it. */
static int
scene_sign(struct readers *r)
{
	struct piv_card *card = NULL;
	char line[64];
	enum err e;

	if (login_card(r, &card) != E_OK)
		return complain("login");
	do {
		e = sign(card);
		printf("%s %s\n", err_name(e), e != E_OK ? err_msg() : "");
		fflush(stdout);
	} while (fgets(line, sizeof line, stdin) != NULL);
	piv_close(&card);
	return 0;
}

/* Say every change of the readers until the input ends. */
static int
scene_watch(struct readers *r)
{
	struct reader_list list = { 0 };
	int64_t end = now_ms() + 15000;
	size_t i;
	int changes;

	for (changes = 0; changes < 3 && now_ms() < end; changes++) {
		if (r->ops->list(r->ctx, &list) != E_OK)
			return complain("list");
		for (i = 0; i < list.n; i++)
			if (list.r[i].present)
				break;
		printf("%s\n", i < list.n ? "in" : "out");
		fflush(stdout);
		if (r->ops->wait(r->ctx, &list, 8000) != E_OK)
			return printf("nothing changed\n"), 1;
	}
	return 0;
}

static int
scene_cancel(struct readers *r)
{
	struct reader_list list;
	int64_t start = now_ms();
	pthread_t thread;
	enum err e;

	if (r->ops->list(r->ctx, &list) != E_OK)
		return complain("list");
	if (pthread_create(&thread, NULL, cancel_soon, r) != 0)
		return 1;
	e = r->ops->wait(r->ctx, &list, -1);
	pthread_join(thread, NULL);
	printf("%s after %d ms\n", err_name(e), (int)(now_ms() - start));
	return e == E_CANCELED && now_ms() - start < 2500 ? 0 : 1;
}

/* Hold a transaction until the script says so. */
static int
scene_hold(struct readers *r)
{
	struct piv_card *card = NULL;

	if (open_card(r, &card) != E_OK || piv_begin(card) != E_OK)
		return complain("hold");
	go_on("held");
	piv_end(card);
	piv_close(&card);
	return 0;
}

/* As many signatures as there is time for, without pause. */
static int
scene_busy(struct readers *r)
{
	struct piv_card *card = NULL;
	int64_t start, last, gap = 0;
	int n = 0;

	if (login_card(r, &card) != E_OK)
		return complain("login");
	for (start = last = now_ms(); now_ms() - start < 6000; n++) {
		if (sign(card) != E_OK)
			return complain("sign");
		gap = now_ms() - last > gap ? now_ms() - last : gap;
		last = now_ms();
	}
	piv_close(&card);
	printf("%d signatures, longest wait %d ms\n", n, (int)gap);
	return n >= 10 && gap < 4000 ? 0 : 1;
}

/* The child forgets the parent's connection and makes its own; the parent's goes on working. */
static int
scene_fork(struct readers *r)
{
	struct piv_card *card = NULL, *own = NULL;
	struct readers mine;
	int status = 1;
	pid_t pid;

	if (login_card(r, &card) != E_OK)
		return complain("login");
	fflush(stdout);
	if ((pid = fork()) == 0) {
		piv_forget(&card);
		pcsc_forget(r);
		if (pcsc_open(&mine) != E_OK || login_card(&mine, &own) != E_OK || sign(own) != E_OK)
			_exit(1);
		piv_close(&own);
		pcsc_close(&mine);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return printf("the child failed\n"), 1;
	if (sign(card) != E_OK)
		return complain("sign");
	piv_close(&card);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct readers *r);
} scenes[] = {
	{ "sign", scene_sign },
	{ "watch", scene_watch },
	{ "cancel", scene_cancel },
	{ "hold", scene_hold },
	{ "busy", scene_busy },
	{ "fork", scene_fork },
};

static int
play(const char *name)
{
	struct readers r;
	size_t i;
	int rv = 2;

	if (pcsc_open(&r) != E_OK)
		return 1;
	for (i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
		if (strcmp(name, scenes[i].name) == 0)
			rv = scenes[i].run(&r);
	pcsc_close(&r);
	return rv;
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_service),
		cmocka_unit_test(test_wait_times_out),
		cmocka_unit_test(test_cancel),
	};

	if (argc == 2)
		return play(argv[1]);
	setenv("PCSCLITE_CSOCK_NAME", "/nonexistent/pcscd.comm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
