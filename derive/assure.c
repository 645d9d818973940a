/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judging the evidence: a table of questions in the order in which a person would ask them, each with the level that it
 * takes to answer no. SP 800-157r1: 2.2.1 (a key of AAL3 is generated in the device that holds it; only after the
 * activation secret can it be used), 3.1.2 (-hardware: a module of FIPS 140 level 2 with physical security of level 3,
 * and not exportable). That last thing no token can prove by itself, so it is the administrator's list that says which
 * models are validated, and the attestation, where the list demands one, that it is such a model.
 *
 * Software says of itself that it is software, or has no hardware slot. A token that claims hardware proves nothing
 * by that.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "derive/assure.h"
#include "derive/attest.h"

/* Tokens that are known to be software, whatever their slots say: tpm2-pkcs11 calls every TPM hardware, swtpm too. */
static const struct {
	const char *manufacturer, *model;
} software[] = {
	{ "SoftHSM*", "*" },
	{ "*", "SoftHSM*" },
	{ "*", "SW*TPM*" },
	{ "Mozilla*", "*" },
	{ "*", "NSS*" },
	{ "IBM*", "*Soft*" },
	{ "*", "Soft" },
	{ "Kryoptic*", "*" },
	{ "Gnome Keyring*", "*" },
};

/* What the questions are about. */
struct judge {
	const struct token_facts *token;
	const struct token_key_facts *key; /* NULL: not yet */
	EVP_PKEY *pub;
	const struct assure_rules *rules;
	const struct assure_rule *rule; /* the one that fits; NULL: none */
	struct attest attest;
	bool attested;
	char why[128];
};

static bool
like(const char *pattern, const char *value)
{
	return pattern == NULL || fnmatch(pattern, value, 0) == 0;
}

static const char *
yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

/* --- the rule that fits --------------------------------------------------------------------------------------------
 */

/* A key that is there is attested itself; before that, only the token can be asked who would. */
static enum err
rule_attested(struct judge *j, const struct assure_rule *r, struct attest *a)
{
	const struct token_key_facts *k = j->key;
	enum err e = E_OK;

	memset(a, 0, sizeof *a);
	if (j->token->attester == NULL)
		return err_set(E_POLICY, "the token does not attest its keys");
	if (k != NULL && k->attestation == NULL)
		return err_set(E_POLICY, "the token does not attest this key");
	e = attest_trusted(j->token->attester, r->roots);
	if (e == E_OK && k != NULL)
		e = attest_verify(k->attestation, j->token->attester, j->pub);
	if (e == E_OK && k != NULL)
		e = attest_read(k->attestation, a);
	return e;
}

/* What a PIV card calls itself by PKCS #11 says nothing about its maker. */
static bool
rule_names(const struct judge *j, const struct assure_rule *r)
{
	return (r->roots != NULL || r->serial != NULL || !j->token->own) &&
	    like(r->manufacturer, j->token->manufacturer) && like(r->model, j->token->model);
}

static bool
rule_fits(struct judge *j, const struct assure_rule *r)
{
	struct attest a = { .pin = ATTEST_PIN_UNSAID };

	if (!rule_names(j, r))
		return false;
	if (r->roots != NULL && rule_attested(j, r, &a) != E_OK) {
		snprintf(j->why, sizeof j->why, "%s", err_msg());
		return false;
	}
	/* of a card both are known from the attestation of a key */
	if (j->token->own && r->roots != NULL && j->key == NULL)
		return true;
	if (!like(r->serial, a.serial[0] != '\0' ? a.serial : j->token->serial)) {
		snprintf(j->why, sizeof j->why, "its serial number is not one of [assurance %s]", r->name);
		return false;
	}
	if (!like(r->firmware, a.firmware[0] != '\0' ? a.firmware : j->token->firmware)) {
		snprintf(j->why, sizeof j->why, "its firmware %s is not one of [assurance %s]",
		    a.firmware[0] != '\0' ? a.firmware : j->token->firmware, r->name);
		return false;
	}
	j->attest = a;
	j->attested = r->roots != NULL && j->key != NULL;
	return true;
}

