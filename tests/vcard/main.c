/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-vcard: the virtual card as a program. `make` personalises a card image, `serve` plays it to vpcd (the
 * virtual reader of the vsmartcard project), `ctl` pulls, puts back and watches a card that is being served.
 * Options come from one table for each command; the help is printed from the same tables.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vcard/door.h"
#include "tests/vcard/vcard.h"

enum { USAGE = 2 };

static const char help[] =
    "dpiv-vcard: a virtual PIV card for trying things out and for tests. Not for secrets: the image holds the keys.\n"
    "\n"
    "  dpiv-vcard make [OPTION]... OUT.json      personalise a card: PIN 123456, PUK 12345678,\n"
    "                                            management key 0102030405060708 three times (3DES)\n"
    "    --alg ALG                rsa2048 (default), rsa3072, p256 or p384 for 9A 9C 9D 9E\n"
    "    --ca-cert FILE --ca-key FILE   the issuing CA, PEM; without them a throw-away root and CA\n"
    "    --name NAME --email ADDR --upn UPN      the person (Pat Example, pat@example.test)\n"
    "    --serial N               first certificate serial number\n"
    "    --uuid UUID --fascn HEX  the card's identifiers\n"
    "    --not-before T --not-after T   YYYYMMDDHHMMSSZ, for expired or future cards\n"
    "    --policy OID             of the 9A certificate (2.16.840.1.101.3.2.1.3.13)\n"
    "    --base-url URL           where CRL, CA certificates and OCSP would be (http://localhost/pki)\n"
    "    --retired N              N retired key-management keys with certificates (0)\n"
    "    --gzip                   certificates compressed on the card\n"
    "    --no-history             no Key History object\n"
    "    --yubikey                answers Yubico's commands too\n"
    "    --extended               takes extended-length APDUs, and says so in its ATR\n"
    "    --extended-silent        takes them, and does not say so\n"
    "    --firmware N.N.N         the YubiKey's: what it has (5.4.3)\n"
    "    --derived                a derived PIV application instead of a PIV card\n"
    "    --with-derived           a derived PIV application beside that of the PIV card\n"
    "    --export-certs DIR       write the certificates as PEM into DIR\n"
    "\n"
    "  dpiv-vcard serve [OPTION]... IMAGE.json   connect to vpcd and be the card; changes are saved into IMAGE\n"
    "    --host HOST --port PORT  where vpcd listens (127.0.0.1, 35963)\n"
    "    --fault FILE             what goes wrong, and when\n"
    "    --log FILE               one line an APDU, without data\n"
    "    --control SOCKET         for dpiv-vcard ctl\n"
    "    --no-save                leave IMAGE as it is\n"
    "    --wire                   as slow as a contact reader: 3 ms an APDU and 11.5 bytes a ms\n"
    "\n"
    "  dpiv-vcard ctl SOCKET status|remove|insert|reset|other|log|clear|fault RULE|faults|kill N PID|load IMAGE\n"
    "\n"
    "Example: pcscd with vsmartcard-vpcd is running;\n"
    "    dpiv-vcard make --export-certs . card.json && dpiv-vcard serve card.json &\n"
    "    pkcs11-tool --module opensc-pkcs11.so -O\n"
    "\n"
    "More: man dpiv-vcard\n";

static int
usage(void)
{
	fputs("usage: dpiv-vcard make|serve|ctl …; dpiv-vcard --help explains\n", stderr);
	return USAGE;
}

static int
fail(const char *why)
{
	fprintf(stderr, "dpiv-vcard: %s\n", why);
	return 1;
}

/* Options: a flag (argument NULL) or a string. Returns the index of the first operand, -1 after a complaint. */
struct opt {
	const char *name;
	const char **text;
	bool *flag;
};

static int
options(int argc, char **argv, const struct opt *o, size_t n)
{
	struct option l[24] = { { 0 } };
	int c, at = 0;

	for (size_t i = 0; i < n; i++)
		l[i] = (struct option){ o[i].name, o[i].text ? required_argument : no_argument, NULL, 1 };
	optind = 1;
	while ((c = getopt_long(argc, argv, "+", l, &at)) != -1) {
		if (c != 1)
			return -1;
		if (o[at].text)
			*o[at].text = optarg;
		else
			*o[at].flag = true;
	}
	return optind;
}

