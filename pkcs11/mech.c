/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mechanisms (PKCS#11 2.40 current mechanisms; 3.0, 6): one table. The card does the raw private-key operation and
 * nothing else; padding, hashing, key derivation and everything with public or session keys is done here, so that PSS,
 * OAEP and the KDFs are there on every card. Flags say what this module can do with the mechanism, not more: no
 * CKF_UNWRAP on RSA (programs would unwrap into a session key and lose the choice), no CKF_DERIVE on what encrypts.
 */
#include <string.h>

#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define RSA_MIN 1024
#define RSA_MAX 4096
#define EC_MIN	256
#define EC_MAX	384
#define SV	(CKF_HW | CKF_SIGN | CKF_VERIFY)
#define ED	(CKF_HW | CKF_ENCRYPT | CKF_DECRYPT)
#define EC	(CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS)

#define RSA(type, scheme, hash, param, flags)                                                                          \
	{                                                                                                              \
		type, scheme, CKK_RSA, hash, param, flags, RSA_MIN, RSA_MAX                                            \
	}
#define ECC(type, scheme, hash, param, flags)                                                                          \
	{                                                                                                              \
		type, scheme, CKK_EC, hash, param, flags | EC, EC_MIN, EC_MAX                                          \
	}
#define DIG(type, hash)                                                                                                \
	{                                                                                                              \
		type, SCHEME_DIGEST, MECH_NO_KEY, hash, PARAM_NONE, CKF_DIGEST, 0, 0                                   \
	}
#define AES(type, scheme, param, flags)                                                                                \
	{                                                                                                              \
		type, scheme, CKK_AES, NULL, param, flags, 16, 32                                                      \
	}

static const struct mech table[] = {
	{ CKM_RSA_PKCS_KEY_PAIR_GEN, SCHEME_KEY_PAIR_GEN, CKK_RSA, NULL, PARAM_NONE, CKF_HW | CKF_GENERATE_KEY_PAIR,
	    2048, RSA_MAX },
	RSA(CKM_RSA_PKCS, SCHEME_RSA_PKCS, NULL, PARAM_NONE, SV | ED),
	RSA(CKM_RSA_X_509, SCHEME_RSA_RAW, NULL, PARAM_NONE, SV | ED),
	RSA(CKM_RSA_PKCS_OAEP, SCHEME_RSA_OAEP, NULL, PARAM_OAEP, ED),
	RSA(CKM_RSA_PKCS_PSS, SCHEME_RSA_PSS, NULL, PARAM_PSS, SV),
	RSA(CKM_SHA1_RSA_PKCS, SCHEME_RSA_PKCS, "SHA1", PARAM_NONE, SV),
	RSA(CKM_SHA224_RSA_PKCS, SCHEME_RSA_PKCS, "SHA224", PARAM_NONE, SV),
	RSA(CKM_SHA256_RSA_PKCS, SCHEME_RSA_PKCS, "SHA256", PARAM_NONE, SV),
	RSA(CKM_SHA384_RSA_PKCS, SCHEME_RSA_PKCS, "SHA384", PARAM_NONE, SV),
	RSA(CKM_SHA512_RSA_PKCS, SCHEME_RSA_PKCS, "SHA512", PARAM_NONE, SV),
	RSA(CKM_SHA1_RSA_PKCS_PSS, SCHEME_RSA_PSS, "SHA1", PARAM_PSS, SV),
	RSA(CKM_SHA224_RSA_PKCS_PSS, SCHEME_RSA_PSS, "SHA224", PARAM_PSS, SV),
	RSA(CKM_SHA256_RSA_PKCS_PSS, SCHEME_RSA_PSS, "SHA256", PARAM_PSS, SV),
	RSA(CKM_SHA384_RSA_PKCS_PSS, SCHEME_RSA_PSS, "SHA384", PARAM_PSS, SV),
	RSA(CKM_SHA512_RSA_PKCS_PSS, SCHEME_RSA_PSS, "SHA512", PARAM_PSS, SV),
	ECC(CKM_EC_KEY_PAIR_GEN, SCHEME_KEY_PAIR_GEN, NULL, PARAM_NONE, CKF_HW | CKF_GENERATE_KEY_PAIR),
	ECC(CKM_ECDSA, SCHEME_ECDSA, NULL, PARAM_NONE, SV),
	ECC(CKM_ECDSA_SHA1, SCHEME_ECDSA, "SHA1", PARAM_NONE, SV),
	ECC(CKM_ECDSA_SHA224, SCHEME_ECDSA, "SHA224", PARAM_NONE, SV),
	ECC(CKM_ECDSA_SHA256, SCHEME_ECDSA, "SHA256", PARAM_NONE, SV),
	ECC(CKM_ECDSA_SHA384, SCHEME_ECDSA, "SHA384", PARAM_NONE, SV),
	ECC(CKM_ECDSA_SHA512, SCHEME_ECDSA, "SHA512", PARAM_NONE, SV),
	ECC(CKM_ECDH1_DERIVE, SCHEME_ECDH, NULL, PARAM_ECDH, CKF_HW | CKF_DERIVE),
	ECC(CKM_ECDH1_COFACTOR_DERIVE, SCHEME_ECDH, NULL, PARAM_ECDH, CKF_HW | CKF_DERIVE),
	/* where the card has such keys; it is not asked beforehand */
	{ CKM_EC_EDWARDS_KEY_PAIR_GEN, SCHEME_KEY_PAIR_GEN, CKK_EC_EDWARDS, NULL, PARAM_NONE,
	    CKF_HW | CKF_GENERATE_KEY_PAIR, 256, 256 },
	{ CKM_EC_MONTGOMERY_KEY_PAIR_GEN, SCHEME_KEY_PAIR_GEN, CKK_EC_MONTGOMERY, NULL, PARAM_NONE,
	    CKF_HW | CKF_GENERATE_KEY_PAIR, 256, 256 },
	{ CKM_EDDSA, SCHEME_EDDSA, CKK_EC_EDWARDS, NULL, PARAM_EDDSA, SV, 256, 256 },
	DIG(CKM_SHA_1, "SHA1"),
	DIG(CKM_SHA224, "SHA224"),
	DIG(CKM_SHA256, "SHA256"),
	DIG(CKM_SHA384, "SHA384"),
	DIG(CKM_SHA512, "SHA512"),
	AES(CKM_AES_KEY_GEN, SCHEME_AES_GEN, PARAM_NONE, CKF_GENERATE),
	AES(CKM_AES_ECB, SCHEME_AES_ECB, PARAM_NONE, CKF_ENCRYPT | CKF_DECRYPT),
	AES(CKM_AES_CBC, SCHEME_AES_CBC, PARAM_IV16, CKF_ENCRYPT | CKF_DECRYPT),
	AES(CKM_AES_CBC_PAD, SCHEME_AES_CBC_PAD, PARAM_IV16, CKF_ENCRYPT | CKF_DECRYPT | CKF_UNWRAP),
	AES(CKM_AES_KEY_WRAP, SCHEME_AES_WRAP, PARAM_IV8, CKF_ENCRYPT | CKF_DECRYPT | CKF_UNWRAP),
	AES(CKM_AES_KEY_WRAP_PAD, SCHEME_AES_KWP, PARAM_NONE, CKF_UNWRAP),
	AES(CKM_AES_KEY_WRAP_KWP, SCHEME_AES_KWP, PARAM_NONE, CKF_UNWRAP),
	{ CKM_GENERIC_SECRET_KEY_GEN, SCHEME_SECRET_GEN, CKK_GENERIC_SECRET, NULL, PARAM_NONE, CKF_GENERATE, 8, 4096 },
};
#define N_MECHS (sizeof table / sizeof table[0])
_Static_assert(N_MECHS <= REMOTE_MECHS, "there is room for what another module has of each row");

static const struct mech_hash hashes[] = {
	{ "SHA1", CKM_SHA_1, CKG_MGF1_SHA1, CKD_SHA1_KDF, 20 },
	{ "SHA224", CKM_SHA224, CKG_MGF1_SHA224, CKD_SHA224_KDF, 28 },
	{ "SHA256", CKM_SHA256, CKG_MGF1_SHA256, CKD_SHA256_KDF, 32 },
	{ "SHA384", CKM_SHA384, CKG_MGF1_SHA384, CKD_SHA384_KDF, 48 },
	{ "SHA512", CKM_SHA512, CKG_MGF1_SHA512, CKD_SHA512_KDF, 64 },
};
#define N_HASHES (sizeof hashes / sizeof hashes[0])

const struct mech *
mech_row(size_t i)
{
	return i < N_MECHS ? &table[i] : NULL;
}

size_t
mech_index(const struct mech *row)
{
	return (size_t)(row - table);
}

const struct mech *
mech_find(CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < N_MECHS; i++)
		if (table[i].type == type)
			return &table[i];
	return NULL;
}

