/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_METRICS_H
#define DPIV_ISSUER_METRICS_H

#include <time.h>

#include "derive/issuer/issuer.h"

/*
 * Numbers for those who watch the service, in Prometheus' text format 0.0.4. Requests and their latency are this
 * process's since it started. What happened (certificates, refusals, events) is the ledger's: it survives restarts, and
 * is the same from every process that shares the ledger. No name, address or serial number is in it.
 */
#define METRICS_PROTOCOLS 8
#define METRICS_BUCKETS	  11
#define METRICS_EVENTS	  128
struct metrics {
	struct {
		uint64_t results[4]; /* 2xx, 3xx, 4xx, 5xx */
		uint64_t buckets[METRICS_BUCKETS + 1];
		double seconds;
	} of[METRICS_PROTOCOLS];
	struct metrics_event {
		char what[32], code[32]; /* code "": none */
		uint64_t n;
	} events[METRICS_EVENTS];
	size_t n_events;
	int64_t seen; /* the event that was counted last */
	time_t started;
};

void metrics_count(struct metrics *m, const char *path, int status, double seconds);
/* What the transport knows. */
struct metrics_door {
	const char *name;
	long connections, max;
};
#define METRICS_MAX (1u << 20)
/* Everything, to the end of out. */
enum err metrics_text(struct metrics *m, struct issuer *i, const struct metrics_door *doors, size_t n, time_t now,
    struct wbuf *out) MUST_CHECK;

#endif
