/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv verify: who signed, for which address, when; does the certificate lead to a trust anchor; is the sender in From
 * the signer. The layers of a multiply signed message (RFC 2634, 1.1) are told one after the other, outermost first.
 * The worst of what was found is the exit status.
 */
#include <getopt.h>
#include <string.h>

#include "base/text.h"
#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

#define LAYERS 8

const char help_verify[] = "usage: dpiv verify [--cafile FILE] [--text] [-o OUT] [FILE]\n"
			   "\n"
			   "Verifies a signed message (mail, or .p7m in DER, PEM or base64) and says who\n"
			   "signed it, with which address, when, whether the certificate leads to a trust\n"
			   "anchor, and whether From is the signer. Without FILE standard input is read.\n"
			   "Nothing is written to OUT unless the signature is right.\n"
			   "\n"
			   "  --cafile FILE      trust anchors (PEM); CRLs in it are used. Default:\n"
			   "                     cafile in [mail] of dpiv.conf, else the system's\n"
			   "  -o, --output OUT   write the signed content there (- is standard output)\n"
			   "  --text             write its text only, decoded\n"
			   "\n"
			   "examples:\n"
			   "  dpiv verify --cafile ca.pem signed.eml\n"
			   "  dpiv verify --cafile ca.pem --text signed.eml\n"
			   "  dpiv decrypt secret.eml | dpiv verify      (signed first, then encrypted)\n"
			   "\n"
			   "Exit status: 0 all is well; 1 the signature is wrong; 3 not signed; 5 the\n"
			   "signature is right, but the certificate is not trusted, has expired or was\n"
			   "revoked, From is somebody else, or only a part of the message is signed.\n";

struct verify_options {
	const char *cafile, *output, *input;
	bool text;
};

