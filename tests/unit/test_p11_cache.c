/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the module remembers of a card, and what that costs and spares, in APDUs: cards like those in people's wallets
 * (RSA-2048 with certificates of 1.14 kB, P-256 with 0.94 kB, as short as the virtual card makes them). A second
 * process is a second C_Initialize. Whatever is wrong with the memory, the answers are right.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/sha.h>

#include "hw/cache.h"
#include "tests/lib/p11_card.h"

static char home[64], conf_off[96];

/* --- cards --- */

static struct vcard *
card_make(const char *alg, bool extended, bool silent)
{
	struct vcard_spec spec = { .alg = alg,
		.name = "P",
		.email = "p@e.t",
		.base_url = "x:a",
		.extended = extended,
		.extended_silent = silent,
		.no_history = true };
	char why[VCARD_WHY] = "";
	struct vcard *card = vcard_make(&spec, why);

	if (card == NULL)
		fail_msg("vcard_make: %s", why);
	return card;
}

static json_t *
card_json(struct vcard *card)
{
	char *text = vcard_to_json(card);
	json_t *j = json_loads(text, 0, NULL);

	free(text);
	assert_non_null(j);
	return j;
}

static struct vcard *
card_of(json_t *j)
{
	char why[VCARD_WHY] = "", *text = json_dumps(j, 0);
	struct vcard *card = vcard_from_json(text, why);

	free(text);
	json_decref(j);
	if (card == NULL)
		fail_msg("vcard_from_json: %s", why);
	return card;
}

/* The card with an object and a key of another one (or of its own, elsewhere): what another program may do to it. */
static struct vcard *
card_with(
    struct vcard *card, struct vcard *other, const char *from_tag, const char *tag, const char *from, const char *ref)
{
	json_t *j = card_json(card), *o = card_json(other);
	json_t *object = json_object_get(json_object_get(o, "objects"), from_tag);
	json_t *key = json_object_get(json_object_get(o, "keys"), from);

	assert_non_null(object);
	assert_non_null(key);
	json_object_set(json_object_get(j, "objects"), tag, object);
	json_object_set(json_object_get(j, "keys"), ref, key);
	json_decref(o);
	return card_of(j);
}

/* --- processes --- */

static int
setup(void **state)
{
	(void)state;
	snprintf(home, sizeof home, "/tmp/dpiv-cache.XXXXXX");
	assert_non_null(mkdtemp(home));
	setenv("XDG_CACHE_HOME", home, 1);
	setenv("DPIV_CONF", "/dev/null", 1);
	return 0;
}

static void
rm(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (unlink(path) != 0)
			rm(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

static int
teardown(void **state)
{
	p11_teardown(state);
	rm(home);
	return 0;
}

static void
cache_off(void)
{
	FILE *f;

	snprintf(conf_off, sizeof conf_off, "%s/dpiv.conf", home);
	assert_non_null(f = fopen(conf_off, "w"));
	fputs("[module]\ncache = no\n", f);
	fclose(f);
	setenv("DPIV_CONF", conf_off, 1);
}

/* Another process: nothing survives but the card and the disk. */
static void
start(void)
{
	p11_apdus();
	assert_rv_ok(C_Initialize(NULL));
}

static void
again(void)
{
	C_Finalize(NULL);
	start();
}

static bool
is_rsa(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	return p11_ulong(h, key, CKA_KEY_TYPE) == CKK_RSA;
}

static CK_RV
sign_with(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key, bool context, CK_BYTE sig[256], CK_ULONG *n)
{
	CK_MECHANISM m = { is_rsa(h, key) ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1, 2, 3 };

	*n = 256;
	assert_rv_ok(C_SignInit(h, &m, key));
	if (context)
		assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	return C_Sign(h, digest, sizeof digest, sig, n);
}

/* With the card's own certificate: what the result is good for. */
static void
check_signature(CK_SESSION_HANDLE h, CK_BYTE id, const CK_BYTE *sig, CK_ULONG n)
{
	CK_OBJECT_HANDLE pub = p11_find(h, CKO_PUBLIC_KEY, id);
	CK_MECHANISM m = { is_rsa(h, pub) ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1, 2, 3 }, copy[256];

	memcpy(copy, sig, n);
	assert_rv_ok(C_VerifyInit(h, &m, pub));
	assert_rv_ok(C_Verify(h, digest, sizeof digest, copy, n));
}

/* C_Initialize is done: everything up to the first signature; how many APDUs that was. */
static unsigned
first_signature(CK_BYTE id)
{
	CK_BYTE sig[256];
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	CK_ULONG n;
	unsigned spent;

	(void)p11_token_flags();
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, id), 0);
	assert_rv_ok(sign_with(h, key, id == 2, sig, &n));
	spent = p11_apdus();
	check_signature(h, id, sig, n);
	assert_apdus(0);
	return spent;
}

