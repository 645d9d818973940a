/* SPDX-License-Identifier: BSD-2-Clause */
/* Binding codes: their text, their tables (expiry, tries, one use, several processes), and the issuer's answers. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/qr.h"
#include "derive/bind.h"
#include "derive/cert.h"
#include "derive/issuer/bind.h"
#include "derive/issuer/init.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"
#include "tests/lib/ledger_dir.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define NOW   1800000000
#define DAY   86400L
#define LIFE  600
#define TRIES 5

static char dir[LEDGER_DIR], path[LEDGER_PATH];
static struct db *db;

static int
set_up(void **state)
{
	(void)state;
	ledger_dir_open(dir, path, &db);
	for (int i = 0; i < 2; i++)
		assert_ok(db_run(db,
		    "INSERT INTO account (subject, name, origin, created) VALUES (x'3000', 'Pat', 'test', 1)",
		    DB_NO_ARGS));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return ledger_dir_close(dir, &db);
}

/* --- text --------------------------------------------------------------------------------------------------------- */

static void
text_of_codes(void **state)
{
	char plain[BINDCODE_PLAIN], shown[BINDCODE_TEXT], back[BINDCODE_PLAIN], other[BINDCODE_PLAIN];

	(void)state;
	assert_ok(bindcode_new(plain));
	assert_ok(bindcode_new(other));
	assert_string_not_equal(plain, other);
	assert_int_equal(strlen(bindcode_show(plain, shown)), 24);
	assert_ok(bindcode_read(span_str(shown), back));
	assert_string_equal(back, plain);
	for (char *c = shown; *c; c++)
		*c = *c == '-' ? ' ' : *c >= 'A' ? (char)(*c + 32) : *c == '0' ? 'o' : *c == '1' ? 'L' : *c;
	assert_ok(bindcode_read(span_str(shown), back));
	assert_string_equal(back, plain);
	assert_err(bindcode_read(span_str(""), back), E_POLICY);
	assert_says("five groups");
	assert_err(bindcode_read(span_of(plain, 19), back), E_POLICY);
	assert_err(bindcode_read(span_str("AAAA-AAAA-AAAA-AAAA-AAAA-A"), back), E_POLICY);
	assert_err(bindcode_read(span_str("UUUU-UUUU-UUUU-UUUU-UUUU"), back), E_POLICY);
	assert_err(bindcode_read(span_of(plain, 21), back), E_POLICY); /* the NUL */
}

/* Every single wrong symbol and every exchange of two. */
static void
slips_are_noticed(void **state)
{
	static const char all[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char plain[BINDCODE_PLAIN], back[BINDCODE_PLAIN];

	(void)state;
	assert_ok(bindcode_new(plain));
	for (int i = 0; i < 20; i++) {
		char kept = plain[i];

		for (int k = 0; k < 32; k++) {
			plain[i] = all[k];
			assert_err(bindcode_read(span_str(plain), back), all[k] == kept ? E_OK : E_POLICY);
		}
		plain[i] = kept;
		for (int k = 0; k < i; k++) {
			char mine = plain[i], theirs = plain[k];

			plain[i] = theirs;
			plain[k] = mine;
			assert_err(bindcode_read(span_str(plain), back), mine == theirs ? E_OK : E_POLICY);
			plain[i] = mine;
			plain[k] = theirs;
		}
	}
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static const char *const auth_sign[] = { "auth", "sign", NULL };

static void
give(int64_t account, char plain[BINDCODE_PLAIN])
{
	const struct bindstore_grant g = { account, "CC", auth_sign, NOW + LIFE, NULL };

	assert_ok(db_begin(db));
	assert_ok(db_end(db, bindstore_give(db, &g, NOW, plain)));
}

static enum err
check(struct db *d, const char *plain, const char *role, const char *peer, time_t now, struct bindstore_code *out)
{
	const struct bindstore_claim c = { plain, role, peer, TRIES };

	return bindstore_check(d, &c, now, out);
}

static enum err
use_for(struct db *d, const struct bindstore_code *code, const char *role, const char *serial)
{
	enum err e = db_begin(d);

	return e == E_OK ? db_end(d, bindstore_use(d, code, role, serial, NOW)) : e;
}

static enum err
use(struct db *d, const struct bindstore_code *code, const char *role)
{
	return use_for(d, code, role, "01");
}

#define assert_refusal(call, why)                                                                                      \
	do {                                                                                                           \
		assert_err(call, E_POLICY);                                                                            \
		assert_string_equal(refuse_code(refuse_last()), why);                                                  \
	} while (0)

static void
one_use_for_each_role(void **state)
{
	struct bindstore_code code;
	char plain[BINDCODE_PLAIN];

	(void)state;
	give(2, plain);
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code));
	assert_int_equal(code.account, 2);
	assert_string_equal(code.card_sha256, "CC");
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code)); /* looking uses nothing up */
	assert_false(code.used);
	assert_ok(use(db, &code, "auth"));
	assert_refusal(use_for(db, &code, "auth", "02"), "code-used");
	assert_ok(check(db, plain, NULL, "192.0.2.1", NOW, &code));
	assert_false(code.used); /* sign is left */
	assert_refusal(check(db, plain, "encrypt", "192.0.2.1", NOW, &code), "code-role");
	assert_refusal(use(db, &code, "encrypt"), "code-used");
	assert_ok(check(db, plain, "sign", "192.0.2.1", NOW, &code));
	assert_ok(use(db, &code, "sign"));
}

