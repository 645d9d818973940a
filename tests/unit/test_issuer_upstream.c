/* SPDX-License-Identifier: BSD-2-Clause */
/* A registration authority's requests in the ledger: what becomes of a row, who may take it, which answers are taken,
 * and what a person's own request may ask of the CA. The way to the CA itself: tests/interop/issuer_upstream.sh. */
#include <stdio.h>
#include <string.h>

#include "derive/est_reply.h"
#include "derive/issuer/account.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream_run.h"
#include "derive/issuer/x509io.h"
#include "tests/lib/ledger_dir.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY   86400L
#define ASK   "41000000000000000000000000000001"
#define UUID  "803a8755-58bc-4416-94b0-11f247626de0"
#define UUID2 "803a8755-58bc-4416-94b0-11f247626de1"
#define AUTH  "2.16.840.1.101.3.2.1.3.40"
/* The CA's certificate for Pat, but for the UUID. */
#define FROM_CA(policy, uuid)                                                                                          \
	MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(policy) MINIPKI_AKI                                            \
	    "crlDistributionPoints=URI:http://ca.test/ca.crl\nauthorityInfoAccess=caIssuers;URI:http://ca.test/"       \
	    "ca.p7c\n"                                                                                                 \
	    "basicConstraints=critical,CA:FALSE\n1.3.6.1.4.1.99999.1=ASN1:UTF8:its own\n"                              \
	    "subjectAltName=@san\n[san]\nURI.1=urn:uuid:" uuid                                                         \
	    "\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test\n"

static char dir[LEDGER_DIR], path[LEDGER_PATH];
static struct issuer is;
static struct {
	EVP_PKEY *ca_key, *card_key, *key, *other;
	X509 *card;
	struct pivid id;
	struct account account;
	char spki[65];
	time_t now;
} t;

static int
set_up(void **state)
{
	const struct account_rules rules = { false, false };
	struct minipki_cert card = { .cn = "Pat", .from = -DAY, .to = 100 * DAY, .ext = MINIPKI_PIV_AUTH };
	WBUF_AUTO spki = { .max = 65536 };

	(void)state;
	memset(&is, 0, sizeof is);
	ledger_dir_open(dir, path, &is.db);
	t.now = time(NULL);
	t.ca_key = minipki_key("P-256");
	t.key = minipki_key("P-256");
	t.other = minipki_key("P-256");
	card.key = t.card_key = minipki_key("P-256");
	card.issuer = is.ca = minipki_ca("CA", t.ca_key, NULL, NULL, -DAY, 2000 * DAY, NULL);
	card.issuer_key = t.ca_key;
	t.card = minipki_cert(&card);
	is.config.days = 1095;
	is.config.up.protocol = "cmp";
	is.config.up.request = "cr";
	is.config.up.names = "request";
	is.config.up.url = "http://ca.test/";
	assert_ok(pivid_read(t.card, &t.id));
	assert_ok(x509io_spki_der(t.key, &spki));
	x509io_sha256_text(wbuf_view(&spki), t.spki);
	assert_ok(db_begin(is.db));
	assert_ok(db_end(is.db, account_for_card(is.db, &rules, t.card, &t.id, t.now, &t.account)));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(t.ca_key);
	EVP_PKEY_free(t.card_key);
	EVP_PKEY_free(t.key);
	EVP_PKEY_free(t.other);
	X509_free(t.card);
	X509_free(is.ca);
	return ledger_dir_close(dir, &is.db);
}

static const struct profile_values wish = { .policy = AUTH, .uuid = UUID, .upn = "pat@example.test" };

static struct upstream_ask
ask_of(const char *ask)
{
	return (struct upstream_ask){ .ask = ask,
		.account = t.account.id,
		.profile = "auth",
		.spki_sha256 = t.spki,
		.card_sha256 = t.id.sha256,
		.values = &wish,
		.detail = "a test",
		.notice = "bound" };
}

static void
put(const char *ask)
{
	const struct ledger_cert row = { .serial = ask,
		.account = t.account.id,
		.profile = "auth",
		.spki_sha256 = t.spki,
		.subject = "Pat",
		.card_sha256 = t.id.sha256,
		.from = t.now,
		.to = t.now + DAY };
	struct upstream_ask a = ask_of(ask);
	struct upstream_verdict v;
	WBUF_AUTO csr = { .max = 65536 };

	minipki_csr(t.key, NULL, "SHA256", NULL, NULL, &csr);
	a.csr = wbuf_view(&csr);
	assert_ok(db_begin(is.db));
	assert_ok(ledger_reserve(is.db, &row, t.now));
	assert_ok(db_end(is.db, upstream_put(&is, &a, t.now, &v)));
	assert_int_equal(v.state, UPSTREAM_GOES);
}

