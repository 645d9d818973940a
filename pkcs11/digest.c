/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_DigestKey (PKCS#11 2.40, 5.10): a session secret key's value into the running digest. The rest of digesting is
 * op.c's. Digests need no login and no card.
 */
#include "pkcs11/p11.h"

CK_RV
digest_key(struct p11_session *s, CK_OBJECT_HANDLE h)
{
	struct p11_op *op = &s->op[OP_DIGEST];
	struct p11_object *o;
	CK_RV rv;

	if (!op->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	if ((rv = key_find(s, h, &o)) == CKR_OK && o->value == NULL)
		rv = CKR_KEY_INDIGESTIBLE;
	if (rv == CKR_OK)
		rv = op_collect(op, secret_view(o->value));
	op->updated = true;
	if (rv != CKR_OK)
		op_end(op);
	return rv;
}
