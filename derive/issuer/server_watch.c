/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door for metrics (server_watch.h): a local socket, so that who may look is a matter of the folder that it is in,
 * and nothing is open to the network. It has few connections of its own, and one answer, at /metrics.
 */
#include <string.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "derive/issuer/note.h"
#include "derive/issuer/server_watch.h"

#define CONNECTIONS 8
#define SILENCE	    15 /* seconds */
#define BODY_MAX    1024

static void
send_text(struct watch *w, struct evhttp_request *req, const struct wbuf *text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evbuffer_new();

	if (body == NULL || evbuffer_add(body, text->p, text->n) != 0) {
		evhttp_send_error(req, 500, NULL);
	} else {
		evhttp_add_header(headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
		evhttp_add_header(headers, "Cache-Control", "no-store");
		door_answered(&w->door, req);
		evhttp_send_reply(req, 200, NULL, body);
	}
	if (body)
		evbuffer_free(body);
}

static void
on_watch_request(struct evhttp_request *req, void *arg)
{
	struct watch *w = arg;
	const struct metrics_door doors[] = {
		{ w->doors[0]->name, w->doors[0]->connections, w->doors[0]->max_connections },
		{ w->doors[1]->name, w->doors[1]->connections, w->doors[1]->max_connections },
	};
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	WBUF_AUTO text = { 0 };

	wbuf_init(&text, METRICS_MAX);
	if (path == NULL || strcmp(path, "/metrics") != 0) {
		evhttp_send_error(req, 404, NULL);
	} else if (metrics_text(&w->metrics, w->issuer, doors, w->doors[1]->http ? 2 : 1, time(NULL), &text) != E_OK) {
		note("no-metrics", "%s", err_msg());
		evhttp_send_error(req, 500, NULL);
	} else {
		send_text(w, req, &text);
	}
}

static void
on_end(void *arg)
{
	(void)arg;
}

enum err
watch_open(struct watch *w, struct event_base *base, struct issuer *i)
{
	const char *path = i->config.metrics;
	char url[120];

	w->issuer = i;
	w->metrics.started = time(NULL);
	if (path == NULL)
		return E_OK;
	w->door = (struct door){ .name = "metrics",
		.base = base,
		.max_connections = CONNECTIONS,
		.timeout = SILENCE,
		.request = on_watch_request,
		.ended = on_end,
		.owner = w };
	return door_open(&w->door, path, BODY_MAX, url, sizeof url);
}

double
watch_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
watch_count(struct watch *w, const char *path, int status, double since)
{
	metrics_count(&w->metrics, path, status, watch_now() - since);
}
