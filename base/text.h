/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_TEXT_H
#define DPIV_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/bytes.h"
#include "base/err.h"

/* Upper-case hex of in, NUL-terminated, cut to what fits cap. Returns out. */
char *text_hex(struct span in, char *out, size_t cap);
/* The value of one digit, upper or lower case; -1: none. */
int text_hex_digit(uint8_t c);
/* Hex (upper or lower case, blanks allowed between bytes) appended to out; false on anything else. */
bool text_unhex(const char *hex, struct wbuf *out);
/* 16 bytes as xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, lower case. */
#define TEXT_UUID_MAX 37
char *text_uuid(const uint8_t uuid[16], char out[TEXT_UUID_MAX]);
/* The value of one digit; -1: none, the padding included. */
int text_base64_digit(uint8_t c);
/* Base64 without line ends (wrap == 0) or in lines of wrap columns, appended. */
void text_base64(struct span in, size_t wrap, struct wbuf *out);
/* Strict alphabet, CR LF and blanks skipped; false on anything else. */
bool text_unbase64(struct span in, struct wbuf *out);
/* 2026-11-24T15:30:00Z (RFC 3339), or "" for a time that no calendar has. Returns out. */
#define TEXT_UTC_MAX 32
char *text_utc(time_t t, char out[TEXT_UTC_MAX]);
/* Foreign text made safe to show: printable ASCII and valid UTF-8 kept, everything else a '?'; cut to cap - 1. */
char *text_safe(struct span in, char *out, size_t cap);

#endif
