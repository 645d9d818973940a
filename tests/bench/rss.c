/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rss [-t] COMMAND...: runs it without its output, then prints the largest resident size that it had in kB, with -t the
 * seconds it took as well. A small program for this, because the size of who starts a process counts as the process's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
run(char **command)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(command[0], command);
	_exit(127);
}

int
main(int argc, char **argv)
{
	int timed = argc > 1 && strcmp(argv[1], "-t") == 0;
	struct timespec a, b;
	struct rusage u;
	pid_t pid;

	if (argc < 2 + timed)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if ((pid = fork()) == 0)
		run(argv + 1 + timed);
	if (pid < 0 || wait4(pid, NULL, 0, &u) != pid)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%ld", u.ru_maxrss);
	if (timed)
		printf(" %.3f", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	putchar('\n');
	return 0;
}
