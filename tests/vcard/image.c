/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Card images, JSON format piv-image-1: one table of options that is walked for loading (here) and for saving
 * (save.c).
 *
 *	format   "piv-image-1"              name     the card's name
 *	atr      hex                        aid      hex; absent: the PIV AID
 *	pin puk global_pin                  text, at most 8 characters; a YubiKey's PUK may be shorter than 8
 *	pin_hex puk_hex global_pin_hex      16 hex digits, for what is not text
 *	pin_tries puk_tries global_pin_tries          most tries (3); NAME_left: tries that are left
 *	mgmt_key hex, mgmt_alg hex          management key; absent: 0102030405060708 three times, 3DES
 *	objects  { tag: object as GET DATA returns it }        read_pin  [ tags that need a PIN ]
 *	keys     { reference: { alg, pem, pin_policy, touch_policy, origin } }     ("mgmt" data: see above)
 *	extended select_default format_costs_try le_required yubikey     true or false
 *	max_object memory serial            numbers             version   "5.4.3"
 *	notes    anything; kept             second    an image: another application on the card, under another AID
 *
 * Unknown keys are refused: a misspelt option would make a test pass for the wrong reason.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tests/vcard/image.h"

#define OPTION(name) offsetof(struct vc_options, name)

const struct vc_image_option vc_image_options[] = {
	{ "extended", OPTION(extended), false },
	{ "select_default", OPTION(select_default), false },
	{ "format_costs_try", OPTION(format_costs_try), false },
	{ "le_required", OPTION(le_required), false },
	{ "yubikey", OPTION(yubikey), false },
	{ "max_object", OPTION(max_object), true },
	{ "memory", OPTION(memory), true },
	{ NULL, 0, false },
};

const char *const vc_image_secrets[VC_SECRETS] = { "pin", "puk", "global_pin" };

static const char *const plain_keys[] = { "format", "name", "atr", "aid", "mgmt_key", "mgmt_alg", "objects", "read_pin",
	"keys", "serial", "version", "notes", "second", NULL };

/* Historical bytes: card capabilities "command chaining", pre-issuing data "dpiv1". T=1. */
static const uint8_t default_atr[] = { 0x3B, 0x8B, 0x80, 0x01, 0x80, 0x73, 0x00, 0x00, 0x80, 0x65, 'd', 'p', 'i', 'v',
	'1', 0x00 };
#define ATR_CAPABILITIES 8
#define ATR_EXTENDED	 0x40

static const uint8_t default_mgmt[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8 };

static bool
hex_into(json_t *v, uint8_t *to, size_t cap, size_t *n)
{
	struct vc_out o = { NULL, 0, 0, false };
	const char *s = json_string_value(v);
	bool ok = s && vc_unhex(&o, s) && o.n <= cap && o.n;

	if (ok) {
		memcpy(to, o.p, o.n);
		*n = o.n;
	}
	vc_out_free(&o);
	return ok;
}

static bool
tag_of(const char *s, uint32_t *tag)
{
	char *end;
	unsigned long v = strtoul(s, &end, 16);

	*tag = (uint32_t)v;
	return *s && *end == 0 && v && v <= 0xFFFFFF;
}

static bool
known_key(const char *key)
{
	char name[64];

	for (size_t i = 0; plain_keys[i]; i++)
		if (strcmp(key, plain_keys[i]) == 0)
			return true;
	for (size_t i = 0; vc_image_options[i].name; i++)
		if (strcmp(key, vc_image_options[i].name) == 0)
			return true;
	for (size_t i = 0; i < VC_SECRETS; i++)
		for (const char *const *s = (const char *const[]){ "", "_hex", "_tries", "_tries_left", NULL }; *s;
		     s++) {
			snprintf(name, sizeof name, "%s%s", vc_image_secrets[i], *s);
			if (strcmp(key, name) == 0)
				return true;
		}
	return false;
}

static int
tries(json_t *root, const char *secret, const char *suffix, int absent)
{
	char name[64];
	json_t *v;

	snprintf(name, sizeof name, "%s%s", secret, suffix);
	v = json_object_get(root, name);
	if (!v)
		return absent;
	return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 255
	    ? (int)json_integer_value(v)
	    : -1;
}

static bool
load_secret(json_t *root, const char *name, struct vc_secret *s, char *why)
{
	char hex[64];
	json_t *text = json_object_get(root, name), *bytes;
	size_t n = 0;

	snprintf(hex, sizeof hex, "%s_hex", name);
	bytes = json_object_get(root, hex);
	s->max = tries(root, name, "_tries", 3);
	s->left = tries(root, name, "_tries_left", s->max);
	if (bytes && hex_into(bytes, s->v, sizeof s->v, &n) && n == sizeof s->v)
		s->set = true;
	else if (bytes || (json_is_string(text) && !vc_secret_set(s, json_string_value(text))) ||
	    (text && !json_is_string(text) && !json_is_null(text)) || s->max < 0 || s->left < 0 || s->left > s->max) {
		vc_say(why, "image: %s is not a secret of at most 8 characters with its tries", name);
		return false;
	}
	return true;
}

