/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_HISTORY_BRING_H
#define DPIV_CLI_HISTORY_BRING_H

#include <jansson.h>

#include "cli/history_judge.h"
#include "derive/token.h"

/* Old keys on their way into a token, wherever they come from: judged, brought, told. All zero but for the options. */
struct bring {
	bool json, dry_run;
	struct judge judge;
	struct token *token;
	json_t *list;
	size_t done, had;
	enum err worst; /* of the keys that were left out or failed; those do not end a run */
};

/* With the target open in b->token. */
enum err bring_open(struct bring *b) MUST_CHECK;
void bring_close(struct bring *b);
/* from: the file, or the issuer, for a person. Fails only where there is no point in going on. */
enum err bring_key(struct bring *b, const char *from, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others) MUST_CHECK;
/* Nothing came of it: "left out" or "failed", with the sentence that is set. cert may be NULL. */
void bring_failed(struct bring *b, const char *from, X509 *cert, const char *result, enum err e);
/* The sum of it; the exit status. */
int bring_end(struct bring *b);

#endif
