/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sums of a scan. Recipients are found by the bytes of their identifier in a hash table; whether one is a key that
 * is held is looked up once, when it is first seen: issuer and serial number, names compared as RFC 5280, 7.1 has it,
 * because a name may be written in two ways, or the subject key identifier.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "cli/scan_table.h"

#define SLOTS	(SCAN_ROWS * 2) /* a power of two */
#define NOW_MAX 4096

enum err
scan_table_init(struct scan_table *t)
{
	memset(t, 0, sizeof *t);
	t->slots = calloc(SLOTS, sizeof *t->slots);
	t->now = calloc(NOW_MAX, sizeof *t->now);
	if (t->slots != NULL && t->now != NULL)
		return E_OK;
	scan_table_free(t);
	return err_set(E_NOMEM, "out of memory");
}

void
scan_table_free(struct scan_table *t)
{
	for (size_t i = 0; i < t->n_rows; i++)
		free(t->rows[i].identity);
	free(t->rows);
	free(t->keys);
	free(t->slots);
	free(t->now);
	memset(t, 0, sizeof *t);
}

enum err
scan_table_hold(struct scan_table *t, X509 *cert)
{
	struct scan_key *grown = realloc(t->keys, (t->n_keys + 1) * sizeof *grown);

	if (grown == NULL)
		return err_set(E_NOMEM, "out of memory");
	t->keys = grown;
	grown[t->n_keys++] = (struct scan_key){ .cert = cert };
	return E_OK;
}

/* --- recipients --------------------------------------------------------------------------------------------------- */

static bool
serial_is(struct span serial, X509 *cert)
{
	ASN1_INTEGER *n = NULL;
	unsigned char der[64 + 4] = { 0x02 };
	const unsigned char *p = der;
	bool same;

	if (serial.n > 64)
		return false;
	der[1] = (unsigned char)serial.n;
	memcpy(der + 2, serial.p, serial.n);
	n = d2i_ASN1_INTEGER(NULL, &p, (long)serial.n + 2);
	same = n != NULL && ASN1_INTEGER_cmp(n, X509_get0_serialNumber(cert)) == 0;
	ASN1_INTEGER_free(n);
	return same;
}

static bool
issuer_is(struct span issuer, X509 *cert)
{
	const unsigned char *p = issuer.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)issuer.n);
	bool same = name != NULL && X509_NAME_cmp(name, X509_get_issuer_name(cert)) == 0;

	X509_NAME_free(name);
	return same;
}

bool
scan_id_is(const struct scan_id *id, X509 *cert)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(cert);

	if (!id->is_keyid)
		return serial_is(id->serial, cert) && issuer_is(id->issuer, cert);
	return ski != NULL && span_eq(id->serial, span_of(ASN1_STRING_get0_data(ski), (size_t)ASN1_STRING_length(ski)));
}

static int
find_held(const struct scan_table *t, const struct scan_id *id)
{
	for (size_t i = 0; i < t->n_keys; i++) {
		if (scan_id_is(id, t->keys[i].cert))
			return (int)i;
	}
	return -1;
}

/* FNV-1a */
static uint32_t
hash_of(struct span s)
{
	uint32_t h = 2166136261u;
	uint8_t c;

	while (span_u8(&s, &c))
		h = (h ^ c) * 16777619u;
	return h;
}