const struct mech_hash *
mech_hash_by_name(const char *name)
{
	for (size_t i = 0; i < N_HASHES; i++)
		if (strcmp(hashes[i].name, name) == 0)
			return &hashes[i];
	return NULL;
}

static const struct mech_hash *
hash_by_ckm(CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < N_HASHES; i++)
		if (hashes[i].ckm == type)
			return &hashes[i];
	return NULL;
}

static const struct mech_hash *
hash_by_ckg(CK_ULONG mgf)
{
	for (size_t i = 0; i < N_HASHES; i++)
		if (hashes[i].ckg == mgf)
			return &hashes[i];
	return NULL;
}

static const struct mech_hash *
hash_by_ckd(CK_ULONG kdf)
{
	for (size_t i = 0; i < N_HASHES; i++)
		if (hashes[i].ckd == kdf)
			return &hashes[i];
	return NULL;
}

/* --- parameters: one reader a kind; each gets the caller's bytes with their length already checked --- */

static bool
read_none(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	(void)row;
	(void)out;
	return m->ulParameterLen == 0; /* a pointer to nothing is tolerated */
}

/* RFC 8017, 9.1; the combined mechanisms fix the hash. */
static bool
read_pss(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	CK_RSA_PKCS_PSS_PARAMS p;

	if (m->pParameter == NULL || m->ulParameterLen != sizeof p)
		return false;
	memcpy(&p, m->pParameter, sizeof p);
	out->hash = hash_by_ckm(p.hashAlg);
	out->mgf = hash_by_ckg(p.mgf);
	out->salt = p.sLen;
	return out->hash != NULL && out->mgf != NULL && p.sLen <= RSA_MAX / 8 &&
	    (row->hash == NULL || strcmp(row->hash, out->hash->name) == 0);
}

