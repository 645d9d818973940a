/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is an issued certificate the one that should go onto the token? A table of checks, each with its own sentence, in the
 * order in which a person would want to hear of the faults. The issuer is trusted to issue, not to make no mistakes: a
 * wrong key, another person's name, the card's own UUID or a policy that was not asked for would be found much later,
 * by somebody else. Profiles: FPKI Common Policy worksheets 8, 9 and 10; SP 800-157r1, 3.1.1. One certificate for
 * signature and encryption is in no worksheet: its policy is the one that is configured for its issuer.
 */
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "derive/cert.h"

#define DAY	 (24 * 60 * 60)
#define LIFE_MAX (1096 * DAY) /* three years, Common Policy 6.3.2 */
#define SKEW	 300	      /* our clock against the issuer's */

static enum err
check_key(X509 *c, const struct cert_rules *r)
{
	EVP_PKEY *k = X509_get0_pubkey(c);

	if (k != NULL && EVP_PKEY_eq(k, r->pub) == 1)
		return E_OK;
	return err_set(E_POLICY, "it is for another key");
}

static enum err
check_form(X509 *c, const struct cert_rules *r)
{
	(void)r;
	if (X509_get_version(c) != X509_VERSION_3)
		return err_set(E_POLICY, "it is not a version 3 certificate");
	/* cA TRUE counts also where keyUsage takes the right to sign away again, which X509_check_ca() calls no CA */
	if (X509_check_ca(c) != 0 || (X509_get_extension_flags(c) & EXFLAG_CA) != 0)
		return err_set(E_POLICY, "it is a CA certificate");
	return E_OK;
}

static enum err
check_subject(X509 *c, const struct cert_rules *r)
{
	char theirs[128], mine[128];

	if (X509_NAME_cmp(X509_get_subject_name(c), X509_get_subject_name(r->card)) == 0)
		return E_OK;
	return err_set(E_POLICY, "it names '%s', but the card belongs to '%s'", cert_name(c, theirs, sizeof theirs),
	    cert_name(r->card, mine, sizeof mine));
}

static enum err
check_dates(X509 *c, const struct cert_rules *r)
{
	time_t from = cert_not_before(c), to = cert_not_after(c);

	if (from == 0 || to == 0 || to <= from)
		return err_set(E_POLICY, "its dates are malformed");
	if (from > r->now + SKEW)
		return err_set(E_EXPIRED, "it is not valid yet; is this computer's clock right?");
	if (to <= r->now)
		return err_set(E_EXPIRED, "it has expired already; is this computer's clock right?");
	if (to - from > LIFE_MAX)
		return err_set(E_POLICY, "it is valid for %ld days, more than the 1096 that are allowed",
		    (long)((to - from) / DAY));
	return E_OK;
}

static enum err
check_usage(X509 *c, const struct cert_rules *r)
{
	const struct role_info *role = role_info(r->role);
	uint32_t want = EVP_PKEY_get_base_id(r->pub) == EVP_PKEY_RSA ? role->usage_rsa : role->usage_ec;
	int critical = -1;
	ASN1_BIT_STRING *ku = X509_get_ext_d2i(c, NID_key_usage, &critical, NULL);
	bool there = ku != NULL;

	ASN1_BIT_STRING_free(ku);
	if (!there || critical != 1)
		return err_set(E_POLICY, "it has no critical keyUsage");
	if (X509_get_key_usage(c) != want)
		return err_set(E_POLICY, "its keyUsage (%04X) is not that of a certificate for %s (%04X)",
		    (unsigned)X509_get_key_usage(c), role->what, (unsigned)want);
	return E_OK;
}

static enum err
check_purpose(X509 *c, const struct cert_rules *r)
{
	const struct role_info *role = role_info(r->role);
	char mail[256];

	if (!cert_has_eku(c, role->eku))
		return err_set(E_POLICY, "its extKeyUsage does not have %s", OBJ_nid2sn(role->eku));
	if (cert_has_eku(c, NID_anyExtendedKeyUsage) || cert_has_eku(c, NID_server_auth))
		return err_set(E_POLICY, "its extKeyUsage has uses that a person's certificate must not have");
	if (role->eku == NID_email_protect && cert_email(c, mail, sizeof mail)[0] == '\0')
		return err_set(E_POLICY, "it is for mail and has no mail address");
	return E_OK;
}

