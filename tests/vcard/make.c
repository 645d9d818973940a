/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Personalising a fresh card: keys, certificates, objects, in the order in which an issuer does it. The demo
 * secrets are public knowledge: PIN 123456, PUK 12345678, management key 0102030405060708 three times.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tests/vcard/maker.h"

#define DAY	  86400L
#define LIFE_DAYS 1095
#define SLACK_S	  300 /* clocks differ */

static const struct credential {
	uint8_t ref;
	uint32_t tag;
	enum vc_profile profile;
	const char *file;
	bool derived; /* a derived application has it too */
} credentials[] = {
	{ 0x9A, 0x5FC105, PROFILE_AUTH, "9a", true },
	{ 0x9C, 0x5FC10A, PROFILE_SIGN, "9c", true },
	{ 0x9D, 0x5FC10B, PROFILE_KM, "9d", true },
	{ 0x9E, 0x5FC101, PROFILE_CARDAUTH, "9e", false },
};

static bool
export_pem(const struct vc_maker *m, const char *file, X509 *x)
{
	char *path = NULL;
	BIO *bio;
	bool ok;

	if (!m->spec->export_dir || !x)
		return true;
	if (asprintf(&path, "%s/%s.pem", m->spec->export_dir, file) < 0)
		return false;
	bio = BIO_new_file(path, "w");
	ok = bio && PEM_write_bio_X509(bio, x) > 0;
	if (!ok)
		vc_say(m->why, "%.200s: cannot be written", path);
	ERR_clear_error();
	BIO_free(bio);
	free(path);
	return ok;
}

/* A key in its slot, its certificate in its object. */
static bool
credential_make(struct vc_maker *m, uint8_t ref, uint32_t tag, enum vc_profile profile, const char *file)
{
	struct vc_key *k = vc_key_find(m->vc, ref);
	X509 *x = NULL;
	bool ok;

	k->pkey = vc_key_new(m->alg, (struct vc_in){ NULL, 0 });
	k->alg = m->alg->id;
	if (k->pkey)
		x = vc_certify(m, profile, k->pkey);
	ok = x && vc_certificate_object(m, tag, x, m->spec->gzip) && export_pem(m, file, x);
	X509_free(x);
	return ok;
}

static bool
credentials_make(struct vc_maker *m)
{
	for (size_t i = 0; i < sizeof credentials / sizeof *credentials; i++) {
		const struct credential *c = &credentials[i];
		enum vc_profile p = m->spec->derived && c->profile == PROFILE_AUTH ? PROFILE_DERIVED : c->profile;

		if ((!m->spec->derived || c->derived) && !credential_make(m, c->ref, c->tag, p, c->file))
			return false;
	}
	for (unsigned i = 0; i < m->spec->retired; i++) {
		char file[8];

		snprintf(file, sizeof file, "%02x", 0x82 + i);
		if (!credential_make(m, (uint8_t)(0x82 + i), 0x5FC10D + i, PROFILE_KM, file))
			return false;
	}
	return true;
}

static bool
signer_make(struct vc_maker *m)
{
	uint8_t alg = m->alg->rsa ? ALG_RSA2048 : m->alg->id;

	m->signer_key = vc_key_new(vc_alg_find(alg), (struct vc_in){ NULL, 0 });
	m->signer = m->signer_key ? vc_certify(m, PROFILE_CONTENT, m->signer_key) : NULL;
	return m->signer && export_pem(m, "content-signer", m->signer);
}

/* The attestation key of a YubiKey, F9, with a self-signed certificate. */
static bool
attestor_make(struct vc_maker *m)
{
	struct vc_key *k = vc_key_find(m->vc, 0xF9);
	X509 *x = NULL;
	bool ok;

	if (!m->spec->yubikey)
		return true;
	k->pkey = vc_key_new(vc_alg_find(k->alg = ALG_RSA2048), (struct vc_in){ NULL, 0 });
	if (k->pkey)
		x = vc_certify_self(m, PROFILE_ATTEST, k->pkey);
	ok = x && vc_certificate_object(m, 0x5FFF01, x, false) && export_pem(m, "f9", x);
	X509_free(x);
	return ok;
}

static bool
date_set(struct vc_maker *m, ASN1_TIME **t, const char *text, time_t otherwise)
{
	*t = ASN1_TIME_new();
	if (*t && (text ? ASN1_TIME_set_string_X509(*t, text) > 0 : ASN1_TIME_adj(*t, otherwise, 0, 0) != NULL))
		return true;
	vc_say(m->why, "not a date of the form YYYYMMDDHHMMSSZ: %.60s", text ? text : "");
	return false;
}

/* Not beyond the CA's own end, and no RSA-2048 after 2030 (SP 800-78-5, table 1). */
static bool
dates_set(struct vc_maker *m)
{
	time_t now = time(NULL);
	const ASN1_TIME *ca_end = X509_get0_notAfter(m->ca);
	ASN1_TIME *rsa_end = ASN1_TIME_new();
	bool ok = rsa_end && ASN1_TIME_set_string_X509(rsa_end, "20301231235959Z") > 0 &&
	    date_set(m, &m->not_before, m->spec->not_before, now - SLACK_S) &&
	    date_set(m, &m->not_after, m->spec->not_after, now + LIFE_DAYS * DAY - SLACK_S);

	if (ok && !m->spec->not_after && ASN1_TIME_compare(m->not_after, ca_end) > 0)
		ok = ASN1_STRING_copy(m->not_after, ca_end) > 0;
	if (ok && !m->spec->not_after && m->alg->id == ALG_RSA2048 && ASN1_TIME_compare(m->not_after, rsa_end) > 0)
		ok = ASN1_STRING_copy(m->not_after, rsa_end) > 0;
	ASN1_TIME_free(rsa_end);
	return ok;
}

