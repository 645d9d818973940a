/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channel binding: RFC 7030 3.5 links the request's proof of possession to the TLS session by tls-unique in the
 * challengePassword. tls-unique is the first Finished of the latest handshake: the client's, unless the session was
 * resumed (RFC 5929 3.1), and it is trustworthy with the extended master secret only (RFC 7627). TLS 1.3 has no
 * tls-unique: there dpiv uses the exporter "EXPORTER-Channel-Binding" of RFC 9266, 32 bytes, by agreement.
 */
#include <string.h>
#include <openssl/crypto.h>

#include "base/text.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/refuse.h"

static const char label[] = "EXPORTER-Channel-Binding";

static size_t
raw_value(SSL *ssl, uint8_t out[EVP_MAX_MD_SIZE])
{
	if (SSL_version(ssl) >= TLS1_3_VERSION)
		return SSL_export_keying_material(ssl, out, 32, label, sizeof label - 1, NULL, 0, 0) == 1 ? 32 : 0;
	if (SSL_get_extms_support(ssl) != 1)
		return 0;
	return SSL_session_reused(ssl) ? SSL_get_finished(ssl, out, EVP_MAX_MD_SIZE)
				       : SSL_get_peer_finished(ssl, out, EVP_MAX_MD_SIZE);
}

enum err
binding_value(SSL *ssl, char out[BINDING_MAX])
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	WBUF_AUTO text = { 0 };
	size_t n = raw_value(ssl, raw);

	out[0] = '\0';
	if (n == 0 || n > 36)
		return E_OK;
	wbuf_init(&text, BINDING_MAX - 1);
	text_base64(span_of(raw, n), 0, &text);
	if (text.bad)
		return err_set(E_INTERNAL, "channel binding does not fit");
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return E_OK;
}

enum err
binding_check(const char *value, const char *challenge, bool required)
{
	size_t n = strlen(value);

	if (challenge[0] == '\0' && !required)
		return E_OK;
	if (challenge[0] == '\0')
		return refuse(REFUSE_BINDING,
		    "the request has no challengePassword; put the channel binding of the TLS connection there"
		    " (tls-unique, RFC 7030 3.5; with TLS 1.3 the exporter of RFC 9266)");
	if (n == 0)
		return refuse(
		    REFUSE_BINDING, "this TLS connection has no channel binding (extended master secret is missing)");
	if (strlen(challenge) != n || CRYPTO_memcmp(challenge, value, n) != 0)
		return refuse(REFUSE_BINDING,
		    "the challengePassword is not the channel binding of this TLS connection; was the request sent on "
		    "another one?");
	return E_OK;
}
