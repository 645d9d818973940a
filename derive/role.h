/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_ROLE_H
#define DPIV_DERIVE_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "derive/token.h"

/*
 * What a derived credential is for. One table: everything that differs between authentication, signature and encryption
 * (FPKI Common Policy certificate profiles, worksheets 10, 8 and 9), and one certificate for signature and encryption,
 * which those profiles do not have: it is for issuers outside them, by configuration, and takes the place of both.
 */
enum role { ROLE_AUTH, ROLE_SIGN, ROLE_ENCRYPT, ROLE_MAIL, ROLE_COUNT };

struct role_info {
	const char *name;  /* as on the command line and in the store */
	const char *what;  /* for a person */
	const char *label; /* EST label that is used when none is configured; NULL: the plain path */
	uint8_t id;	   /* CKA_ID of one byte that is used when it is free */
	enum token_use use;
	uint32_t usage_rsa, usage_ec;			    /* KU_* bits, exactly these */
	int eku;					    /* NID that must be there */
	bool needs_uuid;				    /* a UUID of its own in the subjectAltName */
	const char *const *policies, *const *test_policies; /* one of them; NULL-terminated; none: the issuer's own */
	const char *const *hard, *const *test_hard;	    /* those of them that are for keys in validated hardware */
};

/* Where the key of an encryption credential comes from. The other roles' keys are always new and made on the token. */
enum key_source {
	KEY_GENERATE,	  /* on the token */
	KEY_SERVERKEYGEN, /* the issuer makes it, keeps a copy in escrow, and sends it wrapped */
	KEY_RECOVER,	  /* the one that the person has already, out of the issuer's escrow */
};
enum err key_source_parse(const char *name, enum key_source *out) MUST_CHECK;

const struct role_info *role_info(enum role role);
enum err role_parse(const char *name, size_t len, enum role *out) MUST_CHECK;
/* Is its key needed for as long as there is old mail? */
bool role_decrypts(enum role role);
/* What stands for this role where one certificate (NULL: none) is for both signature and encryption. */
enum role role_in(enum role role, const char *one_certificate);
/* Can this be the policy of one certificate for both: an object identifier that is not the Federal PKI's? E_CONF. */
enum err role_one_policy(const char *oid) MUST_CHECK;

/* Key algorithms of derived keys (SP 800-78-5, table 1), by the names of the command line. */
enum err alg_parse(const char *name, enum token_alg *out) MUST_CHECK;
const char *alg_name(enum token_alg alg);

#endif
