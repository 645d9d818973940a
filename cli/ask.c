/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the person at the terminal: PINs without echo, yes or no, and the progress line. Questions go to
 * /dev/tty and never to standard input or output, which belong to the data. Echo is switched on again whatever
 * happens: signals that would end or stop the program are held until the terminal is as it was, then delivered.
 * A PIN is read straight into a secret; nothing of it passes through stdio's buffers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"

#define PIN_MAX 256

static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGALRM };
#define HELD (sizeof held / sizeof held[0])

static volatile sig_atomic_t caught;

static void
on_signal(int sig)
{
	caught = sig;
}

static int
tty_open(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

static void
tty_say(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t w = write(fd, text, n);

		if (w < 0 && errno == EINTR && caught == 0)
			continue;
		if (w <= 0)
			return;
		text += w;
		n -= (size_t)w;
	}
}

/* One line, byte by byte. E_CANCELED at end of input or when a signal came. */
static enum err
tty_line(int fd, struct secret *line)
{
	uint8_t c;

	line->n = 0;
	for (;;) {
		ssize_t r = read(fd, &c, 1);

		if (r < 0 && errno == EINTR && caught == 0)
			continue;
		if (r <= 0)
			return err_set(E_CANCELED, "the question was left unanswered");
		if (c == '\n' || c == '\r')
			return E_OK;
		if (line->n < line->cap)
			line->v[line->n++] = c;
	}
}

/* Ask with the signals held; echo switches the display of what is typed. */
static enum err
tty_ask(int fd, const char *question, bool echo, struct secret *answer)
{
	struct termios was, quiet;
	struct sigaction sa = { .sa_handler = on_signal }, old[HELD];
	enum err e;

	if (tcgetattr(fd, &was) != 0)
		return err_set(E_AUTH, "the terminal cannot be used for a question: %s", strerror(errno));
	caught = 0;
	for (size_t i = 0; i < HELD; i++)
		sigaction(held[i], &sa, &old[i]);
	quiet = was;
	if (!echo)
		quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	tty_say(fd, question);
	e = tty_line(fd, answer);
	tcsetattr(fd, TCSAFLUSH, &was);
	if (!echo)
		tty_say(fd, "\n");
	for (size_t i = 0; i < HELD; i++)
		sigaction(held[i], &old[i], NULL);
	if (caught != 0)
		raise(caught);
	return e;
}

static bool
tty_yes(int fd, const char *question)
{
	SECRET_AUTO a = secret_new(16);

	return a != NULL && tty_ask(fd, question, true, a) == E_OK && a->n == 3 && memcmp(a->v, "yes", 3) == 0;
}

bool
cli_confirm(const char *question)
{
	int fd = tty_open();
	bool yes;

	if (fd < 0)
		return false;
	cli_progress_end();
	yes = tty_yes(fd, question);
	close(fd);
	return yes;
}

static void
question_text(const struct token_prompt *q, char *out, size_t cap)
{
	char token[64], key[64], tries[32] = "";

	text_safe(span_str(q->token), token, sizeof token);
	text_safe(span_str(q->key == NULL ? "" : q->key), key, sizeof key);
	if (q->tries == 1)
		snprintf(tries, sizeof tries, " (1 try left)");
	else if (q->tries > 1)
		snprintf(tries, sizeof tries, " (%d tries left)", q->tries);
	snprintf(out, cap, "%sPIN of '%s'%s%s%s%s: ", q->again ? "Wrong PIN. " : "", token,
	    q->key != NULL ? ", to use the key '" : "", key, q->key != NULL ? "'" : "", tries);
}

static enum err
ask_last(int fd, const struct token_prompt *q)
{
	char token[64], text[256];

	text_safe(span_str(q->token), token, sizeof token);
	snprintf(
	    text, sizeof text, "Only one try is left before the PIN of '%s' is blocked. Type 'yes' to use it: ", token);
	if (tty_yes(fd, text))
		return E_OK;
	return err_set(
	    E_CANCELED, "%s: the last PIN try was left alone; unblock the PIN or be sure of it, then try again", token);
}

enum err
cli_ask(void *arg, const struct token_prompt *q, struct secret **pin)
{
	SECRET_AUTO s = secret_new(PIN_MAX);
	char text[256];
	enum err e = E_OK;
	int fd = tty_open();

	(void)arg;
	*pin = NULL;
	if (fd < 0 && q->last_try)
		return err_set(E_AUTH,
		    "%s: one PIN try is left before the PIN is blocked, and it is not spent without asking; run "
		    "this on a terminal",
		    q->token);
	if (fd < 0)
		return err_set(E_AUTH,
		    "%s: a PIN is needed and there is no terminal to ask on; add "
		    "pin-source=file:PATH to the token's URI",
		    q->token);
	if (s == NULL)
		e = err_set(E_NOMEM, "out of memory");
	cli_progress_end();
	if (e == E_OK && q->last_try)
		e = ask_last(fd, q);
	if (e == E_OK) {
		question_text(q, text, sizeof text);
		e = tty_ask(fd, text, false, s);
	}
	close(fd);
	if (e == E_OK && s->n == 0)
		e = err_set(E_CANCELED, "%s: no PIN was given", q->token);
	if (e == E_OK) {
		*pin = s;
		s = NULL;
	}
	return e;
}

enum err
cli_secret(const char *question, struct secret **out)
{
	SECRET_AUTO s = secret_new(PIN_MAX);
	char safe[256];
	enum err e;
	int fd = tty_open();

	*out = NULL;
	if (fd < 0)
		return err_set(E_AUTH, "there is no terminal to ask on; name files instead");
	cli_progress_end();
	e = s == NULL ? err_set(E_NOMEM, "out of memory")
		      : tty_ask(fd, text_safe(span_str(question), safe, sizeof safe), false, s);
	close(fd);
	if (e == E_OK && s->n == 0)
		e = err_set(E_CANCELED, "nothing was typed; nothing was changed");
	if (e == E_OK) {
		*out = s;
		s = NULL;
	}
	return e;
}

static bool progress_shown;

void
cli_progress(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	progress_shown = true;
}

void
cli_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}
