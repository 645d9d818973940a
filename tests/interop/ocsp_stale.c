/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocsp_stale CERT ISSUER SIGNER KEY HOURS: an OCSP answer "good" for CERT, properly signed, whose thisUpdate is so
 * many hours ago and whose nextUpdate is one hour after that; with a minus before HOURS it has no nextUpdate. DER on
 * standard output. `openssl ocsp` cannot make one that is out of date.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/ocsp.h>
#include <openssl/pem.h>

static X509 *
cert(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f != NULL)
		fclose(f);
	return x;
}

int
main(int argc, char **argv)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_RESPONSE *r = NULL;
	EVP_PKEY *key = NULL;
	ASN1_TIME *from, *to;
	X509 *signer;
	FILE *f;
	unsigned char *der = NULL;
	long hours;
	int n;

	if (argc != 6 || (f = fopen(argv[4], "r")) == NULL)
		return 2;
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	signer = cert(argv[3]);
	hours = atol(argv[5]);
	from = X509_gmtime_adj(NULL, -labs(hours) * 3600);
	to = X509_gmtime_adj(NULL, -(labs(hours) - 1) * 3600);
	if (OCSP_basic_add1_status(basic, OCSP_cert_to_id(NULL, cert(argv[1]), cert(argv[2])), V_OCSP_CERTSTATUS_GOOD,
		0, NULL, from, hours < 0 ? NULL : to) == NULL ||
	    OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, 0) != 1)
		return 1;
	r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(r, &der);
	return n > 0 && fwrite(der, 1, (size_t)n, stdout) == (size_t)n ? 0 : 1;
}
