/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a person is told, and what to do when it was not them: one row of a table a kind of notice. Names and details
 * come from certificates, so they appear in the text only, made safe, and never in a header. The text says nothing that
 * is secret: no code, no address of a machine, no link to follow.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/cms.h>

#include "base/text.h"
#include "derive/issuer/letter.h"
#include "derive/issuer/pivid.h"

static const struct kind {
	const char *name, *subject, *what, *advice;
} kinds[] = {
	{ "bound", "A credential was derived from your PIV card", "A derived PIV credential was issued to you",
	    "If you did this, there is nothing to do. If you did not, somebody may have used your card:\r\n"
	    "have the credential revoked at once, and tell your security office." },
	{ "renewed", "Your derived credential was renewed", "A derived PIV credential of yours was renewed",
	    "If you did this, there is nothing to do. If you did not, have the credential revoked at\r\n"
	    "once, and tell your security office." },
	{ "revoked", "Your derived credential was revoked", "A derived PIV credential of yours was revoked",
	    "It is not accepted any more. To get a new one, put your PIV card in and run: dpiv derive" },
	{ "expiring", "Your derived credential expires soon", "A derived PIV credential of yours expires soon",
	    "On the machine that has it, run: dpiv renew\r\n"
	    "After its last day only your PIV card can get you a new one: dpiv derive" },
	{ "code", "A binding code was asked for with your PIV card",
	    "A one-time binding code was given out for your PIV card",
	    "If you asked for it, there is nothing to do. If you did not, somebody may have used your\r\n"
	    "card: tell your security office now." },
	{ "recovered", "Your old decryption keys were released", "Decryption keys of yours were released from escrow",
	    "If you asked for them, there is nothing to do. If you did not, tell your security office\r\n"
	    "now: whoever has them can read your old encrypted mail." },
};

static const struct kind *
find(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static char *
utc(int64_t at, char out[32])
{
	time_t t = (time_t)at;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm);
	return out;
}

/* RFC 5322, 3.3; the locale is C for these. */
static char *
mail_date(int64_t at, char out[40])
{
	time_t t = (time_t)at;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, 40, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	return out;
}

/* The part that is signed: its own header and the text. */
static bool
text_put(BIO *b, const struct letter_from *from, const struct kind *k, const struct outbox_mail *m)
{
	char when[32], name[512], detail[700], agency[200];
	bool ok;

	ok = BIO_printf(b,
		 "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nTo %s\r\n\r\n"
		 "%s, %s:\r\n\r\n",
		 text_safe(span_str(m->name), name, sizeof name), k->what, utc(m->created, when)) > 0;
	if (m->detail[0] != '\0')
		ok = ok &&
		    BIO_printf(b, "  what           %s\r\n", text_safe(span_str(m->detail), detail, sizeof detail)) > 0;
	if (m->serial[0] != '\0')
		ok = ok && BIO_printf(b, "  serial number  %s\r\n", m->serial) > 0;
	if (m->not_after > 0)
		ok = ok && BIO_printf(b, "  ends           %s\r\n", utc(m->not_after, when)) > 0;
	return ok &&
	    BIO_printf(b, "\r\n%s\r\n\r\n%s\r\n", k->advice, text_safe(span_str(from->agency), agency, sizeof agency)) >
	    0;
}

static bool
header_put(BIO *b, const struct letter_from *from, const struct kind *k, const struct outbox_mail *m)
{
	const char *host = strrchr(from->address, '@');
	char when[40];

	return BIO_printf(b,
		   "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <dpiv-%lld-%lld%s>\r\n"
		   "Auto-Submitted: auto-generated\r\n",
		   from->address, m->to, k->subject, mail_date(m->created, when), (long long)m->created,
		   (long long)m->id, host != NULL ? host : "@localhost") > 0;
}

static bool
sign(BIO *out, const struct letter_from *from, BIO *text)
{
	const unsigned flags = CMS_DETACHED | CMS_STREAM | CMS_BINARY;
	STACK_OF(X509) *ca = sk_X509_new_null();
	CMS_ContentInfo *cms = NULL;
	bool ok = ca != NULL && (from->ca == NULL || sk_X509_push(ca, from->ca) > 0) &&
	    (cms = CMS_sign(from->cert, from->key, ca, text, flags)) != NULL &&
	    SMIME_write_CMS(out, cms, text, (int)(flags | SMIME_CRLFEOL)) == 1;

	CMS_ContentInfo_free(cms);
	sk_X509_free(ca);
	return ok;
}

enum err
letter_write(const struct letter_from *from, const struct outbox_mail *m, struct wbuf *out)
{
	const struct kind *k = find(m->kind);
	BIO *text = BIO_new(BIO_s_mem()), *mail = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;
	enum err e = E_OK;

	if (k == NULL || !pivid_email_ok(m->to) || !pivid_email_ok(from->address))
		e = err_set(
		    E_ARG, "no letter of kind '%s' can be written from '%s' to '%s'", m->kind, from->address, m->to);
	else if (text == NULL || mail == NULL || !header_put(mail, from, k, m) || !text_put(text, from, k, m))
		e = err_set(E_NOMEM, "out of memory");
	else if (from->cert != NULL && !sign(mail, from, text))
		e = err_crypto(E_CRYPTO, "the notice cannot be signed");
	else if (from->cert == NULL && (n = BIO_get_mem_data(text, &p)) > 0 &&
	    (BIO_puts(mail, "MIME-Version: 1.0\r\n") <= 0 || BIO_write(mail, p, (int)n) != n))
		e = err_set(E_NOMEM, "out of memory");
	if (e == E_OK) {
		n = BIO_get_mem_data(mail, &p);
		wbuf_span(out, span_of(p, n > 0 ? (size_t)n : 0));
		e = out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
	}
	BIO_free(text);
	BIO_free(mail);
	return e;
}
