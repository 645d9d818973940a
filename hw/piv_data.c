/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is fixed by the standards, as tables: key references (SP 800-73-5 part 1, 5.1, tables 4 and 6), data objects
 * (part 1, table 3) and algorithm identifiers (SP 800-78-5, table 9). No other file has a list of keys, tags or
 * algorithms.
 */
#include <openssl/obj_mac.h>

#include "hw/piv_int.h"

static const struct piv_key_info keys[] = {
	/* ref, certificate, name, use, sign, decrypt, pin, pin_always */
	{ PIV_KEY_9A, 0x5FC105, "9A", "PIV Authentication", true, false, true, false },
	{ PIV_KEY_9C, 0x5FC10A, "9C", "Digital Signature", true, false, true, true },
	{ PIV_KEY_9D, 0x5FC10B, "9D", "Key Management", false, true, true, false },
	{ PIV_KEY_9E, 0x5FC101, "9E", "Card Authentication", true, false, false, false },
	{ 0x82, 0x5FC10D, "82", "Retired Key Management 1", false, true, true, false },
	{ 0x83, 0x5FC10E, "83", "Retired Key Management 2", false, true, true, false },
	{ 0x84, 0x5FC10F, "84", "Retired Key Management 3", false, true, true, false },
	{ 0x85, 0x5FC110, "85", "Retired Key Management 4", false, true, true, false },
	{ 0x86, 0x5FC111, "86", "Retired Key Management 5", false, true, true, false },
	{ 0x87, 0x5FC112, "87", "Retired Key Management 6", false, true, true, false },
	{ 0x88, 0x5FC113, "88", "Retired Key Management 7", false, true, true, false },
	{ 0x89, 0x5FC114, "89", "Retired Key Management 8", false, true, true, false },
	{ 0x8A, 0x5FC115, "8A", "Retired Key Management 9", false, true, true, false },
	{ 0x8B, 0x5FC116, "8B", "Retired Key Management 10", false, true, true, false },
	{ 0x8C, 0x5FC117, "8C", "Retired Key Management 11", false, true, true, false },
	{ 0x8D, 0x5FC118, "8D", "Retired Key Management 12", false, true, true, false },
	{ 0x8E, 0x5FC119, "8E", "Retired Key Management 13", false, true, true, false },
	{ 0x8F, 0x5FC11A, "8F", "Retired Key Management 14", false, true, true, false },
	{ 0x90, 0x5FC11B, "90", "Retired Key Management 15", false, true, true, false },
	{ 0x91, 0x5FC11C, "91", "Retired Key Management 16", false, true, true, false },
	{ 0x92, 0x5FC11D, "92", "Retired Key Management 17", false, true, true, false },
	{ 0x93, 0x5FC11E, "93", "Retired Key Management 18", false, true, true, false },
	{ 0x94, 0x5FC11F, "94", "Retired Key Management 19", false, true, true, false },
	{ 0x95, 0x5FC120, "95", "Retired Key Management 20", false, true, true, false },
};

static const struct {
	uint32_t tag;
	const char *name;
} objects[] = {
	{ PIV_OBJ_CHUID, "CHUID" },
	{ PIV_OBJ_DISCOVERY, "Discovery object" },
	{ PIV_OBJ_HISTORY, "Key History object" },
	{ PIV_OBJ_SECURITY, "Security Object" },
	{ PIV_OBJ_CCC, "Card Capability Container" },
	{ 0x5FC103, "fingerprints" },
	{ 0x5FC108, "facial image" },
	{ PIV_OBJ_PRINTED, "Printed Information" },
	{ PIV_OBJ_ATTESTER, "attestation certificate" },
	{ 0x5FC121, "iris images" },
	{ 0x5FC122, "secure messaging signer" },
	{ 0x5FC123, "pairing code" },
	{ 0x7F61, "biometric information" },
};

enum kind { KIND_NONE, KIND_CIPHER, KIND_RSA, KIND_EC, KIND_EDWARDS };

/* By identifier: asked for in every operation. */
static const struct alg_row {
	enum kind kind;
	size_t len; /* modulus or field, bytes */
	int nid;    /* curve, or key type */
} algs[256] = {
	[PIV_ALG_3DES] = { KIND_CIPHER, 0, NID_des_ede3_ecb },
	[PIV_ALG_AES128] = { KIND_CIPHER, 0, NID_aes_128_ecb },
	[PIV_ALG_AES192] = { KIND_CIPHER, 0, NID_aes_192_ecb },
	[PIV_ALG_AES256] = { KIND_CIPHER, 0, NID_aes_256_ecb },
	[PIV_ALG_RSA1024] = { KIND_RSA, 128, NID_rsaEncryption },
	[PIV_ALG_RSA2048] = { KIND_RSA, 256, NID_rsaEncryption },
	[PIV_ALG_RSA3072] = { KIND_RSA, 384, NID_rsaEncryption },
	[PIV_ALG_RSA4096] = { KIND_RSA, 512, NID_rsaEncryption },
	[PIV_ALG_P256] = { KIND_EC, 32, NID_X9_62_prime256v1 },
	[PIV_ALG_P384] = { KIND_EC, 48, NID_secp384r1 },
	[PIV_ALG_ED25519] = { KIND_EDWARDS, 32, NID_ED25519 },
	[PIV_ALG_X25519] = { KIND_EDWARDS, 32, NID_X25519 },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

const struct piv_key_info *
piv_key_row(size_t i)
{
	return i < COUNT(keys) ? &keys[i] : NULL;
}

const struct piv_key_info *
piv_key_find(uint8_t ref)
{
	size_t i;

	for (i = 0; i < COUNT(keys); i++)
		if (keys[i].ref == ref)
			return &keys[i];
	return NULL;
}

const char *
piv_object_name(uint32_t tag)
{
	size_t i;

	for (i = 0; i < COUNT(objects); i++)
		if (objects[i].tag == tag)
			return objects[i].name;
	for (i = 0; i < COUNT(keys); i++)
		if (keys[i].cert_tag == tag)
			return keys[i].use;
	return "data object";
}

static const struct alg_row *
alg_row(enum piv_alg alg)
{
	static const struct alg_row none = { KIND_NONE, 0, NID_undef };

	return alg >= 0 && (size_t)alg < COUNT(algs) ? &algs[alg] : &none;
}

size_t
piv_alg_len(enum piv_alg alg)
{
	return alg_row(alg)->len;
}

int
piv_alg_nid(enum piv_alg alg)
{
	return alg_row(alg)->nid;
}

bool
piv_alg_is_rsa(enum piv_alg alg)
{
	return alg_row(alg)->kind == KIND_RSA;
}

bool
piv_alg_is_ec(enum piv_alg alg)
{
	return alg_row(alg)->kind == KIND_EC;
}
