/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcsc_hold exclusive|transaction|select [MS]: another program at the first reader with a card. It holds the card
 * exclusively, or in a transaction, until its input ends; or selects another application every MS milliseconds. Says
 * "held" when it has it.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <winscard.h>

static LONG
card(SCARDCONTEXT context, DWORD share, SCARDHANDLE *h)
{
	char names[1024];
	DWORD n = sizeof names, protocol;
	LONG rv = SCardListReaders(context, NULL, names, &n);

	for (const char *p = names; rv == SCARD_S_SUCCESS && *p != '\0'; p += strlen(p) + 1)
		if (SCardConnect(context, p, share, SCARD_PROTOCOL_T1, h, &protocol) == SCARD_S_SUCCESS)
			return SCARD_S_SUCCESS;
	return rv != SCARD_S_SUCCESS ? rv : SCARD_E_NO_SMARTCARD;
}

/* SELECT of an application that no PIV card has: PIV is not selected any more. */
static int
select_other(SCARDHANDLE h, int ms)
{
	static const BYTE apdu[] = { 0x00, 0xA4, 0x04, 0x00, 0x07, 0xA0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01, 0x00 };
	struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
	BYTE out[258];
	int n = 0;

	while (poll(&in, 1, ms) == 0) {
		DWORD len = sizeof out;

		n += SCardTransmit(h, SCARD_PCI_T1, apdu, sizeof apdu, NULL, out, &len) == SCARD_S_SUCCESS;
	}
	printf("selected %d times\n", n);
	return n == 0;
}

int
main(int argc, char **argv)
{
	SCARDCONTEXT context;
	SCARDHANDLE h;
	char byte;
	LONG rv;

	if (argc < 2 || SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context) != SCARD_S_SUCCESS)
		return 2;
	rv = card(context, strcmp(argv[1], "exclusive") == 0 ? SCARD_SHARE_EXCLUSIVE : SCARD_SHARE_SHARED, &h);
	if (rv == SCARD_S_SUCCESS && strcmp(argv[1], "transaction") == 0)
		rv = SCardBeginTransaction(h);
	printf(rv == SCARD_S_SUCCESS ? "held\n" : "no: %08lX\n", (unsigned long)rv);
	fflush(stdout);
	if (rv != SCARD_S_SUCCESS)
		return 1;
	if (strcmp(argv[1], "select") == 0)
		return select_other(h, argc > 2 ? atoi(argv[2]) : 100);
	return read(STDIN_FILENO, &byte, 1) < 0;
}
