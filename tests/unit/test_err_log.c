/* SPDX-License-Identifier: BSD-2-Clause */
/* base/err, base/log, base/secret: one sentence a failure, one line an event, secrets that are gone when freed. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "tests/lib/test.h"

static void
sentence_and_context(void **state)
{
	(void)state;
	assert_err(err_set(E_PIN, "card %s: %d tries left", "A", 2), E_PIN);
	assert_string_equal(err_msg(), "card A: 2 tries left");
	assert_err(err_up(E_PIN, "sign with %s", "9C"), E_PIN);
	assert_string_equal(err_msg(), "sign with 9C: card A: 2 tries left");
	assert_err(err_set(E_IO, "again: %s", err_msg()), E_IO);
	assert_string_equal(err_msg(), "again: sign with 9C: card A: 2 tries left");
	err_clear();
	assert_err(err_up(E_NOCARD, "status"), E_NOCARD);
	assert_string_equal(err_msg(), "status: no card in the reader");
}

static void
long_sentences_are_cut(void **state)
{
	char long_text[4000];

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_err(err_set(E_ARG, "%s", long_text), E_ARG);
	assert_err(err_up(E_ARG, "%s", long_text), E_ARG);
	assert_true(strlen(err_msg()) > 500 && strlen(err_msg()) < 1000);
}

static void
every_code_has_its_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i < E_COUNT; i++)
		assert_true(strlen(err_text((enum err)i)) > 1 && strlen(err_name((enum err)i)) > 1);
	assert_string_equal(err_name(E_PINLOCKED), "PINLOCKED");
	assert_string_equal(err_name((enum err)999), "UNKNOWN");
}

static void *
other_thread(void *arg)
{
	(void)arg;
	assert_string_equal(err_msg(), "");
	assert_err(err_set(E_NET, "theirs"), E_NET);
	return NULL;
}

static void
each_thread_has_its_own(void **state)
{
	pthread_t t;

	(void)state;
	assert_err(err_set(E_IO, "mine"), E_IO);
	assert_int_equal(pthread_create(&t, NULL, other_thread, NULL), 0);
	pthread_join(t, NULL);
	assert_string_equal(err_msg(), "mine");
}

static void
log_writes_one_line_an_event(void **state)
{
	char path[] = "/tmp/dpiv-log.XXXXXX", value[64];
	WBUF_AUTO text = { .max = 65536 };
	int fd = mkstemp(path), status;
	pid_t child;

	(void)state;
	close(fd);
	snprintf(value, sizeof value, "info:%s", path);
	if ((child = fork()) == 0) {
		setenv("DPIV_LOG", value, 1);
		log_info("hello", "who=%s", "world");
		log_debug("quiet", "not=written");
		_exit(log_on(LOG_INFO) && !log_on(LOG_DEBUG) ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_ok(file_read(path, &text));
	wbuf_u8(&text, 0);
	assert_non_null(strstr((char *)text.p, " level=info event=hello who=world\n"));
	assert_null(strstr((char *)text.p, "quiet"));
	unlink(path);
}

static void
secrets_compare_and_vanish(void **state)
{
	SECRET_AUTO a = secret_copy("123456", 6);
	SECRET_AUTO b = secret_copy("123456", 6);
	SECRET_AUTO c = secret_copy("123457", 6);
	int status;
	pid_t child;

	(void)state;
	assert_true(secret_eq(a, b));
	assert_false(secret_eq(a, c));
	assert_false(secret_eq(a, NULL));
	assert_int_equal(secret_view(a).n, 6);
	assert_null(secret_new(SIZE_MAX));
	if ((child = fork()) == 0) {
		uint8_t seen = a->v[0]; /* MADV_WIPEONFORK */

		secret_free(&a);
		_exit(seen);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	secret_free(&c);
	assert_null(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_writes_one_line_an_event), /* first: the setting is read once a process */
		cmocka_unit_test(sentence_and_context),
		cmocka_unit_test(long_sentences_are_cut),
		cmocka_unit_test(every_code_has_its_text),
		cmocka_unit_test(each_thread_has_its_own),
		cmocka_unit_test(secrets_compare_and_vanish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
