/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates of retired keys that Key History says are elsewhere (SP 800-73-5 part 1, 3.3.3), when the user has put
 * that file where it is looked for: [module] history_dir, else $XDG_DATA_HOME/dpiv/history, under the name that its URL
 * ends with. Nothing is fetched. A file that is not the one that the card means is none, and the log says so.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "pkcs11/p11.h"

#define PRIMARY_KEYS 4
#define FILE_MAX     (20 * PIV_OBJ_MAX)

static enum err
path_of(struct p11_slot *slot, const char *name, char *out, size_t cap)
{
	const char *dir = conf_str(slot->module->conf, "module", "history_dir");
	char data[3900];
	enum err e;
	int n;

	if (dir == NULL && (e = file_xdg("XDG_DATA_HOME", ".local/share", data, sizeof data)) != E_OK)
		return e;
	n = dir != NULL ? snprintf(out, cap, "%s/%s", dir, name) : snprintf(out, cap, "%s/history/%s", data, name);
	return n > 0 && (size_t)n < cap ? E_OK : err_set(E_ARG, "history_dir is too long");
}

void
off_card_open(struct p11_slot *slot, const struct piv_history *h)
{
	struct p11_token *t = slot->token;
	char name[PIV_HISTORY_NAME], path[4096];
	struct span entries;
	enum err e;

	wbuf_free(&t->off_card);
	if (h->off_card == 0 || h->url[0] == '\0')
		return;
	wbuf_init(&t->off_card, FILE_MAX);
	if ((e = piv_history_file_name(h->url, name)) == E_OK && (e = path_of(slot, name, path, sizeof path)) == E_OK &&
	    (e = file_read(path, &t->off_card)) == E_OK)
		e = piv_history_file_check(wbuf_view(&t->off_card), name, &entries);
	if (e == E_OK)
		return;
	log_warn("history", "slot=%lu off-card=%u error=\"%s\"", slot->id, h->off_card, err_msg());
	wbuf_free(&t->off_card);
}

bool
off_card_has(const struct p11_token *t, const struct p11_cred *c, struct span *cert)
{
	struct span file = wbuf_view(&t->off_card), entries;

	return file.n > 0 && c->number > PRIMARY_KEYS && piv_history_file_entries(file, &entries) == E_OK &&
	    piv_history_file_find(entries, c->row->ref, cert) == E_OK;
}

bool
off_card_take(struct p11_slot *slot, struct p11_cred *c)
{
	struct span cert;

	if (c->remote != NULL || !off_card_has(slot->token, c, &cert))
		return false;
	cred_clear(c);
	wbuf_init(&c->der, PIV_OBJ_MAX);
	wbuf_span(&c->der, cert);
	if (c->der.bad || !cred_parse(slot, c)) {
		log_warn("history", "key=%s error=\"its certificate in the key history file cannot be parsed\"",
		    c->row->name);
		cred_clear(c);
		c->state = CRED_ABSENT;
		return false;
	}
	c->state = CRED_THERE;
	return true;
}
