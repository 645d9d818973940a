/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_P11_CARD_H
#define DPIV_TESTS_P11_CARD_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pkcs11/cryptoki3.h"
#include "tests/lib/test.h"
#include "tests/lib/vcard_reader.h"
#include "tests/vcard/vcard.h"

/*
 * The PKCS#11 module over virtual cards in this process. p11_start() makes a fresh copy of a card (made once a
 * program), puts it into "Reader A", which becomes slot 0, and initialises the module; p11_stop() undoes all that.
 */
#define PIN	"123456"
#define PIN_BAD "654321"

/* A CK_RV, shown in hex. */
#define assert_rv(got, want)                                                                                           \
	do {                                                                                                           \
		CK_RV got_ = (got), want_ = (want);                                                                    \
		if (got_ != want_)                                                                                     \
			fail_msg("%s: 0x%lx, not 0x%lx (%s): %s", #got, got_, want_, #want, err_msg());                \
	} while (0)
#define assert_rv_ok(got) assert_rv(got, CKR_OK)
/* It sends this many APDUs. */
#define assert_apdus(n)                                                                                                \
	do {                                                                                                           \
		unsigned apdus_ = p11_apdus();                                                                         \
		if (apdus_ != (n))                                                                                     \
			fail_msg("%u APDUs, not %u", apdus_, (unsigned)(n));                                           \
	} while (0)

struct vcard *
p11_card(const char *alg, unsigned retired, bool no_history); /* a fresh copy; "yubikey-p256": with extensions */
void p11_start(const char *alg);
void p11_start_with(struct vcard *card); /* which then belongs to the test bench */
void p11_stop(void);
int p11_teardown(void **state); /* for cmocka: p11_stop() also after a failure */
struct vreaders *p11_readers(void);
struct vcard *p11_inserted(void);
void p11_swap(struct vcard *card); /* another card into Reader A */

unsigned p11_apdus(void); /* since the last call */
CK_SESSION_HANDLE p11_session(CK_FLAGS flags);
/* p11_start(), and a session of the security officer with the management key P11_ADMIN. */
#define P11_ADMIN "010203040506070801020304050607080102030405060708"
CK_SESSION_HANDLE p11_start_so(const char *alg);
CK_RV p11_login(CK_SESSION_HANDLE h, CK_USER_TYPE user, const char *pin);
CK_OBJECT_HANDLE p11_find(CK_SESSION_HANDLE h, CK_OBJECT_CLASS class, CK_BYTE id); /* 0: none */
size_t p11_count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n);
CK_ULONG p11_ulong(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);
bool p11_bool(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);
EVP_PKEY *p11_pubkey(CK_SESSION_HANDLE h, CK_BYTE id);	       /* of the certificate */
EVP_PKEY *p11_key_of(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o); /* by CKA_PUBLIC_KEY_INFO */
CK_FLAGS p11_token_flags(void);
/* Session, login, 9A's private key and C_SignInit with this mechanism. */
CK_SESSION_HANDLE p11_ready(CK_MECHANISM_TYPE type);

/* Ways in which one thread ends what another one waits for in this session. */
void p11_end_by_close(CK_SESSION_HANDLE h);
void p11_end_by_close_all(CK_SESSION_HANDLE h);
void p11_end_by_cancel(CK_SESSION_HANDLE h);
void p11_end_by_finalize(CK_SESSION_HANDLE h);

#endif
