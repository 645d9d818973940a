/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11-conform: asks a PKCS#11 module every rule in turn.
 *
 *	p11-conform --module FILE [--slot ID | --token LABEL] [--pin-file FILE] [--so-pin-file FILE] [--wrong-pins]
 *	            [--ec] [--only PATTERN]... [--list]
 *
 * One line a rule: "ok - NAME", "not ok - NAME" with what was seen, or "n/a - NAME: why" when this token cannot be
 *asked; that is no pass. Each rule has a process of its own, so that a crash or a hang is that rule's. Wrong PINs are
 *entered only with --wrong-pins, because on somebody's card they cost tries. Exits with 1 when any rule did not hold.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/p11/conform.h"

#define SECONDS	    30
#define EXIT_NOT_OK 1
#define EXIT_NA	    2

struct conform T;
static const char *module_path, *slot_text, *token_label;
static const char *only[32];
static size_t n_only;

static const struct rule_set *const sets[] = { &rules_init, &rules_slot, &rules_mech, &rules_session, &rules_login,
	&rules_object, &rules_attr, &rules_copy, &rules_find, &rules_digest, &rules_sign, &rules_verify, &rules_crypt,
	&rules_rsa, &rules_key, &rules_misc, &rules_v3 };

/* --- checks: what they print goes through a pipe to the parent --- */

__attribute__((format(printf, 1, 0))) static void
say(const char *fmt, va_list ap)
{
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
}

void
rule_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	_exit(EXIT_NOT_OK);
}

void
rule_na(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	_exit(EXIT_NA);
}

void
rule_want(const char *what, CK_RV got, const CK_RV *list, size_t n, const char *file, int line)
{
	char text[256] = "";

	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(text);

		if (got == list[i])
			return;
		snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " or ", rv_name(list[i]));
	}
	rule_fail("%s:%d: %s\n%s, not %s", file, line, what, rv_name(got), text);
}

/* --- the module --- */

static void *
symbol(void *library, const char *name)
{
	return dlsym(library, name);
}

static void
module_load(void)
{
	void *library = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList list;
	CK_INTERFACE *i = NULL;
	CK_VERSION v = { 3, 0 };

	if (library == NULL)
		rule_fail("%s", dlerror());
	*(void **)&list = symbol(library, "C_GetFunctionList");
	*(void **)&T.interface_list = symbol(library, "C_GetInterfaceList");
	*(void **)&T.interface = symbol(library, "C_GetInterface");
	if (list == NULL || list(&T.f) != CKR_OK || T.f == NULL)
		rule_fail("no C_GetFunctionList");
	if (T.interface != NULL && T.interface(NULL, &v, &i, 0) == CKR_OK && i != NULL)
		T.f3 = i->pFunctionList;
}

static bool
slot_is(CK_SLOT_ID id)
{
	CK_TOKEN_INFO info;
	size_t n = token_label != NULL ? strlen(token_label) : 0;

	if (slot_text != NULL)
		return id == strtoul(slot_text, NULL, 0);
	if (F->C_GetTokenInfo(id, &info) != CKR_OK)
		return false;
	return token_label == NULL ||
	    (n <= sizeof info.label && memcmp(info.label, token_label, n) == 0 &&
		(n == sizeof info.label || info.label[n] == ' '));
}

void
start(void)
{
	CK_SLOT_ID list[64];
	CK_ULONG n = 0;

	OK(F->C_Initialize(NULL));
	OK(F->C_GetSlotList(CK_TRUE, NULL, &n));
	n = N_OF(list);
	OK(F->C_GetSlotList(CK_TRUE, list, &n));
	for (CK_ULONG i = 0; i < n; i++)
		if (slot_is(list[i])) {
			T.slot = list[i];
			return;
		}
	rule_fail("there is no such slot with a token");
}

/* --- running --- */

static size_t
total(void)
{
	size_t n = calls_count();

	for (size_t s = 0; s < N_OF(sets); s++)
		n += sets[s]->n;
	return n;
}

/* The rules of the tables first, then those that are asked of every function. */
static const struct rule *
rule_at(size_t *i)
{
	for (size_t s = 0; s < N_OF(sets); s++) {
		if (*i < sets[s]->n)
			return &sets[s]->rule[*i];
		*i -= sets[s]->n;
	}
	return NULL;
}

