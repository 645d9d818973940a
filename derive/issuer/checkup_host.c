/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What doctor says of the machine: who can read and write the issuer's files, the ledger and its events, mail, clock
 * and ports. The clock is held against the newest event, since a clock that went back would date certificates and CRLs
 * before those that are out already.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "derive/issuer/audit.h"
#include "derive/issuer/checkup.h"
#include "derive/issuer/listen.h"

#define DAY    86400
#define LEEWAY 60 /* seconds that a clock may differ */

static bool
mode_is(struct checkup *u, const char *path, mode_t forbidden, const char *todo)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return true; /* what must be there is another check's matter */
	if ((st.st_mode & forbidden) != 0)
		checkup_say(u, CHECKUP_BAD, todo, "%s has mode %03o", path, (unsigned)st.st_mode & 0777);
	else if (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0)
		checkup_say(u, CHECKUP_WARN, "chown it to the user of the service", "%s belongs to uid %ld", path,
		    (long)st.st_uid);
	else
		return true;
	return false;
}

static bool
private_is(struct checkup *u, const char *path)
{
	char file[PATH_MAX];
	DIR *d = opendir(path);
	bool ok = true;

	for (struct dirent *f; d && (f = readdir(d)) != NULL;)
		if (f->d_name[0] != '.' && snprintf(file, sizeof file, "%s/%s", path, f->d_name) < (int)sizeof file)
			ok = mode_is(u, file, 077, "chmod go= it: it may be a key") && ok;
	if (d)
		closedir(d);
	return ok;
}

void
checkup_files(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;
	char path[PATH_MAX + 16];
	bool ok;

	ok = mode_is(u, c->dir, 022, "chmod go-w it: who can write there can be the issuer");
	(void)snprintf(path, sizeof path, "%s/issuer.conf", c->dir);
	ok = mode_is(u, path, 022, "chmod go-w it: who can write it can be the issuer") && ok;
	ok = mode_is(u, c->db, 077, "chmod 600 it: it has names and wrapped keys") && ok;
	(void)snprintf(path, sizeof path, "%s/private", c->dir);
	ok = mode_is(u, path, 077, "chmod 700 it") && ok;
	ok = private_is(u, path) && ok;
	if (ok)
		checkup_say(u, CHECKUP_OK, NULL, "nobody else can write here, or read what is private");
}

void
checkup_ledger(struct checkup *u)
{
	struct db *db = checkup_of(u)->db;

	if (db == NULL)
		return;
	if (db_check(db) != E_OK)
		checkup_failed(u, "stop, keep the file, and bring back a backup: dpiv-issuer restore");
	else
		checkup_say(u, CHECKUP_OK, NULL, "all of the ledger can be read");
}

void
checkup_audit(struct checkup *u)
{
	struct db *db = checkup_of(u)->db;
	struct audit_head head;
	char text[AUDIT_HEAD_MAX];

	if (db == NULL)
		return;
	if (audit_verify(db, NULL, &head) != E_OK)
		checkup_failed(u, "somebody changed the ledger: keep it, and compare it with a backup");
	else
		checkup_say(u, CHECKUP_OK, NULL, "%" PRId64 " events, all as they were written; head %s", head.id,
		    audit_head_text(&head, text));
}

static bool
is_near(const char *url)
{
	return strstr(url, "://localhost") != NULL || strstr(url, "://127.") != NULL || strstr(url, "://[::1]") != NULL;
}

void
checkup_mail(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	const struct smtp_conf *m = &of->config.smtp;
	int64_t waiting = 0;
	bool ok = true;

	if (m->url == NULL) {
		checkup_say(u, CHECKUP_WARN, "set [notices] smtp and from: SP 800-157 wants people to be told",
		    "nobody is told by mail what happens to their credentials");
		return;
	}
	if (strncmp(m->url, "smtp://", 7) != 0 && strncmp(m->url, "smtps://", 8) != 0) {
		checkup_say(u, CHECKUP_BAD, "[notices] smtp = smtp://HOST:587", "%s is no address of a relay", m->url);
		return;
	}
	if (m->plain && !is_near(m->url)) {
		checkup_say(u, CHECKUP_WARN, "[notices] tls = yes", "mail goes to %s without TLS", m->url);
		ok = false;
	}
	if (m->password_file)
		ok = mode_is(u, m->password_file, 077, "chmod 600 it: it has a password") && ok;
	if (of->db &&
	    db_number(of->db, &waiting, "SELECT count(*) FROM mail WHERE sent IS NULL AND created < ?",
		DB_ARGS(db_int(of->now - DAY))) == E_OK &&
	    waiting > 0) {
		checkup_say(u, CHECKUP_WARN, "'dpiv-issuer notify' says why; see whether the relay takes them",
		    "%" PRId64 " notices wait for more than a day", waiting);
		ok = false;
	}
	if (ok)
		checkup_say(u, CHECKUP_OK, NULL, "notices go by %s", m->url);
}

void
checkup_clock(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	struct timex t = { 0 };
	int64_t newest = 0;

	if (of->db)
		if (db_number(of->db, &newest, "SELECT coalesce(max(at), 0) FROM event", DB_NO_ARGS) != E_OK)
			newest = 0;
	if (newest > of->now + LEEWAY)
		checkup_say(u, CHECKUP_BAD, "set the clock before anything is issued",
		    "the clock is %" PRId64 " seconds behind the newest event", newest - of->now);
	else if (adjtimex(&t) == TIME_ERROR || (t.status & STA_UNSYNC))
		checkup_say(u, CHECKUP_WARN, "run an NTP client, like chrony or systemd-timesyncd",
		    "nothing keeps the clock right; certificates, CRLs and codes depend on it");
	else
		checkup_say(u, CHECKUP_OK, NULL, "the clock is kept right");
}

static void
say_port(struct checkup *u, const char *name, const char *address)
{
	bool answers;

	if (listen_probe(address, &answers) != E_OK)
		checkup_failed(u, "another address, or sockets from systemd: dpiv-issuer@.socket");
	else
		checkup_say(u, CHECKUP_OK, NULL, "%s %s: %s", name, address,
		    answers ? "somebody answers" : "it is free; nothing is served now");
}

void
checkup_ports(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;

	say_port(u, "[listen]", c->address);
	if (c->publish)
		say_port(u, "[publish]", c->publish);
}
