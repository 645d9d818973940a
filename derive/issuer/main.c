/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer: the command. A table of verbs, help that teaches, exit statuses as of dpiv: 0 done, 1 failed, 2 usage,
 * 3 nothing found, 4 PIN wrong or locked, 5 refused by policy, 6 try again later.
 */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "derive/issuer/verbs.h"

static const struct verb {
	const char *name;
	enum err (*run)(int argc, char **argv);
	const char *usage, *help;
} verbs[] = {
	{ "init", verb_init,
	    "init --demo [--force] [--name NAME] [--host NAME] [--port N] [--ca-key pkcs11:URI] DIR\n"
	    "       init --ca-key pkcs11:URI [--name NAME] [--host NAME] [--port N] [--force] DIR",
	    "With --demo: make a whole demo agency in DIR: root, issuing CA, TLS and OCSP certificates, CRLs, "
	    "issuer.conf. Any\n"
	    "card that its CA certified may enrol. Without: make the CA's key pair on the token, the requests ca.csr "
	    "and tls.csr\n"
	    "for your own PKI, and issuer.conf; then put root.pem, ca.pem, chain.pem, tls.pem, root.crl and crls.pem "
	    "into DIR.\n" },
	{ "serve", verb_serve, "serve [--listen ADDRESS:PORT] [--tls 1.2|1.3|both] DIR",
	    "Serve EST and CMP over HTTPS in the foreground, until SIGTERM; with [publish] also SCEP, OCSP and CRLs "
	    "over HTTP.\n"
	    "One line on standard output when it is ready; one line an event on standard error. Port 0 takes a free "
	    "port.\n" },
	{ "status", verb_status, "status [--json] DIR",
	    "What there is: CA, CRLs, accounts, certificates, the last refusals.\n" },
	{ "doctor", verb_doctor, "doctor [--json] DIR",
	    "What is wrong with DIR or will be soon, and what to do: configuration, files, certificates, keys, CRLs, "
	    "ledger,\n"
	    "mail, clock, ports. Exit status 1 means that there is a problem.\n" },
	{ "account", verb_account,
	    "account add --dir DIR --cert PIV9A.pem [--email ADDRESS] [--name NAME]\n"
	    "       account import --dir DIR FILE.csv\n"
	    "       account list [--json] DIR\n"
	    "       account show [--json] --dir DIR ID\n"
	    "       account suspend|resume|terminate --dir DIR ID",
	    "People. 'add' takes the person from the card's PIV Authentication certificate, or brings their account up "
	    "to date.\n"
	    "'import' takes many from a list whose first line names its columns: name, email, upn, fascn, uuid.\n"
	    "'terminate' revokes everything that was derived under the account, for good.\n" },
	{ "revoke", verb_revoke,
	    "revoke --dir DIR [--reason REASON] [--foreign] SERIAL\n"
	    "       revoke --dir DIR [--reason REASON] --cert FILE.pem",
	    "Revoke a certificate by its serial number (hex), or by a copy of it, and publish a new CRL at once. "
	    "--foreign and\n"
	    "--cert also revoke what the CA signed outside this issuer, like the cards of a demo agency. Reasons: "
	    "unspecified,\n"
	    "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn.\n" },
	{ "notify", verb_notify, "notify DIR",
	    "Tell people by mail what happened to their credentials and which expire soon, once ([notices] in "
	    "issuer.conf).\n"
	    "'serve' does it by itself.\n" },
	{ "upstream", verb_upstream,
	    "upstream [--json] DIR\n       upstream --revoked SERIAL DIR\n       upstream --run DIR",
	    "Where another CA issues ([upstream] in issuer.conf): what waits for it, and what has to be revoked there. "
	    "With\n"
	    "--revoked, that you have revoked it there. --run takes to the CA what waits, once; 'serve' does it by "
	    "itself.\n" },
	{ "backup", verb_backup, "backup DIR FILE",
	    "The ledger, as it is at this moment, with issuer.conf and the certificates and CRLs of DIR, in one new "
	    "file\n"
	    "(mode 0600). 'serve' goes on meanwhile. Keys are never in it.\n" },
	{ "restore", verb_restore, "restore [--force] FILE DIR",
	    "Make DIR from a backup, after its ledger and the chain of its events were looked through: all of it or "
	    "nothing.\n"
	    "--force replaces a DIR that is in use already; what was there is kept beside it, and its private/ goes "
	    "on.\n" },
	{ "audit", verb_audit, "audit show [--json] DIR\n       audit verify [--json] [--head NUMBER:HASH] DIR",
	    "What happened, and whether all of it is there as it was written. 'verify' says the head of the chain: "
	    "note "
	    "it\n"
	    "elsewhere, and give it with --head later.\n" },
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static const struct {
	enum err e;
	int status;
} statuses[] = {
	{ E_OK, 0 },
	{ E_USAGE, 2 },
	{ E_NOTFOUND, 3 },
	{ E_NOREADER, 3 },
	{ E_NOCARD, 3 },
	{ E_PIN, 4 },
	{ E_PINLOCKED, 4 },
	{ E_PINLEN, 4 },
	{ E_AUTH, 4 },
	{ E_POLICY, 5 },
	{ E_REMOTE, 5 },
	{ E_REVOKED, 5 },
	{ E_BUSY, 6 },
	{ E_PENDING, 6 },
};

static int
exit_status(enum err e)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (statuses[i].e == e)
			return statuses[i].status;
	return 1;
}

static void
help(FILE *f)
{
	fprintf(f,
	    "dpiv-issuer " DPIV_VERSION
	    ": issues derived PIV credentials to people who prove possession of their PIV card.\n\n");
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(f, "usage: dpiv-issuer %s\n%s\n", verbs[i].usage, verbs[i].help);
	fprintf(f,
	    "To try it out:\n"
	    "  dpiv-issuer init --demo /tmp/agency\n"
	    "  dpiv-vcard make --ca-cert /tmp/agency/ca.pem --ca-key /tmp/agency/private/ca.key card.json\n"
	    "  dpiv-issuer serve /tmp/agency &\n"
	    "  dpiv-vcard serve card.json &          (needs pcscd and vsmartcard-vpcd)\n"
	    "  dpiv derive --issuer https://localhost:8443 --cafile /tmp/agency/root.pem \\\n"
	    "      --to 'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n\n"
	    "More: man dpiv-issuer\n");
}

static const struct verb *
find(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static bool
asks_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int
run(const struct verb *v, int argc, char **argv)
{
	enum err e;

	for (int i = 1; i < argc; i++)
		if (asks_help(argv[i])) {
			printf("usage: dpiv-issuer %s\n\n%s", v->usage, v->help);
			return 0;
		}
	if ((e = v->run(argc, argv)) == E_OK)
		return 0;
	fprintf(stderr, "dpiv-issuer: %s\n", err_msg()[0] ? err_msg() : err_text(e));
	if (e == E_USAGE)
		fprintf(stderr, "usage: dpiv-issuer %s\n", v->usage);
	return exit_status(e);
}

int
main(int argc, char **argv)
{
	const struct verb *v;

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	if (argc < 2) {
		help(stderr);
		return 2;
	}
	if (asks_help(argv[1])) {
		help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("dpiv-issuer " DPIV_VERSION "\n");
		return 0;
	}
	if ((v = find(argv[1])) == NULL) {
		fprintf(stderr, "dpiv-issuer: there is no '%s'; see dpiv-issuer --help\n", argv[1]);
		return 2;
	}
	return run(v, argc - 1, &argv[1]);
}