static bool
load_secrets(struct vcard *vc, json_t *root, char *why)
{
	for (size_t i = 0; i < VC_SECRETS; i++)
		if (!load_secret(root, vc_image_secrets[i], &vc->secret[i], why))
			return false;
	if (!vc->secret[VC_PIN].set) {
		vc_say(why, "image: no pin");
		return false;
	}
	if (!vc->secret[VC_PUK].set) {
		vc->secret[VC_PUK].left = 0;
		memset(vc->secret[VC_PUK].v, 0, sizeof vc->secret[VC_PUK].v);
	}
	return true;
}

static bool
load_objects(struct vcard *vc, json_t *root, char *why)
{
	json_t *objects = json_object_get(root, "objects"), *v;
	const char *key;
	uint32_t tag;

	json_object_foreach(objects, key, v)
	{
		struct vc_out o = { NULL, 0, 0, false };
		const char *hex = json_string_value(v);
		bool ok = tag_of(key, &tag) && hex && vc_unhex(&o, hex) && vc_object_set(vc, tag, o.p, o.n);

		vc_out_free(&o);
		if (!ok) {
			vc_say(why, "image: object %.20s is not hexadecimal", key);
			return false;
		}
	}
	return !objects || json_is_object(objects);
}

static bool
load_read_pin(struct vcard *vc, json_t *root, char *why)
{
	json_t *v;
	size_t i;
	uint32_t tag;

	json_array_foreach(json_object_get(root, "read_pin"), i, v)
	{
		struct vc_object *o;

		if (!json_is_string(v) || !tag_of(json_string_value(v), &tag) ||
		    (!vc_object_find(vc, tag) && !vc_object_set(vc, tag, NULL, 0)) || !(o = vc_object_find(vc, tag))) {
			vc_say(why, "image: read_pin is not a list of tags");
			return false;
		}
		o->pin = true;
	}
	return true;
}

static int
no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void)buf, (void)size, (void)rwflag, (void)u;
	return 0;
}

static bool
load_key(struct vcard *vc, const char *name, json_t *v, char *why)
{
	const char *pem = json_string_value(json_object_get(v, "pem")),
		   *alg = json_string_value(json_object_get(v, "alg"));
	const char *origin = json_string_value(json_object_get(v, "origin"));
	BIO *bio = pem ? BIO_new_mem_buf(pem, -1) : NULL;
	uint32_t ref;
	struct vc_key *k = tag_of(name, &ref) && ref <= 0xFF ? vc_key_find(vc, (uint8_t)ref) : NULL;

	if (k && bio)
		k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (!k || !k->pkey || !alg || vc_alg_of(k->pkey) == 0 || strtoul(alg, NULL, 16) != vc_alg_of(k->pkey)) {
		vc_say(why, "image: key %.20s: no such reference, no private key in PEM, or not of algorithm %.20s",
		    name, alg ? alg : "(none)");
		return false;
	}
	k->alg = vc_alg_of(k->pkey);
	k->pin = (uint8_t)(json_integer_value(json_object_get(v, "pin_policy")) & 3);
	k->touch = (uint8_t)(json_integer_value(json_object_get(v, "touch_policy")) & 3);
	k->imported = origin && strcmp(origin, "imported") == 0;
	return true;
}

static bool
load_keys(struct vcard *vc, json_t *root, char *why)
{
	json_t *v;
	const char *name;

	json_object_foreach(json_object_get(root, "keys"), name, v)
	{
		if (!load_key(vc, name, v, why))
			return false;
	}
	return true;
}

static uint8_t
mgmt_alg_of(size_t n)
{
	return n == 16 ? ALG_AES128 : n == 24 ? ALG_3DES : n == 32 ? ALG_AES256 : 0xFF;
}

static bool
load_mgmt(struct vcard *vc, json_t *root, char *why)
{
	json_t *key = json_object_get(root, "mgmt_key"), *alg = json_object_get(root, "mgmt_alg");
	size_t n = 0;

	memcpy(vc->mgmt, default_mgmt, vc->mgmt_n = sizeof default_mgmt);
	if (key && !hex_into(key, vc->mgmt, sizeof vc->mgmt, &vc->mgmt_n))
		vc->mgmt_n = 0;
	vc->mgmt_alg = mgmt_alg_of(vc->mgmt_n);
	if (alg && !hex_into(alg, &vc->mgmt_alg, 1, &n))
		vc->mgmt_alg = 0xFF;
	if (vc->mgmt_alg == ALG_3DES_OLD)
		vc->mgmt_alg = ALG_3DES;
	if (vc->mgmt_n && vc_sym_key(vc->mgmt_alg) == vc->mgmt_n)
		return true;
	vc_say(why, "image: mgmt_key and mgmt_alg do not fit together");
	return false;
}

