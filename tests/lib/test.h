/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_TEST_H
#define DPIV_TESTS_TEST_H

/* What every unit test includes: cmocka with its prerequisites, and comparisons that show both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"

/* An enum err, with the sentence when it is not the one that was expected. */
#define assert_err(got, want)                                                                                          \
	do {                                                                                                           \
		enum err got_ = (got), want_ = (want);                                                                 \
		if (got_ != want_)                                                                                     \
			fail_msg("%s: E_%s, not E_%s: %s", #got, err_name(got_), err_name(want_), err_msg());          \
	} while (0)
#define assert_ok(got) assert_err(got, E_OK)

/* The current sentence contains text. */
#define assert_says(text)                                                                                              \
	do {                                                                                                           \
		if (strstr(err_msg(), (text)) == NULL)                                                                 \
			fail_msg("no \"%s\" in: %s", (text), err_msg());                                               \
	} while (0)

#define assert_bytes(s, literal)                                                                                       \
	do {                                                                                                           \
		struct span s_ = (s);                                                                                  \
		assert_int_equal(s_.n, sizeof(literal) - 1);                                                           \
		assert_memory_equal(s_.p, literal, sizeof(literal) - 1);                                               \
	} while (0)

#endif
