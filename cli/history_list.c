/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history list: every decryption key that is held, on which token, for which dates and addresses; newest first.
 * The retired keys of a PIV card are among them while the card is there.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/history.h"

#define TOKENS_MAX 32

struct list_options {
	const char *uris[TOKENS_MAX];
	size_t n;
	bool json, login;
};

static int
options_read(int argc, char **argv, struct list_options *o)
{
	static const struct option options[] = { { "token", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' }, { "login", no_argument, NULL, 'l' }, { NULL, 0, NULL, 0 } };
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
		default: return cli_usage("unknown option or missing value");
		}
	}
	return optind < argc ? cli_usage("unexpected argument '%s'", argv[optind]) : EXIT_DONE;
}

static int
newest_first(const void *x, const void *y)
{
	const struct held_key *a = x, *b = y;

	return ASN1_TIME_compare(X509_get0_notAfter(b->k->key.cert), X509_get0_notAfter(a->k->key.cert));
}

static const char *
text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "?";
}

static void
key_text(const json_t *o)
{
	const char *held = text_of(o, "held");
	const json_t *list = json_object_get(o, "addresses"), *address;
	size_t i;

	printf("%.10s to %.10s  %s, %s\n", text_of(o, "not_before"), text_of(o, "not_after"), text_of(o, "name"),
	    text_of(o, "algorithm"));
	if (json_array_size(list) > 0) {
		printf("    for ");
		json_array_foreach(list, i, address) printf("%s%s", i > 0 ? ", " : "", json_string_value(address));
		putchar('\n');
	}
	printf("    on '%s', id %s, %s\n", text_of(o, "token"), text_of(o, "id"), text_of(o, "label"));
	printf("    serial %s of %s\n", text_of(o, "serial"), text_of(o, "issuer"));
	if (strcmp(held, "no") == 0)
		printf("    certificate only: its key is not on this token\n");
	else if (strcmp(held, "unknown") == 0)
		printf("    whether the key is there is seen after a login only (--login)\n");
}

static int
list_show(const struct held *h, bool as_json)
{
	json_t *keys = json_array(), *o;
	size_t held = 0, i;

	for (i = 0; i < h->n; i++) {
		if (!h->keys[i].decrypts)
			continue;
		held += h->keys[i].state != HELD_NO;
		json_array_append_new(keys, history_key(&h->keys[i]));
	}
	if (as_json)
		history_print(
		    json_pack("{s:i, s:s, s:o}", "version", 1, "looked_at", keyring_names(h->ring), "keys", keys));
	else {
		json_array_foreach(keys, i, o) key_text(o);
		json_decref(keys);
	}
	if (held > 0)
		return EXIT_DONE;
	return cli_fail(err_set(E_NOTFOUND, "no decryption key is held (looked at: %s)", keyring_names(h->ring)));
}

int
history_list(int argc, char **argv)
{
	struct list_options o = { 0 };
	struct held h;
	int status = options_read(argc, argv, &o);
	enum err e;

	if (status != EXIT_DONE)
		return status;
	if ((e = held_open(o.n > 0 ? o.uris : NULL, o.n, o.login, &h)) != E_OK)
		return cli_fail(e);
	if (h.n > 0)
		qsort(h.keys, h.n, sizeof *h.keys, newest_first);
	status = list_show(&h, o.json);
	held_close(&h);
	return status;
}
