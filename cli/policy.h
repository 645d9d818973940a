/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_POLICY_H
#define DPIV_CLI_POLICY_H

#include <jansson.h>

#include "derive/policy.h"

/* The i-th PEM file with roots that `dpiv setup` installs for programs; false: there are no more. */
bool policy_root(const struct policy *p, size_t i, char *out, size_t cap);

/* --- inside of `dpiv policy` ---------------------------------------------------------------------------------------
 */

/* What is wrong with an administrator's file, or may be, in sentences that begin with the line. */
struct findings {
	json_t *problems, *warnings;
};
/* policy_check.c: what reading the file does not tell: files that it names, groups, sections for other people. */
void policy_inspect(const struct conf *conf, const char *file, struct findings *f);
/* policy_show.c: what holds for this person, as JSON; and the same as text. */
json_t *policy_tree(const struct conf *conf, const struct policy *p);
void policy_print(const json_t *tree);

#endif
