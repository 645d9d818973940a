/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_POLICY_H
#define DPIV_CLI_POLICY_H

#include "derive/policy.h"

/* The i-th PEM file with roots that `dpiv setup` installs for programs; false: there are no more. */
bool policy_root(const struct policy *p, size_t i, char *out, size_t cap);

#endif
