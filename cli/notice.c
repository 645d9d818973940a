/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notices to the person (SP 800-157r1, 2.2 and 2.3: who holds a card learns that a credential was bound to it, and what
 * becomes of that): see notice.h. What was shown is written down, so that it is not shown every day; what could not be
 * shown is not, so that a desktop that comes later shows it. What a person at a terminal reads anyway, because it is
 * what the verb says, is not shown beside it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/notice.h"
#include "cli/notify.h"

static const struct text {
	const char *event;  /* in the store: one for what is to be said once */
	bool urgent, quiet; /* quiet: not to who sits at the terminal */
	const char *summary, *when;
	const char *advice, *command; /* the role follows where there is a blank at the end */
} texts[NOTICE_COUNT] = {
	[NOTICE_BOUND] = { "bound", false, false, "A credential was derived from your PIV card", "valid until",
	    "If it was not you", "dpiv revoke " },
	[NOTICE_RENEWED] = { "renewed", false, false, "A derived credential was renewed", "now valid until",
	    "To look at it", "dpiv status" },
	[NOTICE_EXPIRING] = { "expiring", false, true, "A derived credential expires soon", "valid until",
	    "To renew it", "dpiv renew " },
	[NOTICE_RENEW_PERSON] = { "expiring", true, true, "A derived credential cannot be renewed without you",
	    "valid until", "To renew it", "dpiv renew " },
	[NOTICE_EXPIRED] = { "expired", true, true, "A derived credential has expired", "valid until",
	    "With your PIV card", "dpiv derive --again --role " },
	[NOTICE_REVOKED] = { "revoked", true, true, "A derived credential was revoked by its issuer", "valid until",
	    "To destroy its key", "dpiv revoke " },
	[NOTICE_CARD] = { "card", true, true, "The PIV card behind a derived credential is not valid any more",
	    "valid until", "With your new card", "dpiv renew --card " },
};

static bool
notices_on(const struct notices *n)
{
	struct policy *own = NULL;
	bool on = conf_bool(n->conf, "notices", "desktop");

	if (on && n->policy != NULL)
		return policy_notices(n->policy);
	if (on)
		on = policy_read(n->conf, NULL, &own) == E_OK && policy_notices(own);
	policy_free(&own);
	return on;
}

/* Once, and not before somebody has shown it. */
static enum err
tell_once(struct store *s, const struct text *t, const char *serial, const char *body)
{
	enum err e = store_notice_find(s, t->event, serial);

	if (e != E_NOTFOUND)
		return e;
	e = notify_send(t->summary, body, t->urgent);
	return e == E_OK ? store_notice_add(s, t->event, serial) : e;
}

void
notice_tell(const struct notices *n, enum notice what, enum role role, const char *serial, time_t until)
{
	const struct text *t = &texts[what];
	struct store *own = NULL, *s = n->store;
	struct err_kept before = err_keep(); /* of what the notice tells, perhaps */
	char date[32], body[256];
	struct tm tm;
	enum err e = E_OK;

	if ((t->quiet && isatty(STDERR_FILENO)) || !notices_on(n))
		return;
	strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&until, &tm));
	snprintf(body, sizeof body, "For %s, %s %s. %s: %s%s", role_info(role)->what, t->when, date, t->advice,
	    t->command, t->command[strlen(t->command) - 1] == ' ' ? role_info(role)->name : "");
	if (s == NULL)
		e = store_open_existing(&own);
	if (e == E_OK)
		e = tell_once(s != NULL ? s : own, t, serial, body);
	if (e != E_OK)
		log_info("notice", "event=%s shown=no why=%s", t->event, err_msg());
	store_close(&own);
	err_put_back(&before);
}
