/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The OCSP responder: RFC 6960 with the profile of RFC 5019. Its signer is a delegate whom the CA has certified for
 * id-kp-OCSPSigning (4.2.2.2); its certificate goes with each answer, and the answer names it by its key. The state of
 * a certificate is read from the ledger at the moment of the question: issued is good, revoked is revoked, and any
 * other serial number under this CA is unknown, also one that was never issued (2.2). A request about other CAs only is
 * answered with unauthorized, unsigned (RFC 5019, 2.2.3). A nonce is given back. An answer is good for [ocsp] minutes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/ledger.h"
#include "derive/issuer/mkcert.h"
#include "derive/issuer/note.h"
#include "derive/issuer/ocsp.h"
#include "derive/issuer/ocsp_int.h"
#include "derive/issuer/x509io.h"

#define SERIAL_BYTES 20 /* RFC 5280, 4.1.2.2 */

struct ocsp {
	X509 *ca, *cert; /* ca is the issuer's */
	struct cakey *key;
	long seconds; /* that an answer is good for */
};

static enum err
check_signer(X509 *cert, X509 *ca, const char *path)
{
	if (X509_check_issued(ca, cert) != X509_V_OK || X509_verify(cert, X509_get0_pubkey(ca)) != 1) {
		ERR_clear_error();
		return err_set(E_CONF, "%s: not certified by this issuer's CA", path);
	}
	if (!(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) ||
	    !(X509_get_extended_key_usage(cert) & XKU_OCSP_SIGN) || !(X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE))
		return err_set(E_CONF, "%s: not the certificate of an OCSP signer", path);
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return err_set(E_EXPIRED, "%s: the certificate of the OCSP signer has expired", path);
	return E_OK;
}

enum err
ocsp_open(const struct issuer *i, struct ocsp **out)
{
	const struct config *c = &i->config;
	struct ocsp *o;
	enum err e;

	*out = NULL;
	if (access(c->ocsp_cert, F_OK) != 0)
		return E_OK;
	if ((o = calloc(1, sizeof *o)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	o->ca = i->ca;
	o->seconds = c->ocsp_minutes * 60;
	if ((e = x509io_read_cert(c->ocsp_cert, &o->cert)) == E_OK &&
	    (e = check_signer(o->cert, i->ca, c->ocsp_cert)) == E_OK)
		e = cakey_open_as(
		    "key of the OCSP signer", c->ocsp_key, c->demo, false, X509_get0_pubkey(o->cert), &o->key);
	if (e != E_OK)
		ocsp_close(&o);
	*out = o;
	return e;
}

void
ocsp_close(struct ocsp **o)
{
	if (*o == NULL)
		return;
	X509_free((*o)->cert);
	cakey_close(&(*o)->key);
	free(*o);
	*o = NULL;
}

/* Is the certificate asked for one of this CA's, by whichever hash the client took? */
static bool
is_ours(const struct ocsp *o, OCSP_CERTID *id)
{
	ASN1_OBJECT *alg = NULL;
	const EVP_MD *md;
	OCSP_CERTID *ca;
	bool ours;

	if (OCSP_id_get0_info(NULL, &alg, NULL, NULL, id) != 1 || (md = EVP_get_digestbyobj(alg)) == NULL)
		return false;
	ca = OCSP_cert_to_id(md, NULL, o->ca);
	ours = ca && OCSP_id_issuer_cmp(ca, id) == 0;
	OCSP_CERTID_free(ca);
	return ours;
}

/* A serial number that a certificate can have; else it is unknown. */
static bool
serial_of(OCSP_CERTID *id, char out[X509IO_SERIAL_MAX])
{
	ASN1_INTEGER *serial = NULL;

	if (OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) != 1 || ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ||
	    ASN1_STRING_length(serial) > SERIAL_BYTES)
		return false;
	return x509io_serial_text(serial, out, X509IO_SERIAL_MAX)[0] != '\0';
}

static enum err
add_status(OCSP_BASICRESP *basic, OCSP_CERTID *id, const struct ledger_status *s, time_t from, time_t to)
{
	ASN1_TIME *start = ASN1_TIME_set(NULL, from), *end = ASN1_TIME_set(NULL, to);
	ASN1_TIME *at = s->revoked ? ASN1_TIME_set(NULL, s->at) : NULL;
	int state = s->revoked ? V_OCSP_CERTSTATUS_REVOKED
	    : s->known	       ? V_OCSP_CERTSTATUS_GOOD
			       : V_OCSP_CERTSTATUS_UNKNOWN;
	/* RFC 5280 5.3.1: unspecified is left out */
	int reason = s->reason ? s->reason : OCSP_REVOKED_STATUS_NOSTATUS;
	bool ok = start && end && (at || !s->revoked) &&
	    OCSP_basic_add1_status(basic, id, state, reason, at, start, end) != NULL;

	ASN1_TIME_free(start);
	ASN1_TIME_free(end);
	ASN1_TIME_free(at);
	return ok ? E_OK : err_crypto(E_CRYPTO, "cannot make an OCSP answer");
}

/* ours: how many of the certificates are this CA's. */
static enum err
add_all(struct ocsp *o, struct db *db, OCSP_REQUEST *rq, time_t now, OCSP_BASICRESP *basic, size_t *ours)
{
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < OCSP_request_onereq_count(rq); i++) {
		OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(rq, i));
		struct ledger_status s = { .known = false };
		char serial[X509IO_SERIAL_MAX];

		if (is_ours(o, id)) {
			++*ours;
			if (serial_of(id, serial))
				e = ledger_status(db, serial, &s);
		}
		if (e == E_OK)
			e = add_status(basic, id, &s, now, now + o->seconds);
	}
	return e;
}

