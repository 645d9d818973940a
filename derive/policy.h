/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_POLICY_H
#define DPIV_DERIVE_POLICY_H

#include <stdbool.h>

#include "base/conf.h"
#include "base/err.h"
#include "derive/derive.h"
#include "derive/token.h"

/*
 * What an administrator lets people do, from [policy] and [policy NAME] of /etc/dpiv/dpiv.conf, for one person. A key
 * of the first [policy NAME] that has one of the person's Unix groups comes before that of [policy]. A key that stands
 * nowhere restricts nothing. The user's file may have a [policy] too, which can only tighten: a list gets shorter, a
 * minimum higher, a safety is switched on; the same holds for what it says about an [issuer NAME] of the administrator.
 * What loosens is E_POLICY, with the line in both files.
 *
 * derive_run(), derive_renew() and bind_ask() judge by it themselves, whatever their caller read before.
 */
struct policy;

enum policy_key {
	POLICY_ISSUERS,
	POLICY_OWN_ISSUERS,
	POLICY_PROTOCOLS,
	POLICY_ROLES,
	POLICY_REQUIRED_ROLES,
	POLICY_DEFAULT_ROLES,
	POLICY_SIGN,
	POLICY_ENCRYPT,
	POLICY_ONE_CERTIFICATE,
	POLICY_TARGETS,
	POLICY_ALGORITHMS,
	POLICY_MIN_ASSURANCE,
	POLICY_RENEW_DAYS,
	POLICY_RENEW_TO,
	POLICY_TRUST_ROOTS,
	POLICY_NOTICES,
	POLICY_KEYS
};

/* For the person who runs this, from the files of conf_load(). E_CONF: a value is not right; E_POLICY: the user's file
 * loosens. Nobody's policy is a policy too, which allows everything. */
enum err policy_load(struct policy **out) MUST_CHECK;
/* The same of files that were read already, which must stay until policy_free(); user: a login name, NULL: who runs
 * this. */
enum err policy_read(const struct conf *conf, const char *user, struct policy **out) MUST_CHECK;
void policy_free(struct policy **p);

/* One [policy NAME] by itself, whoever it is for: E_CONF when a value is not right, or contradicts another. */
enum err policy_check_section(const struct conf *conf, const char *name) MUST_CHECK;
/* Is there a Unix group of this name? */
bool policy_group_exists(const char *group);

/* Is there anything in it? */
bool policy_exists(const struct policy *p);
const char *policy_key_name(enum policy_key key);
/* The i-th entry of any text with commas, without blanks around it; false: there are no more. */
bool policy_split(const char *text, size_t i, char *out, size_t cap);
/* What holds, as it was written; NULL: no restriction. Of targets only the user's, when he has some: both hold. */
const char *policy_text(const struct policy *p, enum policy_key key);
/* "/etc/dpiv/dpiv.conf:12": who says so. Returns out; "" when nobody does. */
char *policy_where(const struct policy *p, enum policy_key key, char *out, size_t cap);
/* The i-th entry of a list; false: there are no more. Longer ones than cap are cut (policy_read() refuses them). */
#define POLICY_ENTRY_MAX 512
bool policy_entry(const struct policy *p, enum policy_key key, size_t i, char *out, size_t cap);
/* Is it in the list? Also when there is no list. */
bool policy_allows(const struct policy *p, enum policy_key key, const char *what);

/* The days before expiry from which to renew: [derive] renew_days, but at least those of the policy. */
long policy_renew_days(const struct policy *p);
/* The same for who only wants to show it: where the policy is not right, what the user says. */
long policy_soon_days(const struct conf *conf);
/* The [issuer NAME] to which renewals go; NULL: back to where they came from. */
const char *policy_renew_to(const struct policy *p);
/* The roles that are derived when none are named. */
const char *policy_default_roles(const struct policy *p);
/* The issuer that is used when none is named: [derive] issuer, else the first that is allowed; NULL: nobody says. It
 * lives as long as the configuration. */
const char *policy_default_issuer(const struct policy *p);
/* Tell the person what happens? */
bool policy_notices(const struct policy *p);
/* 2 or 3 of AAL2 or AAL3; 0: any. */
int policy_min_assurance(const struct policy *p);

/* --- judgements: E_POLICY with a sentence that names the file and the line ---------------------------------------- */

/* Issuer, its trust anchors and protocol, roles, where their keys come from, the algorithm when one was chosen. Every
 * role of the request; policy_judge_role(): this one, of which a new credential is to be made. */
enum err policy_judge(const struct policy *p, const struct derive_req *req) MUST_CHECK;
enum err policy_judge_role(const struct policy *p, const struct derive_req *req, enum role role) MUST_CHECK;
enum err policy_judge_alg(const struct policy *p, enum token_alg alg) MUST_CHECK;
/* The same of a key that the issuer has made. */
enum err policy_judge_key(const struct policy *p, const EVP_PKEY *key) MUST_CHECK;
enum err policy_judge_target(const struct policy *p, struct token *t) MUST_CHECK;
/* The i-th kind of key that is allowed; false: there are no more. */
bool policy_alg_at(const struct policy *p, size_t i, enum token_alg *out);
/* May old decryption keys be brought to this token out of PKCS#12 files? */
enum err policy_judge_import(const struct policy *p, struct token *t) MUST_CHECK;
/* What the token can carry, 2 or 3, by evidence. */
enum err policy_judge_assurance(const struct policy *p, int aal, struct token *t) MUST_CHECK;

#endif
