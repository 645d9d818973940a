/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * issuer.conf. Every key is one row of the table: that is the documentation, the defaults and the check. What a row
 * cannot say (an allowed word, a range, a URL that may go into certificates) is checked once in config_load(), so that
 * the rest of the issuer works with values that are known to be sound.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "derive/issuer/config.h"
#include "derive/role.h"

#define ARC "2.16.840.1.101.3.2.1."

static const struct conf_key table[] = {
	{ "issuer", "name", 's', "dpiv issuer", "name of the agency or site, for people" },
	{ "issuer", "demo", 'b', "no",
	    "yes: CA keys in files are accepted, and their CRLs are refreshed. Never in production" },
	{ "ca", "cert", 'p', NULL, "certificate of the issuing CA (DIR/ca.pem)" },
	{ "ca", "key", 's', NULL, "its key: a pkcs11: URI, or with demo = yes a PEM file (DIR/private/ca.key)" },
	{ "ca", "root", 'p', NULL, "root certificate handed out by cacerts (DIR/root.pem)" },
	{ "ca", "crl_hours", 'n', "18", "hours between two CRLs; nextUpdate leaves 12 more" },
	{ "upstream", "protocol", 's', NULL,
	    "est or cmp: this issuer is a registration authority; another CA, whose certificate [ca] cert then is, "
	    "issues. While it is not set the CA is here" },
	{ "upstream", "url", 's', NULL, "address of the CA: https; for cmp also http" },
	{ "upstream", "anchors", 'p', NULL,
	    "PEM trust anchors of the CA's server, and of its signature on answers of cmp (DIR/root.pem)" },
	{ "upstream", "cert", 'p', NULL,
	    "the registration authority's own certificate, with its chain (DIR/ra.pem): extended key usage clientAuth "
	    "for est, cmcRA" },
	{ "upstream", "key", 's', NULL, "its key: a pkcs11: URI, or with demo = yes a PEM file (DIR/private/ra.key)" },
	{ "upstream", "signer", 'p', NULL, "cmp: PEM file with the one certificate that signs the CA's answers" },
	{ "upstream", "request", 's', "cr",
	    "cmp: cr, the certificate as it shall be, and the proof of possession vouched for (raVerified); or p10cr, "
	    "the person's request as it is" },
	{ "upstream", "names", 's', "request",
	    "est and p10cr, where the CA has the subjectAltName from: request, which then must have the right one; or "
	    "ca, which knows it" },
	{ "upstream", "auth_label", 's', NULL, "est: label of the CA's profile for authentication; none: without one" },
	{ "upstream", "sign_label", 's', NULL, "est: the same for signature (sign)" },
	{ "upstream", "encrypt_label", 's', NULL, "est: the same for encryption (encrypt)" },
	{ "upstream", "mail_label", 's', NULL, "est: the same for both in one (mail)" },
	{ "upstream", "seconds", 'n', "20", "how long one exchange with the CA may take; at most 120" },
	{ "upstream", "hold", 'n', "10",
	    "seconds that a client's request waits here for the CA, before the client is told to come back; at most "
	    "60" },
	{ "upstream", "connections", 'n', "4", "connections to the CA at the same time; at most 32" },
	{ "listen", "address", 's', "127.0.0.1:8443", "numeric address and port of the HTTPS listener" },
	{ "listen", "tls", 's', "both", "1.2, 1.3 or both" },
	{ "listen", "cert", 'p', NULL, "TLS server certificate with its chain (DIR/tls.pem)" },
	{ "listen", "key", 's', NULL, "TLS server key: a pkcs11: URI, or a PEM file (DIR/private/tls.key)" },
	{ "listen", "max_connections", 'n', "256", "connections at the same time; more wait in the kernel" },
	{ "listen", "timeout", 'n', "15", "seconds that a stranger's connection may be silent" },
	{ "listen", "max_lifetime", 'n', "300", "seconds that any connection may last" },
	{ "listen", "farewell", 'n', "10",
	    "seconds in which those who have asked are answered when the service stops" },
	{ "publish", "address", 's', NULL,
	    "numeric address and port of a plain http listener that answers for base_url: ca.crl, root.crl, ca.p7c, "
	    "root.p7c and ocsp. While it is not set there is none" },
	{ "ocsp", "cert", 'p', NULL,
	    "certificate of the OCSP signer (DIR/ocsp.pem). While there is no such file OCSP is not answered" },
	{ "ocsp", "key", 's', NULL, "its key: a pkcs11: URI, or with demo = yes a PEM file (DIR/private/ocsp.key)" },
	{ "ocsp", "minutes", 'n', "60", "how long an answer is good; at most 1440" },
	{ "ra", "cert", 'p', NULL,
	    "certificate that SCEP's requests are encrypted to and that signs the answers of SCEP "
	    "and CMP (DIR/front.pem). While there is no such file neither is spoken" },
	{ "ra", "key", 's', NULL, "its RSA key: a pkcs11: URI, or a PEM file (DIR/private/front.key)" },
	{ "piv", "anchors", 'p', NULL, "PEM trust anchors of the PIV cards (DIR/root.pem)" },
	{ "piv", "intermediates", 'p', NULL, "PEM certificates of the CAs below them (DIR/chain.pem)" },
	{ "piv", "crls", 'p', NULL, "CRLs of every CA on the paths (DIR/crls.pem); read again when the file changes" },
	{ "piv", "policies", 'l', "2.16.840.1.101.3.2.1.3.13",
	    "policies of which a PIV Authentication certificate must carry one. Test cards: "
	    "2.16.840.1.101.3.2.1.48.11" },
	{ "piv", "signer_policies", 'l', NULL,
	    "policies of which the certificate of a CHUID's signer must carry one (those that go with 'policies': "
	    "2.16.840.1.101.3.2.1.3.39, for PIV-I 2.16.840.1.101.3.2.1.3.20, and those of the test cards)" },
	{ "piv", "require_chuid", 'b', "yes",
	    "refuse cards that come without their CHUID. One that is sent is always checked" },
	{ "accounts", "mode", 's', "listed",
	    "listed: only people entered with 'account add'; auto: any valid card opens an account" },
	{ "accounts", "email_from", 's', "certificate",
	    "for accounts opened automatically: certificate (its rfc822Name) or upn (take the UPN for the mail "
	    "address)" },
	{ "accounts", "max_credentials", 'n', "5",
	    "valid credentials of one purpose that a person may have at once; 0: any number" },
	{ "accounts", "hook", 'p', NULL,
	    "program of the site that is asked about the person before anything is issued. While it is not set nobody "
	    "is asked" },
	{ "accounts", "hook_seconds", 'n', "5", "how long it may take; then the request is refused" },
	{ "profile", "base_url", 's', "http://localhost/pki",
	    "where ca.crl, ca.p7c and ocsp are published; goes into certificates" },
	{ "profile", "policy_auth", 's', "2.16.840.1.101.3.2.1.3.40", "policy of derived authentication certificates" },
	{ "profile", "policy_mail", 's', "2.16.840.1.101.3.2.1.3.6",
	    "policy of signature and encryption certificates" },
	{ "profile", "one_certificate", 's', NULL,
	    "policy of one certificate for both signature and encryption (profile mail), a policy of the site's own: "
	    "the Federal PKI's profiles do not have it. While it is not set there is no such profile" },
	{ "profile", "days", 'n', "1095", "lifetime of issued certificates; at most 1096" },
	{ "profile", "require_binding", 'b', "yes",
	    "refuse requests that are not bound to their TLS connection by a challengePassword" },
	{ "bind", "minutes", 'n', "10", "how long a one-time binding code lives; at most 60" },
	{ "bind", "tries", 'n', "5",
	    "wrong binding codes that are accepted, per code and per network address; at most 20" },
	{ "bind", "key", 'p', NULL,
	    "file with the key of which binding codes are made, so that CMP can use them as shared secrets "
	    "(DIR/private/codes.key). While there is no such file CMP takes no codes" },
	{ "bind", "roles", 'l', "auth,sign,encrypt",
	    "for which roles binding codes are given: auth, sign, encrypt; none: for no role" },
	{ "page", "admins", 'l', NULL,
	    "administrators: SHA-256 of their PIV Authentication certificates, in hex; they see accounts and events on "
	    "the page" },
	{ "escrow", "cert", 'p', NULL,
	    "certificate of the recovery key, for which encryption keys made here are wrapped and kept "
	    "(DIR/recovery.pem). While there is no such file no keys are made" },
	{ "escrow", "key", 's', NULL,
	    "the recovery key: a pkcs11: URI, or with demo = yes a PEM file (DIR/private/recovery.key)" },
	{ "escrow", "algorithm", 's', "rsa2048", "kind of the keys that are made: rsa2048, rsa3072, p256 or p384" },
	{ "metrics", "socket", 'p', NULL,
	    "path of a local socket where /metrics is answered by http, in Prometheus' text format. While it is not "
	    "set "
	    "there is none" },
	{ "notices", "smtp", 's', NULL,
	    "mail relay, smtp://host:587 or smtps://host:465; people are told there what happens to their "
	    "credentials. While it is not set nobody is told" },
	{ "notices", "from", 's', "dpiv-issuer@localhost", "sender of the notices" },
	{ "notices", "user", 's', NULL, "user name at the relay" },
	{ "notices", "password_file", 'p', NULL, "file with the password" },
	{ "notices", "cafile", 'p', NULL, "PEM trust anchors of the relay; when it is not set, the system's" },
	{ "notices", "tls", 'b', "yes", "insist upon TLS; no only for a relay on this machine" },
	{ "notices", "cert", 'p', NULL, "certificate that signs the notices (DIR/notices.pem)" },
	{ "notices", "key", 's', NULL, "its key: a pkcs11: URI, or a PEM file (DIR/private/notices.key)" },
	{ "notices", "sign", 'b', "yes", "sign the notices (S/MIME)" },
	{ "notices", "days", 'n', "28", "how many days before its end a person is told that a credential expires" },
};

