/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the CMS object in what the user hands over: a mail (RFC 8551, 3.5: multipart/signed; 3.4: application/
 * pkcs7-mime, also by its old x- name and as an octet-stream called *.p7m), or a bare object in DER, PEM or base64. In
 * a multipart the first one counts, and `partial` says that something stands beside it, which no signature covers.
 */
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "base/text.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

static BIO *
bio_of(struct span s)
{
	return s.n > INT_MAX ? NULL : BIO_new_mem_buf(s.n > 0 ? (const void *)s.p : "", (int)s.n);
}

static enum err
cms_read(struct span der, bool pem, CMS_ContentInfo **out)
{
	BIO *b = bio_of(der);

	if (b == NULL)
		return err_set(E_NOMEM, "no memory for a message");
	*out = pem ? PEM_read_bio_CMS(b, NULL, NULL, NULL) : d2i_CMS_bio(b, NULL);
	BIO_free(b);
	return *out != NULL ? E_OK : err_crypto(E_PROTO, "the S/MIME object is malformed");
}

static enum err
cms_of_entity(struct span entity, CMS_ContentInfo **out)
{
	struct span head, body;
	WBUF_AUTO der;
	enum err e;

	wbuf_init(&der, MAIL_MAX);
	(void)mime_split(entity, &head, &body);
	e = mime_decode(mime_cte(head), body, &der);
	return e == E_OK ? cms_read(wbuf_view(&der), false, out) : e;
}

static bool
is_signature(struct span entity)
{
	struct span head, body;
	struct mime_type t;

	(void)mime_split(entity, &head, &body);
	return mime_type(head, &t) == E_OK &&
	    (mime_is(&t, "application/pkcs7-signature") || mime_is(&t, "application/x-pkcs7-signature"));
}

/* Exactly two parts, content and signature (RFC 1847, 2.1). */
static enum err
find_multipart_signed(const struct mime_type *t, struct span body, struct smime_part *p)
{
	struct mime_parts parts;
	struct span signature, more;
	enum err e = mime_parts_open(t, body, &parts);

	if (e != E_OK)
		return e;
	if (!mime_parts_next(&parts, &p->content) || !mime_parts_next(&parts, &signature))
		return err_set(E_PROTO, "the signed message is cut off: it has no signature part");
	if (!is_signature(signature))
		return err_set(E_NOTFOUND, "the message is signed by something else than S/MIME");
	if (!parts.closed || mime_parts_next(&parts, &more))
		return err_set(E_PROTO, "the signed message does not end with its signature");
	p->detached = true;
	return cms_of_entity(signature, &p->cms);
}

bool
smime_is_type(const struct mime_type *t)
{
	char name[128];
	size_t n;

	if (mime_is(t, "application/pkcs7-mime") || mime_is(t, "application/x-pkcs7-mime"))
		return true;
	if (!mime_is(t, "application/octet-stream") || !mime_param(t->value, "name", name, sizeof name))
		return false;
	n = strlen(name);
	return n > 4 && strcasecmp(name + n - 4, ".p7m") == 0;
}

static enum err find_entity(struct span entity, int depth, struct smime_part *p);

static enum err
find_in_parts(const struct mime_type *t, struct span body, int depth, struct smime_part *p)
{
	struct mime_parts parts;
	struct span part;
	enum err e = mime_parts_open(t, body, &parts);

	if (e != E_OK)
		return err_set(E_NOTFOUND, "the message is not S/MIME (%s)", t->type);
	while (mime_parts_next(&parts, &part)) {
		e = find_entity(part, depth + 1, p);
		if (e == E_NOTFOUND)
			continue;
		p->partial = true;
		return e;
	}
	return err_set(E_NOTFOUND, "the message is not S/MIME: no part of it is signed or encrypted");
}

static enum err
find_entity(struct span entity, int depth, struct smime_part *p)
{
	struct span head, body;
	struct mime_type t;
	enum err e;

	(void)mime_split(entity, &head, &body);
	if ((e = mime_type(head, &t)) != E_OK)
		return e;
	if (mime_is(&t, "multipart/signed"))
		return find_multipart_signed(&t, body, p);
	if (smime_is_type(&t))
		return cms_of_entity(entity, &p->cms);
	if (mime_is(&t, "multipart/") && depth < MIME_DEPTH)
		return find_in_parts(&t, body, depth, p);
	return err_set(E_NOTFOUND, "the message is neither signed nor encrypted (%s)", t.type);
}

static enum err
find_bare(struct span in, struct smime_part *p)
{
	WBUF_AUTO der;

	wbuf_init(&der, MAIL_MAX);
	while (in.n > 0 && strchr(" \t\r\n", in.p[0]) != NULL && in.p[0] != 0)
		(void)span_skip(&in, 1);
	if (span_starts(in, "\x30", 1) && in.n > 1 && in.p[1] >= 0x80)
		return cms_read(in, false, &p->cms);
	if (span_starts(in, "-----BEGIN ", 11))
		return cms_read(in, true, &p->cms);
	if (in.n > 0 && text_unbase64(in, &der) && span_starts(wbuf_view(&der), "\x30", 1))
		return cms_read(wbuf_view(&der), false, &p->cms);
	return err_set(E_NOTFOUND, "this is neither a mail nor an S/MIME file (.p7m or .p7s, in DER, PEM or base64)");
}

enum err
smime_find(struct span in, struct smime_part *p)
{
	struct span head, body;
	enum err e;

	memset(p, 0, sizeof *p);
	e = mail_head(in, &head, &body) ? find_entity(in, 0, p) : find_bare(in, p);
	if (e != E_OK)
		smime_part_free(p);
	return e;
}

void
smime_part_free(struct smime_part *p)
{
	CMS_ContentInfo_free(p->cms);
	p->cms = NULL;
}

static int
content_nid(const struct smime_part *p)
{
	return OBJ_obj2nid(CMS_get0_type(p->cms));
}

bool
smime_is_signed(const struct smime_part *p)
{
	return content_nid(p) == NID_pkcs7_signed;
}

bool
smime_is_encrypted(const struct smime_part *p)
{
	int nid = content_nid(p);

	return nid == NID_pkcs7_enveloped || nid == NID_id_smime_ct_authEnvelopedData;
}
