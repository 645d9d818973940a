/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CMP_H
#define DPIV_ISSUER_CMP_H

#include "derive/issuer/est_int.h"

/*
 * The Certificate Management Protocol (RFC 9810) over HTTP (RFC 9811), server side, for clients that do not speak EST:
 *
 * POST /.well-known/cmp[/p/LABEL][/OPERATION]   application/pkixcmp; LABEL as in EST. Over TLS, where no client
 *     certificate is asked for, or over plain http: a message protects itself.
 *
 *   ir, cr, p10cr  signed by the PIV card (9A), whose certificate is the first of extraCerts: PKI-AUTH as in TLS; the
 *                  message has to be of the last minutes, and its transactionID is not taken twice. Or protected by a
 *                  binding code (codekey.h): the reference is its first group, the secret the whole code.
 *   kur            signed by the derived credential that is renewed
 *   rr             signed by the credential that is given up, or by the card (own.h)
 *   certConf       waits for the transaction's certificate (cmp_trans.h); one that is rejected is revoked
 *
 * A refusal is a PKIStatus whose text begins with the stable code. What cannot be read as a message gets HTTP 400.
 */
bool cmp_is(const char *path);
est_op_fn cmp_run;

#endif
