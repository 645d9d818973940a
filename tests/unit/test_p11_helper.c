/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program that asks for a PIN when the caller gave none: shell scripts stand for pinentry and askpass. What they
 * are told, what becomes of what they say, and that the host notices nothing: no signal, no child, no descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/ask.h"
#include "tests/lib/p11_card.h"

static char dir[] = "/tmp/dpiv-helper.XXXXXX";
static char path[4][128]; /* helper, conf, told, pins */
#define HELPER path[0]
#define CONF   path[1]
#define TOLD   path[2]
#define PINS   path[3]

static void
put_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static const char *
told(void)
{
	static char text[8192];
	FILE *f = fopen(TOLD, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

static unsigned
count(const char *what)
{
	unsigned n = 0;

	for (const char *p = told(); (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

#define assert_told(what)                                                                                              \
	do {                                                                                                           \
		if (strstr(told(), (what)) == NULL)                                                                    \
			fail_msg("not told: %s\n%s", (what), told());                                                  \
	} while (0)

/* A PIN a line of PINS is answered; then the last one again. */
#define NEXT_PIN "pin=$(head -n 1 pins); [ $(wc -l <pins) -gt 1 ] && sed -i 1d pins\n"

static void
helper(const char *protocol, const char *script, const char *more)
{
	char text[4096];

	snprintf(text, sizeof text, "[module]\npin_helper = %s\npin_helper_protocol = %s\n%s", HELPER, protocol, more);
	put_file(CONF, text, 0600);
	snprintf(text, sizeof text, "#!/bin/sh\ncd %s\n%s", dir, script);
	put_file(HELPER, text, 0700);
	put_file(PINS, PIN "\n", 0600);
	unlink(TOLD);
	setenv("DPIV_CONF", CONF, 1);
}

static const char ASKPASS[] = "echo \"ask: $1\" >>told\n" NEXT_PIN "echo \"$pin\"\n";
static const char PINENTRY[] =
    "echo 'OK Pleased to meet you'\n"
    "while read -r line; do\n"
    "	echo \"$line\" >>told\n"
    "	case $line in\n"
    "	OPTION*) echo 'ERR 83886254 Unknown option' ;;\n"
    "	GETPIN)\n" NEXT_PIN "	echo 'S PASSWORD_FROM_CACHE'; echo '# a comment'; echo \"D $pin\"; echo OK ;;\n"
    "	BYE) echo OK; exit ;;\n"
    "	*) echo OK ;;\n"
    "	esac\n"
    "done\n";

static int
setup(void **state)
{
	(void)state;
	if (dir[strlen(dir) - 1] == 'X' && mkdtemp(dir) == NULL)
		return -1;
	snprintf(HELPER, sizeof path[0], "%s/helper", dir);
	snprintf(CONF, sizeof path[0], "%s/conf", dir);
	snprintf(TOLD, sizeof path[0], "%s/told", dir);
	snprintf(PINS, sizeof path[0], "%s/pins", dir);
	return 0;
}

static int
teardown(void **state)
{
	unsetenv("DPIV_CONF");
	signal(SIGCHLD, SIG_DFL);
	return p11_teardown(state);
}

static int
cleanup(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++)
		unlink(path[i]);
	return rmdir(dir);
}

/* No child is left behind. */
static void
assert_childless(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static CK_RV
sign_end(CK_SESSION_HANDLE h)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;

	return C_Sign(h, digest, sizeof digest, sig, &n);
}

static CK_RV
sign_init(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };

	return C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, id));
}

/* Logged in, a signature with 9C begun. */
static CK_SESSION_HANDLE
start_9c(void)
{
	CK_SESSION_HANDLE h;

	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign_init(h, 2));
	return h;
}

static unsigned
tries(void)
{
	return (unsigned)vcard_tries(p11_inserted(), 0x80);
}

/* --- what the program is told --- */

static void
askpass_is_told_what_for(void **state)
{
	CK_BYTE digest[32] = { 9 };
	CK_SESSION_HANDLE h;
	CK_ULONG n = 0;

	(void)state;
	helper("askpass", ASKPASS, "");
	h = start_9c();
	assert_rv_ok(C_Sign(h, digest, sizeof digest, NULL, &n)); /* the length is no reason to ask */
	assert_int_equal(count("ask: "), 0);
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 1);
	assert_told("Card: Pat Example, in Reader A\n");
	assert_told("Key: 9C Digital Signature\n");
	assert_told("Program: test_p11_helper (process ");
	assert_told("PIN: ");
	assert_null(strstr(told(), PIN));
	assert_childless();
	assert_rv_ok(sign_init(h, 2)); /* every signature asks */
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 2);
}

