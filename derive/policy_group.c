/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix groups of a person, as the system's databases have them (getgrouplist(3), so those of a directory as well), and
 * not as this process has them: groups that were dropped or entered with newgrp(1) change nothing.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "derive/policy_int.h"

#define GROUPS_MAX 65536
#define BUFFER_MAX (1024 * 1024)

/* Into p->gid; false: more room is needed, which is in *n. */
static enum err
groups_list(const char *name, gid_t gid, struct policy_person *p)
{
	int n = 64, got;

	for (int round = 0; round < 8 && n <= GROUPS_MAX; round++) {
		gid_t *list = calloc((size_t)n, sizeof *list);

		if (list == NULL)
			return err_set(E_NOMEM, "out of memory");
		got = n;
		if (getgrouplist(name, gid, list, &got) >= 0) {
			p->gid = list;
			p->n = (size_t)got;
			return E_OK;
		}
		free(list);
		n = got > n ? got : 2 * n;
	}
	return err_set(E_IO, "the groups of %.64s cannot be told", name);
}

/* Somebody whom no database knows (a container's number): the groups that he runs with. */
static enum err
groups_of_process(struct policy_person *p)
{
	int n = getgroups(0, NULL);

	if (n < 0 || (p->gid = calloc((size_t)n + 1, sizeof *p->gid)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	n = getgroups(n, p->gid);
	p->n = n > 0 ? (size_t)n : 0;
	p->gid[p->n++] = getgid();
	return E_OK;
}

/* The person's name, and the number of the first group; E_NOTFOUND. */
static enum err
person_find(const char *user, char **name, gid_t *gid)
{
	enum err e = E_NOTFOUND;

	for (size_t cap = 4096; cap <= BUFFER_MAX; cap *= 4) {
		char *buffer = malloc(cap);
		struct passwd pw, *found = NULL;
		int rc;

		if (buffer == NULL)
			return err_set(E_NOMEM, "out of memory");
		rc = user != NULL ? getpwnam_r(user, &pw, buffer, cap, &found)
				  : getpwuid_r(getuid(), &pw, buffer, cap, &found);
		if (found != NULL) {
			*gid = pw.pw_gid;
			*name = strdup(pw.pw_name);
			e = *name != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
		}
		free(buffer);
		if (rc != ERANGE)
			break;
	}
	return e;
}

enum err
policy_person(const char *user, struct policy_person *out)
{
	char *name = NULL;
	gid_t gid = 0;
	enum err e;

	memset(out, 0, sizeof *out);
	e = person_find(user, &name, &gid);
	if (e == E_OK)
		e = groups_list(name, gid, out);
	else if (e == E_NOTFOUND && user == NULL)
		e = groups_of_process(out);
	else if (e == E_NOTFOUND)
		e = err_set(E_NOTFOUND, "there is no user '%.64s'", user);
	free(name);
	return e;
}

void
policy_person_free(struct policy_person *p)
{
	free(p->gid);
	memset(p, 0, sizeof *p);
}

static bool
group_find(const char *group, gid_t *gid)
{
	bool there = false;

	for (size_t cap = 4096; cap <= BUFFER_MAX; cap *= 4) {
		char *buffer = malloc(cap);
		struct group gr, *found = NULL;
		int rc = buffer != NULL ? getgrnam_r(group, &gr, buffer, cap, &found) : ENOMEM;

		if (found != NULL)
			*gid = gr.gr_gid;
		there = found != NULL;
		free(buffer);
		if (rc != ERANGE)
			break;
	}
	return there;
}

bool
policy_group_exists(const char *group)
{
	gid_t gid;

	return group_find(group, &gid);
}

bool
policy_person_in(const struct policy_person *p, const char *group)
{
	gid_t gid;

	if (!group_find(group, &gid))
		return false;
	for (size_t i = 0; i < p->n; i++)
		if (p->gid[i] == gid)
			return true;
	return false;
}
