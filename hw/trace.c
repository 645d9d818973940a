/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace, redacted by construction: see trace.h. What may be shown is listed row by row; whatever has no row shows
 * lengths and status words alone. VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, GENERAL AUTHENTICATE (signatures
 * as well: the card cannot tell them from decryption), PUT DATA, the import of keys, and everything not thought of have
 * no row. Of the data objects, those that everybody may read are shown: SP 800-73-5 part 1, table 3; the cardholder's
 * fingerprints, face, irises, printed information and pairing code are not.
 */
#include "base/log.h"
#include "base/text.h"
#include "hw/trace.h"

#define INS_GET 0xCB

static const struct {
	uint8_t ins;
	bool command, answer; /* may be shown */
} rows[] = {
	{ 0xA4, true, true },	 /* SELECT: AID, application property template */
	{ INS_GET, true, true }, /* GET DATA: tag list, and objects by public_tags[] */
	{ 0x47, true, true },	 /* GENERATE ASYMMETRIC KEY PAIR: mechanism, public key */
	{ 0xF7, true, true },	 /* YubiKey: metadata, attestation, serial number, version */
	{ 0xF9, true, true },
	{ 0xF8, true, true },
	{ 0xFD, true, true },
};

/* Ranges of tags. */
static const struct {
	uint32_t first, last;
} public_tags[] = {
	{ 0x7E, 0x7E }, { 0x7F61, 0x7F61 }, { 0x5FC101, 0x5FC102 }, /* 9E, CHUID */
	{ 0x5FC105, 0x5FC107 },					    /* 9A, Security Object, CCC */
	{ 0x5FC10A, 0x5FC120 },					    /* 9C, 9D, Key History, retired */
	{ 0x5FC122, 0x5FC122 },					    /* Secure Messaging certificate signer */
	{ 0x5FFF01, 0x5FFF01 },					    /* YubiKey: attestation */
};

static bool
is_public(struct span tag_list)
{
	uint32_t tag = 0;
	uint8_t head, n, v;

	if (!span_u8(&tag_list, &head) || head != 0x5C || !span_u8(&tag_list, &n) || n != tag_list.n || n > 3)
		return false;
	while (span_u8(&tag_list, &v))
		tag = tag << 8 | v;
	for (size_t i = 0; i < sizeof public_tags / sizeof public_tags[0]; i++)
		if (tag >= public_tags[i].first && tag <= public_tags[i].last)
			return true;
	return false;
}

/* Hex, or `*`, or nothing. */
static const char *
field(struct span v, bool shown, struct wbuf *w)
{
	size_t room = 2 * v.n + 1;
	uint8_t *text;

	if (v.n == 0)
		return "";
	wbuf_init(w, room);
	if (!shown || (text = wbuf_room(w, room)) == NULL)
		return "*";
	return text_hex(v, (char *)text, room);
}

void
trace_apdu(const struct apdu_link *link, const struct apdu *whole, const struct apdu *a, uint8_t cla, struct span data,
    struct span answer, uint16_t sw)
{
	WBUF_AUTO cmd = { 0 };
	WBUF_AUTO rsp = { 0 };
	bool command = false, reply = false;

	if (!log_on(LOG_TRACE))
		return;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].ins == whole->ins && whole->cla == 0) {
			command = rows[i].command;
			reply = rows[i].answer && (whole->ins != INS_GET || is_public(whole->data));
		}
	log_trace("apdu", "reader=\"%s\" cla=%02X ins=%02X p1=%02X p2=%02X lc=%zu data=%s answer=%zu rsp=%s sw=%04X",
	    link->reader != NULL ? link->reader : "", cla, a->ins, a->p1, a->p2, data.n, field(data, command, &cmd),
	    answer.n, field(answer, reply, &rsp), sw);
}

void
trace_atr(const char *reader, struct span atr)
{
	char hex[2 * ATR_MAX + 1];

	log_trace("atr", "reader=\"%s\" atr=%s", reader, text_hex(atr, hex, sizeof hex));
}
