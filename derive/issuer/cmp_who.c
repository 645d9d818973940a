/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who sends a CMP message, and what may they have? Everything is decided before libcrypto verifies anything, so that
 * no stranger's key and no stranger's number of iterations is ever computed with: a signer's certificate first has to
 * be one of this issuer's, byte for byte, or to pass PKI-AUTH; a MAC is only tried with the code that its reference
 * names. Whether the signature is right is then libcrypto's to say; nothing is issued before.
 *
 * The client chooses all random values of a signed message (RFC 9810, 5.1.1), so the signature is over no challenge of
 * ours. Instead messageTime has to be of the last minutes and a transactionID is taken once (cmp_trans.h): a message
 * that was recorded gets the certificate that it got before, or nothing.
 */
#include <string.h>
#include <openssl/cmp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "derive/der.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/cmp_int.h"
#include "derive/issuer/cmp_trans.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/own.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"

#define CERTS_MAX      10
#define ITERATIONS_MAX 20000
#define FRESH	       600 /* seconds that clocks may differ */

void
cmp_msg_clear(struct cmp_msg *m)
{
	OPENSSL_cleanse(m->plain, sizeof m->plain);
	OPENSSL_cleanse(m->secret, sizeof m->secret);
	sk_X509_pop_free(m->certs, X509_free);
	csr_clear(&m->csr);
	X509_PUBKEY_free(m->spki);
	bind_person_clear(&m->person);
	renewal_clear(&m->old);
	X509_free(m->cert);
	memset(m, 0, sizeof *m);
}

/* --- a code ------------------------------------------------------------------------------------------------------- */

static X509_ALGOR *
algorithm(const struct cmp_msg *m)
{
	const unsigned char *p = m->in.alg.p;
	X509_ALGOR *alg = m->in.alg.n > 0 ? d2i_X509_ALGOR(NULL, &p, (long)m->in.alg.n) : NULL;

	ERR_clear_error();
	return alg;
}

static OSSL_CRMF_PBMPARAMETER *
pbm_parameters(X509_ALGOR *alg)
{
	OSSL_CRMF_PBMPARAMETER *pbm = NULL;
	const ASN1_OBJECT *oid;
	const unsigned char *p;
	const void *param;
	int type;

	X509_ALGOR_get0(&oid, &type, &param, alg);
	if (type == V_ASN1_SEQUENCE) {
		p = ASN1_STRING_get0_data(param);
		pbm = d2i_OSSL_CRMF_PBMPARAMETER(NULL, &p, ASN1_STRING_length(param));
	}
	return pbm;
}

/* RFC 9810, 5.1.3: the MAC is over the DER of SEQUENCE { header, body }. */
static bool
mac_fits(const struct cmp_msg *m, X509_ALGOR *alg, const char *secret)
{
	OSSL_CRMF_PBMPARAMETER *pbm = pbm_parameters(alg);
	unsigned char *mac = NULL;
	WBUF_AUTO text = { 0 };
	size_t n = 0;
	bool fits;

	wbuf_init(&text, EST_BODY_MAX + 16);
	fits = pbm != NULL && der_wrap(V_ASN1_SEQUENCE, m->in.covered, &text) &&
	    OSSL_CRMF_pbm_new(
		NULL, NULL, pbm, text.p, text.n, (const unsigned char *)secret, strlen(secret), &mac, &n) == 1 &&
	    n == m->in.protection.n && n > 0 && CRYPTO_memcmp(mac, m->in.protection.p, n) == 0;
	OPENSSL_free(mac);
	OSSL_CRMF_PBMPARAMETER_free(pbm);
	ERR_clear_error();
	return fits;
}

/* A guess is counted, against the code and the address. */
static enum err
wrong_code(struct cmp_msg *m)
{
	struct issuer *i = m->c->i;
	const struct bindstore_claim claim = {
		.plain = m->plain, .peer = m->c->rq->from, .tries = i->config.bind_tries
	};
	struct bindstore_code code;
	enum err e;

	(void)snprintf(m->plain, sizeof m->plain, "%s?", m->name);
	e = bindstore_check(i->db, &claim, m->c->now, &code);
	m->c->account = code.account;
	return e != E_OK ? e : err_set(E_INTERNAL, "a wrong code was taken for a right one");
}

