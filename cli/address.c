/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses out of header fields (RFC 5322, 3.4): "Pat <pat@example.test>, bob@example.test (Bob), team: eve@x.test;".
 * A scanner with one character of state, not a full grammar: what it does not understand yields no address, and an
 * address that is not found can only make dpiv say no.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/address.h"

bool
address_eq(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

bool
address_ok(const char *a)
{
	const char *at = strchr(a, '@');

	if (at == NULL || at == a || at[1] == '\0' || strchr(at + 1, '@') != NULL || strlen(a) >= ADDRESS_MAX)
		return false;
	for (; *a != '\0'; a++) {
		if ((unsigned char)*a <= 32 || (unsigned char)*a == 127 || strchr("()<>[]:;,\\\"", *a) != NULL)
			return false;
	}
	return true;
}

bool
addresses_have(const struct addresses *a, const char *address)
{
	for (size_t i = 0; i < a->n; i++) {
		if (address_eq(a->v[i], address))
			return true;
	}
	return false;
}

enum err
addresses_add_one(struct addresses *a, const char *address)
{
	char(*grown)[ADDRESS_MAX];

	if (!address_ok(address) || addresses_have(a, address))
		return E_OK;
	if (a->n >= ADDRESSES_MAX)
		return err_set(E_PROTO, "more than %d addresses in one message", ADDRESSES_MAX);
	grown = realloc(a->v, (a->n + 1) * sizeof *grown);
	if (grown == NULL)
		return err_set(E_NOMEM, "no memory for addresses");
	a->v = grown;
	memcpy(a->v[a->n++], address, strlen(address) + 1);
	return E_OK;
}

void
addresses_free(struct addresses *a)
{
	free(a->v);
	a->v = NULL;
	a->n = 0;
}

struct scan {
	char text[ADDRESS_MAX]; /* of the current mailbox, blanks taken out */
	size_t n;
	bool overflow, done; /* done: the mailbox had its <address> */
	unsigned comment;
	bool quoted, angle;
};

static void
scan_reset(struct scan *s)
{
	s->n = 0;
	s->overflow = s->done = s->angle = false;
}

static enum err
scan_end(struct scan *s, struct addresses *a)
{
	enum err e = E_OK;

	s->text[s->n] = '\0';
	if (!s->overflow && !s->done)
		e = addresses_add_one(a, s->text);
	s->n = 0;
	return e;
}

static void
scan_text(struct scan *s, uint8_t c)
{
	if (s->done || c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return;
	if (s->n + 1 >= sizeof s->text)
		s->overflow = true;
	else
		s->text[s->n++] = (char)c;
}

/* True when the character was part of a comment or quoted string. */
static bool
scan_hidden(struct scan *s, uint8_t c, struct span *value)
{
	if (s->quoted || s->comment > 0) {
		if (c == '\\')
			(void)span_skip(value, 1);
		else if (s->quoted)
			s->quoted = c != '"';
		else
			s->comment += c == '(' ? 1u : c == ')' ? -1u : 0u;
		if (s->quoted)
			scan_text(s, '"'); /* makes the text no address */
		return true;
	}
	s->quoted = c == '"';
	s->comment = c == '(';
	if (s->quoted)
		scan_text(s, c);
	return s->quoted || s->comment > 0;
}

static enum err
scan_char(struct scan *s, uint8_t c, struct addresses *a)
{
	enum err e = E_OK;

	if (c == '<') {
		scan_reset(s);
		s->angle = true;
	} else if (c == '>' && s->angle) {
		e = scan_end(s, a);
		s->done = true;
	} else if (c == ',' || c == ';') {
		e = scan_end(s, a);
		scan_reset(s);
	} else if (c == ':' && s->angle) {
		s->n = 0; /* a route (RFC 5322, 4.4) */
	} else if (c == ':') {
		scan_reset(s); /* a group's name */
	} else
		scan_text(s, c);
	return e;
}

enum err
addresses_add(struct addresses *a, struct span value)
{
	struct scan s = { 0 };
	enum err e = E_OK;
	uint8_t c;

	while (e == E_OK && span_u8(&value, &c)) {
		if (!scan_hidden(&s, c, &value))
			e = scan_char(&s, c, a);
	}
	return e == E_OK && !s.angle ? scan_end(&s, a) : e;
}
