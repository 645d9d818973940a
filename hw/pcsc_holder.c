/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who holds the card. The PC/SC service does not say; but whoever does is connected to it, and the kernel knows the
 * other ends of its socket (base/proc.h). With one other client the name is certain, with several it is one of them.
 * Looking through /proc takes a few milliseconds, so it is done only when there is something to complain about.
 */
#include "base/log.h"
#include "base/proc.h"
#include "hw/pcsc_int.h"

#define TEXT_MAX 256

void
pcsc_holder_log(const char *reader)
{
	struct proc_clients who;
	char text[TEXT_MAX];

	if (!log_on(LOG_WARN))
		return;
	proc_clients(proc_pcscd_socket(), &who);
	log_warn("held", "reader=\"%s\" by=\"%s\"", reader, proc_clients_text(&who, text, sizeof text));
}

enum err
pcsc_holder(const char *reader)
{
	struct proc_clients who;
	char text[TEXT_MAX];
	const struct proc_remedy *r;

	proc_clients(proc_pcscd_socket(), &who);
	proc_clients_text(&who, text, sizeof text);
	r = proc_clients_remedy(&who);
	if (text[0] == '\0')
		return err_set(E_BUSY, "%s: another program holds the card; close it or wait for it", reader);
	return err_set(E_BUSY, "%s: another program holds the card: %s; %s", reader, text,
	    r != NULL ? r->hint : "close it or wait for it");
}
