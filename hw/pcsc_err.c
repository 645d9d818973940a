/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PC/SC code means (PC/SC workgroup part 5; pcsc-lite), said once in codes[]: what to do about it, which error
 * it is, what the human should do. Codes that are not in the table are trouble with the reader. Values are compared as
 * 32 bits: pcsc-lite's LONG is 64 bits wide, and not all constants are extended alike.
 */
#include <errno.h>
#include <time.h>

#include "hw/pcsc_int.h"

#define HINT_SERVICE "the smart card service is not running; start it (systemctl start pcscd.socket, or pcscd as root)"

static const struct {
	LONG rv;
	enum pcsc_meaning meaning;
	enum err err;
	const char *text;
} codes[] = {
	{ SCARD_S_SUCCESS, PCSC_FINE, E_OK, "success" },
	{ SCARD_W_RESET_CARD, PCSC_RESET, E_IO, "another program reset the card; try again" },
	{ SCARD_W_REMOVED_CARD, PCSC_REMOVED, E_CARDGONE, "the card was removed; put it back and try again" },
	{ SCARD_E_NO_SMARTCARD, PCSC_REMOVED, E_CARDGONE, "there is no card in the reader; insert it and try again" },
	{ SCARD_E_READER_UNAVAILABLE, PCSC_UNPLUGGED, E_CARDGONE,
	    "the reader was unplugged; plug it in and try again" },
	{ SCARD_E_UNKNOWN_READER, PCSC_UNPLUGGED, E_CARDGONE, "the reader is not connected; plug it in and try again" },
	{ SCARD_E_NO_READERS_AVAILABLE, PCSC_UNPLUGGED, E_CARDGONE,
	    "no reader is connected; plug it in and try again" },
	{ SCARD_E_NO_SERVICE, PCSC_SERVICE, E_NOREADER, HINT_SERVICE },
	{ SCARD_E_SERVICE_STOPPED, PCSC_SERVICE, E_NOREADER, HINT_SERVICE },
	{ SCARD_F_COMM_ERROR, PCSC_SERVICE, E_NOREADER, "the smart card service broke off; try again" },
	{ SCARD_E_INVALID_HANDLE, PCSC_SERVICE, E_IO, "the smart card service was restarted; try again" },
	{ SCARD_E_SHARING_VIOLATION, PCSC_HELD, E_BUSY, "another program holds the card; close it or wait for it" },
	{ SCARD_E_NO_ACCESS, PCSC_TROUBLE, E_NOREADER,
	    "the smart card service does not let this user in (see polkit)" },
	{ SCARD_W_SECURITY_VIOLATION, PCSC_TROUBLE, E_NOREADER,
	    "the smart card service does not let this user in (see polkit)" },
	{ SCARD_W_UNRESPONSIVE_CARD, PCSC_TROUBLE, E_IO, "the card does not answer; is it in the right way round?" },
	{ SCARD_W_UNPOWERED_CARD, PCSC_TROUBLE, E_IO, "the card has no power; take it out and put it back" },
	{ SCARD_W_UNSUPPORTED_CARD, PCSC_TROUBLE, E_IO, "the reader cannot talk to this card" },
	{ SCARD_E_PROTO_MISMATCH, PCSC_TROUBLE, E_IO, "the reader cannot talk to this card" },
	{ SCARD_E_NO_MEMORY, PCSC_TROUBLE, E_NOMEM, "out of memory" },
	{ SCARD_E_TIMEOUT, PCSC_TROUBLE, E_IO, "the card did not answer in time" },
	{ SCARD_E_NOT_TRANSACTED, PCSC_TROUBLE, E_IO, "the card did not answer; take it out and put it back" },
	{ SCARD_E_INSUFFICIENT_BUFFER, PCSC_TROUBLE, E_PROTO, "the card's answer is longer than allowed" },
};

static size_t
code_row(LONG rv)
{
	size_t i, n = sizeof codes / sizeof codes[0];

	for (i = 0; i < n && (uint32_t)codes[i].rv != (uint32_t)rv; i++)
		;
	return i;
}

enum pcsc_meaning
pcsc_meaning(LONG rv)
{
	size_t i = code_row(rv);

	return i < sizeof codes / sizeof codes[0] ? codes[i].meaning : PCSC_TROUBLE;
}

enum err
pcsc_failed(const char *reader, LONG rv)
{
	size_t i = code_row(rv);

	if (i == sizeof codes / sizeof codes[0])
		return err_set(E_IO, "%s: reader trouble (PC/SC code %08X)", reader, (unsigned)rv);
	return err_set(codes[i].err, "%s: %s", reader, codes[i].text);
}

int64_t
pcsc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
pcsc_nap(int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}
