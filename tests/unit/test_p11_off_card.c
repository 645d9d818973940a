/* SPDX-License-Identifier: BSD-2-Clause */
/* Retired keys whose certificates are in the file that Key History's URL means, and files that are not that one. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/text.h"
#include "hw/piv.h"
#include "hw/tlv.h"
#include "tests/lib/p11_card.h"
#include "tests/vcard/model.h"

static char base[] = "/tmp/dpiv-test-history.XXXXXX";
static char path[512];

/* The certificate of a retired key, taken off the card into the file. */
static void
take(struct vcard *card, uint8_t ref, struct wbuf *file)
{
	struct vc_object *o = vc_object_find(card, 0x5FC10Du + ref - 0x82u);
	struct span answer = span_of(o->p, o->n), contents;
	size_t m = tlv_open(file, 0x30);

	tlv_put_u8(file, 0x04, ref);
	assert_int_equal(tlv_get(&answer, 0x53, &contents), E_OK);
	assert_int_equal(piv_cert_parse(contents, file), E_OK);
	tlv_close(file, m);
	assert_true(vc_object_set(card, o->tag, NULL, 0));
}

static void
key_history(struct vcard *card, uint8_t on, uint8_t off, const char *url)
{
	WBUF_AUTO w;
	size_t m;

	wbuf_init(&w, 200);
	m = tlv_open(&w, 0x53);
	tlv_put_u8(&w, 0xC1, on);
	tlv_put_u8(&w, 0xC2, off);
	tlv_put(&w, 0xF3, url, strlen(url));
	tlv_put(&w, 0xFE, NULL, 0);
	tlv_close(&w, m);
	assert_true(vc_object_set(card, 0x5FC10C, w.p, w.n));
}

/* Three retired keys, two certificates of them in the file. change: of the file, after its hash went on the card. */
static void
start(const char *extra, bool change)
{
	struct vcard *card = p11_card("p256", 3, false);
	char hex[65], url[128];
	uint8_t hash[32];
	WBUF_AUTO file;
	size_t m;
	FILE *f;

	wbuf_init(&file, 10000);
	m = tlv_open(&file, 0x30);
	take(card, 0x83, &file);
	take(card, 0x84, &file);
	wbuf_span(&file, span_str(extra));
	tlv_close(&file, m);
	assert_int_equal(EVP_Digest(file.p, file.n, hash, NULL, EVP_sha256(), NULL), 1);
	text_hex(span_of(hash, 32), hex, sizeof hex);
	snprintf(url, sizeof url, "http://keys.example.test/%s", hex);
	key_history(card, 1, 2, url);
	snprintf(path, sizeof path, "%s/dpiv/history/%s", base, hex);
	if (change)
		file.p[file.n - 1] ^= 1;
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(file.p, 1, file.n, f), file.n);
	fclose(f);
	p11_start_with(card);
}

static int
stop(void **state)
{
	unlink(path);
	return p11_teardown(state);
}

static size_t
certificates(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_ATTRIBUTE t = { CKA_CLASS, &class, sizeof class };

	return p11_count(h, &t, 1);
}

static void
the_file_is_used(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	start("", false);
	h = p11_session(0);
	assert_int_equal(certificates(h), 4 + 3);
	assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, 6), 0);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 7), 0);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 8), 0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(p11_find(h, CKO_PRIVATE_KEY, 7), 0);
}

static void
found_by_id_at_once(void **state)
{
	CK_SESSION_HANDLE h;
	EVP_PKEY *key;

	(void)state;
	start("", false);
	h = p11_session(0);
	key = p11_pubkey(h, 6);
	EVP_PKEY_free(key);
}

static void
another_file_is_not(void **state)
{
	(void)state;
	start("", true);
	assert_int_equal(certificates(p11_session(0)), 4 + 1);
}

static void
rubbish_is_not(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	start(
	    "\x30\x03\x04\x01\x85", false); /* the right hash, and an entry without certificate behind two good ones */
	h = p11_session(0);
	assert_int_equal(certificates(h), 4 + 3);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 8), 0);
}

static void
no_file(void **state)
{
	(void)state;
	start("", false);
	unlink(path);
	assert_int_equal(certificates(p11_session(0)), 4 + 1);
}

static void
urls(void **state)
{
	static const char hash[] = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";
	char name[PIV_HISTORY_NAME], url[200];

	(void)state;
	snprintf(url, sizeof url, "http://a/%s", hash);
	assert_int_equal(piv_history_file_name(url, name), E_OK);
	assert_string_equal(name, "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF");
	snprintf(url, sizeof url, "http://a/%s?", hash);
	assert_int_equal(piv_history_file_name(url, name), E_PROTO);
	snprintf(url, sizeof url, "http://a/../%.62s", hash);
	assert_int_equal(piv_history_file_name(url, name), E_PROTO);
	assert_int_equal(piv_history_file_name("http://a/", name), E_PROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_file_is_used, stop),
		cmocka_unit_test_teardown(found_by_id_at_once, stop),
		cmocka_unit_test_teardown(another_file_is_not, stop),
		cmocka_unit_test_teardown(rubbish_is_not, stop),
		cmocka_unit_test_teardown(no_file, stop),
		cmocka_unit_test(urls),
	};
	char dir[512];
	int failed;

	if (mkdtemp(base) == NULL)
		return 1;
	setenv("XDG_DATA_HOME", base, 1);
	snprintf(dir, sizeof dir, "%s/dpiv", base);
	mkdir(dir, 0700);
	snprintf(dir, sizeof dir, "%s/dpiv/history", base);
	mkdir(dir, 0700);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	snprintf(dir, sizeof dir, "%s/dpiv", base);
	rmdir(dir);
	rmdir(base);
	return failed;
}
