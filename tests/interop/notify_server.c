/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A desktop of one call: org.freedesktop.Notifications on the session bus. Each notice is a line of the file that is
 * named: urgency, summary, body, with bars between. Says "ready" on standard output. With "hang" it never answers.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

static const char *file;
static int hang;

static unsigned
urgency(sd_bus_message *m)
{
	const char *key;
	unsigned char value = 9;

	if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
		return 9;
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		sd_bus_message_read(m, "s", &key);
		if (strcmp(key, "urgency") == 0)
			sd_bus_message_read(m, "v", "y", &value);
		else
			sd_bus_message_skip(m, "v");
		sd_bus_message_exit_container(m);
	}
	sd_bus_message_exit_container(m);
	return value;
}

static int
notify(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *app, *icon, *summary, *body;
	unsigned replaces;
	FILE *f;

	(void)data;
	(void)error;
	if (hang)
		sleep(60);
	if (sd_bus_message_read(m, "susss", &app, &replaces, &icon, &summary, &body) < 0 ||
	    sd_bus_message_skip(m, "as") < 0)
		return -1;
	if ((f = fopen(file, "a")) == NULL)
		return -1;
	fprintf(f, "%u|%s|%s|%s\n", urgency(m), app, summary, body);
	fclose(f);
	return sd_bus_reply_method_return(m, "u", 7);
}

static const sd_bus_vtable table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Notify", "susssasa{sv}i", "u", notify, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int
main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int k;

	if (argc < 2)
		return 2;
	file = argv[1];
	hang = argc > 2 && strcmp(argv[2], "hang") == 0;
	if (sd_bus_open_user(&bus) < 0 ||
	    sd_bus_add_object_vtable(
		bus, NULL, "/org/freedesktop/Notifications", "org.freedesktop.Notifications", table, NULL) < 0 ||
	    sd_bus_request_name(bus, "org.freedesktop.Notifications", 0) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		while ((k = sd_bus_process(bus, NULL)) > 0)
			;
		if (k < 0 || sd_bus_wait(bus, UINT64_MAX) < 0)
			return 1;
	}
}
