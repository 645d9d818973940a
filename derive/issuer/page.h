/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PAGE_H
#define DPIV_ISSUER_PAGE_H

#include "derive/issuer/est_int.h"

/*
 * The page for people, for browsers that present the PIV Authentication certificate:
 *
 *	GET  /                    who you are, your cards, your code, your derived credentials
 *	POST /code                a new binding code, with its QR code
 *	GET  /credential/SERIAL   one of yours, and the form that revokes it
 *	POST /credential/SERIAL   revoked
 *	GET  /admin               accounts, events, what needs attention: [page] admins only
 *	GET  /style.css
 *
 * Who may do what is decided where the programs' paths decide it: est_authenticate(), bind_make(), own_give_up().
 */
bool page_is(const char *path);
enum err page_run(struct call *c, struct est_reply *out) MUST_CHECK;
/* The answer to a refusal or failure, for people; the status is set. */
void page_refused(struct call *c, const char *code, const char *sentence, struct est_reply *out);

#endif
