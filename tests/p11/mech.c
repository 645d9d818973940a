/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_GetMechanismList and C_GetMechanismInfo (PKCS#11 2.40, 5.5), and which functions a mechanism can have by the tables
 * of the mechanisms specification (2.40 current mechanisms, table 1; 3.0, table 2 and on).
 */
#include <string.h>

#include "tests/p11/conform.h"

#define LIST_MAX 512
#define EC_FLAGS                                                                                                       \
	(CKF_EC_F_P | 0x200000UL /* F_2M */ | 0x400000UL /* ECPARAMETERS */ | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS |  \
	    0x2000000UL /* COMPRESS */ | 0x4000000UL /* CURVENAME */)
#define ED (CKF_ENCRYPT | CKF_DECRYPT)
#define SV (CKF_SIGN | CKF_VERIFY)
#define SR (CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER)
#define WU (CKF_WRAP | CKF_UNWRAP)

/* What the standard's table has a tick for. Others are not judged. */
static const struct {
	CK_MECHANISM_TYPE type;
	CK_FLAGS flags;
	bool ec;
} can[] = {
	{ CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, false },
	{ CKM_RSA_PKCS, ED | SV | SR | WU, false },
	{ CKM_RSA_X_509, ED | SV | SR | WU, false },
	{ CKM_RSA_PKCS_OAEP, ED | WU, false },
	{ CKM_RSA_PKCS_PSS, SV, false },
	{ CKM_SHA1_RSA_PKCS, SV, false },
	{ CKM_SHA224_RSA_PKCS, SV, false },
	{ CKM_SHA256_RSA_PKCS, SV, false },
	{ CKM_SHA384_RSA_PKCS, SV, false },
	{ CKM_SHA512_RSA_PKCS, SV, false },
	{ CKM_SHA1_RSA_PKCS_PSS, SV, false },
	{ CKM_SHA224_RSA_PKCS_PSS, SV, false },
	{ CKM_SHA256_RSA_PKCS_PSS, SV, false },
	{ CKM_SHA384_RSA_PKCS_PSS, SV, false },
	{ CKM_SHA512_RSA_PKCS_PSS, SV, false },
	{ CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, true },
	{ CKM_ECDSA, SV, true },
	{ CKM_ECDSA_SHA1, SV, true },
	{ CKM_ECDSA_SHA224, SV, true },
	{ CKM_ECDSA_SHA256, SV, true },
	{ CKM_ECDSA_SHA384, SV, true },
	{ CKM_ECDSA_SHA512, SV, true },
	{ CKM_ECDH1_DERIVE, CKF_DERIVE, true },
	{ CKM_ECDH1_COFACTOR_DERIVE, CKF_DERIVE, true },
	{ CKM_SHA_1, CKF_DIGEST, false },
	{ CKM_SHA224, CKF_DIGEST, false },
	{ CKM_SHA256, CKF_DIGEST, false },
	{ CKM_SHA384, CKF_DIGEST, false },
	{ CKM_SHA512, CKF_DIGEST, false },
	{ CKM_MD5, CKF_DIGEST, false },
	{ CKM_AES_KEY_GEN, CKF_GENERATE, false },
	{ CKM_GENERIC_SECRET_KEY_GEN, CKF_GENERATE, false },
	{ CKM_AES_ECB, ED | WU, false },
	{ CKM_AES_CBC, ED | WU, false },
	{ CKM_AES_CBC_PAD, ED | WU, false },
	{ CKM_AES_CTR, ED | WU, false },
	{ CKM_AES_GCM, ED | WU, false },
	{ CKM_AES_KEY_WRAP, ED | WU, false },
	{ CKM_SHA_1_HMAC, SV, false },
	{ CKM_SHA256_HMAC, SV, false },
	{ CKM_SHA384_HMAC, SV, false },
	{ CKM_SHA512_HMAC, SV, false },
};

static CK_ULONG
mechanisms(CK_MECHANISM_TYPE list[LIST_MAX])
{
	CK_ULONG n = 0;

	OK(F->C_GetMechanismList(T.slot, NULL, &n));
	HOLDS(n > 0 && n <= LIST_MAX);
	n = LIST_MAX;
	OK(F->C_GetMechanismList(T.slot, list, &n));
	return n;
}

static void
list_unique(void)
{
	CK_MECHANISM_TYPE list[LIST_MAX];
	CK_ULONG n;

	start();
	n = mechanisms(list);
	for (CK_ULONG i = 0; i < n; i++)
		for (CK_ULONG k = 0; k < i; k++)
			if (list[i] == list[k])
				rule_fail("0x%lx is there twice", list[i]);
}

static void
list_sizes(void)
{
	CK_MECHANISM_TYPE list[LIST_MAX];
	CK_ULONG n = 0, cap;

	start();
	OK(F->C_GetMechanismList(T.slot, NULL, &n));
	cap = n - 1;
	WANT(F->C_GetMechanismList(T.slot, list, &cap), CKR_BUFFER_TOO_SMALL);
	HOLDS(cap == n);
	cap = n;
	OK(F->C_GetMechanismList(T.slot, list, &cap));
	HOLDS(cap == n);
	cap = LIST_MAX;
	OK(F->C_GetMechanismList(T.slot, list, &cap));
	HOLDS(cap == n);
}

static void
list_null(void)
{
	start();
	WANT(F->C_GetMechanismList(T.slot, NULL, NULL), CKR_ARGUMENTS_BAD);
}

static void
info_each(void)
{
	CK_MECHANISM_TYPE list[LIST_MAX];
	CK_MECHANISM_INFO i;
	CK_ULONG n;

	start();
	n = mechanisms(list);
	for (CK_ULONG k = 0; k < n; k++) {
		OK(F->C_GetMechanismInfo(T.slot, list[k], &i));
		HOLDS(i.ulMinKeySize <= i.ulMaxKeySize);
		if ((i.flags & ~(CKF_HW | EC_FLAGS)) == 0)
			rule_fail("0x%lx can do nothing", list[k]);
	}
}

static void
info_flags(void)
{
	CK_MECHANISM_INFO i;

	start();
	for (size_t k = 0; k < N_OF(can); k++) {
		CK_FLAGS more;

		if (F->C_GetMechanismInfo(T.slot, can[k].type, &i) != CKR_OK)
			continue;
		more = i.flags & ~(CKF_HW | can[k].flags | (can[k].ec ? EC_FLAGS : 0));
		if (more != 0)
			rule_fail("0x%lx has flags 0x%lx that it cannot have", can[k].type, more);
	}
}

/* Sizes in bits for RSA and EC keys, in bytes for AES. */
static void
info_sizes(void)
{
	CK_MECHANISM_INFO i;

	start();
	if (F->C_GetMechanismInfo(T.slot, CKM_RSA_PKCS, &i) == CKR_OK)
		HOLDS(i.ulMinKeySize >= 256 && i.ulMaxKeySize >= 1024 && i.ulMaxKeySize <= 65536);
	if (F->C_GetMechanismInfo(T.slot, CKM_ECDSA, &i) == CKR_OK)
		HOLDS(i.ulMinKeySize >= 112 && i.ulMaxKeySize <= 571);
	if (F->C_GetMechanismInfo(T.slot, CKM_AES_CBC, &i) == CKR_OK)
		HOLDS(i.ulMinKeySize >= 16 && i.ulMaxKeySize <= 32);
}

static void
info_unknown(void)
{
	CK_MECHANISM_INFO i;

	start();
	WANT(F->C_GetMechanismInfo(T.slot, BAD_MECH, &i), CKR_MECHANISM_INVALID);
}

static void
info_null(void)
{
	start();
	WANT(F->C_GetMechanismInfo(T.slot, CKM_SHA256, NULL), CKR_ARGUMENTS_BAD);
}

static const struct rule table[] = {
	{ "C_GetMechanismList.unique", list_unique },
	{ "C_GetMechanismList.lengths", list_sizes },
	{ "C_GetMechanismList.null_count", list_null },
	{ "C_GetMechanismInfo.each", info_each },
	{ "C_GetMechanismInfo.flags", info_flags },
	{ "C_GetMechanismInfo.key_sizes", info_sizes },
	{ "C_GetMechanismInfo.unknown", info_unknown },
	{ "C_GetMechanismInfo.null", info_null },
};
RULES(rules_mech, table);
