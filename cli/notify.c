/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one call of the Desktop Notifications Specification (1.2, org.freedesktop.Notifications.Notify) on the person's
 * session bus. The specification lets a server read markup in the body, so none of the characters that begin it may be
 * in what is sent. Waiting is bounded: a desktop that hangs does not hang dpiv.
 */
#include <errno.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "cli/notify.h"

#define NOTIFY_TIMEOUT 3000000 /* microseconds */

static enum err
notify_call(sd_bus *bus, const char *summary, const char *body, bool urgent)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	enum err e = E_OK;
	int k;

	(void)sd_bus_set_method_call_timeout(bus, NOTIFY_TIMEOUT);
	k = sd_bus_call_method(bus, "org.freedesktop.Notifications", "/org/freedesktop/Notifications",
	    "org.freedesktop.Notifications", "Notify", &error, NULL, "susssasa{sv}i", "dpiv", 0u, "dialog-password",
	    summary, body, 0, 1, "urgency", "y", urgent ? 2 : 1, -1);
	if (k < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN))
		e = err_set(E_NOTFOUND, "nobody on the session bus shows notices");
	else if (k < 0)
		e = err_set(E_IO, "the notice was not shown: %s", error.message != NULL ? error.message : strerror(-k));
	sd_bus_error_free(&error);
	return e;
}

enum err
notify_send(const char *summary, const char *body, bool urgent)
{
	sd_bus *bus = NULL;
	int k = sd_bus_open_user(&bus);
	enum err e;

	if (k < 0)
		return err_set(E_NOTFOUND, "there is no session bus: %s", strerror(-k));
	e = notify_call(bus, summary, body, urgent);
	sd_bus_close_unref(bus);
	return e;
}