const struct conf_key *
config_table(size_t *n)
{
	*n = sizeof table / sizeof table[0];
	return table;
}

const char *
config_list_next(const char **list, size_t *n)
{
	const char *word;

	if (*list == NULL)
		return NULL;
	word = *list + strspn(*list, ", \t");
	*n = strcspn(word, ", \t");
	*list = &word[*n];
	return *n > 0 ? word : NULL;
}

bool
config_list_has(const char *list, const char *word)
{
	size_t want = strlen(word), n;

	for (const char *at; (at = config_list_next(&list, &n)) != NULL;)
		if (n == want && strncmp(at, word, n) == 0)
			return true;
	return false;
}

/* Where each path lies when the file does not say. */
static enum err
place(struct config *c, char out[PATH_MAX], const char *section, const char *key, const char *below)
{
	const char *said = section ? conf_str(c->conf, section, key) : NULL;
	int n;

	if (said)
		n = snprintf(out, PATH_MAX, "%s", said);
	else
		n = snprintf(out, PATH_MAX, "%s/%s", c->dir, below);
	if (n < 0 || n >= PATH_MAX)
		return err_set(E_CONF, "%s: path too long", c->dir);
	return E_OK;
}

static enum err
places(struct config *c)
{
	const struct {
		char *out;
		const char *section, *key, *below;
	} rows[] = {
		{ c->ca_cert, "ca", "cert", "ca.pem" },
		{ c->ca_key, "ca", "key", "private/ca.key" },
		{ c->root_cert, "ca", "root", "root.pem" },
		{ c->root_key, NULL, NULL, "private/root.key" },
		{ c->root_crl, NULL, NULL, "root.crl" },
		{ c->ca_crl, NULL, NULL, "ca.crl" },
		{ c->crls, NULL, NULL, "crls.pem" },
		{ c->chain, NULL, NULL, "chain.pem" },
		{ c->db, NULL, NULL, "issuer.db" },
		{ c->tls_cert, "listen", "cert", "tls.pem" },
		{ c->tls_key, "listen", "key", "private/tls.key" },
		{ c->ocsp_cert, "ocsp", "cert", "ocsp.pem" },
		{ c->ocsp_key, "ocsp", "key", "private/ocsp.key" },
		{ c->ra_cert, "ra", "cert", "front.pem" },
		{ c->ra_key, "ra", "key", "private/front.key" },
		{ c->code_key, "bind", "key", "private/codes.key" },
		{ c->anchors, "piv", "anchors", "root.pem" },
		{ c->intermediates, "piv", "intermediates", "chain.pem" },
		{ c->piv_crls, "piv", "crls", "crls.pem" },
		{ c->recovery_cert, "escrow", "cert", "recovery.pem" },
		{ c->recovery_key, "escrow", "key", "private/recovery.key" },
		{ c->up.anchors, "upstream", "anchors", "root.pem" },
		{ c->up.cert, "upstream", "cert", "ra.pem" },
		{ c->up.key, "upstream", "key", "private/ra.key" },
		{ c->notice_cert, "notices", "cert", "notices.pem" },
		{ c->notice_key, "notices", "key", "private/notices.key" },
	};
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK && i < sizeof rows / sizeof rows[0]; i++)
		e = place(c, rows[i].out, rows[i].section, rows[i].key, rows[i].below);
	return e;
}

