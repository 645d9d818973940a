/* SPDX-License-Identifier: BSD-2-Clause */
/* The issuer from request to certificate, without a socket: a demo agency, its cards, and EST calls. */
#include <stdio.h>
#include <unistd.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/text.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/est.h"
#include "derive/issuer/init.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY  86400L
#define CARD "CN=Pat Example,O=Test,C=US"

static struct {
	char dir[40];
	struct issuer i;
	EVP_PKEY *ca_key, *card_key;
	X509 *card;
	X509 *got;	  /* by the last enroll() */
	char text[16384]; /* of the last answer; the page's style sheet and frame are in it */
	int status;
} p;

static char agency[40]; /* made once, copied for every test */

static int
make_agency(void **state)
{
	struct init_options o = {
		.name = "Test Agency", .host = "localhost", .port = 8443, .demo = true, .dir = agency
	};

	(void)state;
	strcpy(agency, "/tmp/dpiv-agency.XXXXXX");
	assert_non_null(mkdtemp(agency));
	assert_ok(init_run(&o));
	assert_err(init_run(&o), E_EXISTS);
	return 0;
}

static int
remove_agency(void **state)
{
	char cmd[80];

	(void)state;
	snprintf(cmd, sizeof cmd, "rm -rf %s", agency);
	return system(cmd);
}

static int
set_up(void **state)
{
	struct minipki_cert c = { .cn = "Pat Example", .from = -DAY, .to = 300 * DAY, .ext = MINIPKI_PIV_AUTH };
	char path[80], cmd[120];

	(void)state;
	strcpy(p.dir, "/tmp/dpiv-est.XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(cmd, sizeof cmd, "cp -r %s/. %s/", agency, p.dir);
	assert_int_equal(system(cmd), 0);
	snprintf(path, sizeof path, "%s/private/ca.key", p.dir);
	assert_ok(x509io_read_key(path, &p.ca_key));
	assert_ok(issuer_open(p.dir, ISSUER_KEY | ISSUER_TRUST, &p.i));
	p.card_key = minipki_key("P-256");
	c.key = p.card_key;
	c.issuer = p.i.ca;
	c.issuer_key = p.ca_key;
	p.card = minipki_cert(&c);
	return 0;
}

static int
tear_down(void **state)
{
	char cmd[80];

	(void)state;
	X509_free(p.got);
	p.got = NULL;
	X509_free(p.card);
	EVP_PKEY_free(p.card_key);
	EVP_PKEY_free(p.ca_key);
	issuer_close(&p.i);
	snprintf(cmd, sizeof cmd, "rm -rf %s", p.dir);
	return system(cmd);
}

/* The one certificate of a certs-only answer. */
static X509 *
leaf_of(const struct est_reply *r)
{
	WBUF_AUTO der = { .max = 1u << 20 };
	const unsigned char *in;
	PKCS7 *p7;
	X509 *x;

	assert_true(r->base64);
	assert_null(memchr(r->body.p, '\n', r->body.n)); /* one line: some clients want it so */
	assert_true(text_unbase64(wbuf_view(&r->body), &der));
	in = der.p;
	p7 = d2i_PKCS7(NULL, &in, (long)der.n);
	assert_non_null(p7);
	assert_int_equal(sk_X509_num(p7->d.sign->cert), 1);
	x = sk_X509_value(p7->d.sign->cert, 0);
	X509_up_ref(x);
	PKCS7_free(p7);
	return x;
}

static void
call(struct est_request *rq)
{
	struct est_reply r;

	X509_free(p.got);
	p.got = NULL;
	p.text[0] = '\0';
	est_handle(&p.i, rq, time(NULL), &r);
	p.status = r.status;
	if (r.status == 200 && rq->post)
		p.got = leaf_of(&r);
	else
		snprintf(p.text, sizeof p.text, "%.*s", (int)r.body.n, r.body.p ? (char *)r.body.p : "");
	wbuf_free(&r.body);
}

/* key's request over a connection whose binding is "YmluZA==", as the label says. */
static void
enroll(const char *label, EVP_PKEY *key, const char *ext, X509 *with)
{
	WBUF_AUTO der = { .max = 65536 }, b64 = { .max = 65536 };
	char path[100];
	struct est_request rq = { .post = true,
		.path = path,
		.media_type = "application/pkcs10; x=y",
		.peer = with,
		.binding = "YmluZA==",
		.from = "127.0.0.1" };

	snprintf(path, sizeof path, "/.well-known/est/%s%ssimpleenroll", label, label[0] ? "/" : "");
	minipki_csr(key, NULL, "SHA256", "YmluZA==", ext, &der);
	text_base64(wbuf_view(&der), 64, &b64);
	rq.body = wbuf_view(&b64);
	call(&rq);
}

#define assert_refused(want, code)                                                                                     \
	do {                                                                                                           \
		if (p.status != (want) ||                                                                              \
		    strncmp(p.text, "dpiv-issuer: " code ": ", sizeof("dpiv-issuer: " code ": ") - 1))                 \
			fail_msg("%d %s", p.status, p.text);                                                           \
	} while (0)

static int64_t
number(const char *sql)
{
	int64_t n;

	assert_ok(db_number(p.i.db, &n, sql, DB_NO_ARGS));
	return n;
}

static void
the_three_profiles(void **state)
{
	static const char *const labels[] = { "", "auth", "sign", "encrypt" };

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		EVP_PKEY *key = minipki_key(k == 3 ? "RSA-2048" : "P-256");
		struct pivid id;

		enroll(labels[k], key, NULL, p.card);
		if (p.status != 200)
			fail_msg("%d %s", p.status, p.text);
		assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(p.got), key), 1);
		assert_ok(pivid_read(p.got, &id));
		assert_string_equal(id.subject, CARD);
		assert_string_equal(id.fascn, "");
		assert_string_not_equal(id.uuid, MINIPKI_UUID);
		assert_true((id.uuid[0] != '\0') == (k < 2));
		assert_string_equal(id.email, k < 2 ? "" : "pat@example.test");
		assert_int_equal(X509_get_key_usage(p.got),
		    k < 2	 ? KU_DIGITAL_SIGNATURE
			: k == 2 ? KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION
				 : KU_KEY_ENCIPHERMENT);
		EVP_PKEY_free(key);
	}
	assert_int_equal(number("SELECT count(*) FROM certificate WHERE state = 'issued' AND der IS NOT NULL"), 4);
	assert_int_equal(number("SELECT count(*) FROM account"), 1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE what = 'issued'"), 4);
	assert_int_equal(number("SELECT count(DISTINCT uuid) FROM certificate"), 2);
}

