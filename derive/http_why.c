/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why an exchange with a server failed, in words: three tables (TLS alerts, what libcurl says, what the server's
 * certificate is found guilty of). An alert comes first: it is what the server itself said. libcurl's numbers are part
 * of its ABI and are repeated here, since <curl/curl.h> belongs to http.c.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/text.h"
#include "derive/http_why.h"

enum {
	RESOLVE = 6,
	CONNECT = 7,
	WEIRD = 8,
	UNSUPPORTED = 1,
	WRITE = 23,
	TIMEOUT = 28,
	SSL_CONNECT = 35,
	ABORTED = 42,
	NOTHING = 52,
	SENDING = 55,
	RECEIVING = 56,
	UNTRUSTED = 60,
	CAFILE = 77,
};

static const struct {
	int alert;
	enum err e;
	const char *text;
} alerts[] = {
	{ SSL_AD_HANDSHAKE_FAILURE, E_NET,
	    "found no TLS parameters in common with dpiv; ask the issuer which it wants" },
	{ SSL_AD_BAD_CERTIFICATE, E_REMOTE,
	    "refused your certificate as bad; ask the issuer whether it takes this card" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE, E_REMOTE,
	    "refused your certificate: it is not of the kind that it takes; is it the PIV Authentication "
	    "certificate?" },
	{ SSL_AD_CERTIFICATE_REVOKED, E_REMOTE, "refused your certificate: it is revoked; get a new card first" },
	{ SSL_AD_CERTIFICATE_EXPIRED, E_REMOTE, "refused your certificate: it has expired; get a new card first" },
	{ SSL_AD_CERTIFICATE_UNKNOWN, E_REMOTE, "refused your certificate; ask the issuer whether it takes this card" },
	{ SSL_AD_UNKNOWN_CA, E_REMOTE, "does not know the authority that issued your card; ask the issuer to add it" },
	{ SSL_AD_ACCESS_DENIED, E_REMOTE, "denied you access; ask the issuer whether you may derive credentials" },
	{ SSL_AD_DECRYPT_ERROR, E_REMOTE,
	    "found the card's signature wrong: key and certificate of the card do not match" },
	{ SSL_AD_PROTOCOL_VERSION, E_NET,
	    "does not speak the TLS version that dpiv was told to use; see tls in dpiv.conf" },
	{ SSL_AD_INSUFFICIENT_SECURITY, E_NET, "wants stronger keys or ciphers than it was offered" },
	{ SSL_AD_INTERNAL_ERROR, E_NET, "has an internal error; try again later or tell the issuer" },
	{ SSL_AD_UNRECOGNIZED_NAME, E_NET, "does not go by this name; check the issuer's address" },
	{ 116, E_REMOTE, "wants a client certificate and got none; is the PIV card in the reader?" },
};

static const struct {
	int curl;
	enum err e;
	const char *text;
} reasons[] = {
	{ UNSUPPORTED, E_PROTO, "does not answer in HTTP; is this the issuer's address?" },
	{ WEIRD, E_PROTO, "does not answer in HTTP; is this the issuer's address?" },
	{ RESOLVE, E_NET, "is not a known name; check the address and the network" },
	{ CONNECT, E_NET, "does not take connections; check the address and port, or try again later" },
	{ SSL_CONNECT, E_NET, "and dpiv could not agree on TLS" },
	{ ABORTED, E_CANCELED, "was not waited for any longer, as you asked" },
	{ NOTHING, E_NET, "closed the connection without a word; try again later, or check the address" },
	{ SENDING, E_NET, "broke the connection; try again" },
	{ RECEIVING, E_NET, "broke the connection; try again" },
	{ CAFILE, E_CONF, "cannot be checked: the CA file cannot be read" },
	{ 92, E_PROTO, "does not answer in HTTP; is this the issuer's address?" },
};

static const struct {
	long verify;
	const char *text;
} faults[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, "it has expired (or this computer's clock is wrong); tell the issuer" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "it is not valid yet: is this computer's clock right?" },
	{ X509_V_ERR_CERT_REVOKED, "it is revoked; do not use this server, tell the issuer" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "it is self-signed; get the issuer's CA certificate and use --cafile" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
	    "its root is not one that you trust; get the issuer's CA certificate and use --cafile" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "its issuer is not one that you trust; get the issuer's CA certificate and use --cafile" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
	    "its issuer is not one that you trust; get the issuer's CA certificate and use --cafile" },
};

/* libcurl's words are partly the server's (a header, a host name): made safe. */
static enum err
why_said(const struct http_failure *f, enum err e, const char *text)
{
	char detail[160];

	text_safe(span_str(f->detail), detail, sizeof detail);
	return err_set(
	    e, "%s %s%s%s%s", f->server, text, detail[0] != '\0' ? " (" : "", detail, detail[0] != '\0' ? ")" : "");
}

static enum err
why_untrusted(const struct http_failure *f)
{
	/* the names are libcurl's own check; it leaves the verdict of the path as it was, or unspecified */
	if (f->verify == X509_V_OK || f->verify == X509_V_ERR_UNSPECIFIED || f->verify == X509_V_ERR_HOSTNAME_MISMATCH)
		return err_set(E_POLICY,
		    "%s showed a certificate for another name; check the issuer's address, and do not go on "
		    "if it is right",
		    f->server);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (faults[i].verify == f->verify)
			return err_set(
			    E_POLICY, "%s showed a certificate that is not trusted: %s", f->server, faults[i].text);
	return err_set(E_POLICY, "%s showed a certificate that is not trusted: %s", f->server,
	    X509_verify_cert_error_string(f->verify));
}

enum err
http_why(const struct http_failure *f)
{
	if (f->too_much)
		return err_set(E_PROTO,
		    "%s sent far more than an enrolment reply has; nothing was taken, tell the issuer", f->server);
	for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
		if (f->alert != 0 && alerts[i].alert == f->alert)
			return err_set(alerts[i].e, "%s %s", f->server, alerts[i].text);
	if (f->alert != 0)
		return err_set(E_NET, "%s broke off with TLS alert %d (%s)", f->server, f->alert,
		    SSL_alert_desc_string_long(f->alert));
	if (f->curl == UNTRUSTED)
		return why_untrusted(f);
	if (f->curl == TIMEOUT)
		return err_set(E_NET, "%s did not answer within %ld seconds; try again later, or check the address",
		    f->server, f->timeout);
	/* libp11's words in libcurl's: the signature did not come about */
	if (f->cert_sent && strstr(f->detail, "PKCS#11") != NULL)
		return why_said(f, E_IO,
		    "did not get the PIV card's signature: the card failed or was taken out; insert it again and run "
		    "the same command again");
	/* in TLS 1.3 a refusal follows the handshake and is lost when the server closes at once */
	if (f->cert_sent && (f->curl == SENDING || f->curl == RECEIVING || f->curl == SSL_CONNECT))
		return why_said(f, E_NET,
		    "broke the connection after it saw the card's certificate; it may not accept this card: try "
		    "again, or ask the issuer");
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].curl == f->curl)
			return why_said(f, reasons[i].e, reasons[i].text);
	return why_said(f, E_NET, "could not be talked to");
}
