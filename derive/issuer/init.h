/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_INIT_H
#define DPIV_ISSUER_INIT_H

#include <stdbool.h>

#include "base/err.h"

struct init_options {
	const char *dir, *name, *host, *ca_key; /* ca_key: pkcs11: URI or NULL */
	int port;
	bool demo, force;
};

/*
 * demo: a whole agency in files: root, issuing CA (its key on a token when ca_key says so), TLS and OCSP certificates,
 * CRLs, configuration, ledger. Otherwise: a key pair on the token, certification requests for the CA and for TLS, and
 * the configuration; the site's own PKI does the rest. E_EXISTS: there is an issuer already and force is not set.
 */
enum err init_run(const struct init_options *o) MUST_CHECK;

#endif