static void
pinentry_is_told_what_for(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("pinentry", PINENTRY, "");
	setenv("GPG_TTY", "/dev/pts/99", 1);
	h = start_9c();
	assert_rv_ok(sign_end(h));
	unsetenv("GPG_TTY");
	assert_told("OPTION ttyname=/dev/pts/99\n");
	assert_told(
	    "SETDESC Card: Pat Example, in Reader A%0AKey: 9C Digital Signature%0AProgram: test_p11_helper (process ");
	assert_told("SETPROMPT PIN:\n");
	assert_told("SETTIMEOUT ");
	assert_int_equal(count("GETPIN"), 1);
	assert_int_equal(count("SETERROR"), 0);
	assert_childless();
}

static void
without_a_protocol_the_name_decides(void **state)
{
	char text[512], named[160];
	CK_SESSION_HANDLE h;

	(void)state;
	helper("pinentry", PINENTRY, "");
	snprintf(named, sizeof named, "%s/pinentry-test", dir);
	assert_int_equal(rename(HELPER, named), 0);
	snprintf(text, sizeof text, "[module]\npin_helper = %s\n", named);
	put_file(CONF, text, 0600);
	h = start_9c();
	assert_rv_ok(sign_end(h));
	assert_told("GETPIN");
	unlink(named);
}

/* Since the module asks by itself, programs need not; but one that does is served without a question. */
static void
the_attribute_is_false_with_a_helper(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("askpass", ASKPASS, "");
	h = start_9c();
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(sign_end(h));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_false(p11_bool(h, p11_find(h, CKO_PRIVATE_KEY, 2), CKA_ALWAYS_AUTHENTICATE));
	assert_rv_ok(sign_init(h, 2));
	assert_rv_ok(sign_end(h)); /* with the PIN that was just entered, once */
	assert_int_equal(count("ask: "), 0);
	assert_rv_ok(sign_init(h, 2));
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 1);
}

static void
a_lost_login_is_asked_for(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	CK_TOKEN_INFO info;

	(void)state;
	helper("askpass", ASKPASS, "");
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	vreaders_remove(p11_readers(), 0);
	assert_rv(C_GetTokenInfo(0, &info), CKR_TOKEN_NOT_PRESENT);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 1);
}

/* --- wrong PINs --- */

static void
a_wrong_pin_is_told_and_asked_anew(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("pinentry", PINENTRY, "");
	put_file(PINS, "12\n" PIN_BAD "\n" PIN "\n", 0600);
	h = start_9c();
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("GETPIN"), 3);
	assert_told("SETERROR A PIN has 6 to 8 digits.\n");
	assert_told("SETERROR Wrong PIN.\n");
	assert_told("2 tries left");
	assert_int_equal(tries(), 3);
}

static void
the_last_try_is_shown(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("askpass", ASKPASS, "");
	put_file(PINS, PIN_BAD "\n111111\n" PIN "\n", 0600);
	h = start_9c();
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 3);
	assert_int_equal(count("This is the LAST TRY before the PIN is blocked."), 1);
	assert_int_equal(tries(), 3);
}

static void
a_blocked_pin_is_not_asked_for(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("askpass", ASKPASS, "");
	put_file(PINS, PIN_BAD "\n", 0600);
	h = start_9c();
	assert_rv(sign_end(h), CKR_PIN_LOCKED);
	assert_int_equal(count("ask: "), 3);
	assert_int_equal(tries(), 0);
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_PIN_LOCKED);
}

/* --- programs that do not do as they should --- */

static void
refuses(const char *protocol, const char *script, const char *more, CK_RV want, int64_t at_most)
{
	int64_t start = p11_now_ms();
	CK_SESSION_HANDLE h;

	helper(protocol, script, more);
	h = start_9c();
	assert_rv(sign_end(h), want);
	assert_true(p11_now_ms() - start < at_most);
	assert_childless();
	assert_int_equal(tries(), 3);
	p11_stop();
}

