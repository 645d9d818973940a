/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a Unix socket. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

#include "base/proc.h"

static char path[64];
static int server = -1;

static int
server_open(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)state;
	snprintf(path, sizeof path, "/tmp/dpiv-test-proc.%ld", (long)getpid());
	strcpy(a.sun_path, path);
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return server < 0 || bind(server, (struct sockaddr *)&a, sizeof a) != 0 || listen(server, 8) != 0;
}

static int
server_close(void **state)
{
	(void)state;
	close(server);
	return unlink(path);
}

static int
join(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* A child with this name and a connection, until the pipe is closed. */
static pid_t
client(const char *name, int hold[2], int *accepted)
{
	char byte = 0;
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0) {
		close(hold[1]);
		prctl(PR_SET_NAME, name);
		(void)join();
		if (write(ready[1], &byte, 1) == 1 && read(hold[0], &byte, 1) >= 0)
			_exit(0);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	*accepted = accept(server, NULL, NULL);
	assert_true(*accepted >= 0);
	return pid;
}

static void
test_nobody(void **state)
{
	struct proc_clients c;
	char text[64];
	int mine;

	(void)state;
	assert_int_equal(proc_connections(path), 0);
	proc_clients("/nonexistent", &c);
	assert_int_equal(c.n + c.hidden, 0);
	assert_string_equal(proc_clients_text(&c, text, sizeof text), "");
	mine = join(); /* this process itself is not named */
	proc_clients(path, &c);
	assert_int_equal(c.n, 0);
	assert_int_equal(c.hidden, 0);
	close(mine);
	close(accept(server, NULL, NULL));
}

static void
test_clients(void **state)
{
	struct proc_clients c;
	char text[256], want[64];
	int hold[2], a, b;
	pid_t one, two;

	(void)state;
	assert_int_equal(pipe(hold), 0);
	one = client("scdaemon", hold, &a);
	assert_int_equal(proc_connections(path), 1);
	proc_clients(path, &c);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.who[0].pid, one);
	snprintf(want, sizeof want, "scdaemon (pid %ld)", (long)one);
	assert_string_equal(proc_clients_text(&c, text, sizeof text), want);
	assert_non_null(proc_clients_remedy(&c));
	two = client("evil\n\033[2J", hold, &b);
	assert_int_equal(proc_connections(path), 2);
	proc_clients(path, &c);
	assert_int_equal(c.n, 2);
	proc_clients_text(&c, text, sizeof text);
	assert_int_equal(strncmp(text, "one of ", 7), 0);
	assert_non_null(strstr(text, want));
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\n'));
	assert_int_equal(strlen(proc_clients_text(&c, text, 20)), 19); /* cut, not overrun */
	close(hold[1]);
	close(hold[0]);
	waitpid(one, NULL, 0);
	waitpid(two, NULL, 0);
	close(a);
	close(b);
	assert_int_equal(proc_connections(path), 0);
}

static void
test_remedy(void **state)
{
	struct proc_clients c = { .n = 1, .who = { { 1, "firefox" } } };
	char text[64];

	(void)state;
	assert_null(proc_clients_remedy(&c));
	c.hidden = 1;
	assert_string_equal(
	    proc_clients_text(&c, text, sizeof text), "one of firefox (pid 1), a program of another user");
	c.n = 0;
	assert_string_equal(proc_clients_text(&c, text, sizeof text), "a program of another user");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_remedy),
	};

	return cmocka_run_group_tests(tests, server_open, server_close);
}
