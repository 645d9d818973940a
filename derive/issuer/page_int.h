/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PAGE_INT_H
#define DPIV_ISSUER_PAGE_INT_H

#include "derive/issuer/est_int.h"
#include "derive/issuer/form.h"
#include "derive/issuer/html.h"
#include "derive/issuer/page.h"

/* Inside of the page's files. */
#define ONE "/credential/" /* and a serial number */
void page_open(struct call *c, const char *title, struct est_reply *out);
enum err page_close(struct est_reply *out) MUST_CHECK;
/* "24 November 2026, 15:30 UTC" in a time element. */
void page_time(struct wbuf *w, time_t t);
/* The form of a POST: read, and sent by this page for this card. Authenticates too. */
enum err page_form(struct call *c, struct form *f, struct est_reply *out) MUST_CHECK;
/* The hidden field that page_form() wants, for a form that is posted to path. */
enum err page_token(struct call *c, const char *path, struct wbuf *w) MUST_CHECK;
bool page_admin_is(const struct call *c);

/* page_home.c, page_admin.c */
est_op_fn page_home, page_code, page_credential, page_revoke, page_admin;

#endif
