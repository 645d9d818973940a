/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run that derives, renews or revokes has around it on a terminal. Ctrl-C stops it between two steps or within a
 * network exchange, and undoes the step; a second one ends the process at once, which the next run clears up after. A
 * step that hangs in somebody else's code (a PKCS#11 module; libp11 0.4.12 when a token vanishes at the wrong moment)
 * is ended in the same way by an alarm, so that every run ends.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run.h"

static volatile sig_atomic_t stopped;

static void
on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static bool
is_stopped(void *arg)
{
	(void)arg;
	return stopped != 0;
}

/* No step takes longer than two exchanges with the issuer and the slowest key generation. */
#define STEP_MAX 60
static unsigned step_limit;

static void
on_alarm(int sig)
{
	static const char text[] =
	    "dpiv: the token, card or issuer does not answer any more; stopped. Run the same command "
	    "again: what is unfinished is cleared up then\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

static void
show_step(void *arg, const char *text)
{
	(void)arg;
	alarm(step_limit);
	cli_progress("%s …", text);
}

/* A person may take any time. */
static enum err
ask_person(void *arg, const struct token_prompt *q, struct secret **pin)
{
	enum err e;

	alarm(0);
	e = cli_ask(arg, q, pin);
	alarm(step_limit);
	return e;
}

void
run_assured(void *arg, const char *token, const struct assure *a)
{
	const char *why = assure_why(a);

	(void)arg;
	cli_note("token '%s' can carry %s (%s)%s%s", token, assure_name(a->level), assure_policy(a->level),
	    why[0] != '\0' ? "; " : "", why);
}

void
run_begin(struct derive_req *req)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND }, al = { .sa_handler = on_alarm };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGALRM, &al, NULL);
	step_limit = STEP_MAX + 2 * (unsigned)(req->timeout > 0 ? req->timeout : HTTP_TIMEOUT);
	req->ask = ask_person;
	req->step = show_step;
	req->stop = is_stopped;
}

void
run_end(void)
{
	alarm(0);
	cli_progress_end();
}

enum err
run_seconds(const char *text, long *out)
{
	char *end;

	*out = strtol(text, &end, 10);
	if (end == text || *end != '\0' || *out <= 0 || *out > 7L * 24 * 60 * 60)
		return err_set(E_USAGE, "'%s' is not a number of seconds", text);
	return E_OK;
}

static void
result_show(const struct derive_result *r)
{
	char date[32];
	const char *why;
	struct tm tm;

	strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&r->not_after, &tm));
	printf("%-8s %s, valid until %s, serial %s%s%s%s\n", role_info(r->role)->name, r->name, date, r->serial,
	    r->certified != ASSURE_NONE ? ", " : "", r->certified != ASSURE_NONE ? assure_name(r->certified) : "",
	    r->existed	      ? " (was there already; --again derives a new one)"
		: r->finished ? " (begun by an earlier run, finished now)"
			      : "");
	printf("         %s\n", r->uri);
	why = assure_why(&r->evidence);
	if (r->evidence.n > 0)
		printf("         the key carries %s%s%s\n", assure_name(r->evidence.level), why[0] != '\0' ? "; " : "",
		    why);
}

void
run_results(const struct derive_result *r, size_t n, const struct notices *to, enum notice what)
{
	for (size_t i = 0; i < n; i++)
		result_show(&r[i]);
	for (size_t i = 0; i < n; i++)
		if (!r[i].existed)
			notice_tell(to, what, r[i].role, r[i].serial, r[i].not_after);
}

enum err
run_roles(const char *text, struct derive_req *req)
{
	enum err e = E_OK;

	while (e == E_OK && *text != '\0') {
		size_t n = strcspn(text, ",");
		size_t skip = strspn(text, " ");
		size_t len = n;
		enum role role = ROLE_AUTH;

		while (len > skip && text[len - 1] == ' ')
			len--;
		e = role_parse(text + skip, len > skip ? len - skip : 0, &role);
		for (size_t i = 0; e == E_OK && i < req->n_roles; i++)
			if (req->role[i] == role)
				e = err_set(E_USAGE, "the role %s is named twice", role_info(role)->name);
		if (e == E_OK)
			req->role[req->n_roles++] = role;
		text += n + (text[n] == ',');
	}
	if (e == E_OK && req->n_roles == 0)
		return err_set(E_USAGE, "no role is named");
	return e;
}
