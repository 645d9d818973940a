/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Old decryption keys into a token. Each key is judged first (its certificate, key usage, chain, whose address); a
 * certificate that has expired is what this is for. A run that was cut short is taken up by the next one: what is on
 * the token already is told and left alone. One line a key for a person, one tree for programs.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/history.h"
#include "cli/history_bring.h"

static const char *const how_names[] = {
	[TOKEN_IMPORTED] = "imported", [TOKEN_COMPLETED] = "completed", [TOKEN_HAD] = "already there"
};

static void
say(struct bring *b, const char *from, X509 *cert, const char *result, const struct token_place *place)
{
	char safe[512];
	json_t *o = cert != NULL ? history_cert(cert) : json_object();

	json_object_set_new(o, "file", json_string(text_safe(span_str(from), safe, sizeof safe)));
	json_object_set_new(o, "result", json_string(result));
	json_object_set_new(o, "id", place != NULL ? history_hex(span_of(place->id, place->id_len)) : json_null());
	json_object_set_new(o, "problem", place == NULL ? json_string(err_msg()) : json_null());
	json_array_append_new(b->list, o);
	if (b->json)
		return;
	if (cert == NULL || place == NULL)
		printf("%s: %s: %s\n", safe, result, err_msg());
	else
		printf("%s: %s: %s, serial %s, %.10s to %.10s (id %s)\n", safe, result,
		    json_string_value(json_object_get(o, "name")), json_string_value(json_object_get(o, "serial")),
		    json_string_value(json_object_get(o, "not_before")),
		    json_string_value(json_object_get(o, "not_after")), json_string_value(json_object_get(o, "id")));
}

void
bring_failed(struct bring *b, const char *from, X509 *cert, const char *result, enum err e)
{
	say(b, from, cert, result, NULL);
	if (b->worst == E_OK)
		b->worst = e;
}

static void
label_make(X509 *cert, char *out, size_t cap)
{
	struct tm from = { 0 }, to = { 0 };

	(void)ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from);
	(void)ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to);
	snprintf(out, cap, "Old encryption key %04d-%04d", from.tm_year + 1900, to.tm_year + 1900);
}

/* Errors after which there is no point in trying the next key. */
static bool
is_final(enum err e)
{
	static const enum err all[] = { E_CARDGONE, E_NOCARD, E_PIN, E_PINLOCKED, E_CANCELED, E_AUTH, E_READONLY,
		E_NOSPACE, E_NOMEM };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (all[i] == e)
			return true;
	}
	return false;
}

enum err
bring_key(struct bring *b, const char *from, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others)
{
	struct token_place place;
	char label[64];
	enum err e = judge_key(&b->judge, key, cert, others);

	if (e != E_OK) {
		bring_failed(b, from, cert, "left out", e);
		return E_OK;
	}
	label_make(cert, label, sizeof label);
	e = b->dry_run ? token_import_look(b->token, cert, &place) : token_import(b->token, key, cert, label, &place);
	if ((e == E_AUTH || e == E_READONLY) && token_is_own(b->token))
		e = err_set(e,
		    "%s: a card takes keys with its management key only: put it into a file and name that in "
		    "dpiv.conf, "
		    "[module] management_key_file",
		    token_label(b->token));
	if (e != E_OK) {
		bring_failed(b, from, cert, "failed", e);
		return is_final(e) ? e : E_OK;
	}
	b->done++;
	b->had += place.how == TOKEN_HAD;
	say(b, from, cert, b->dry_run && place.how != TOKEN_HAD ? "would be imported" : how_names[place.how], &place);
	return E_OK;
}

enum err
bring_open(struct bring *b)
{
	if ((b->list = json_array()) == NULL)
		return err_set(E_NOMEM, "out of memory");
	return judge_open(&b->judge, token_uri(b->token));
}

void
bring_close(struct bring *b)
{
	judge_close(&b->judge);
	json_decref(b->list);
	token_close(&b->token);
}

int
bring_end(struct bring *b)
{
	enum err e = b->worst;

	if (b->json)
		history_print(json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "token", token_label(b->token),
		    "token_uri", token_uri(b->token), "keys", b->list));
	else
		printf("%zu of %zu keys are on '%s'%s\n", b->dry_run ? b->had : b->done, json_array_size(b->list),
		    token_label(b->token), b->dry_run ? "; nothing was written (--dry-run)" : "");
	return cli_exit(e);
}
