/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history scan: which messages of a mailbox each held key opens, and which keys are missing. A message may be for
 * several people; when no held key opens it, each of its recipients is a candidate, so the list of missing keys is
 * sorted by how many such messages each would open: the person's own lost key is the first.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/certs.h"
#include "cli/history.h"
#include "cli/scan_table.h"

#define TOKENS_MAX 32
#define SHOWN	   40 /* missing keys in the text; --json has all */

struct scan_options {
	const char *uris[TOKENS_MAX];
	size_t n;
	bool json, login, messages;
};

struct run {
	struct scan_table table;
	struct held held;
	const struct held_key **keys; /* as the table's */
	bool messages;
	json_t *list; /* --messages --json */
	uint64_t bytes, total;
	struct timespec shown;
};

static int
options_read(int argc, char **argv, struct scan_options *o)
{
	static const struct option options[] = { { "token", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' }, { "login", no_argument, NULL, 'l' },
		{ "messages", no_argument, NULL, 'm' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			if (o->n == TOKENS_MAX)
				return cli_usage("more than %d tokens", TOKENS_MAX);
			o->uris[o->n++] = optarg;
			break;
		case 'j': o->json = true; break;
		case 'l': o->login = true; break;
		case 'm': o->messages = true; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	return optind == argc ? cli_usage("which MAILBOX?") : EXIT_DONE;
}

/* --- while reading ------------------------------------------------------------------------------------------------ */

static void
on_id(void *arg, const struct scan_id *id)
{
	struct run *r = arg;

	scan_table_id(&r->table, id);
}

static void
progress(struct run *r)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - r->shown.tv_sec) * 1000 + (now.tv_nsec - r->shown.tv_nsec) / 1000000 < 200)
		return;
	r->shown = now;
	if (r->total > 0)
		cli_progress("%" PRIu64 " messages, %" PRIu64 " %%", r->table.messages, r->bytes * 100 / r->total);
	else
		cli_progress("%" PRIu64 " messages, %" PRIu64 " MB", r->table.messages, r->bytes / 1000000);
}

static void
on_bytes(void *arg, uint64_t bytes)
{
	struct run *r = arg;

	r->bytes += bytes;
	progress(r);
}

static void
message_show(struct run *r, const struct scan_message *m, int by)
{
	const char *what = by >= 0 ? token_label(r->keys[by]->k->token) : m->damaged ? "damaged" : "no key";
	char path[512], day[HISTORY_DAY] = "";

	if (m->dated)
		history_day(m->date, day);
	text_safe(span_str(m->path), path, sizeof path);
	if (r->list == NULL) {
		printf("%-10s  %s:%" PRIu64 "  %s  %s\n", day, path, m->offset, m->name, what);
		return;
	}
	json_array_append_new(r->list,
	    json_pack("{s:s, s:I, s:s, s:o, s:b, s:b, s:o}", "file", path, "offset", (json_int_t)m->offset,
		"message_id", m->name, "date", m->dated ? history_time(m->date) : json_null(), "opened", by >= 0,
		"damaged", m->damaged, "key",
		by >= 0 ? history_hex(span_of(r->keys[by]->k->key.id, r->keys[by]->k->key.id_len)) : json_null()));
}

static void
on_message(void *arg, const struct scan_message *m)
{
	struct run *r = arg;
	int by = scan_table_message(&r->table, m);

	if (r->messages && m->encrypted)
		message_show(r, m, by);
	if (r->total == 0 && r->table.messages % 512 == 0)
		progress(r);
}

/* --- the report --------------------------------------------------------------------------------------------------- */

static void
put_count(json_t *o, uint64_t messages, bool dated, time_t first, time_t last)
{
	json_object_set_new(o, "messages", json_integer((json_int_t)messages));
	json_object_set_new(o, "first", dated ? history_time(first) : json_null());
	json_object_set_new(o, "last", dated ? history_time(last) : json_null());
}

static json_t *
missing_row(const struct scan_row *row)
{
	const unsigned char *p = row->id.issuer.p;
	json_t *o = json_object();
	X509_NAME *name;
	char issuer[512];

	if (row->id.is_keyid) {
		json_object_set_new(o, "issuer", json_null());
		json_object_set_new(o, "key_identifier", history_hex(row->id.serial));
	} else {
		name = d2i_X509_NAME(NULL, &p, (long)row->id.issuer.n);
		json_object_set_new(
		    o, "issuer", json_string(name != NULL ? name_text(name, issuer, sizeof issuer) : "malformed"));
		json_object_set_new(o, "serial", history_serial(row->id.serial));
		X509_NAME_free(name);
	}
	put_count(o, row->messages, row->dated, row->first, row->last);
	return o;
}

static json_t *
report(struct run *r)
{
	const struct scan_table *t = &r->table;
	json_t *keys = json_array(), *missing = json_array();

	for (size_t i = 0; i < t->n_keys; i++) {
		json_t *o;

		if (t->keys[i].messages == 0 && !r->keys[i]->decrypts)
			continue;
		o = history_key(r->keys[i]);
		put_count(o, t->keys[i].messages, t->keys[i].dated, t->keys[i].first, t->keys[i].last);
		json_array_append_new(keys, o);
	}
	for (size_t i = 0; i < t->n_rows; i++) {
		if (t->rows[i].held < 0 && t->rows[i].messages > 0)
			json_array_append_new(missing, missing_row(&t->rows[i]));
	}
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "version", 1, "messages",
	    (json_int_t)t->messages, "encrypted", (json_int_t)t->encrypted, "opened", (json_int_t)t->opened, "unopened",
	    (json_int_t)(t->encrypted - t->opened), "damaged", (json_int_t)t->damaged, "bytes", (json_int_t)r->bytes,
	    "incomplete", t->full, "keys", keys, "missing", missing);
}

