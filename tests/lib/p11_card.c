/* SPDX-License-Identifier: BSD-2-Clause */
/* The module over virtual cards: see p11_card.h. RSA keys take time, so each kind of card is made once a program. */
#include <stdio.h>
#include <unistd.h>

#include "pkcs11/p11.h"
#include "tests/lib/p11_card.h"

#define KINDS 8

static struct {
	char name[32];
	char *json;
} made[KINDS];

static struct vreaders *readers;
static struct vcard *cards[8];
static size_t n_cards;
static bool running;

static const char *
card_json(const char *alg, unsigned retired, bool no_history)
{
	bool yubikey = strncmp(alg, "yubikey-", 8) == 0;
	struct vcard_spec spec = { .alg = yubikey ? alg + 8 : alg,
		.retired = retired,
		.no_history = no_history,
		.yubikey = yubikey,
		.firmware = "5.7.1" };
	char why[VCARD_WHY], name[32];
	struct vcard *card;

	snprintf(name, sizeof name, "%s-%u-%d", alg, retired, no_history);
	for (size_t i = 0; i < KINDS; i++) {
		if (made[i].json != NULL && strcmp(made[i].name, name) == 0)
			return made[i].json;
		if (made[i].json != NULL)
			continue;
		if ((card = vcard_make(&spec, why)) == NULL)
			fail_msg("vcard_make: %s", why);
		made[i].json = vcard_to_json(card);
		vcard_free(card);
		memcpy(made[i].name, name, sizeof name);
		return made[i].json;
	}
	fail_msg("too many kinds of card");
	return NULL;
}

struct vcard *
p11_card(const char *alg, unsigned retired, bool no_history)
{
	char why[VCARD_WHY];
	struct vcard *card = vcard_from_json(card_json(alg, retired, no_history), why);

	if (card == NULL)
		fail_msg("vcard_from_json: %s", why);
	return card;
}

void
p11_start_with(struct vcard *card)
{
	struct readers r;

	setenv("DPIV_CONF", "/dev/null", 0);
	setenv("XDG_CACHE_HOME", "/no-such-directory", 0); /* not the user's; tests of the cache set their own */
	readers = vreaders_new();
	cards[n_cards++] = card;
	vreaders_add(readers, "Reader A", card);
	r = vreaders_ops(readers);
	p11_readers_override(&r);
	alarm(120); /* a call that never comes back fails the test */
	running = true;
	assert_rv_ok(C_Initialize(NULL));
}

void
p11_start(const char *alg)
{
	p11_start_with(p11_card(alg, 0, false));
}

void
p11_stop(void)
{
	if (!running)
		return;
	C_Finalize(NULL);
	p11_readers_override(NULL);
	vreaders_free(readers);
	while (n_cards > 0)
		vcard_free(cards[--n_cards]);
	running = false;
}

int
p11_teardown(void **state)
{
	(void)state;
	p11_stop();
	return 0;
}

struct vreaders *
p11_readers(void)
{
	return readers;
}

struct vcard *
p11_inserted(void)
{
	return cards[n_cards - 1];
}

void
p11_swap(struct vcard *card)
{
	cards[n_cards++] = card;
	vreaders_remove(readers, 0);
	vreaders_insert(readers, 0, card);
}

unsigned
p11_apdus(void)
{
	unsigned n = vreaders_count(readers, 0);

	vreaders_count_clear(readers, 0);
	return n;
}

CK_SESSION_HANDLE
p11_session(CK_FLAGS flags)
{
	CK_SESSION_HANDLE h = 0;

	assert_rv_ok(C_OpenSession(0, CKF_SERIAL_SESSION | flags, NULL, NULL, &h));
	return h;
}

CK_RV
p11_login(CK_SESSION_HANDLE h, CK_USER_TYPE user, const char *pin)
{
	CK_UTF8CHAR copy[64];
	size_t n = strlen(pin);

	memcpy(copy, pin, n);
	return C_Login(h, user, copy, n);
}

CK_SESSION_HANDLE
p11_start_so(const char *alg)
{
	CK_SESSION_HANDLE h;

	p11_start(alg);
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, P11_ADMIN));
	return h;
}