static enum err
number(struct config *c, const char *section, const char *key, long low, long high, long *out)
{
	*out = conf_num(c->conf, section, key);
	if (*out < low || *out > high)
		return err_set(E_CONF, "%s/issuer.conf: [%s] %s = %ld is outside %ld to %ld", c->dir, section, key,
		    *out, low, high);
	return E_OK;
}

static enum err
word(struct config *c, const char *section, const char *key, const char *allowed, const char **out)
{
	*out = conf_str(c->conf, section, key);
	if (!config_list_has(allowed, *out))
		return err_set(
		    E_CONF, "%s/issuer.conf: [%s] %s = %s: must be one of %s", c->dir, section, key, *out, allowed);
	return E_OK;
}

/* These end up inside certificates by way of libcrypto's extension syntax: nothing that has a meaning there. */
static enum err
plain(struct config *c, const char *key, const char *start, const char *charset, const char **out)
{
	*out = conf_str(c->conf, "profile", key);
	if (strncmp(*out, start, strlen(start)) != 0 || (*out)[strspn(*out, charset)] != '\0' || strlen(*out) > 200)
		return err_set(E_CONF, "%s/issuer.conf: [profile] %s = %s is malformed", c->dir, key, *out);
	return E_OK;
}

/* A mistyped fingerprint would be an administrator who is silently none. */
static enum err
fingerprints(struct config *c, const char **out)
{
	const char *list = *out = conf_str(c->conf, "page", "admins");
	size_t n;

	for (const char *at; (at = config_list_next(&list, &n)) != NULL;)
		if (n != 64 || strspn(at, "0123456789abcdefABCDEF") < n)
			return err_set(E_CONF,
			    "%s/issuer.conf: [page] admins: not the SHA-256 of a certificate as 64 hexadecimal "
			    "digits: %.*s",
			    c->dir, n > 80 ? 80 : (int)n, at);
	return E_OK;
}