static struct upstream_verdict
before(time_t now)
{
	const struct upstream_ask a = ask_of(NULL);
	struct upstream_verdict v;

	assert_ok(db_begin(is.db));
	assert_ok(db_end(is.db, upstream_before(&is, &a, now, &v)));
	return v;
}

static X509 *
from_ca(EVP_PKEY *key, const char *ext)
{
	return minipki_cert(&(const struct minipki_cert){ .cn = "Pat",
	    .key = key,
	    .issuer = is.ca,
	    .issuer_key = t.ca_key,
	    .from = -60,
	    .to = 300 * DAY,
	    .ext = ext });
}

static void
claimed(struct upstream_job *j)
{
	assert_ok(upstream_claim(&is, t.now, 100, j));
}

/* --- the row ------------------------------------------------------------------------------------------------------ */

static void
one_takes_it(void **state)
{
	struct upstream_job a, b;

	(void)state;
	assert_false(upstream_due(&is, t.now));
	assert_int_equal(before(t.now).state, UPSTREAM_NONE);
	put(ASK);
	assert_true(upstream_due(&is, t.now));
	assert_true(upstream_busy(&is, ASK, t.now));
	claimed(&a);
	assert_string_equal(a.ask, ASK);
	assert_int_equal(EVP_PKEY_eq(a.pub, t.key), 1);
	assert_err(upstream_claim(&is, t.now, 100, &b), E_NOTFOUND);
	assert_false(upstream_due(&is, t.now));
	assert_int_equal(before(t.now).state, UPSTREAM_GOES);
	upstream_job_clear(&a);
	/* whoever had it is dead */
	assert_ok(upstream_claim(&is, t.now + 101, 100, &b));
	upstream_job_clear(&b);
}

/* A template of CMP has a key and no request. */
static void
key_alone(void **state)
{
	const struct profile *p = profile_find("auth");
	const struct csr csr = { .key = t.key };
	WBUF_AUTO spki = { .max = 65536 };
	struct upstream_job j;

	(void)state;
	assert_ok(x509io_spki_der(t.key, &spki));
	put(ASK);
	assert_ok(db_run(is.db, "UPDATE upstream SET csr = ?", DB_ARGS(db_blob(wbuf_view(&spki)))));
	claimed(&j);
	assert_int_equal(EVP_PKEY_eq(j.pub, t.key), 1);
	upstream_job_clear(&j);
	assert_ok(upstream_wish_check(&is, &csr, t.card, p, &wish));
	is.config.up.protocol = "est";
	assert_err(upstream_wish_check(&is, &csr, t.card, p, &wish), E_POLICY);
	assert_says("use p10cr");
}

static void
later(void **state)
{
	struct upstream_verdict v;
	struct upstream_job j;

	(void)state;
	put(ASK);
	claimed(&j);
	assert_err(err_set(E_NET, "no cable"), E_NET);
	assert_ok(upstream_later(&is, &j, false, 15, t.now));
	v = before(t.now);
	assert_int_equal(v.state, UPSTREAM_DOWN);
	assert_int_equal(v.after, 15);
	assert_err(upstream_say(&v), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_CA_SILENT);
	assert_int_equal(refuse_after(), 15);
	assert_says("no cable");
	assert_string_equal(upstream_held(), "");
	/* nobody takes it before somebody asks */
	assert_false(upstream_due(&is, t.now + 100));
	assert_int_equal(before(t.now + 15).state, UPSTREAM_GOES);
	assert_true(upstream_due(&is, t.now + 100));
	upstream_job_clear(&j);
	t.now += 100;
	claimed(&j);
	assert_ok(upstream_later(&is, &j, true, 3600, t.now));
	v = before(t.now + 600);
	assert_int_equal(v.state, UPSTREAM_WAITS);
	assert_int_equal(v.after, 3000);
	assert_err(upstream_say(&v), E_POLICY);
	assert_int_equal(refuse_status(refuse_last()), 202);
	upstream_job_clear(&j);
}

static void
refused(void **state)
{
	struct upstream_job j;

	(void)state;
	put(ASK);
	claimed(&j);
	assert_err(err_set(E_REMOTE, "never"), E_REMOTE);
	assert_ok(upstream_ended(&is, &j, NULL, t.now));
	assert_int_equal(before(t.now + 59).state, UPSTREAM_REFUSED);
	assert_int_equal(before(t.now + 60).state, UPSTREAM_NONE);
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM certificate WHERE state = 'abandoned'"), 1);
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM event WHERE what = 'ca-refused'"), 1);
	upstream_job_clear(&j);
}

