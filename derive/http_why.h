/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_HTTP_WHY_H
#define DPIV_DERIVE_HTTP_WHY_H

#include <stdbool.h>

#include "base/err.h"

/* What is known of an exchange that failed, and the sentence for it. */
struct http_failure {
	const char *server;
	const char *detail; /* libcurl's own words */
	int curl;	    /* CURLcode */
	int alert;	    /* TLS alert from the server, 0 none */
	long verify;	    /* X509_V_ERR_* of the server's certificate */
	bool too_much;
	bool cert_sent; /* the server asked for the client's certificate and got it */
	long timeout;
};

enum err http_why(const struct http_failure *f) MUST_CHECK;

#endif