static json_int_t
number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *
text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* "  120  2015-01-02 to 2016-03-04  " */
static void
print_count(const json_t *o)
{
	printf("  %7" JSON_INTEGER_FORMAT "  ", number(o, "messages"));
	if (text_of(o, "first")[0] != '\0')
		printf("%.10s to %.10s  ", text_of(o, "first"), text_of(o, "last"));
	else
		printf("%-24s  ", "");
}

static void
print_keys(const json_t *keys)
{
	const json_t *o;
	size_t i;

	if (json_array_size(keys) > 0)
		printf("opened by keys that are held:\n");
	json_array_foreach(keys, i, o)
	{
		print_count(o);
		printf("%s, serial %s, on '%s'%s\n", text_of(o, "name"), text_of(o, "serial"), text_of(o, "token"),
		    strcmp(text_of(o, "held"), "unknown") == 0 ? " (key not seen without a login)" : "");
	}
}

static void
print_missing(const json_t *missing)
{
	const json_t *o;
	size_t i;

	if (json_array_size(missing) == 0)
		return;
	printf("missing keys, recovered from their issuer and brought back by 'dpiv history import'\n"
	       "(keys of other recipients of the same messages are among them):\n");
	json_array_foreach(missing, i, o)
	{
		if (i == SHOWN) {
			printf("  and %zu others (--json)\n", json_array_size(missing) - SHOWN);
			return;
		}
		print_count(o);
		if (json_is_null(json_object_get(o, "issuer")))
			printf("key identifier %s\n", text_of(o, "key_identifier"));
		else
			printf("serial %s of %s\n", text_of(o, "serial"), text_of(o, "issuer"));
	}
}

static void
print_text(const json_t *tree)
{
	printf("%" JSON_INTEGER_FORMAT " messages, %" JSON_INTEGER_FORMAT " encrypted: %" JSON_INTEGER_FORMAT
	       " can be opened, %" JSON_INTEGER_FORMAT " cannot\n",
	    number(tree, "messages"), number(tree, "encrypted"), number(tree, "opened"), number(tree, "unopened"));
	print_keys(json_object_get(tree, "keys"));
	print_missing(json_object_get(tree, "missing"));
	if (number(tree, "damaged") > 0)
		printf("%" JSON_INTEGER_FORMAT " messages are damaged: whom they are for cannot be read\n",
		    number(tree, "damaged"));
	if (json_is_true(json_object_get(tree, "incomplete")))
		printf("there are more recipients than can be listed\n");
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static enum err
run_hold(struct run *r)
{
	enum err e = scan_table_init(&r->table);

	r->keys = calloc(r->held.n + 1, sizeof *r->keys);
	if (e == E_OK && r->keys == NULL)
		e = err_set(E_NOMEM, "out of memory");
	for (size_t i = 0; e == E_OK && i < r->held.n; i++) {
		if (r->held.keys[i].state == HELD_NO)
			continue;
		r->keys[r->table.n_keys] = &r->held.keys[i];
		e = scan_table_hold(&r->table, r->held.keys[i].k->key.cert);
	}
	return e;
}

static enum err
run_boxes(struct run *r, char **paths, int n)
{
	const struct scan_sink sink = { r, on_id, on_message, on_bytes };
	enum err e = E_OK;
	uint64_t bytes = 0, one;

	for (int i = 0; i < n; i++)
		r->total += scan_box_size(paths[i]);
	for (int i = 0; e == E_OK && i < n; i++) {
		e = scan_box(paths[i], &sink, &one);
		bytes += one;
	}
	r->bytes = bytes;
	cli_progress_end();
	if (e == E_OK && r->table.nomem)
		e = err_set(E_NOMEM, "out of memory");
	return e;
}

static int
run_show(struct run *r, bool as_json)
{
	bool missing = r->table.encrypted > r->table.opened;
	json_t *tree;

	scan_table_sort(&r->table);
	tree = report(r);
	if (r->list != NULL)
		json_object_set(tree, "list", r->list);
	if (as_json)
		history_print(tree);
	else {
		print_text(tree);
		json_decref(tree);
	}
	return missing ? EXIT_NOTHING : EXIT_DONE;
}

int
history_scan(int argc, char **argv)
{
	struct scan_options o = { 0 };
	struct run r = { 0 };
	int status = options_read(argc, argv, &o);
	enum err e;

	if (status != EXIT_DONE)
		return status;
	r.messages = o.messages;
	r.list = o.messages && o.json ? json_array() : NULL;
	if ((e = held_open(o.n > 0 ? o.uris : NULL, o.n, o.login, &r.held)) == E_OK && (e = run_hold(&r)) == E_OK)
		e = run_boxes(&r, argv + optind, argc - optind);
	status = e == E_OK ? run_show(&r, o.json) : cli_fail(e);
	json_decref(r.list);
	scan_table_free(&r.table);
	free(r.keys);
	held_close(&r.held);
	return status;
}
