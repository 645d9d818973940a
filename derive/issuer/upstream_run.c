/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way to the CA: one connection, authenticated by the registration authority's own certificate, over which requests
 * and revocations go one after the other. The protocols are those of the client (proto.h): EST's simpleenroll with the
 * person's request as it is (RFC 7030, 1: an RA), or CMP (RFC 9810, 5.2.8.3 and RFC 4211: the RA vouches for the proof
 * of possession). An answer is judged before it is confirmed to the CA where the protocol has a confirmation.
 *
 * A CA that wants time is polled over this connection where its protocol keeps the transaction in it (CMP), and asked
 * again later with the same request where it does not (EST).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "derive/cert.h"
#include "derive/issuer/cakey.h"
#include "derive/issuer/note.h"
#include "derive/issuer/upstream_run.h"

#define RETRY	 15   /* seconds until a CA that failed is asked again */
#define WAIT_MAX 3600 /* longer than that nobody is told to wait */
#define POLL	 600  /* seconds for which a CMP transaction is kept up */
#define LINGER	 20   /* looks, PAUSE apart, for more to come */
#define PAUSE	 50   /* milliseconds */
#define MARGIN	 5    /* seconds that a claim outlives an exchange and its confirmation */

struct line {
	struct issuer *i;
	const struct proto *p;
	struct proto_conn *conn; /* NULL: none yet */
	struct cakey *key;
	STACK_OF(X509) * own, *anchors;
	struct upstream_job *job;
	pid_t parent; /* whose configuration this is */
	X509 *got;    /* what the CA showed before the confirmation */
};

/* --- the connection ----------------------------------------------------------------------------------------------- */

static void
line_close(struct line *l)
{
	if (l->conn != NULL)
		l->p->close(&l->conn);
	cakey_close(&l->key);
	sk_X509_pop_free(l->own, X509_free);
	sk_X509_pop_free(l->anchors, X509_free);
	l->own = l->anchors = NULL;
}

static enum err
line_connect(struct line *l, X509 *cert)
{
	const struct upstream_conf *u = &l->i->config.up;
	struct proto_conf conf = { .url = u->url,
		.signer = u->signer,
		.request = l->p == &proto_cmp ? u->request : NULL,
		.anchors = l->anchors };

	for (size_t k = 0; k < UPSTREAM_LABELS; k++)
		conf.label[k] = u->labels[k];
	conf.http = (struct http_conf){ .cafile = u->anchors,
		.timeout = u->seconds,
		.cert = cert,
		.key = cakey_pkey(l->key),
		.chain = sk_X509_num(l->own) > 0 ? l->own : NULL };
	return l->p->open(&conf, &l->conn);
}

static enum err
line_open(struct line *l)
{
	const struct config *c = &l->i->config;
	X509 *cert = NULL;
	enum err e;

	if (l->conn != NULL)
		return E_OK;
	if ((e = cert_read_file(c->up.cert, &l->own)) == E_OK &&
	    (e = cert_read_file(c->up.anchors, &l->anchors)) == E_OK) {
		cert = sk_X509_shift(l->own);
		e = cakey_open_as(
		    "the registration authority's key", c->up.key, c->demo, false, X509_get0_pubkey(cert), &l->key);
	}
	if (e == E_OK)
		e = line_connect(l, cert);
	X509_free(cert);
	if (e != E_OK)
		line_close(l);
	return e;
}

