/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key of which binding codes are made (codekey.h). In its file it is 64 hexadecimal digits, which are used as they
 * stand: HMAC takes a key of any length (RFC 2104). Issuers that share a ledger need the same file.
 */
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/file.h"
#include "base/text.h"
#include "derive/issuer/codekey.h"

#define DIGITS 64

static const char label[] = "dpiv-issuer binding code 2";

enum err
codekey_open(const char *path, struct secret **out)
{
	bool hex;
	enum err e;

	*out = NULL;
	if (access(path, F_OK) != 0)
		return E_OK;
	if ((e = file_read_secret(path, out)) != E_OK)
		return e;
	hex = (*out)->n == DIGITS;
	for (size_t k = 0; hex && k < DIGITS; k++)
		hex = text_hex_digit((*out)->v[k]) >= 0;
	if (hex)
		return E_OK;
	secret_free(out);
	return err_set(E_CONF, "%s: not a key of %d hexadecimal digits", path, DIGITS);
}

enum err
codekey_make(const char *path)
{
	uint8_t raw[DIGITS / 2];
	char text[DIGITS + 2];
	enum err e;

	if (RAND_priv_bytes(raw, sizeof raw) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	text_hex(span_of(raw, sizeof raw), text, DIGITS + 1);
	memcpy(&text[DIGITS], "\n", 2);
	e = file_write(path, 0600, span_of(text, DIGITS + 1));
	OPENSSL_cleanse(raw, sizeof raw);
	OPENSSL_cleanse(text, sizeof text);
	return e;
}

enum err
codekey_code(const struct secret *key, const uint8_t salt[CODEKEY_SALT], char plain[BINDCODE_PLAIN])
{
	uint8_t in[sizeof label + CODEKEY_SALT], mac[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	_Static_assert(BINDCODE_DRAWN <= 32, "one SHA-256 is enough");
	memcpy(in, label, sizeof label);
	memcpy(&in[sizeof label], salt, CODEKEY_SALT);
	if (HMAC(EVP_sha256(), key->v, (int)key->n, in, sizeof in, mac, &n) == NULL || n < BINDCODE_DRAWN)
		return err_crypto(E_CRYPTO, "cannot make a binding code");
	bindcode_from(mac, plain);
	OPENSSL_cleanse(mac, sizeof mac);
	return E_OK;
}
