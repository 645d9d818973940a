/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can a token make such a key, and do with it what it is for? By its list of mechanisms (PKCS #11 v2.40 base, 5.5),
 * before anything is generated or asked of an issuer: a TPM makes P-256 keys with CKA_DERIVE and has no mechanism to
 * derive by, and nobody could read what is encrypted to such a certificate. A mechanism that the token does not have is
 * known for certain; one that it says nothing more about is believed.
 */
#include "derive/token_int.h"

#define MECHS_MAX 1024
#define DECRYPTS  (CKF_DECRYPT | CKF_UNWRAP)

static const struct can {
	CK_MECHANISM_TYPE gen;
	CK_MECHANISM_TYPE sign[3]; /* one of them; 0: no more */
	CK_MECHANISM_TYPE decrypt[3];
	CK_FLAGS decrypt_flags;
	const char *what; /* the token cannot do, to decrypt */
} rsa = { CKM_RSA_PKCS_KEY_PAIR_GEN, { CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS, 0 },
	{ CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP, CKM_RSA_X_509 }, DECRYPTS, "RSA decryption" },
  ec = { CKM_EC_KEY_PAIR_GEN, { CKM_ECDSA, CKM_ECDSA_SHA256, 0 }, { CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE, 0 },
	  CKF_DERIVE, "key agreement (ECDH)" };

static const struct {
	const struct can *can;
	CK_ULONG bits;	   /* RSA */
	const char *other; /* a kind that tokens without it mostly have */
} kinds[] = {
	[TOKEN_RSA2048] = { &rsa, 2048, "p256" },
	[TOKEN_RSA3072] = { &rsa, 3072, "rsa2048" },
	[TOKEN_P256] = { &ec, 0, "rsa2048" },
	[TOKEN_P384] = { &ec, 0, "rsa2048" },
};

/* By the list first: asked about one that it has not, a module may print complaints. */
static bool
mech_listed(struct token *t, CK_MECHANISM_TYPE m)
{
	CK_MECHANISM_TYPE list[MECHS_MAX];
	CK_ULONG n = MECHS_MAX;

	if (t->m->f->C_GetMechanismList(t->slot, list, &n) != CKR_OK || n > MECHS_MAX)
		return true;
	for (CK_ULONG i = 0; i < n; i++)
		if (list[i] == m)
			return true;
	return false;
}

static bool
mech_has(struct token *t, CK_MECHANISM_TYPE m, CK_FLAGS flags, CK_ULONG bits)
{
	CK_MECHANISM_INFO mi = { 0 };
	CK_RV rv;

	if (!mech_listed(t, m))
		return false;
	rv = t->m->f->C_GetMechanismInfo(t->slot, m, &mi);
	if (rv != CKR_OK)
		return rv != CKR_MECHANISM_INVALID;
	/* some count in bytes */
	if (bits != 0 && mi.ulMaxKeySize >= 1024 && (bits < mi.ulMinKeySize || bits > mi.ulMaxKeySize))
		return false;
	return (mi.flags & ~(CK_FLAGS)CKF_HW) == 0 || (mi.flags & flags) != 0;
}

static bool
mech_any(struct token *t, const CK_MECHANISM_TYPE list[3], CK_FLAGS flags)
{
	for (int i = 0; i < 3 && (i == 0 || list[i] != 0); i++)
		if (mech_has(t, list[i], flags, 0))
			return true;
	return false;
}

enum err
token_can_use(const struct token *t, enum token_use use)
{
	if (use != TOKEN_USE_BOTH || !token_has_places(t))
		return E_OK;
	return err_set(E_UNSUP,
	    "token '%s' has one place for a signature key and another for an encryption key, and none for a key that "
	    "does both; take another token, or an issuer with a certificate for each",
	    t->label);
}

enum err
token_can(struct token *t, enum token_alg alg, enum token_use use)
{
	const struct can *c = kinds[alg].can;
	const char *what = NULL;

	if (token_can_use(t, use) != E_OK)
		return E_UNSUP;
	if (!mech_has(t, c->gen, CKF_GENERATE_KEY_PAIR, kinds[alg].bits))
		what = "make keys of this kind";
	else if (!mech_any(t, c->sign, CKF_SIGN))
		what = "sign with keys of this kind";
	if (what != NULL)
		return err_set(
		    E_UNSUP, "token '%s' cannot %s; try another, as with --alg %s", t->label, what, kinds[alg].other);
	if (use != TOKEN_USE_SIGN && !mech_any(t, c->decrypt, c->decrypt_flags))
		return err_set(E_UNSUP,
		    "token '%s' has no %s, so nobody could read what is encrypted to such a key; try another kind, as "
		    "with --alg %s",
		    t->label, c->what, kinds[alg].other);
	return E_OK;
}
