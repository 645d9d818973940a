/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv status: the [issuer NAME] sections as rebuild.h wants them, and what is said afterwards. Where a section's
 * anchors cannot be read it is left with none: status shows what there is, and does not fail for what is not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/status.h"
#include "derive/cert.h"

static size_t
issuers_count(const struct conf *conf)
{
	size_t n = 0;

	while (conf_named(conf, "issuer", n) != NULL)
		n++;
	return n;
}

static void
issuer_read(const struct conf *conf, const char *name, struct rebuild_issuer *out)
{
	char section[160];
	const char *cafile;

	snprintf(section, sizeof section, "issuer %s", name);
	cafile = conf_str(conf, section, "cafile");
	out->url = conf_str(conf, section, "url");
	if (out->url == NULL)
		out->url = "";
	if (cafile != NULL && cert_read_file(cafile, &out->anchors) != E_OK)
		log_warn("status.anchors", "%s", err_msg());
}

/* [derive] issuer, by name or address; else the only one. */
static const char *
issuer_usual(const struct conf *conf, const struct rebuild *r)
{
	const char *name = conf_str(conf, "derive", "issuer");
	char section[160];

	if (name == NULL)
		return r->n_issuers == 1 && r->issuers[0].url[0] != '\0' ? r->issuers[0].url : NULL;
	if (strstr(name, "://") != NULL)
		return name;
	snprintf(section, sizeof section, "issuer %.100s", name);
	return conf_str(conf, section, "url");
}

enum err
status_rebuild_begin(struct status *s, const struct conf *conf, struct store *store)
{
	size_t n = issuers_count(conf);
	struct rebuild_issuer *list = calloc(n + 1, sizeof *list);

	if (list == NULL)
		return err_set(E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		issuer_read(conf, conf_named(conf, "issuer", i), &list[i]);
	s->rebuild = (struct rebuild){ .store = store, .issuers = list, .n_issuers = n };
	s->rebuild.usual = issuer_usual(conf, &s->rebuild);
	return E_OK;
}

void
status_rebuild_end(struct status *s)
{
	size_t i, no_issuer = 0, no_card = 0;
	json_t *c;
	char what[256];

	json_object_set_new(s->tree, "rebuilt", json_integer((json_int_t)s->rebuild.found));
	json_array_foreach(s->credentials, i, c)
	{
		no_issuer += json_is_null(json_object_get(c, "issuer"));
		no_card += json_is_null(json_object_get(c, "card"));
	}
	if (no_issuer > 0) {
		snprintf(what, sizeof what,
		    "who issued %zu credential%s is not known: nothing can be renewed or checked", no_issuer,
		    no_issuer > 1 ? "s" : "");
		status_attention(s, what, "add [issuer NAME] with url and cafile to dpiv.conf, then: dpiv status");
	}
	if (no_card > 0) {
		snprintf(what, sizeof what,
		    "the PIV card behind %zu credential%s is not known: %s cannot be renewed until it was seen",
		    no_card, no_card > 1 ? "s" : "", no_card > 1 ? "they" : "it");
		status_attention(s, what, "insert the PIV card, then: dpiv status");
	}
}

void
status_rebuild_free(struct status *s)
{
	struct rebuild_issuer *list = s->rebuild.issuers;

	for (size_t i = 0; i < s->rebuild.n_issuers; i++)
		sk_X509_pop_free(list[i].anchors, X509_free);
	free(list);
	memset(&s->rebuild, 0, sizeof s->rebuild);
}
