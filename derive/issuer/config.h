/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CONFIG_H
#define DPIV_ISSUER_CONFIG_H

#include <limits.h>
#include <stdbool.h>

#include "base/conf.h"
#include "derive/smtp.h"

/* [upstream]: the CA that a registration authority forwards requests to. protocol NULL: the CA is here. */
#define UPSTREAM_LABELS 4
struct upstream_conf {
	const char *protocol, *url, *signer, *request, *names;
	const char *labels[UPSTREAM_LABELS]; /* by enum role; NULL: as usual, "": none */
	char anchors[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	long seconds, hold, connections;
};

/*
 * issuer.conf of one issuer directory. Paths that the file leaves out lie in the directory, so that it can be moved.
 * Text is owned by the configuration.
 */
struct config {
	struct conf *conf;
	char dir[PATH_MAX];
	const char *name;
	bool demo; /* key files allowed, CRLs refreshed from them */
	/* [ca] */
	char ca_cert[PATH_MAX], ca_crl[PATH_MAX], chain[PATH_MAX], root_cert[PATH_MAX], root_crl[PATH_MAX];
	char crls[PATH_MAX], db[PATH_MAX];
	char ca_key[PATH_MAX];	 /* a path, or a pkcs11: URI */
	char root_key[PATH_MAX]; /* demo only */
	long crl_hours;
	struct upstream_conf up;
	/* [listen] */
	const char *address, *tls;
	char tls_cert[PATH_MAX], tls_key[PATH_MAX];
	long max_connections, timeout, max_lifetime, farewell;
	const char *metrics; /* [metrics] socket: path; NULL: none */
	/* [publish], [ocsp] */
	const char *publish; /* address; NULL: not here */
	char ocsp_cert[PATH_MAX], ocsp_key[PATH_MAX];
	long ocsp_minutes;
	/* [ra] */
	char ra_cert[PATH_MAX], ra_key[PATH_MAX];
	/* [piv] */
	char anchors[PATH_MAX], intermediates[PATH_MAX], piv_crls[PATH_MAX];
	const char *piv_policies, *signer_policies;
	char signers[160]; /* what signer_policies points to when the file does not say */
	bool require_chuid;
	/* [accounts] */
	bool listed, email_from_upn;
	long max_credentials; /* of one purpose; 0: any number */
	const char *hook;     /* program that is asked about a person, or NULL */
	long hook_seconds;
	/* [profile] */
	const char *base_url, *policy_auth, *policy_mail;
	const char *one_certificate; /* NULL: there is no such profile */
	long days;
	bool require_binding;
	/* [bind] */
	long bind_minutes, bind_tries;
	const char *bind_roles;
	char code_key[PATH_MAX];
	/* [page] */
	const char *admins; /* SHA-256 of certificates, comma-separated; NULL: none */
	/* [escrow] */
	char recovery_cert[PATH_MAX], recovery_key[PATH_MAX];
	const char *escrow_algorithm;
	/* [notices] */
	struct smtp_conf smtp; /* url NULL: no mail */
	char notice_cert[PATH_MAX], notice_key[PATH_MAX];
	bool notice_sign;
	long notice_days;
};

enum err config_load(const char *dir, struct config *out) MUST_CHECK;
void config_clear(struct config *c);
/* The table, for documentation, init and tests. */
const struct conf_key *config_table(size_t *n);
/* The next word of a comma-separated list (NULL: none) and its length; *list moves behind it. NULL at the end. */
const char *config_list_next(const char **list, size_t *n);
/* Does the list name this word? */
bool config_list_has(const char *list, const char *word);

#endif