/* Its answer may have been lost: the same certificate again, while the code lives, and no other. */
static void
used_says_whose_it_is(void **state)
{
	struct bindstore_code code;
	char plain[BINDCODE_PLAIN], newer[BINDCODE_PLAIN];

	(void)state;
	give(1, plain);
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code));
	assert_ok(use(db, &code, "auth"));
	assert_ok(use(db, &code, "sign"));
	for (int k = 0; k < 2; k++) {
		assert_ok(check(db, plain, k == 0 ? "auth" : NULL, "192.0.2.1", NOW + LIFE, &code));
		assert_true(code.used);
		assert_int_equal(code.account, 1);
	}
	assert_ok(use(db, &code, "auth"));
	assert_refusal(use_for(db, &code, "auth", "02"), "code-used");
	assert_int_equal(
	    ledger_number(db, "SELECT count(*) FROM bind_role WHERE serial = '01' AND used IS NOT NULL"), 2);
	assert_refusal(check(db, plain, "auth", "192.0.2.1", NOW + LIFE + 1, &code), "code-used");
	give(1, newer);
	assert_refusal(check(db, plain, "auth", "192.0.2.1", NOW, &code), "code-used");
	assert_refusal(use(db, &code, "auth"), "code-used");
}

/* What is rolled back was not used: a crash between is the same to the database. */
static void
use_is_part_of_the_transaction(void **state)
{
	struct bindstore_code code;
	char plain[BINDCODE_PLAIN];

	(void)state;
	give(1, plain);
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code));
	assert_ok(db_begin(db));
	assert_ok(bindstore_use(db, &code, "auth", "01", NOW));
	assert_err(db_end(db, E_CANCELED), E_CANCELED);
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code));
	assert_ok(use(db, &code, "auth"));
}

static void
expiry_and_replacement(void **state)
{
	struct bindstore_code code;
	char first[BINDCODE_PLAIN], second[BINDCODE_PLAIN], third[BINDCODE_PLAIN];

	(void)state;
	give(1, first);
	assert_ok(check(db, first, "auth", "192.0.2.1", NOW + LIFE, &code));
	assert_refusal(check(db, first, "auth", "192.0.2.1", NOW + LIFE + 1, &code), "code-expired");
	give(2, third);
	assert_ok(check(db, first, "auth", "192.0.2.1", NOW, &code));
	give(1, second);
	assert_refusal(check(db, first, "auth", "192.0.2.1", NOW, &code), "code-expired");
	assert_says("newer");
	assert_refusal(use(db, &code, "auth"), "code-used"); /* a request that was under way */
	assert_ok(check(db, second, "auth", "192.0.2.1", NOW, &code));
	assert_ok(check(db, third, "auth", "192.0.2.1", NOW, &code)); /* another account's */
	assert_int_equal(code.account, 2);
	assert_ok(db_run(db, "UPDATE bind_code SET expires = expires - 90000", DB_NO_ARGS));
	give(1, first);
	assert_int_equal(ledger_number(db, "SELECT count(*) FROM bind_code"), 1);
	assert_int_equal(ledger_number(db, "SELECT count(*) FROM bind_role"), 2);
}

