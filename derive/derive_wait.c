/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An issuer that has not answered yet: because it wants time (EST 202, CMP and SCEP "pending"), or because the
 * answer was lost with the connection or with the process that waited for it. The key stays in the token and the
 * request in the journal; for the first also the moment before which the issuer does not want to be asked. The next run
 * of the same command asks about that key instead of making another, so that no certificate is out there that nobody
 * knows. While --wait lasts, the waiting is done here. A request that the issuer has is only given up when it says no,
 * when its key is gone, when another person's card comes, or after thirty days. A certificate that was received is not
 * given up either when the token or the store fails: the next run installs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "derive/derive_int.h"

#define DAY	    (24L * 60 * 60)
#define GIVE_UP	    (30 * DAY)
#define PAUSE_LEAST 1

/* On a PIV token the key that is renewed may be gone: then the card goes on with its successor. */
static bool
wait_is_for(const struct derive *d, const struct enrolment *e)
{
	return e->renews == d->old.row || (d->old.row == 0 && token_has_places(d->to));
}

/* The unanswered request of this role, issuer, token and renewed credential; E_NOTFOUND. */
static enum err
wait_find(struct derive *d, enum role role, struct enrolment *out)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		e = store_enrol_get(d->store, i, out);
		if (e == E_OK && enrolment_pends(out) && out->role == role && wait_is_for(d, out) &&
		    strcmp(out->issuer, d->req->issuer) == 0 &&
		    strcmp(out->token_serial, token_serial_number(d->to)) == 0 &&
		    strcmp(out->token_label, token_label(d->to)) == 0)
			return E_OK;
		enrolment_clear(out);
	}
	return e;
}

