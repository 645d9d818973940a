/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_STORE_INT_H
#define DPIV_DERIVE_STORE_INT_H

#include <limits.h>

#include "derive/db.h"
#include "derive/store.h"

extern const struct db_schema store_schema;

/* Inside of store*.c. */
struct store {
	struct db *db;
	int lock; /* descriptor, -1 none */
	char path[PATH_MAX];
};

enum err store_cert_blob(X509 *cert, struct wbuf *out) MUST_CHECK;
X509 *store_blob_cert(struct span der); /* NULL for what does not parse */
void store_copy_text(const char *from, char *to, size_t cap);
char *store_dup_text(const char *from); /* NULL for none; the caller's */
/* store_enrol.c, inside a transaction: the row of a credential; those in its place are no longer active. */
enum err store_cred_insert(struct store *s, const struct enrolment *e, X509 *cert, struct span der, struct span card,
    bool active, time_t created) MUST_CHECK;
enum err store_cred_replaced(struct store *s, const struct enrolment *e) MUST_CHECK;
size_t store_copy_id(struct span from, uint8_t to[STORE_ID_MAX]);

/* store_life.c, inside a transaction: the revocation of a credential that another has taken the place of is begun. */
enum err store_revoke_supersede(struct store *s, const struct credential *old) MUST_CHECK;

#endif
