/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_BACKUP_H
#define DPIV_ISSUER_BACKUP_H

#include "derive/issuer/audit.h"
#include "derive/issuer/issuer.h"

/* The ledger and the public files of an issuer directory in one archive (archive.h); never a key. */
#define BACKUP_LEDGER "issuer.db"

struct backup_said {
	struct audit_head head;	 /* of the ledger in it */
	size_t files;		 /* besides the ledger */
	const char *outside[16]; /* that are configured, but lie elsewhere: borrowed from the configuration */
	size_t n_outside;
};
/* file must not exist yet; it is there whole or not at all. */
enum err backup_make(struct issuer *i, const char *file, time_t now, struct backup_said *out) MUST_CHECK;

struct restore_said {
	struct audit_head head; /* of the ledger as it was saved */
	char before[PATH_MAX];	/* where what was there lies now; "": there was nothing */
};
/* dir is afterwards what the archive says, with the private/ that it had, or as it was. E_EXISTS: there is something,
 * and not force. E_BUSY: an issuer runs there. E_PROTO, E_STORE: the archive is not whole, or not what was written. */
enum err restore_run(const char *file, const char *dir, bool force, time_t now, struct restore_said *out) MUST_CHECK;

#endif
