/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_ATTR_H
#define DPIV_PKCS11_ATTR_H

#include "pkcs11/p11.h"

/* Getters over a loaded certificate (attr_cert.c), rows of attr.c's table. They append the value, or say
 * CKR_ATTRIBUTE_TYPE_INVALID when this kind of key has no such attribute. */
typedef CK_RV attr_getter(const struct p11_token *, const struct p11_object *, struct wbuf *);

attr_getter attr_cert_value, attr_cert_issuer, attr_cert_serial, attr_cert_subject, attr_cert_start, attr_cert_end,
    attr_cert_check, attr_cert_spki;
attr_getter attr_key_modulus, attr_key_exponent, attr_key_bits, attr_key_curve, attr_key_point;

#endif