static unsigned
next_signature(CK_BYTE id)
{
	CK_SESSION_HANDLE h = p11_session(0);
	CK_OBJECT_HANDLE key = p11_find(h, CKO_PRIVATE_KEY, id);
	CK_BYTE sig[256];
	CK_ULONG n;
	unsigned spent;

	p11_apdus();
	assert_rv_ok(sign_with(h, key, id == 2, sig, &n));
	spent = p11_apdus();
	check_signature(h, id, sig, n);
	return spent;
}

static unsigned
list_all(size_t *n)
{
	CK_SESSION_HANDLE h;

	(void)p11_token_flags();
	h = p11_session(0);
	*n = p11_count(h, NULL, 0);
	return p11_apdus();
}

/* --- what it costs --- */

struct costs {
	const char *alg;
	unsigned cold, cached, extended, each, list;
};

static const struct costs cards[] = { { "rsa2048", 12, 8, 6, 3, 30 }, { "p256", 9, 6, 6, 1, 30 } };

static void
test_costs(void **state)
{
	size_t n, cached;
	unsigned all;

	for (size_t i = 0; i < 2; i++) {
		const struct costs *c = &cards[i];

		setup(state);
		p11_start_with(card_make(c->alg, false, false));
		assert_int_equal(first_signature(1), c->cold);
		assert_int_equal(next_signature(1), c->each);
		again();
		assert_int_equal(first_signature(1), c->cached);
		assert_int_equal(next_signature(1), c->each);
		again();
		all = list_all(&n);
		print_message("%s: all objects, 9A known: %u APDUs\n", c->alg, all);
		again();
		all = list_all(&cached);
		print_message("%s: all objects, all known: %u APDUs\n", c->alg, all);
		assert_true(all <= 10);
		assert_int_equal(n, cached);
		teardown(state);
	}
	setup(state);
}

static void
test_costs_off(void **state)
{
	char path[96];
	unsigned all;
	size_t n;

	for (size_t i = 0; i < 2; i++) {
		const struct costs *c = &cards[i];

		setup(state);
		cache_off();
		p11_start_with(card_make(c->alg, false, false));
		assert_int_equal(first_signature(1), c->cold);
		again();
		assert_int_equal(first_signature(1), c->cold);
		again();
		all = list_all(&n);
		print_message("%s: all objects, no cache: %u APDUs\n", c->alg, all);
		assert_true(all <= c->list + 20);
		assert_int_equal(list_all(&n), 0);
		C_Finalize(NULL);
		assert_rv_ok(C_Initialize(NULL));
		snprintf(path, sizeof path, "%s/dpiv", home);
		assert_int_not_equal(access(path, F_OK), 0);
		teardown(state);
	}
	setup(state);
}

static void
test_costs_extended(void **state)
{
	size_t n;

	for (size_t i = 0; i < 2; i++) {
		for (int on = 0; on < 2; on++) {
			const struct costs *c = &cards[i];

			setup(state);
			if (!on)
				cache_off();
			p11_start_with(card_make(c->alg, true, false));
			assert_int_equal(first_signature(1), c->extended);
			assert_int_equal(next_signature(1), 1);
			assert_int_equal(next_signature(2), 2);
			again();
			assert_int_equal(first_signature(2), 7);
			again();
			assert_true(list_all(&n) <= 30 + 20);
			teardown(state);
		}
	}
	setup(state);
}

/* Asked once, when the work is done; never before, never again. */
static void
test_silent_card(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		const struct costs *c = &cards[i];

		setup(state);
		p11_start_with(card_make(c->alg, false, true));
		assert_int_equal(first_signature(1), c->cold);
		C_Finalize(NULL);
		assert_apdus(2); /* VERIFY that ends the login, the question */
		assert_rv_ok(C_Initialize(NULL));
		assert_int_equal(first_signature(1), 6);
		assert_int_equal(next_signature(1), 1);
		C_Finalize(NULL);
		assert_apdus(1);
		assert_rv_ok(C_Initialize(NULL));
		teardown(state);
	}
	setup(state);
}

