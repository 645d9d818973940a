/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Persons by their certificates: see person.h. Everything compared here comes out of certificates that a trusted CA has
 * signed; the caller has seen to that. What contradicts itself (another person identifier under the same name) is not
 * known, and left to the issuer, whose account of the person is the last word.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "derive/cert.h"
#include "derive/person.h"

#define PERSON_ID 10 /* digits; the organization follows */

static enum person
by_identifier(X509 *a, X509 *b)
{
	char one[16], two[16];

	if (!cert_person(a, one) || !cert_person(b, two) || strcmp(&one[PERSON_ID], &two[PERSON_ID]) != 0)
		return PERSON_UNKNOWN;
	return strcmp(one, two) == 0 ? PERSON_SAME : PERSON_OTHER;
}

static bool
same_upn(X509 *a, X509 *b)
{
	char one[256], two[256];

	return cert_upn(a, one, sizeof one)[0] != '\0' && strcasecmp(one, cert_upn(b, two, sizeof two)) == 0;
}

static bool
same_subject(X509 *a, X509 *b)
{
	return X509_NAME_entry_count(X509_get_subject_name(a)) > 0 &&
	    X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0;
}

enum person
person_same(X509 *a, X509 *b, const char **by)
{
	enum person id = by_identifier(a, b);
	const char *what = id == PERSON_SAME ? "person identifier"
	    : same_upn(a, b)		     ? "user principal name"
	    : same_subject(a, b)	     ? "subject name"
					     : NULL;

	if (by != NULL)
		*by = what != NULL ? what : "nothing";
	if (id == PERSON_OTHER)
		return what != NULL ? PERSON_UNKNOWN : PERSON_OTHER;
	return what != NULL ? PERSON_SAME : PERSON_UNKNOWN;
}

/* One word of a list of words. */
static bool
has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p != '\0'; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && strncasecmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

char *
person_changed(X509 *derived, X509 *card, const char *emails, char *out, size_t cap)
{
	char mine[256], theirs[256];
	bool subject = !same_subject(derived, card);
	bool upn = cert_upn(derived, mine, sizeof mine)[0] != '\0' &&
	    cert_upn(card, theirs, sizeof theirs)[0] != '\0' && strcasecmp(mine, theirs) != 0;
	/* an issuer may take the address from the principal name: a new certificate would say the same again */
	bool email = emails[0] != '\0' && cert_email(derived, mine, sizeof mine)[0] != '\0' &&
	    !has_word(emails, mine) && strcasecmp(mine, cert_upn(card, theirs, sizeof theirs)) != 0;

	snprintf(out, cap, "%s%s%s%s%s", subject ? "subject" : "", subject && (upn || email) ? ", " : "",
	    upn ? "user principal name" : "", upn && email ? ", " : "", email ? "mail address" : "");
	return out;
}