/* The registration authority's part, when it is one. */
static enum err
check_upstream(struct config *c)
{
	static const char *const labels[UPSTREAM_LABELS] = { "auth_label", "sign_label", "encrypt_label",
		"mail_label" };
	struct upstream_conf *u = &c->up;
	enum err e;

	u->url = conf_str(c->conf, "upstream", "url");
	u->signer = conf_str(c->conf, "upstream", "signer");
	for (size_t i = 0; i < UPSTREAM_LABELS; i++) {
		u->labels[i] = conf_str(c->conf, "upstream", labels[i]);
		if (u->labels[i] != NULL && strcmp(u->labels[i], "none") == 0)
			u->labels[i] = "";
	}
	if ((e = number(c, "upstream", "seconds", 1, 120, &u->seconds)) != E_OK ||
	    (e = number(c, "upstream", "hold", 0, 60, &u->hold)) != E_OK ||
	    (e = number(c, "upstream", "connections", 1, 32, &u->connections)) != E_OK ||
	    (e = word(c, "upstream", "request", "cr,p10cr", &u->request)) != E_OK ||
	    (e = word(c, "upstream", "names", "request,ca", &u->names)) != E_OK ||
	    conf_str(c->conf, "upstream", "protocol") == NULL)
		return e;
	if ((e = word(c, "upstream", "protocol", "est,cmp", &u->protocol)) != E_OK)
		return e;
	return u->url != NULL ? E_OK
			      : err_set(E_CONF, "%s/issuer.conf: [upstream] url is missing: the CA's address", c->dir);
}