static bool
read_oaep(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	CK_RSA_PKCS_OAEP_PARAMS p;

	(void)row;
	if (m->pParameter == NULL || m->ulParameterLen != sizeof p)
		return false;
	memcpy(&p, m->pParameter, sizeof p);
	out->hash = hash_by_ckm(p.hashAlg);
	out->mgf = hash_by_ckg(p.mgf);
	if (out->hash == NULL || out->mgf == NULL || (p.pSourceData == NULL && p.ulSourceDataLen != 0))
		return false;
	/* Without a source, an empty label; programs leave the field 0 then. */
	if (p.source != CKZ_DATA_SPECIFIED && (p.source != 0 || p.ulSourceDataLen != 0))
		return false;
	wbuf_put(&out->label, p.pSourceData, p.ulSourceDataLen);
	return !out->label.bad;
}

static bool
read_ecdh(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	CK_ECDH1_DERIVE_PARAMS p;

	(void)row;
	if (m->pParameter == NULL || m->ulParameterLen != sizeof p)
		return false;
	memcpy(&p, m->pParameter, sizeof p);
	out->kdf = hash_by_ckd(p.kdf);
	if ((out->kdf == NULL && p.kdf != CKD_NULL) || p.pPublicData == NULL || p.ulPublicDataLen == 0)
		return false;
	if (p.pSharedData == NULL ? p.ulSharedDataLen != 0 : p.kdf == CKD_NULL && p.ulSharedDataLen != 0)
		return false;
	wbuf_put(&out->label, p.pSharedData, p.ulSharedDataLen);
	wbuf_put(&out->point, p.pPublicData, p.ulPublicDataLen);
	return !out->label.bad && !out->point.bad;
}

