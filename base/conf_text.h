/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_CONF_TEXT_H
#define DPIV_BASE_CONF_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"

/* Line of a key in a section of a configuration file's text, or of the section's head for key NULL; 0 when it is not
 * found as written. */
size_t conf_line(struct span text, const char *section, const char *key);

/* 1: yes, 0: no, -1: neither. */
int conf_value_bool(const char *v);
bool conf_value_number(const char *v, long *out);
/* What is wrong with a value of this type (struct conf_key); NULL: nothing. */
const char *conf_value_wrong(char type, const char *v);

#endif
