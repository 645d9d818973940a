/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_HISTORY_H
#define DPIV_CLI_HISTORY_H

#include <jansson.h>
#include <openssl/x509.h>

#include "cli/cli.h"
#include "cli/held.h"

/* The verbs below `dpiv history`; argv[0] is their name. */
int history_scan(int argc, char **argv);
int history_import(int argc, char **argv);
int history_list(int argc, char **argv);
int history_recover(int argc, char **argv);

/* What every report says of a certificate: name, addresses, issuer, serial, not_before, not_after. */
json_t *history_cert(X509 *cert);
/* The same with the token that it is on, id, label, algorithm and whether the key is held. */
json_t *history_key(const struct held_key *k);
/* "2026-11-24T10:00:00Z", and the day alone. */
json_t *history_time(time_t t);
#define HISTORY_DAY 16
char *history_day(time_t t, char out[HISTORY_DAY]);
/* Hexadecimal digits. */
json_t *history_hex(struct span s);
/* The contents of a serial number, as openssl(1) prints it: without the zero that makes it positive. */
json_t *history_serial(struct span s);
void history_print(json_t *tree); /* on standard output; takes it over */

#endif