static void
helpers_that_fail(void **state)
{
	(void)state;
	refuses("askpass", "exit 1\n", "", CKR_FUNCTION_CANCELED, 2000);
	refuses("askpass", "echo 123456; exit 1\n", "", CKR_FUNCTION_CANCELED, 2000);
	refuses("askpass", "exit 0\n", "", CKR_FUNCTION_CANCELED, 2000);
	refuses("askpass", "kill -9 $$\n", "", CKR_FUNCTION_CANCELED, 2000);
	refuses("askpass", "yes 1234567\n", "", CKR_USER_NOT_LOGGED_IN, 4000);
	refuses("askpass", "exec sleep 30\n", "pin_helper_timeout = 1\n", CKR_FUNCTION_CANCELED, 5000);
	refuses("askpass", "trap '' TERM; exec sleep 30\n", "pin_helper_timeout = 1\n", CKR_FUNCTION_CANCELED, 6000);
	refuses("pinentry", "exit 0\n", "", CKR_USER_NOT_LOGGED_IN, 2000);
	refuses("pinentry", "exec <&-; echo OK; sleep 0.2; echo OK\n", "", CKR_USER_NOT_LOGGED_IN, 3000);
	refuses("pinentry", "echo 'HELLO there'; cat >/dev/null\n", "", CKR_USER_NOT_LOGGED_IN, 4000);
	refuses("pinentry", "yes | tr -d '\\n'\n", "", CKR_USER_NOT_LOGGED_IN, 4000);
	refuses("pinentry", "echo OK; while read -r x; do echo 'ERR 83886179 Operation cancelled <Pinentry>'; done\n",
	    "", CKR_FUNCTION_CANCELED, 2000);
	refuses(
	    "pinentry", "echo OK; while read -r x; do echo 'D %4'; echo OK; done\n", "", CKR_USER_NOT_LOGGED_IN, 4000);
}

static void
helpers_that_are_not_run(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	helper("askpass", ASKPASS, "");
	assert_int_equal(chmod(HELPER, 0777), 0);
	h = start_9c();
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_true(p11_bool(h, p11_find(h, CKO_PRIVATE_KEY, 4), CKA_SIGN));
	assert_int_equal(chmod(HELPER, 0600), 0);
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN); /* the operation waits as ever */
	unlink(HELPER);
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(sign_end(h));
	assert_int_equal(count("ask: "), 0);
}

/* --- the host --- */

static void
it_gets_nothing_of_the_host(void **state)
{
	int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */
	CK_SESSION_HANDLE h;
	sigset_t blocked;

	(void)state;
	assert_true(leak >= 3);
	setenv("DPIV_TEST_SECRET", "x", 1);
	setenv("DISPLAY", ":99", 1);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	helper("askpass",
	    "env >>told; grep SigBlk /proc/self/status >>told\n"
	    "for f in /proc/$$/fd/*; do readlink $f; done | grep -c '^/dev/null' | sed 's/^/null: /' >>told\n"
	    "echo " PIN "\n",
	    "");
	h = start_9c();
	assert_rv_ok(sign_end(h));
	pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
	assert_null(strstr(told(), "DPIV_"));
	assert_told("DISPLAY=:99\n");
	assert_told("SigBlk:\t0000000000000000\n");
	assert_told("null: 2\n"); /* its own standard input and error */
	unsetenv("DISPLAY");
	unsetenv("DPIV_TEST_SECRET");
	close(leak);
}

/* A host may ignore SIGCHLD: then there is no status to wait for. */
static void
sigchld_may_be_ignored(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	helper("askpass", ASKPASS, "");
	h = start_9c();
	assert_rv_ok(sign_end(h));
}

/* --- other threads --- */

struct waiting {
	CK_SESSION_HANDLE h;
	CK_RV rv;
};

static void *
sign_in_thread(void *arg)
{
	struct waiting *w = arg;

	w->rv = sign_end(w->h);
	return NULL;
}

static void
wait_for(const char *what)
{
	for (int i = 0; i < 500 && strstr(told(), what) == NULL; i++)
		usleep(10000);
	assert_told(what);
}

/* A call waits for the user; end() in this thread ends that, at once. */
static void
ended_by(void (*end)(CK_SESSION_HANDLE h))
{
	struct waiting w;
	int64_t start;
	pthread_t thread;

	helper("askpass", "echo asked >>told; exec sleep 30\n", "");
	w.h = start_9c();
	assert_int_equal(pthread_create(&thread, NULL, sign_in_thread, &w), 0);
	wait_for("asked");
	start = p11_now_ms();
	end(w.h);
	pthread_join(thread, NULL);
	assert_rv(w.rv, CKR_FUNCTION_CANCELED);
	assert_true(p11_now_ms() - start < 4000);
	assert_childless();
	p11_stop();
}

