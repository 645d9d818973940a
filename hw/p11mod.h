/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_P11MOD_H
#define DPIV_HW_P11MOD_H

#include <stdbool.h>

#include <p11-kit/pkcs11.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * The other edge of hw/: keys behind another PKCS#11 module (SoftHSM2, tpm2-pkcs11, opensc-pkcs11 ...), in this
 * process. A module is loaded once, by file, and shared by all that open it; the last to close it finalises it, unless
 * it had been initialised by another part of the program, whose business that then is. It stays mapped: foreign
 * modules leave handlers and thread-local data behind.
 *
 * The module is trusted code (it is named by the configuration), but its lengths are checked. Thread-safe.
 */
struct p11mod;

/*
 * path: absolute, or a plain name in p11-kit's module directory. E_NOTFOUND there is none, E_ARG not a PKCS#11 module,
 * E_POLICY one that must not be behind this one (ourselves, p11-kit's proxy), E_BUSY another thread is loading a module
 * and has not come back for two seconds, E_IO it does not start. May take as long as the module's C_Initialize.
 */
enum err p11mod_open(const char *path, struct p11mod **out) MUST_CHECK;
void p11mod_close(struct p11mod **m);
/* In a forked child: what the parent had opened. Nothing is said to the module; the next p11mod_open() starts anew. */
void p11mod_forget(struct p11mod **m);
const CK_FUNCTION_LIST *p11mod_calls(const struct p11mod *m);

/* --- objects; answers are the module's own --- */

/* One attribute's value appended to out, whose max bounds it: CKR_ATTRIBUTE_TYPE_INVALID when the object has none. */
CK_RV p11mod_attr(const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type,
    struct wbuf *out) MUST_CHECK;
/* Of fixed length: other when it is absent or has another length. */
bool
p11mod_bool(const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, bool other);
CK_ULONG p11mod_ulong(
    const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_ULONG other);
/* The token's objects of a class, at most max; the session must have no search of its own. */
CK_RV p11mod_find(const CK_FUNCTION_LIST *f, CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out,
    size_t max, size_t *n) MUST_CHECK;

#endif
