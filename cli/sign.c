/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv sign: a message or file into a signed mail (RFC 8551, 3.5: multipart/signed, which every program can read; with
 * --opaque 3.4: application/pkcs7-mime). The key is found by the sender's address over all tokens.
 */
#include <getopt.h>
#include <string.h>
#include <openssl/rand.h>

#include "base/conf.h"
#include "base/text.h"
#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/keyring.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"
#include "derive/store.h"

const char help_sign[] = "usage: dpiv sign [--token URI | --key URI] [--opaque] [-o OUT] [FILE]\n"
			 "\n"
			 "Signs a mail, or any file, and writes a mail that Outlook, Thunderbird and\n"
			 "'openssl cms -verify' accept. FILE is a message (header, empty line, body) or\n"
			 "anything else, which is then sent along as text or attachment; without FILE\n"
			 "standard input is read. The key is the one whose certificate has the sender's\n"
			 "address, on any token.\n"
			 "\n"
			 "  --token URI        use a key of this token only (RFC 7512)\n"
			 "  --key URI          use this very key: a token URI with id= or object=\n"
			 "  --opaque           content inside the signature (smime.p7m): survives gateways\n"
			 "                     that change text, but only S/MIME programs can read it\n"
			 "  --from ADDR, --to ADDR, --subject TEXT\n"
			 "                     header fields, where the input has none\n"
			 "  --chain FILE       certificates (PEM) between yours and the root, to send\n"
			 "                     along; those on the token, those that the issuer gave and\n"
			 "                     those in dpiv.conf's cafiles go anyway, the root never\n"
			 "  -o, --output OUT   write there, not to standard output\n"
			 "\n"
			 "examples:\n"
			 "  dpiv sign --from me@example.test --to you@example.test letter.txt > signed.eml\n"
			 "  dpiv sign --key 'pkcs11:id=%02' draft.eml | msmtp -t  (the card's own key, 9C)\n"
			 "  dpiv sign -o signed.eml draft.eml --token \\\n"
			 "      'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
			 "  openssl cms -verify -in signed.eml -CAfile ca.pem     (what others do with it)\n"
			 "\n"
			 "Exit status: 0 signed, 3 no key to sign with, 4 PIN wrong or blocked, 5 the\n"
			 "certificate has expired or is not meant for signing mail.\n";

struct sign_options {
	struct mail_add add;
	const char *uri, *chain, *output, *input;
	bool opaque;
};

