/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_SCAN_TABLE_H
#define DPIV_CLI_SCAN_TABLE_H

#include <openssl/x509.h>

#include "cli/scan.h"

/*
 * What a scan has found: a row for each recipient that is a key that is held, or that a message names which no held key
 * opens. Its memory grows with the number of different recipients (at most SCAN_ROWS are kept), not with the mailbox.
 */
#define SCAN_ROWS 65536

struct scan_row {
	uint8_t *identity; /* as scan_id; issuer and serial point into it */
	size_t n;
	struct scan_id id;
	uint32_t hash;
	int held;	   /* index of the key that it is, -1: none that is held */
	uint64_t seen;	   /* number of the last message that names it */
	uint64_t messages; /* that are for it, and that no held key opens */
	bool dated;
	time_t first, last;
};

struct scan_key {   /* a certificate whose key is held */
	X509 *cert; /* borrowed */
	uint64_t seen;
	uint64_t messages;
	bool dated;
	time_t first, last;
};

struct scan_table {
	struct scan_key *keys;
	size_t n_keys;
	struct scan_row *rows;
	size_t n_rows;
	uint32_t *slots; /* row + 1, 0: empty; open addressing */
	uint32_t *now;	 /* rows that the message names */
	size_t n_now;
	bool full; /* recipients are left out */
	bool nomem;
	uint64_t messages, encrypted, opened, damaged;
};

enum err scan_table_init(struct scan_table *t) MUST_CHECK;
void scan_table_free(struct scan_table *t);
enum err scan_table_hold(struct scan_table *t, X509 *cert) MUST_CHECK;
/* A recipient of the message that is being read; its end. Returns the index of a key that opens it, -1 for none. */
void scan_table_id(struct scan_table *t, const struct scan_id *id);
int scan_table_message(struct scan_table *t, const struct scan_message *m);
/* Does the recipient's identifier mean this certificate? */
bool scan_id_is(const struct scan_id *id, X509 *cert);
/* Rows that are missing, those with most messages first. */
void scan_table_sort(struct scan_table *t);

#endif
