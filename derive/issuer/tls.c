/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS of the issuer: RFC 7030 3.3 with RFC 8996 (1.2 or later), ECDHE with AES-GCM. A client certificate is asked for
 * but its path is not judged here: an alert cannot explain, the handler can. What the handshake does prove is that the
 * client holds the certificate's key (CertificateVerify), which is the signature of PKI-AUTH.
 *
 * Channel binding needs every connection to be a full handshake: no tickets, no session cache, no renegotiation.
 */
#include <string.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/tls.h"
#include "derive/issuer/x509io.h"

static int
accept_any(X509_STORE_CTX *ctx, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/* The client gets the alert decrypt_error and no sentence; whoever it asks finds one here. The certificate may be
 * anybody's, since it is public: so nothing is written into the ledger under its name. */
static void
on_alert(const SSL *ssl, int where, int value)
{
	X509 *peer;
	char name[512];

	if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || (value & 0xff) != SSL_AD_DECRYPT_ERROR ||
	    (peer = SSL_get0_peer_certificate(ssl)) == NULL)
		return;
	x509io_name_text(X509_get_subject_name(peer), name, sizeof name);
	note("refused", "code=%s the TLS handshake is not signed by the key of the certificate of %s",
	    refuse_code(REFUSE_POSSESSION), name);
}

/* So that browsers and token middleware offer the right certificate. */
static bool
name_authorities(SSL_CTX *ctx, STACK_OF(X509) * certs)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (!SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i)))
			return false;
	return true;
}

static int key_slot = -1;

/* The last connection is gone, and nothing signs with the key any more. */
static void
key_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct cakey *key = ptr;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	cakey_close(&key);
}

/* The key, in a file or on a token, lives as long as the context. */
static enum err
use_key(SSL_CTX *ctx, struct cakey *key, const struct config *c)
{
	if (key_slot < 0)
		key_slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, key_free);
	if (key_slot < 0 || !SSL_CTX_set_ex_data(ctx, key_slot, key)) {
		cakey_close(&key);
		return err_crypto(E_NOMEM, "cannot set up TLS");
	}
	if (SSL_CTX_use_PrivateKey(ctx, cakey_pkey(key)) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return err_crypto(E_CONF, "%s: not the key of %s", c->tls_key, c->tls_cert);
	return E_OK;
}

static enum err
own_identity(SSL_CTX *ctx, const struct config *c)
{
	struct cakey *key;
	enum err e;

	if (SSL_CTX_use_certificate_chain_file(ctx, c->tls_cert) != 1)
		return err_crypto(E_CONF, "%s: cannot use as TLS certificate", c->tls_cert);
	e = cakey_open_as(
	    "key of the TLS server", c->tls_key, true, false, X509_get0_pubkey(SSL_CTX_get0_certificate(ctx)), &key);
	return e == E_OK ? use_key(ctx, key, c) : err_up(e, "%s", c->tls_cert);
}

static bool
settings(SSL_CTX *ctx, const char *versions)
{
	static const unsigned char session_context[] = "dpiv-issuer";
	int groups[] = { NID_X9_62_prime256v1, NID_secp384r1, NID_X25519 };
	int low = strcmp(versions, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	int high = strcmp(versions, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
	SSL_CTX_set_info_callback(ctx, on_alert);
	SSL_CTX_set_max_cert_list(ctx, 32768);
	return SSL_CTX_set_num_tickets(ctx, 0) && SSL_CTX_set_min_proto_version(ctx, low) &&
	    SSL_CTX_set_max_proto_version(ctx, high) && SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM") &&
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256") &&
	    SSL_CTX_set1_groups(ctx, groups, 3) &&
	    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
}

enum err
tls_context(const struct config *c, const char *versions, const struct trust *trust, SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum err e;

	*out = NULL;
	if (ctx == NULL || !settings(ctx, versions) || !name_authorities(ctx, trust->anchor_list) ||
	    !name_authorities(ctx, trust->intermediates))
		e = err_crypto(E_CRYPTO, "cannot set up TLS");
	else
		e = own_identity(ctx, c);
	if (e != E_OK)
		SSL_CTX_free(ctx);
	else
		*out = ctx;
	return e;
}