/* Of two codes the name of one and the secret of the other: a guess against the first. */
static void
guesses_against_a_code(void **state)
{
	struct bindstore_code code;
	char plain[BINDCODE_PLAIN], mixed[BINDCODE_PLAIN], peer[32];

	(void)state;
	give(1, plain);
	give(2, mixed);
	memcpy(mixed, plain, BINDCODE_NAME);
	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(ledger_number(db, "SELECT sum(tries) FROM bind_code"), i);
		snprintf(peer, sizeof peer, "192.0.2.%d", i);
		assert_refusal(check(db, mixed, "auth", peer, NOW, &code), "code-wrong");
		assert_int_equal(code.account, 1);
	}
	assert_refusal(check(db, mixed, "auth", "192.0.2.77", NOW, &code), "code-tries");
	assert_refusal(check(db, plain, "auth", "192.0.2.77", NOW, &code), "code-tries"); /* the right one too */
	give(1, plain);
	assert_ok(check(db, plain, "auth", "192.0.2.77", NOW, &code));
}

static void
guesses_from_an_address(void **state)
{
	struct bindstore_code code;
	char plain[BINDCODE_PLAIN], wrong[BINDCODE_PLAIN], peer[48];

	(void)state;
	give(1, plain);
	for (int i = 0; i < TRIES; i++) {
		assert_ok(bindcode_new(wrong));
		snprintf(peer, sizeof peer, "2001:db8:0:1::%d", i);
		assert_refusal(check(db, wrong, "auth", peer, NOW, &code), "code-wrong");
	}
	assert_refusal(check(db, plain, "auth", "2001:db8:0:1:ffff::9", NOW, &code), "code-tries");
	assert_ok(check(db, plain, "auth", "2001:db8:0:2::1", NOW, &code));
	assert_ok(check(db, plain, "auth", "192.0.2.1", NOW, &code));
	assert_int_equal(ledger_number(db, "SELECT count(*) FROM bind_guess"), TRIES);
	assert_refusal(check(db, plain, "auth", "2001:db8:0:1::1", NOW + BINDSTORE_WINDOW, &code), "code-expired");
	assert_refusal(check(db, wrong, "auth", "2001:db8:0:1::1", NOW + BINDSTORE_WINDOW, &code), "code-wrong");
	assert_int_equal(ledger_number(db, "SELECT count(*) FROM bind_guess"), 1); /* old ones go */
}

static void
nothing_but_a_hash_is_kept(void **state)
{
	char plain[BINDCODE_PLAIN], again[BINDCODE_PLAIN], text[120], hash[65], sql[300];
	WBUF_AUTO file = { .max = 1u << 24 };
	char wal[80];

	(void)state;
	give(2, plain);
	give(1, again);
	snprintf(text, sizeof text, "dpiv-issuer binding code 1:2:%s", plain);
	x509io_sha256_text(span_str(text), hash);
	snprintf(sql, sizeof sql, "SELECT count(*) FROM bind_code WHERE account = 2 AND sha256 = '%s'", hash);
	assert_int_equal(ledger_number(db, sql), 1);
	assert_ok(file_read(path, &file));
	snprintf(wal, sizeof wal, "%s-wal", path);
	assert_ok(file_read(wal, &file));
	assert_null(memmem(file.p, file.n, &plain[BINDCODE_NAME], 16));
	assert_non_null(memmem(file.p, file.n, hash, 64));
}

/* Runs fn in n processes that start together, each with a connection of its own; out[k]: how many ended with k. */
static void
race(int n, int (*fn)(struct db *, const char *), const char *plain, int out[8])
{
	int go[2], status;

	memset(out, 0, 8 * sizeof *out);
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct db *mine;
			char c;

			close(go[1]);
			if (ledger_open(path, &mine) != E_OK || read(go[0], &c, 1) != 0)
				_exit(7);
			status = fn(mine, plain);
			db_close(&mine);
			_exit(status);
		}
	}
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < n; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 7);
		out[WEXITSTATUS(status)]++;
	}
}