static void
pause_for(long milliseconds)
{
	const struct timespec ts = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* A server that has gone may come back with another configuration: this process then leaves what it has to the next. */
static bool
left_alone(const struct line *l)
{
	return getppid() != l->parent;
}

/* --- one request -------------------------------------------------------------------------------------------------- */

static enum err
on_accept(void *arg, X509 *cert, STACK_OF(X509) * more)
{
	struct line *l = arg;

	(void)more;
	X509_free(l->got);
	l->got = X509_up_ref(cert) == 1 ? cert : NULL;
	return upstream_judge(l->i, l->job, cert);
}

/* E_CANCELED: the server has gone. The claim lasts. */
static enum err
wait_for_ca(struct line *l, long seconds)
{
	const char *ask = l->job->ask;
	enum err e = E_OK;

	for (long looks = 0; e == E_OK && looks < seconds * 1000 / PAUSE; looks++) {
		if (left_alone(l))
			return err_set(E_CANCELED, "the server has gone");
		if (looks % (1000 / PAUSE) == 0)
			e = db_run(l->i->db, "UPDATE upstream SET claimed = ? WHERE ask = ?",
			    DB_ARGS(db_int(time(NULL) + 2 * l->i->config.up.seconds + MARGIN), db_text(ask)));
		pause_for(PAUSE);
	}
	return e;
}

/* *after: with E_PENDING, what the CA said, or 0. */
static enum err
ask(struct line *l, struct proto_request *rq, struct proto_issued *issued, long *after)
{
	const time_t end = time(NULL) + POLL;
	enum err e;

	for (;;) {
		proto_issued_free(issued);
		e = l->p->enrol(l->conn, rq, issued);
		*after = issued->retry_after < WAIT_MAX ? issued->retry_after : WAIT_MAX;
		if (e != E_PENDING || *after <= 0 || l->p != &proto_cmp || time(NULL) + *after > end)
			return e;
		rq->asked = true;
		if ((e = wait_for_ca(l, *after)) != E_OK)
			return e;
	}
}

/* Which of the certificates in the answer is it? For the right key, or else what it is instead. */
static enum err
take(struct line *l, const struct proto_issued *issued)
{
	X509 *cert = NULL;
	enum err e = cert_choose(issued->certs, l->job->pub, &cert);

	if (e != E_OK) {
		l->job->wrong |= e == E_POLICY;
		cert = cert_leaf(issued->certs);
		e = err_set(e, "it is for another key");
	}
	if (cert != NULL && X509_up_ref(cert) == 1) {
		X509_free(l->got);
		l->got = cert;
	}
	if (e == E_OK)
		e = upstream_judge(l->i, l->job, cert);
	return e == E_OK ? upstream_issued(l->i, l->job, cert, time(NULL)) : e;
}

/* *refused: the CA has said no to this request; any other failure is of the way to it. */
static enum err
exchange(struct line *l, long *after, bool *refused)
{
	struct upstream_job *j = l->job;
	struct proto_forward forward = { .csr = wbuf_view(&j->csr) };
	struct proto_request rq = { .subject = X509_get_subject_name(j->card),
		.pub = j->pub,
		.forward = &forward,
		.accept = on_accept,
		.arg = l };
	struct proto_issued issued = { .certs = NULL };
	enum err e;

	*after = 0;
	if ((e = role_parse(j->profile, strlen(j->profile), &rq.role)) == E_OK &&
	    (e = profile_wish(j->row, &j->values, j->pub, &forward.exts)) == E_OK && (e = line_open(l)) == E_OK &&
	    (e = ask(l, &rq, &issued, after)) == E_OK)
		e = take(l, &issued);
	*refused = e == E_REMOTE && issued.judged;
	proto_issued_free(&issued);
	sk_X509_EXTENSION_pop_free(forward.exts, X509_EXTENSION_free);
	return e;
}

static enum err
one_request(struct line *l, struct upstream_job *j)
{
	long after;
	bool refused;
	enum err e;

	l->job = j;
	e = exchange(l, &after, &refused);
	if (e == E_OK)
		goto out;
	if (left_alone(l) && !j->wrong)
		e = upstream_release(l->i, j);
	else if (j->wrong || refused)
		e = upstream_ended(l->i, j, j->wrong ? l->got : NULL, time(NULL));
	else
		e = upstream_later(l->i, j, e == E_PENDING && after > 0, after > 0 ? after : RETRY, time(NULL));
	line_close(l);
out:
	X509_free(l->got);
	l->got = NULL;
	l->job = NULL;
	return e;
}

/* --- the round ---------------------------------------------------------------------------------------------------- */

static enum err
one_revocation(struct line *l, bool *did)
{
	char why[400] = "";
	enum err e;

	*did = false;
	if (!upstream_due(l->i, time(NULL)))
		return E_OK;
	if (line_open(l) != E_OK)
		(void)snprintf(why, sizeof why, "%s", err_msg());
	e = upstream_revoke_one(l->i, l->p, l->conn, why, time(NULL), did);
	if (e != E_OK || why[0])
		line_close(l);
	return e;
}

/* *did: there was something to do. */
static enum err
one_step(struct line *l, bool *did)
{
	struct upstream_job job;
	enum err e = upstream_claim(l->i, time(NULL), 2 * l->i->config.up.seconds + MARGIN, &job);

	*did = e == E_OK;
	if (e == E_OK) {
		e = one_request(l, &job);
		upstream_job_clear(&job);
	} else if (e == E_NOTFOUND && (e = upstream_collect(l->i, time(NULL))) == E_OK) {
		e = one_revocation(l, did);
	}
	return e;
}

enum err
upstream_run(struct issuer *i)
{
	struct line l = { .i = i, .parent = getppid() };
	enum err e = proto_find(i->config.up.protocol, &l.p);

	if (e == E_OK)
		e = upstream_forget(i, time(NULL));
	for (int idle = 0; e == E_OK && idle < LINGER && !left_alone(&l); idle++) {
		bool did;

		e = one_step(&l, &did);
		if (did)
			idle = -1;
		else if (e == E_OK)
			pause_for(PAUSE);
	}
	line_close(&l);
	return e;
}