static int
options_read(int argc, char **argv, struct sign_options *o)
{
	static const struct option options[] = { { "token", required_argument, NULL, 't' },
		{ "key", required_argument, NULL, 't' }, { "opaque", no_argument, NULL, 'p' },
		{ "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 'T' },
		{ "subject", required_argument, NULL, 's' }, { "chain", required_argument, NULL, 'c' },
		{ "output", required_argument, NULL, 'o' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 't': o->uri = optarg; break;
		case 'p': o->opaque = true; break;
		case 'f': o->add.from = optarg; break;
		case 'T': o->add.to = optarg; break;
		case 's': o->add.subject = optarg; break;
		case 'c': o->chain = optarg; break;
		case 'o': o->output = optarg; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	if (argc - optind > 1)
		return cli_usage("one FILE at a time");
	o->input = argv[optind];
	return EXIT_DONE;
}

/* Those that came with derived credentials. */
static void
issuers_stored(STACK_OF(X509) * among)
{
	struct store *store = NULL;
	X509 *ca = NULL;

	if (store_open_existing(&store) != E_OK)
		return;
	for (size_t i = 0; store_issuer_get(store, i, &ca) == E_OK; i++)
		if (sk_X509_push(among, ca) <= 0)
			X509_free(ca);
	store_close(&store);
}

/* Intermediates are wherever somebody has put them. Only --chain has to be readable. */
static enum err
issuers_collect(const struct keyring *r, const char *file, STACK_OF(X509) * among)
{
	struct conf *conf = NULL;
	const char *name, *path;
	enum err e = file != NULL ? certs_load(file, among) : E_OK;

	for (int i = 0; e == E_OK && i < sk_X509_num(keyring_certs(r)); i++) {
		X509 *cert = sk_X509_value(keyring_certs(r), i);

		if (X509_up_ref(cert) == 1 && sk_X509_push(among, cert) <= 0)
			X509_free(cert);
	}
	if (e != E_OK || (e = conf_load(&conf)) != E_OK)
		return e;
	issuers_stored(among);
	for (size_t i = 0; (name = conf_named(conf, "issuer", i)) != NULL; i++) {
		char section[128];

		snprintf(section, sizeof section, "issuer %s", name);
		if ((path = conf_str(conf, section, "cafile")) != NULL && certs_load(path, among) != E_OK)
			cli_note("%s (passed over)", err_msg());
	}
	if ((path = conf_str(conf, "mail", "cafile")) != NULL && certs_load(path, among) != E_OK)
		cli_note("%s (passed over)", err_msg());
	conf_free(&conf);
	return E_OK;
}

static void
put(struct wbuf *out, const char *text)
{
	wbuf_span(out, span_str(text));
}

/* RFC 1847, 2.1. The line end before a delimiter belongs to the delimiter. */
static enum err
put_multipart(struct span entity, const char *micalg, struct span der, struct wbuf *out)
{
	uint8_t random[12];
	char hex[25], boundary[40];

	if (RAND_bytes(random, sizeof random) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	text_hex(span_of(random, sizeof random), hex, sizeof hex);
	snprintf(boundary, sizeof boundary, "----dpiv-%s", hex);
	put(out,
	    "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n "
	    "micalg=");
	put(out, micalg);
	put(out, "; boundary=\"");
	put(out, boundary);
	put(out, "\"\r\n\r\nThis is a cryptographically signed message in MIME format.\r\n\r\n--");
	put(out, boundary);
	put(out, "\r\n");
	wbuf_span(out, entity);
	put(out, "\r\n--");
	put(out, boundary);
	put(out,
	    "\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n");
	mime_put_base64(der, out);
	put(out, "\r\n--");
	put(out, boundary);
	put(out, "--\r\n");
	return E_OK;
}

static void
from_check(const struct mail *m, X509 *cert)
{
	char name[128], addresses[512];

	for (size_t i = 0; i < m->from.n; i++) {
		if (certs_has_address(cert, m->from.v[i]))
			return;
	}
	if (m->from.n > 0)
		cli_note("warning: From is %s, but the certificate of %s is for %s; recipients will be warned",
		    m->from.v[0], certs_name(cert, name, sizeof name),
		    certs_addresses(cert, addresses, sizeof addresses)[0] != '\0' ? addresses : "no address");
}

static enum err
message_sign(const struct sign_options *o, const struct mail *m, const struct keyring *r,
    const struct keyring_key *signer, struct wbuf *out)
{
	struct smime_sign s = { .cert = signer->key.cert, .opaque = o->opaque };
	STACK_OF(X509) *among = sk_X509_new_null();
	const char *micalg;
	WBUF_AUTO der;
	enum err e;

	wbuf_init(&der, MAIL_MAX * 2);
	if (among == NULL)
		return err_set(E_NOMEM, "no memory for certificates");
	if ((e = issuers_collect(r, o->chain, among)) == E_OK && (e = keyring_pkey(signer, &s.key)) == E_OK) {
		s.chain = certs_chain(s.cert, among);
		s.encrypt = keyring_encrypt_cert(r, signer);
		e = smime_sign(&s, wbuf_view(&m->inner), &der);
	}
	if (e == E_OK) {
		wbuf_span(out, wbuf_view(&m->outer));
		(void)smime_digest(s.key, &micalg);
		if (o->opaque)
			mail_put_pkcs7("signed-data", wbuf_view(&der), out);
		else
			e = put_multipart(wbuf_view(&m->inner), micalg, wbuf_view(&der), out);
	}
	sk_X509_pop_free(s.chain, X509_free);
	sk_X509_pop_free(among, X509_free);
	EVP_PKEY_free(s.key);
	return e == E_OK && out->bad ? err_set(E_PROTO, "the message is too large") : e;
}

static enum err
sign(const struct sign_options *o)
{
	const struct keyring_key *signer;
	struct keyring *r = NULL;
	struct mail m = { 0 };
	WBUF_AUTO in, out;
	enum err e;

	wbuf_init(&in, MAIL_MAX);
	wbuf_init(&out, MAIL_MAX * 4);
	if ((e = mail_read(o->input, &in)) == E_OK &&
	    (e = mail_build(wbuf_view(&in), o->input, &o->add, !o->opaque, &m)) == E_OK &&
	    (e = keyring_open(&o->uri, o->uri != NULL, &r)) == E_OK &&
	    (e = keyring_signer(r, m.from.n > 0 ? m.from.v[0] : NULL, &signer)) == E_OK) {
		from_check(&m, signer->key.cert);
		e = message_sign(o, &m, r, signer, &out);
	}
	if (e == E_OK)
		e = mail_write(o->output, wbuf_view(&out), false);
	keyring_close(&r);
	mail_free(&m);
	return e;
}

int
cmd_sign(int argc, char **argv)
{
	struct sign_options o = { 0 };
	int status = options_read(argc, argv, &o);

	return status != EXIT_DONE ? status : cli_fail(sign(&o));
}
