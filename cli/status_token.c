/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv status: readers, cards and tokens, as their modules show them without a login; and the keys that open old mail.
 * Each token that is opened is looked through for credentials that the state store does not have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/status.h"
#include "derive/cert.h"

static bool
key_decrypts(X509 *cert)
{
	return X509_check_ca(cert) == 0 && (X509_get_key_usage(cert) & (KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT)) != 0 &&
	    (X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0;
}

static json_t *
status_key(const struct status *s, const struct token_key *k)
{
	char name[128], serial[64];
	json_t *o = json_pack("{s:o, s:s}", "id", status_hex(k->id, k->id_len), "label", k->label);

	if (k->cert == NULL)
		return o;
	json_object_set_new(o, "name", json_string(cert_name(k->cert, name, sizeof name)));
	json_object_set_new(o, "serial", json_string(cert_serial(k->cert, serial, sizeof serial)));
	json_object_set_new(o, "not_before", status_time(cert_not_before(k->cert)));
	json_object_set_new(o, "not_after", status_time(cert_not_after(k->cert)));
	json_object_set_new(o, "state", json_string(status_lifetime(s, k->cert)));
	json_object_set_new(o, "piv_auth", json_boolean(cert_is_piv_auth(k->cert)));
	json_object_set_new(o, "decrypts", json_boolean(key_decrypts(k->cert)));
	return o;
}

/* In the order of their ids: tokens list them in any. */
static void
key_insert(json_t *list, json_t *key)
{
	const char *id = json_string_value(json_object_get(key, "id"));
	size_t i = 0;

	while (i < json_array_size(list) &&
	    strcmp(json_string_value(json_object_get(json_array_get(list, i), "id")), id) <= 0)
		i++;
	json_array_insert_new(list, i, key);
}

/* What the state store wants to know of a token that is open. Whatever goes wrong there, the token is shown. */
static void
token_look(struct status *s, struct token *t, const struct token_key *keys, size_t n)
{
	for (size_t i = 0; token_is_own(t) && i < n; i++)
		if (keys[i].cert != NULL && cert_is_piv_auth(keys[i].cert) && X509_up_ref(keys[i].cert) == 1 &&
		    sk_X509_push(s->seen, keys[i].cert) <= 0)
			X509_free(keys[i].cert);
	if (s->rebuild.store != NULL && rebuild_token(&s->rebuild, t) != E_OK)
		log_warn("status.rebuild", "token=%s %s", token_label(t), err_msg());
}

static json_t *
status_token(struct status *s, const char *uri)
{
	const struct token_key *keys = NULL;
	struct token *t = NULL;
	json_t *o = json_pack("{s:s, s:[]}", "uri", uri, "keys"), *list = json_object_get(o, "keys");
	size_t n = 0;
	enum err e = token_open(uri, NULL, NULL, &t);

	if (e == E_OK) {
		json_object_set_new(o, "label", json_string(token_label(t)));
		json_object_set_new(o, "serial", json_string(token_serial_number(t)));
		json_object_set_new(o, "uri", json_string(token_uri(t)));
		e = token_keys(t, &keys, &n);
	}
	for (size_t i = 0; e == E_OK && i < n; i++)
		key_insert(list, status_key(s, &keys[i]));
	if (e == E_OK)
		token_look(s, t, keys, n);
	json_object_set_new(o, "present", json_boolean(e == E_OK));
	if (e != E_OK)
		json_object_set_new(o, "problem", json_string(err_msg()));
	token_close(&t);
	return o;
}

static bool
token_known(const json_t *list, const json_t *token)
{
	const char *uri = json_string_value(json_object_get(token, "uri"));
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "uri")), uri) == 0)
			return true;
	}
	return false;
}

void
status_token_add(struct status *s, const char *uri)
{
	json_t *o = status_token(s, uri);

	if (token_known(s->tokens, o) || token_known(s->cards, o))
		json_decref(o);
	else
		json_array_append_new(s->tokens, o);
}

static void
card_attention(struct status *s, const json_t *card)
{
	size_t i;
	json_t *k;
	char what[256];

	json_array_foreach(json_object_get(card, "keys"), i, k)
	{
		const char *state = json_string_value(json_object_get(k, "state"));

		if (state == NULL || strcmp(state, "ok") == 0 || !json_is_true(json_object_get(k, "piv_auth")))
			continue;
		snprintf(what, sizeof what, "the PIV card's authentication certificate %s",
		    strcmp(state, "expired") == 0 ? "has expired" : "expires soon");
		status_attention(s, what, "ask your agency for a new card");
	}
}