static struct scan_row *
row_add(struct scan_table *t, const struct scan_id *id, uint32_t hash)
{
	struct scan_row *r;
	size_t issuer_at = id->is_keyid ? 0 : (size_t)(id->issuer.p - id->identity.p);

	if ((t->n_rows & (t->n_rows - 1)) == 0) {
		size_t cap = t->n_rows == 0 ? 1 : t->n_rows * 2;
		struct scan_row *grown = realloc(t->rows, cap * sizeof *grown);

		if (grown == NULL)
			return NULL;
		t->rows = grown;
	}
	r = &t->rows[t->n_rows];
	memset(r, 0, sizeof *r);
	r->identity = malloc(id->identity.n);
	if (r->identity == NULL)
		return NULL;
	memcpy(r->identity, id->identity.p, id->identity.n);
	r->n = id->identity.n;
	r->hash = hash;
	r->id = (struct scan_id){ .is_keyid = id->is_keyid, .identity = span_of(r->identity, r->n) };
	(void)span_sub(r->id.identity, issuer_at, id->issuer.n, &r->id.issuer);
	(void)span_sub(r->id.identity, (size_t)(id->serial.p - id->identity.p), id->serial.n, &r->id.serial);
	r->held = find_held(t, &r->id);
	t->n_rows++;
	return r;
}

/* The row's number, or SCAN_ROWS when there is no room for it. */
static size_t
row_of(struct scan_table *t, const struct scan_id *id)
{
	uint32_t hash = hash_of(id->identity), at = hash & (SLOTS - 1);

	for (; t->slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
		const struct scan_row *r = &t->rows[t->slots[at] - 1];

		if (r->hash == hash && r->id.is_keyid == id->is_keyid && span_eq(r->id.identity, id->identity))
			return t->slots[at] - 1;
	}
	/* the last rows are kept for keys that are held: those must not be missed */
	if (t->n_rows >= SCAN_ROWS || (t->n_rows >= SCAN_ROWS - 256 && find_held(t, id) < 0)) {
		t->full = true;
		return SCAN_ROWS;
	}
	if (row_add(t, id, hash) == NULL) {
		t->nomem = true;
		return SCAN_ROWS;
	}
	t->slots[at] = (uint32_t)t->n_rows;
	return t->n_rows - 1;
}

void
scan_table_id(struct scan_table *t, const struct scan_id *id)
{
	size_t row = row_of(t, id);

	if (row == SCAN_ROWS || t->rows[row].seen == t->messages + 1)
		return;
	t->rows[row].seen = t->messages + 1;
	if (t->rows[row].held >= 0)
		t->keys[t->rows[row].held].seen = t->messages + 1;
	if (t->n_now < NOW_MAX)
		t->now[t->n_now++] = (uint32_t)row;
	else
		t->full = true;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void
count(uint64_t *messages, bool *dated, time_t *first, time_t *last, const struct scan_message *m)
{
	++*messages;
	if (!m->dated)
		return;
	if (!*dated || m->date < *first)
		*first = m->date;
	if (!*dated || m->date > *last)
		*last = m->date;
	*dated = true;
}

int
scan_table_message(struct scan_table *t, const struct scan_message *m)
{
	int by = -1;

	t->messages++;
	for (size_t i = 0; i < t->n_keys; i++) {
		struct scan_key *k = &t->keys[i];

		if (k->seen != t->messages)
			continue;
		by = by < 0 ? (int)i : by;
		count(&k->messages, &k->dated, &k->first, &k->last, m);
	}
	for (size_t i = 0; by < 0 && i < t->n_now; i++) {
		struct scan_row *r = &t->rows[t->now[i]];

		count(&r->messages, &r->dated, &r->first, &r->last, m);
	}
	t->n_now = 0;
	t->encrypted += m->encrypted;
	t->opened += by >= 0;
	t->damaged += m->damaged && by < 0;
	return by;
}

static int
by_messages(const void *x, const void *y)
{
	const struct scan_row *a = x, *b = y;
	size_t n = a->n < b->n ? a->n : b->n;

	if (a->messages != b->messages)
		return a->messages < b->messages ? 1 : -1;
	return n > 0 ? memcmp(a->identity, b->identity, n) : 0;
}

void
scan_table_sort(struct scan_table *t)
{
	if (t->n_rows > 0)
		qsort(t->rows, t->n_rows, sizeof *t->rows, by_messages);
	memset(t->slots, 0, SLOTS * sizeof *t->slots);
}