CK_OBJECT_HANDLE
p11_find(CK_SESSION_HANDLE h, CK_OBJECT_CLASS class, CK_BYTE id)
{
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE o[2] = { 0, 0 };
	CK_ULONG n = 0;

	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, o, 2, &n));
	assert_rv_ok(C_FindObjectsFinal(h));
	assert_true(n <= 1);
	return n == 1 ? o[0] : CK_INVALID_HANDLE;
}

size_t
p11_count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	CK_OBJECT_HANDLE o[128];
	CK_ULONG found = 0;

	assert_rv_ok(C_FindObjectsInit(h, tmpl, n));
	assert_rv_ok(C_FindObjects(h, o, 128, &found));
	assert_rv_ok(C_FindObjectsFinal(h));
	return found;
}

CK_ULONG
p11_ulong(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG v = 0;
	CK_ATTRIBUTE a = { type, &v, sizeof v };

	assert_rv_ok(C_GetAttributeValue(h, o, &a, 1));
	assert_int_equal(a.ulValueLen, sizeof v);
	return v;
}

bool
p11_bool(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL v = 2;
	CK_ATTRIBUTE a = { type, &v, sizeof v };

	assert_rv_ok(C_GetAttributeValue(h, o, &a, 1));
	assert_int_equal(a.ulValueLen, sizeof v);
	assert_true(v == CK_TRUE || v == CK_FALSE);
	return v == CK_TRUE;
}

EVP_PKEY *
p11_pubkey(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_OBJECT_HANDLE cert = p11_find(h, CKO_CERTIFICATE, id);
	unsigned char der[4096];
	const unsigned char *p = der;
	CK_ATTRIBUTE a = { CKA_VALUE, der, sizeof der };
	EVP_PKEY *key;
	X509 *x;

	assert_int_not_equal(cert, 0);
	assert_rv_ok(C_GetAttributeValue(h, cert, &a, 1));
	assert_non_null(x = d2i_X509(NULL, &p, (long)a.ulValueLen));
	assert_non_null(key = X509_get_pubkey(x));
	X509_free(x);
	return key;
}

CK_FLAGS
p11_token_flags(void)
{
	CK_TOKEN_INFO info;

	assert_rv_ok(C_GetTokenInfo(0, &info));
	return info.flags;
}

CK_SESSION_HANDLE
p11_ready(CK_MECHANISM_TYPE type)
{
	CK_MECHANISM m = { type, NULL, 0 };
	CK_SESSION_HANDLE h = p11_session(0);
	CK_OBJECT_HANDLE key;

	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_rv_ok(C_SignInit(h, &m, key));
	return h;
}

EVP_PKEY *
p11_key_of(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o)
{
	CK_BYTE spki[1024];
	CK_ATTRIBUTE a = { CKA_PUBLIC_KEY_INFO, spki, sizeof spki };
	const unsigned char *p = spki;
	EVP_PKEY *key;

	assert_rv_ok(C_GetAttributeValue(h, o, &a, 1));
	assert_non_null(key = d2i_PUBKEY(NULL, &p, (long)a.ulValueLen));
	return key;
}

void
p11_end_by_close(CK_SESSION_HANDLE h)
{
	assert_rv_ok(C_CloseSession(h));
}

void
p11_end_by_close_all(CK_SESSION_HANDLE h)
{
	(void)h;
	assert_rv_ok(C_CloseAllSessions(0));
}

void
p11_end_by_cancel(CK_SESSION_HANDLE h)
{
	CK_VERSION v = { 3, 0 };
	CK_INTERFACE *i = NULL;

	assert_rv_ok(C_GetInterface(NULL, &v, &i, 0));
	assert_rv_ok(((CK_FUNCTION_LIST_3_0 *)i->pFunctionList)->C_SessionCancel(h, CKF_SIGN));
}

void
p11_end_by_finalize(CK_SESSION_HANDLE h)
{
	(void)h;
	assert_rv_ok(C_Finalize(NULL));
}