static int
race_use(struct db *d, const char *plain)
{
	struct bindstore_code code;
	enum err e = check(d, plain, "auth", "192.0.2.1", NOW, &code);
	char serial[24];

	snprintf(serial, sizeof serial, "%lX", (long)getpid());
	if (e == E_OK)
		e = use_for(d, &code, "auth", serial);
	return e == E_OK ? 0 : e == E_POLICY && refuse_last() == REFUSE_CODE_USED ? 1 : 2;
}

static int
race_guess(struct db *d, const char *plain)
{
	struct bindstore_code code;

	if (check(d, plain, "auth", "192.0.2.1", NOW, &code) != E_POLICY)
		return 2;
	return refuse_last() == REFUSE_CODE_WRONG ? 0 : refuse_last() == REFUSE_CODE_TRIES ? 1 : 2;
}

static void
processes_at_once(void **state)
{
	char plain[BINDCODE_PLAIN], wrong[BINDCODE_PLAIN];
	int ended[8];

	(void)state;
	give(1, plain);
	race(12, race_use, plain, ended);
	assert_int_equal(ended[0], 1);
	assert_int_equal(ended[1], 11);
	assert_ok(bindcode_new(wrong));
	race(12, race_guess, wrong, ended);
	assert_int_equal(ended[0], TRIES);
	assert_int_equal(ended[1], 12 - TRIES);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static struct {
	char dir[40];
	struct issuer i;
	EVP_PKEY *ca_key, *card_key;
	X509 *card;
	int status;
	bool known;
	char type[80], text[2048], code[BINDCODE_TEXT];
} p;

static void
make_card(const char *cn, X509 **out)
{
	struct minipki_cert c = { .cn = cn, .from = -DAY, .to = 300 * DAY, .ext = MINIPKI_PIV_AUTH };

	c.key = p.card_key;
	c.issuer = p.i.ca;
	c.issuer_key = p.ca_key;
	*out = minipki_cert(&c);
}

static int
agency_up(void **state)
{
	struct init_options o = {
		.name = "Test Agency", .host = "localhost", .port = 8443, .demo = true, .dir = p.dir
	};
	char key[80];

	(void)state;
	strcpy(p.dir, "/tmp/dpiv-agency.XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	assert_ok(init_run(&o));
	snprintf(key, sizeof key, "%s/private/ca.key", p.dir);
	assert_ok(x509io_read_key(key, &p.ca_key));
	assert_ok(issuer_open(p.dir, ISSUER_KEY | ISSUER_TRUST, &p.i));
	p.card_key = minipki_key("P-256");
	make_card("Pat Example", &p.card);
	return 0;
}

static int
agency_down(void **state)
{
	char cmd[80];

	(void)state;
	X509_free(p.card);
	EVP_PKEY_free(p.card_key);
	EVP_PKEY_free(p.ca_key);
	issuer_close(&p.i);
	snprintf(cmd, sizeof cmd, "rm -rf %s", p.dir);
	return system(cmd);
}

static void
call(struct est_request *rq)
{
	struct est_reply r;

	rq->binding = "YmluZA==";
	if (rq->from == NULL)
		rq->from = "127.0.0.1";
	est_handle(&p.i, rq, time(NULL), &r);
	p.status = r.status;
	p.known = r.known;
	snprintf(p.type, sizeof p.type, "%s", r.type);
	snprintf(p.text, sizeof p.text, "%.*s", (int)r.body.n, r.body.p ? (char *)r.body.p : "");
	wbuf_free(&r.body);
}

static void
ask_any(X509 *card, const char *body)
{
	struct est_request rq = { .post = true,
		.path = "/.well-known/dpiv/bind",
		.media_type = "application/json",
		.body = span_str(body),
		.peer = card };
	struct bind_answer a;

	call(&rq);
	p.code[0] = '\0';
	if (p.status != 200)
		return;
	assert_ok(bind_read_answer(span_str(p.text), &a)); /* as the client reads it */
	snprintf(p.code, sizeof p.code, "%s", (const char *)a.text->v);
	bind_answer_clear(&a);
}

static void
ask(X509 *card, const char *body)
{
	struct est_request rq = { .post = true,
		.path = "/.well-known/dpiv/bind",
		.media_type = "application/json",
		.body = span_str(body),
		.peer = card };
	json_t *j;

	call(&rq);
	p.code[0] = '\0';
	if (p.status != 200)
		return;
	j = json_loads(p.text, 0, NULL);
	assert_string_equal(p.type, "application/json");
	assert_int_equal(json_integer_value(json_object_get(j, "seconds")), 600);
	assert_string_equal(json_string_value(json_object_get(j, "name")), "CN=Pat Example,O=Test,C=US");
	snprintf(p.code, sizeof p.code, "%s", json_string_value(json_object_get(j, "code")));
	json_decref(j);
}

static char *
basic(const char *code, char out[128])
{
	WBUF_AUTO b64 = { .max = 100 };
	char pair[64];

	snprintf(pair, sizeof pair, "someone:%s", code);
	text_base64(span_str(pair), 0, &b64);
	snprintf(out, 128, "basic %.*s", (int)b64.n, (char *)b64.p);
	return out;
}

static void
enroll(const char *label, EVP_PKEY *key, const char *code, X509 *peer)
{
	WBUF_AUTO der = { .max = 65536 };
	char url[100], header[128];
	struct est_request rq = { .post = true, .path = url, .media_type = "application/pkcs10", .peer = peer };

	rq.authorization = basic(code, header);
	snprintf(url, sizeof url, "/.well-known/est/%s/simpleenroll", label);
	minipki_csr(key, NULL, "SHA256", "YmluZA==", NULL, &der);
	rq.body = wbuf_view(&der);
	call(&rq);
}

static void
fetch_card_by(const char *code, const char *query)
{
	char header[128];
	struct est_request rq = { .path = "/.well-known/dpiv/card", .query = query };

	rq.authorization = code != NULL ? basic(code, header) : NULL;
	call(&rq);
}

static void
fetch_card(const char *code)
{
	fetch_card_by(code, NULL);
}

/* As a client that waits for the answer about this key. */
static void
fetch_card_for(const char *code, EVP_PKEY *key)
{
	char query[80] = "key=";

	assert_ok(cert_key_text(key, &query[4]));
	fetch_card_by(code, query);
}

#define assert_answer(want, word)                                                                                      \
	do {                                                                                                           \
		if (p.status != (want) || strncmp(p.text, "dpiv-issuer: " word ": ", strlen(word) + 15) != 0)          \
			fail_msg("%d %s", p.status, p.text);                                                           \
	} while (0)

static void
from_card_to_credential(void **state)
{
	EVP_PKEY *key = minipki_key("P-256"), *second = minipki_key("P-256");

	(void)state;
	ask(p.card, "{\"roles\":[\"auth\",\"sign\"]}");
	assert_int_equal(p.status, 200);
	fetch_card(p.code);
	assert_int_equal(p.status, 200);
	assert_string_equal(p.type, "application/pkix-cert");
	enroll("auth", key, p.code, NULL);
	if (p.status != 200)
		fail_msg("%s", p.text);
	assert_true(p.known);
	assert_int_equal(
	    ledger_number(p.i.db,
		"SELECT count(*) FROM certificate c JOIN bind_role r ON c.serial = r.serial AND c.profile = "
		"r.role WHERE c.state = 'issued' AND c.subject = 'CN=Pat Example,O=Test,C=US'"),
	    1);
	assert_int_equal(
	    ledger_number(p.i.db, "SELECT count(*) FROM event WHERE what = 'issued' AND detail LIKE '%one-time%'"), 1);
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM event WHERE what = 'code-given'"), 1);
	enroll("auth", second, p.code, NULL);
	assert_answer(403, "code-used");
	enroll("encrypt", second, p.code, NULL);
	assert_answer(403, "code-role");
	/* and all of that can be known before a key is made */
	fetch_card_by(p.code, "role=auth");
	assert_answer(403, "code-used");
	fetch_card_by(p.code, "key=00&role=auth");
	assert_answer(403, "code-used");
	fetch_card_by(p.code, "role=encrypt");
	assert_answer(403, "code-role");
	fetch_card_by(p.code, "role=sign");
	assert_int_equal(p.status, 200);
	enroll("sign", second, p.code, NULL);
	assert_int_equal(p.status, 200);
	assert_ok(db_run(p.i.db, "UPDATE bind_code SET expires = expires - 3600", DB_NO_ARGS));
	fetch_card(p.code);
	assert_answer(403, "code-used");
	EVP_PKEY_free(key);
	EVP_PKEY_free(second);
}

/* The issuer has committed, and the answer is lost: the same request again gets the same, and nothing else does. */
static void
an_answer_that_was_lost(void **state)
{
	EVP_PKEY *key = minipki_key("P-256"), *other = minipki_key("P-256");
	static const char *const strange[] = { "", "key", "key=", "key=%", "key=NULL", "' OR 1=1 --",
		"key=' OR 1=1 --" };
	char first[sizeof p.text];

	(void)state;
	ask(p.card, "{}");
	enroll("auth", key, p.code, NULL);
	assert_int_equal(p.status, 200);
	memcpy(first, p.text, sizeof first);
	for (int k = 0; k < 2; k++) {
		fetch_card_for(p.code, key);
		assert_int_equal(p.status, 200);
		enroll("auth", key, p.code, NULL);
		if (p.status != 200)
			fail_msg("%s", p.text);
		assert_string_equal(p.text, first);
	}
	enroll("auth", other, p.code, NULL);
	assert_answer(403, "code-used");
	/* nobody else is told whose it was, and that before a key is made */
	fetch_card(p.code);
	assert_answer(403, "code-used");
	assert_false(p.known);
	fetch_card_for(p.code, other);
	assert_answer(403, "code-used");
	for (size_t k = 0; k < sizeof strange / sizeof strange[0]; k++) {
		fetch_card_by(p.code, strange[k]);
		assert_answer(403, "code-used");
	}
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM certificate"), 1);
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM event WHERE what = 'repeated'"), 2);
	assert_ok(db_run(
	    p.i.db, "INSERT INTO revocation (serial, at, reason) SELECT serial, 1, 0 FROM certificate", DB_NO_ARGS));
	enroll("auth", key, p.code, NULL);
	assert_answer(403, "code-used");
	fetch_card_for(p.code, key);
	assert_answer(403, "code-used");
	ask(p.card, "{}");
	assert_ok(db_run(p.i.db, "UPDATE bind_code SET expires = expires - 3600", DB_NO_ARGS));
	enroll("auth", other, p.code, NULL);
	assert_answer(403, "code-expired");
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* A request that is refused for another reason leaves the code as it was. */
static void
refused_requests_use_nothing_up(void **state)
{
	EVP_PKEY *key = minipki_key("P-256"), *bad = minipki_key("P-521");

	(void)state;
	ask(p.card, "{}");
	enroll("auth", bad, p.code, NULL);
	assert_answer(403, "key-policy");
	enroll("auth", p.card_key, p.code, NULL);
	assert_answer(403, "key-reused");
	assert_ok(db_run(p.i.db, "UPDATE account SET status = 'suspended'", DB_NO_ARGS));
	enroll("auth", key, p.code, NULL);
	assert_answer(403, "account-suspended");
	ask(p.card, "");
	assert_answer(403, "account-suspended");
	assert_ok(db_run(p.i.db, "UPDATE account SET status = 'active'", DB_NO_ARGS));
	ask(p.card, "");
	enroll("auth", key, p.code, NULL);
	assert_int_equal(p.status, 200);
	EVP_PKEY_free(key);
	EVP_PKEY_free(bad);
}

static void
who_may_ask(void **state)
{
	(void)state;
	ask(NULL, "");
	assert_answer(403, "no-certificate");
	fetch_card(NULL);
	assert_answer(403, "no-certificate");
	ask(p.card, "{\"roles\":[\"root\"]}");
	assert_answer(400, "bad-body");
	ask(p.card, "{\"roles\":\"auth\"}");
	assert_answer(400, "bad-body");
	ask(p.card, "{\"roles\":[7]}");
	assert_answer(400, "bad-body");
	ask(p.card, "[");
	assert_answer(400, "bad-body");
	p.i.config.bind_roles = "sign";
	ask(p.card, "");
	assert_answer(403, "code-role");
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM bind_code"), 0);
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM account"), 0);
}

/* With a certificate in the handshake it is the certificate that counts. */
static void
a_code_is_no_second_chance(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	struct minipki_cert c = { .cn = "Self",
		.from = -DAY,
		.to = DAY,
		.ext = MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) };
	X509 *own;

	(void)state;
	c.key = key;
	own = minipki_cert(&c);
	ask(p.card, "");
	enroll("auth", key, p.code, own);
	assert_answer(403, "untrusted");
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM bind_role WHERE used IS NOT NULL"), 0);
	X509_free(own);
	EVP_PKEY_free(key);
}

/* A code speaks for its own person: whoever else's card or code is there, and whatever name the request asks for. */
static void
of_another_person(void **state)
{
	struct minipki_cert c = { .cn = "Kim Other",
		.key = p.card_key,
		.issuer = p.i.ca,
		.issuer_key = p.ca_key,
		.from = -DAY,
		.to = 300 * DAY,
		.ext = MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI
		"subjectAltName=URI:urn:uuid:11111111-1111-4111-8111-111111111111\n" };
	EVP_PKEY *key = minipki_key("P-256"), *other = minipki_key("P-256");
	X509 *kim = minipki_cert(&c);
	char pats[BINDCODE_TEXT], mixed[BINDCODE_PLAIN], plain[BINDCODE_PLAIN];

	(void)state;
	ask(p.card, "");
	strcpy(pats, p.code);
	ask_any(kim, "");
	assert_int_equal(ledger_number(p.i.db, "SELECT count(DISTINCT account) FROM bind_code"), 2);
	/* Kim's name on Pat's secret */
	assert_ok(bindcode_read(span_str(p.code), mixed));
	assert_ok(bindcode_read(span_str(pats), plain));
	memcpy(&mixed[BINDCODE_NAME], &plain[BINDCODE_NAME], sizeof plain - BINDCODE_NAME);
	for (const char *s = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; *s; s++) {
		mixed[BINDCODE_PLAIN - 2] = *s;
		if (bindcode_read(span_str(mixed), plain) == E_OK)
			enroll("auth", key, mixed, NULL);
	}
	assert_answer(403, "code-wrong");
	enroll("auth", key, pats, NULL);
	assert_int_equal(p.status, 200);
	enroll("auth", other, p.code, NULL);
	assert_int_equal(p.status, 200);
	assert_int_equal(
	    ledger_number(p.i.db,
		"SELECT count(*) FROM certificate c JOIN bind_role r ON r.serial = c.serial JOIN bind_code b ON"
		" b.id = r.code WHERE c.account = b.account AND c.card_sha256 = b.card_sha256"),
	    2);
	assert_int_equal(ledger_number(p.i.db, "SELECT count(DISTINCT subject) FROM certificate"), 2);
	X509_free(kim);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* The card was revoked between asking and using. */
static void
revoked_in_between(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	char serial[X509IO_SERIAL_MAX];

	(void)state;
	ask(p.card, "");
	assert_ok(ledger_revoke(
	    p.i.db, x509io_serial_text(X509_get_serialNumber(p.card), serial, sizeof serial), 1, true, time(NULL)));
	assert_ok(issuer_refresh_crls(&p.i, time(NULL), true));
	enroll("auth", key, p.code, NULL);
	assert_answer(403, "revoked");
	EVP_PKEY_free(key);
}

static void
guesses_are_refused_and_recorded(void **state)
{
	static const char *const junk[] = { "Basic", "Basic !!!!", "Bearer abc", "Basic YWJj", "basic OmFiYw==", "" };
	EVP_PKEY *key = minipki_key("P-256");
	struct est_request rq = { .path = "/.well-known/dpiv/card" };
	char wrong[BINDCODE_PLAIN];

	(void)state;
	ask(p.card, "");
	for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
		rq.authorization = junk[i];
		call(&rq);
		assert_answer(403, "code-mistyped");
	}
	for (int i = 0; i < TRIES; i++) {
		assert_ok(bindcode_new(wrong));
		enroll("auth", key, wrong, NULL);
		assert_answer(403, "code-wrong");
	}
	enroll("auth", key, p.code, NULL);
	assert_answer(403, "code-tries");
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM event WHERE code = 'code-wrong'"), TRIES);
	assert_int_equal(ledger_number(p.i.db, "SELECT count(*) FROM event WHERE what = 'refused'"), TRIES);
	EVP_PKEY_free(key);
}

/* --- the client's side -------------------------------------------------------------------------------------------- */

#define GOOD "\"code\":\"0000-0000-0000-0000-0000\",\"seconds\":600,\"roles\":[\"auth\"]"

static void
answers_of_issuers(void **state)
{
	static const char *const bad[] = { "", "[]", "null", "{}", "{" GOOD, "{\"code\":\"0000\"}",
		"{" GOOD ",\"seconds\":0}", "{" GOOD ",\"seconds\":-1}", "{" GOOD ",\"seconds\":1e9}",
		"{" GOOD ",\"roles\":[]}", "{" GOOD ",\"roles\":[\"root\"]}", "{" GOOD ",\"roles\":[7]}",
		"{" GOOD ",\"code\":\"0000-0000-0000-0000-0001\"}" };
	struct bind_answer a;
	char url[64];

	(void)state;
	assert_ok(bind_read_answer(span_str("{" GOOD ",\"name\":\"a\\u001b[2Jb\"}"), &a));
	assert_string_equal((const char *)a.text->v, "0000-0000-0000-0000-0000");
	assert_string_equal(a.name, "a?[2Jb");
	assert_true(a.role[ROLE_AUTH] && !a.role[ROLE_SIGN]);
	bind_answer_clear(&a);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(bind_read_answer(span_str(bad[i]), &a), E_PROTO);
		assert_null(a.text);
	}
	assert_ok(bind_url("https://a.test:1//", "bind", url, sizeof url));
	assert_string_equal(url, "https://a.test:1/.well-known/dpiv/bind");
	assert_ok(bind_url("https://a.test/.well-known/est", "card", url, sizeof url));
	assert_string_equal(url, "https://a.test/.well-known/dpiv/card");
	assert_err(bind_url("http://a.test", "card", url, sizeof url), E_ARG);
	assert_err(bind_url("https://a.test", "card", url, 30), E_ARG);
}

/* 25 modules and a margin of 4 on each side, two rows a line; a code that does not fit is no code. */
static void
qr_codes(void **state)
{
	WBUF_AUTO out = { .max = 65536 }, small = { .max = 100 };
	size_t lines = 0, dark = 0;

	(void)state;
	assert_true(qr_draw("7F3K-9QWD-ZX01-4MTP-HB2C", &out));
	for (size_t i = 0; i < out.n; i++) {
		lines += out.p[i] == '\n';
		dark += out.p[i] == 0xe2;
	}
	assert_int_equal(lines, 17);
	assert_in_range(dark, 200, 25 * 13);
	assert_false(qr_draw("7F3K-9QWD-ZX01-4MTP-HB2C", &small));
}

/* One certificate for signature and encryption: where the site has it, and gives codes for either. */
static void
roles_that_codes_are_given_for(void **state)
{
	struct config c = { .bind_roles = "auth,sign,encrypt" };

	(void)state;
	assert_true(bind_offered(&c, profile_find("auth")));
	assert_false(bind_offered(&c, profile_find("mail")));
	c.one_certificate = "2.999.1.7";
	assert_true(bind_offered(&c, profile_find("mail")));
	assert_true(bind_offered(&c, profile_find("sign")));
	c.bind_roles = "auth,sign";
	assert_false(bind_offered(&c, profile_find("mail")));
	assert_false(bind_offered(&c, profile_find("encrypt")));
}

#define S(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define A(f) cmocka_unit_test_setup_teardown(f, agency_up, agency_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_of_codes),
		cmocka_unit_test(slips_are_noticed),
		cmocka_unit_test(answers_of_issuers),
		cmocka_unit_test(qr_codes),
		cmocka_unit_test(roles_that_codes_are_given_for),
		S(one_use_for_each_role),
		S(used_says_whose_it_is),
		S(use_is_part_of_the_transaction),
		S(expiry_and_replacement),
		S(guesses_against_a_code),
		S(guesses_from_an_address),
		S(nothing_but_a_hash_is_kept),
		S(processes_at_once),
		A(from_card_to_credential),
		A(an_answer_that_was_lost),
		A(refused_requests_use_nothing_up),
		A(who_may_ask),
		A(a_code_is_no_second_chance),
		A(of_another_person),
		A(revoked_in_between),
		A(guesses_are_refused_and_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
