/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy: who it is for, what the user's file may do to it (every key, both ways), what is judged by it. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "derive/policy_int.h"
#include "tests/lib/test.h"

static char dir[] = "/tmp/dpiv-policy.XXXXXX", user[64], etc[64];

#define AGENCY                                                                                                         \
	"[issuer agency]\nurl = https://agency.example\ncafile = /etc/root.pem\n"                                      \
	"[issuer partner]\nurl = https://partner.example\nprotocol = scep\n"

static enum err
read_both(const char *etc_text, const char *user_text, const char *who, struct conf **c, struct policy **p)
{
	enum err e;

	*c = NULL;
	*p = NULL;
	assert_ok(file_write(etc, 0600, span_str(etc_text)));
	assert_ok(file_write(user, 0600, span_str(user_text)));
	e = conf_load_layers(user, etc, c);
	return e == E_OK ? policy_read(*c, who, p) : e;
}

static void
both_free(struct conf **c, struct policy **p)
{
	policy_free(p);
	conf_free(c);
}

/* Of both files: section, what the administrator has in it, and what the user has. */
static enum err
combine(const char *section, const char *admin, const char *said)
{
	char a[1024], u[512];
	struct conf *c;
	struct policy *p;
	enum err e;

	snprintf(a, sizeof a, AGENCY "[policy]\nroles = auth, sign, encrypt\n%s%s\n",
	    strcmp(section, "policy") == 0 ? "" : "[issuer new]\nurl = https://new.example\n", admin);
	snprintf(u, sizeof u, "# mine\n\n[%s]\n%s\n", section, said);
	e = read_both(a, u, NULL, &c, &p);
	both_free(&c, &p);
	return e;
}

static void
every_key_both_ways(void **state)
{
	static const struct {
		enum policy_key key;
		const char *admin, *tighter, *looser;
	} row[] = {
		{ POLICY_ISSUERS, "issuers = agency, partner", "issuers = agency", NULL },
		{ POLICY_ISSUERS, "issuers = agency", "issuers = agency", "issuers = agency, partner" },
		{ POLICY_OWN_ISSUERS, "issuers = agency\nown_issuers = yes", "own_issuers = no", NULL },
		{ POLICY_OWN_ISSUERS, "issuers = agency", "own_issuers = no", "own_issuers = yes" },
		{ POLICY_PROTOCOLS, "protocols = est, cmp", "protocols = cmp", "protocols = est, scep" },
		{ POLICY_ROLES, "", "roles = auth, sign", NULL },
		{ POLICY_REQUIRED_ROLES, "required_roles = auth", "required_roles = sign, auth",
		    "required_roles = sign" },
		{ POLICY_DEFAULT_ROLES, "default_roles = auth", "default_roles = sign", NULL },
		{ POLICY_SIGN, "sign = derived, scep", "sign = scep", NULL },
		{ POLICY_SIGN, "sign = derived", "sign = derived", "sign = derived, scep" },
		{ POLICY_ENCRYPT, "encrypt = pkcs12, derived", "encrypt = pkcs12", "encrypt = scep" },
		{ POLICY_ONE_CERTIFICATE, "one_certificate = yes", "one_certificate = yes", "one_certificate = no" },
		{ POLICY_TARGETS, "targets = piv", "targets = pkcs11:token=mine", NULL },
		{ POLICY_ALGORITHMS, "algorithms = RSA-3072, P-256", "algorithms = p256", "algorithms = P-384" },
		{ POLICY_MIN_ASSURANCE, "min_assurance = aal2", "min_assurance = aal3", NULL },
		{ POLICY_MIN_ASSURANCE, "min_assurance = aal3", "min_assurance = aal3", "min_assurance = aal2" },
		{ POLICY_RENEW_DAYS, "renew_days = 30", "renew_days = 100", "renew_days = 9" },
		{ POLICY_RENEW_TO, "renew_to = agency", "renew_to = agency", "renew_to = partner" },
		{ POLICY_RENEW_TO, "", "notices = yes", "renew_to = partner" },
		{ POLICY_TRUST_ROOTS, "trust_roots = /a.pem, /b.pem", "trust_roots = /b.pem", "trust_roots = /c.pem" },
		{ POLICY_NOTICES, "notices = no", "notices = yes", NULL },
		{ POLICY_NOTICES, "notices = yes", "notices = yes", "notices = no" },
	};
	bool seen[POLICY_KEYS] = { false }, refused[POLICY_KEYS] = { false };
	char where[96];

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		seen[row[i].key] = true;
		assert_ok(combine("policy", row[i].admin, row[i].tighter));
		if (row[i].looser == NULL)
			continue;
		refused[row[i].key] = true;
		assert_err(combine("policy", row[i].admin, row[i].looser), E_POLICY);
		snprintf(where, sizeof where, "%s:4: ", user);
		assert_says(where);
		assert_says(" loosens ");
		assert_says(etc);
	}
	refused[POLICY_ROLES] = true; /* roles_are_only_left_out() */
	for (size_t k = 0; k < POLICY_KEYS; k++)
		if (!seen[k] || (!refused[k] && k != POLICY_TARGETS && k != POLICY_DEFAULT_ROLES))
			fail_msg("no row of %s", policy_key_name((enum policy_key)k));
}

