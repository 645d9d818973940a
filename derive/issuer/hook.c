/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the site's identity system whether this person may have a credential (SP 800-157r1 2.2: the account's status
 * decides, and the account may live elsewhere). It is asked outside of any transaction, each time, and nothing of its
 * answer is kept: a person who left an hour ago gets nothing now. It fails closed.
 */
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "base/text.h"
#include "derive/issuer/hook.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/run.h"

#define SAID_MAX 4096

static char *
question(const struct pivid *id, const char *purpose, bool renews)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "operation", renews ? "renew" : "enrol", "purpose",
	    purpose, "subject", id->subject, "fascn", id->fascn_id, "uuid", id->uuid, "upn", id->upn, "email",
	    id->email, "card", id->sha256);
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return text;
}

static enum err
answer(const struct config *c, int status, const struct wbuf *said)
{
	struct span all = wbuf_view(said), line;
	char why[200];

	if (status == 0)
		return E_OK;
	if (status == 1)
		return refuse(REFUSE_IDENTITY_REFUSED, "the identity system of this site says no: %s",
		    span_line(&all, &line) && line.n > 0 ? text_safe(line, why, sizeof why) : "it gives no reason");
	note("hook-failed", "%s: exit status %d", c->hook, status);
	return refuse(REFUSE_IDENTITY_SILENT, "the identity system of this site failed; try again later");
}

enum err
hook_ask(const struct config *c, const struct pivid *id, const char *purpose, bool renews)
{
	const char *const argv[] = { c->hook, NULL };
	struct run r = { .argv = argv, .seconds = (int)c->hook_seconds };
	WBUF_AUTO said = { 0 };
	char *text;
	int status;
	enum err e;

	if (c->hook == NULL)
		return E_OK;
	if ((text = question(id, purpose, renews)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	r.input = span_str(text);
	wbuf_init(&said, SAID_MAX);
	e = run_program(&r, &said, &status);
	free(text);
	if (e == E_OK)
		return answer(c, status, &said);
	note("hook-failed", "%s", err_msg());
	return refuse(REFUSE_IDENTITY_SILENT, "the identity system of this site does not answer; try again later");
}
