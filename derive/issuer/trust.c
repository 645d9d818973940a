/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trust material of PKI-AUTH. Anchors are exactly the configured certificates; nothing that a client sends, and no
 * system store, ever adds to them. CRLs come from a file that another process (cron, dpiv-issuer revoke) replaces by
 * rename; a look at its inode, size and time before each decision is enough to follow it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "derive/issuer/note.h"
#include "derive/issuer/trust.h"
#include "derive/issuer/x509io.h"

static enum err
load_anchors(struct trust *t, const char *path)
{
	enum err e;

	if ((e = x509io_read_certs(path, &t->anchor_list)) != E_OK)
		return err_up(e, "trust anchors");
	if ((t->anchors = X509_STORE_new()) == NULL)
		return err_set(E_NOMEM, "out of memory");
	for (int i = 0; i < sk_X509_num(t->anchor_list); i++)
		if (!X509_STORE_add_cert(t->anchors, sk_X509_value(t->anchor_list, i)))
			return err_crypto(E_CRYPTO, "%s: cannot use as trust anchor", path);
	return E_OK;
}

enum err
trust_load(const char *anchors, const char *intermediates, const char *crls, struct trust **out)
{
	struct trust *t = calloc(1, sizeof *t);
	enum err e;

	*out = NULL;
	if (t == NULL || strlen(crls) >= sizeof t->crl_path) {
		free(t);
		return err_set(E_NOMEM, "out of memory");
	}
	memcpy(t->crl_path, crls, strlen(crls) + 1);
	if ((e = load_anchors(t, anchors)) == E_OK && (e = x509io_read_certs(intermediates, &t->intermediates)) != E_OK)
		e = err_up(e, "intermediate certificates");
	if (e != E_OK)
		trust_free(&t);
	*out = t;
	return e;
}

void
trust_refresh(struct trust *t)
{
	STACK_OF(X509_CRL) *crls = NULL;
	struct stat st = { 0 };
	char why[300];

	if (stat(t->crl_path, &st) == 0 && t->crls && st.st_size == t->stamp.size &&
	    (long long)st.st_ino == t->stamp.inode && st.st_mtim.tv_sec == t->stamp.sec &&
	    st.st_mtim.tv_nsec == t->stamp.nsec)
		return;
	if (x509io_read_crls(t->crl_path, &crls) != E_OK)
		note("crl-unreadable", "%s", text_safe(span_str(err_msg()), why, sizeof why));
	else
		note("crl-loaded", "file=%s count=%d", t->crl_path, sk_X509_CRL_num(crls));
	sk_X509_CRL_pop_free(t->crls, X509_CRL_free);
	t->crls = crls;
	t->stamp.size = st.st_size;
	t->stamp.inode = (long long)st.st_ino;
	t->stamp.sec = st.st_mtim.tv_sec;
	t->stamp.nsec = st.st_mtim.tv_nsec;
}

void
trust_free(struct trust **t)
{
	if (*t == NULL)
		return;
	X509_STORE_free((*t)->anchors);
	sk_X509_pop_free((*t)->anchor_list, X509_free);
	sk_X509_pop_free((*t)->intermediates, X509_free);
	sk_X509_CRL_pop_free((*t)->crls, X509_CRL_free);
	free(*t);
	*t = NULL;
}
