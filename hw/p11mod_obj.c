/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading another module's objects: see p11mod.h. Every length it reports is held against what was asked for; a module
 * that says CKR_OK and a length beyond the buffer is answered with CKR_DEVICE_ERROR.
 */
#include "hw/p11mod.h"

CK_RV
p11mod_attr(
    const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, struct wbuf *out)
{
	CK_ATTRIBUTE a = { type, NULL, 0 };
	size_t before = out->n, room;
	CK_RV rv;

	if ((rv = f->C_GetAttributeValue(s, o, &a, 1)) != CKR_OK)
		return rv;
	if (a.ulValueLen == CK_UNAVAILABLE_INFORMATION)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	room = a.ulValueLen;
	if (room == 0)
		return CKR_OK;
	if (room > out->max || (a.pValue = wbuf_room(out, room)) == NULL)
		return CKR_DEVICE_ERROR;
	rv = f->C_GetAttributeValue(s, o, &a, 1);
	if (rv == CKR_OK && a.ulValueLen > room)
		rv = CKR_DEVICE_ERROR;
	wbuf_cut(out, before + (rv == CKR_OK ? a.ulValueLen : 0));
	return rv;
}

static bool
fixed(
    const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG n)
{
	CK_ATTRIBUTE a = { type, value, n };

	return f->C_GetAttributeValue(s, o, &a, 1) == CKR_OK && a.ulValueLen == n;
}

bool
p11mod_bool(const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, bool other)
{
	CK_BBOOL b;

	return fixed(f, s, o, type, &b, sizeof b) ? b != CK_FALSE : other;
}

CK_ULONG
p11mod_ulong(const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_ULONG other)
{
	CK_ULONG v;

	return fixed(f, s, o, type, &v, sizeof v) ? v : other;
}

CK_RV
p11mod_find(
    const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out, size_t max, size_t *n)
{
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE tmpl[] = { { CKA_CLASS, &class, sizeof class }, { CKA_TOKEN, &yes, sizeof yes } };
	CK_ULONG got = 0;
	CK_RV rv, end;

	*n = 0;
	if ((rv = f->C_FindObjectsInit(s, tmpl, 2)) != CKR_OK)
		return rv;
	while (*n < max && (rv = f->C_FindObjects(s, out + *n, max - *n, &got)) == CKR_OK && got > 0) {
		if (got > max - *n) {
			rv = CKR_DEVICE_ERROR;
			break;
		}
		*n += got;
	}
	end = f->C_FindObjectsFinal(s);
	return rv != CKR_OK ? rv : end;
}
