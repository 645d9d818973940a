/* SPDX-License-Identifier: BSD-2-Clause */
/* The line in which processes wait for a reader: order of arrival, and nobody holds a place who is not there. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

#include "hw/pcsc_int.h"

static char dir[64];

static int
line_make(void **state)
{
	char path[96];

	(void)state;
	strcpy(dir, "/tmp/dpiv-test-line.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof path, "%s/pcscd.comm", dir);
	return setenv("PCSCLITE_CSOCK_NAME", path, 1);
}

static int
line_remove(void **state)
{
	(void)state;
	return rmdir(dir); /* nothing was created in it */
}

static void
test_order(void **state)
{
	struct pcsc_turn a, b, c, other;

	(void)state;
	pcsc_turn_init(&a, "Reader");
	pcsc_turn_init(&b, "Reader");
	pcsc_turn_init(&c, "Reader");
	pcsc_turn_init(&other, "Another reader");
	assert_int_equal(a.line, -1); /* nothing is opened before it is needed */
	pcsc_line_join(&a);
	pcsc_line_join(&b);
	pcsc_line_join(&other);
	assert_int_equal(pcsc_line_ahead(&a), 0);
	assert_int_equal(pcsc_line_ahead(&other), 0);
	assert_int_not_equal(pcsc_line_ahead(&b), 0);
	pcsc_line_join(&c);
	pcsc_line_leave(&a);
	pcsc_line_join(&a); /* again: last now */
	assert_int_equal(pcsc_line_ahead(&b), 0);
	assert_int_not_equal(pcsc_line_ahead(&c), 0);
	pcsc_line_leave(&b);
	assert_int_equal(pcsc_line_ahead(&c), 0);
	assert_int_not_equal(pcsc_line_ahead(&a), 0);
	pcsc_line_close(&c); /* gone without leaving */
	assert_int_equal(pcsc_line_ahead(&a), 0);
	pcsc_line_leave(&a);
	pcsc_line_leave(&a);
	pcsc_line_close(&a);
	pcsc_line_close(&b);
	pcsc_line_close(&other);
}

/* A process in line dies; and one that is forked from us holds nothing of ours. */
static void
test_processes(void **state)
{
	struct pcsc_turn a, b;
	int ready[2], status;
	char byte = 0;
	pid_t pid;

	(void)state;
	pcsc_turn_init(&a, "Reader");
	pcsc_turn_init(&b, "Reader");
	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0) {
		pcsc_line_join(&b);
		_exit(write(ready[1], &byte, 1) == 1 && pause() != 0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	pcsc_line_join(&a);
	assert_int_not_equal(pcsc_line_ahead(&a), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(pcsc_line_ahead(&a), 0);
	if ((pid = fork()) == 0)
		_exit(pause() != 0);
	pcsc_line_join(&b);
	pcsc_line_leave(&a);
	assert_int_equal(pcsc_line_ahead(&b), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	pcsc_line_close(&a);
	pcsc_line_close(&b);
	close(ready[0]);
	close(ready[1]);
}

static void
test_no_line(void **state)
{
	struct pcsc_turn a;

	(void)state;
	setenv("PCSCLITE_CSOCK_NAME", "/nonexistent/pcscd.comm", 1);
	pcsc_turn_init(&a, "Reader");
	pcsc_line_join(&a);
	assert_true(a.no_line);
	assert_int_equal(pcsc_line_ahead(&a), 0);
	pcsc_line_leave(&a);
	pcsc_line_close(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_no_line),
	};

	return cmocka_run_group_tests(tests, line_make, line_remove);
}
