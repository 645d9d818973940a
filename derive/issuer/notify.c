/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One round of sending. It runs in a process of its own ('dpiv-issuer notify', which the server starts when something
 * is due), so that a slow relay never holds up somebody's enrolment. Rounds of two processes may meet: then a letter
 * arrives twice, with one Message-ID.
 */
#include <stdio.h>
#include <string.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/letter.h"
#include "derive/issuer/note.h"
#include "derive/issuer/notify.h"
#include "derive/issuer/outbox.h"
#include "derive/issuer/x509io.h"

#define ROUND_MAX  1000
#define LETTER_MAX (64 * 1024)

static enum err
signer_open(const struct config *c, struct letter_from *from, struct cakey **key)
{
	enum err e;

	if (!c->notice_sign)
		return E_OK;
	if ((e = x509io_read_cert(c->notice_cert, &from->cert)) != E_OK)
		return err_up(E_CONF, "notices are signed by [notices] cert, or set sign = no");
	e = cakey_open_as("key that signs notices", c->notice_key, true, false, X509_get0_pubkey(from->cert), key);
	if (e == E_OK)
		from->key = cakey_pkey(*key);
	return e;
}

static enum err
send_one(struct issuer *i, const struct letter_from *from, const struct outbox_mail *m, time_t now)
{
	WBUF_AUTO letter = { 0 };
	char why[400];
	enum err e, kept;

	wbuf_init(&letter, LETTER_MAX);
	e = letter_write(from, m, &letter);
	if (e == E_OK)
		e = smtp_send(&i->config.smtp, m->to, wbuf_view(&letter));
	if (e == E_OK) {
		note("notice-sent", "id=%lld kind=%s serial=%s", (long long)m->id, m->kind, m->serial);
		return outbox_sent(i->db, m, now);
	}
	(void)snprintf(why, sizeof why, "%s", err_msg());
	note("notice-not-sent", "id=%lld kind=%s %s", (long long)m->id, m->kind, why);
	kept = outbox_failed(i->db, m, why, now);
	return kept != E_OK ? kept : err_set(e, "%s", why);
}

enum err
notify_round(struct issuer *i, time_t now, size_t *sent, size_t *left)
{
	struct letter_from from = { .agency = i->config.name, .address = i->config.smtp.from, .ca = i->ca };
	struct outbox_mail m;
	struct cakey *key = NULL;
	enum err e;

	*sent = *left = 0;
	if (i->config.smtp.url == NULL)
		return err_set(E_CONF, "issuer.conf has no [notices] smtp: nobody can be told");
	e = outbox_expiring(i->db, i->config.notice_days, now);
	if (e == E_OK)
		e = signer_open(&i->config, &from, &key);
	for (size_t n = 0; e == E_OK && n < ROUND_MAX; n++) {
		if ((e = outbox_next(i->db, now, &m)) != E_OK)
			break;
		e = send_one(i, &from, &m, now);
		*sent += e == E_OK;
		*left += e != E_OK;
		if (e == E_REMOTE || e == E_ARG)
			e = E_OK;
	}
	cakey_close(&key);
	X509_free(from.cert);
	return e == E_NOTFOUND ? E_OK : e;
}
