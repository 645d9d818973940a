/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_SMTP_H
#define DPIV_DERIVE_SMTP_H

#include "base/bytes.h"
#include "base/err.h"

/* One message to one address by SMTP submission (RFC 6409). */
struct smtp_conf {
	const char *url;	   /* smtp://host:port or smtps://host:port */
	const char *cafile;	   /* trust anchors of the server; NULL: the system's */
	const char *user;	   /* NULL: without a login */
	const char *password_file; /* its password, one line */
	const char *from;	   /* envelope */
	bool plain;		   /* TLS is not insisted upon: a relay on this machine */
};
/* message: with its header, lines ending in CR LF. E_NET: try again later; E_REMOTE: the server will not have it. */
enum err smtp_send(const struct smtp_conf *conf, const char *to, struct span message) MUST_CHECK;

#endif