static const char *
name_at(size_t i)
{
	const struct rule *r = rule_at(&i);

	return r != NULL ? r->name : calls_name(i);
}

static void
child(size_t i, int out)
{
	const struct rule *r = rule_at(&i);

	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(99);
	alarm(SECONDS);
	module_load();
	if (r != NULL)
		r->run();
	else
		calls_run(i);
	_exit(0);
}

static void
indent(const char *text)
{
	for (const char *end; *text != '\0'; text = *end == '\n' ? end + 1 : end) {
		end = strchrnul(text, '\n');
		printf("    %.*s\n", (int)(end - text), text);
	}
}

static int
report(const char *name, int status, char *text)
{
	if (WIFSIGNALED(status)) {
		printf("not ok - %s\n", name);
		indent(text);
		if (WTERMSIG(status) == SIGALRM)
			printf("    no answer within %d s\n", SECONDS);
		else
			printf("    killed by signal %d\n", WTERMSIG(status));
		return EXIT_NOT_OK;
	}
	switch (WEXITSTATUS(status)) {
	case 0: printf("ok - %s\n", name); return 0;
	case EXIT_NA: printf("n/a - %s: %s", name, text); return EXIT_NA;
	default:
		printf("not ok - %s\n", name);
		indent(text);
		return EXIT_NOT_OK;
	}
}

static int
run(size_t i)
{
	char text[4096];
	size_t n = 0;
	ssize_t got;
	int fd[2], status = 0;
	pid_t pid;

	fflush(stdout);
	if (pipe(fd) != 0 || (pid = fork()) < 0) {
		perror("p11-conform");
		exit(99);
	}
	if (pid == 0) {
		close(fd[0]);
		child(i, fd[1]);
	}
	close(fd[1]);
	while ((got = read(fd[0], text + n, sizeof text - 1 - n)) > 0 || (got < 0 && errno == EINTR))
		n += got > 0 ? (size_t)got : 0;
	text[n] = '\0';
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return report(name_at(i), status, text);
}

static bool
wanted(const char *name)
{
	for (size_t i = 0; i < n_only; i++)
		if (fnmatch(only[i], name, 0) == 0)
			return true;
	return n_only == 0;
}

/* --- arguments --- */

static const char *
secret_of(const char *path)
{
	char line[128];
	FILE *f = fopen(path, "r");

	if (f == NULL || fgets(line, sizeof line, f) == NULL) {
		perror(path);
		exit(99);
	}
	fclose(f);
	line[strcspn(line, "\r\n")] = '\0';
	return strdup(line);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: p11-conform --module FILE [--slot ID | --token LABEL] [--pin-file FILE]\n"
	    "                   [--so-pin-file FILE] [--wrong-pins] [--ec] [--only PATTERN]... [--list]\n");
	exit(2);
}

static void
option(const char *name, const char *value)
{
	if (value == NULL)
		usage();
	if (strcmp(name, "--module") == 0)
		module_path = value;
	else if (strcmp(name, "--slot") == 0)
		slot_text = value;
	else if (strcmp(name, "--token") == 0)
		token_label = value;
	else if (strcmp(name, "--pin-file") == 0)
		T.pin = secret_of(value);
	else if (strcmp(name, "--so-pin-file") == 0)
		T.so_pin = secret_of(value);
	else if (strcmp(name, "--only") == 0 && n_only < N_OF(only))
		only[n_only++] = value;
	else
		usage();
}

int
main(int argc, char **argv)
{
	size_t counts[3] = { 0, 0, 0 };
	bool list = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			list = true;
		else if (strcmp(argv[i], "--wrong-pins") == 0)
			T.wrong_pins = true;
		else if (strcmp(argv[i], "--ec") == 0)
			T.ec = true;
		else {
			option(argv[i], argv[i + 1]);
			i++;
		}
	}
	if (module_path == NULL && !list)
		usage();
	for (size_t i = 0; i < total(); i++) {
		if (!wanted(name_at(i)))
			continue;
		if (list)
			puts(name_at(i));
		else
			counts[run(i)]++;
	}
	if (!list)
		printf("# %zu held, %zu did not, %zu not applicable\n", counts[0], counts[1], counts[2]);
	return counts[1] != 0;
}