static enum err
by_code(struct cmp_msg *m, X509_ALGOR *alg)
{
	struct issuer *i = m->c->i;
	char text[BINDCODE_TEXT];
	unsigned n = cmp_peek_iterations(m->in.alg);
	enum err e;

	if (i->codes == NULL)
		return refuse(
		    REFUSE_NOT_OFFERED, "this issuer takes no codes over CMP; sign the message with the card");
	if (!bindcode_read_name(m->in.kid, m->name))
		return refuse(REFUSE_CODE_MISTYPED,
		    "the reference (senderKID) is not the first group of a binding code, like 7F3K");
	if (n == 0 || n > ITERATIONS_MAX)
		return refuse(
		    REFUSE_ALGORITHM, "the password-based MAC must have at most %d iterations", ITERATIONS_MAX);
	e = bindstore_secret(i->db, i->codes, m->name, m->plain);
	if (e != E_OK)
		return e == E_NOTFOUND ? wrong_code(m) : e;
	(void)bindcode_show(m->plain, text);
	if (mac_fits(m, alg, text))
		memcpy(m->secret, text, sizeof text);
	else if (mac_fits(m, alg, m->plain))
		memcpy(m->secret, m->plain, sizeof m->plain);
	OPENSSL_cleanse(text, sizeof text);
	return m->secret[0] != '\0' ? E_OK : wrong_code(m);
}

/* --- a signature -------------------------------------------------------------------------------------------------- */

static enum err
check_fresh(const struct cmp_msg *m)
{
	ASN1_GENERALIZEDTIME *t = ASN1_GENERALIZEDTIME_new();
	time_t at = 0;
	bool good = t != NULL && m->in.time.n > 0 && m->in.time.n < 64 &&
	    ASN1_STRING_set(t, m->in.time.p, (int)m->in.time.n) == 1 && x509io_time(t, &at);

	ASN1_GENERALIZEDTIME_free(t);
	ERR_clear_error();
	if (!good)
		return refuse(REFUSE_STALE, "a signed message needs its time (messageTime)");
	if (at > m->c->now + FRESH || at < m->c->now - FRESH)
		return refuse(REFUSE_STALE,
		    "the time of the message (messageTime) is more than %d minutes off; set the clock, and do not send "
		    "old messages again",
		    FRESH / 60);
	return E_OK;
}

/* A derived credential speaks for itself only: where the card is needed, PKI-AUTH refuses it. */
static bool
may_be_own(int type)
{
	return type == CMP_KUR || type == CMP_RR || type == CMP_CERTCONF || type == CMP_ERROR;
}

/* CMP has no place for a CHUID; a client may still send the header. A certConf's request had it, and who gives a
 * credential up needs none. */
static enum err
by_card(struct cmp_msg *m, X509 *signer)
{
	struct call *c = m->c;
	enum err e = pkiauth_check(c->i->trust, c->i->config.piv_policies, signer, m->certs, c->now, &c->id);

	return e == E_OK && !m->again && m->in.type != CMP_RR
	    ? chuid_check(c->i->trust, &c->i->config, c->rq->chuid, &c->id, c->now)
	    : e;
}

static enum err
by_signature(struct cmp_msg *m)
{
	struct call *c = m->c;
	struct ledger_found row = { 0 };
	char serial[X509IO_SERIAL_MAX];
	X509 *signer;
	enum err e;

	m->certs = cmp_peek_certs(&m->in, CERTS_MAX);
	if (m->certs == NULL)
		return refuse(REFUSE_NO_CERTIFICATE, "the certificate of the signer must be the first of extraCerts");
	if (!m->again && (e = check_fresh(m)) != E_OK)
		return e;
	signer = sk_X509_value(m->certs, 0);
	wbuf_init(&row.der, 1u << 20);
	e = may_be_own(m->in.type) ? own_cert(c->i, signer, serial, &row) : E_NOTFOUND;
	m->own = e == E_OK;
	if (m->own)
		c->account = row.account;
	wbuf_free(&row.der);
	if (e == E_NOTFOUND)
		e = by_card(m, signer);
	m->proven = e == E_OK;
	return e;
}

enum err
cmp_who(struct cmp_msg *m)
{
	X509_ALGOR *alg = algorithm(m);
	const ASN1_OBJECT *oid = NULL;
	enum err e;

	if (alg != NULL)
		X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (oid == NULL || m->in.protection.n == 0)
		e = refuse(REFUSE_NO_CERTIFICATE,
		    "the message has no protection; sign it with the PIV card, or use a binding code");
	else if (OBJ_obj2nid(oid) == NID_id_PasswordBasedMAC)
		e = by_code(m, alg);
	else
		e = by_signature(m);
	X509_ALGOR_free(alg);
	return e;
}

/* --- what it may have --------------------------------------------------------------------------------------------- */

