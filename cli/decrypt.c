/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv decrypt: finds the key by the message's recipient identifiers (issuer and serial number, or subject key
 * identifier; RFC 5652, 6.2) over all tokens, the retired keys of a PIV card included, and writes the message as its
 * mail program would show it: the header of the mail around what was inside.
 */
#include <getopt.h>
#include <string.h>

#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/keyring.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

const char help_decrypt[] = "usage: dpiv decrypt [--token URI | --key URI] [--text] [-o OUT] [FILE]\n"
			    "\n"
			    "Decrypts a message (mail, or .p7m in DER, PEM or base64) with whichever key on\n"
			    "any token it was made for: the card's, its retired ones, and those of derived\n"
			    "credentials. Without FILE standard input is read. If no key fits, the keys that\n"
			    "would are named.\n"
			    "\n"
			    "  --token URI        look on this token only (RFC 7512)\n"
			    "  --key URI          use this very key: a token URI with id= or object=\n"
			    "  --text             write the decoded text only, not a whole message\n"
			    "  -o, --output OUT   write there (mode 0600), not to standard output\n"
			    "\n"
			    "examples:\n"
			    "  dpiv decrypt secret.eml > plain.eml\n"
			    "  dpiv decrypt --text secret.eml\n"
			    "  dpiv decrypt secret.eml | dpiv verify --cafile ca.pem    (who signed it)\n"
			    "\n"
			    "Exit status: 0 decrypted; 1 damaged; 3 not encrypted, or no key for it; 4 PIN\n"
			    "wrong or blocked.\n";

struct decrypt_options {
	const char *uri, *output, *input;
	bool text;
};

static int
options_read(int argc, char **argv, struct decrypt_options *o)
{
	static const struct option options[] = { { "token", required_argument, NULL, 't' },
		{ "key", required_argument, NULL, 't' }, { "output", required_argument, NULL, 'o' },
		{ "text", no_argument, NULL, 'x' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 't': o->uri = optarg; break;
		case 'o': o->output = optarg; break;
		case 'x': o->text = true; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	if (argc - optind > 1)
		return cli_usage("one FILE at a time");
	o->input = argv[optind];
	return EXIT_DONE;
}

/* Which keys would do, and where was looked. */
static enum err
no_key(CMS_ContentInfo *cms, const struct keyring *ring)
{
	int n = smime_recipients(cms);

	for (int i = 0; i < n && i < 20; i++) {
		char name[256];

		smime_recipient_name(cms, i, name, sizeof name);
		cli_note("encrypted for: %s", name);
	}
	if (n > 20)
		cli_note("and %d others", n - 20);
	return err_set(E_NOTFOUND, "no token has a key for this message (looked at: %s)", keyring_names(ring));
}

static bool
key_fits(CMS_ContentInfo *cms, X509 *cert)
{
	for (int i = 0; i < smime_recipients(cms); i++) {
		if (smime_recipient_is(cms, i, cert))
			return true;
	}
	return false;
}

/* The first key that fits; if that one cannot be used (PIN refused, key gone), the next may. */
static enum err
decrypt_with_ring(CMS_ContentInfo *cms, const struct keyring *ring, struct wbuf *plain)
{
	const struct keyring_key *k;
	bool tried = false;
	enum err e = E_OK;

	for (size_t i = 0; (k = keyring_at(ring, i)) != NULL; i++) {
		EVP_PKEY *key = NULL;

		if (!key_fits(cms, k->key.cert))
			continue;
		tried = true;
		if ((e = keyring_pkey(k, &key)) == E_OK)
			e = smime_decrypt(cms, key, k->key.cert, plain);
		EVP_PKEY_free(key);
		if (e == E_OK || e == E_CANCELED)
			return e;
		wbuf_clear(plain);
	}
	return tried ? e : no_key(cms, ring);
}

/* Is this an entity with a header of its own, as the inside of a mail is? */
static bool
is_entity(struct span plain)
{
	struct span head, body, value;

	return mime_split(plain, &head, &body) && mime_find(head, "Content-Type", &value, NULL);
}

static enum err
plain_write(const struct decrypt_options *o, struct span in, struct span plain)
{
	struct span head, body;
	WBUF_AUTO out;
	enum err e = E_OK;

	wbuf_init(&out, MAIL_MAX * 2);
	if (o->text)
		e = mail_text(plain, &out);
	else {
		if (is_entity(plain) && mail_head(in, &head, &body)) {
			mail_put_outer(head, &out);
			wbuf_span(&out, span_str("MIME-Version: 1.0\r\n"));
		}
		wbuf_span(&out, plain);
	}
	if (e == E_OK && out.bad)
		e = err_set(E_PROTO, "the message is too large");
	return e == E_OK ? mail_write(o->output, wbuf_view(&out), true) : e;
}

static enum err
decrypt_part(const struct decrypt_options *o, const struct smime_part *p, struct span in)
{
	struct keyring *ring = NULL;
	WBUF_AUTO plain;
	enum err e;

	wbuf_init(&plain, MAIL_MAX * 2);
	if (!smime_is_encrypted(p))
		return err_set(E_NOTFOUND,
		    smime_is_signed(p) ? "the message is signed, not encrypted; run 'dpiv verify'"
				       : "the message is not encrypted");
	if (p->partial)
		cli_note("warning: only a part of the message is encrypted; the rest is left out");
	if ((e = keyring_open(&o->uri, o->uri != NULL, &ring)) == E_OK &&
	    (e = decrypt_with_ring(p->cms, ring, &plain)) == E_OK)
		e = plain_write(o, in, wbuf_view(&plain));
	keyring_close(&ring);
	return e;
}

static enum err
decrypt_mail(const struct decrypt_options *o)
{
	struct smime_part p = { 0 };
	WBUF_AUTO in;
	enum err e;

	wbuf_init(&in, MAIL_MAX);
	if ((e = mail_read(o->input, &in)) == E_OK && (e = smime_find(wbuf_view(&in), &p)) == E_OK)
		e = decrypt_part(o, &p, wbuf_view(&in));
	smime_part_free(&p);
	return e;
}

int
cmd_decrypt(int argc, char **argv)
{
	struct decrypt_options o = { 0 };
	int status = options_read(argc, argv, &o);

	return status != EXIT_DONE ? status : cli_fail(decrypt_mail(&o));
}
