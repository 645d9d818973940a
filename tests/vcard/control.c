/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket of a running card: a Unix stream socket, one request line a connection, answered in text that
 * begins with "ok" or "error". It stands for the hand that pulls the card, and for the observer who counts.
 *
 *	status   remove   insert   reset   log   clear   fault RULE   other   faults   kill N PID
 *	load IMAGE
 *
 * log prints the counters since start or `clear`, and the time that they would have taken on a contact reader (3 ms
 * an APDU and 11.5 bytes a ms). fault adds a rule in the grammar of fault.c; faults tells how many have not fired
 * yet. kill: when the N-th APDU from now on arrives, process PID is killed (SIGKILL); the card goes on. load: the card
 * becomes that of another image, without being taken out.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/vcard/door.h"

#define LINE_MAX_LEN 8192

static bool
address(const char *path, struct sockaddr_un *a)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof a->sun_path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(a->sun_path, path, strlen(path));
	return true;
}

int
vc_control_listen(const char *path)
{
	struct sockaddr_un a;
	int fd = address(path, &a) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

	if (fd < 0)
		return -1;
	unlink(path);
	if (bind(fd, (const struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 4) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
print_log(FILE *out, struct vcard *vc)
{
	const struct vcard_stats *s = vcard_stats(vc);

	fprintf(out, "ok apdus=%lu bytes=%lu ms=%.0f resets=%lu\n", s->apdus, s->bytes_in + s->bytes_out,
	    3.0 * (double)s->apdus + (double)(s->bytes_in + s->bytes_out) / 11.5, s->resets);
	for (int i = 0; i < 256; i++)
		if (s->per_ins[i])
			fprintf(out, "ins=%02X %lu\n", (unsigned)i, s->per_ins[i]);
}

struct request {
	struct vcard *vc;
	const char *arg;
	FILE *out;
	bool powered;
};

static enum vc_control
do_status(struct request *r)
{
	fprintf(r->out, "ok present=%d powered=%d name=%s\n", vcard_present(r->vc), r->powered, vcard_name(r->vc));
	return CONTROL_NONE;
}

static enum vc_control
do_remove(struct request *r)
{
	vcard_remove(r->vc);
	fputs("ok\n", r->out);
	return CONTROL_REMOVE;
}

static enum vc_control
do_insert(struct request *r)
{
	if (!vcard_present(r->vc))
		vcard_insert(r->vc);
	fputs("ok\n", r->out);
	return CONTROL_INSERT;
}

static enum vc_control
do_reset(struct request *r)
{
	vcard_reset(r->vc);
	fputs("ok\n", r->out);
	return CONTROL_NONE;
}

static enum vc_control
do_log(struct request *r)
{
	print_log(r->out, r->vc);
	return CONTROL_NONE;
}

static enum vc_control
do_clear(struct request *r)
{
	vcard_stats_clear(r->vc);
	fputs("ok\n", r->out);
	return CONTROL_NONE;
}

static enum vc_control
do_fault(struct request *r)
{
	char why[VCARD_WHY] = "";

	if (strcmp(r->arg, "clear") == 0)
		vcard_fault_clear(r->vc);
	else if (!vcard_fault_add(r->vc, r->arg, why)) {
		fprintf(r->out, "error %s\n", why);
		return CONTROL_NONE;
	}
	fputs("ok\n", r->out);
	return CONTROL_NONE;
}

static enum vc_control
do_faults(struct request *r)
{
	fprintf(r->out, "ok pending=%zu\n", vcard_fault_pending(r->vc));
	return CONTROL_NONE;
}

static enum vc_control
do_other(struct request *r)
{
	vcard_other_program(r->vc);
	fputs("ok\n", r->out);
	return CONTROL_NONE;
}

static struct victim {
	long countdown;
	int pid;
} victim;

static void
kill_victim(void *arg, struct vcard *vc, const uint8_t *cmd, size_t n)
{
	struct victim *v = arg;

	(void)vc;
	(void)cmd;
	(void)n;
	if (v->countdown > 0 && --v->countdown == 0)
		kill(v->pid, SIGKILL);
}

static enum vc_control
do_kill(struct request *r)
{
	if (sscanf(r->arg, "%ld %d", &victim.countdown, &victim.pid) != 2 || victim.pid <= 1) {
		victim.countdown = 0;
		fputs("error kill N PID\n", r->out);
		return CONTROL_NONE;
	}
	vcard_hook_set(r->vc, kill_victim, &victim);
	fputs("ok\n", r->out);
	return CONTROL_NONE;
}

static enum vc_control
do_load(struct request *r)
{
	char why[VCARD_WHY] = "";

	if (vcard_become(r->vc, r->arg, why))
		fputs("ok\n", r->out);
	else
		fprintf(r->out, "error %s\n", why);
	return CONTROL_NONE;
}

static const struct {
	const char *word;
	enum vc_control (*run)(struct request *);
} requests[] = {
	{ "status", do_status },
	{ "remove", do_remove },
	{ "insert", do_insert },
	{ "reset", do_reset },
	{ "log", do_log },
	{ "clear", do_clear },
	{ "fault", do_fault },
	{ "faults", do_faults },
	{ "other", do_other },
	{ "kill", do_kill },
	{ "load", do_load },
};

enum vc_control
vc_control_answer(int listener, struct vcard *vc, bool powered)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = { 2, 0 };
	FILE *io = fd >= 0 ? fdopen(fd, "r+") : NULL;
	char line[LINE_MAX_LEN];
	struct request r = { vc, "", io, powered };
	enum vc_control c = CONTROL_NONE;
	size_t n, i = 0;

	if (!io)
		return CONTROL_NONE;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (fgets(line, sizeof line, io)) {
		line[strcspn(line, "\r\n")] = 0;
		n = strcspn(line, " ");
		r.arg = line[n] ? line + n + 1 : "";
		line[n] = 0;
		while (i < sizeof requests / sizeof *requests && strcmp(line, requests[i].word) != 0)
			i++;
		fseek(io, 0, SEEK_CUR);
		if (i < sizeof requests / sizeof *requests)
			c = requests[i].run(&r);
		else
			fprintf(io, "error no such request: %s\n", line);
	}
	fclose(io);
	return c;
}

int
vc_control_request(const char *path, int argc, char **argv)
{
	struct sockaddr_un a;
	int fd = address(path, &a) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
	FILE *io;
	char line[LINE_MAX_LEN];
	bool ok = false;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) != 0 || !(io = fdopen(fd, "r+"))) {
		fprintf(stderr, "dpiv-vcard: %s: %s\n", path, strerror(errno));
		return 1;
	}
	for (int i = 0; i < argc; i++)
		fprintf(io, "%s%s", i ? " " : "", argv[i]);
	fputc('\n', io);
	fflush(io);
	while (fgets(line, sizeof line, io)) {
		ok = ok || strncmp(line, "ok", 2) == 0;
		fputs(line, stdout);
	}
	fclose(io);
	return ok ? 0 : 1;
}