static enum err
check(struct config *c)
{
	static const char url[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:";
	static const char oid[] = "0123456789.";
	const char *mode, *email;
	enum err e;

	if ((e = number(c, "listen", "max_connections", 1, 10000, &c->max_connections)) != E_OK ||
	    (e = number(c, "listen", "timeout", 1, 600, &c->timeout)) != E_OK ||
	    (e = number(c, "listen", "max_lifetime", 1, 3600, &c->max_lifetime)) != E_OK ||
	    (e = number(c, "listen", "farewell", 1, 60, &c->farewell)) != E_OK ||
	    (e = number(c, "ocsp", "minutes", 1, 1440, &c->ocsp_minutes)) != E_OK ||
	    (e = number(c, "accounts", "max_credentials", 0, 1000, &c->max_credentials)) != E_OK ||
	    (e = number(c, "accounts", "hook_seconds", 1, 30, &c->hook_seconds)) != E_OK ||
	    (e = number(c, "profile", "days", 1, 1096, &c->days)) != E_OK ||
	    (e = number(c, "bind", "minutes", 1, 60, &c->bind_minutes)) != E_OK ||
	    (e = number(c, "bind", "tries", 1, 20, &c->bind_tries)) != E_OK ||
	    (e = number(c, "notices", "days", 1, 365, &c->notice_days)) != E_OK ||
	    (e = number(c, "ca", "crl_hours", 1, 24 * 30, &c->crl_hours)) != E_OK ||
	    (e = word(c, "listen", "tls", "1.2,1.3,both", &c->tls)) != E_OK ||
	    (e = word(c, "escrow", "algorithm", "rsa2048,rsa3072,p256,p384", &c->escrow_algorithm)) != E_OK ||
	    (e = word(c, "accounts", "mode", "auto,listed", &mode)) != E_OK ||
	    (e = word(c, "accounts", "email_from", "certificate,upn", &email)) != E_OK ||
	    (e = fingerprints(c, &c->admins)) != E_OK ||
	    (e = plain(c, "base_url", "http://", url, &c->base_url)) != E_OK ||
	    (e = plain(c, "policy_auth", "2.16.840.1.101.3.2.1.", oid, &c->policy_auth)) != E_OK ||
	    (e = plain(c, "policy_mail", "2.16.840.1.101.3.2.1.", oid, &c->policy_mail)) != E_OK)
		return e;
	c->one_certificate = conf_str(c->conf, "profile", "one_certificate");
	if (c->one_certificate != NULL && (e = plain(c, "one_certificate", "", oid, &c->one_certificate)) != E_OK)
		return e;
	if (c->one_certificate != NULL && (e = role_one_policy(c->one_certificate)) != E_OK)
		return err_up(e, "%s/issuer.conf: [profile]", c->dir);
	c->listed = strcmp(mode, "listed") == 0;
	c->email_from_upn = strcmp(email, "upn") == 0;
	return E_OK;
}

/* What signs a card's objects belongs to what identifies the card: the same arc, production or test. */
static const char *
signer_policies(struct config *c)
{
	static const struct {
		const char *card, *signer;
	} pair[] = {
		{ ARC "3.13", ARC "3.39" },   /* id-fpki-common-authentication, -piv-contentSigning */
		{ ARC "48.11", ARC "48.86" }, /* the same of the test programme */
		{ ARC "3.18", ARC "3.20" },   /* id-fpki-certpcy-pivi-hardware, -contentSigning */
		{ ARC "48.78", ARC "48.80" },
	};
	const char *said = conf_str(c->conf, "piv", "signer_policies");

	if (said != NULL)
		return said;
	c->signers[0] = '\0';
	for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++)
		if (config_list_has(c->piv_policies, pair[i].card))
			(void)snprintf(&c->signers[strlen(c->signers)], sizeof c->signers - strlen(c->signers), "%s%s",
			    c->signers[0] != '\0' ? "," : "", pair[i].signer);
	return c->signers[0] != '\0' ? c->signers : pair[0].signer;
}

