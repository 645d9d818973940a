/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv encrypt: a message or file into an encrypted mail (RFC 8551, 3.3). Everybody gets it or nobody: a recipient
 * without a usable certificate stops the work and is named, with the reason, unless --drop-missing says otherwise.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/keyring.h"
#include "cli/mail.h"
#include "cli/recipients.h"

const char help_encrypt[] = "usage: dpiv encrypt --to ADDR|FILE... [--cert FILE|DIR]... [-o OUT] [FILE]\n"
			    "\n"
			    "Encrypts a mail, or any file, to one or more people, and writes a mail that\n"
			    "Outlook, Thunderbird and 'openssl cms -decrypt' can read. Without --to, the\n"
			    "addresses in To and Cc are the recipients. Certificates are looked for in what\n"
			    "--cert names, in the directory certs in [mail] of dpiv.conf, and on the tokens.\n"
			    "If somebody has no usable certificate, nothing is written, and each such\n"
			    "recipient is named with the reason.\n"
			    "\n"
			    "  --to ADDR|FILE     a mail address, or the certificate of a recipient\n"
			    "  --cert FILE|DIR    where certificates are: PEM, DER, or a signed message from\n"
			    "                     the recipient\n"
			    "  --self             also to yourself: the encryption certificates on your tokens\n"
			    "  --token URI        look on this token only (RFC 7512)\n"
			    "  --cafile FILE      use only certificates that lead to these trust anchors (PEM)\n"
			    "  --drop-missing     encrypt to the others; who is left out is still named\n"
			    "  --from ADDR, --subject TEXT\n"
			    "                     header fields, where the input has none\n"
			    "  -o, --output OUT   write there, not to standard output\n"
			    "\n"
			    "The content is encrypted with AES-256-CBC; with AES-256-GCM when every\n"
			    "recipient's capabilities prefer it; with AES-128-CBC only when somebody's say\n"
			    "that nothing better is known.\n"
			    "\n"
			    "examples:\n"
			    "  dpiv encrypt --to bob.pem letter.txt > secret.eml\n"
			    "  dpiv encrypt --to bob@example.test --cert from-bob.eml --self letter.txt\n"
			    "  dpiv sign draft.eml | dpiv encrypt --cert ~/certs | msmtp -t\n"
			    "\n"
			    "Exit status: 0 encrypted; 3 somebody has no usable certificate.\n";

#define LIST_MAX 256

struct list {
	const char *v[LIST_MAX];
	size_t n;
};

struct encrypt_options {
	struct list to, certs;
	struct mail_add add;
	const char *uri, *cafile, *output, *input;
	bool drop, self;
};

static bool
list_add(struct list *l, const char *s)
{
	if (l->n >= LIST_MAX)
		return false;
	l->v[l->n++] = s;
	return true;
}

static bool
option_take(int c, struct encrypt_options *o)
{
	switch (c) {
	case 'r': return list_add(&o->to, optarg);
	case 'c': return list_add(&o->certs, optarg);
	case 't': o->uri = optarg; break;
	case 'a': o->cafile = optarg; break;
	case 'f': o->add.from = optarg; break;
	case 's': o->add.subject = optarg; break;
	case 'o': o->output = optarg; break;
	case 'd': o->drop = true; break;
	case 'm': o->self = true; break;
	default: return false;
	}
	return true;
}

static int
options_read(int argc, char **argv, struct encrypt_options *o)
{
	static const struct option options[] = { { "to", required_argument, NULL, 'r' },
		{ "cert", required_argument, NULL, 'c' }, { "token", required_argument, NULL, 't' },
		{ "cafile", required_argument, NULL, 'a' }, { "from", required_argument, NULL, 'f' },
		{ "subject", required_argument, NULL, 's' }, { "output", required_argument, NULL, 'o' },
		{ "drop-missing", no_argument, NULL, 'd' }, { "self", no_argument, NULL, 'm' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (!option_take(c, o))
			return cli_usage("unknown option, missing value, or more than %d of a kind", LIST_MAX);
	}
	if (argc - optind > 1)
		return cli_usage("one FILE at a time; recipients are named by --to");
	o->input = argv[optind];
	return EXIT_DONE;
}

/* A name is a certificate when there is such a file, and an address when it looks like one. */
static bool
is_file(const char *name)
{
	return access(name, R_OK) == 0 || !address_ok(name);
}

/* To of the new header: the addresses among --to, when the input has no To. The caller frees it. */
static char *
header_to(const struct encrypt_options *o)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	int k = 0;

	if (f == NULL)
		return NULL;
	for (size_t i = 0; i < o->to.n; i++) {
		if (!is_file(o->to.v[i]))
			fprintf(f, "%s%s", k++ > 0 ? ", " : "", o->to.v[i]);
	}
	if (fclose(f) == 0 && k > 0)
		return text;
	free(text);
	return NULL;
}

static enum err
sources_read(const struct encrypt_options *o, struct recipients *r)
{
	struct conf *conf = NULL;
	const char *dir;
	enum err e = conf_load(&conf);

	for (size_t i = 0; e == E_OK && i < o->certs.n; i++)
		e = recipients_look_in(r, o->certs.v[i]);
	if (e == E_OK && (dir = conf_str(conf, "mail", "certs")) != NULL && access(dir, R_OK) == 0)
		e = recipients_look_in(r, dir);
	conf_free(&conf);
	return e;
}