/* The request asks for a name, to be a CA and for somebody's addresses: it gets none of it. */
static void
nothing_from_the_request_but_the_key(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	struct pivid id;

	(void)state;
	enroll("", key,
	    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nextendedKeyUsage=serverAuth\n"
	    "subjectAltName=email:root@example.test,DNS:evil.example\n",
	    p.card);
	assert_int_equal(p.status, 200);
	assert_ok(pivid_read(p.got, &id));
	assert_string_equal(id.subject, CARD);
	assert_string_equal(id.email, "");
	assert_string_equal(id.upn, "pat@example.test");
	assert_int_equal(X509_check_ca(p.got), 0);
	assert_int_equal(X509_get_ext_by_NID(p.got, NID_basic_constraints, -1), -1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE detail LIKE '%extensions asked for%'"), 1);
	EVP_PKEY_free(key);
}

static void
keys_for_one_purpose(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *first;
	char serial[64];

	(void)state;
	enroll("auth", key, NULL, p.card);
	assert_int_equal(p.status, 200);
	first = p.got;
	p.got = NULL;
	enroll("auth", key, NULL, p.card); /* once more, after a lost answer: the same certificate */
	assert_int_equal(p.status, 200);
	assert_int_equal(X509_cmp(p.got, first), 0);
	assert_int_equal(number("SELECT count(*) FROM certificate"), 1);
	assert_int_equal(number("SELECT count(*) FROM event WHERE what = 'repeated'"), 1);
	x509io_serial_text(X509_get0_serialNumber(first), serial, sizeof serial);
	assert_int_equal(ledger_revoke(p.i.db, serial, 4, false, time(NULL)), E_OK);
	enroll("auth", key, NULL, p.card); /* that one is no good any more */
	assert_int_equal(p.status, 200);
	assert_int_not_equal(X509_cmp(p.got, first), 0);
	X509_free(first);
	enroll("sign", key, NULL, p.card);
	assert_refused(403, "key-reused");
	enroll("auth", p.card_key, NULL, p.card);
	assert_refused(403, "key-reused");
	assert_int_equal(number("SELECT count(*) FROM certificate"), 2);
	EVP_PKEY_free(key);
}

static void
derived_never_binds(void **state)
{
	EVP_PKEY *key = minipki_key("P-256"), *second = minipki_key("P-256");
	X509 *derived;

	(void)state;
	enroll("", key, NULL, p.card);
	assert_int_equal(p.status, 200);
	derived = p.got;
	p.got = NULL;
	enroll("", second, NULL, derived);
	assert_refused(403, "policy");
	assert_non_null(strstr(p.text, "only the PIV card itself"));
	enroll("", second, NULL, NULL);
	assert_refused(403, "no-certificate");
	X509_free(derived);
	EVP_PKEY_free(key);
	EVP_PKEY_free(second);
}

static void
no_mail_address(void **state)
{
	struct minipki_cert c = { .cn = "No Mail",
		.key = p.card_key,
		.issuer = p.i.ca,
		.issuer_key = p.ca_key,
		.from = -DAY,
		.to = DAY,
		.ext = MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI
		"subjectAltName=URI:urn:uuid:11111111-1111-4111-8111-111111111111\n" };
	EVP_PKEY *key = minipki_key("P-256");
	X509 *x = minipki_cert(&c);

	(void)state;
	enroll("sign", key, NULL, x);
	assert_refused(403, "no-email");
	assert_int_equal(number("SELECT count(*) FROM account"), 0); /* nothing half-done */
	enroll("auth", key, NULL, x);
	assert_int_equal(p.status, 200);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
suspended_person(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");

	(void)state;
	enroll("", key, NULL, p.card);
	assert_int_equal(p.status, 200);
	assert_ok(db_run(p.i.db, "UPDATE account SET status = 'suspended'", DB_NO_ARGS));
	enroll("", key, NULL, p.card);
	assert_refused(403, "account-suspended");
	assert_int_equal(number("SELECT count(*) FROM event WHERE what = 'refused' AND code = 'account-suspended'"), 1);
	EVP_PKEY_free(key);
}

static void
revoked_card(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	char serial[X509IO_SERIAL_MAX];

	(void)state;
	enroll("", key, NULL, p.card);
	assert_int_equal(p.status, 200);
	assert_ok(ledger_revoke(
	    p.i.db, x509io_serial_text(X509_get_serialNumber(p.card), serial, sizeof serial), 1, true, time(NULL)));
	assert_ok(issuer_refresh_crls(&p.i, time(NULL), true));
	enroll("", key, NULL, p.card); /* no restart in between */
	assert_refused(403, "revoked");
	EVP_PKEY_free(key);
}

/* Who revoked was cut off before the list was made, or between the two files of it. */
static void
list_is_behind(void **state)
{
	const struct config *c = &p.i.config;
	WBUF_AUTO good = { .max = 1 << 20 }, again = { .max = 1 << 20 };

	(void)state;
	assert_ok(ledger_revoke(p.i.db, "4711", 1, true, time(NULL)));
	assert_false(crl_lists(c->ca_crl, "4711", time(NULL)));
	assert_ok(issuer_refresh_crls(&p.i, time(NULL), false));
	assert_true(crl_lists(c->ca_crl, "4711", time(NULL)));
	assert_ok(file_read(c->crls, &good));
	assert_ok(file_write(c->crls, 0644, span_str("old")));
	assert_ok(issuer_refresh_crls(&p.i, time(NULL), false));
	assert_ok(file_read(c->crls, &again));
	assert_true(span_eq(wbuf_view(&good), wbuf_view(&again)));
}

/* notAfter of a certificate that is issued for this key at this time. */
static time_t
end_of(EVP_PKEY *key, time_t now)
{
	WBUF_AUTO der = { .max = 65536 };
	struct pivid id;
	struct csr csr;
	struct issue_request r = { .piv = p.card, .id = &id, .csr = &csr, .profile = profile_find("auth") };
	time_t from = 0, to = 0;
	X509 *x = NULL;
	enum err e;

	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	assert_ok(pivid_read(p.card, &id));
	assert_ok(csr_read(wbuf_view(&der), &csr));
	if ((e = issue_certificate(&p.i, &r, now, &x)) == E_OK) {
		assert_true(x509io_time(X509_get0_notBefore(x), &from));
		assert_true(x509io_time(X509_get0_notAfter(x), &to));
		assert_true(from < now && to - from <= 1095 * DAY);
	} else {
		assert_err(e, E_POLICY);
		assert_int_equal(refuse_last(), REFUSE_KEY_POLICY);
	}
	X509_free(x);
	csr_clear(&csr);
	return to;
}

static void
lifetimes(void **state)
{
	const time_t end_of_2030 = 1924991999, y2027 = 1800000000, y2029 = 1870000000;
	EVP_PKEY *ec = minipki_key("P-256"), *rsa = minipki_key("RSA-2048"), *long_rsa = minipki_key("RSA-3072");
	time_t ca_end = 0;

	(void)state;
	assert_int_equal(end_of(rsa, y2027), y2027 - 60 + 1095 * DAY);
	assert_int_equal(end_of(rsa, y2029), end_of_2030); /* CP 6.1.5 */
	assert_int_equal(end_of(rsa, end_of_2030 + DAY), 0);
	assert_int_equal(end_of(ec, y2029), y2029 - 60 + 1095 * DAY);
	assert_int_equal(end_of(long_rsa, y2029), y2029 - 60 + 1095 * DAY);
	/* never beyond the CA's own end */
	assert_true(x509io_time(X509_get0_notAfter(p.i.ca), &ca_end));
	assert_int_equal(end_of(ec, ca_end - 100 * DAY), ca_end);
	assert_int_equal(end_of(ec, ca_end), 0);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(long_rsa);
}

static void
channel_binding(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	WBUF_AUTO der = { .max = 65536 };
	struct est_request rq = { .post = true,
		.path = "/.well-known/est/simpleenroll",
		.media_type = "application/pkcs10",
		.peer = p.card,
		.binding = "YmluZA==" };

	(void)state;
	assert_false(p.i.config.require_binding); /* a demo agency */
	p.i.config.require_binding = true;
	minipki_csr(key, NULL, "SHA256", "b3RoZXI=", NULL, &der);
	rq.body = wbuf_view(&der);
	call(&rq);
	assert_refused(403, "binding");
	wbuf_clear(&der);
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	rq.body = wbuf_view(&der);
	call(&rq);
	assert_refused(403, "binding");
	p.i.config.require_binding = false;
	call(&rq);
	assert_int_equal(p.status, 200);
	EVP_PKEY_free(key);
}

static void
paths_and_methods(void **state)
{
	static const struct {
		bool post;
		const char *path, *type;
		int status;
		const char *says;
	} row[] = {
		{ false, "/.well-known/est/cacerts", NULL, 200, "MII" },
		{ false, "/.well-known/est/sign/cacerts", NULL, 200, "MII" },
		{ false, "/.well-known/est/csrattrs", NULL, 200, "MAsGCSqGSIb3DQEJBw==" },
		{ false, "/pki/ca.crl", NULL, 200, "" },
		{ false, "/pki/root.crl", NULL, 200, "" },
		{ false, "/pki/ca.p7c", NULL, 200, "" },
		{ false, "/pki/root.cer", NULL, 200, "" },
		{ false, "/", NULL, 200, "<h1>My credentials</h1>" },
		{ true, "/", NULL, 405, "<code>method</code>" },
		{ false, "/code", NULL, 405, "<code>method</code>" },
		{ true, "/code", NULL, 415, "<code>media-type</code>" },
		{ true, "/code", "application/x-www-form-urlencoded", 403, "<code>cross-site</code>" },
		{ false, "/credential/", NULL, 404, "<code>not-found</code>" },
		{ false, "/credential/0g", NULL, 404, "<code>not-found</code>" },
		{ false, "/credential/01", NULL, 403, "<code>not-yours</code>" },
		{ false, "/admin", NULL, 403, "<code>not-admin</code>" },
		{ false, "/style.css", NULL, 200, "body{" },
		{ false, "/style.css/", NULL, 404, "not-found" },
		{ false, "/x", NULL, 404, "not-found" },
		{ false, "", NULL, 404, "not-found" },
		{ false, "/.well-known/est/", NULL, 404, "not-found" },
		{ false, "/.well-known/est/root/cacerts", NULL, 404, "not-found" },
		{ false, "/.well-known/est//cacerts", NULL, 404, "not-found" },
		{ false, "/.well-known/est/auth/cacerts/x", NULL, 404, "not-found" },
		{ false, "/.well-known/est/0123456789012345678901234567890123456789/cacerts", NULL, 404, "not-found" },
		{ false, "/.well-known/est/simpleenroll", NULL, 405, "method" },
		{ true, "/.well-known/est/cacerts", NULL, 405, "method" },
		{ true, "/.well-known/est/simplereenroll", NULL, 415, "media-type" },
		{ true, "/.well-known/est/simpleenroll", NULL, 415, "media-type" },
		{ true, "/.well-known/est/simpleenroll", "application/pkcs10x", 415, "media-type" },
		{ true, "/.well-known/est/simpleenroll", "Application/PKCS10;charset=x", 400, "bad-csr" },
	};

	(void)state;
	for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
		struct est_request rq = { .post = row[k].post,
			.path = row[k].path,
			.media_type = row[k].type,
			.peer = p.card,
			.binding = "" };

		call(&rq);
		if (p.status != row[k].status || strstr(p.text, row[k].says) == NULL)
			fail_msg("%s: %d %s", row[k].path, p.status, p.text);
	}
}

static void
broken_issuer_says_so(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");

	(void)state;
	/* the ledger fails in the middle: no certificate leaves, and the person is not told internals */
	assert_ok(db_run(p.i.db,
	    "CREATE TRIGGER broken BEFORE UPDATE OF der ON certificate BEGIN SELECT RAISE(ABORT, 'disk'); END",
	    DB_NO_ARGS));
	enroll("", key, NULL, p.card);
	assert_refused(500, "internal");
	assert_null(strstr(p.text, "disk"));
	assert_null(p.got);
	assert_int_equal(number("SELECT count(*) FROM certificate WHERE state = 'abandoned'"), 1);
	EVP_PKEY_free(key);
}

static void
configuration(void **state)
{
	static const struct {
		const char *line, *says;
	} row[] = {
		{ "[listen]\ntls = 1.1\n", "must be one of" },
		{ "[listen]\nmax_connections = 0\n", "outside" },
		{ "[profile]\ndays = 2000\n", "outside" },
		{ "[profile]\nbase_url = http://x/,OCSP;URI:http://evil\n", "malformed" },
		{ "[profile]\npolicy_auth = 2.5.29.32.0\n", "malformed" },
		{ "[accounts]\nmode = any\n", "must be one of" },
		{ "[nonsense]\nx = y\n", "unknown section" },
	};
	char path[80];
	struct config c;
	FILE *f;

	(void)state;
	snprintf(path, sizeof path, "%s/issuer.conf", p.dir);
	for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(row[k].line, f);
		fclose(f);
		assert_err(config_load(p.dir, &c), E_CONF);
		assert_says(row[k].says);
	}
	/* no demo = yes: a key file is refused */
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	struct issuer i;
	assert_err(issuer_open(p.dir, ISSUER_KEY, &i), E_POLICY);
	assert_says("pkcs11:");
	assert_err(config_load("/nonexistent", &c), E_NOTFOUND);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_three_profiles),
		T(nothing_from_the_request_but_the_key),
		T(keys_for_one_purpose),
		T(derived_never_binds),
		T(no_mail_address),
		T(suspended_person),
		T(revoked_card),
		T(list_is_behind),
		T(lifetimes),
		T(channel_binding),
		T(paths_and_methods),
		T(broken_issuer_says_so),
		T(configuration),
	};

	return cmocka_run_group_tests(tests, make_agency, remove_agency);
}
