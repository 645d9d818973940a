/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a card image (the format is described in image.c), so that generated keys, written objects, changed PINs
 * and used-up tries survive a restart. The file appears whole or not at all: a new file beside the old one,
 * flushed, then renamed over it. Mode 0600: an image holds private keys and PINs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tests/vcard/image.h"

static void
put_hex(json_t *root, const char *key, const void *p, size_t n)
{
	char *hex = vc_hex(p, n);

	json_object_set_new(root, key, json_string(hex));
	free(hex);
}

static bool
printable(const struct vc_secret *s, char text[9])
{
	size_t n = 0;

	while (n < 8 && s->v[n] >= 0x20 && s->v[n] < 0x7F) {
		text[n] = (char)s->v[n];
		n++;
	}
	text[n] = 0;
	for (; n < 8; n++)
		if (s->v[n] != 0xFF)
			return false;
	return text[0] != 0;
}

static void
put_secret(json_t *root, const char *name, const struct vc_secret *s)
{
	char key[64], text[9];

	if (!s->set)
		return;
	if (printable(s, text)) {
		json_object_set_new(root, name, json_string(text));
	} else {
		snprintf(key, sizeof key, "%s_hex", name);
		put_hex(root, key, s->v, sizeof s->v);
	}
	snprintf(key, sizeof key, "%s_tries", name);
	json_object_set_new(root, key, json_integer(s->max));
	if (s->left == s->max)
		return;
	snprintf(key, sizeof key, "%s_tries_left", name);
	json_object_set_new(root, key, json_integer(s->left));
}

static void
put_objects(json_t *root, const struct vcard *vc)
{
	json_t *objects = json_object(), *pin = json_array();
	char tag[16];

	for (size_t i = 0; i < vc->objects; i++) {
		const struct vc_object *o = &vc->object[i];

		snprintf(tag, sizeof tag, "%02X", o->tag);
		if (o->n)
			put_hex(objects, tag, o->p, o->n);
		if (o->pin)
			json_array_append_new(pin, json_string(tag));
	}
	json_object_set_new(root, "objects", objects);
	json_object_set_new(root, "read_pin", pin);
}

static json_t *
key_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	json_t *v = NULL;
	char *p;

	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) > 0) {
		long n = BIO_get_mem_data(bio, &p);

		v = json_stringn(p, (size_t)n);
	}
	BIO_free(bio);
	ERR_clear_error();
	return v;
}

static void
put_keys(json_t *root, const struct vcard *vc)
{
	json_t *keys = json_object(), *v;
	char name[8];

	for (size_t i = 0; i < VC_KEYS; i++) {
		const struct vc_key *k = &vc->key[i];

		if (!k->pkey)
			continue;
		v = json_object();
		snprintf(name, sizeof name, "%02X", k->alg);
		json_object_set_new(v, "alg", json_string(name));
		json_object_set_new(v, "pem", key_pem(k->pkey));
		if (k->pin)
			json_object_set_new(v, "pin_policy", json_integer(k->pin));
		if (k->touch)
			json_object_set_new(v, "touch_policy", json_integer(k->touch));
		if (k->imported)
			json_object_set_new(v, "origin", json_string("imported"));
		snprintf(name, sizeof name, "%02X", vc_key_ref(i));
		json_object_set_new(keys, name, v);
	}
	json_object_set_new(root, "keys", keys);
}

/* Only what differs from a card without any option. */
static void
put_options(json_t *root, const struct vcard *vc)
{
	struct vcard *plain = vc_new();
	char version[16];

	for (const struct vc_image_option *o = vc_image_options; plain && o->name; o++) {
		const char *at = (const char *)&vc->opt + o->offset, *was = (const char *)&plain->opt + o->offset;

		if (memcmp(at, was, o->number ? sizeof(size_t) : sizeof(bool)) == 0)
			continue;
		json_object_set_new(root, o->name,
		    o->number ? json_integer((json_int_t) * (const size_t *)(const void *)at)
			      : json_boolean(*(const bool *)(const void *)at));
	}
	vcard_free(plain);
	if (vc->opt.yubikey && vc->opt.le_required)
		json_object_set_new(root, "le_required", json_true());
	if (!vc->opt.yubikey)
		return;
	snprintf(version, sizeof version, "%u.%u.%u", vc->opt.version[0], vc->opt.version[1], vc->opt.version[2]);
	json_object_set_new(root, "version", json_string(version));
	json_object_set_new(root, "serial", json_integer(vc->opt.serial));
}

static json_t *
image_of(const struct vcard *vc)
{
	json_t *root = json_object();

	json_object_set_new(root, "format", json_string("piv-image-1"));
	json_object_set_new(root, "name", json_string(vc->name));
	put_hex(root, "atr", vc->atr, vc->atr_n);
	put_hex(root, "aid", vc->aid, vc->aid_n);
	for (size_t i = 0; i < VC_SECRETS; i++)
		put_secret(root, vc_image_secrets[i], &vc->secret[i]);
	put_hex(root, "mgmt_key", vc->mgmt, vc->mgmt_n);
	put_hex(root, "mgmt_alg", &vc->mgmt_alg, 1);
	put_options(root, vc);
	put_objects(root, vc);
	put_keys(root, vc);
	if (vc->notes)
		json_object_set_new(root, "notes", json_loads(vc->notes, JSON_DECODE_ANY, NULL));
	if (vc->second)
		json_object_set_new(root, "second", image_of(vc->second));
	return root;
}

char *
vcard_to_json(const struct vcard *vc)
{
	json_t *root = image_of(vc);
	char *text;

	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	return text;
}

static bool
write_all(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t w = write(fd, text, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		text += w;
		n -= (size_t)w;
	}
	return write(fd, "\n", 1) == 1 && fsync(fd) == 0;
}

bool
vcard_save(struct vcard *vc, const char *path, char *why)
{
	char *text = vcard_to_json(vc), *temp = NULL;
	int fd = -1;
	bool ok = text && asprintf(&temp, "%s.XXXXXX", path) > 0 && (fd = mkstemp(temp)) >= 0;

	if (ok)
		ok = write_all(fd, text);
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	if (ok)
		ok = rename(temp, path) == 0;
	if (ok) {
		vc->dirty = false;
		if (vc->second)
			vc->second->dirty = false;
	} else {
		vc_say(why, "%.150s: %s", path, strerror(errno));
		if (fd >= 0)
			unlink(temp);
	}
	free(temp);
	free(text);
	return ok;
}

bool
vcard_dirty(const struct vcard *vc)
{
	return vc->dirty || (vc->second && vc->second->dirty);
}
