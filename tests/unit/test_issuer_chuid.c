/* SPDX-License-Identifier: BSD-2-Clause */
/* The CHUID before the issuer: signed by whom, until when, and of which card. Each refusal beside its sound neighbour.
 */
#include <stdio.h>
#include <unistd.h>
#include <openssl/cms.h>

#include "base/text.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/refuse.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY	86400L
#define SIGNING "2.16.840.1.101.3.2.1.3.39"
#define TESTING "2.16.840.1.101.3.2.1.48.86"
#define FASCN                                                                                                          \
	"\x30\x19\xD0\x43\x94\x58\x21\x0C\x2C\x19\xA0\x84\x6D\x83\x68\x5A\x10\x82\x10\x8C\xE7\x39\x84\x10\x8C\xA3\xFC"
#define GUID "\x34\x10\x5a\x3c\x0a\x5e\x5c\x9f\x4f\x39\x8f\x1b\x6a\x7f\x4d\x3c\x2b\x10"
#define EXPIRY                                                                                                         \
	"\x35\x08"                                                                                                     \
	"20991231"
#define SIGNER(policy, eku)                                                                                            \
	"keyUsage=critical,digitalSignature\nextendedKeyUsage=critical," eku "\ncertificatePolicies=" policy           \
	"\n" MINIPKI_AKI
#define CONTENT "2.16.840.1.101.3.6.7"
#define PIVI	"2.16.840.1.101.3.8.7"

static struct {
	char dir[40], anchors[80], intermediates[80], crls[80];
	EVP_PKEY *root_key, *key;
	X509 *root, *signer;
	struct trust *trust;
	struct config conf;
	struct pivid id;
} p;

static X509 *
signer(long from, long to, const char *ext)
{
	const struct minipki_cert c = { "Content Signer", p.key, p.root, p.root_key, from, to, ext };

	return minipki_cert(&c);
}

static void
crl(X509 *revoked)
{
	X509_CRL *l = minipki_crl(p.root, p.root_key, -60, DAY, revoked);

	minipki_write_crls(p.crls, l, NULL);
	X509_CRL_free(l);
	trust_free(&p.trust);
	assert_ok(trust_load(p.anchors, p.intermediates, p.crls, &p.trust));
	trust_refresh(p.trust);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&p, 0, sizeof p);
	strcpy(p.dir, "/tmp/dpiv-chuid.XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.anchors, sizeof p.anchors, "%s/root.pem", p.dir);
	snprintf(p.intermediates, sizeof p.intermediates, "%s/ca.pem", p.dir);
	snprintf(p.crls, sizeof p.crls, "%s/crls.pem", p.dir);
	p.root_key = minipki_key("P-256");
	p.key = minipki_key("P-256");
	p.root = minipki_ca("Root", p.root_key, NULL, NULL, -DAY, 3000 * DAY, NULL);
	minipki_write_certs(p.anchors, p.root, NULL);
	minipki_write_certs(p.intermediates, p.root, NULL);
	p.signer = signer(-DAY, 30 * DAY, SIGNER(SIGNING, CONTENT));
	crl(NULL);
	p.conf.signer_policies = SIGNING;
	p.conf.require_chuid = true;
	strcpy(p.id.fascn, MINIPKI_FASCN);
	strcpy(p.id.fascn_id, "00320001092446");
	strcpy(p.id.uuid, MINIPKI_UUID);
	p.id.piv = true;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	trust_free(&p.trust);
	X509_free(p.root);
	X509_free(p.signer);
	EVP_PKEY_free(p.root_key);
	EVP_PKEY_free(p.key);
	unlink(p.anchors);
	unlink(p.intermediates);
	unlink(p.crls);
	return rmdir(p.dir);
}

struct shape {
	const char *type;
	struct span say, sign; /* what the CHUID has before its signature; and what is signed, FE 00 not counted */
	bool wrapped, bare;    /* bare: without signature */
};

static void
element_put(struct wbuf *w, uint8_t tag, struct span v)
{
	wbuf_u8(w, tag);
	wbuf_u8(w, 0x82);
	wbuf_be16(w, (uint16_t)v.n);
	wbuf_span(w, v);
}

static void
seal(struct span content, const char *type, struct wbuf *out)
{
	unsigned flags = CMS_DETACHED | CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP;
	BIO *in = BIO_new_mem_buf(content.p, (int)content.n);
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	ASN1_OBJECT *oid = OBJ_txt2obj(type, 1);
	unsigned char *der = NULL;
	int n;

	assert_int_equal(CMS_set1_eContentType(cms, oid), 1);
	assert_non_null(CMS_add1_signer(cms, p.signer, p.key, EVP_sha256(), flags));
	assert_int_equal(CMS_final(cms, in, NULL, flags), 1);
	n = i2d_CMS_ContentInfo(cms, &der);
	assert_true(n > 0);
	wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	ASN1_OBJECT_free(oid);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
}

static enum err
present(const struct shape *s)
{
	WBUF_AUTO plain = { .max = 8192 }, cms = { .max = 8192 }, all = { .max = 8192 }, text = { .max = 16384 };

	wbuf_span(&plain, s->sign.n ? s->sign : s->say);
	wbuf_put(&plain, "\xFE\x00", 2);
	seal(wbuf_view(&plain), s->type ? s->type : "2.16.840.1.101.3.6.1", &cms);
	wbuf_clear(&plain);
	wbuf_span(&plain, s->say);
	if (!s->bare)
		element_put(&plain, 0x3E, wbuf_view(&cms));
	wbuf_put(&plain, "\xFE\x00", 2);
	if (s->wrapped)
		element_put(&all, 0x53, wbuf_view(&plain));
	else
		wbuf_span(&all, wbuf_view(&plain));
	text_base64(wbuf_view(&all), 0, &text);
	wbuf_u8(&text, 0);
	return chuid_check(p.trust, &p.conf, (const char *)text.p, &p.id, time(NULL));
}