static const char *
either(const char *given, const char *otherwise)
{
	return given ? given : otherwise;
}

static bool
spec_read(struct vc_maker *m)
{
	const struct vcard_spec *s = m->spec;

	m->alg = vc_alg_by_name(either(s->alg, "rsa2048"));
	m->name = either(s->name, "Pat Example");
	m->email = either(s->email, "pat@example.test");
	m->upn = either(s->upn, m->email);
	m->base_url = either(s->base_url, "http://localhost/pki");
	m->policy = either(s->policy, s->derived ? "2.16.840.1.101.3.2.1.3.40" : "2.16.840.1.101.3.2.1.3.13");
	if (!m->alg || !m->alg->generate) {
		vc_say(m->why, "--alg: rsa2048, rsa3072, p256 or p384, not %.60s", either(s->alg, ""));
		return false;
	}
	if (s->retired > 20) {
		vc_say(m->why, "--retired: at most 20");
		return false;
	}
	if (s->serial &&
	    (BN_dec2bn(&m->serial, s->serial) != (int)strlen(s->serial) || BN_is_negative(m->serial) ||
		BN_is_zero(m->serial))) {
		vc_say(m->why, "--serial is not a positive decimal number: %.60s", s->serial);
		return false;
	}
	return vc_uuid_set(m, s->uuid) && vc_fascn_set(m, s->fascn);
}

static bool
directory_make(struct vc_maker *m)
{
	if (!m->spec->export_dir || mkdir(m->spec->export_dir, 0777) == 0 || errno == EEXIST)
		return true;
	vc_say(m->why, "%.150s: %s", m->spec->export_dir, strerror(errno));
	return false;
}

/* An empty card with the demo secrets. */
static struct vcard *
blank(const struct vc_maker *m)
{
	char *text = NULL, *aid = vc_hex(m->spec->derived ? vc_aid_derived : vc_aid_piv, sizeof vc_aid_piv);
	struct vcard *vc = NULL;

	if (aid &&
	    asprintf(&text,
		"{\"format\":\"piv-image-1\",\"name\":\"dpiv\",\"aid\":\"%s\",\"pin\":\"123456\",\"puk\":\"12345678\","
		"\"mgmt_key\":\"010203040506070801020304050607080102030405060708\",\"yubikey\":%s,\"extended\":%s,"
		"\"version\":\"%s\",\"serial\":%lu}",
		aid, m->spec->yubikey ? "true" : "false", m->spec->extended ? "true" : "false",
		either(m->spec->firmware, "5.4.3"),
		(unsigned long)m->uuid[0] << 16 | (unsigned long)m->uuid[1] << 8 | m->uuid[2]) > 0)
		vc = vcard_from_json(text, m->why);
	free(text);
	free(aid);
	if (vc) {
		free(vc->name);
		vc->name = strdup(m->name);
		vc->opt.extended = m->spec->extended || m->spec->extended_silent;
	}
	return vc;
}

static void
maker_clear(struct vc_maker *m)
{
	X509_free(m->root);
	X509_free(m->ca);
	X509_free(m->signer);
	EVP_PKEY_free(m->ca_key);
	EVP_PKEY_free(m->signer_key);
	ASN1_TIME_free(m->not_before);
	ASN1_TIME_free(m->not_after);
	BN_free(m->serial);
	vcard_free(m->vc);
}

/* A derived PIV application beside the card's own: other keys, another UUID; its certificates are not exported. */
static bool
second_make(struct vc_maker *m)
{
	struct vcard_spec spec = *m->spec;

	if (!spec.with_derived)
		return true;
	spec.with_derived = spec.yubikey = false;
	spec.derived = true;
	spec.uuid = spec.serial = spec.policy = spec.export_dir = NULL;
	spec.retired = 0;
	if (!(m->vc->second = vcard_make(&spec, m->why)))
		return false;
	m->vc->second->opt.select_default = false;
	vcard_reset(m->vc);
	return true;
}

struct vcard *
vcard_make(const struct vcard_spec *spec, char *why)
{
	char detail[VCARD_WHY] = "";
	struct vc_maker m = { .spec = spec, .why = detail };
	struct vcard *vc = NULL;

	if (spec_read(&m) && directory_make(&m) && vc_ca_open(&m) && dates_set(&m) && (m.vc = blank(&m)) &&
	    credentials_make(&m) && attestor_make(&m) && signer_make(&m) && vc_fill(&m) &&
	    (spec->derived || vc_chuid(&m)) && vc_security_object(&m) && second_make(&m) &&
	    export_pem(&m, "ca", m.ca) && export_pem(&m, "root", m.root)) {
		vc = m.vc;
		m.vc = NULL;
	} else {
		vc_say(why, "%s", *detail ? detail : "the card could not be made: out of memory?");
	}
	maker_clear(&m);
	return vc;
}