static bool
load_options(struct vcard *vc, json_t *root, char *why)
{
	json_t *v = json_object_get(root, "serial");
	const char *version = json_string_value(json_object_get(root, "version"));

	if (v)
		vc->opt.serial = (uint32_t)json_integer_value(v);
	if (version &&
	    sscanf(version, "%hhu.%hhu.%hhu", &vc->opt.version[0], &vc->opt.version[1], &vc->opt.version[2]) != 3) {
		vc_say(why, "image: version is not of the form 5.4.3");
		return false;
	}
	for (const struct vc_image_option *o = vc_image_options; o->name; o++) {
		void *at = (char *)&vc->opt + o->offset;

		if (!(v = json_object_get(root, o->name)))
			continue;
		if (o->number ? !json_is_integer(v) || json_integer_value(v) < 0 : !json_is_boolean(v)) {
			vc_say(why, "image: %s is not a %s", o->name, o->number ? "number" : "truth value");
			return false;
		}
		if (o->number)
			*(size_t *)at = (size_t)json_integer_value(v);
		else
			*(bool *)at = json_is_true(v);
	}
	/* A YubiKey answers whether or not Le asks for it. */
	if (vc->opt.yubikey && !json_object_get(root, "le_required"))
		vc->opt.le_required = false;
	return true;
}

static void
make_atr(struct vcard *vc)
{
	memcpy(vc->atr, default_atr, vc->atr_n = sizeof default_atr);
	if (vc->opt.extended)
		vc->atr[ATR_CAPABILITIES] |= ATR_EXTENDED;
	for (size_t i = 1; i + 1 < vc->atr_n; i++)
		vc->atr[vc->atr_n - 1] ^= vc->atr[i];
}

static bool
load_names(struct vcard *vc, json_t *root, char *why)
{
	json_t *atr = json_object_get(root, "atr"), *aid = json_object_get(root, "aid"),
	       *name = json_object_get(root, "name");

	vc->name = strdup(json_is_string(name) ? json_string_value(name) : "");
	make_atr(vc);
	memcpy(vc->aid, vc_aid_piv, vc->aid_n = sizeof vc_aid_piv);
	if ((atr && !hex_into(atr, vc->atr, sizeof vc->atr, &vc->atr_n)) || (vc->atr_n < 2) ||
	    (aid && !hex_into(aid, vc->aid, sizeof vc->aid, &vc->aid_n)) || vc->aid_n < 7 || !vc->name) {
		vc_say(why, "image: atr or aid is not hexadecimal, or too long or short");
		return false;
	}
	if (json_object_get(root, "notes"))
		vc->notes = json_dumps(json_object_get(root, "notes"), JSON_ENCODE_ANY);
	return true;
}

static bool
check_keys(json_t *root, char *why)
{
	const char *format = json_string_value(json_object_get(root, "format")), *key;
	json_t *v;

	if (!format || strcmp(format, "piv-image-1") != 0) {
		vc_say(why, "not a card image: format is not piv-image-1");
		return false;
	}
	json_object_foreach(root, key, v)
	{
		if (!known_key(key)) {
			vc_say(why, "image: unknown key %.60s", key);
			return false;
		}
	}
	return true;
}

static struct vcard *from_root(json_t *root, char *why);

/* Not a card of its own: it has no second application, and it is not selected by a reset. */
static bool
load_second(struct vcard *vc, json_t *root, char *why)
{
	json_t *v = json_object_get(root, "second");

	if (!v)
		return true;
	if (json_object_get(v, "second") || !(vc->second = from_root(v, why)) ||
	    (vc->second->aid_n == vc->aid_n && memcmp(vc->second->aid, vc->aid, vc->aid_n) == 0)) {
		vc_say(why, "image: second is not an application under another AID");
		return false;
	}
	vc->second->opt.select_default = false;
	return true;
}

static struct vcard *
from_root(json_t *root, char *why)
{
	struct vcard *vc = vc_new();

	if (!vc || !check_keys(root, why) || !load_options(vc, root, why) || !load_names(vc, root, why) ||
	    !load_secrets(vc, root, why) || !load_mgmt(vc, root, why) || !load_objects(vc, root, why) ||
	    !load_read_pin(vc, root, why) || !load_keys(vc, root, why) || !load_second(vc, root, why)) {
		vcard_free(vc);
		return NULL;
	}
	vcard_reset(vc);
	vc->dirty = false;
	vcard_stats_clear(vc);
	return vc;
}

struct vcard *
vcard_from_json(const char *text, char *why)
{
	json_error_t e;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &e);
	struct vcard *vc = NULL;

	if (root)
		vc = from_root(root, why);
	else
		vc_say(why, "line %d: %.200s", e.line, e.text);
	json_decref(root);
	return vc;
}

struct vcard *
vcard_load(const char *path, char *why)
{
	json_error_t e;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
	struct vcard *vc = NULL;
	char detail[VCARD_WHY] = "";

	if (root && !(vc = from_root(root, detail)))
		vc_say(why, "%.100s: %.150s", path, detail);
	else if (!root)
		vc_say(why, "%.100s:%d: %.120s", path, e.line, e.text);
	json_decref(root);
	return vc;
}