void
status_cards(struct status *s)
{
	char **uris = NULL;
	size_t n = 0;
	enum err e = token_list(NULL, &uris, &n);

	if (e == E_OK && n == 0)
		e = token_absent(NULL);
	if (e != E_OK)
		json_object_set_new(s->tree, "card_problem", json_string(err_msg()));
	for (size_t i = 0; i < n; i++) {
		json_t *o = status_token(s, uris[i]);

		card_attention(s, o);
		json_array_append_new(s->cards, o);
		free(uris[i]);
	}
	free(uris);
}

void
status_configured(struct status *s, const struct conf *conf)
{
	const char *name;

	for (size_t i = 0; (name = conf_named(conf, "token", i)) != NULL; i++) {
		char section[160];
		const char *uri;

		snprintf(section, sizeof section, "token %s", name);
		uri = conf_str(conf, section, "uri");
		if (uri != NULL)
			status_token_add(s, uri);
	}
	if (conf_str(conf, "derive", "to") != NULL)
		status_token_add(s, conf_str(conf, "derive", "to"));
}

/* --- readers ------------------------------------------------------------------------------------------------------ */

#define SECOND "Derived PIV in " /* a card's second application has a slot, and no reader, of its own */

static void
reader_add(void *arg, const struct token_slot *slot)
{
	struct status *s = arg;
	char safe[512];
	json_t *o;

	if (!slot->reader || (!slot->present && strncmp(slot->name, SECOND, sizeof SECOND - 1) == 0))
		return;
	o = json_pack("{s:s, s:b, s:n, s:n}", "name", text_safe(span_str(slot->name), safe, sizeof safe), "occupied",
	    slot->present, "token", "problem");
	if (slot->present && slot->e == E_OK)
		json_object_set_new(o, "token", json_string(slot->label));
	else if (slot->present)
		json_object_set_new(o, "problem", json_string(text_safe(span_str(err_msg()), safe, sizeof safe)));
	json_array_append_new(s->readers, o);
}

void
status_readers(struct status *s)
{
	if (token_slots(NULL, reader_add, s) != E_OK)
		log_debug("status.readers", "%s", err_msg());
}

/* --- old mail ----------------------------------------------------------------------------------------------------- */

static bool
serial_listed(const json_t *list, const char *serial)
{
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		const char *have = json_string_value(json_object_get(o, "serial"));

		if (have != NULL && strcmp(have, serial) == 0)
			return true;
	}
	return false;
}

/* One more key that decrypts and is not that of a credential in use; the same one on two tokens is one. */
static void
old_key(struct status *s, json_t *old, json_t *counted, const json_t *key)
{
	const char *serial = json_string_value(json_object_get(key, "serial"));
	const char *from = json_string_value(json_object_get(key, "not_before"));
	const char *to = json_string_value(json_object_get(key, "not_after"));
	const char *first = json_string_value(json_object_get(old, "first"));
	const char *last = json_string_value(json_object_get(old, "last"));

	if (!json_is_true(json_object_get(key, "decrypts")) || serial_listed(s->credentials, serial) ||
	    serial_listed(counted, serial))
		return;
	json_array_append_new(counted, json_pack("{s:s}", "serial", serial));
	json_object_set_new(old, "keys", json_integer((json_int_t)json_array_size(counted)));
	if (first == NULL || strcmp(from, first) < 0)
		json_object_set_new(old, "first", json_string(from));
	if (last == NULL || strcmp(to, last) > 0)
		json_object_set_new(old, "last", json_string(to));
}

void
status_old_keys(struct status *s)
{
	const json_t *lists[] = { s->tokens, s->cards };
	json_t *old = json_object_get(s->tree, "old_keys"), *counted = json_array(), *t, *key;
	size_t i, k;

	for (size_t l = 0; l < 2; l++) {
		json_array_foreach(lists[l], i, t)
		{
			json_array_foreach(json_object_get(t, "keys"), k, key) old_key(s, old, counted, key);
		}
	}
	json_decref(counted);
}
