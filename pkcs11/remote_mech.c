/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mechanisms of a token behind another module: rows of mech.c's table that it can do by itself, or that this module can
 * do over what it has: PKCS#1 signatures over raw RSA, PSS and OAEP too, hashing before a signature, key derivation
 * after ECDH, and all that needs no private key.
 */
#include <string.h>

#include "pkcs11/remote.h"

#define LIST_MAX 512

/* The mechanisms under which software can do the others: to be known before. */
bool
remote_mech_native(const struct remote *r, CK_MECHANISM_TYPE type, CK_FLAGS use)
{
	const struct mech *row = mech_find(type);

	return row != NULL && (r->have[mech_index(row)] & use) == use;
}

/* From the list and the flags: modules have flags for mechanisms that are not listed. */
void
remote_mechs_read(struct remote *r)
{
	CK_MECHANISM_TYPE list[LIST_MAX];
	CK_ULONG n = LIST_MAX;
	CK_MECHANISM_INFO info;
	const struct mech *row;

	memset(r->have, 0, sizeof r->have);
	if (r->f->C_GetMechanismList(r->id, list, &n) != CKR_OK || n > LIST_MAX)
		return;
	for (CK_ULONG i = 0; i < n; i++) {
		if ((row = mech_find(list[i])) == NULL || (row->key != CKK_RSA && row->key != CKK_EC))
			continue;
		info = (CK_MECHANISM_INFO){ 0, 0, 0 };
		if (r->f->C_GetMechanismInfo(r->id, row->type, &info) == CKR_OK)
			r->have[mech_index(row)] = info.flags & (CKF_SIGN | CKF_DECRYPT | CKF_DERIVE);
	}
}

static bool
can_sign(const struct remote *r, const struct mech *row)
{
	bool raw = remote_mech_native(r, CKM_RSA_X_509, CKF_SIGN);

	switch (row->scheme) {
	case SCHEME_RSA_PKCS: return raw || remote_mech_native(r, CKM_RSA_PKCS, CKF_SIGN);
	case SCHEME_RSA_PSS: return raw;
	case SCHEME_ECDSA: return remote_mech_native(r, CKM_ECDSA, CKF_SIGN);
	default: return false;
	}
}

static bool
can_decrypt(const struct remote *r, const struct mech *row)
{
	return (row->scheme == SCHEME_RSA_PKCS || row->scheme == SCHEME_RSA_OAEP) &&
	    remote_mech_native(r, CKM_RSA_X_509, CKF_DECRYPT);
}

CK_FLAGS
remote_mech_flags(const struct remote *r, const struct mech *row)
{
	const CK_FLAGS uses = CKF_SIGN | CKF_DECRYPT | CKF_DERIVE;
	CK_FLAGS have, gone;

	if (row->key != CKK_RSA && row->key != CKK_EC)
		return row->flags;
	have = r->have[mech_index(row)];
	if (can_sign(r, row))
		have |= CKF_SIGN;
	if (can_decrypt(r, row))
		have |= CKF_DECRYPT;
	if (row->scheme == SCHEME_ECDH && remote_mech_native(r, CKM_ECDH1_DERIVE, CKF_DERIVE))
		have |= CKF_DERIVE;
	gone = (uses & ~have) | CKF_GENERATE_KEY_PAIR;
	if ((r->slot_info.flags & CKF_HW_SLOT) == 0)
		gone |= CKF_HW;
	return (row->flags & ~gone & (uses | CKF_VERIFY | CKF_ENCRYPT)) != 0 ? row->flags & ~gone : 0;
}