static void
find_rule(struct judge *j)
{
	for (size_t i = 0; j->rule == NULL && j->rules != NULL && i < j->rules->n; i++)
		if (rule_fits(j, &j->rules->rule[i]))
			j->rule = &j->rules->rule[i];
	/* what the key says without a rule is still of interest, but no evidence */
	if (j->rule == NULL && j->key != NULL && j->key->attestation != NULL &&
	    attest_read(j->key->attestation, &j->attest) != E_OK)
		snprintf(j->why, sizeof j->why, "%s", err_msg());
}

/* --- the questions -------------------------------------------------------------------------------------------------
 */

static bool
ask_pin(struct judge *j, char *text, size_t cap)
{
	bool yes = j->token->login && j->attest.pin != ATTEST_PIN_NEVER;

	snprintf(text, cap, "asks for a PIN: %s (%s)", yes_no(yes),
	    j->attest.pin == ATTEST_PIN_NEVER ? "its attestation says never" : "CKF_LOGIN_REQUIRED");
	return yes;
}

static bool
ask_kept(struct judge *j, char *text, size_t cap)
{
	bool yes = j->key->sensitive && !j->key->extractable;

	snprintf(text, cap, "not extractable: %s (CKA_SENSITIVE, CKA_EXTRACTABLE)", yes_no(yes));
	return yes;
}

static bool
ask_local(struct judge *j, char *text, size_t cap)
{
	snprintf(text, cap, "generated on the token: %s (CKA_LOCAL)", yes_no(j->key->local));
	return j->key->local;
}

static bool
ask_never(struct judge *j, char *text, size_t cap)
{
	bool yes = j->key->always_sensitive && j->key->never_extractable;

	snprintf(text, cap, "never was extractable: %s (CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE)", yes_no(yes));
	return yes;
}

static bool
ask_hardware(struct judge *j, char *text, size_t cap)
{
	const struct token_facts *t = j->token;
	bool known = false;

	for (size_t i = 0; i < sizeof software / sizeof software[0]; i++)
		known = known || (like(software[i].manufacturer, t->manufacturer) && like(software[i].model, t->model));
	snprintf(text, cap, "hardware: %s (%s %s%s)", known || !t->hw_slot ? "no" : "as it says", t->manufacturer,
	    t->model,
	    known	      ? " is software"
		: !t->hw_slot ? " has no hardware slot"
			      : "");
	return !known && t->hw_slot;
}

static bool
ask_validated(struct judge *j, char *text, size_t cap)
{
	const struct token_facts *t = j->token;

	if (j->rule != NULL)
		snprintf(text, cap, "validated model: yes ([assurance %s] of " CONF_SYSTEM_PATH ")", j->rule->name);
	else if (j->why[0] != '\0')
		snprintf(text, cap, "validated model: no (%s)", j->why);
	else
		snprintf(text, cap,
		    "validated model: no (no [assurance] section of " CONF_SYSTEM_PATH " lists %s %s %s)",
		    t->manufacturer, t->model, t->firmware);
	return j->rule != NULL;
}

static bool
ask_attested(struct judge *j, char *text, size_t cap)
{
	if (j->rule == NULL || j->rule->roots == NULL)
		return true;
	if (j->key == NULL)
		snprintf(text, cap, "attestation: the token's is its maker's; the key's is looked at when it is there");
	else
		snprintf(
		    text, cap, "attestation: yes, firmware %s, serial number %s", j->attest.firmware, j->attest.serial);
	return true;
}

/* A remark: nothing follows from it. */
static bool
ask_decrypts(struct judge *j, char *text, size_t cap)
{
	if (j->key->decrypts_too)
		snprintf(text, cap, "for signatures only: no, the token makes no RSA keys that cannot decrypt");
	return true;
}

