/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * derive_call renew|revoke ROLE: what derive.h offers for the life of a credential, for tests that speak to foreign
 * issuers. From the environment: TO, ISSUER, CAFILE, PROTOCOL, and SECRET, REFERENCE, FINGERPRINT, WEAK, WAIT where
 * needed. The credential is the newest active one of that role.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive/derive.h"
#include "derive/store.h"

static int64_t
find(const char *role)
{
	struct store *s = NULL;
	struct credential c;
	int64_t row = 0;

	if (store_open_existing(&s) != E_OK)
		return 0;
	for (size_t i = 0; row == 0 && store_cred_get(s, i, &c) == E_OK; i++) {
		if (c.active && strcmp(role_info(c.role)->name, role) == 0)
			row = c.row;
		credential_clear(&c);
	}
	store_close(&s);
	return row;
}

int
main(int argc, char **argv)
{
	struct derive_req req = { .to = getenv("TO"),
		.issuer = getenv("ISSUER"),
		.cafile = getenv("CAFILE"),
		.protocol = getenv("PROTOCOL"),
		.secret = getenv("SECRET"),
		.reference = getenv("REFERENCE"),
		.fingerprint = getenv("FINGERPRINT"),
		.weak = getenv("WEAK") != NULL,
		.timeout = 5,
		.wait = getenv("WAIT") != NULL ? atol(getenv("WAIT")) : 0 };
	struct derive_result results[2 * ROLE_COUNT];
	size_t n = 0;
	enum err e;

	if (argc != 3 || req.to == NULL || req.issuer == NULL)
		return 2;
	if (strcmp(argv[1], "renew") == 0)
		e = derive_renew(&req, find(argv[2]), results, &n);
	else
		e = derive_revoke(&req, find(argv[2]), 4 /* superseded */, false);
	for (size_t i = 0; i < n; i++)
		printf("%s %s\n", results[i].serial, results[i].uri);
	if (e != E_OK)
		fprintf(stderr, "%s: %s\n", err_name(e), err_msg());
	return e == E_OK ? 0 : e == E_PENDING ? 6 : 1;
}
