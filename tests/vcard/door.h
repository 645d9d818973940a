/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_VCARD_DOOR_H
#define DPIV_VCARD_DOOR_H

#include "tests/vcard/vcard.h"

/* What the `serve` command needs; NULL members are absent. */
struct vc_door {
	const char *host, *port;
	const char *image;   /* for saving */
	const char *control; /* path of the control socket */
	bool save;
	bool wire; /* as slow as a contact reader */
};

/* Be the card until SIGTERM or SIGINT. Returns an exit status. */
int vc_door_serve(struct vcard *, const struct vc_door *);

/* control.c: the server's side. -1: errno. */
int vc_control_listen(const char *path);
/* Answer one client. Returns true when the card was put in, taken out or reset, so that the door must act on it. */
enum vc_control { CONTROL_NONE, CONTROL_INSERT, CONTROL_REMOVE };
enum vc_control vc_control_answer(int listener, struct vcard *, bool connected);
/* The client's side: one request; the answer is printed. Returns an exit status. */
int vc_control_request(const char *path, int argc, char **argv);

#endif
