/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file with the certificates of retired keys that are not on the card: SP 800-73-5 part 1, 3.3.3.
 *
 *	OffCardKeyHistoryFile ::= SEQUENCE SIZE (1..20) OF SEQUENCE {
 *		keyReference OCTET STRING (SIZE(1)),
 *		cert         Certificate }
 *
 * in DER. The Key History object names it by a URL whose last part is its SHA-256 in hexadecimal; that, and nothing
 *else of the URL, is used here. Who fetched the file does not matter: it is the one that the card means, or it is
 *refused.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "hw/crypto.h"
#include "hw/piv_int.h"

#define HASH	 32
#define SEQUENCE 0x30
#define OCTETS	 0x04

enum err
piv_history_file_name(const char *url, char name[PIV_HISTORY_NAME])
{
	const char *last = strrchr(url, '/');
	WBUF_AUTO hash;

	wbuf_init(&hash, HASH);
	last = last != NULL ? last + 1 : url;
	if (strlen(last) != 2 * HASH || !text_unhex(last, &hash) || hash.n != HASH)
		return err_set(E_PROTO, "Key History object: its URL does not end with a SHA-256 value");
	text_hex(wbuf_view(&hash), name, PIV_HISTORY_NAME);
	return E_OK;
}

enum err
piv_history_file_entries(struct span file, struct span *entries)
{
	if (tlv_get(&file, SEQUENCE, entries) != E_OK || file.n != 0)
		return err_set(E_PROTO, "key history file: not one DER sequence");
	return E_OK;
}

enum err
piv_history_file_check(struct span file, const char name[PIV_HISTORY_NAME], struct span *entries)
{
	EVP_MD *md = EVP_MD_fetch(hw_crypto(), "SHA256", NULL);
	char now[PIV_HISTORY_NAME];
	uint8_t hash[HASH];
	bool hashed = md != NULL && EVP_Digest(file.p, file.n, hash, NULL, md, NULL) == 1;

	EVP_MD_free(md);
	*entries = SPAN_NONE;
	if (!hashed)
		return err_crypto(E_CRYPTO, "SHA-256");
	if (strcmp(text_hex(span_of(hash, HASH), now, sizeof now), name) != 0)
		return err_set(
		    E_POLICY, "the key history file is not the one that the card names: its SHA-256 is %s", now);
	return piv_history_file_entries(file, entries);
}

enum err
piv_history_file_find(struct span entries, uint8_t ref, struct span *cert)
{
	struct span entry, octets, body;
	enum err e;

	while ((e = tlv_get(&entries, SEQUENCE, &entry)) == E_OK) {
		if (tlv_get(&entry, OCTETS, &octets) != E_OK || octets.n != 1)
			return err_set(E_PROTO, "key history file: an entry without key reference");
		*cert = entry;
		if (tlv_get(&entry, SEQUENCE, &body) != E_OK || entry.n != 0)
			return err_set(E_PROTO, "key history file: an entry that is not one certificate");
		if (octets.p[0] == ref)
			return E_OK;
	}
	*cert = SPAN_NONE;
	return entries.n == 0 ? err_set(E_NOTFOUND, "key %02X is not in the key history file", ref) : e;
}