static void
other_threads_end_the_question(void **state)
{
	(void)state;
	ended_by(p11_end_by_close);
	ended_by(p11_end_by_close_all);
	ended_by(p11_end_by_cancel);
	ended_by(p11_end_by_finalize);
}

static void
other_slots_go_on(void **state)
{
	struct vcard *second = p11_card("p256", 0, false);
	CK_SESSION_HANDLE other = 0;
	struct waiting w;
	CK_SLOT_ID slots[4];
	CK_ULONG n = 0;
	int64_t start;
	pthread_t thread;

	(void)state;
	helper("askpass", "echo asked >>told; sleep 2; echo " PIN "\n", "");
	w.h = start_9c();
	vreaders_add(p11_readers(), "Reader B", second);
	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	assert_int_equal(n, 2);
	assert_int_equal(pthread_create(&thread, NULL, sign_in_thread, &w), 0);
	wait_for("asked");
	start = p11_now_ms();
	assert_rv_ok(C_GetSlotList(CK_TRUE, slots, &n));
	assert_rv_ok(C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &other));
	assert_rv_ok(p11_login(other, CKU_USER, PIN));
	assert_rv_ok(sign_init(other, 1));
	assert_rv_ok(sign_end(other));
	assert_true(p11_now_ms() - start < 1500);
	pthread_join(thread, NULL);
	assert_rv_ok(w.rv);
	p11_stop();
	vcard_free(second);
}

/* --- Assuan --- */

#define S(text) span_str(text)

static void
assuan_lines(void **state)
{
	struct span in = S("OK\nD a%25%0a\r\n#\nrest"), line;
	SECRET_AUTO pin = secret_new(4);
	WBUF_AUTO out;
	bool too_long;

	(void)state;
	assert_true(assuan_next(&in, &line, &too_long));
	assert_int_equal(assuan_read(line, pin), ASSUAN_OK);
	assert_true(assuan_next(&in, &line, &too_long));
	assert_int_equal(assuan_read(line, pin), ASSUAN_DATA);
	assert_int_equal(pin->n, 3);
	assert_memory_equal(pin->v, "a%\n", 3);
	assert_true(assuan_next(&in, &line, &too_long));
	assert_int_equal(assuan_read(line, pin), ASSUAN_COMMENT);
	assert_false(assuan_next(&in, &line, &too_long));
	assert_false(too_long);
	assert_int_equal(assuan_read(S("OKAY"), pin), ASSUAN_WRONG);
	assert_int_equal(assuan_read(S("ERR 1 no"), pin), ASSUAN_ERR);
	assert_int_equal(assuan_read(S("D 12"), pin), ASSUAN_WRONG); /* no room */
	assert_int_equal(pin->n, 4);
	wbuf_init(&out, 2000);
	assuan_write(&out, "SETDESC", "50 %\nof it");
	assert_true(span_eq(wbuf_view(&out), S("SETDESC 50 %25%0Aof it\n")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(assuan_lines, teardown),
		cmocka_unit_test_teardown(askpass_is_told_what_for, teardown),
		cmocka_unit_test_teardown(pinentry_is_told_what_for, teardown),
		cmocka_unit_test_teardown(without_a_protocol_the_name_decides, teardown),
		cmocka_unit_test_teardown(the_attribute_is_false_with_a_helper, teardown),
		cmocka_unit_test_teardown(a_lost_login_is_asked_for, teardown),
		cmocka_unit_test_teardown(a_wrong_pin_is_told_and_asked_anew, teardown),
		cmocka_unit_test_teardown(the_last_try_is_shown, teardown),
		cmocka_unit_test_teardown(a_blocked_pin_is_not_asked_for, teardown),
		cmocka_unit_test_teardown(helpers_that_fail, teardown),
		cmocka_unit_test_teardown(helpers_that_are_not_run, teardown),
		cmocka_unit_test_teardown(it_gets_nothing_of_the_host, teardown),
		cmocka_unit_test_teardown(sigchld_may_be_ignored, teardown),
		cmocka_unit_test_teardown(other_threads_end_the_question, teardown),
		cmocka_unit_test_teardown(other_slots_go_on, teardown),
	};

	return cmocka_run_group_tests(tests, setup, cleanup);
}