static enum err
load(const char *dir, struct config *c)
{
	char path[PATH_MAX + 16];
	struct stat st;
	enum err e;

	if (realpath(dir, c->dir) == NULL)
		return err_set(
		    E_NOTFOUND, "%s: no such issuer directory; 'dpiv-issuer init --demo %s' makes one", dir, dir);
	(void)snprintf(path, sizeof path, "%s/issuer.conf", c->dir);
	if (stat(path, &st) != 0)
		return err_set(E_NOTFOUND, "%s: no issuer.conf; 'dpiv-issuer init --demo %s' makes one", dir, dir);
	if ((e = conf_load_table(path, table, sizeof table / sizeof table[0], &c->conf)) != E_OK)
		return e;
	c->name = conf_str(c->conf, "issuer", "name");
	c->demo = conf_bool(c->conf, "issuer", "demo");
	c->address = conf_str(c->conf, "listen", "address");
	c->publish = conf_str(c->conf, "publish", "address");
	c->metrics = conf_str(c->conf, "metrics", "socket");
	c->piv_policies = conf_str(c->conf, "piv", "policies");
	c->hook = conf_str(c->conf, "accounts", "hook");
	c->signer_policies = signer_policies(c);
	c->require_chuid = conf_bool(c->conf, "piv", "require_chuid");
	c->bind_roles = conf_str(c->conf, "bind", "roles");
	c->require_binding = conf_bool(c->conf, "profile", "require_binding");
	c->notice_sign = conf_bool(c->conf, "notices", "sign");
	c->smtp = (struct smtp_conf){
		.url = conf_str(c->conf, "notices", "smtp"),
		.from = conf_str(c->conf, "notices", "from"),
		.user = conf_str(c->conf, "notices", "user"),
		.password_file = conf_str(c->conf, "notices", "password_file"),
		.cafile = conf_str(c->conf, "notices", "cafile"),
		.plain = !conf_bool(c->conf, "notices", "tls"),
	};
	if ((e = places(c)) != E_OK || (e = check_upstream(c)) != E_OK)
		return e;
	return check(c);
}

enum err
config_load(const char *dir, struct config *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = load(dir, out)) != E_OK)
		config_clear(out);
	return e;
}

void
config_clear(struct config *c)
{
	conf_free(&c->conf);
	memset(c, 0, sizeof *c);
}