static enum err
read_template_key(struct cmp_msg *m)
{
	WBUF_AUTO der = { 0 };
	const unsigned char *p;
	enum err e;

	wbuf_init(&der, CSR_MAX);
	if (!cmp_peek_spki(&m->in, &der))
		return refuse(REFUSE_BAD_CSR, "the message does not ask for exactly one key");
	p = der.p;
	m->spki = d2i_X509_PUBKEY(NULL, &p, (long)der.n);
	ERR_clear_error();
	if ((e = csr_check_encoding(m->spki)) != E_OK)
		return e;
	if ((m->csr.key = X509_PUBKEY_get0(m->spki)) == NULL) {
		ERR_clear_error();
		return refuse(REFUSE_BAD_CSR, "the public key in the request is malformed");
	}
	return csr_check_key(&m->csr);
}

static enum err
read_key(struct cmp_msg *m)
{
	WBUF_AUTO der = { 0 };
	enum err e = m->in.type == CMP_P10CR ? csr_read(m->in.body, &m->csr) : read_template_key(m);

	wbuf_init(&der, 65536);
	if (e == E_OK && (e = x509io_spki_der(m->csr.key, &der)) == E_OK)
		x509io_sha256_text(wbuf_view(&der), m->spki_sha256);
	return e;
}

static enum err
may_by_code(struct cmp_msg *m)
{
	struct call *c = m->c;
	const struct bindstore_claim claim = {
		.plain = m->plain, .role = c->profile->name, .peer = c->rq->from, .tries = c->i->config.bind_tries
	};
	bool yes = true;
	enum err e = bind_person_by(c->i, &claim, c->now, &m->person);

	if (e == E_OK && m->person.code.used)
		e = bindstore_is_for(c->i->db, &m->person.code, claim.role, m->spki_sha256, &yes);
	if (e == E_OK && !yes)
		e = bindstore_used();
	c->id = m->person.id;
	c->account = m->person.code.account;
	m->rq.piv = m->person.card;
	m->rq.code = &m->person.code;
	return e;
}

/* The certificate that is renewed says for what the new one is (RFC 9810, 5.3.5), if the message names it. */
static enum err
renewed_profile(struct cmp_msg *m)
{
	const unsigned char *p = m->in.body.p;
	OSSL_CRMF_MSGS *msgs = d2i_OSSL_CRMF_MSGS(NULL, &p, (long)m->in.body.n);
	const OSSL_CRMF_MSG *msg = sk_OSSL_CRMF_MSG_value(msgs, 0);
	const OSSL_CRMF_CERTID *id = msg != NULL ? OSSL_CRMF_MSG_get0_regCtrl_oldCertID(msg) : NULL;
	struct ledger_found row = { 0 };
	char serial[X509IO_SERIAL_MAX];
	enum err e = E_OK;

	wbuf_init(&row.der, 1u << 20);
	if (id != NULL) {
		x509io_serial_text(OSSL_CRMF_CERTID_get0_serialNumber(id), serial, sizeof serial);
		e = ledger_find(m->c->i->db, serial, &row);
		if (e == E_NOTFOUND)
			e = refuse(REFUSE_UNTRUSTED, "the certificate that the request renews was not issued here");
		else if (e == E_OK)
			m->c->profile = profile_find(row.profile);
	}
	wbuf_free(&row.der);
	OSSL_CRMF_MSGS_free(msgs);
	ERR_clear_error();
	return e;
}

static enum err
may_renew(struct cmp_msg *m)
{
	struct call *c = m->c;
	enum err e;

	if (!m->own)
		return refuse(REFUSE_NO_CERTIFICATE, "a kur is signed by the derived credential that it renews");
	if ((e = renewed_profile(m)) != E_OK)
		return e;
	e = renewal_check(c->i, sk_X509_value(m->certs, 0), c->profile, &m->csr, c->now, &m->old);
	c->id = m->old.id;
	m->rq.piv = m->old.card;
	m->rq.renews = m->old.serial;
	return e;
}

enum err
cmp_may(struct cmp_msg *m)
{
	struct call *c = m->c;
	enum err e;

	if ((e = cmp_trans_check(c->i->db, m->in.transaction, m->in.der, c->now)) != E_OK || (e = read_key(m)) != E_OK)
		return e;
	if (m->in.type == CMP_KUR)
		e = may_renew(m);
	else if (m->secret[0] != '\0')
		e = may_by_code(m);
	else
		m->rq.piv = sk_X509_value(m->certs, 0);
	m->rq.id = &c->id;
	m->rq.csr = &m->csr;
	m->rq.profile = c->profile;
	m->rq.peer = c->rq->from;
	return e;
}
