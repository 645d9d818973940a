/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * est_load [-n ENROLMENTS] [-c CLIENTS] [-p PERSONS] [-r SECONDS] -d AGENCY -o FILE URL...
 *
 * Many people enrol at once: PERSONS cards (P-256, certified by the agency's CA, made here), a new key and a new TLS
 * connection for each of ENROLMENTS requests, CLIENTS of them at any moment. Several URLs are nodes of one issuer,
 * asked in turn. With -r a request that got no answer, or an answer that is the issuer's fault, is sent again with the
 * same key for so many seconds, to the next node, as dpiv does. FILE gets a line for each certificate: its serial
 * number, its person, how often it was asked for and how long it took in milliseconds. Exit status 0: each request has
 * its own.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>

#include "base/bytes.h"
#include "base/text.h"
#include "tests/lib/minipki.h"

#define ATTEMPT_SECONDS 20
#define BODY_MAX	65536
#define URLS_MAX	8
#define YEAR		(365L * 86400)

struct person {
	char *cert, *key; /* PEM */
};

struct task {
	EVP_PKEY *key;
	struct wbuf request; /* base64 */
	char serial[64];
	int attempts;
	double ms;
};

static struct {
	long n, clients, persons, retry;
	const char *agency, *out;
	char *urls[URLS_MAX];
	int n_urls;
	struct person *person;
	struct task *task;
	atomic_long next, failed;
} load = { .n = 500, .clients = 50, .persons = 50 };

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
die(const char *what)
{
	fprintf(stderr, "est_load: %s\n", what);
	exit(2);
}

/* --- what is made before the clock runs --------------------------------------------------------------------------- */

static char *
bio_text(BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	char *out = strndup(p, (size_t)n);

	BIO_free(bio);
	return out;
}

static void
make_person(long i, X509 *ca, EVP_PKEY *ca_key)
{
	char cn[40], ext[800];
	EVP_PKEY *key = minipki_key("P-256");
	struct minipki_cert c = { cn, key, ca, ca_key, -3600, YEAR, ext };
	BIO *cert = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	X509 *x;

	snprintf(cn, sizeof cn, "PERSON %ld", i + 1);
	snprintf(ext, sizeof ext,
	    MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(
		MINIPKI_PIV) "authorityKeyIdentifier=keyid:always\nsubjectAltName=@san\n[san]\nURI.1=urn:uuid:"
			     "5a3c0a5e-5c9f-4f39-8f1b-%012lx\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:p%ld@example."
			     "test\n",
	    i + 1, i + 1);
	x = minipki_cert(&c);
	if (!PEM_write_bio_X509(cert, x) || !PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL))
		die("cannot make a card");
	load.person[i].cert = bio_text(cert);
	load.person[i].key = bio_text(secret);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void
make_task(struct task *t)
{
	WBUF_AUTO der = { 0 };

	wbuf_init(&der, BODY_MAX);
	wbuf_init(&t->request, BODY_MAX);
	t->key = minipki_key("P-256");
	minipki_csr(t->key, NULL, "SHA256", NULL, NULL, &der);
	text_base64(wbuf_view(&der), 64, &t->request);
}

static void
prepare(void)
{
	char path[4096];
	X509 *ca = NULL;
	EVP_PKEY *key = NULL;
	FILE *f;

	snprintf(path, sizeof path, "%s/ca.pem", load.agency);
	if ((f = fopen(path, "r")) != NULL) {
		ca = PEM_read_X509(f, NULL, NULL, NULL);
		fclose(f);
	}
	snprintf(path, sizeof path, "%s/private/ca.key", load.agency);
	if ((f = fopen(path, "r")) != NULL) {
		key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		fclose(f);
	}
	load.person = calloc((size_t)load.persons, sizeof *load.person);
	load.task = calloc((size_t)load.n, sizeof *load.task);
	if (ca == NULL || key == NULL || load.person == NULL || load.task == NULL)
		die("cannot read ca.pem and private/ca.key of the agency");
	for (long i = 0; i < load.persons; i++)
		make_person(i, ca, key);
	for (long i = 0; i < load.n; i++)
		make_task(&load.task[i]);
	X509_free(ca);
	EVP_PKEY_free(key);
}

/* --- one request -------------------------------------------------------------------------------------------------- */

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	struct wbuf *body = arg;

	wbuf_put(body, p, size * n);
	return body->bad ? 0 : size * n;
}

/* The certificate in an answer, if it is this key's. */
static bool
read_answer(const struct wbuf *body, struct task *t)
{
	BIO *bio = BIO_push(BIO_new(BIO_f_base64()), BIO_new_mem_buf(body->p, (int)body->n));
	PKCS7 *p7 = NULL;
	X509 *x = NULL;
	char *hex = NULL;
	BIGNUM *bn = NULL;

	BIO_set_flags(bio, BIO_FLAGS_BASE64_NO_NL);
	p7 = d2i_PKCS7_bio(bio, NULL);
	if (p7 && PKCS7_type_is_signed(p7) && sk_X509_num(p7->d.sign->cert) == 1)
		x = sk_X509_value(p7->d.sign->cert, 0);
	if (x && EVP_PKEY_eq(X509_get0_pubkey(x), t->key) == 1 &&
	    (bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL)) != NULL && (hex = BN_bn2hex(bn)) != NULL)
		snprintf(t->serial, sizeof t->serial, "%s", hex);
	OPENSSL_free(hex);
	BN_free(bn);
	PKCS7_free(p7);
	BIO_free_all(bio);
	return t->serial[0] != '\0';
}

