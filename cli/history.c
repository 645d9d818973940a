/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history: the keys that open old mail. Its verbs are one file each; here are their table, their help and what
 * their reports have in common.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "cli/certs.h"
#include "cli/history.h"

const char help_history[] =
    "usage: dpiv history scan [--json] [--messages] [--token URI]... [--login] MAILBOX...\n"
    "       dpiv history list [--json] [--token URI]... [--login]\n"
    "       dpiv history import [--to URI] [--password-source SOURCE] [--address ADDR]...\n"
    "                           [--cafile FILE] [--dry-run] [--json] FILE.p12|DIR...\n"
    "       dpiv history recover [--to URI] [--from URI] [--issuer NAME|URL] [--address ADDR]...\n"
    "                           [--cafile FILE] [--timeout SECONDS] [--dry-run] [--json]\n"
    "\n"
    "Old mail stays readable as long as the keys it was encrypted for are held.\n"
    "\n"
    "scan   reads whom the messages of a mailbox (mbox, maildir, a directory of either,\n"
    "       one .eml or .p7m) are encrypted for, and tells which of them each key opens,\n"
    "       which keys are missing, and whose issuer has them. Nothing is decrypted.\n"
    "list   shows every decryption key on every token, with its dates and addresses.\n"
    "import brings the keys of PKCS#12 files to a token (or to a card's retired places),\n"
    "       each with its certificate, which must be for decrypting and for an address of\n"
    "       yours. What is there already is left alone.\n"
    "recover brings the keys that the issuer has in escrow for you to a token, in the\n"
    "       same way. Your PIV card shows who asks; every release is recorded there.\n"
    "\n"
    "  --token URI   look on this token only (RFC 7512); may be given again\n"
    "  --login       log in to tokens that hide their keys, to see that they are there\n"
    "  --messages    a line for each encrypted message, too\n"
    "  --to URI      the token for the keys (default: [derive] to of dpiv.conf)\n"
    "  --password-source SOURCE   file:/PATH with the files' password; else it is asked for\n"
    "  --address ADDR   an address that was yours; may be given again\n"
    "  --cafile FILE    trust anchors that the certificates must lead to\n"
    "                   (default: [mail] cafile, if set)\n"
    "                   recover: also for the issuer's TLS\n"
    "  --from URI    the PIV card; needed only when there are several\n"
    "  --issuer WHO  a section [issuer NAME] of dpiv.conf, or an https address\n"
    "  --timeout SECONDS  how long one exchange with the issuer may take; default: 60\n"
    "  --dry-run     only tell what would be imported\n"
    "  --json        the same for programs\n"
    "\n"
    "examples:\n"
    "  dpiv history scan ~/Mail\n"
    "  dpiv history scan --json archive.mbox | jq '.missing[].serial'\n"
    "  dpiv history list --login\n"
    "  dpiv history recover --issuer agency --to 'pkcs11:token=laptop'\n"
    "  dpiv history import --to 'pkcs11:token=laptop' backup.p12\n"
    "\n"
    "Exit status: 0 all encrypted messages can be opened, keys are held; 3 keys are\n"
    "missing, nothing found; 4 PIN or password wrong; 5 a key was left out.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "scan", history_scan },
	{ "list", history_list },
	{ "import", history_import },
	{ "recover", history_recover },
};

int
cmd_history(int argc, char **argv)
{
	if (argc < 2)
		return cli_usage("scan, list, import or recover?");
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	return cli_usage("there is no 'history %s'", argv[1]);
}

json_t *
history_time(time_t t)
{
	char text[TEXT_UTC_MAX];

	return text_utc(t, text)[0] != '\0' ? json_string(text) : json_null();
}

char *
history_day(time_t t, char out[HISTORY_DAY])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, HISTORY_DAY, "%Y-%m-%d", &tm) == 0)
		snprintf(out, HISTORY_DAY, "?");
	return out;
}

json_t *
history_hex(struct span s)
{
	char hex[2 * 64 + 1];

	return json_string(text_hex(s, hex, sizeof hex));
}

json_t *
history_serial(struct span s)
{
	if (s.n > 1 && s.p[0] == 0)
		(void)span_skip(&s, 1);
	return history_hex(s);
}

static json_t *
asn1_time(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? history_time(timegm(&tm)) : json_null();
}

static json_t *
addresses(X509 *cert)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_email(cert);
	json_t *list = json_array();
	char safe[256];

	for (int i = 0; i < sk_OPENSSL_STRING_num(all); i++)
		json_array_append_new(
		    list, json_string(text_safe(span_str(sk_OPENSSL_STRING_value(all, i)), safe, sizeof safe)));
	X509_email_free(all);
	return list;
}

json_t *
history_cert(X509 *cert)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(cert);
	char name[256], issuer[512];

	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o}", "name", certs_name(cert, name, sizeof name), "addresses",
	    addresses(cert), "issuer", name_text(X509_get_issuer_name(cert), issuer, sizeof issuer), "serial",
	    history_hex(span_of(ASN1_STRING_get0_data(n), (size_t)ASN1_STRING_length(n))), "not_before",
	    asn1_time(X509_get0_notBefore(cert)), "not_after", asn1_time(X509_get0_notAfter(cert)));
}

static void
algorithm_text(X509 *cert, char *out, size_t cap)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32] = "";

	if (key == NULL)
		snprintf(out, cap, "unknown");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		snprintf(out, cap, "RSA-%d", EVP_PKEY_get_bits(key));
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof group, NULL))
		snprintf(out, cap, "EC %s", group);
	else
		snprintf(out, cap, "%d bits", EVP_PKEY_get_bits(key));
}

json_t *
history_key(const struct held_key *k)
{
	json_t *o = history_cert(k->k->key.cert);
	char alg[48];

	algorithm_text(k->k->key.cert, alg, sizeof alg);
	json_object_set_new(o, "algorithm", json_string(alg));
	json_object_set_new(o, "token", json_string(token_label(k->k->token)));
	json_object_set_new(o, "token_uri", json_string(token_uri(k->k->token)));
	json_object_set_new(o, "id", history_hex(span_of(k->k->key.id, k->k->key.id_len)));
	json_object_set_new(o, "label", json_string(k->k->key.label));
	json_object_set_new(o, "held", json_string(held_state_name(k->state)));
	return o;
}

void
history_print(json_t *tree)
{
	json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(tree);
}
