/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_VCARD_IMAGE_H
#define DPIV_VCARD_IMAGE_H

#include "tests/vcard/model.h"

/* The part of the image format that loading and saving share; image.c documents it. */
struct vc_image_option {
	const char *name;
	size_t offset; /* in struct vc_options */
	bool number;   /* size_t, else bool */
};
extern const struct vc_image_option vc_image_options[]; /* ends with a NULL name */
extern const char *const vc_image_secrets[VC_SECRETS];

#endif
