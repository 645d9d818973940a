/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a CMP transaction failed. In order: what dpiv itself found (transport, a certificate that it does not accept);
 * a token that did not sign, which left its reason in libcrypto's queue first; what the issuer said (PKIStatusInfo, RFC
 * 9810, 5.2.3); and what libcrypto found wrong with an answer.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/cmperr.h>
#include <openssl/err.h>

#include "base/text.h"
#include "derive/cmp_why.h"

void
cmp_trouble_clear(struct cmp_trouble *t)
{
	free(t->why);
	t->why = NULL;
	t->e = E_OK;
}

/* More messages follow a refusal (certConf); what became of them is of no interest. */
void
cmp_trouble_set(struct cmp_trouble *t, enum err e)
{
	if (e == E_OK || t->e != E_OK)
		return;
	t->e = e;
	t->why = strdup(err_msg());
}

static const struct {
	int reason;
	enum err e;
	const char *text;
} reasons[] = {
	{ CMP_R_TRANSACTIONID_UNMATCHED, E_POLICY, "answered for another transaction; nothing was taken" },
	{ CMP_R_RECIPNONCE_UNMATCHED, E_POLICY, "answered to another request (an old answer sent again?)" },
	{ CMP_R_CERTIFICATE_NOT_ACCEPTED, E_POLICY, "issued a certificate that is not the one that was asked for" },
	{ CMP_R_MISSING_PROTECTION, E_POLICY, "sent an answer without protection, which anybody could have sent" },
	{ CMP_R_WRONG_PBM_VALUE, E_POLICY,
	    "protects its answers with another secret; check secret and reference in dpiv.conf" },
	{ CMP_R_NO_SUITABLE_SENDER_CERT, E_POLICY,
	    "signs its answers with a certificate that dpiv does not trust for that: it must lead to the CA file and "
	    "be "
	    "a CA's or meant for certificate management (cmcRA), or be named as signer in dpiv.conf" },
	{ CMP_R_SRVCERT_DOES_NOT_VALIDATE_MSG, E_POLICY, "does not sign its answers with the configured certificate" },
	{ CMP_R_ERROR_VALIDATING_SIGNATURE, E_POLICY, "sent an answer with a wrong signature" },
	{ CMP_R_MISSING_TRUST_ANCHOR, E_POLICY, "signs its answers, and dpiv does not know with what; use --cafile" },
	{ CMP_R_MISSING_TRUST_STORE, E_POLICY, "signs its answers, and dpiv does not know with what; use --cafile" },
	{ CMP_R_MISSING_SECRET, E_POLICY,
	    "protects its answers with a shared secret; name its file as secret in dpiv.conf" },
	{ CMP_R_MISSING_PBM_SECRET, E_POLICY,
	    "protects its answers with a shared secret; name its file as secret in dpiv.conf" },
	{ CMP_R_ERROR_VALIDATING_PROTECTION, E_POLICY, "sent an answer whose protection is wrong" },
	{ CMP_R_BAD_CHECKAFTER_IN_POLLREP, E_PROTO, "asks for an impossible time to wait" },
	{ CMP_R_CHECKAFTER_OUT_OF_RANGE, E_PROTO, "asks for an impossible time to wait" },
	{ CMP_R_MISSING_KEY_USAGE_DIGITALSIGNATURE, E_POLICY,
	    "cannot be asked with this certificate, which is not for signatures" },
};

/* The queue is emptied; the most telling row wins. */
static enum err
why_queue(const struct cmp_trouble *t, const char *server)
{
	const size_t n = sizeof reasons / sizeof reasons[0];
	size_t best = n;
	unsigned long code;
	char words[160] = "";

	while ((code = ERR_get_error()) != 0) {
		ERR_error_string_n(code, words, sizeof words);
		for (size_t i = 0; ERR_GET_LIB(code) == ERR_LIB_CMP && i < best; i++)
			if (reasons[i].reason == ERR_GET_REASON(code))
				best = i;
	}
	if (best < n)
		return err_set(reasons[best].e, "%s %s", server, reasons[best].text);
	if (words[0] == '\0' && t->pinned) /* another sender's name: libcrypto only logs that */
		return err_set(E_POLICY, "%s does not sign its answers with the configured certificate", server);
	return err_set(E_PROTO, "%s: the exchange failed: %s", server, words[0] != '\0' ? words : "no reason given");
}

enum err
cmp_why(const OSSL_CMP_CTX *ctx, const struct cmp_trouble *t, const char *server)
{
	char status[OSSL_CMP_PKISI_BUFLEN], said[320];
	int s = OSSL_CMP_CTX_get_status(ctx);

	if (t->e != E_OK) {
		ERR_clear_error();
		return err_set(t->e, "%s", t->why != NULL ? t->why : err_text(t->e));
	}
	/* libraries that come later than libcrypto's own: a token's refusal is the oldest entry */
	if (ERR_GET_LIB(ERR_peek_error()) >= ERR_LIB_USER)
		return err_set(E_CRYPTO, "the key did not sign");
	if (s == OSSL_CMP_PKISTATUS_rejection && OSSL_CMP_CTX_snprint_PKIStatus(ctx, status, sizeof status) != NULL) {
		ERR_clear_error();
		return err_set(E_REMOTE, "%s refused: %s", server, text_safe(span_str(status), said, sizeof said));
	}
	return why_queue(t, server);
}
