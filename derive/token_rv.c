/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CK_RV values in dpiv's terms: one table. Values that are not listed are failures of the token or of its module and
 * become E_IO with the number. (PKCS #11 v2.40 base, section 5.1.)
 */
#include <stdio.h>

#include "derive/token_int.h"

#define ROW(name, code, hint)                                                                                          \
	{                                                                                                              \
		CKR_##name, "CKR_" #name, code, hint                                                                   \
	}

static const struct {
	CK_RV rv;
	const char *name;
	enum err e;
	const char *hint; /* what to do, or NULL */
} table[] = {
	ROW(OK, E_OK, NULL),
	ROW(CANCEL, E_CANCELED, NULL),
	ROW(HOST_MEMORY, E_NOMEM, NULL),
	ROW(SLOT_ID_INVALID, E_CARDGONE, "the token is no longer there"),
	ROW(GENERAL_ERROR, E_IO, NULL),
	ROW(FUNCTION_FAILED, E_IO, NULL),
	ROW(ARGUMENTS_BAD, E_ARG, NULL),
	ROW(ATTRIBUTE_READ_ONLY, E_POLICY, NULL),
	ROW(ATTRIBUTE_TYPE_INVALID, E_UNSUP, NULL),
	ROW(ATTRIBUTE_VALUE_INVALID, E_UNSUP, NULL),
	ROW(DATA_INVALID, E_CRYPTO, NULL),
	ROW(DATA_LEN_RANGE, E_CRYPTO, NULL),
	ROW(DEVICE_ERROR, E_IO, NULL),
	ROW(DEVICE_MEMORY, E_NOSPACE, "delete what is no longer needed from the token, or take another one"),
	ROW(DEVICE_REMOVED, E_CARDGONE, "put the card or token back and try again"),
	ROW(ENCRYPTED_DATA_INVALID, E_CRYPTO, NULL),
	ROW(ENCRYPTED_DATA_LEN_RANGE, E_CRYPTO, NULL),
	ROW(FUNCTION_CANCELED, E_CANCELED, NULL),
	ROW(FUNCTION_NOT_SUPPORTED, E_UNSUP, "the token cannot do this"),
	ROW(KEY_SIZE_RANGE, E_UNSUP, "the token cannot make a key of this size"),
	ROW(KEY_TYPE_INCONSISTENT, E_UNSUP, NULL),
	ROW(KEY_FUNCTION_NOT_PERMITTED, E_POLICY, "the key is not meant for this use"),
	ROW(MECHANISM_INVALID, E_UNSUP, "the token cannot do this"),
	ROW(MECHANISM_PARAM_INVALID, E_UNSUP, NULL),
	ROW(CURVE_NOT_SUPPORTED, E_UNSUP, "the token does not know this curve"),
	ROW(DOMAIN_PARAMS_INVALID, E_UNSUP, "the token does not know this curve"),
	ROW(OBJECT_HANDLE_INVALID, E_NOTFOUND, NULL),
	ROW(OPERATION_ACTIVE, E_BUSY, NULL),
	ROW(PIN_INCORRECT, E_PIN, NULL),
	ROW(PIN_INVALID, E_PINLEN, "the PIN has characters that the token does not take"),
	ROW(PIN_LEN_RANGE, E_PINLEN, "the PIN is too short or too long for the token"),
	ROW(PIN_EXPIRED, E_POLICY, "set a new PIN first"),
	ROW(PIN_LOCKED, E_PINLOCKED, "the PIN is blocked: unblock it with the PUK or ask the issuer of the token"),
	ROW(SESSION_CLOSED, E_CARDGONE, "the token was removed or replaced"),
	ROW(SESSION_COUNT, E_BUSY, "too many programs use the token"),
	ROW(SESSION_HANDLE_INVALID, E_CARDGONE, "the token was removed or replaced"),
	ROW(SESSION_READ_ONLY, E_READONLY, "the token is write-protected"),
	ROW(TEMPLATE_INCOMPLETE, E_UNSUP, NULL),
	ROW(TEMPLATE_INCONSISTENT, E_UNSUP, "the token does not make keys of this kind"),
	ROW(TOKEN_NOT_PRESENT, E_NOCARD, "put the card or token into its reader"),
	ROW(TOKEN_NOT_RECOGNIZED, E_NOTPIV, NULL),
	ROW(TOKEN_WRITE_PROTECTED, E_READONLY, "the token is write-protected"),
	ROW(USER_NOT_LOGGED_IN, E_AUTH, NULL),
	ROW(USER_PIN_NOT_INITIALIZED, E_AUTH, "the token has no PIN yet: set one with its own tool"),
	ROW(USER_TYPE_INVALID, E_AUTH, NULL),
	ROW(USER_TOO_MANY_TYPES, E_BUSY, NULL),
	ROW(CRYPTOKI_NOT_INITIALIZED, E_INTERNAL, NULL),
};

#define N (sizeof table / sizeof table[0])

enum err
rv_err(CK_RV rv)
{
	for (size_t i = 0; i < N; i++)
		if (table[i].rv == rv)
			return table[i].e;
	return E_IO;
}

const char *
rv_name(CK_RV rv, char buf[24])
{
	for (size_t i = 0; i < N; i++)
		if (table[i].rv == rv)
			return table[i].name;
	snprintf(buf, 24, "CKR 0x%lX", rv);
	return buf;
}

enum err
rv_set(const struct token *t, CK_RV rv, const char *what)
{
	char buf[24];
	const char *hint = NULL;

	for (size_t i = 0; i < N; i++)
		if (table[i].rv == rv)
			hint = table[i].hint;
	return err_set(rv_err(rv), "token '%s': %s: %s%s%s%s", t->label, what, hint != NULL ? hint : rv_name(rv, buf),
	    hint != NULL ? " (" : "", hint != NULL ? rv_name(rv, buf) : "", hint != NULL ? ")" : "");
}