static void
test_short_card_is_asked_once(void **state)
{
	(void)state;
	p11_start_with(card_make("rsa2048", false, false));
	first_signature(1);
	assert_rv_ok(C_Logout(p11_session(0)));
	assert_apdus(2); /* VERIFY that ends the login, the question */
	for (unsigned i = 0; i < 2; i++) {
		C_Finalize(NULL);
		assert_apdus(i);
		assert_rv_ok(C_Initialize(NULL));
		assert_int_equal(first_signature(1), 8);
	}
}

/* A foreign SELECT, a reset: noticed by the operation itself. */
static void
test_nothing_is_asked_first(void **state)
{
	(void)state;
	p11_start_with(card_make("p256", false, false));
	first_signature(1);
	again();
	first_signature(1);
	assert_int_equal(next_signature(1), 1);
	vreaders_foreign(p11_readers(), 0);
	assert_true(next_signature(1) > 1);
	assert_int_equal(next_signature(1), 1);
	vreaders_reset(p11_readers(), 0);
	assert_true(next_signature(1) > 1);
	assert_int_equal(next_signature(1), 1);
}

/* --- what may be wrong with the file --- */

static void
cache_path(char path[512])
{
	char dir[96];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/dpiv", home);
	assert_non_null(d = opendir(dir));
	path[0] = '\0';
	while ((e = readdir(d)) != NULL)
		if (strstr(e->d_name, ".card") != NULL) {
			assert_string_equal(path, "");
			assert_int_not_equal(e->d_name[0], '.');
			snprintf(path, 512, "%s/%s", dir, e->d_name);
		}
	closedir(d);
}

static size_t
slurp(const char *path, uint8_t *buf, size_t cap)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

static void
spit(const char *path, const uint8_t *buf, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, n), (ssize_t)n);
	close(fd);
}

static uint8_t file[CACHE_FILE_MAX], changed[2 * CACHE_FILE_MAX];

