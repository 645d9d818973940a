/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The credentials of a card: its 24 key references (SP 800-73-5 part 1, 5.1), each with the certificate that tells the
 * rest of the world, and this module, what the key is. A certificate is read once, when something asks for it; one that
 * is missing or cannot be parsed means that there is no such credential, not that the card is broken.
 *
 * Labels and ids are those that people know from OpenSC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

void
creds_init(struct p11_token *t)
{
	for (size_t i = 0; i < P11_CREDS; i++) {
		t->cred[i].row = piv_key_row(i);
		t->cred[i].number = (unsigned)i + 1;
		t->cred[i].alg = PIV_ALG_NONE;
	}
	attest_init(t);
}

void
cred_clear(struct p11_cred *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->pkey);
	c->x509 = NULL;
	c->pkey = NULL;
	wbuf_free(&c->der);
	free(c->remote);
	c->state = c->remote != NULL ? CRED_ABSENT : CRED_UNREAD;
	c->remote = NULL;
	c->meta_known = c->made = false;
	c->alias_n = 0;
	wbuf_free(&c->subject);
	c->nickname[0] = c->key_nickname[0] = '\0';
}

bool
cred_parse(struct p11_slot *slot, struct p11_cred *c)
{
	struct span der = wbuf_view(&c->der);
	const unsigned char *p = der.p;
	X509 *x = X509_new_ex(slot->module->lib, NULL);

	if (x == NULL || der.n == 0 || d2i_X509(&x, &p, (long)der.n) == NULL) {
		X509_free(x);
		return false;
	}
	c->x509 = x;
	c->alg = piv_alg_of_cert(der);
	c->pkey = c->alg == PIV_ALG_NONE ? NULL : X509_get_pubkey(x);
	if (c->pkey == NULL)
		c->alg = PIV_ALG_NONE;
	return true;
}

enum err
cred_load(struct p11_slot *slot, struct p11_cred *c)
{
	enum err e;

	if (c->state != CRED_UNREAD)
		return E_OK;
	wbuf_init(&c->der, PIV_OBJ_MAX);
	e = piv_cert_get(slot->token->card, c->row->ref, &c->der);
	if (e == E_OK && cred_parse(slot, c)) {
		c->state = CRED_THERE;
		if (c->alg != PIV_ALG_NONE)
			return E_OK;
	}
	if (e == E_OK && piv_cert_doubt(slot->token->card, c->row->ref)) {
		cred_clear(c);
		return cred_load(slot, c);
	}
	if (c->state == CRED_THERE)
		return E_OK;
	if (e == E_OK)
		e = err_crypto(
		    E_PROTO, "%s: certificate of %s cannot be parsed", piv_name(slot->token->card), c->row->name);
	cred_clear(c);
	if (e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY || e == E_NOMEM)
		return e;
	if (e != E_NOTFOUND)
		log_warn("certificate", "key=%s error=\"%s\"", c->row->name, err_msg());
	c->state = CRED_ABSENT;
	return E_OK;
}

bool
cred_has(const struct p11_cred *c, enum p11_kind kind)
{
	if (c->remote != NULL && kind == KIND_PRIVATE)
		return c->remote->has_key;
	return c->state == CRED_THERE || (c->state == CRED_KEY && kind != KIND_CERT);
}

enum err
cred_made(struct p11_slot *slot, struct p11_cred *c, enum piv_alg alg, struct span spki)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &p, (long)spki.n, slot->module->lib, NULL);

	cred_clear(c);
	if (key == NULL)
		return err_crypto(E_PROTO, "%s: new public key of %s", piv_name(slot->token->card), c->row->name);
	c->pkey = key;
	c->alg = alg;
	c->state = CRED_KEY;
	return E_OK;
}

static const char *const cert_use[] = { "PIV Authentication", "Digital Signature", "Key Management",
	"Card Authentication" };
static const char *const key_use[] = { "PIV AUTH", "SIGN", "KEY MAN", "CARD AUTH" };

const char *
cred_label(const struct p11_cred *c, enum p11_kind kind, char out[64])
{
	if (remote_label(c, kind) != NULL)
		return remote_label(c, kind);
	if (is_attestation(c))
		return attest_label(c, out);
	if ((kind == KIND_CERT ? c->nickname : c->key_nickname)[0] != '\0')
		snprintf(out, 64, "%s", kind == KIND_CERT ? c->nickname : c->key_nickname);
	else if (c->number <= 4 && kind == KIND_CERT)
		snprintf(out, 64, "Certificate for %s", cert_use[c->number - 1]);
	else if (c->number <= 4)
		snprintf(out, 64, "%s %s", key_use[c->number - 1], kind == KIND_PUBLIC ? "pubkey" : "key");
	else if (kind == KIND_CERT)
		snprintf(out, 64, "Retired Certificate for Key Management %u", c->number - 4);
	else
		snprintf(out, 64, "Retired KEY MAN %u", c->number - 4);
	return out;
}