static int
cmd_make(int argc, char **argv)
{
	struct vcard_spec s = { .alg = NULL };
	const char *retired = "0";
	char why[VCARD_WHY] = "";
	struct vcard *vc;
	const struct opt o[] = { { "alg", &s.alg, NULL }, { "ca-cert", &s.ca_cert, NULL },
		{ "ca-key", &s.ca_key, NULL }, { "name", &s.name, NULL }, { "email", &s.email, NULL },
		{ "upn", &s.upn, NULL }, { "serial", &s.serial, NULL }, { "uuid", &s.uuid, NULL },
		{ "fascn", &s.fascn, NULL }, { "not-before", &s.not_before, NULL }, { "not-after", &s.not_after, NULL },
		{ "policy", &s.policy, NULL }, { "base-url", &s.base_url, NULL },
		{ "export-certs", &s.export_dir, NULL }, { "retired", &retired, NULL }, { "gzip", NULL, &s.gzip },
		{ "no-history", NULL, &s.no_history }, { "yubikey", NULL, &s.yubikey },
		{ "extended", NULL, &s.extended }, { "extended-silent", NULL, &s.extended_silent },
		{ "firmware", &s.firmware, NULL }, { "derived", NULL, &s.derived },
		{ "with-derived", NULL, &s.with_derived } };
	int i = options(argc, argv, o, sizeof o / sizeof *o);
	bool ok;

	if (i < 0 || i + 1 != argc)
		return usage();
	s.retired = (unsigned)strtoul(retired, NULL, 10);
	if (!(vc = vcard_make(&s, why)))
		return fail(why);
	ok = vcard_save(vc, argv[i], why);
	vcard_free(vc);
	return ok ? 0 : fail(why);
}

static int
serve(struct vcard *vc, const struct vc_door *d, const char *fault, const char *log)
{
	char why[VCARD_WHY] = "";
	FILE *out = NULL;
	int status;

	if (fault && !vcard_fault_load(vc, fault, why))
		return fail(why);
	if (log && !(out = fopen(log, "ae"))) {
		fprintf(stderr, "dpiv-vcard: %s: %s\n", log, strerror(errno));
		return 1;
	}
	vcard_log(vc, out);
	status = vc_door_serve(vc, d);
	vcard_log(vc, NULL);
	if (out && fclose(out) != 0)
		status = 1;
	return status;
}

static int
cmd_serve(int argc, char **argv)
{
	struct vc_door d = { .host = "127.0.0.1", .port = "35963" };
	const char *fault = NULL, *log = NULL;
	bool no_save = false, wire = false;
	char why[VCARD_WHY] = "";
	struct vcard *vc;
	const struct opt o[] = { { "host", &d.host, NULL }, { "port", &d.port, NULL }, { "fault", &fault, NULL },
		{ "log", &log, NULL }, { "control", &d.control, NULL }, { "no-save", NULL, &no_save },
		{ "wire", NULL, &wire } };
	int i = options(argc, argv, o, sizeof o / sizeof *o), status;

	if (i < 0 || i + 1 != argc)
		return usage();
	d.image = argv[i];
	d.save = !no_save;
	d.wire = wire;
	if (!(vc = vcard_load(d.image, why)))
		return fail(why);
	status = serve(vc, &d, fault, log);
	vcard_free(vc);
	return status;
}

static int
cmd_ctl(int argc, char **argv)
{
	return argc < 3 ? usage() : vc_control_request(argv[1], argc - 2, argv + 2);
}

static const struct {
	const char *name;
	int (*run)(int, char **);
} commands[] = { { "make", cmd_make }, { "serve", cmd_serve }, { "ctl", cmd_ctl } };

int
main(int argc, char **argv)
{
	if (argc < 2)
		return usage();
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return usage();
}
