/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_FILE_H
#define DPIV_BASE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

/* The whole file, at most out->max bytes (more is E_PROTO). "-" is standard input. out is initialised by the caller. */
enum err file_read(const char *path, struct wbuf *out) MUST_CHECK;
/* The first line of a file without its line end, as a secret: PIN files (pin-source). At most 256 bytes. */
enum err file_read_secret(const char *path, struct secret **out) MUST_CHECK;
/* The same from where "file:/PATH", "file:///PATH" or "/PATH" says; what names the option in the sentence. E_ARG. */
enum err file_read_source(const char *what, const char *source, struct secret **out) MUST_CHECK;
/* All or nothing: a temporary file beside it, fsync, rename. */
enum err file_write(const char *path, mode_t mode, struct span data) MUST_CHECK;
/* All of it into an open file; false: errno tells. */
bool file_write_all(int fd, struct span data) MUST_CHECK;
/* mkdir -p; what exists stays as it is. */
enum err file_mkdirs(const char *path, mode_t mode) MUST_CHECK;
/* The same for the folders above a file. */
enum err file_mkdirs_above(const char *path, mode_t mode) MUST_CHECK;
/* $XDG_x/dpiv or its default below $HOME; e.g. file_xdg("XDG_STATE_HOME", ".local/state", path, sizeof path). */
enum err file_xdg(const char *variable, const char *fallback, char *out, size_t cap) MUST_CHECK;

#endif