static void
roles_are_only_left_out(void **state)
{
	struct conf *c;
	struct policy *p;
	char where[200];

	(void)state;
	assert_err(read_both("[policy]\nroles = auth\n", "[policy]\nroles = auth, sign\n", NULL, &c, &p), E_POLICY);
	snprintf(where, sizeof where, "%s:2: roles = auth, sign loosens %s:2: roles = auth; entries", user, etc);
	assert_says(where);
	both_free(&c, &p);
	assert_ok(read_both("[policy]\nroles = auth, sign\n", "[policy]\nroles = sign\n", NULL, &c, &p));
	assert_string_equal(policy_text(p, POLICY_ROLES), "sign");
	both_free(&c, &p);
	assert_ok(read_both("[policy]\ndefault_roles = auth, sign\n", "[policy]\nroles = sign\n", NULL, &c, &p));
	assert_string_equal(policy_default_roles(p), "sign");
	both_free(&c, &p);
	/* a choice outside of what is left is a contradiction */
	assert_err(read_both("[policy]\nroles = auth\n", "[policy]\ndefault_roles = sign\n", NULL, &c, &p), E_CONF);
	assert_says(user);
	assert_says(etc);
	both_free(&c, &p);
}

static void
an_issuer_of_the_administrator_is_his(void **state)
{
	static const struct {
		const char *admin, *user;
		bool may;
	} row[] = {
		{ "", "url = https://new.example", true },
		{ "", "url = https://evil.example", false },
		{ "cafile = /a.pem", "cafile = /a.pem", true },
		{ "cafile = /a.pem", "cafile = /evil.pem", false },
		{ "", "cafile = /evil.pem", false },
		{ "", "protocol = cmp", false },
		{ "", "protocol = est", false },
		{ "protocol = est", "protocol = est", true },
		{ "protocol = cmp", "signer = /evil.pem", false },
		{ "protocol = cmp\nsigner = /a.pem", "signer = /b.pem", false },
		{ "protocol = scep", "fingerprint = 00", false },
		{ "protocol = cmp", "request = ir", false },
		{ "", "label = auth=weak", false },
		{ "", "encrypt = recover", false },
		{ "encrypt = recover", "encrypt = generate", false },
		{ "protocol = cmp", "secret = /home/mine", true },
		{ "protocol = cmp\nsecret = /s", "secret = /home/mine", false },
		{ "protocol = cmp", "reference = me", true },
		{ "protocol = cmp\nreference = 1", "reference = 2", false },
		{ "", "tls = 1.3", true },
		{ "", "tls = 1.2", false },
		{ "tls = 1.2+", "tls = 1.3", true },
		{ "tls = 1.3", "tls = 1.2+", false },
		{ "tls = 1.2", "tls = 1.3", false },
		{ "", "weak_algorithms = yes", false },
		{ "weak_algorithms = yes", "weak_algorithms = no", true },
		{ "weak_algorithms = yes", "weak_algorithms = yes", true },
		{ "", "test_policies = yes", false },
		{ "test_policies = yes", "test_policies = no", true },
		{ "", "one_certificate = 2.999.1", false },
		{ "one_certificate = 2.999.1", "one_certificate = 2.999.2", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		enum err e = combine("issuer new", row[i].admin, row[i].user);

		if (e != (row[i].may ? E_OK : E_POLICY))
			fail_msg(
			    "row %zu: %s against %s: E_%s %s", i, row[i].user, row[i].admin, err_name(e), err_msg());
		if (e != E_OK) {
			assert_says(user);
			assert_says(etc);
		}
	}
}

static void
every_key_of_an_issuer_has_a_rule(void **state)
{
	enum policy_rule rule;
	size_t n;
	const struct conf_key *t = conf_table(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		if (strcmp(t[i].section, "issuer *") == 0 && !policy_issuer_rule(t[i].key, &rule))
			fail_msg("%s has no rule: a user could set it", t[i].key);
}

/* What is refused of a request that is right but for one thing, and by which key. */
static void
requests_are_judged(void **state)
{
	static const char etc_text[] = AGENCY "[policy]\nissuers = agency, partner\nroles = auth, encrypt\n"
					      "encrypt = derived\nalgorithms = P-256\nprotocols = est, scep\n";
	const struct derive_req good = { .issuer = "https://agency.example",
		.cafile = "/etc/root.pem",
		.role = { ROLE_AUTH, ROLE_ENCRYPT },
		.n_roles = 2,
		.alg_chosen = true,
		.alg = TOKEN_P256 };
	struct derive_req r;
	struct conf *c;
	struct policy *p;

	(void)state;
	assert_ok(read_both(etc_text, "[issuer own]\nurl = https://own.example\n", NULL, &c, &p));
	assert_ok(policy_judge(p, &good));
#define REFUSED(change, says)                                                                                          \
	do {                                                                                                           \
		r = good;                                                                                              \
		change;                                                                                                \
		assert_err(policy_judge(p, &r), E_POLICY);                                                             \
		assert_says(etc);                                                                                      \
		assert_says(says);                                                                                     \
	} while (0)
	REFUSED(r.issuer = "https://agency.example.evil", "issuers = ");
	REFUSED(r.issuer = "https://own.example", "issuers = ");
	REFUSED(r.cafile = NULL, "the cafile of this issuer");
	REFUSED(r.cafile = "/home/pat/root.pem", "the cafile of this issuer");
	REFUSED(r.protocol = "cmp", "the protocol of this issuer");
	REFUSED(r.signer = "/home/pat/signer.pem", "the signer of this issuer");
	REFUSED(r.fingerprint = "00", "the fingerprint of this issuer");
	REFUSED(r.weak = true, "the weak_algorithms of this issuer");
	REFUSED(r.test_policies = true, "the test_policies of this issuer");
	REFUSED(r.encrypt = KEY_RECOVER, "the encrypt of this issuer");
	REFUSED(r.role[1] = ROLE_SIGN, "roles = auth, encrypt: no digital signature");
	REFUSED(r.alg = TOKEN_RSA2048, "algorithms = P-256");
	REFUSED((r.issuer = "https://partner.example", r.protocol = "scep", r.cafile = NULL), "encrypt = derived");
#undef REFUSED
	both_free(&c, &p);
	assert_ok(policy_judge(NULL, &good));
}

/* One certificate for signature and encryption: as the issuer has it, demanded, forbidden. */
static void
one_certificate_is_judged(void **state)
{
	static const char both[] = "[issuer both]\nurl = https://both.example\none_certificate = 2.999.1\n[policy]\n";
	static const struct {
		const char *policy;
		enum role role;
		const char *one, *says; /* NULL: allowed */
	} row[] = {
		{ "", ROLE_MAIL, "2.999.1", NULL },
		{ "", ROLE_SIGN, "2.999.1", NULL },
		{ "", ROLE_MAIL, NULL, "has no one_certificate" },
		{ "one_certificate = yes\n", ROLE_MAIL, "2.999.1", NULL },
		{ "one_certificate = yes\n", ROLE_AUTH, "2.999.1", NULL },
		{ "one_certificate = yes\n", ROLE_SIGN, "2.999.1", "no certificate for digital signature alone" },
		{ "one_certificate = yes\n", ROLE_ENCRYPT, "2.999.1", "no certificate for encryption alone" },
		{ "one_certificate = no\n", ROLE_MAIL, "2.999.1", "one_certificate = no" },
		{ "one_certificate = no\n", ROLE_ENCRYPT, "2.999.1", NULL },
		{ "roles = auth, sign\n", ROLE_MAIL, "2.999.1", "no encryption credential" },
		{ "roles = auth, encrypt\n", ROLE_MAIL, "2.999.1", "no digital signature credential" },
		{ "encrypt = pkcs12\n", ROLE_MAIL, "2.999.1", "no encryption key" },
		{ "sign = scep\n", ROLE_MAIL, "2.999.1", "no digital signature key" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		struct derive_req r = { .issuer = "https://both.example", .one_certificate = row[i].one };
		char text[512];
		struct conf *c;
		struct policy *p;

		snprintf(text, sizeof text, "%s%s", both, row[i].policy);
		assert_ok(read_both(text, "", NULL, &c, &p));
		if (row[i].says == NULL) {
			assert_ok(policy_judge_role(p, &r, row[i].role));
		} else {
			assert_err(policy_judge_role(p, &r, row[i].role), E_POLICY);
			assert_says(row[i].says);
		}
		both_free(&c, &p);
	}
}

/* The person may choose where the administrator has not, and issuers' own policies are not for him to change. */
static void
one_certificate_of_the_user(void **state)
{
	struct derive_req r = {
		.issuer = "https://agency.example", .cafile = "/etc/root.pem", .one_certificate = "2.999.1"
	};
	struct conf *c;
	struct policy *p;

	(void)state;
	assert_ok(combine("policy", "one_certificate = yes", "one_certificate = yes"));
	assert_err(combine("policy", "one_certificate = yes", "one_certificate = no"), E_POLICY);
	assert_err(combine("policy", "one_certificate = no", "one_certificate = yes"), E_POLICY);
	assert_err(combine("policy", "default_roles = mail", ""), E_CONF);
	assert_says("say sign, encrypt");
	assert_ok(read_both(AGENCY "[policy]\nnotices = yes\n", "", NULL, &c, &p));
	assert_err(policy_judge(p, &r), E_POLICY);
	assert_says("the one_certificate of this issuer");
	both_free(&c, &p);
}

static void
keys_of_the_issuer_are_judged(void **state)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *p521 = EVP_EC_gen("P-521"), *rsa = EVP_RSA_gen(2048);
	struct conf *c;
	struct policy *p;

	(void)state;
	assert_ok(read_both("[policy]\nalgorithms = P-384, RSA-3072\n", "", NULL, &c, &p));
	assert_ok(policy_judge_key(p, p384));
	assert_err(policy_judge_key(p, rsa), E_POLICY);
	assert_err(policy_judge_key(p, p521), E_POLICY);
	both_free(&c, &p);
	assert_ok(read_both("", "", NULL, &c, &p));
	assert_ok(policy_judge_key(p, rsa));
	both_free(&c, &p);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	EVP_PKEY_free(rsa);
}

static void
without_a_policy_the_user_comes_first(void **state)
{
	struct conf *c;
	struct policy *p;

	(void)state;
	assert_ok(read_both(AGENCY, "[issuer agency]\nurl = https://mine.example\n", NULL, &c, &p));
	assert_false(policy_exists(p));
	assert_string_equal(conf_str(c, "issuer agency", "url"), "https://mine.example");
	assert_true(policy_notices(p));
	assert_int_equal(policy_min_assurance(p), 0);
	assert_int_equal(policy_renew_days(p), 28);
	assert_null(policy_renew_to(p));
	assert_string_equal(policy_default_roles(p), "auth");
	both_free(&c, &p);
	assert_int_equal(policy_renew_days(NULL), 28);
	assert_true(policy_allows(NULL, POLICY_ROLES, "sign"));
}

static void
wrong_values_name_their_line(void **state)
{
	static const struct {
		const char *text, *says;
	} row[] = {
		{ "[policy]\nroles = auth, sing\n", ":2: roles: there is no role 'sing'" },
		{ "[policy]\nissuers = nobody\n", ":2: issuers: there is no [issuer nobody]" },
		{ "[policy]\nrenew_to = nobody\n", ":2: renew_to: there is no [issuer nobody]" },
		{ "[policy]\nprotocols = acme\n", ":2: protocols: " },
		{ "[policy]\nsign = pkcs12\n", ":2: sign: 'pkcs12' must be derived or scep" },
		{ "[policy]\nencrypt = escrow\n", ":2: encrypt: 'escrow' must be derived, scep or pkcs12" },
		{ "[policy]\ntargets = softhsm\n", ":2: targets: 'softhsm' must be piv" },
		{ "[policy]\ntargets = piv, pkcs11:colour=red\n", ":2: targets: 'colour' is not token" },
		{ "[policy]\nalgorithms = RSA-1024\n", ":2: algorithms: there is no algorithm 'RSA-1024'" },
		{ "[policy]\nmin_assurance = high\n", ":2: min_assurance: 'high' must be aal2 or aal3" },
		{ "[policy]\nrenew_days = 0\n", ":2: renew_days: '0' must be" },
		{ "[policy]\ntrust_roots = /a.pem, b.pem\n", ":2: trust_roots: 'b.pem' must be an absolute path" },
		{ "[policy]\nroles = \n", ":2: roles: the list is empty" },
		{ "[policy]\nroles = auth\nrequired_roles = sign\n", ":3: required_roles = sign has what" },
		{ AGENCY "[policy]\nissuers = agency\nrenew_to = partner\n", "renew_to = partner has what" },
		{ AGENCY "[policy]\nissuers = partner\nprotocols = est\n", "whose protocol scep is not" },
		{ "[policy staff]\nroles = auth\n", ":1: [policy staff] needs groups" },
		{ "[policy]\ngroups = a\n", ":2: unknown key \"groups\" in [policy]" },
		{ "[module policy]\nkeep_pin = no\n", "unknown section [module policy]" },
	};
	struct conf *c;
	struct policy *p;

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		assert_err(read_both(row[i].text, "", NULL, &c, &p), E_CONF);
		assert_says(etc);
		assert_says(row[i].says);
		both_free(&c, &p);
	}
	assert_err(read_both("", "[policy staff]\ngroups = root\n", NULL, &c, &p), E_CONF);
	assert_says(user);
	both_free(&c, &p);
}

/* The names of this system's groups: of somebody, and one that he is not in. */
static void
groups_decide(void **state)
{
	const struct passwd *pw = getpwnam("daemon");
	const struct group *gr = pw != NULL ? getgrgid(pw->pw_gid) : NULL;
	char text[512], name[64];
	struct conf *c;
	struct policy *p;

	(void)state;
	if (gr == NULL || strcmp(gr->gr_name, "root") == 0)
		skip();
	snprintf(name, sizeof name, "%s", gr->gr_name);
	snprintf(text, sizeof text,
	    "[policy]\nroles = auth\nrenew_days = 40\n[policy none]\ngroups = no-such-group\nroles = encrypt\n"
	    "[policy first]\ngroups = no-such-group, %s\nroles = sign\n"
	    "[policy second]\ngroups = %s\nroles = encrypt\nnotices = no\n",
	    name, name);
	assert_ok(read_both(text, "", "daemon", &c, &p));
	assert_string_equal(policy_text(p, POLICY_ROLES), "sign"); /* the first one that is for him */
	assert_false(policy_notices(p));			   /* the second has what the first leaves open */
	assert_int_equal(policy_renew_days(p), 40);		   /* and [policy] the rest */
	both_free(&c, &p);
	assert_ok(read_both(text, "", "root", &c, &p));
	assert_string_equal(policy_text(p, POLICY_ROLES), "auth");
	both_free(&c, &p);
	assert_err(read_both(text, "", "no-such-user", &c, &p), E_NOTFOUND);
	both_free(&c, &p);
}

static void
patterns(void **state)
{
	static const struct policy_target soft = { .token = "laptop, mine",
		.manufacturer = "SoftHSM project",
		.model = "SoftHSM v2",
		.serial = "0123",
		.module = "/usr/lib/softhsm/libsofthsm2.so",
		.module_real = "/usr/lib/x86_64/libsofthsm2.so" },
					  climb = { .token = "laptop",
						  .manufacturer = "SoftHSM project",
						  .model = "SoftHSM v2",
						  .serial = "0123",
						  .module = "/usr/lib/softhsm/../../../home/evil.so",
						  .module_real = "/home/evil.so" },
					  card = { .token = "PIV",
						  .manufacturer = "",
						  .model = "",
						  .serial = "9",
						  .piv = true };
	static const struct {
		const char *pattern;
		bool soft;
	} row[] = {
		{ "piv", false },
		{ "pkcs11:token=laptop%2C%20mine", true },
		{ "pkcs11:token=laptop", false },
		{ "pkcs11:token=laptop*", true },
		{ "pkcs11:token=*mine", true },
		{ "pkcs11:token=*a*,*i*e", true },
		{ "pkcs11:token=%2A", false },
		{ "pkcs11:token=*", true },
		{ "pkcs11:model=SoftHSM v2;manufacturer=SoftHSM*", true },
		{ "pkcs11:model=SoftHSM v2;manufacturer=Yubico*", false },
		{ "pkcs11:serial=0123?module-path=/usr/lib/softhsm/*", true },
		{ "pkcs11:?module-path=/usr/lib/x86_64/libsofthsm2.so", true },
		{ "pkcs11:?module-path=/usr/lib/opensc-pkcs11.so", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		assert_ok(policy_pattern_check(row[i].pattern));
		if (policy_pattern_match(row[i].pattern, &soft) != row[i].soft)
			fail_msg("%s", row[i].pattern);
	}
	assert_true(policy_pattern_match("piv", &card));
	assert_false(policy_pattern_match("pkcs11:?module-path=*", &card));
	assert_false(policy_pattern_match("pkcs11:?module-path=/usr/lib/softhsm/*", &climb));
	assert_true(policy_pattern_match("pkcs11:?module-path=/home/*", &climb));
	assert_err(policy_pattern_check("pkcs11:"), E_CONF);
	assert_err(policy_pattern_check("pkcs11:token=%2"), E_CONF);
	assert_err(policy_pattern_check("pkcs11:token="), E_CONF);
	assert_err(policy_pattern_check("pkcs11:token=a;;model=b"), E_CONF);
	assert_false(policy_pattern_match("pkcs11:token=%zz", &soft));
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(user, sizeof user, "%s/user.conf", dir);
	snprintf(etc, sizeof etc, "%s/etc.conf", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(user);
	unlink(etc);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_both_ways),
		cmocka_unit_test(roles_are_only_left_out),
		cmocka_unit_test(an_issuer_of_the_administrator_is_his),
		cmocka_unit_test(every_key_of_an_issuer_has_a_rule),
		cmocka_unit_test(requests_are_judged),
		cmocka_unit_test(one_certificate_is_judged),
		cmocka_unit_test(one_certificate_of_the_user),
		cmocka_unit_test(keys_of_the_issuer_are_judged),
		cmocka_unit_test(without_a_policy_the_user_comes_first),
		cmocka_unit_test(wrong_values_name_their_line),
		cmocka_unit_test(groups_decide),
		cmocka_unit_test(patterns),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
