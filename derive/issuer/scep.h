/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SCEP_H
#define DPIV_ISSUER_SCEP_H

#include <stdbool.h>

#include "derive/issuer/est_int.h"

/*
 * SCEP (RFC 8894) for other clients, at /scep and /scep/LABEL, where the label chooses the profile as in EST; on the
 * plain listener and under TLS. GetCACaps, GetCACert, and PKIOperation with
 *   PKCSReq     the challengePassword is a binding code that the PIV card has asked for (bind.h);
 *   RenewalReq  signed by the derived credential that is to be renewed (renewal.h);
 *   CertPoll    for what a CA behind this issuer still works on.
 * A PIV card itself does not speak SCEP: answers are encrypted to who signed the request, and its authentication key is
 * for signatures. There is no SCEP while there is no registration authority (ra.h).
 */
#define SCEP_BODY_MAX 32768

bool scep_is(const char *path);
est_op_fn scep_run;

#endif