/* *again: nothing is wrong with the request. */
static bool
ask(CURL *curl, struct task *t, const char *url, bool *again)
{
	WBUF_AUTO body = { 0 };
	char text[512], why[CURL_ERROR_SIZE] = "";
	CURLcode rc;
	long status = 0;

	wbuf_init(&body, BODY_MAX);
	snprintf(text, sizeof text, "%s/.well-known/est/simpleenroll", url);
	curl_easy_setopt(curl, CURLOPT_URL, text);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)t->request.p);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)t->request.n);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc == CURLE_OK && status == 200 && read_answer(&body, t))
		return true;
	*again = rc != CURLE_OK || status >= 500;
	if (load.retry == 0 || !*again)
		fprintf(
		    stderr, "est_load: %s: status %ld %s %.*s\n", url, status, why, (int)body.n, (const char *)body.p);
	return false;
}

static CURL *
client(long i, struct curl_slist *headers)
{
	const struct person *p = &load.person[i % load.persons];
	struct curl_blob cert = { p->cert, strlen(p->cert), CURL_BLOB_NOCOPY };
	struct curl_blob key = { p->key, strlen(p->key), CURL_BLOB_NOCOPY };
	char root[4096];
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		die("no curl");
	snprintf(root, sizeof root, "%s/root.pem", load.agency);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ATTEMPT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_CAINFO, root);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &cert);
	curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
	curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	return curl;
}

static void
run_task(long i, struct curl_slist *headers)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	struct task *t = &load.task[i];
	double start = now_ms();
	CURL *curl = client(i, headers);
	bool got, again = true;

	do {
		got = ask(curl, t, load.urls[(i + t->attempts++) % load.n_urls], &again);
		if (!got && again && load.retry > 0)
			nanosleep(&pause, NULL);
	} while (!got && again && now_ms() - start < (double)load.retry * 1e3);
	t->ms = now_ms() - start;
	if (!got)
		atomic_fetch_add(&load.failed, 1);
	curl_easy_cleanup(curl);
}

static void *
run_client(void *arg)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/pkcs10");
	long i;

	while ((i = atomic_fetch_add(&load.next, 1)) < load.n)
		run_task(i, headers);
	curl_slist_free_all(headers);
	return arg;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static int
by_ms(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
report(double seconds)
{
	double *ms = calloc((size_t)load.n, sizeof *ms);
	FILE *f = fopen(load.out, "w");
	long n = 0, repeated = 0;

	if (ms == NULL || f == NULL)
		die("cannot write the result");
	for (long i = 0; i < load.n; i++) {
		const struct task *t = &load.task[i];

		repeated += t->attempts - 1;
		if (t->serial[0] == '\0')
			continue;
		ms[n++] = t->ms;
		fprintf(f, "%s %ld %d %.1f\n", t->serial, i % load.persons + 1, t->attempts, t->ms);
	}
	qsort(ms, (size_t)n, sizeof *ms, by_ms);
	printf("enrolments=%ld failed=%ld repeated=%ld clients=%ld seconds=%.2f per_second=%.1f", n, (long)load.failed,
	    repeated, load.clients, seconds, (double)n / seconds);
	if (n > 0)
		printf(" p50_ms=%.1f p95_ms=%.1f p99_ms=%.1f", ms[n / 2], ms[n * 95 / 100], ms[n * 99 / 100]);
	printf("\n");
	if (fclose(f) != 0)
		die("cannot write the result");
	free(ms);
}

static void
read_args(int argc, char **argv)
{
	long *const numbers[] = { ['n'] = &load.n, ['c'] = &load.clients, ['p'] = &load.persons, ['r'] = &load.retry };
	int c;

	while ((c = getopt(argc, argv, "n:c:p:r:d:o:")) != -1) {
		if (c == 'd')
			load.agency = optarg;
		else if (c == 'o')
			load.out = optarg;
		else if (c == '?' || (*numbers[c] = atol(optarg)) <= 0)
			die("see the source for its options");
	}
	for (; optind < argc && load.n_urls < URLS_MAX; optind++)
		load.urls[load.n_urls++] = argv[optind];
	if (load.agency == NULL || load.out == NULL || load.n_urls == 0 || load.clients > 1000)
		die("-d AGENCY, -o FILE and the URL of an issuer are needed");
}

int
main(int argc, char **argv)
{
	pthread_t *threads;
	double start;

	read_args(argc, argv);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	prepare();
	if ((threads = calloc((size_t)load.clients, sizeof *threads)) == NULL)
		die("no memory");
	start = now_ms();
	for (long i = 0; i < load.clients; i++)
		if (pthread_create(&threads[i], NULL, run_client, NULL) != 0)
			die("no threads");
	for (long i = 0; i < load.clients; i++)
		pthread_join(threads[i], NULL);
	report((now_ms() - start) / 1e3);
	for (long i = 0; i < load.n; i++) {
		EVP_PKEY_free(load.task[i].key);
		wbuf_free(&load.task[i].request);
	}
	return load.failed > 0;
}
