/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which keys are held: see held.h. Private keys are mostly hidden until a login (CKA_PRIVATE), so that a certificate
 * without its key is told from one with it after a login only.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "cli/held.h"

static bool
is_for_decrypting(X509 *cert)
{
	return (X509_get_key_usage(cert) & (KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT | KU_DATA_ENCIPHERMENT)) != 0;
}

static bool
is_ca(X509 *cert)
{
	return (X509_get_extension_flags(cert) & EXFLAG_CA) != 0;
}

/* After a login the list is the whole truth. */
static enum err
state_after_login(struct held_key *h)
{
	const struct token_key *keys;
	size_t n;
	enum err e = token_login(h->k->token);

	if (e == E_OK)
		e = token_keys(h->k->token, &keys, &n);
	if (e != E_OK)
		return e;
	h->state = HELD_NO;
	for (size_t i = 0; i < n; i++) {
		if (keys[i].has_private &&
		    span_eq(span_of(keys[i].id, keys[i].id_len), span_of(h->k->key.id, h->k->key.id_len)))
			h->state = HELD_YES;
	}
	return E_OK;
}

static enum err
key_state(struct held_key *k, bool login)
{
	k->state = k->k->key.has_private ? HELD_YES : HELD_HIDDEN;
	return k->state == HELD_HIDDEN && login ? state_after_login(k) : E_OK;
}

static enum err
held_add(struct held *h, const struct keyring_key *k, bool login)
{
	struct held_key *grown = realloc(h->keys, (h->n + 1) * sizeof *grown);

	if (grown == NULL)
		return err_set(E_NOMEM, "out of memory");
	h->keys = grown;
	grown[h->n] = (struct held_key){ .k = k, .decrypts = is_for_decrypting(k->key.cert) };
	return key_state(&grown[h->n++], login);
}

enum err
held_open(const char *const *uris, size_t n, bool login, struct held *h)
{
	const struct keyring_key *k;
	enum err e;

	memset(h, 0, sizeof *h);
	e = keyring_open(uris, n, &h->ring);
	for (size_t i = 0; e == E_OK && (k = keyring_at(h->ring, i)) != NULL; i++) {
		if (!is_ca(k->key.cert))
			e = held_add(h, k, login);
	}
	if (e != E_OK)
		held_close(h);
	return e;
}

void
held_close(struct held *h)
{
	keyring_close(&h->ring);
	free(h->keys);
	memset(h, 0, sizeof *h);
}

const char *
held_state_name(enum held_state s)
{
	static const char *const names[] = { [HELD_YES] = "yes", [HELD_HIDDEN] = "unknown", [HELD_NO] = "no" };

	return names[s];
}
