/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for secrets: see secret.h. A mapping of its own rather than libcrypto's secure heap, which is one for the
 * whole process and belongs to the host. mlock() may fail (RLIMIT_MEMLOCK is small for users): the secret then may be
 * swapped, which is accepted; it is still left out of core dumps and wiped in a child.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/secret.h"

#define SECRET_MAX (1024 * 1024)

static size_t
secret_pages(size_t cap)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct secret) + cap + page - 1) / page * page;
}

struct secret *
secret_new(size_t cap)
{
	struct secret *s;
	size_t len;

	if (cap > SECRET_MAX)
		return NULL;
	len = secret_pages(cap);
	s = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	(void)mlock(s, len);
	(void)madvise(s, len, MADV_DONTDUMP);
	(void)madvise(s, len, MADV_WIPEONFORK);
	s->cap = cap;
	return s;
}

struct secret *
secret_copy(const void *p, size_t n)
{
	struct secret *s = secret_new(n);

	if (s == NULL)
		return NULL;
	if (n > 0)
		memcpy(s->v, p, n);
	s->n = n;
	return s;
}

/* In a forked child the mapping reads as zeros, its size included: then only its first page is given back. */
void
secret_free(struct secret **s)
{
	size_t len;

	if (*s == NULL)
		return;
	len = secret_pages((*s)->cap);
	explicit_bzero(*s, len);
	(void)munmap(*s, len);
	*s = NULL;
}

bool
secret_put(struct secret *s, const void *p, size_t n)
{
	if (n > s->cap - s->n)
		return false;
	if (n > 0)
		memcpy(s->v + s->n, p, n);
	s->n += n;
	return true;
}

struct span
secret_view(const struct secret *s)
{
	return s != NULL ? span_of(s->v, s->n) : SPAN_NONE;
}

bool
secret_eq(const struct secret *a, const struct secret *b)
{
	return a != NULL && b != NULL && a->n == b->n && CRYPTO_memcmp(a->v, b->v, a->n) == 0;
}

void
secret_keep_process(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit lock;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur == RLIM_INFINITY)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	(void)CRYPTO_secure_malloc_init(256 * 1024, 32);
}
