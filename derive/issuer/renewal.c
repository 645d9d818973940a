/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simplereenroll: whether a derived credential may be replaced by a new one without the card (RFC 7030, 4.2.2; SP
 * 800-157r1, 2.3.1: re-key over a session that the present credential authenticates, for an account in good standing).
 * The presented certificate must be one of the ledger's, byte for byte, in its time and not revoked, and the account
 * active. The card is not there, so its certificate is checked as if it were, with its path and the CRLs of today: when
 * the card is revoked or has run out, the person comes with a new card. The request repeats subject and subjectAltName
 * of what it renews; its key is a new one.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/account.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/own.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/renewal.h"

void
renewal_clear(struct renewal *r)
{
	X509_free(r->card);
	memset(r, 0, sizeof *r);
}

static X509 *
parse(struct span der)
{
	const unsigned char *p = der.p;
	X509 *x = der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;

	ERR_clear_error();
	return x;
}

/* Ours, in its time, not revoked. */
static enum err
check_peer(struct issuer *i, X509 *peer, time_t now, struct renewal *out, struct ledger_found *row)
{
	time_t from, to;
	enum err e = own_cert(i, peer, out->serial, row);

	if (e == E_NOTFOUND)
		return refuse(REFUSE_UNTRUSTED,
		    "the certificate that asks was not issued here; a renewal takes a derived credential of this "
		    "issuer, "
		    "and not the PIV card");
	if (e != E_OK)
		return e;
	if (row->revoked)
		return refuse(REFUSE_REVOKED, "the certificate %s is revoked; derive a new credential with the card",
		    out->serial);
	if (!x509io_time(X509_get0_notBefore(peer), &from) || !x509io_time(X509_get0_notAfter(peer), &to) || now < from)
		return refuse(REFUSE_NOT_YET_VALID, "the certificate %s is not yet valid", out->serial);
	if (now > to)
		return refuse(REFUSE_EXPIRED, "the certificate %s has expired; derive a new credential with the card",
		    out->serial);
	return E_OK;
}

static enum err
check_account(struct issuer *i, int64_t id)
{
	struct account a;
	enum err e = account_get(i->db, id, &a);

	if (e != E_OK || strcmp(a.status, "active") == 0)
		return e;
	return strcmp(a.status, "suspended") == 0
	    ? refuse(REFUSE_ACCOUNT_SUSPENDED, "the account of %s is suspended", a.name)
	    : refuse(REFUSE_ACCOUNT_TERMINATED, "the account of %s is terminated", a.name);
}

static enum err
check_card(struct issuer *i, int64_t account, time_t now, struct renewal *out)
{
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 1u << 20);
	if ((e = ledger_card(i->db, account, &der)) != E_OK)
		return e;
	out->card = parse(wbuf_view(&der));
	if (out->card == NULL)
		return err_set(E_STORE, "the card of account %lld in the ledger is damaged", (long long)account);
	e = pkiauth_check(i->trust, i->config.piv_policies, out->card, NULL, now, &out->id);
	return e == E_POLICY ? err_up(e, "the PIV card that this credential was derived from") : e;
}

/* Equal, or absent from the request. A key without a request of its own names nothing. */
static bool
same_names(const struct csr *csr, X509 *old)
{
	STACK_OF(X509_EXTENSION) * asked;
	int a, b = X509_get_ext_by_NID(old, NID_subject_alt_name, -1);
	bool same;

	if (csr->req == NULL)
		return true;
	asked = X509_REQ_get_extensions(csr->req);
	a = X509v3_get_ext_by_NID(asked, NID_subject_alt_name, -1);
	same = a < 0;
	if (a >= 0 && b >= 0)
		same = ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509v3_get_ext(asked, a)),
			   X509_EXTENSION_get_data(X509_get_ext(old, b))) == 0;
	sk_X509_EXTENSION_pop_free(asked, X509_EXTENSION_free);
	ERR_clear_error();
	return same && X509_NAME_cmp(X509_REQ_get_subject_name(csr->req), X509_get_subject_name(old)) == 0;
}

/* Of the wanted profile there has to be something to renew, and the request repeats its names. */
static enum err
check_old(struct issuer *i, const struct ledger_found *row, X509 *peer, const struct profile *profile,
    const struct csr *csr, time_t now)
{
	WBUF_AUTO der = { 0 };
	X509 *old = NULL;
	enum err e = E_OK;
	bool same;

	wbuf_init(&der, 1u << 20);
	if (strcmp(row->profile, profile->name) != 0) {
		e = ledger_newest(i->db, row->account, profile->name, now, &der);
		if (e == E_NOTFOUND)
			return refuse(REFUSE_WRONG_PROFILE,
			    "there is no valid certificate for %s to be renewed; derive it with the PIV card",
			    profile->what);
		if (e == E_OK && (old = parse(wbuf_view(&der))) == NULL)
			e = err_set(E_STORE, "a certificate in the ledger is damaged");
		if (e != E_OK)
			return e;
	}
	same = same_names(csr, old != NULL ? old : peer);
	X509_free(old);
	if (!same)
		return refuse(REFUSE_BAD_CSR,
		    "subject and subjectAltName of the request are not those of the certificate that it renews (RFC "
		    "7030, "
		    "4.2.2)");
	if (EVP_PKEY_eq(csr->key, X509_get0_pubkey(peer)) == 1)
		return refuse(REFUSE_KEY_REUSED, "the request is for the old key; generate a new key pair");
	return E_OK;
}

enum err
renewal_check(
    struct issuer *i, X509 *peer, const struct profile *profile, const struct csr *csr, time_t now, struct renewal *out)
{
	struct ledger_found row = { 0 };
	enum err e;

	memset(out, 0, sizeof *out);
	if (peer == NULL)
		return refuse(REFUSE_NO_CERTIFICATE,
		    "the present derived credential must be shown in the TLS handshake, and none was");
	wbuf_init(&row.der, 1u << 20);
	if ((e = check_peer(i, peer, now, out, &row)) == E_OK)
		out->account = row.account;
	if (e == E_OK && (e = check_account(i, row.account)) == E_OK &&
	    (e = check_card(i, row.account, now, out)) == E_OK)
		e = check_old(i, &row, peer, profile, csr, now);
	wbuf_free(&row.der);
	return e;
}
