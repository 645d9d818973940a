/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv pin: a new PIN, with the present one or with the PUK. Secrets come from files or from the terminal without echo,
 * the new PIN twice; never from the command line. A reader with a PIN pad asks by itself. With one try left nothing is
 * sent that a person did not confirm.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/pick.h"
#include "derive/cert.h"

const char help_pin[] = "usage: dpiv pin change  [--token URI] [--pin-file FILE] [--new-file FILE]\n"
			"       dpiv pin unblock [--token URI] [--puk-file FILE] [--new-file FILE]\n"
			"\n"
			"change: a new PIN in the place of the present one. unblock: a new PIN by the PUK of\n"
			"a card, or the security officer's PIN of another token, where too many wrong tries\n"
			"have blocked the PIN. Both ask on the terminal, for the new PIN twice, and say how\n"
			"many tries are left; a reader with a PIN pad asks by itself.\n"
			"\n"
			"  --token URI      the card or token (RFC 7512); default: the PIV card in the reader\n"
			"  --pin-file FILE  the present PIN in the first line; default: pin-source of the\n"
			"                   URI, else the terminal\n"
			"  --puk-file FILE  the PUK in the first line\n"
			"  --new-file FILE  the new PIN in the first line\n"
			"\n"
			"A PIN has at least six characters, on PIV cards six to eight digits, and is not one\n"
			"character repeated nor a sequence.\n"
			"\n"
			"Examples:\n"
			"  dpiv pin change\n"
			"  dpiv pin change \\\n"
			"      --token 'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
			"  dpiv pin unblock --puk-file /run/puk --new-file /run/new\n";

struct pin_run {
	bool unblock;
	const char *uri, *pin_file, *puk_file, *new_file;
	struct token *t;
	struct token_pin_facts f;
};

static const struct option longopts[] = {
	{ "token", required_argument, NULL, 't' },
	{ "pin-file", required_argument, NULL, 'p' },
	{ "puk-file", required_argument, NULL, 'u' },
	{ "new-file", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

static enum err
options_parse(int argc, char **argv, struct pin_run *r)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case 't': r->uri = optarg; break;
		case 'p': r->pin_file = optarg; break;
		case 'u': r->puk_file = optarg; break;
		case 'n': r->new_file = optarg; break;
		default: return err_set(E_USAGE, "the command line is not right");
		}
	}
	if (optind + 1 != argc || (strcmp(argv[optind], "change") != 0 && strcmp(argv[optind], "unblock") != 0))
		return err_set(E_USAGE, "say what to do: change or unblock");
	r->unblock = strcmp(argv[optind], "unblock") == 0;
	if (r->unblock && r->pin_file != NULL)
		return err_set(E_USAGE, "--pin-file is for 'change'; 'unblock' takes --puk-file");
	if (!r->unblock && r->puk_file != NULL)
		return err_set(E_USAGE, "--puk-file is for 'unblock'; 'change' takes --pin-file");
	return E_OK;
}

/* Nobody gets into this token any more: what was on it is lost (SP 800-157r1, 2.3.2). */
static void
lost_tell(const struct token *t)
{
	struct store *s = NULL;
	struct picked p = { .n = 0 };
	char serial[64];
	bool any = false;

	if (store_open_existing(&s) == E_OK && pick(s, NULL, &p) == E_OK)
		for (size_t i = 0; i < p.n; i++) {
			if (strcmp(p.c[i].token_serial, token_serial_number(t)) != 0)
				continue;
			cli_note("dpiv revoke %s --lost", cert_serial(p.c[i].cert, serial, sizeof serial));
			any = true;
		}
	if (any)
		cli_note("then wipe the token '%s': its keys cannot be used any more", token_label(t));
	pick_free(&p);
	store_close(&s);
}

static enum err
last_try(const struct pin_run *r, const char *what)
{
	char text[256];

	snprintf(text, sizeof text,
	    "Only one try is left before the %s of '%s' is blocked. Type 'yes' to use it: ", what, token_label(r->t));
	return cli_confirm(text)
	    ? E_OK
	    : err_set(E_CANCELED, "the last try for the %s of '%s' was left alone", what, token_label(r->t));
}