static void
wait_time(time_t t, char out[32])
{
	struct tm tm;

	strftime(out, 32, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
}

enum err
wait_planned(struct derive *d, enum role role, bool *waits)
{
	struct enrolment row;
	char when[32];
	long left;
	enum err e = wait_find(d, role, &row);

	*waits = e == E_OK;
	if (e != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	left = (long)(row.retry_at - time(NULL));
	wait_time(row.retry_at, when);
	if (d->req->again && row.step == ENROL_WAIT) { /* else: it is the new one */
		*waits = false;
		e = derive_undo(d, &row, "a new one was asked for");
	} else if (left > d->req->wait) {
		e = err_set(E_PENDING,
		    "%s has the request for the %s certificate and does not want to be asked again before %s; run the "
		    "same command then, or with --wait",
		    d->req->issuer, role_info(role)->what, when);
	}
	enrolment_clear(&row);
	return e;
}

enum err
wait_key(struct derive *d, enum role role, EVP_PKEY **out)
{
	struct enrolment row;
	enum err e = wait_find(d, role, &row);

	*out = NULL;
	if (e == E_OK && row.pub != NULL && EVP_PKEY_up_ref(row.pub) == 1)
		*out = row.pub;
	if (e == E_OK)
		enrolment_clear(&row);
	return e == E_NOTFOUND ? E_OK : e;
}

/* Sleep in short pieces, so that the person can stop it. */
static enum err
wait_sleep(struct attempt *a, long seconds)
{
	const struct timespec piece = { 0, 200 * 1000 * 1000 };

	for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
		enum err e = derive_stopped(a->d);

		if (e != E_OK)
			return e;
		derive_step(a->d, "waiting for the issuer, %ld s", (long)(end - time(NULL)));
		(void)nanosleep(&piece, NULL);
	}
	return E_OK;
}

enum err
wait_resume(struct attempt *a)
{
	struct derive *d = a->d;
	struct enrolment row;
	enum err e = wait_find(d, a->e.role, &row);

	if (e != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	e = token_has_places(d->to) && row.pub != NULL ? token_tell(d->to, row.id, row.id_len, row.pub) : E_OK;
	if (e == E_OK)
		e = token_pkey(d->to, row.id, row.id_len, &a->key);
	if (e == E_NOTFOUND)
		e = derive_undo(d, &row, "its key is no longer on the token");
	else if (e == E_OK && X509_NAME_cmp(X509_get_subject_name(row.card), X509_get_subject_name(d->card.cert)) != 0)
		e = derive_undo(d, &row, "the card is another person's");
	else if (e == E_OK)
		a->resumed = true;
	if (!a->resumed) {
		EVP_PKEY_free(a->key);
		a->key = NULL;
		enrolment_clear(&row);
		return e;
	}
	a->e = row;
	if (EVP_PKEY_up_ref(a->key) != 1)
		return err_set(E_NOMEM, "out of memory");
	a->pub = a->key; /* libp11's key has its public half */
	log_info("derive.resumed", "role=%s", role_info(a->e.role)->name);
	return E_OK;
}

/* From here on there may be a certificate. */
static enum err
wait_sending(void *arg)
{
	struct attempt *a = arg;

	/* a recovery can be asked for again with any key */
	if (a->e.step != ENROL_KEY || (a->e.role == ROLE_ENCRYPT && a->d->req->encrypt == KEY_RECOVER))
		return E_OK;
	if (a->e.pub == NULL && EVP_PKEY_up_ref(a->pub) == 1)
		a->e.pub = a->pub;
	return store_enrol_ask(a->d->store, &a->e);
}

static enum err
wait_once(struct attempt *a, bool asked)
{
	struct derive *d = a->d;
	const struct proto_request rq = { .role = a->e.role,
		.subject = X509_get_subject_name(d->card.cert),
		.pub = a->pub,
		.key = a->key,
		.attrs = &a->attrs,
		.source = a->e.role == ROLE_ENCRYPT ? d->req->encrypt : KEY_GENERATE,
		.old = d->moves ? NULL : d->old.cert,
		.asked = asked,
		.sending = wait_sending,
		.accept = attempt_accept,
		.arg = a };
	enum err e;

	proto_issued_free(&a->issued);
	e = d->proto->enrol(d->conn, &rq, &a->issued);
	if (e == E_PENDING && a->issued.retry_after > GIVE_UP)
		a->issued.retry_after = GIVE_UP;
	if (e == E_CRYPTO)
		e = place_unsigned(a, token_failed(d->to, e, "cannot sign the request with the new key"));
	return e;
}

/* The journal knows before the waiting begins: a run that is killed while it waits is taken up by the next. */
static enum err
wait_note(struct attempt *a)
{
	char *why = strdup(err_msg());
	enum err e;

	if (a->e.pub == NULL && EVP_PKEY_up_ref(a->pub) == 1)
		a->e.pub = a->pub;
	e = store_enrol_wait(a->d->store, &a->e, time(NULL) + a->issued.retry_after);

	if (e == E_OK)
		e = err_set(E_PENDING, "%s", why != NULL ? why : err_text(E_PENDING));
	free(why);
	return e;
}

enum err
wait_enrol(struct attempt *a)
{
	long left = a->d->req->wait, pause = a->resumed ? (long)(a->e.retry_at - time(NULL)) : 0;
	bool asked = a->resumed && a->e.step == ENROL_WAIT;
	enum err e = E_OK;

	for (;;) {
		if (pause > 0) {
			left -= pause;
			e = wait_sleep(a, pause);
		}
		if (e != E_OK)
			return e;
		e = wait_once(a, asked);
		pause = a->issued.retry_after;
		if (e != E_PENDING || pause <= 0)
			return e;
		e = wait_note(a);
		if (e != E_PENDING || pause > left)
			return e;
		if (pause < PAUSE_LEAST)
			pause = PAUSE_LEAST;
		asked = true;
		e = E_OK;
	}
}

/* These say nothing about the request itself. */
static bool
wait_is_passing(enum err e)
{
	static const enum err passing[] = { E_PENDING, E_NET, E_CANCELED, E_CARDGONE, E_NOCARD, E_NOREADER, E_PIN,
		E_PINLOCKED, E_PINLEN, E_AUTH, E_BUSY, E_NOMEM, E_IO, E_STORE };

	for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
		if (passing[i] == e)
			return true;
	return false;
}

/* The request was not answered, or its answer could not be dealt with, for a reason that passes. */
static bool
wait_lives(const struct attempt *a, enum err e)
{
	if (a->e.step == ENROL_ASK && e == E_PENDING)
		return false; /* "later", and the issuer does not have it */
	return (enrolment_pends(&a->e) || a->e.step == ENROL_CERT) && wait_is_passing(e);
}

bool
wait_keeps(struct attempt *a, enum err *e)
{
	char when[32], kept[80] = "certificate is kept";
	char *why;

	if (!wait_lives(a, *e))
		return false;
	if (a->e.step == ENROL_WAIT && time(NULL) - a->e.created > GIVE_UP) {
		*e = err_set(*e, "%s has wanted more time for 30 days; the request is given up, ask the issuer",
		    a->d->req->issuer);
		return false;
	}
	why = strdup(err_msg());
	wait_time(a->e.retry_at, when);
	if (a->e.step != ENROL_CERT)
		snprintf(kept, sizeof kept, "new key is kept on token '%s'", a->e.token_label);
	*e = err_set(*e, "%s. The %s: run the same command again%s%s, and it goes on from here",
	    why != NULL ? why : err_text(*e), kept, *e == E_PENDING ? " after " : "", *e == E_PENDING ? when : "");
	free(why);
	return true;
}
