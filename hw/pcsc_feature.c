/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a reader can do by itself (PC/SC part 10, 2.2): a list of features, each with the code that SCardControl() wants
 * for it. The list is asked for once a connection; a reader that knows no such question has no features. pcsc-lite
 * carries control() out under the transaction that the connection holds, and cannot end it from outside: a PIN pad ends
 * by its own time limit, by its keys, or by being unplugged.
 */
#include <reader.h>

#include "hw/atr.h"
#include "hw/pcsc_int.h"

#define LIST_MAX   256
#define ANSWER_MAX 264

static void
features_read(struct pcsc_conn *c)
{
	uint8_t list[LIST_MAX];
	DWORD n = 0;
	LONG rv = SCardControl(c->card, CM_IOCTL_GET_FEATURE_REQUEST, NULL, 0, list, sizeof list, &n);

	if (pcsc_meaning(rv) == PCSC_HELD) /* another program's turn: ask again next time */
		return;
	if (rv != SCARD_S_SUCCESS || n > sizeof list)
		n = 0;
	c->features_known = true;
	for (uint8_t tag = 0; tag < READER_FEATURES; tag++)
		if (!reader_feature(span_of(list, n), tag, &c->feature[tag]))
			c->feature[tag] = 0;
}

uint32_t
pcsc_features(void *conn)
{
	struct pcsc_conn *c = conn;
	uint32_t bits = 0;

	if (!c->features_known && c->connected && !c->broken)
		features_read(c);
	for (unsigned i = 0; c->features_known && i < READER_FEATURES; i++)
		bits |= c->feature[i] != 0 ? UINT32_C(1) << i : 0;
	return bits;
}

enum err
pcsc_control(void *conn, unsigned feature, struct span in, struct wbuf *rsp, bool *reset)
{
	struct pcsc_conn *c = conn;
	uint8_t answer[ANSWER_MAX];
	DWORD n = 0;
	LONG rv;

	*reset = false;
	if (!c->held || c->broken)
		return err_set(E_IO, "%s: the connection to the card was lost; try again", c->name);
	if (feature >= READER_FEATURES || !c->features_known || c->feature[feature] == 0)
		return err_set(E_UNSUP, "%s: the reader has no feature %u", c->name, feature);
	rv = SCardControl(c->card, c->feature[feature], in.p, (DWORD)in.n, answer, sizeof answer, &n);
	if (rv == SCARD_S_SUCCESS) {
		wbuf_put(rsp, answer, n <= sizeof answer ? n : 0);
		return E_OK;
	}
	if (pcsc_meaning(rv) == PCSC_RESET && pcsc_conn_mend(c, rv, pcsc_now(), reset) == SCARD_S_SUCCESS)
		return pcsc_failed(c->name, rv);
	c->broken = true;
	return pcsc_failed(c->name, rv);
}

void
pcsc_interrupt(void *conn)
{
	struct pcsc_conn *c = conn;

	(void)SCardCancel(c->context);
}

#define PROPERTY_MAX_DATA PCSCv2_PART10_PROPERTY_dwMaxAPDUDataSize

/* PC/SC part 10, 2.6.14. Over T=0 there is no extended form without ENVELOPE. */
size_t
pcsc_max_data(void *conn)
{
	struct pcsc_conn *c = conn;
	uint8_t answer[ANSWER_MAX];
	uint32_t code, max;
	DWORD n = 0;

	if (c->protocol == SCARD_PROTOCOL_T0)
		return 256;
	(void)pcsc_features(conn);
	if (!c->features_known || (code = c->feature[FEATURE_GET_TLV_PROPERTIES]) == 0)
		return 65536;
	if (SCardControl(c->card, code, NULL, 0, answer, sizeof answer, &n) != SCARD_S_SUCCESS || n > sizeof answer ||
	    !reader_property(span_of(answer, n), PROPERTY_MAX_DATA, &max))
		return 65536;
	return max < 256 ? 256 : max > 65536 ? 65536 : max; /* 0: short APDUs only */
}
