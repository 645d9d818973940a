/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_ISSUER_H
#define DPIV_CLI_ISSUER_H

#include "base/conf.h"
#include "derive/derive.h"

/* The [issuer NAME] section into a request, which borrows from conf; a cafile that is set already stays. *labels is
 * storage of the request, for free() after it. E_CONF. */
enum err issuer_section(const struct conf *conf, const char *name, struct derive_req *req, char **labels) MUST_CHECK;
/* The section of this address; where there is none, the address alone. */
enum err issuer_of_url(const struct conf *conf, const char *url, struct derive_req *req, char **labels) MUST_CHECK;
/* Where the issuer has one certificate for signature and encryption, it takes the place of both roles. */
void issuer_join_roles(struct derive_req *req);
/* What --issuer (a name or an address, in *issuer) and --role say, or [derive] and the policy when they say nothing.
 * E_USAGE, E_CONF, E_POLICY.
 */
enum err issuer_and_roles(
    const struct conf *conf, const char **issuer, const char *roles, struct derive_req *req, char **labels) MUST_CHECK;

#endif
