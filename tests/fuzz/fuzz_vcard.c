/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual card itself under arbitrary input: a card that crashes proves nothing about its host. The first byte says
 * what follows: a dialogue of APDUs (each with a 16-bit length in front), as a stranger or with PIN and management key
 * verified, with or without the YubiKey extensions; a card image; or a fault rule.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/vcard/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { IMAGE = 1, RULE = 2, DIALOGUES = 4 };
enum { VERIFIED = 1, YUBIKEY = 2, EXTENDED = 4 };

static void
no_sleep(void *arg, unsigned ms)
{
	(void)arg, (void)ms;
}

/* One throw-away P-256 key in several places. */
#define KEY                                                                                                            \
	"{\"alg\": \"11\", \"pem\": \"-----BEGIN PRIVATE KEY-----\\n"                                                  \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6R2UOJ4vStVcp7+j\\n"                                          \
	"ipwCxudn+B3Xeos20ykmncCc+auhRANCAAS+3ZfniVnUfcNJsd9U+VtS9bf+3UCn\\n"                                          \
	"KpCiqIGlK7KS1AUoM8kd79uVwWFMSfKkFsCETdVkAX5M/8lnD5UDfZnF\\n"                                                  \
	"-----END PRIVATE KEY-----\\n\"}"
static const char image[] =
    "{\"format\": \"piv-image-1\", \"name\": \"fuzz\", \"pin\": \"123456\", \"puk\": \"12345678\","
    "\"global_pin\": \"87654321\", \"yubikey\": true, \"read_pin\": [\"5FC109\"], \"objects\": {"
    "\"7E\": \"7E124F0BA0000003080000100001005F2F026010\", \"5FC109\": \"5302FE00\","
    "\"5FC102\": \"5302FE00\"}, \"keys\": {\"9A\": " KEY ", \"9C\": " KEY ", \"9D\": " KEY ", \"9E\": " KEY
    ", \"82\": " KEY "}}";

/* A card in its first state; loaded again only when the last dialogue changed what the image holds. */
static struct vcard *
card(void)
{
	static struct vcard *vc;

	if (vc && vcard_dirty(vc)) {
		vcard_free(vc);
		vc = NULL;
	}
	if (!vc && !(vc = vcard_from_json(image, NULL)))
		abort();
	vcard_reset(vc);
	vcard_fault_clear(vc);
	vcard_sleep_set(vc, no_sleep, NULL);
	return vc;
}

/* Generating RSA keys and importing large ones takes longer than a fuzzer likes to wait. */
static bool
slow(struct vc_in cmd)
{
	return cmd.n > 1 && (cmd.p[1] == 0x47 || cmd.p[1] == 0xFE) &&
	    (memchr(cmd.p, 0x07, cmd.n) || memchr(cmd.p, 0x05, cmd.n));
}

static void
dialogue(uint8_t kind, struct vc_in in)
{
	static uint8_t rsp[VCARD_RESPONSE_MAX];
	struct vcard *vc = card();
	struct vc_in cmd;
	uint8_t hi, lo;

	vc->opt.yubikey = kind & YUBIKEY;
	vc->opt.extended = kind & EXTENDED;
	vc->admin = vc->secret[VC_PIN].verified = kind & VERIFIED;
	while (vc_in_u8(&in, &hi) && vc_in_u8(&in, &lo)) {
		size_t len = (size_t)hi << 8 | lo;

		if (!vc_in_take(&in, len < in.n ? len : in.n, &cmd))
			break;
		if (!slow(cmd) && vcard_transmit(vc, cmd.p, cmd.n, rsp, sizeof rsp) < 2)
			abort(); /* a card that is there always answers with a status word */
	}
}

static void
text(uint8_t kind, struct vc_in in)
{
	char *s = calloc(1, in.n + 1), why[VCARD_WHY];
	struct vcard *vc;

	if (s && in.n)
		memcpy(s, in.p, in.n);
	vc = s && kind == IMAGE ? vcard_from_json(s, why) : NULL;
	if (vc)
		free(vcard_to_json(vc));
	else if (s && kind == RULE)
		vcard_fault_add(card(), s, why);
	vcard_free(vc);
	free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct vc_in in = { p, n };
	uint8_t kind;

	if (!vc_in_u8(&in, &kind))
		return 0;
	kind %= 12;
	if (kind >= DIALOGUES)
		dialogue(kind - DIALOGUES, in);
	else if (kind == IMAGE || kind == RULE)
		text(kind, in);
	return 0;
}