static int
options_read(int argc, char **argv, struct verify_options *o)
{
	static const struct option options[] = { { "cafile", required_argument, NULL, 'c' },
		{ "output", required_argument, NULL, 'o' }, { "text", no_argument, NULL, 't' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'c': o->cafile = optarg; break;
		case 'o': o->output = optarg; break;
		case 't': o->text = true; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	if (argc - optind > 1)
		return cli_usage("one FILE at a time");
	o->input = argv[optind];
	return EXIT_DONE;
}

struct state {
	FILE *say; /* the report: standard output, or standard error when the content goes there */
	X509_STORE *store;
	struct addresses from;
	bool has_from, from_many;
	enum err worst; /* the first thing that was not well, and its sentence */
	char why[512];
};

static void
worse(struct state *st, enum err e)
{
	if (st->worst != E_OK)
		return;
	st->worst = e;
	snprintf(st->why, sizeof st->why, "%s", err_msg());
}

static void
say_time(struct state *st, const struct smime_signer *s)
{
	char text[64];
	struct tm tm;

	if (!s->has_time || gmtime_r(&s->when, &tm) == NULL ||
	    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		memcpy(text, "not said", sizeof "not said");
	fprintf(st->say, "  time:         %s (as the signer says)\n", text);
}

static void
say_from(struct state *st, const struct smime_signer *s)
{
	bool match = st->from.n > 0 && !st->from_many;

	for (size_t i = 0; i < st->from.n && match; i++)
		match = certs_has_address(s->cert, st->from.v[i]);
	fprintf(st->say, "  From:         %s\n",
	    match		  ? "is the signer"
		: st->from_many	  ? "MORE THAN ONE From field in the header"
		: st->from.n == 0 ? "NO ADDRESS in it"
				  : "IS SOMEBODY ELSE");
	for (size_t i = 0; i < st->from.n && !match; i++) {
		char safe[ADDRESS_MAX];

		fprintf(st->say, "                %s\n", text_safe(span_str(st->from.v[i]), safe, sizeof safe));
	}
	if (!match)
		worse(st, err_set(E_POLICY, "the signature is right, but From is not the signer"));
}

static void
say_signer(struct state *st, const struct smime_signer *s)
{
	char name[128], addresses[512], issuer[256];

	fprintf(st->say, "  signed by:    %s\n", certs_name(s->cert, name, sizeof name));
	fprintf(st->say, "  address:      %s\n",
	    certs_addresses(s->cert, addresses, sizeof addresses)[0] != '\0' ? addresses : "none in the certificate");
	fprintf(st->say, "  issued by:    %s\n", name_text(X509_get_issuer_name(s->cert), issuer, sizeof issuer));
	say_time(st, s);
	if (s->chain == E_OK)
		fprintf(st->say, "  certificate:  good, leads to %s\n", s->anchor);
	else {
		fprintf(st->say, "  certificate:  NOT GOOD: %s\n", s->why);
		worse(st, err_set(s->chain, "the signature is right, but the certificate is not good: %s", s->why));
	}
	if (st->has_from)
		say_from(st, s);
}

static enum err
layer(struct state *st, const struct smime_part *p, int depth, struct wbuf *content)
{
	struct smime_report r;
	enum err e = smime_verify(p, st->store, content, &r);

	if (e == E_OK) {
		fprintf(st->say, "%ssignature: good (%s)\n", depth > 0 ? "inner " : "",
		    p->detached ? "multipart/signed" : "signed-data");
		for (int i = 0; i < r.n; i++)
			say_signer(st, &r.signers[i]);
		if (p->partial) {
			fprintf(st->say, "  WARNING:      only a part of the message is signed; the rest is not\n");
			worse(st, err_set(E_POLICY, "only a part of the message is signed"));
		}
	}
	smime_report_free(&r);
	return e;
}

/* The innermost content is left in content. */
static enum err
layers(struct state *st, struct span in, struct wbuf *content)
{
	enum err e = E_OK;

	for (int depth = 0; depth < LAYERS; depth++) {
		struct smime_part p;
		WBUF_AUTO next;

		wbuf_init(&next, MAIL_MAX * 2);
		e = smime_find(in, &p);
		if (depth > 0 && e != E_OK)
			return E_OK; /* plain content */
		if (e != E_OK)
			return e;
		if (smime_is_encrypted(&p)) {
			smime_part_free(&p);
			if (depth == 0)
				return err_set(E_NOTFOUND, "the message is encrypted; run 'dpiv decrypt' first");
			fprintf(st->say, "  content:      encrypted\n");
			return E_OK;
		}
		e = layer(st, &p, depth, &next);
		smime_part_free(&p);
		if (e != E_OK)
			return e;
		wbuf_clear(content);
		wbuf_span(content, wbuf_view(&next));
		in = wbuf_view(content);
	}
	return err_set(E_PROTO, "more than %d layers of signatures", LAYERS);
}

static enum err
from_read(struct state *st, struct span in)
{
	struct span head, body, value;
	size_t n;

	if (!mail_head(in, &head, &body) || !mime_find(head, "From", &value, &n))
		return E_OK;
	st->has_from = true;
	st->from_many = n > 1;
	return addresses_add(&st->from, value);
}

static enum err
content_write(const struct verify_options *o, struct wbuf *content)
{
	WBUF_AUTO text;
	enum err e;

	wbuf_init(&text, MAIL_MAX * 2);
	if (o->output == NULL && !o->text)
		return E_OK;
	if (!o->text)
		return mail_write(o->output, wbuf_view(content), false);
	e = mail_text(wbuf_view(content), &text);
	return e == E_OK ? mail_write(o->output, wbuf_view(&text), false) : e;
}

static enum err
verify(const struct verify_options *o)
{
	struct state st = { .say = stdout };
	WBUF_AUTO in, content;
	enum err e;

	wbuf_init(&in, MAIL_MAX);
	wbuf_init(&content, MAIL_MAX * 2);
	if ((o->output != NULL || o->text) && (o->output == NULL || strcmp(o->output, "-") == 0))
		st.say = stderr;
	if ((e = trust_open(o->cafile, &st.store)) == E_OK && (e = mail_read(o->input, &in)) == E_OK &&
	    (e = from_read(&st, wbuf_view(&in))) == E_OK && (e = layers(&st, wbuf_view(&in), &content)) == E_OK)
		e = content_write(o, &content);
	if (e == E_OK && st.worst != E_OK)
		e = err_set(st.worst, "%s", st.why);
	X509_STORE_free(st.store);
	addresses_free(&st.from);
	return e;
}

int
cmd_verify(int argc, char **argv)
{
	struct verify_options o = { 0 };
	int status = options_read(argc, argv, &o);

	return status != EXIT_DONE ? status : cli_fail(verify(&o));
}
