/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics (metrics.h; prometheus.io/docs/instrumenting/exposition_formats). Label values are of tables here, of the
 * code (events, refusals), or names of CAs, which are escaped. Events are counted from where the last look ended, so
 * that a look costs what happened since, however long the ledger is.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "derive/issuer/ledger.h"
#include "derive/issuer/metrics.h"
#include "derive/issuer/x509io.h"

/* By what the path begins with, or has in it, or ends with; the last is for everything else. */
static const struct {
	const char *begins, *has, *ends, *name;
} protocols[METRICS_PROTOCOLS] = {
	{ "/.well-known/est", NULL, NULL, "est" },
	{ "/.well-known/dpiv", NULL, NULL, "dpiv" },
	{ "/.well-known/cmp", NULL, NULL, "cmp" },
	{ "/scep", NULL, NULL, "scep" },
	{ NULL, "/ocsp", NULL, "ocsp" },
	{ NULL, NULL, ".crl", "crl" },
	{ NULL, NULL, ".p7c", "ca" },
	{ NULL, NULL, NULL, "page" },
};

static const double bounds[METRICS_BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5 };
static const char *const results[] = { "2xx", "3xx", "4xx", "5xx" };

static size_t
protocol_of(const char *path)
{
	size_t k = 0, n = strlen(path);

	for (; k < METRICS_PROTOCOLS - 1; k++)
		if ((protocols[k].begins && strncmp(path, protocols[k].begins, strlen(protocols[k].begins)) == 0) ||
		    (protocols[k].has && strstr(path, protocols[k].has) != NULL) ||
		    (protocols[k].ends && n > 4 && strcmp(&path[n - 4], protocols[k].ends) == 0))
			break;
	return k;
}

void
metrics_count(struct metrics *m, const char *path, int status, double seconds)
{
	size_t p = protocol_of(path), b = 0;
	int result = status / 100 - 2;

	while (b < METRICS_BUCKETS && seconds > bounds[b])
		b++;
	m->of[p].results[result < 0 ? 0 : result > 3 ? 3 : result]++;
	m->of[p].buckets[b]++;
	m->of[p].seconds += seconds;
}

static void line(struct wbuf *out, const char *fmt, ...) PRINTF(2, 3);

static void
line(struct wbuf *out, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof text)
		return;
	wbuf_put(out, text, (size_t)n);
	wbuf_u8(out, '\n');
}

static void
head(struct wbuf *out, const char *name, const char *type, const char *help)
{
	line(out, "# HELP dpiv_issuer_%s %s", name, help);
	line(out, "# TYPE dpiv_issuer_%s %s", name, type);
}

static void
put_requests(const struct metrics *m, struct wbuf *out)
{
	head(out, "requests_total", "counter", "Requests that were answered, by protocol and kind of HTTP status.");
	for (size_t p = 0; p < METRICS_PROTOCOLS; p++)
		for (size_t r = 0; r < 4; r++)
			line(out, "dpiv_issuer_requests_total{protocol=\"%s\",status=\"%s\"} %" PRIu64,
			    protocols[p].name, results[r], m->of[p].results[r]);
}

static void
put_latency(const struct metrics *m, size_t p, struct wbuf *out)
{
	uint64_t sum = 0;

	for (size_t b = 0; b <= METRICS_BUCKETS; b++) {
		char le[24] = "+Inf";

		sum += m->of[p].buckets[b];
		if (b < METRICS_BUCKETS)
			(void)snprintf(le, sizeof le, "%g", bounds[b]);
		line(out, "dpiv_issuer_request_seconds_bucket{protocol=\"%s\",le=\"%s\"} %" PRIu64, protocols[p].name,
		    le, sum);
	}
	line(out, "dpiv_issuer_request_seconds_sum{protocol=\"%s\"} %.6f", protocols[p].name, m->of[p].seconds);
	line(out, "dpiv_issuer_request_seconds_count{protocol=\"%s\"} %" PRIu64, protocols[p].name, sum);
}

