/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The roles of derived credentials and the key algorithms, as tables. Policies are those of the X.509 Certificate
 * Policy for the U.S. Federal PKI Common Policy Framework, arc 2.16.840.1.101.3.2.1.3: 40 derived-pivAuth, 41
 * derived-pivAuth-hardware, 6 common-policy, 7 common-hardware, 16 common-High; test policies are NIST's test arc,
 * accepted only when the configuration says so.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/role.h"

#define FEDERAL "2.16.840.1.101.3.2.1."
#define ARC	FEDERAL "3."
#define TEST	FEDERAL "48."

static const char *const auth_policies[] = { ARC "40", ARC "41", NULL };
static const char *const auth_tests[] = { TEST "109", TEST "110", NULL };
static const char *const auth_hard[] = { ARC "41", NULL };
static const char *const auth_test_hard[] = { TEST "110", NULL };
static const char *const mail_policies[] = { ARC "6", ARC "7", ARC "16", NULL };
static const char *const mail_tests[] = { TEST "8", TEST "9", TEST "12", NULL };
static const char *const mail_hard[] = { ARC "7", ARC "16", NULL };
static const char *const mail_test_hard[] = { TEST "9", TEST "12", NULL };
static const char *const no_policies[] = { NULL };

static const struct role_info roles[ROLE_COUNT] = {
	[ROLE_AUTH] = { "auth", "authentication", NULL, 0x01, TOKEN_USE_SIGN, KU_DIGITAL_SIGNATURE,
	    KU_DIGITAL_SIGNATURE, NID_client_auth, true, auth_policies, auth_tests, auth_hard, auth_test_hard },
	[ROLE_SIGN] = { "sign", "digital signature", "sign", 0x02, TOKEN_USE_SIGN,
	    KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION, KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION, NID_email_protect,
	    false, mail_policies, mail_tests, mail_hard, mail_test_hard },
	[ROLE_ENCRYPT] = { "encrypt", "encryption", "encrypt", 0x03, TOKEN_USE_DECRYPT, KU_KEY_ENCIPHERMENT,
	    KU_KEY_AGREEMENT, NID_email_protect, false, mail_policies, mail_tests, mail_hard, mail_test_hard },
	/* no nonRepudiation: a key that opens mail may be another's to use one day */
	[ROLE_MAIL] = { "mail", "digital signature and encryption", "mail", 0x04, TOKEN_USE_BOTH,
	    KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT, NID_email_protect,
	    false, no_policies, no_policies, mail_hard, mail_test_hard },
};

static const struct {
	const char *name;
	enum token_alg alg;
} algs[] = {
	{ "rsa2048", TOKEN_RSA2048 },
	{ "rsa3072", TOKEN_RSA3072 },
	{ "p256", TOKEN_P256 },
	{ "p384", TOKEN_P384 },
};

const struct role_info *
role_info(enum role role)
{
	return &roles[role];
}

enum err
role_parse(const char *name, size_t len, enum role *out)
{
	char safe[40];

	for (size_t i = 0; i < ROLE_COUNT; i++) {
		if (strlen(roles[i].name) == len && memcmp(roles[i].name, name, len) == 0) {
			*out = (enum role)i;
			return E_OK;
		}
	}
	return err_set(E_USAGE, "there is no role '%s'; the roles are auth, sign, encrypt and mail",
	    text_safe(span_of(name, len), safe, sizeof safe));
}

bool
role_decrypts(enum role role)
{
	return role == ROLE_ENCRYPT || role == ROLE_MAIL;
}

enum role
role_in(enum role role, const char *one_certificate)
{
	return one_certificate != NULL && role != ROLE_AUTH ? ROLE_MAIL : role;
}

enum err
role_one_policy(const char *oid)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	char usual[128] = "", safe[80];
	/* libcrypto reads blanks and leading zeros as well, and the text is compared from here on */
	bool is = o != NULL && OBJ_obj2txt(usual, sizeof usual, o, 1) > 0 && strcmp(usual, oid) == 0;
	const char *why = NULL;

	ASN1_OBJECT_free(o);
	ERR_clear_error();
	if (!is)
		why = "no object identifier";
	else if (strncmp(oid, FEDERAL, strlen(FEDERAL)) == 0)
		why = "a policy of the Federal PKI, whose profiles have one certificate for signature and another for "
		      "encryption";
	else if (strcmp(oid, "2.5.29.32.0") == 0)
		why = "any policy, and it has to be one";
	return why == NULL
	    ? E_OK
	    : err_set(E_CONF, "one_certificate = %s is %s", text_safe(span_str(oid), safe, sizeof safe), why);
}

enum err
key_source_parse(const char *name, enum key_source *out)
{
	static const char *const names[] = {
		[KEY_GENERATE] = "generate", [KEY_SERVERKEYGEN] = "serverkeygen", [KEY_RECOVER] = "recover"
	};
	char safe[40];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(names[i], name) == 0) {
			*out = (enum key_source)i;
			return E_OK;
		}
	}
	return err_set(E_CONF, "encrypt in dpiv.conf must be generate, serverkeygen or recover, not '%s'",
	    text_safe(span_str(name), safe, sizeof safe));
}

enum err
alg_parse(const char *name, enum token_alg *out)
{
	char safe[40];

	for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
		if (strcmp(algs[i].name, name) == 0) {
			*out = algs[i].alg;
			return E_OK;
		}
	}
	return err_set(E_USAGE, "there is no algorithm '%s'; derived keys are rsa2048, rsa3072, p256 or p384",
	    text_safe(span_str(name), safe, sizeof safe));
}

const char *
alg_name(enum token_alg alg)
{
	for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++)
		if (algs[i].alg == alg)
			return algs[i].name;
	return "?";
}
