/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judging by the policy: what somebody is about to do against what holds for him. The user's own [policy] is judged by
 * as well as the administrator's, so nothing has to be merged; what loosens was refused when the files were read. Each
 * sentence begins with the line that forbids it.
 */
#include <stdio.h>
#include <string.h>

#include "base/conf_text.h"
#include "base/text.h"
#include "derive/policy_int.h"

#define SECTION_MAX (POLICY_ENTRY_MAX + 16)

/* --- the issuer --------------------------------------------------------------------------------------------------- */

/* The name of the section with this address, the administrator's before the user's; NULL: nobody has one. */
static const char *
issuer_name(const struct policy *p, const char *url)
{
	const char *name, *own = NULL;
	char section[SECTION_MAX];

	for (size_t i = 0; (name = conf_named(p->conf, "issuer", i)) != NULL; i++) {
		const char *have;

		snprintf(section, sizeof section, "issuer %s", name);
		have = conf_str(p->conf, section, "url");
		if (have == NULL || strcmp(have, url) != 0)
			continue;
		if (conf_has(p->conf, CONF_SYSTEM, section))
			return name;
		own = name;
	}
	return own;
}

static bool
listed(const struct policy_value *list, const char *name)
{
	char entry[POLICY_ENTRY_MAX];

	for (size_t i = 0; name != NULL && policy_split(list->text, i, entry, sizeof entry); i++)
		if (strcmp(entry, name) == 0)
			return true;
	return false;
}

/* By the lists of one of the files. own: it is not the administrator's. */
static enum err
issuer_in(const struct policy *p, const struct policy_value *values, const char *name, bool own, const char *url)
{
	const struct policy_value *list = &values[POLICY_ISSUERS], *others = &values[POLICY_OWN_ISSUERS];
	char where[POLICY_WHERE_MAX], safe[200];

	if (list->text == NULL || listed(list, name))
		return E_OK;
	if (own && others->text != NULL && conf_value_bool(others->text) == 1)
		return E_OK;
	return err_set(E_POLICY, "%s: issuers = %.200s: %s is not one of them",
	    policy_value_where(p, list, "issuers", where, sizeof where), list->text,
	    text_safe(span_str(name != NULL ? name : url), safe, sizeof safe));
}