static struct metrics_event *
event_of(struct metrics *m, const char *what, const char *code)
{
	struct metrics_event *ev = m->events;

	for (size_t k = 0; k < m->n_events; k++, ev++)
		if (strcmp(ev->what, what) == 0 && strcmp(ev->code, code) == 0)
			return ev;
	if (m->n_events == METRICS_EVENTS)
		return NULL;
	m->n_events++;
	(void)snprintf(ev->what, sizeof ev->what, "%s", what);
	(void)snprintf(ev->code, sizeof ev->code, "%s", code);
	return ev;
}

static enum err
count_events(struct metrics *m, struct db *db)
{
	struct db_rows *q = NULL;
	bool row;
	enum err e =
	    db_query(db, &q, "SELECT what, coalesce(code, ''), count(*), max(id) FROM event WHERE id > ? GROUP BY 1, 2",
		DB_ARGS(db_int(m->seen)));
	int64_t newest = m->seen;

	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		struct metrics_event *ev = event_of(m, db_col_text(q, 0), db_col_text(q, 1));

		if (ev)
			ev->n += (uint64_t)db_col_int(q, 2);
		if (db_col_int(q, 3) > newest)
			newest = db_col_int(q, 3);
	}
	db_done(&q);
	m->seen = newest;
	return e;
}

static void
put_events(const struct metrics *m, struct wbuf *out)
{
	const struct metrics_event *ev = m->events;
	uint64_t issued = 0;

	head(out, "refusals_total", "counter", "Requests that were refused, by the code of the refusal.");
	for (size_t k = 0; k < m->n_events; k++)
		if (strcmp(ev[k].what, "refused") == 0)
			line(out, "dpiv_issuer_refusals_total{code=\"%s\"} %" PRIu64, ev[k].code, ev[k].n);
	head(out, "events_total", "counter", "What else happened, by the name of the event.");
	for (size_t k = 0; k < m->n_events; k++) {
		if (strcmp(ev[k].what, "refused") != 0 && ev[k].code[0] == '\0')
			line(out, "dpiv_issuer_events_total{event=\"%s\"} %" PRIu64, ev[k].what, ev[k].n);
		if (strcmp(ev[k].what, "issued") == 0)
			issued += ev[k].n;
	}
	head(out, "certificates_issued_total", "counter", "Certificates that were issued.");
	line(out, "dpiv_issuer_certificates_issued_total %" PRIu64, issued);
}

static enum err
put_ledger(struct metrics *m, struct db *db, struct wbuf *out)
{
	int64_t revoked, mail;
	enum err e;

	if ((e = count_events(m, db)) != E_OK || (e = ledger_count_revoked(db, &revoked)) != E_OK ||
	    (e = db_number(db, &mail, "SELECT count(*) FROM mail WHERE sent IS NULL", DB_NO_ARGS)) != E_OK)
		return e;
	put_events(m, out);
	head(out, "certificates_revoked_total", "counter", "Certificates that are revoked.");
	line(out, "dpiv_issuer_certificates_revoked_total %" PRId64, revoked);
	head(out, "notices_waiting", "gauge", "Notices by mail that are not sent yet.");
	line(out, "dpiv_issuer_notices_waiting %" PRId64, mail);
	return E_OK;
}

/* As a label's value: backslash, quote and line feed are escaped. */
static void
label(const X509_NAME *name, char *out, size_t cap)
{
	char text[256];
	size_t n = 0;

	x509io_name_text(name, text, sizeof text);
	for (const char *p = text; *p && n + 3 < cap; p++) {
		if (*p == '\\' || *p == '"')
			out[n++] = '\\';
		out[n++] = *p == '\n' ? ' ' : *p;
	}
	out[n] = '\0';
}

