/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data objects: GET DATA and PUT DATA (SP 800-73-5 Part 2, 3.1.2 and 3.3.1; tags: Part 1 table 3). An object is
 * kept as GET DATA returns it, 53 L … or the bare 7E and 7F61 templates. GET DATA asks for exactly one object by a
 * tag list 5C and gets it whole; the access rule is tested before existence, so that 6982 does not tell whether
 * there is something.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tests/vcard/model.h"

#define TAG_DISCOVERY 0x7E
#define TAG_BIT	      0x7F61
#define TAG_FIRST     0x5FC101
#define TAG_LAST      0x5FC123
#define TAG_YK_FIRST  0x5FFF00
#define TAG_YK_LAST   0x5FFF15

/* Objects that may be larger than opt.max_object, with their guaranteed capacity (SP 800-73-5 Part 1 table 7). */
static const struct {
	uint32_t tag;
	size_t max;
} large[] = { { 0x5FC103, 4006 }, { 0x5FC108, 12710 }, { 0x5FC121, 7106 } };

bool
vc_object_known(uint32_t tag)
{
	return tag == TAG_DISCOVERY || tag == TAG_BIT || (tag >= TAG_FIRST && tag <= TAG_LAST);
}

static bool
tag_allowed(const struct vcard *vc, uint32_t tag)
{
	return vc_object_known(tag) || (vc->opt.yubikey && tag >= TAG_YK_FIRST && tag <= TAG_YK_LAST);
}

struct vc_object *
vc_object_find(struct vcard *vc, uint32_t tag)
{
	for (size_t i = 0; i < vc->objects; i++)
		if (vc->object[i].tag == tag)
			return &vc->object[i];
	return NULL;
}

static struct vc_object *
object_add(struct vcard *vc, uint32_t tag)
{
	struct vc_object *o = reallocarray(vc->object, vc->objects + 1, sizeof *o);

	if (!o)
		return NULL;
	vc->object = o;
	o += vc->objects++;
	*o = (struct vc_object){ .tag = tag };
	return o;
}

bool
vc_object_set(struct vcard *vc, uint32_t tag, const uint8_t *p, size_t n)
{
	struct vc_object *o = vc_object_find(vc, tag);
	uint8_t *copy = n ? malloc(n) : NULL;

	if ((n && !copy) || (!o && !(o = object_add(vc, tag)))) {
		free(copy);
		return false;
	}
	if (n)
		memcpy(copy, p, n);
	free(o->p);
	o->p = copy;
	o->n = n;
	vc->dirty = true;
	return true;
}

static bool
tag_value(struct vc_in v, uint32_t *tag)
{
	uint8_t b;

	*tag = 0;
	if (v.n < 1 || v.n > 3)
		return false;
	while (vc_in_u8(&v, &b))
		*tag = *tag << 8 | b;
	return true;
}

/* A YubiKey has a Discovery object of its own, which cannot be written: the application PIN alone. */
static bool
discovery_built_in(const struct vcard *vc, uint32_t tag)
{
	return vc->opt.yubikey && tag == TAG_DISCOVERY;
}

static uint16_t
discovery_get(const struct vcard *vc, struct vc_out *out)
{
	static const uint8_t policy[2] = { 0x40, 0x00 };
	struct vc_out body = { NULL, 0, 0, false };

	vc_tlv_put(&body, 0x4F, vc->aid, vc->aid_n);
	vc_tlv_put(&body, 0x5F2F, policy, sizeof policy);
	vc_tlv_out(out, TAG_DISCOVERY, &body);
	vc_out_free(&body);
	return SW_OK;
}

uint16_t
vc_get_data(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_in in = a->data, list;
	const struct vc_object *o;
	uint32_t t, tag;

	if (a->p1 != 0x3F || a->p2 != 0xFF)
		return SW_P1P2;
	if (!vc_tlv_next(&in, &t, &list) || t != 0x5C || in.n || !tag_value(list, &tag))
		return SW_DATA;
	o = vc_object_find(vc, tag);
	if (o && o->pin && !vc_pin_verified(vc))
		return SW_SECURITY;
	if (!o && discovery_built_in(vc, tag))
		return discovery_get(vc, out);
	if (!o || o->n == 0)
		return SW_NOT_FOUND;
	vc_out_put(out, o->p, o->n);
	return SW_OK;
}

/* What PUT DATA carries: the object's tag and its bytes as GET DATA will return them. */
static bool
put_parse(struct vc_in in, uint32_t *tag, struct vc_in *object, struct vc_in *content)
{
	struct vc_in v;
	uint32_t t;

	*object = in;
	if (!vc_tlv_next(&in, &t, &v))
		return false;
	if (t == TAG_DISCOVERY || t == TAG_BIT) {
		*tag = t;
		*content = v;
		return in.n == 0;
	}
	if (t != 0x5C || !tag_value(v, tag) || *tag == TAG_DISCOVERY || *tag == TAG_BIT)
		return false;
	*object = in;
	return vc_tlv_next(&in, &t, content) && t == 0x53 && in.n == 0;
}

static size_t
capacity(const struct vcard *vc, uint32_t tag)
{
	for (size_t i = 0; i < sizeof large / sizeof *large; i++)
		if (large[i].tag == tag && large[i].max > vc->opt.max_object)
			return large[i].max;
	return vc->opt.max_object;
}

static size_t
memory_used(const struct vcard *vc, uint32_t except)
{
	size_t n = 0;

	for (size_t i = 0; i < vc->objects; i++)
		if (vc->object[i].tag != except)
			n += vc->object[i].n;
	return n;
}

uint16_t
vc_put_data(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_in object, content;
	uint32_t tag;

	(void)out;
	if (a->p1 != 0x3F || a->p2 != 0xFF)
		return SW_P1P2;
	if (!vc->admin)
		return SW_SECURITY;
	if (!put_parse(a->data, &tag, &object, &content))
		return SW_DATA;
	if (!tag_allowed(vc, tag) || discovery_built_in(vc, tag))
		return SW_FUNCTION;
	if (object.n > capacity(vc, tag) || memory_used(vc, tag) + object.n > vc->opt.memory)
		return SW_MEMORY;
	/* A YubiKey forgets an object whose content is empty; the standard keeps an empty container. */
	if (vc->opt.yubikey && content.n == 0)
		object.n = 0;
	return vc_object_set(vc, tag, object.p, object.n) ? SW_OK : SW_MEMORY;
}
