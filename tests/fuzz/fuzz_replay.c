/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace that came by mail: parsed, and played to the card edge. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hw/piv.h"
#include "hw/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
play(struct readers *r)
{
	struct reader_list list;
	struct piv_card *card = NULL;
	WBUF_AUTO der = { 0 };
	int left;

	wbuf_init(&der, PIV_OBJ_MAX);
	if (r->ops->list(r->ctx, &list) != E_OK || list.n == 0 || piv_open(r, list.r[0].name, &card) != E_OK)
		return;
	(void)!piv_cert_get(card, PIV_KEY_9A, &der);
	(void)!piv_pin_verify(card, PIV_PIN_APP, span_str("123456"), true, &left);
	piv_close(&card);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[] = "/dev/shm/dpiv-fuzz-replay.XXXXXX";
	static int fd = -1;
	struct readers r;

	if (fd < 0) {
		if ((fd = mkstemp(path)) < 0)
			return 0;
		snprintf(path, sizeof path, "/dev/fd/%d", fd); /* and the name is given up */
	}
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	if (replay_open(path, &r) == E_OK) {
		play(&r);
		replay_close(&r);
	}
	return 0;
}
