/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Security Object after another object was written (SP 800-73-5 part 1, 3.1.7: it has the hashes of all that nobody
 * else signs). `content_signer` in dpiv.conf names a PEM file with a content signing key and its certificate, as an
 * issuer or a laboratory has it: then the object is made and signed anew. Everybody else is told in the log that the
 * card's Security Object is no longer true; the write itself stands. Written last, so that an interruption leaves what
 * a card without a signer at hand has. A token that has none gets one with the first object that wants one, with the
 * signer's certificate inside (SP 800-157r1, B.1.2); and a CHUID without a signature gets that.
 */
#include <openssl/pem.h>

#include "base/file.h"
#include "base/log.h"
#include "hw/piv_secobj.h"
#include "pkcs11/p11.h"

#define PEM_MAX 65536

static enum err
signer_load(struct p11_slot *slot, const char *path, struct piv_sealer *out)
{
	WBUF_AUTO text = { 0 };
	BIO *a, *b;
	enum err e;

	wbuf_init(&text, PEM_MAX);
	if ((e = file_read(path, &text)) != E_OK)
		return e;
	a = BIO_new_mem_buf(text.p, (int)text.n);
	b = BIO_new_mem_buf(text.p, (int)text.n);
	out->key = a != NULL
	    ? PEM_read_bio_PrivateKey_ex(a, NULL, NULL, (void *)(uintptr_t) "", slot->module->lib, NULL)
	    : NULL;
	out->cert = X509_new_ex(slot->module->lib, NULL);
	if (b == NULL || out->cert == NULL || PEM_read_bio_X509(b, &out->cert, NULL, (void *)(uintptr_t) "") == NULL)
		out->cert = NULL;
	BIO_free(a);
	BIO_free(b);
	if (out->key != NULL && out->cert != NULL && X509_check_private_key(out->cert, out->key) == 1)
		return E_OK;
	return err_crypto(E_CONF, "%s: content_signer wants a private key and its certificate, both in PEM", path);
}

/* What has no signature of its own, and can be read now, goes into the first one. */
static enum err
first(struct p11_slot *slot, const struct piv_sealer *by, struct wbuf *contents)
{
	static const uint32_t unsigned_ones[] = { PIV_OBJ_CCC, PIV_OBJ_CHUID, PIV_OBJ_PRINTED, PIV_OBJ_DISCOVERY,
		PIV_OBJ_HISTORY, 0x7F61, 0x5FC123 };
	enum err e = E_OK;

	for (size_t i = 0; i < sizeof unsigned_ones / sizeof unsigned_ones[0] && e == E_OK; i++) {
		struct p11_data *d = data_by_tag(slot->token, unsigned_ones[i]);
		WBUF_AUTO more = { 0 };

		if (d == NULL || (d->row->pin && !slot->token->user))
			continue;
		if ((e = data_load(slot, d)) != E_OK || d->state != DATA_READ)
			continue;
		wbuf_init(&more, PIV_OBJ_MAX);
		if ((e = piv_secobj_update(wbuf_view(contents), d->row->tag, wbuf_view(&d->value), by, &more)) != E_OK)
			continue;
		wbuf_clear(contents);
		wbuf_span(contents, wbuf_view(&more));
	}
	return e;
}

static CK_RV
seal(struct p11_slot *slot, struct p11_data *so, const char *path, uint32_t tag, struct span value)
{
	struct piv_sealer by = { NULL, NULL, slot->token->id.derived };
	WBUF_AUTO contents = { 0 };
	enum err e;

	wbuf_init(&contents, PIV_OBJ_MAX);
	if ((e = signer_load(slot, path, &by)) == E_OK)
		e = so->state == DATA_READ ? piv_secobj_update(wbuf_view(&so->value), tag, value, &by, &contents)
					   : first(slot, &by, &contents);
	X509_free(by.cert);
	EVP_PKEY_free(by.key);
	if (e == E_OK && contents.n > 0)
		return data_put(slot, so, wbuf_view(&contents));
	if (e != E_OK)
		log_warn("security-object", "slot=%lu error=\"%s\"", slot->id, err_msg());
	return e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY ? token_result(slot, e) : CKR_OK;
}

CK_RV
chuid_sealed(struct p11_slot *slot, struct span value, struct wbuf *out)
{
	const char *path = conf_str(slot->module->conf, "module", "content_signer");
	struct piv_sealer by = { NULL, NULL, true };
	struct piv_chuid c;
	enum err e;

	if (path == NULL || piv_chuid_parse(value, &c) != E_OK || c.signature.n > 0) {
		wbuf_span(out, value);
		return out->bad ? CKR_HOST_MEMORY : CKR_OK;
	}
	if ((e = signer_load(slot, path, &by)) == E_OK)
		e = piv_chuid_seal(value, &by, out);
	X509_free(by.cert);
	EVP_PKEY_free(by.key);
	return token_result(slot, e);
}

/* SP 800-157r1, B.1.2: a derived token that has one of these has a Security Object. */
static bool
wants_object(const struct p11_data *d)
{
	return d->row->tag == PIV_OBJ_HISTORY || d->row->tag == PIV_OBJ_DISCOVERY || d->row->tag == 0x5FC123;
}

CK_RV
secobj_follow(struct p11_slot *slot, const struct p11_data *d, struct span value)
{
	const char *path = conf_str(slot->module->conf, "module", "content_signer");
	struct p11_data *so = data_by_tag(slot->token, PIV_OBJ_SECURITY);
	bool covered, same;
	enum err e;

	if (d == so)
		return CKR_OK;
	if ((e = data_load(slot, so)) != E_OK)
		return token_result(slot, e);
	if (so->state != DATA_READ && value.n > 0 && wants_object(d)) {
		if (path != NULL)
			return seal(slot, so, path, d->row->tag, value);
		log_info(
		    "security-object", "slot=%lu text=\"there is none, and no content signer to make one\"", slot->id);
	}
	if (so->state != DATA_READ)
		return CKR_OK;
	if ((e = piv_secobj_check(wbuf_view(&so->value), d->row->tag, value, &covered, &same)) != E_OK) {
		log_warn("security-object", "slot=%lu error=\"%s\"", slot->id, err_msg());
		return CKR_OK;
	}
	if (value.n > 0 ? covered && same : !covered)
		return CKR_OK;
	if (path != NULL)
		return seal(slot, so, path, d->row->tag, value);
	log_warn("security-object",
	    "slot=%lu object=\"%s\" text=\"the Security Object %s; its issuer has to sign it anew\"", slot->id,
	    d->row->label, covered ? "has another hash of it" : "does not have its hash");
	return CKR_OK;
}