/* A card whose memory is on disk, in file[]; returns its length. */
static size_t
known_card(const char *alg, char path[512])
{
	struct stat st;

	p11_start_with(card_make(alg, false, false));
	first_signature(1);
	again();
	cache_path(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	return slurp(path, file, sizeof file);
}

static void
test_damaged_file(void **state)
{
	char path[512];
	size_t n = known_card("p256", path);

	(void)state;
	for (size_t i = 0; i < n; i += i < 64 || i + 40 > n ? 3 : 97) {
		C_Finalize(NULL); /* it may remember something */
		memcpy(changed, file, n);
		changed[i] ^= 0x20;
		spit(path, changed, n);
		start();
		assert_int_equal(first_signature(1), 9);
	}
	for (size_t i = 0; i < n; i += 111) {
		C_Finalize(NULL);
		spit(path, file, i);
		start();
		assert_int_equal(first_signature(1), 9);
	}
	again(); /* it was made good */
	assert_int_equal(first_signature(1), 6);
}

static void
reseal(uint8_t *p, size_t n)
{
	SHA256(p, n - CACHE_HASH, p + n - CACHE_HASH);
}

/* Where the certificate of 9A is in file[]. */
static size_t
cert_at(size_t n, size_t *len)
{
	static const uint8_t head[] = { 0x00, 0x5F, 0xC1, 0x05, CACHE_READ };

	for (size_t i = 0; i + sizeof head + 4 < n; i++)
		if (memcmp(file + i, head, sizeof head) == 0) {
			*len = (size_t)file[i + 7] << 8 | file[i + 8];
			return i + 9;
		}
	fail_msg("9A is not in the file");
	return 0;
}

/* Somebody who can write the file can also make its hash right. Then the card or its key disagrees. */
static void
forged(const char *alg, unsigned cold)
{
	CK_BYTE sig[256];
	CK_ULONG len;
	size_t at, cert, n;
	unsigned fell = 0;
	char path[512];

	n = known_card(alg, path);
	at = cert_at(n, &cert);
	for (size_t i = 0; i < cert; i += 23) {
		CK_SESSION_HANDLE h;
		CK_OBJECT_HANDLE key;

		C_Finalize(NULL);
		memcpy(changed, file, n);
		changed[at + i] ^= 0x01;
		reseal(changed, n);
		spit(path, changed, n);
		start();
		(void)p11_token_flags();
		h = p11_session(0);
		assert_rv_ok(p11_login(h, CKU_USER, PIN));
		assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
		if (sign_with(h, key, false, sig, &len) != CKR_OK) {
			fell++;
			assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
			assert_rv_ok(sign_with(h, key, false, sig, &len));
			check_signature(h, 1, sig, len);
		}
		again();
		assert_true(first_signature(1) <= cold);
	}
	/* Flipped bits of an elliptic-curve point are noticed when it is parsed, those of a modulus by the result. */
	assert_true(fell > 0 || cold < 12);
}

static void
test_forged_file(void **state)
{
	(void)state;
	forged("p256", 9);
	teardown(state);
	setup(state);
	forged("rsa2048", 12);
}

/* The certificate of somebody else, in a file that is otherwise right. */
static void
test_other_persons_file(void **state)
{
	char path[512], other[512];
	size_t n = known_card("p256", path), len, at = cert_at(n, &len);
	static uint8_t mine[CACHE_FILE_MAX];

	(void)state;
	memcpy(mine, file, n);
	p11_stop();
	rename(path, strcat(strcpy(other, home), "/other"));
	known_card("p256", path);
	C_Finalize(NULL);
	spit(path, mine, n); /* whole: its identity is another one */
	start();
	assert_int_equal(first_signature(1), 9);
	slurp(path, file, sizeof file);
	if (len == cert_at(n, &len)) { /* its certificate alone */
		C_Finalize(NULL);
		memcpy(file + at, mine + at, len);
		reseal(file, n);
		spit(path, file, n);
		start();
		assert_true(first_signature(1) <= 10);
	}
	again();
	assert_int_equal(first_signature(1), 6);
}

static void
test_hostile_places(void **state)
{
	char path[512], aside[96], dir[96];
	size_t n = known_card("p256", path);
	struct stat st;

	(void)state;
	snprintf(aside, sizeof aside, "%s/aside", home);
	snprintf(dir, sizeof dir, "%s/dpiv", home);
	spit(aside, file, n);
	for (int what = 0; what < 6; what++) {
		C_Finalize(NULL);
		unlink(path);
		switch (what) {
		case 0: assert_int_equal(symlink(aside, path), 0); break;
		case 1: assert_int_equal(link(aside, path), 0); break;
		case 2: assert_int_equal(mkfifo(path, 0600), 0); break;
		case 3: spit(path, file, n), chmod(path, 0644); break;
		case 4:
			spit(path, file, n),
			    assert_int_equal(chown(path, geteuid() == 0 ? 1 : geteuid(), (gid_t)-1), 0);
			break;
		case 5: memset(changed, 0, sizeof changed), spit(path, changed, sizeof changed); break;
		}
		start();
		assert_int_equal(first_signature(1), what == 4 && geteuid() != 0 ? 6 : 9);
		again(); /* replaced by a good one, and what the link pointed at is as it was */
		assert_int_equal(first_signature(1), 6);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0);
		assert_int_equal(slurp(aside, changed, sizeof changed), n);
		assert_memory_equal(changed, file, n);
	}
	C_Finalize(NULL);
	chmod(dir, 0755); /* the directory is open to others: none of it is read or written */
	start();
	assert_int_equal(first_signature(1), 9);
	again();
	assert_int_equal(first_signature(1), 9);
	C_Finalize(NULL);
	chmod(dir, 0700);
	rm(dir); /* gone: made again */
	start();
	assert_int_equal(first_signature(1), 9);
	again();
	assert_int_equal(first_signature(1), 6);
	C_Finalize(NULL);
	rm(dir);
	assert_int_equal(symlink("/tmp", dir), 0);
	start();
	assert_int_equal(first_signature(1), 9);
	again();
	assert_int_equal(first_signature(1), 9);
}

/* A home that cannot be written, none at all: no cache, and nothing else. */
static void
test_no_home(void **state)
{
	static const char *const homes[] = { "/proc/none", "/dev/null/x", "relative", "" };

	(void)state;
	unsetenv("HOME");
	p11_start_with(card_make("p256", false, false));
	for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
		setenv("XDG_CACHE_HOME", homes[i], 1);
		again();
		assert_int_equal(first_signature(1), 9);
		again();
		assert_int_equal(first_signature(1), 9);
	}
}

/* --- what may happen to the card --- */

static void
test_swapped_card(void **state)
{
	(void)state;
	p11_start_with(card_make("p256", false, false));
	first_signature(1);
	C_Finalize(NULL);
	p11_swap(card_make("p256", false, false));
	assert_rv_ok(C_Initialize(NULL));
	p11_apdus();
	assert_int_equal(first_signature(1), 9);
}