static const struct {
	bool (*ask)(struct judge *, char *, size_t);
	bool of_key;
	enum assure_level no; /* the most that is left after a no */
} questions[] = {
	{ ask_pin, false, ASSURE_NONE },
	{ ask_kept, true, ASSURE_NONE },
	{ ask_local, true, ASSURE_AAL2 },
	{ ask_never, true, ASSURE_AAL2 },
	{ ask_hardware, false, ASSURE_AAL2 },
	{ ask_validated, false, ASSURE_AAL2 },
	{ ask_attested, false, ASSURE_AAL2 },
	{ ask_decrypts, true, ASSURE_AAL2 },
};
_Static_assert(sizeof questions / sizeof questions[0] <= ASSURE_LINES, "lines for all questions");

void
assure_judge(const struct token_facts *token, const struct token_key_facts *key, EVP_PKEY *pub,
    const struct assure_rules *rules, struct assure *out)
{
	struct judge j = { .token = token, .key = key, .pub = pub, .rules = rules };

	memset(out, 0, sizeof *out);
	out->level = ASSURE_AAL3;
	find_rule(&j);
	for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		struct assure_line *l = &out->line[out->n];

		if (questions[i].of_key && key == NULL)
			continue;
		l->good = questions[i].ask(&j, l->text, sizeof l->text);
		if (!l->good && questions[i].no < out->level)
			out->level = questions[i].no;
		if (l->text[0] != '\0')
			out->n++;
	}
}

const char *
assure_why(const struct assure *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->line[i].good)
			return a->line[i].text;
	return "";
}

/* --- names and texts ------------------------------------------------------------------------------------------------
 */

static const struct {
	enum assure_level level;
	const char *name, *digit, *policy;
} levels[] = {
	{ ASSURE_AAL2, "AAL2", "2", "id-fpki-common-derived-pivAuth" },
	{ ASSURE_AAL3, "AAL3", "3", "id-fpki-common-derived-pivAuth-hardware" },
};
#define LEVELS (sizeof levels / sizeof levels[0])

const char *
assure_name(enum assure_level level)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "none";
}

const char *
assure_policy(enum assure_level level)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (levels[i].level == level)
			return levels[i].policy;
	return "";
}

enum err
assure_parse(const char *text, enum assure_level *out)
{
	for (size_t i = 0; i < LEVELS; i++) {
		if (strcasecmp(text, levels[i].name) == 0 || strcmp(text, levels[i].digit) == 0) {
			*out = levels[i].level;
			return E_OK;
		}
	}
	return err_set(E_USAGE, "the assurance is aal2 or aal3, not '%.40s'", text);
}

void
assure_write(const struct assure *a, struct wbuf *out)
{
	wbuf_span(out, span_str(assure_name(a->level)));
	wbuf_u8(out, '\n');
	for (size_t i = 0; i < a->n; i++) {
		wbuf_span(out, span_str(a->line[i].good ? "+ " : "- "));
		wbuf_span(out, span_str(a->line[i].text));
		wbuf_u8(out, '\n');
	}
}

static bool
read_line(struct span line, struct assure *out)
{
	struct assure_line *l = &out->line[out->n];

	if (out->n == ASSURE_LINES || line.n < 3 || (line.p[0] != '+' && line.p[0] != '-') || line.p[1] != ' ')
		return false;
	l->good = line.p[0] == '+';
	text_safe(span_of(line.p + 2, line.n - 2), l->text, sizeof l->text);
	out->n++;
	return true;
}

bool
assure_read(const char *text, struct assure *out)
{
	size_t n = strcspn(text, "\n");
	char name[8];

	memset(out, 0, sizeof *out);
	snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), text);
	if (assure_parse(name, &out->level) != E_OK && strcmp(name, "none") != 0)
		return false;
	for (text += n; *text == '\n' && text[1] != '\0'; text += n) {
		text++;
		n = strcspn(text, "\n");
		if (!read_line(span_of((const uint8_t *)text, n), out))
			return false;
	}
	return true;
}
