/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One command on the wire: see apdu.h. ISO/IEC 7816-4 5.1 to 5.3 (chaining, GET RESPONSE), SP 800-73-5 part 2, 2.4.2
 * and 3; extended length lies outside the PIV standard and is used only where link->extended says so, and only for what
 * a short APDU cannot hold.
 *
 * Bounds: the answer's total length by out->max, the number of empty answers to GET RESPONSE by EMPTY_MAX, repeats
 * after a wrong Le by one. So a hostile card can neither overflow nor hang the caller.
 */
#include "base/log.h"
#include "hw/apdu.h"
#include "hw/trace.h"

#define INS_GET_RESPONSE 0xC0
#define CLA_CHAIN	 0x10
#define SHORT_ANSWER	 (256 + 2)
#define EXTENDED_ANSWER	 (65536 + 2)
#define EMPTY_MAX	 2

/* --- one APDU --- */

/* The answer to one APDU: data appended to out, status word split off. */
static enum err
exchange(
    struct apdu_link *link, const struct apdu *a, struct wbuf *cmd, struct span data, struct wbuf *out, uint16_t *sw)
{
	struct span answer, body;
	bool reset = false;
	WBUF_AUTO rsp;
	enum err e;

	*sw = 0;
	wbuf_init(&rsp, !cmd->bad && cmd->n > 5 && cmd->p[4] == 0 ? EXTENDED_ANSWER : SHORT_ANSWER);
	if (cmd->bad)
		return err_set(E_NOMEM, "%s: no memory for a command", link->name);
	e = link->ops->transmit(link->conn, wbuf_view(cmd), &rsp, &reset);
	if (reset) {
		link->reset = true;
		return err_set(E_IO, "%s: another program reset the card; try again", link->name);
	}
	if (e != E_OK)
		return e;
	if (rsp.bad || rsp.n < 2)
		return err_set(E_PROTO, "%s: the reader gave a malformed answer to command %02X", link->name, a->ins);
	answer = wbuf_view(&rsp);
	if (!span_take(&answer, answer.n - 2, &body) || !span_be16(&answer, sw))
		return err_set(E_PROTO, "%s: short answer", link->name);
	trace_apdu(link, link->whole != NULL ? link->whole : a, a, cmd->p[0], data, body, *sw);
	if (out == NULL)
		return E_OK;
	wbuf_span(out, body);
	if (out->bad)
		return err_set(
		    E_PROTO, "%s: the card's answer to command %02X is longer than allowed", link->name, a->ins);
	return E_OK;
}

/* le_value: as on the wire, 0 is the most that the form can say. */
static void
build(struct wbuf *w, const struct apdu *a, uint8_t cla, struct span data, bool le, uint16_t le_value, bool extended)
{
	wbuf_clear(w);
	wbuf_u8(w, cla);
	wbuf_u8(w, a->ins);
	wbuf_u8(w, a->p1);
	wbuf_u8(w, a->p2);
	if (extended) {
		wbuf_u8(w, 0);
		if (data.n > 0)
			wbuf_be16(w, (uint16_t)data.n);
		wbuf_span(w, data);
		if (le)
			wbuf_be16(w, le_value);
		return;
	}
	if (data.n > 0)
		wbuf_u8(w, (uint8_t)data.n);
	wbuf_span(w, data);
	if (le)
		wbuf_u8(w, (uint8_t)le_value);
}

/* One APDU, repeated once with the right Le when the card names it (6Cxx: nothing was executed). */
static enum err
send_one(struct apdu_link *link, const struct apdu *a, uint8_t cla, struct span data, bool le, uint16_t le_value,
    bool extended, struct wbuf *out, uint16_t *sw)
{
	size_t before = out != NULL ? out->n : 0;
	WBUF_AUTO cmd;
	enum err e;

	wbuf_init(&cmd, 16 + (extended ? 65536 : APDU_CHUNK));
	build(&cmd, a, cla, data, le, le_value, extended);
	e = exchange(link, a, &cmd, data, out, sw);
	if (e != E_OK || !le || *sw >> 8 != 0x6C)
		return e;
	if (out != NULL)
		wbuf_cut(out, before);
	/* 6C00 is 256: in the extended form that is no zero */
	build(&cmd, a, cla, data, le, extended && (*sw & 0xFF) == 0 ? 256 : *sw & 0xFF, extended);
	return exchange(link, a, &cmd, data, out, sw);
}

