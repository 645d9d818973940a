/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mail to a relay. libcurl speaks SMTP; TLS is required (STARTTLS or from the start) unless the configuration says
 * that the relay needs none. Everything is bounded in time. What the server says in a refusal is foreign text and is
 * shown as such.
 */
#include <string.h>

#include <curl/curl.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "derive/smtp.h"

#define TIME_MAX    60L
#define CONNECT_MAX 15L

static size_t
on_read(char *out, size_t size, size_t n, void *arg)
{
	struct span *rest = arg, part;
	size_t want = size * n < rest->n ? size * n : rest->n;

	if (!span_take(rest, want, &part))
		return CURL_READFUNC_ABORT;
	memcpy(out, part.p, part.n);
	return part.n;
}

static bool
set_up(CURL *c, const struct smtp_conf *conf, struct curl_slist *to, struct span *rest, char *why)
{
	const struct {
		CURLoption option;
		const char *text;
	} texts[] = {
		{ CURLOPT_URL, conf->url },
		{ CURLOPT_PROTOCOLS_STR, "smtp,smtps" },
		{ CURLOPT_MAIL_FROM, conf->from },
		{ CURLOPT_USERNAME, conf->user },
		{ CURLOPT_CAINFO, conf->cafile },
	};
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_USE_SSL, conf->plain ? CURLUSESSL_TRY : CURLUSESSL_ALL },
		{ CURLOPT_UPLOAD, 1 },
		{ CURLOPT_TIMEOUT, TIME_MAX },
		{ CURLOPT_CONNECTTIMEOUT, CONNECT_MAX },
		{ CURLOPT_NOSIGNAL, 1 },
	};
	bool ok = true;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ok = ok && (texts[i].text == NULL || curl_easy_setopt(c, texts[i].option, texts[i].text) == CURLE_OK);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		ok = ok && curl_easy_setopt(c, numbers[i].option, numbers[i].value) == CURLE_OK;
	return ok && curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_READDATA, rest) == CURLE_OK &&
	    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) == CURLE_OK;
}

static enum err
give_password(CURL *c, const struct smtp_conf *conf)
{
	struct secret *password = NULL;
	enum err e;

	if (conf->user == NULL)
		return E_OK;
	if (conf->password_file == NULL)
		return err_set(E_CONF, "the mail relay has a user but no password_file");
	e = file_read_secret(conf->password_file, &password);
	if (e == E_OK &&
	    (!secret_put(password, "", 1) ||
		curl_easy_setopt(c, CURLOPT_PASSWORD, (const char *)secret_view(password).p) != CURLE_OK))
		e = err_set(E_NOMEM, "out of memory");
	secret_free(&password);
	return e;
}

/* A reply of 4yz may change, one of 5yz will not (RFC 5321, 4.2.1). */
static enum err
judge(CURL *c, CURLcode rc, const char *url, const char *why)
{
	char host[200], text[CURL_ERROR_SIZE];
	long reply = 0;

	if (rc == CURLE_OK)
		return E_OK;
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply);
	return err_set(reply >= 500 && reply < 600 ? E_REMOTE : E_NET, "%s: %s",
	    text_safe(span_str(url), host, sizeof host),
	    text_safe(span_str(why[0] != '\0' ? why : curl_easy_strerror(rc)), text, sizeof text));
}

enum err
smtp_send(const struct smtp_conf *conf, const char *to, struct span message)
{
	struct curl_slist *list = curl_slist_append(NULL, to);
	char why[CURL_ERROR_SIZE] = "";
	struct span rest = message;
	CURL *c = curl_easy_init();
	enum err e;

	if (c == NULL || list == NULL || !set_up(c, conf, list, &rest, why))
		e = err_set(E_NOMEM, "out of memory");
	else if ((e = give_password(c, conf)) == E_OK)
		e = judge(c, curl_easy_perform(c), conf->url, why);
	curl_slist_free_all(list);
	curl_easy_cleanup(c);
	return e;
}