static struct shape
of(const char *say, size_t n)
{
	return (struct shape){ .say = span_of(say, n) };
}
#define OF(text) of(text, sizeof(text) - 1)
#define GOOD	 OF(FASCN GUID EXPIRY)
#define accepted(sent)                                                                                                 \
	do {                                                                                                           \
		struct shape s_ = (sent);                                                                              \
		assert_ok(present(&s_));                                                                               \
	} while (0)
#define refused(why, sent)                                                                                             \
	do {                                                                                                           \
		struct shape s_ = (sent);                                                                              \
		assert_err(present(&s_), E_POLICY);                                                                    \
		assert_string_equal(refuse_code(refuse_last()), why);                                                  \
	} while (0)

static void
sound(void **state)
{
	struct shape s = GOOD;

	(void)state;
	accepted(s);
	s.wrapped = true;
	accepted(s);
	/* an old card: its buffer length is not signed, or is */
	s = OF("\xEE\x02\x0B\x64" FASCN GUID EXPIRY);
	s.sign = span_of(FASCN GUID EXPIRY, sizeof(FASCN GUID EXPIRY) - 1);
	accepted(s);
	s.sign = SPAN_NONE;
	accepted(s);
	p.id.uuid[0] = '\0'; /* a first-generation certificate */
	accepted(OF(FASCN EXPIRY));
}

static void
absent(void **state)
{
	(void)state;
	assert_err(chuid_check(p.trust, &p.conf, NULL, &p.id, time(NULL)), E_POLICY);
	assert_string_equal(refuse_code(refuse_last()), "chuid-missing");
	strcpy(p.id.fascn_id, "99999999999999"); /* no federal agency's */
	assert_err(chuid_check(p.trust, &p.conf, NULL, &p.id, time(NULL)), E_POLICY);
	strcpy(p.id.fascn_id, "00320001092446");
	p.conf.require_chuid = false;
	assert_ok(chuid_check(p.trust, &p.conf, NULL, &p.id, time(NULL)));
	refused("chuid-expired",
	    OF(FASCN GUID "\x35\x08"
			  "20201231")); /* what is there is checked */
}

static void
malformed(void **state)
{
	static const char *const headers[] = { "", "?", "U0k=", "NQgyMA==" };

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		assert_err(chuid_check(p.trust, &p.conf, headers[i], &p.id, time(NULL)), E_POLICY);
		assert_string_equal(refuse_code(refuse_last()), "chuid-malformed");
	}
	refused("chuid-malformed", OF(FASCN FASCN GUID EXPIRY));
	refused("chuid-malformed", OF(FASCN GUID));
	refused("chuid-malformed",
	    OF(FASCN GUID "\x35\x08"
			  "2099 231"));
}

static void
forged(void **state)
{
	struct shape s = OF(FASCN GUID EXPIRY);

	(void)state;
	s.sign = span_of(FASCN GUID "\x35\x08"
				    "20201231",
	    sizeof(FASCN GUID EXPIRY) - 1);
	refused("chuid-signature", s);
	s = GOOD;
	s.bare = true;
	refused("chuid-signature", s);
	s = GOOD;
	s.type = "1.3.27.1.1.1"; /* a Security Object's */
	refused("chuid-signature", s);
}

static void
sign_with(long from, long to, const char *ext)
{
	X509_free(p.signer);
	p.signer = signer(from, to, ext);
}

static void
signers(void **state)
{
	(void)state;
	sign_with(-DAY, 30 * DAY, SIGNER(SIGNING, "clientAuth"));
	refused("chuid-signer", GOOD);
	sign_with(-DAY, 30 * DAY, SIGNER("2.16.840.1.101.3.2.1.3.13", CONTENT));
	refused("chuid-signer", GOOD);
	sign_with(-2 * DAY, -DAY, SIGNER(SIGNING, CONTENT));
	refused("chuid-signer", GOOD);
	sign_with(-DAY, 30 * DAY, SIGNER(SIGNING, PIVI));
	refused("chuid-signer", GOOD); /* PIV-I's signers stand for no PIV card */
	p.id.piv = false;
	accepted(GOOD);
	p.id.piv = true;
	sign_with(-DAY, 30 * DAY, SIGNER(TESTING, CONTENT));
	refused("chuid-signer", GOOD);
	p.conf.signer_policies = SIGNING "," TESTING;
	accepted(GOOD);
	crl(p.signer);
	refused("chuid-signer-revoked", GOOD);
	unlink(p.crls);
	trust_refresh(p.trust);
	refused("chuid-signer-status", GOOD);
}

static void
others(void **state)
{
	(void)state;
	refused("chuid-mismatch", OF(GUID EXPIRY));
	refused("chuid-mismatch", OF(FASCN EXPIRY));
	refused("chuid-mismatch",
	    OF(FASCN "\x34\x10"
		     "0123456789abcdef" EXPIRY));
	p.id.fascn[3] = p.id.fascn[3] == '1' ? '2' : '1';
	refused("chuid-mismatch", GOOD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(absent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(malformed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(signers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
