/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Binding codes as text. Crockford's alphabet has no letters that are mistaken for digits and no U, so a code can be
 * read aloud and typed by anybody. His own check symbol is modulo 37 and brings characters that are hard to find on
 * keyboards; here it is the one symbol c with sum(s[i] * a^i) + c = 0 in GF(32), a a generator: a wrong symbol changes
 * one term, and an exchange of two changes the sum because their weights differ, so that both are always noticed.
 */
#include <ctype.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "derive/bindcode.h"

#define SYMBOLS (BINDCODE_PLAIN - 1)
#define DRAWN	BINDCODE_DRAWN
#define GROUP	4
#define FIELD	0x25 /* x^5 + x^2 + 1 */

_Static_assert((DRAWN - BINDCODE_NAME) * 5 == BINDCODE_SECRET && BINDCODE_SECRET >= 64, "SP 800-157r1 App. C");

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* -1: not a symbol */
static int
symbol_value(char ch)
{
	char up = (char)toupper((unsigned char)ch);
	const char *at;

	if (up == 'O')
		up = '0';
	if (up == 'I' || up == 'L')
		up = '1';
	at = up != '\0' ? strchr(alphabet, up) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Horner's rule: multiply by x, add. */
static int
check_value(const char plain[BINDCODE_PLAIN])
{
	int sum = 0;

	for (int i = 0; i <= DRAWN; i++) {
		sum <<= 1;
		if (sum & 0x20)
			sum ^= FIELD;
		if (i < DRAWN)
			sum ^= symbol_value(plain[i]);
	}
	return sum;
}

void
bindcode_from(const uint8_t raw[BINDCODE_DRAWN], char plain[BINDCODE_PLAIN])
{
	for (int i = 0; i < DRAWN; i++)
		plain[i] = alphabet[raw[i] & 31];
	plain[DRAWN] = alphabet[check_value(plain)];
	plain[SYMBOLS] = '\0';
}

enum err
bindcode_new(char plain[BINDCODE_PLAIN])
{
	uint8_t raw[DRAWN];

	if (RAND_priv_bytes(raw, sizeof raw) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	bindcode_from(raw, plain);
	OPENSSL_cleanse(raw, sizeof raw);
	return E_OK;
}

bool
bindcode_read_name(struct span typed, char name[BINDCODE_NAME + 1])
{
	memset(name, 0, BINDCODE_NAME + 1);
	for (size_t i = 0; i < typed.n; i++) {
		int v = symbol_value((char)typed.p[i]);

		if (v < 0 || i >= BINDCODE_NAME)
			return false;
		name[i] = alphabet[v];
	}
	return typed.n == BINDCODE_NAME;
}

static bool
is_filler(uint8_t ch)
{
	return ch == '-' || ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

enum err
bindcode_read(struct span typed, char plain[BINDCODE_PLAIN])
{
	size_t n = 0;
	bool good = true;

	memset(plain, 0, BINDCODE_PLAIN);
	for (size_t i = 0; good && i < typed.n; i++) {
		int v;

		if (is_filler(typed.p[i]))
			continue;
		v = symbol_value((char)typed.p[i]);
		good = v >= 0 && n < SYMBOLS;
		if (good)
			plain[n++] = alphabet[v];
	}
	if (good && n == SYMBOLS && alphabet[check_value(plain)] == plain[DRAWN])
		return E_OK;
	OPENSSL_cleanse(plain, BINDCODE_PLAIN);
	return err_set(E_POLICY,
	    good && n == SYMBOLS
		? "the binding code is mistyped: its last character does not fit the others; compare it with what "
		  "'dpiv bind' showed"
		: "this is not a binding code: it has five groups of four letters and digits, as 'dpiv bind' shows it");
}

char *
bindcode_show(const char plain[BINDCODE_PLAIN], char out[BINDCODE_TEXT])
{
	size_t n = 0;

	for (size_t i = 0; i < SYMBOLS; i++) {
		if (i > 0 && i % GROUP == 0)
			out[n++] = '-';
		out[n++] = plain[i];
	}
	out[n] = '\0';
	return out;
}