static bool
same(const char *a, const char *b)
{
	return (a == NULL && b == NULL) || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What of an administrator's section a request has otherwise; NULL: nothing. */
static const char *
issuer_differs(const struct policy *p, const char *section, const struct derive_req *r)
{
	const struct {
		const char *key, *have;
	} all[] = {
		{ "cafile", r->cafile },
		{ "protocol", r->protocol != NULL ? r->protocol : "est" },
		{ "signer", r->signer },
		{ "fingerprint", r->fingerprint },
		{ "request", r->request },
		{ "one_certificate", r->one_certificate },
	};
	const char *tls = conf_str(p->conf, section, "tls");
	enum key_source source;

	if (key_source_parse(conf_str(p->conf, section, "encrypt"), &source) == E_OK && r->encrypt != source)
		return "encrypt";
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (!same(all[i].have, conf_str(p->conf, section, all[i].key)))
			return all[i].key;
	if ((strcmp(tls, "1.3") == 0 && r->tls != HTTP_TLS_13) || (strcmp(tls, "1.2") == 0 && r->tls != HTTP_TLS_12))
		return "tls";
	if (r->weak && !conf_bool(p->conf, section, "weak_algorithms"))
		return "weak_algorithms";
	return r->test_policies && !conf_bool(p->conf, section, "test_policies") ? "test_policies" : NULL;
}

static enum err
judge_issuer(const struct policy *p, const struct derive_req *r)
{
	const char *name = issuer_name(p, r->issuer), *differs = NULL;
	char section[SECTION_MAX] = "", where[POLICY_WHERE_MAX];
	bool own;
	enum err e;

	if (name != NULL)
		snprintf(section, sizeof section, "issuer %s", name);
	own = name == NULL || !conf_has(p->conf, CONF_SYSTEM, section);
	e = issuer_in(p, p->admin, name, own, r->issuer);
	if (e == E_OK)
		e = issuer_in(p, p->user, name, own, r->issuer);
	if (e == E_OK && !own)
		differs = issuer_differs(p, section, r);
	if (e != E_OK || differs == NULL)
		return e;
	return err_set(E_POLICY, "%s: [%.100s] says the %s of this issuer; another one cannot be used",
	    conf_where(p->conf, CONF_SYSTEM, section,
		conf_said(p->conf, CONF_SYSTEM, section, differs) ? differs : NULL, where, sizeof where),
	    section, differs);
}

/* --- protocol, roles, algorithms ---------------------------------------------------------------------------------- */

static const char *
protocol_of(const struct derive_req *r)
{
	return r->protocol != NULL ? r->protocol : "est";
}

static enum err
judge_protocol(const struct policy *p, const struct derive_req *r)
{
	char where[POLICY_WHERE_MAX];

	if (policy_allows(p, POLICY_PROTOCOLS, protocol_of(r)))
		return E_OK;
	return err_set(E_POLICY, "%s: protocols = %.100s: this issuer is spoken with by %s",
	    policy_where(p, POLICY_PROTOCOLS, where, sizeof where), policy_text(p, POLICY_PROTOCOLS), protocol_of(r));
}

/* Where a key of this role may come from. */
static enum err
judge_source(const struct policy *p, enum role role, const char *source, const char *hint)
{
	enum policy_key key = role == ROLE_SIGN ? POLICY_SIGN : POLICY_ENCRYPT;
	char where[POLICY_WHERE_MAX];

	if (role == ROLE_AUTH || policy_allows(p, key, source))
		return E_OK;
	return err_set(E_POLICY, "%s: %s = %.100s: no %s key may come %s", policy_where(p, key, where, sizeof where),
	    policy_key_name(key), policy_text(p, key), role_info(role)->what, hint);
}

/* One role by the lists. */
static enum err
judge_listed(const struct policy *p, const struct derive_req *req, enum role role)
{
	bool scep = strcmp(protocol_of(req), "scep") == 0;
	char where[POLICY_WHERE_MAX];

	if (!policy_allows(p, POLICY_ROLES, role_info(role)->name))
		return err_set(E_POLICY, "%s: roles = %.100s: no %s credential may be derived",
		    policy_where(p, POLICY_ROLES, where, sizeof where), policy_text(p, POLICY_ROLES),
		    role_info(role)->what);
	return judge_source(p, role, scep ? "scep" : "derived", scep ? "by SCEP" : "from this issuer by deriving");
}

/* One certificate for signature and encryption has to be allowed as either, and is never the policy's own word. */
static enum err
judge_role(const struct policy *p, const struct derive_req *req, enum role role)
{
	const char *one = policy_text(p, POLICY_ONE_CERTIFICATE);
	char where[POLICY_WHERE_MAX];
	enum err e;

	if (role == ROLE_MAIL && req->one_certificate == NULL)
		return err_set(E_POLICY,
		    "this issuer has no certificate that is for signature and encryption both; its [issuer NAME] in "
		    "dpiv.conf has no one_certificate");
	if (!policy_exists(p))
		return E_OK;
	if (role != ROLE_MAIL)
		return judge_listed(p, req, role);
	if (one != NULL && conf_value_bool(one) != 1)
		return err_set(E_POLICY,
		    "%s: one_certificate = %.10s: this issuer has one certificate for signature and encryption",
		    policy_where(p, POLICY_ONE_CERTIFICATE, where, sizeof where), one);
	e = judge_listed(p, req, ROLE_SIGN);
	return e == E_OK ? judge_listed(p, req, ROLE_ENCRYPT) : e;
}

enum err
policy_judge_role(const struct policy *p, const struct derive_req *req, enum role role)
{
	const char *one = policy_text(p, POLICY_ONE_CERTIFICATE);
	char where[POLICY_WHERE_MAX];

	if (one != NULL && conf_value_bool(one) == 1 && (role == ROLE_SIGN || role == ROLE_ENCRYPT))
		return err_set(E_POLICY,
		    "%s: one_certificate = %.10s: no certificate for %s alone may be derived; take an issuer that has "
		    "one for both",
		    policy_where(p, POLICY_ONE_CERTIFICATE, where, sizeof where), one, role_info(role)->what);
	return judge_role(p, req, role);
}

bool
policy_alg_at(const struct policy *p, size_t i, enum token_alg *out)
{
	char entry[POLICY_ENTRY_MAX];

	return policy_entry(p, POLICY_ALGORITHMS, i, entry, sizeof entry) && policy_alg(entry, out) == E_OK;
}

enum err
policy_judge_alg(const struct policy *p, enum token_alg alg)
{
	char where[POLICY_WHERE_MAX];
	enum token_alg allowed;

	if (policy_text(p, POLICY_ALGORITHMS) == NULL)
		return E_OK;
	for (size_t i = 0; policy_alg_at(p, i, &allowed); i++)
		if (allowed == alg)
			return E_OK;
	return err_set(E_POLICY, "%s: algorithms = %.200s: no %s key may be made",
	    policy_where(p, POLICY_ALGORITHMS, where, sizeof where), policy_text(p, POLICY_ALGORITHMS), alg_name(alg));
}

enum err
policy_judge_key(const struct policy *p, const EVP_PKEY *key)
{
	char where[POLICY_WHERE_MAX];
	int bits = EVP_PKEY_get_bits(key);
	bool rsa = EVP_PKEY_is_a(key, "RSA"), ec = EVP_PKEY_is_a(key, "EC");

	if (rsa && (bits == 2048 || bits == 3072))
		return policy_judge_alg(p, bits == 2048 ? TOKEN_RSA2048 : TOKEN_RSA3072);
	if (ec && (bits == 256 || bits == 384))
		return policy_judge_alg(p, bits == 256 ? TOKEN_P256 : TOKEN_P384);
	if (policy_text(p, POLICY_ALGORITHMS) == NULL)
		return E_OK;
	return err_set(E_POLICY, "%s: algorithms = %.200s: the issuer's key of %d bits is none of them",
	    policy_where(p, POLICY_ALGORITHMS, where, sizeof where), policy_text(p, POLICY_ALGORITHMS), bits);
}

enum err
policy_judge(const struct policy *p, const struct derive_req *req)
{
	bool any = policy_exists(p);
	enum err e = any ? judge_issuer(p, req) : E_OK;

	if (e == E_OK && any)
		e = judge_protocol(p, req);
	for (size_t i = 0; e == E_OK && i < req->n_roles; i++)
		e = judge_role(p, req, req->role[i]);
	return e == E_OK && any && req->alg_chosen ? policy_judge_alg(p, req->alg) : e;
}

/* --- the token ---------------------------------------------------------------------------------------------------- */

static enum err
target_in(const struct policy *p, const struct policy_value *v, const struct policy_target *t)
{
	char entry[POLICY_ENTRY_MAX], where[POLICY_WHERE_MAX];

	if (v->text == NULL)
		return E_OK;
	for (size_t i = 0; policy_split(v->text, i, entry, sizeof entry); i++)
		if (policy_pattern_match(entry, t))
			return E_OK;
	return err_set(E_POLICY,
	    "%s: targets: token '%s' (manufacturer '%s', model '%s', module %.200s) is not one of them",
	    policy_value_where(p, v, "targets", where, sizeof where), t->token, t->manufacturer, t->model, t->module);
}

enum err
policy_judge_target(const struct policy *p, struct token *t)
{
	struct policy_target target = { .token = token_label(t),
		.manufacturer = token_manufacturer(t),
		.model = token_model(t),
		.serial = token_serial_number(t),
		.module = token_module(t),
		.module_real = token_module_real(t),
		.piv = token_is_own(t) };
	enum err e;

	if (!policy_exists(p))
		return E_OK;
	e = target_in(p, &p->admin[POLICY_TARGETS], &target);
	return e == E_OK ? target_in(p, &p->user[POLICY_TARGETS], &target) : e;
}

enum err
policy_judge_import(const struct policy *p, struct token *t)
{
	enum err e;

	if (!policy_exists(p))
		return E_OK;
	e = judge_source(p, ROLE_ENCRYPT, "pkcs12", "out of PKCS#12 files");
	return e == E_OK ? policy_judge_target(p, t) : e;
}

enum err
policy_judge_assurance(const struct policy *p, int aal, struct token *t)
{
	char where[POLICY_WHERE_MAX];

	if (aal >= policy_min_assurance(p))
		return E_OK;
	return err_set(E_POLICY, "%s: min_assurance = %s: token '%s' can carry AAL%d only",
	    policy_where(p, POLICY_MIN_ASSURANCE, where, sizeof where), policy_text(p, POLICY_MIN_ASSURANCE),
	    token_label(t), aal);
}