static bool
read_iv16(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	(void)row;
	if (m->pParameter == NULL || m->ulParameterLen != 16)
		return false;
	wbuf_put(&out->label, m->pParameter, 16);
	return !out->label.bad;
}

/* RFC 3394's initial value may be given. */
static bool
read_iv8(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	(void)row;
	if (m->ulParameterLen == 0)
		return true;
	if (m->pParameter == NULL || m->ulParameterLen != 8)
		return false;
	wbuf_put(&out->label, m->pParameter, 8);
	return !out->label.bad;
}

/* PKCS#11 3.0, 2.3.14: no parameters for Ed25519, which is all that cards have. Some give those of Ed25519 with
 * neither prehash nor context, which is the same. */
static bool
read_eddsa(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	struct p11_eddsa_params p;

	(void)row;
	(void)out;
	if (m->ulParameterLen == 0)
		return true;
	if (m->pParameter == NULL || m->ulParameterLen != sizeof p)
		return false;
	memcpy(&p, m->pParameter, sizeof p);
	return p.phFlag == CK_FALSE && p.ulContextDataLen == 0;
}

CK_RV
mech_params_read(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out)
{
	static bool (*const readers[])(const struct mech *, const CK_MECHANISM *, struct mech_params *) = {
		[PARAM_NONE] = read_none,
		[PARAM_PSS] = read_pss,
		[PARAM_OAEP] = read_oaep,
		[PARAM_ECDH] = read_ecdh,
		[PARAM_IV16] = read_iv16,
		[PARAM_IV8] = read_iv8,
		[PARAM_EDDSA] = read_eddsa,
	};

	memset(out, 0, sizeof *out);
	wbuf_init(&out->label, P11_VALUE_MAX);
	wbuf_init(&out->point, 1024);
	return readers[row->param](row, m, out) ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;
}

void
mech_params_free(struct mech_params *p)
{
	wbuf_free(&p->label);
	wbuf_free(&p->point);
}

/* --- C_GetMechanismList, C_GetMechanismInfo --- */

CK_FLAGS
mech_flags(const struct p11_token *t, const struct mech *row)
{
	return t != NULL && t->remote != NULL ? remote_mech_flags(t->remote, row) : row->flags;
}

CK_RV
mech_list(const struct p11_token *t, CK_MECHANISM_TYPE *list, CK_ULONG *n)
{
	CK_ULONG cap, count = 0;

	if (n == NULL)
		return CKR_ARGUMENTS_BAD;
	cap = *n;
	for (size_t i = 0; i < N_MECHS; i++) {
		if (mech_flags(t, &table[i]) == 0)
			continue;
		if (list != NULL && count < cap)
			list[count] = table[i].type;
		count++;
	}
	*n = count;
	return list != NULL && cap < count ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

CK_RV
mech_info(const struct p11_token *t, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	const struct mech *row = mech_find(type);

	if (info == NULL)
		return CKR_ARGUMENTS_BAD;
	if (row == NULL || mech_flags(t, row) == 0)
		return CKR_MECHANISM_INVALID;
	info->ulMinKeySize = row->min;
	info->ulMaxKeySize = row->max;
	info->flags = mech_flags(t, row);
	return CKR_OK;
}