static void
forgotten(void **state)
{
	struct upstream_job j;

	(void)state;
	put(ASK);
	assert_ok(ledger_recover(is.db, t.now + 3600)); /* of no concern to a request that is with the CA */
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM certificate WHERE state = 'pending'"), 1);
	claimed(&j);
	assert_ok(upstream_later(&is, &j, true, 10, t.now));
	assert_ok(upstream_forget(&is, t.now + 30 * DAY));
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM upstream WHERE state = 'open'"), 1);
	assert_ok(upstream_forget(&is, t.now + 32 * DAY));
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM upstream WHERE state = 'open'"), 0);
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM certificate WHERE state = 'abandoned'"), 1);
	upstream_job_clear(&j);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void
issued(void **state)
{
	X509 *x = from_ca(t.key, FROM_CA(AUTH, UUID2));
	struct ledger_event ev = { .what = "repeated", .account = t.account.id };
	char serial[X509IO_SERIAL_MAX];
	struct upstream_job j;
	int64_t n;

	(void)state;
	put(ASK);
	claimed(&j);
	/* the account ends while the CA works */
	assert_ok(ledger_revoke_account(is.db, t.account.id, 5, t.now, &n));
	assert_int_equal(n, 1);
	assert_ok(upstream_judge(&is, &j, x));
	assert_ok(upstream_issued(&is, &j, x, t.now));
	assert_int_equal(before(t.now).state, UPSTREAM_NONE);
	x509io_serial_text(X509_get0_serialNumber(x), serial, sizeof serial);
	assert_ok(db_number(is.db, &n,
	    "SELECT count(*) FROM certificate c JOIN revocation r ON r.serial = c.serial WHERE c.serial = ? AND"
	    " c.state = 'issued' AND c.uuid = ?",
	    DB_ARGS(db_text(serial), db_text(UUID2))));
	assert_int_equal(n, 1);
	ev.serial = serial;
	assert_ok(upstream_repeated(&is, &ev, t.now)); /* the first answer */
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM event WHERE what = 'repeated'"), 0);
	assert_ok(upstream_repeated(&is, &ev, t.now));
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM event WHERE what = 'repeated'"), 1);
	assert_true(upstream_due(&is, t.now)); /* the CA has to know */
	assert_ok(upstream_collect(&is, t.now));
	assert_ok(upstream_collect(&is, t.now));
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM upstream_revocation WHERE done IS NULL"), 1);
	assert_err(upstream_revoked(&is, serial, t.now), E_POLICY);
	assert_string_equal(upstream_held(), serial);
	assert_true(upstream_busy(&is, serial, t.now));
	assert_ok(upstream_revoke_done(&is, serial, t.now));
	assert_ok(upstream_revoked(&is, serial, t.now));
	assert_err(upstream_revoke_done(&is, serial, t.now), E_NOTFOUND);
	assert_false(upstream_due(&is, t.now));
	upstream_job_clear(&j);
	X509_free(x);
}

static void
judged(const char *says, EVP_PKEY *key, const char *ext)
{
	X509 *x = from_ca(key, ext);
	struct upstream_job j;

	assert_ok(upstream_claim(&is, t.now, 0, &j));
	assert_err(upstream_judge(&is, &j, x), E_POLICY);
	assert_true(j.wrong);
	assert_says(says);
	upstream_job_clear(&j);
	X509_free(x);
}

static void
wrong_answers(void **state)
{
	(void)state;
	put(ASK);
	judged("key is not the one", t.other, FROM_CA(AUTH, UUID2));
	judged("policies", t.key, FROM_CA(MINIPKI_PIV, UUID2));
	judged("the UUID is the card's", t.key, FROM_CA(AUTH, MINIPKI_UUID));
	judged("UUID", t.key, FROM_CA(AUTH, "803a8755-58bc-1416-94b0-11f247626de0"));
	judged("it is a CA's", t.key, "basicConstraints=critical,CA:TRUE\n" MINIPKI_KU_AUTH);
	judged("an extension is missing", t.key, MINIPKI_PIV_AUTH);
	judged("a critical extension", t.key, "1.3.6.1.4.1.99999.2=critical,ASN1:UTF8:new\n" FROM_CA(AUTH, UUID2));
}

/* Used before: by the row of another request. The second certificate is to be revoked, the first is not. */
static void
twice(void **state)
{
	X509 *x = from_ca(t.key, FROM_CA(AUTH, UUID2)), *y = from_ca(t.key, FROM_CA(AUTH, UUID2));
	struct upstream_job j;

	(void)state;
	put(ASK);
	claimed(&j);
	assert_ok(upstream_issued(&is, &j, x, t.now));
	assert_err(upstream_issued(&is, &j, x, t.now), E_POLICY); /* the row is not open any more */
	upstream_job_clear(&j);
	put("41000000000000000000000000000002");
	claimed(&j);
	assert_err(upstream_issued(&is, &j, y, t.now), E_POLICY);
	assert_true(j.wrong);
	assert_says("used before");
	assert_ok(upstream_ended(&is, &j, y, t.now));
	assert_int_equal(before(t.now).state, UPSTREAM_WRONG);
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM upstream_revocation"), 1);
	assert_ok(upstream_ended(&is, &j, x, t.now));
	assert_int_equal(ledger_number(is.db, "SELECT count(*) FROM upstream_revocation"), 1);
	upstream_job_clear(&j);
	X509_free(x);
	X509_free(y);
}

/* --- a person's request ------------------------------------------------------------------------------------------- */

static enum err
wished(const char *ext, const char *profile)
{
	const struct profile_values v = { .policy = AUTH, .upn = "pat@example.test", .email = "pat@example.test" };
	struct csr csr = { 0 };
	WBUF_AUTO der = { .max = 65536 };
	enum err e;

	minipki_csr(t.key, NULL, "SHA256", NULL, ext, &der);
	assert_ok(csr_read(wbuf_view(&der), &csr));
	e = upstream_wish_check(&is, &csr, t.card, profile_find(profile), &v);
	csr_clear(&csr);
	if (e != E_OK)
		assert_int_equal(refuse_last(), REFUSE_BAD_CSR);
	return e;
}

#define NAMES(uuid, upn)                                                                                               \
	"subjectAltName=@san\n[san]\nURI.1=urn:uuid:" uuid "\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:" upn

static void
requests(void **state)
{
	(void)state;
	assert_ok(wished("basicConstraints=CA:TRUE\n", "auth")); /* cr: nothing of it goes to the CA */
	is.config.up.protocol = "est";
	is.config.up.names = "ca";
	assert_ok(wished(NULL, "auth"));
	assert_ok(wished(MINIPKI_KU_AUTH MINIPKI_EKU_AUTH, "auth"));
	assert_err(wished("basicConstraints=CA:TRUE\n", "auth"), E_POLICY);
	assert_says("basicConstraints");
	assert_err(wished("keyUsage=critical,digitalSignature,keyCertSign\n", "auth"), E_POLICY);
	assert_err(wished("extendedKeyUsage=serverAuth\n", "auth"), E_POLICY);
	assert_err(wished("certificatePolicies=" MINIPKI_PIV "\n", "auth"), E_POLICY);
}

/* The subject of minipki's requests is not Pat's, at first. */
static void
request_names(void **state)
{
	const struct profile_values v = { .uuid = UUID, .upn = "pat@example.test", .email = "pat@example.test" };
	X509_NAME *name = X509_NAME_new();
	struct proto_attrs attrs;
	WBUF_AUTO der = { .max = 65536 };

	(void)state;
	is.config.up.protocol = "est";
	assert_true(upstream_wants_names(&is));
	assert_err(wished(NAMES(UUID, "pat@example.test"), "auth"), E_POLICY);
	assert_says("its subject is not the card's");
	assert_true(
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Somebody Else", -1, -1, 0));
	assert_true(X509_set_subject_name(t.card, name));
	X509_NAME_free(name);
	assert_ok(wished(NAMES(UUID, "pat@example.test"), "auth"));
	assert_err(wished(NULL, "auth"), E_POLICY);
	assert_says("csrattrs");
	assert_err(wished(NAMES(UUID, "root@example.test"), "auth"), E_POLICY);
	assert_err(wished(NAMES(MINIPKI_UUID, "pat@example.test"), "auth"), E_POLICY);
	assert_err(wished(NAMES("803a8755-58bc-1416-94b0-11f247626de0", "pat@example.test"), "auth"), E_POLICY);
	assert_err(wished(NAMES(UUID, "pat@example.test") "\nDNS.1=example.test", "auth"), E_POLICY);
	assert_err(wished(MINIPKI_SAN, "auth"), E_POLICY); /* with a FASC-N */
	assert_ok(wished("subjectAltName=email:pat@example.test", "sign"));
	assert_err(wished("subjectAltName=email:root@example.test", "sign"), E_POLICY);
	put(ASK);
	assert_ok(db_run(is.db, "UPDATE certificate SET uuid = ?", DB_ARGS(db_text(UUID))));
	assert_err(wished(NAMES(UUID, "pat@example.test"), "auth"), E_POLICY);
	assert_says("that of another certificate");
	/* what csrattrs gives, a client can read */
	assert_ok(upstream_wish_attrs(profile_find("auth"), &v, &der));
	assert_ok(est_read_attrs(wbuf_view(&der), &attrs));
	assert_true(attrs.binding);
	assert_int_equal(sk_X509_EXTENSION_num(attrs.exts), 1);
	proto_attrs_free(&attrs);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = { T(one_takes_it), T(key_alone), T(later), T(refused), T(forgotten),
		T(issued), T(wrong_answers), T(twice), T(requests), T(request_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
