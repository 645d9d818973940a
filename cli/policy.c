/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv policy: what an administrator's file means, before it is anybody's policy.
 */
#include "cli/policy.h"

bool
policy_root(const struct policy *p, size_t i, char *out, size_t cap)
{
	return policy_entry(p, POLICY_TRUST_ROOTS, i, out, cap);
}