/* Fetch what 61xx promises, until nothing is left or enough is in hand. */
static enum err
fetch(struct apdu_link *link, const struct apdu *a, struct wbuf *out, size_t start, uint16_t *sw)
{
	struct apdu get = { .cla = a->cla & (uint8_t)~CLA_CHAIN, .ins = INS_GET_RESPONSE };
	unsigned empty = 0;
	enum err e;

	while (*sw >> 8 == 0x61) {
		size_t before = out->n;

		if (a->first > 0 && out->n - start >= a->first) {
			*sw = SW_OK;
			return E_OK;
		}
		e = send_one(link, &get, get.cla, SPAN_NONE, true, (uint8_t)*sw, false, out, sw);
		if (e != E_OK)
			return e;
		if (out->n == before && ++empty > EMPTY_MAX)
			return err_set(E_PROTO, "%s: the card promises data that never comes", link->name);
	}
	return E_OK;
}

static enum err
send_short(struct apdu_link *link, const struct apdu *a, struct wbuf *out, uint16_t *sw)
{
	struct span rest = a->data, part;
	enum err e;

	while (rest.n > APDU_CHUNK) {
		if (!span_take(&rest, APDU_CHUNK, &part))
			return err_set(E_INTERNAL, "%s: command chaining", link->name);
		e = send_one(link, a, a->cla | CLA_CHAIN, part, false, 0, false, NULL, sw);
		if (e != E_OK || *sw != SW_OK)
			return e;
	}
	return send_one(link, a, a->cla, rest, a->le, 0, false, out, sw);
}

/* Is this one to go out in extended form? Only what is too long for a short one, or is likely to be answered so. */
static bool
is_extended(const struct apdu_link *link, const struct apdu *a)
{
	size_t max = link->max_data != 0 ? link->max_data : 65535;

	if (!link->extended || a->data.n > max || a->data.n > 65535)
		return false;
	return a->data.n > APDU_CHUNK || (a->le && !a->brief && a->first == 0);
}

/* What cards say that do not have the extended form, as well as cards that do not have the command. */
static bool
may_mean_extended(uint16_t sw)
{
	return sw == 0x6700 || sw == 0x6883 || sw == 0x6D00 || sw == 0x6E00;
}

static enum err
send_extended(struct apdu_link *link, const struct apdu *a, struct wbuf *out, uint16_t *sw)
{
	uint16_t le = link->max_data != 0 && link->max_data < 65536 ? (uint16_t)link->max_data : 0, refusal;
	size_t before = out->n;
	enum err e;

	e = send_one(link, a, a->cla, a->data, a->le, le, true, out, sw);
	if (e == E_IO && !link->reset) {
		link->extended = false;
		link->unheard = true;
	}
	if (e != E_OK || a->probe || !may_mean_extended(*sw))
		return e;
	refusal = *sw;
	wbuf_cut(out, before);
	e = send_short(link, a, out, sw);
	if (e == E_OK && *sw != refusal) {
		link->extended = false;
		log_info("extended", "reader=\"%s\" event=refused sw=%04X", link->name, refusal);
	}
	return e;
}

enum err
apdu_send(struct apdu_link *link, const struct apdu *a, struct wbuf *out, uint16_t *sw)
{
	WBUF_AUTO dropped;
	size_t start;
	enum err e;

	wbuf_init(&dropped, 4096);
	if (out == NULL)
		out = &dropped;
	start = out->n;
	*sw = 0;
	link->whole = a;
	e = is_extended(link, a) ? send_extended(link, a, out, sw) : send_short(link, a, out, sw);
	if (e == E_OK)
		e = fetch(link, a, out, start, sw);
	link->whole = NULL;
	return e;
}