static enum err
sign(const struct ocsp *o, OCSP_REQUEST *rq, bool nonce, OCSP_BASICRESP *basic)
{
	EVP_PKEY *key = cakey_pkey(o->key);

	if ((nonce && OCSP_copy_nonce(basic, rq) != 1) ||
	    OCSP_basic_sign(basic, o->cert, key, mkcert_digest(key), NULL, OCSP_RESPID_KEY) != 1)
		return err_crypto(E_CRYPTO, "cannot sign an OCSP answer");
	return E_OK;
}

/* The signer's time may end while the service runs. */
static bool
signer_current(const struct ocsp *o, time_t now)
{
	return X509_cmp_time(X509_get0_notAfter(o->cert), &now) > 0;
}

/* The responseStatus; basic is filled in when it is successful. */
static int
judge(struct ocsp *o, struct db *db, OCSP_REQUEST *rq, bool nonce, time_t now, OCSP_BASICRESP *basic)
{
	size_t ours = 0;
	enum err e;

	if (rq == NULL)
		return OCSP_RESPONSE_STATUS_MALFORMEDREQUEST;
	if (!signer_current(o, now)) {
		note("ocsp-failed", "the certificate of the OCSP signer has expired");
		return OCSP_RESPONSE_STATUS_TRYLATER;
	}
	e = basic ? add_all(o, db, rq, now, basic, &ours) : err_set(E_NOMEM, "out of memory");
	if (e == E_OK && ours == 0)
		return OCSP_RESPONSE_STATUS_UNAUTHORIZED;
	if (e == E_OK && (e = sign(o, rq, nonce, basic)) == E_OK)
		return OCSP_RESPONSE_STATUS_SUCCESSFUL;
	note("ocsp-failed", "%s", err_msg());
	return e == E_BUSY ? OCSP_RESPONSE_STATUS_TRYLATER : OCSP_RESPONSE_STATUS_INTERNALERROR;
}

void
ocsp_answer(struct ocsp *o, struct db *db, struct span request, time_t now, struct ocsp_asked *asked, struct wbuf *out)
{
	OCSP_REQUEST *rq = ocsp_read(request, &asked->nonce);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	int status = judge(o, db, rq, asked->nonce, now, basic);
	bool good = status == OCSP_RESPONSE_STATUS_SUCCESSFUL;
	OCSP_RESPONSE *r = OCSP_response_create(status, good ? basic : NULL);
	unsigned char *der = NULL;
	int n = r ? i2d_OCSP_RESPONSE(r, &der) : 0;

	asked->certs = good ? (size_t)OCSP_request_onereq_count(rq) : 0;
	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(r);
	OCSP_BASICRESP_free(basic);
	OCSP_REQUEST_free(rq);
	ERR_clear_error();
}
