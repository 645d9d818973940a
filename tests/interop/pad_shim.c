/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PIN pad on a reader that has none, for LD_PRELOAD: SCardControl() of libpcsclite, with PC/SC part 10's structures
 * as pcsc-lite's own header lays them out. What is typed comes from the file PAD_TYPES, a PIN a line; each use adds a
 * line to PAD_LOG. PAD_SW=XXXX: the reader's own answer instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winscard.h>
#include <reader.h>

#define EXPORT __attribute__((visibility("default")))
#define VERIFY 0x42330006
#define MODIFY 0x42330007

EXPORT LONG SCardControl(SCARDHANDLE, DWORD, LPCVOID, DWORD, LPVOID, DWORD, LPDWORD);

static void
note(const char *what)
{
	const char *path = getenv("PAD_LOG");
	FILE *f = path != NULL ? fopen(path, "a") : NULL;

	if (f == NULL)
		return;
	fprintf(f, "%s\n", what);
	fclose(f);
}

/* The next PIN, filled up as the structure says; 0 when it is too short, too long, or nobody types. */
static int
typed(FILE *keys, uint16_t digits, uint8_t *field, char line[64])
{
	size_t n;

	if (keys == NULL || fgets(line, 64, keys) == NULL)
		return 0;
	n = strcspn(line, "\n");
	line[n] = '\0';
	if (n < (size_t)(digits >> 8) || n > (size_t)(digits & 0xFF))
		return 0;
	memcpy(field, line, n); /* the padding is there already */
	return 1;
}

static unsigned
verify(const uint8_t *in, DWORD n, FILE *keys, uint8_t *cmd, DWORD *len)
{
	const PIN_VERIFY_STRUCTURE *p = (const PIN_VERIFY_STRUCTURE *)in;
	char line[64];

	if (n < sizeof *p || n != sizeof *p + p->ulDataLength || p->ulDataLength > 32 || (p->bmFormatString & 3) != 2 ||
	    (p->bmPINBlockString & 15) != 8 || p->bNumberMessage == 0)
		return 0x6B80;
	memcpy(cmd, p->abData, *len = p->ulDataLength);
	return typed(keys, p->wPINMaxExtraDigit, cmd + 5, line) ? 0 : 0x6403;
}

static unsigned
modify(const uint8_t *in, DWORD n, FILE *keys, uint8_t *cmd, DWORD *len)
{
	const PIN_MODIFY_STRUCTURE *p = (const PIN_MODIFY_STRUCTURE *)in;
	char line[64], again[64];
	uint8_t scratch[16];

	if (n < sizeof *p || n != sizeof *p + p->ulDataLength || p->ulDataLength > 32 || (p->bmFormatString & 3) != 2 ||
	    p->bInsertionOffsetOld != 0 || p->bInsertionOffsetNew != 8)
		return 0x6B80;
	memcpy(cmd, p->abData, *len = p->ulDataLength);
	if ((p->bConfirmPIN & 2) != 0 && !typed(keys, p->wPINMaxExtraDigit, cmd + 5, line))
		return 0x6403;
	if (!typed(keys, p->wPINMaxExtraDigit, cmd + 5 + 8, line))
		return 0x6403;
	if ((p->bConfirmPIN & 1) != 0 && !typed(keys, p->wPINMaxExtraDigit, scratch, again))
		return 0x6403;
	return strcmp(line, again) == 0 ? 0 : 0x6402;
}

static LONG
pad(SCARDHANDLE card, DWORD code, const uint8_t *in, DWORD n, uint8_t *out, DWORD cap, LPDWORD got)
{
	const char *path = getenv("PAD_TYPES"), *own = getenv("PAD_SW");
	FILE *keys = path != NULL ? fopen(path, "r") : NULL;
	uint8_t cmd[32];
	DWORD len = 0;
	unsigned sw = own != NULL ? (unsigned)strtoul(own, NULL, 16) : 0;

	note(code == VERIFY ? "verify" : "modify");
	if (sw == 0)
		sw = code == VERIFY ? verify(in, n, keys, cmd, &len) : modify(in, n, keys, cmd, &len);
	if (keys != NULL)
		fclose(keys);
	*got = cap;
	if (sw == 0)
		return SCardTransmit(card, SCARD_PCI_T1, cmd, len, NULL, out, got);
	out[0] = (uint8_t)(sw >> 8);
	out[1] = (uint8_t)sw;
	*got = 2;
	return SCARD_S_SUCCESS;
}

EXPORT LONG
SCardControl(SCARDHANDLE card, DWORD code, LPCVOID in, DWORD n, LPVOID out, DWORD cap, LPDWORD got)
{
	static const uint8_t list[] = { 0x06, 4, 0x42, 0x33, 0x00, 0x06, 0x07, 4, 0x42, 0x33, 0x00, 0x07 };

	if (code == VERIFY || code == MODIFY)
		return pad(card, code, in, n, out, cap, got);
	if (code != CM_IOCTL_GET_FEATURE_REQUEST || cap < sizeof list)
		return SCARD_E_UNSUPPORTED_FEATURE;
	memcpy(out, list, sizeof list);
	*got = sizeof list;
	return SCARD_S_SUCCESS;
}
