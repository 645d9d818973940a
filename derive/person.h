/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_PERSON_H
#define DPIV_DERIVE_PERSON_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/x509.h>

/*
 * Is a card that is another one than before the same person's? A person identifier in the FASC-N is the identity
 * source's own word and decides where both cards have one of the same organization. Without it the user principal name
 * does, or the subject name, which is unique to a person (FPKI Common Policy, 3.1.5). A new name alone proves nothing.
 */
enum person { PERSON_SAME, PERSON_OTHER, PERSON_UNKNOWN };
/* Of two PIV Authentication certificates. *by (may be NULL): what it was known by, for people. */
enum person person_same(X509 *a, X509 *b, const char **by);

/* What a derived certificate says that is no longer true of its holder (SP 800-157r1, 2.3.1): "subject, UPN, mail
 * address", "" when nothing is. emails: the addresses in the card's certificates, separated by blanks; "": unknown. An
 * address that is the card's user principal name is true as well. */
char *person_changed(X509 *derived, X509 *card, const char *emails, char *out, size_t cap);

#endif
