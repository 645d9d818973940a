/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PKI-AUTH, the verifier's half: the path (path.h), and that the leaf is what it should be. The leaf must look like
 * worksheet 6 of the Common Policy profiles: digitalSignature alone, an EKU for authentication (test cards also carry
 * anyExtendedKeyUsage), FASC-N or card UUID, an SP 800-78 key, and none of the policies of other kinds of credential. A
 * derived credential never binds another (SP 800-157r1 2.2.3).
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "derive/issuer/path.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"

/* Other kinds of credential, in the production arc and in the test arc. */
static const struct {
	const char *oid, *what;
} foreign_policies[] = {
	{ "2.16.840.1.101.3.2.1.3.17", "a Card Authentication certificate (key 9E), which proves no holder" },
	{ "2.16.840.1.101.3.2.1.48.13", "a Card Authentication certificate (key 9E), which proves no holder" },
	{ "2.16.840.1.101.3.2.1.3.40", "a derived credential; only the PIV card itself can bind another" },
	{ "2.16.840.1.101.3.2.1.3.41", "a derived credential; only the PIV card itself can bind another" },
	{ "2.16.840.1.101.3.2.1.48.109", "a derived credential; only the PIV card itself can bind another" },
	{ "2.16.840.1.101.3.2.1.48.110", "a derived credential; only the PIV card itself can bind another" },
};

static enum err
check_foreign_policies(X509 *leaf, const char *who)
{
	CERTIFICATEPOLICIES *cps = X509_get_ext_d2i(leaf, NID_certificate_policies, NULL, NULL);
	enum err e = E_OK;
	char oid[128];

	for (int i = 0; e == E_OK && cps && i < sk_POLICYINFO_num(cps); i++) {
		OBJ_obj2txt(oid, sizeof oid, sk_POLICYINFO_value(cps, i)->policyid, 1);
		for (size_t k = 0; e == E_OK && k < sizeof foreign_policies / sizeof foreign_policies[0]; k++)
			if (strcmp(oid, foreign_policies[k].oid) == 0)
				e = refuse(REFUSE_POLICY, "the certificate of %s is %s (policy %s)", who,
				    foreign_policies[k].what, oid);
	}
	CERTIFICATEPOLICIES_free(cps);
	return e;
}

static bool
eku_fits(X509 *leaf)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	bool fits = false;

	for (int i = 0; eku && i < sk_ASN1_OBJECT_num(eku); i++) {
		int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

		fits |= nid == NID_client_auth || nid == NID_ms_smartcard_login;
	}
	EXTENDED_KEY_USAGE_free(eku);
	return fits;
}

static enum err
check_usage(X509 *leaf, const char *who)
{
	uint32_t flags = X509_get_extension_flags(leaf);

	if (X509_get_version(leaf) != 2 || (flags & EXFLAG_INVALID))
		return refuse(REFUSE_WRONG_PROFILE, "the certificate of %s is malformed", who);
	if (flags & EXFLAG_CA)
		return refuse(REFUSE_WRONG_PROFILE, "the certificate of %s belongs to a CA", who);
	if (!(flags & EXFLAG_KUSAGE) || X509_get_key_usage(leaf) != KU_DIGITAL_SIGNATURE)
		return refuse(REFUSE_WRONG_PROFILE,
		    "the key usage in the certificate of %s is not digitalSignature alone, as PIV Authentication (key "
		    "9A) has it",
		    who);
	if (!eku_fits(leaf))
		return refuse(REFUSE_WRONG_PROFILE,
		    "the certificate of %s is not meant for authentication (neither clientAuth nor smart card logon)",
		    who);
	return E_OK;
}

static enum err
check_algorithm(X509 *leaf, const char *who)
{
	EVP_PKEY *key = X509_get0_pubkey(leaf);
	char curve[40] = "";
	int bits = key ? EVP_PKEY_get_bits(key) : 0;

	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && (bits == 2048 || bits == 3072 || bits == 4096))
		return E_OK;
	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) &&
	    (strcmp(curve, SN_X9_62_prime256v1) == 0 || strcmp(curve, SN_secp384r1) == 0))
		return E_OK;
	return refuse(
	    REFUSE_ALGORITHM, "the card's key of %s is neither RSA of 2048 or 3072 bits nor P-256 or P-384", who);
}

static enum err
check_identifiers(const struct pivid *id)
{
	if (!pivid_federal(id) && id->uuid[0] == '\0')
		return refuse(
		    REFUSE_NO_FASCN, "the certificate of %s names neither a FASC-N nor a card UUID", id->subject);
	return E_OK;
}

enum err
pkiauth_check(struct trust *t, const char *policies, X509 *leaf, STACK_OF(X509) * sent, time_t now, struct pivid *id)
{
	const struct path_rules rules = { policies, "policies",
		"a PIV Authentication certificate (2.16.840.1.101.3.2.1.3.13)" };
	enum err e;

	memset(id, 0, sizeof *id);
	if (leaf == NULL)
		return refuse(REFUSE_NO_CERTIFICATE,
		    "the PIV Authentication certificate (key 9A) must be presented in the TLS handshake, and none was");
	trust_refresh(t);
	if ((e = pivid_read(leaf, id)) == E_PROTO)
		return refuse(REFUSE_WRONG_PROFILE, "%s", err_msg());
	if (e != E_OK)
		return e;
	if ((e = check_foreign_policies(leaf, id->subject)) != E_OK ||
	    (e = path_check(t, &rules, leaf, sent, now)) != E_OK || (e = check_usage(leaf, id->subject)) != E_OK ||
	    (e = check_algorithm(leaf, id->subject)) != E_OK)
		return e;
	return check_identifiers(id);
}