/* The PIN or PUK that is there. */
static enum err
present(const struct pin_run *r, struct secret **out)
{
	const char *file = r->unblock ? r->puk_file : r->pin_file, *what = r->unblock ? r->f.puk : "PIN";
	int tries = r->unblock ? r->f.puk_tries : r->f.tries;
	char text[256], left[32] = "";
	enum err e = E_OK;

	if (tries == 0)
		return err_set(E_PINLOCKED, "token '%s': the %s is blocked%s", token_label(r->t), what,
		    r->unblock ? "; ask the issuer of the token" : "; 'dpiv pin unblock' sets a new one");
	if (tries == 1)
		e = last_try(r, what);
	if (e == E_OK && file != NULL)
		return file_read_secret(file, out);
	if (e == E_OK && !r->unblock)
		e = token_uri_pin(r->t, out);
	if (e != E_OK || *out != NULL)
		return e;
	if (tries > 0)
		snprintf(left, sizeof left, " (%d %s left)", tries, tries == 1 ? "try" : "tries");
	snprintf(text, sizeof text, "Present %s of '%s'%s: ", what, token_label(r->t), left);
	return cli_secret(text, out);
}

/* The new PIN: refused before anything is asked of the token. */
static enum err
fresh(const struct pin_run *r, struct secret **out)
{
	SECRET_AUTO again = NULL;
	char text[256];
	enum err e;

	if (r->new_file != NULL) {
		e = file_read_secret(r->new_file, out);
		return e == E_OK ? token_pin_suits(r->t, secret_view(*out)) : e;
	}
	snprintf(text, sizeof text, "New PIN of '%s' (%zu to %zu %s): ", token_label(r->t), r->f.least, r->f.most,
	    r->f.digits ? "digits" : "characters");
	e = cli_secret(text, out);
	if (e == E_OK)
		e = token_pin_suits(r->t, secret_view(*out));
	if (e == E_OK)
		e = cli_secret("The new PIN again: ", &again);
	if (e == E_OK && !secret_eq(*out, again))
		e = err_set(E_CANCELED, "the two new PINs differ; nothing was changed");
	return e;
}

static enum err
pin_with(struct pin_run *r)
{
	SECRET_AUTO old = NULL;
	SECRET_AUTO pin = NULL;
	bool pad = r->f.pad && r->pin_file == NULL && r->puk_file == NULL && r->new_file == NULL;
	enum err e = pad ? E_OK : present(r, &old);

	if (pad)
		cli_note("type the present %s and the new PIN on the reader of '%s'", r->unblock ? r->f.puk : "PIN",
		    token_label(r->t));
	else if (e == E_OK)
		e = fresh(r, &pin);
	if (e == E_OK && !r->unblock && secret_eq(old, pin))
		e = err_set(E_POLICY, "the new PIN is the present one; nothing was changed");
	if (e == E_OK)
		e = r->unblock ? token_pin_unblock(r->t, old, pin) : token_pin_change(r->t, old, pin);
	if (e == E_OK)
		printf("The PIN of '%s' is %s.\n", token_label(r->t), r->unblock ? "unblocked and new" : "changed");
	return e;
}

int
cmd_pin(int argc, char **argv)
{
	struct pin_run r = { .uri = "pkcs11:" };
	char why[512];
	enum err e = options_parse(argc, argv, &r);

	if (e == E_OK)
		e = token_open(r.uri, NULL, NULL, &r.t);
	if (e == E_OK) {
		token_pin_facts(r.t, &r.f);
		e = pin_with(&r);
		if (e == E_PINLOCKED && r.unblock && r.f.tries <= 0) {
			snprintf(why, sizeof why, "%s", err_msg());
			lost_tell(r.t);
			e = err_set(e, "%s", why);
		}
	}
	token_close(&r.t);
	return e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
}