/* The tokens are asked only when they can matter: an address to look up, or --self. */
static enum err
tokens_read(const struct encrypt_options *o, struct keyring *ring, struct recipients *r)
{
	char name[32];
	enum err e = recipients_look_at(r, keyring_certs(ring));
	size_t found = 0;

	for (size_t i = 0; o->self && e == E_OK && keyring_at(ring, i) != NULL; i++) {
		X509 *cert = keyring_at(ring, i)->key.cert;

		if (certs_usable(cert, CERT_ENCRYPT) != E_OK)
			continue;
		found++;
		e = recipients_add_cert(r, cert, certs_name(cert, name, sizeof name));
	}
	if (e == E_OK && o->self && found == 0)
		e = err_set(
		    E_NOTFOUND, "--self: no encryption certificate on any token (looked at: %s)", keyring_names(ring));
	return e;
}

static enum err
recipients_fill(const struct encrypt_options *o, const struct mail *m, struct recipients *r)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK && i < o->to.n; i++)
		e = is_file(o->to.v[i]) ? recipients_add_file(r, o->to.v[i]) : recipients_add_address(r, o->to.v[i]);
	for (size_t i = 0; e == E_OK && o->to.n == 0 && i < m->to.n; i++)
		e = recipients_add_address(r, m->to.v[i]);
	return e;
}

static bool
tokens_matter(const struct encrypt_options *o)
{
	for (size_t i = 0; i < o->to.n; i++) {
		if (!is_file(o->to.v[i]))
			return true;
	}
	return o->self || o->to.n == 0 || o->uri != NULL;
}

static enum err
missing_judge(const struct encrypt_options *o, const struct recipients *r)
{
	size_t n = recipients_missing(r);

	for (size_t i = 0; i < n; i++)
		cli_note("%s%s", o->drop ? "left out: " : "no usable certificate: ", recipients_missing_at(r, i));
	if (n > 0 && !o->drop)
		return err_set(E_NOTFOUND,
		    "nothing was encrypted, because %zu recipient%s could not read it; find the "
		    "certificate%s, or leave them out by --drop-missing",
		    n, n == 1 ? "" : "s", n == 1 ? "" : "s");
	if (sk_X509_num(recipients_certs(r)) == 0)
		return err_set(E_NOTFOUND,
		    n > 0 ? "nobody is left to encrypt to"
			  : "to whom? Name recipients by --to, or by To in the message");
	return E_OK;
}

static enum err
message_encrypt(const struct mail *m, const struct recipients *r, struct wbuf *out)
{
	enum smime_cipher cipher = recipients_cipher(r);
	WBUF_AUTO der;
	enum err e;

	wbuf_init(&der, MAIL_MAX * 2);
	if ((e = smime_encrypt(recipients_certs(r), cipher, wbuf_view(&m->inner), &der)) != E_OK)
		return e;
	wbuf_span(out, wbuf_view(&m->outer));
	mail_put_pkcs7(cipher == SMIME_AES256_GCM ? "authEnveloped-data" : "enveloped-data", wbuf_view(&der), out);
	return out->bad ? err_set(E_PROTO, "the message is too large") : E_OK;
}

static enum err
encrypt_to(const struct encrypt_options *o, const struct mail *m, struct recipients *r, struct wbuf *out)
{
	struct keyring *ring = NULL;
	X509_STORE *store = NULL;
	enum err e = o->cafile != NULL ? trust_open(o->cafile, &store) : E_OK;

	recipients_trust(r, store);
	if (e == E_OK)
		e = sources_read(o, r);
	if (e == E_OK && tokens_matter(o) && (e = keyring_open(&o->uri, o->uri != NULL, &ring)) == E_OK)
		e = tokens_read(o, ring, r);
	if (e == E_OK && (e = recipients_fill(o, m, r)) == E_OK && (e = missing_judge(o, r)) == E_OK)
		e = message_encrypt(m, r, out);
	keyring_close(&ring);
	X509_STORE_free(store);
	return e;
}

static enum err
encrypt_mail(struct encrypt_options *o)
{
	struct recipients *r = NULL;
	struct mail m = { 0 };
	char *to = header_to(o);
	WBUF_AUTO in, out;
	enum err e;

	wbuf_init(&in, MAIL_MAX);
	wbuf_init(&out, MAIL_MAX * 4);
	o->add.to = to;
	if ((e = mail_read(o->input, &in)) == E_OK &&
	    (e = mail_build(wbuf_view(&in), o->input, &o->add, false, &m)) == E_OK &&
	    (e = recipients_new(&r)) == E_OK && (e = encrypt_to(o, &m, r, &out)) == E_OK)
		e = mail_write(o->output, wbuf_view(&out), false);
	recipients_free(&r);
	mail_free(&m);
	free(to);
	return e;
}

int
cmd_encrypt(int argc, char **argv)
{
	struct encrypt_options o = { 0 };
	int status = options_read(argc, argv, &o);

	return status != EXIT_DONE ? status : cli_fail(encrypt_mail(&o));
}