static void
put_list(struct wbuf *out, const char *what, const X509_CRL *crl, time_t now)
{
	char who[512];
	time_t from, to;

	if (!x509io_time(X509_CRL_get0_lastUpdate(crl), &from) || !x509io_time(X509_CRL_get0_nextUpdate(crl), &to))
		return;
	label(X509_CRL_get_issuer(crl), who, sizeof who);
	line(out, "dpiv_issuer_crl_%s_seconds{issuer=\"%s\"} %lld", what, who,
	    (long long)(strcmp(what, "age") == 0 ? now - from : to - now));
}

/* The service's own list as it is published, and those of the cards' CAs as they were read. */
static void
put_lists(struct issuer *i, const char *what, const X509_CRL *own, time_t now, struct wbuf *out)
{
	int n = i->trust && i->trust->crls ? sk_X509_CRL_num(i->trust->crls) : 0;

	if (own)
		put_list(out, what, own, now);
	for (int k = 0; k < n; k++) {
		const X509_CRL *crl = sk_X509_CRL_value(i->trust->crls, k);

		if (own == NULL || X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_CRL_get_issuer(own)) != 0)
			put_list(out, what, crl, now);
	}
}

static void
put_crls(struct issuer *i, time_t now, struct wbuf *out)
{
	STACK_OF(X509_CRL) *file = NULL;
	const X509_CRL *own = NULL;

	if (i->trust)
		trust_refresh(i->trust);
	if (x509io_read_crls(i->config.ca_crl, &file) == E_OK && sk_X509_CRL_num(file) > 0)
		own = sk_X509_CRL_value(file, 0);
	head(out, "crl_age_seconds", "gauge", "Since a CRL was made, this CA's or one that cards are judged by.");
	put_lists(i, "age", own, now, out);
	head(out, "crl_left_seconds", "gauge", "Until it is out of date.");
	put_lists(i, "left", own, now, out);
	sk_X509_CRL_pop_free(file, X509_CRL_free);
}

static void
put_ends(struct issuer *i, time_t now, struct wbuf *out)
{
	const struct {
		const char *which, *path;
	} rows[] = { { "ca", i->config.ca_cert }, { "tls", i->config.tls_cert }, { "ocsp", i->config.ocsp_cert } };

	head(out, "certificate_left_seconds", "gauge", "Until a certificate of the issuer's own ends.");
	for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
		X509 *x = NULL;
		time_t to;

		if (x509io_read_cert(rows[k].path, &x) == E_OK && x509io_time(X509_get0_notAfter(x), &to))
			line(out, "dpiv_issuer_certificate_left_seconds{which=\"%s\"} %lld", rows[k].which,
			    (long long)(to - now));
		X509_free(x);
	}
}

enum err
metrics_text(
    struct metrics *m, struct issuer *i, const struct metrics_door *doors, size_t n, time_t now, struct wbuf *out)
{
	enum err e;

	head(out, "start_time_seconds", "gauge", "When this process started, in seconds since 1970.");
	line(out, "dpiv_issuer_start_time_seconds %lld", (long long)m->started);
	put_requests(m, out);
	head(out, "request_seconds", "histogram", "How long answers took, without the waiting for another CA.");
	for (size_t p = 0; p < METRICS_PROTOCOLS; p++)
		put_latency(m, p, out);
	head(out, "connections", "gauge", "Connections that are open.");
	for (size_t k = 0; k < n; k++)
		line(out, "dpiv_issuer_connections{door=\"%s\"} %ld", doors[k].name, doors[k].connections);
	head(out, "connections_max", "gauge", "How many may be open; more wait.");
	for (size_t k = 0; k < n; k++)
		line(out, "dpiv_issuer_connections_max{door=\"%s\"} %ld", doors[k].name, doors[k].max);
	if ((e = put_ledger(m, i->db, out)) != E_OK)
		return e;
	put_crls(i, now, out);
	put_ends(i, now, out);
	return out->bad ? err_set(E_NOMEM, "the metrics are too long") : E_OK;
}