/* Another program gave the card another key and certificate in the same slot, and the certificate alone. */
static void
test_replaced_certificate(void **state)
{
	struct vcard *other = card_make("p256", false, false), *card = card_make("p256", false, false);
	struct vcard *rekeyed = card_with(card, other, "5FC105", "5FC105", "9A", "9A");

	(void)state;
	p11_start_with(card);
	first_signature(1);
	C_Finalize(NULL);
	p11_swap(rekeyed);
	assert_rv_ok(C_Initialize(NULL));
	p11_apdus();
	assert_int_equal(first_signature(1), 10); /* the block that shows it, and all of the new one */
	again();
	assert_int_equal(first_signature(1), 6);
	vcard_free(other);
}

/* A certificate on the card that is not its key's: the signature is what it would be without a cache. */
static void
test_wrong_certificate_on_card(void **state)
{
	struct vcard *card = card_make("p256", false, false);
	struct vcard *mixed = card_with(card, card, "5FC105", "5FC105", "9C", "9A");
	CK_BYTE sig[256];
	CK_SESSION_HANDLE h;
	CK_ULONG n;

	(void)state;
	vcard_free(card);
	p11_start_with(mixed);
	for (int i = 0; i < 3; i++) {
		again();
		h = p11_session(0);
		assert_rv_ok(p11_login(h, CKU_USER, PIN));
		assert_rv_ok(sign_with(h, p11_find(h, CKO_PRIVATE_KEY, 1), false, sig, &n));
		assert_int_equal(n, 64);
	}
}

/* --- retired keys --- */

static void
test_retired_without_history(void **state)
{
	struct vcard *card = card_make("p256", false, false), *one, *two;
	size_t none, n;
	unsigned first;

	(void)state;
	one = card_with(card, card, "5FC10B", "5FC10D", "9D", "82");
	two = card_with(one, card, "5FC10B", "5FC10E", "9D", "83");
	p11_start_with(card);
	first = list_all(&none);
	assert_true(first <= 50);
	C_Finalize(NULL);
	p11_swap(one); /* nobody told Key History */
	assert_rv_ok(C_Initialize(NULL));
	p11_apdus();
	assert_true(list_all(&n) > 20); /* what is remembered is in doubt now */
	assert_int_equal(n, none + 2);	/* certificate and public key */
	again();
	assert_true(list_all(&n) <= 11);
	assert_int_equal(n, none + 2);
	C_Finalize(NULL);
	p11_swap(two);
	assert_rv_ok(C_Initialize(NULL));
	list_all(&n);
	assert_int_equal(n, none + 4);
}

/* Whoever asks for one gets the card's answer. */
static void
test_asked_by_name(void **state)
{
	struct vcard *card = card_make("p256", false, false);
	struct vcard *last = card_with(card, card, "5FC10B", "5FC120", "9D", "95");
	CK_SESSION_HANDLE h;
	size_t n;

	(void)state;
	p11_start_with(card);
	list_all(&n);
	C_Finalize(NULL);
	p11_swap(last);
	assert_rv_ok(C_Initialize(NULL));
	p11_apdus();
	h = p11_session(0);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 24), 0);
	assert_true(p11_apdus() <= 6);
}

/* --- processes at once --- */

static void
child(unsigned seed)
{
	struct cache c, read;
	uint8_t data[2000];

	for (unsigned i = 0; i < 200; i++) {
		memset(data, (int)(seed * 16 + i % 16), sizeof data);
		if (cache_init(&c, span_str("some card")) != E_OK || cache_init(&read, span_str("some card")) != E_OK)
			_exit(1);
		cache_note(&c, 0x5FC105, CACHE_READ, span_of(data, sizeof data));
		if (cache_save(&c) != E_OK || cache_load(&read) != E_OK || read.n != 1 ||
		    read.obj[0].data.n != sizeof data || memcmp(read.obj[0].data.p, read.obj[0].data.p + 1, 1999) != 0)
			_exit(1);
		cache_clear(&c);
		cache_clear(&read);
	}
	_exit(0);
}

static void
test_processes_at_once(void **state)
{
	pid_t pid[4];
	char path[512];
	int status;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		if ((pid[i] = fork()) == 0)
			child(i);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	cache_path(path); /* one file, nothing beside it */
	assert_string_not_equal(path, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_costs),
		TEST(test_costs_off),
		TEST(test_costs_extended),
		TEST(test_silent_card),
		TEST(test_short_card_is_asked_once),
		TEST(test_nothing_is_asked_first),
		TEST(test_damaged_file),
		TEST(test_forged_file),
		TEST(test_other_persons_file),
		TEST(test_hostile_places),
		TEST(test_no_home),
		TEST(test_swapped_card),
		TEST(test_replaced_certificate),
		TEST(test_wrong_certificate_on_card),
		TEST(test_retired_without_history),
		TEST(test_asked_by_name),
		TEST(test_processes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
