/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_client MODULE ID SECONDS [THREADS [PAUSE]]: one login, then signatures with key ID as fast as they come, or with
 * so many milliseconds between them, for so long, in so many threads with a session each. After a failure a thread logs
 * in again, in the same session. SIGUSR1 leaves it four seconds more. Says what C_Sign returned, each value with how
 * often, the number of signatures, the longest call, and whether the last ones worked. Every signature is verified with
 * the public key in libcrypto (RSA: PKCS #1 v1.5 of a digest; EC: ECDSA).
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *p11;
static CK_UTF8CHAR pin[] = "123456";
static CK_BYTE id;
static CK_SLOT_ID slot;
static _Atomic double deadline;
static struct timespec between;
static volatile sig_atomic_t ending;
static _Atomic unsigned count[0x400], bad;
static EVP_PKEY *public;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
must(const char *what, CK_RV rv)
{
	if (rv == CKR_OK)
		return;
	printf("%s: 0x%lx\n", what, rv);
	exit(1);
}

static void
load(const char *module)
{
	void *so = dlopen(module, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **);
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	must("C_GetFunctionList", get(&p11));
	must("C_Initialize", p11->C_Initialize(&args));
}

static CK_SESSION_HANDLE
open_session(void)
{
	CK_SESSION_HANDLE h;

	must("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h));
	return h;
}

static CK_OBJECT_HANDLE
find(CK_SESSION_HANDLE h, CK_OBJECT_CLASS class)
{
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE o = 0;
	CK_ULONG n = 0;

	must("C_FindObjectsInit", p11->C_FindObjectsInit(h, t, 2));
	must("C_FindObjects", p11->C_FindObjects(h, &o, 1, &n));
	must("C_FindObjectsFinal", p11->C_FindObjectsFinal(h));
	if (n != 1)
		must("no such object", CKR_KEY_HANDLE_INVALID);
	return o;
}

/* The public key, from the certificate. */
static void
public_key(CK_SESSION_HANDLE h)
{
	CK_BYTE der[8192];
	const CK_BYTE *p = der;
	CK_ATTRIBUTE a = { CKA_VALUE, der, sizeof der };
	X509 *x;

	must("C_GetAttributeValue", p11->C_GetAttributeValue(h, find(h, CKO_CERTIFICATE), &a, 1));
	x = d2i_X509(NULL, &p, (long)a.ulValueLen);
	public = x != NULL ? X509_get_pubkey(x) : NULL;
	X509_free(x);
	if (public == NULL)
		must("no public key", CKR_GENERAL_ERROR);
}

/* Raw r and s as DER. */
static size_t
ecdsa_der(const CK_BYTE *sig, size_t n, CK_BYTE der[256])
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	CK_BYTE *p = der;
	int len;

	ECDSA_SIG_set0(s, BN_bin2bn(sig, (int)n / 2, NULL), BN_bin2bn(sig + n / 2, (int)n / 2, NULL));
	len = i2d_ECDSA_SIG(s, &p);
	ECDSA_SIG_free(s);
	return len > 0 ? (size_t)len : 0;
}

static int
good(const CK_BYTE digest[32], const CK_BYTE *sig, size_t n)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(public, NULL);
	CK_BYTE der[256];
	int ok = EVP_PKEY_verify_init(c) == 1;

	if (EVP_PKEY_is_a(public, "EC")) {
		n = ecdsa_der(sig, n, der);
		sig = der;
	} else {
		EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING);
	}
	ok = ok && EVP_PKEY_verify(c, sig, n, digest, 32) == 1;
	EVP_PKEY_CTX_free(c);
	return ok;
}

static CK_RV
sign(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = { EVP_PKEY_is_a(public, "EC") ? CKM_ECDSA : CKM_RSA_PKCS, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[512];
	CK_ULONG n = sizeof sig;
	CK_RV rv = p11->C_SignInit(h, &m, key);

	if (rv == CKR_OK && id == 2)
		rv = p11->C_Login(h, CKU_CONTEXT_SPECIFIC, pin, 6);
	rv = rv != CKR_OK ? rv : p11->C_Sign(h, digest, sizeof digest, sig, &n);
	if (rv == CKR_OK && !good(digest, sig, n))
		bad++;
	return rv;
}

struct worker {
	pthread_t thread;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	double longest;
	CK_RV last;
};

static void *
work(void *arg)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 * 1000 };
	struct worker *w = arg;
	double start;

	while ((start = now()) < deadline) {
		w->last = sign(w->session, w->key);
		w->longest = now() - start > w->longest ? now() - start : w->longest;
		count[w->last & 0x3FF]++;
		if (w->last != CKR_OK) {
			p11->C_SignInit(w->session, NULL, 0); /* ends one that still waits for its login */
			nanosleep(&pause, NULL);
			p11->C_Login(w->session, CKU_USER, pin, 6);
		}
		if (between.tv_nsec != 0)
			nanosleep(&between, NULL);
	}
	return NULL;
}

static void
on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

/* Until the time is over, or four seconds after the signal. */
static void
wait_for_end(void)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

	while (now() < deadline && !ending)
		nanosleep(&pause, NULL);
	if (ending && deadline > now() + 4)
		deadline = now() + 4;
}

static int
report(const struct worker *w, int n)
{
	double longest = 0;
	CK_RV last = CKR_OK;
	int i;

	for (i = 0; i < n; i++) {
		longest = w[i].longest > longest ? w[i].longest : longest;
		last = w[i].last != CKR_OK ? w[i].last : last;
	}
	for (unsigned rv = 0; rv < 0x400; rv++)
		if (count[rv] != 0)
			printf("rv 0x%x: %u times\n", rv, count[rv]);
	printf("signatures %u\nbad %u\nlongest %.2f s\nlast 0x%lx\n", count[0], bad, longest, last);
	return last != CKR_OK || bad != 0;
}

int
main(int argc, char **argv)
{
	struct worker w[8] = { { 0 } };
	int i, status, threads = argc > 4 ? atoi(argv[4]) : 1;
	CK_ULONG n = 1;

	if (argc < 4 || threads < 1 || threads > 8)
		return 2;
	id = (CK_BYTE)atoi(argv[2]);
	between.tv_nsec = argc > 5 ? atol(argv[5]) % 1000 * 1000000 : 0;
	signal(SIGUSR1, on_signal);
	load(argv[1]);
	must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, NULL, &n));
	n = 1;
	p11->C_GetSlotList(CK_TRUE, &slot, &n);
	for (i = 0; i < threads; i++)
		w[i].session = open_session();
	must("C_Login", p11->C_Login(w[0].session, CKU_USER, pin, 6));
	public_key(w[0].session);
	deadline = now() + atof(argv[3]);
	for (i = 0; i < threads; i++) {
		w[i].key = find(w[i].session, CKO_PRIVATE_KEY);
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	wait_for_end();
	for (i = 0; i < threads; i++)
		pthread_join(w[i].thread, NULL);
	status = report(w, threads);
	p11->C_Finalize(NULL);
	return status;
}
