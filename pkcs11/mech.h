/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_MECH_H
#define DPIV_PKCS11_MECH_H

#include <stdbool.h>

#include "base/bytes.h"
#include "pkcs11/cryptoki3.h"

/* The mechanism table: all that is fixed about a mechanism. */

enum mech_scheme {
	SCHEME_DIGEST,
	SCHEME_RSA_PKCS,
	SCHEME_RSA_RAW,
	SCHEME_RSA_PSS,
	SCHEME_RSA_OAEP,
	SCHEME_ECDSA,
	SCHEME_ECDH,
	SCHEME_EDDSA,
	SCHEME_AES_ECB,
	SCHEME_AES_CBC,
	SCHEME_AES_CBC_PAD,
	SCHEME_AES_WRAP,
	SCHEME_AES_KWP,
	SCHEME_AES_GEN,
	SCHEME_SECRET_GEN,
	SCHEME_KEY_PAIR_GEN
};

enum mech_param { PARAM_NONE, PARAM_PSS, PARAM_OAEP, PARAM_ECDH, PARAM_IV16, PARAM_IV8, PARAM_EDDSA };

#define MECH_NO_KEY (~0UL)

struct mech {
	CK_MECHANISM_TYPE type;
	enum mech_scheme scheme;
	CK_KEY_TYPE key;  /* MECH_NO_KEY: none */
	const char *hash; /* done by the module; NULL: none, or the caller did it */
	enum mech_param param;
	CK_FLAGS flags;
	CK_ULONG min, max; /* as C_GetMechanismInfo tells */
};

/* A hash and its names in the various number spaces. */
struct mech_hash {
	const char *name;
	CK_MECHANISM_TYPE ckm;
	CK_ULONG ckg, ckd; /* MGF1 and X9.63 KDF over it */
	size_t len;
};

/* A mechanism's parameters, checked and copied. */
struct mech_params {
	const struct mech_hash *hash, *mgf; /* PSS, OAEP */
	size_t salt;			    /* PSS */
	struct wbuf label;		    /* OAEP label, ECDH shared info, IV */
	const struct mech_hash *kdf;	    /* ECDH; NULL: CKD_NULL */
	struct wbuf point;		    /* ECDH: the peer's, as given */
};

const struct mech *mech_row(size_t i); /* NULL past the end */
size_t mech_index(const struct mech *row);
const struct mech *mech_find(CK_MECHANISM_TYPE type);
const struct mech_hash *mech_hash_by_name(const char *name);
/* CKR_MECHANISM_PARAM_INVALID unless they are what the row wants. out is initialised here; free it in any case. */
CK_RV mech_params_read(const struct mech *row, const CK_MECHANISM *m, struct mech_params *out);
void mech_params_free(struct mech_params *p);
struct p11_token;
/* What of a row this token can do; 0: nothing. */
CK_FLAGS mech_flags(const struct p11_token *t, const struct mech *row);
CK_RV mech_list(const struct p11_token *t, CK_MECHANISM_TYPE *list, CK_ULONG *n);
CK_RV mech_info(const struct p11_token *t, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info);

#endif