/* SP 800-157r1 and Common Policy 3.1.1.2: a UUID of its own, never the card's identifiers. */
static enum err
check_names(X509 *c, const struct cert_rules *r)
{
	char own[TEXT_UUID_MAX], card[TEXT_UUID_MAX];
	unsigned n = cert_uuids(c, own);

	cert_uuids(r->card, card);
	if (role_info(r->role)->needs_uuid && n != 1)
		return err_set(E_POLICY, n == 0 ? "it has no UUID" : "it has several UUIDs");
	if (n > 0 && strcasecmp(own, card) == 0)
		return err_set(E_POLICY, "it has the UUID of the card instead of one of its own");
	if (cert_has_fascn(c))
		return err_set(E_POLICY, "it has a FASC-N, which belongs to the card");
	return E_OK;
}

/* SP 800-157r1, 3.1.2: a policy for keys in validated hardware is for those. */
static enum err
check_assurance(X509 *c, const struct cert_rules *r)
{
	const struct role_info *role = role_info(r->role);
	const char *found = NULL;
	bool hard = cert_has_policy(c, role->hard, &found) || cert_has_policy(c, role->test_hard, &found);

	if (hard && r->carries != ASSURE_NONE && r->carries < ASSURE_AAL3)
		return err_set(E_POLICY,
		    "it asserts %s, a policy for keys in validated hardware, which nothing shows: %s", found,
		    r->carries_why != NULL ? r->carries_why : "");
	if (!hard && r->demands >= ASSURE_AAL3 && r->role == ROLE_AUTH)
		return err_set(E_POLICY,
		    "it is issued for AAL2, and AAL3 is demanded; ask the issuer for a certificate of policy %s",
		    role->hard[0]);
	return E_OK;
}

static enum err
check_policy(X509 *c, const struct cert_rules *r)
{
	const struct role_info *role = role_info(r->role);
	const char *const one[] = { r->one_certificate, NULL };

	if (r->role == ROLE_MAIL)
		return cert_has_policy(c, one, NULL) ? E_OK
						     : err_set(E_POLICY, "it is not issued under the policy %s",
							   one[0] != NULL ? one[0] : "of one_certificate");
	if (cert_has_policy(c, role->policies, NULL) ||
	    (r->test_policies && cert_has_policy(c, role->test_policies, NULL)))
		return E_OK;
	if (cert_has_policy(c, role->test_policies, NULL))
		return err_set(E_POLICY,
		    "it is issued under a test policy; set test_policies = yes for this issuer if that is wanted");
	return err_set(E_POLICY, "it is not issued under a policy for %s", role->what);
}

static bool
path_policies(X509_STORE_CTX *ctx, const struct cert_rules *r)
{
	const struct role_info *role = role_info(r->role);
	const char *const one[] = { r->one_certificate, NULL };
	const char *const *lists[] = { r->role == ROLE_MAIL ? one : role->policies,
		r->test_policies ? role->test_policies : NULL };
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	for (size_t l = 0; l < 2; l++) {
		for (size_t i = 0; lists[l] != NULL && lists[l][i] != NULL; i++) {
			ASN1_OBJECT *o = OBJ_txt2obj(lists[l][i], 1);

			if (o == NULL || X509_VERIFY_PARAM_add0_policy(param, o) != 1) {
				ASN1_OBJECT_free(o);
				return false;
			}
		}
	}
	X509_VERIFY_PARAM_set_time(param, r->now);
	return X509_VERIFY_PARAM_set_flags(
		   param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_EXPLICIT_POLICY) == 1;
}

/* RFC 5280, 6: to the anchors that were configured, with the role's policies as the initial set. */
static enum err
check_path(X509 *c, const struct cert_rules *r)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ready = store != NULL && ctx != NULL;
	enum err e = E_OK;

	for (int i = 0; ready && i < sk_X509_num(r->anchors); i++)
		ready = X509_STORE_add_cert(store, sk_X509_value(r->anchors, i)) == 1;
	if (ready && r->anchors == NULL)
		ready = X509_STORE_set_default_paths(store) == 1;
	ready = ready && X509_STORE_CTX_init(ctx, store, c, r->others) == 1 && path_policies(ctx, r);
	if (!ready)
		e = err_crypto(E_NOMEM, "cannot check its issuer");
	else if (X509_verify_cert(ctx) != 1)
		e = err_set(E_POLICY, "it does not lead to a trusted issuer: %s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return e;
}

enum err
cert_check(X509 *cert, const struct cert_rules *rules)
{
	static enum err (*const checks[])(X509 *, const struct cert_rules *) = { check_key, check_form, check_subject,
		check_dates, check_usage, check_purpose, check_names, check_policy, check_assurance, check_path };

	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		enum err e = checks[i](cert, rules);

		if (e != E_OK)
			return err_up(e, "the certificate that was issued is not accepted");
	}
	return E_OK;
}
