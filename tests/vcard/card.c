/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contacts of the virtual card: an APDU comes in, the command table says who handles it, a response goes out.
 * Here are the rules that hold for all commands (SP 800-73-5 Part 2, 2.4 and 3):
 *
 *  - command chaining (CLA 10): pieces of one command, same INS P1 P2, without Le; anything else in between drops the
 *    whole chain without effect, and is executed itself;
 *  - response chaining: 61xx and GET RESPONSE; any other command throws the rest away;
 *  - PIN always: only a GENERAL AUTHENTICATE with 9C (all its pieces) finds the VERIFY before it still fresh;
 *  - a challenge or witness of 9B lives for the very next command only;
 *  - outside the PIV application there is no PIV command.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "tests/vcard/model.h"

enum { CHAIN = 1, NO_LE = 2, YUBIKEY = 4, ANY_APP = 8 };

static const struct command {
	uint8_t ins;
	int flags;
	vc_handler *run;
	uint8_t since[2]; /* firmware, YubiKey */
} commands[] = {
	{ 0xA4, ANY_APP, vc_select, { 0, 0 } },
	{ 0xCB, 0, vc_get_data, { 0, 0 } },
	{ 0x20, NO_LE, vc_verify, { 0, 0 } },
	{ 0x24, NO_LE, vc_change_reference, { 0, 0 } },
	{ 0x2C, NO_LE, vc_reset_retry, { 0, 0 } },
	{ 0x87, CHAIN, vc_general_authenticate, { 0, 0 } },
	{ 0xDB, CHAIN | NO_LE, vc_put_data, { 0, 0 } },
	{ 0x47, CHAIN, vc_generate, { 0, 0 } },
	{ 0xF6, YUBIKEY, vc_yk_move, { 5, 7 } },
	{ 0xF7, YUBIKEY, vc_yk_metadata, { 5, 3 } },
	{ 0xF8, YUBIKEY, vc_yk_serial, { 5, 0 } },
	{ 0xF9, YUBIKEY, vc_yk_attest, { 4, 3 } },
	{ 0xFA, YUBIKEY, vc_yk_retries, { 0, 0 } },
	{ 0xFB, YUBIKEY, vc_yk_wipe, { 0, 0 } },
	{ 0xFD, YUBIKEY, vc_yk_version, { 0, 0 } },
	{ 0xFE, YUBIKEY | CHAIN, vc_yk_import, { 0, 0 } },
	{ 0xFF, YUBIKEY, vc_yk_set_mgmt, { 0, 0 } },
};

/* Longest command that chaining may build; SP 800-73-5 Part 1 table 7: the facial image is the largest object. */
#define CHAIN_MAX 16384

void
vc_say(char *why, const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return;
	va_start(ap, fmt);
	vsnprintf(why, VCARD_WHY, fmt, ap);
	va_end(ap);
}

void
vc_wait(struct vcard *vc, unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	if (vc->sleep)
		vc->sleep(vc->sleep_arg, ms);
	else
		nanosleep(&t, NULL);
}

struct vcard *
vc_new(void)
{
	struct vcard *vc = calloc(1, sizeof *vc);

	if (!vc)
		return NULL;
	vc->present = true;
	vc->absence = -1;
	vc->opt = (struct vc_options){ .select_default = true,
		.le_required = true,
		.max_object = 3072,
		.memory = 1 << 18,
		.version = { 5, 4, 3 } };
	return vc;
}

void
vcard_free(struct vcard *vc)
{
	if (!vc)
		return;
	vcard_free(vc->second);
	for (size_t i = 0; i < VC_KEYS; i++)
		EVP_PKEY_free(vc->key[i].pkey);
	for (size_t i = 0; i < vc->objects; i++)
		free(vc->object[i].p);
	free(vc->object);
	free(vc->name);
	free(vc->notes);
	vc_out_free(&vc->chain.data);
	vc_out_free(&vc->pending);
	vcard_fault_clear(vc);
	OPENSSL_cleanse(vc, sizeof *vc);
	free(vc);
}

bool
vcard_become(struct vcard *vc, const char *path, char *why)
{
	struct vcard *new = vcard_load(path, why), was;

	if (!new)
		return false;
	was = *vc;
	*vc = *new;
	vc->present = was.present;
	vc->absence = was.absence;
	vc->fault = was.fault;
	vc->faults = was.faults;
	vc->hook = was.hook;
	vc->hook_arg = was.hook_arg;
	vc->sleep = was.sleep;
	vc->sleep_arg = was.sleep_arg;
	vc->stats = was.stats;
	vc->log = was.log;
	was.fault = NULL;
	was.faults = 0;
	*new = was;
	vcard_free(new);
	return true;
}

void
vc_security_clear(struct vcard *vc)
{
	for (int i = 0; i < VC_SECRETS; i++)
		vc->secret[i].verified = false;
	vc->admin = vc->fresh = false;
	vc->nonce_kind = 0;
}

static void
chain_drop(struct vcard *vc)
{
	vc->chain.open = false;
	vc_out_clear(&vc->chain.data);
}

void
vc_transfer_clear(struct vcard *vc)
{
	chain_drop(vc);
	vc_out_clear(&vc->pending);
	vc->pending_at = 0;
}

void
vcard_reset(struct vcard *vc)
{
	vc_security_clear(vc);
	vc_transfer_clear(vc);
	vc->app = vc->opt.select_default ? APP_PIV : APP_NONE;
	if (vc->second) {
		vcard_reset(vc->second);
		vc->second->app = APP_NONE;
	}
	vc->stats.resets++;
}

void
vcard_remove(struct vcard *vc)
{
	vc->present = false;
	vc->absence = -1;
}

void
vcard_insert(struct vcard *vc)
{
	vc->present = true;
	vc->absence = -1;
	vcard_reset(vc);
}

/* GET RESPONSE and the first part of every response: as much as Le allows, 61xx when there is more. */
static uint16_t
respond(struct vcard *vc, size_t le, struct vc_out *out)
{
	size_t left = vc->pending.n - vc->pending_at, n = left < le ? left : le;

	if (n)
		vc_out_put(out, vc->pending.p + vc->pending_at, n);
	vc->pending_at += n;
	left -= n;
	if (left == 0) {
		vc_out_clear(&vc->pending);
		vc->pending_at = 0;
		return SW_OK;
	}
	return (uint16_t)(SW_MORE | (left < 256 ? left : 0));
}

static uint16_t
get_response(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	if (a->cla & 0x10)
		return SW_NO_CHAINING;
	if (a->p1 || a->p2)
		return SW_P1P2;
	if (a->data.n || !a->has_le)
		return SW_LENGTH;
	return vc->pending.n ? respond(vc, a->le, out) : SW_CONDITIONS;
}

/* Collect one piece. The last one leaves the whole command in *a. *done: a is ready to run. */
static uint16_t
chain(struct vcard *vc, const struct command *c, struct vc_apdu *a, bool *done)
{
	bool more = a->cla & 0x10;

	*done = false;
	if (vc->chain.open && (vc->chain.ins != a->ins || vc->chain.p1 != a->p1 || vc->chain.p2 != a->p2))
		chain_drop(vc);
	if (more && !(c->flags & CHAIN))
		return SW_NO_CHAINING;
	if (more && (a->has_le || a->data.n == 0)) {
		chain_drop(vc);
		return SW_LENGTH;
	}
	*done = !more;
	if (!more && !vc->chain.open)
		return SW_OK;
	vc_out_put(&vc->chain.data, a->data.p, a->data.n);
	if (vc->chain.data.bad || vc->chain.data.n > CHAIN_MAX) {
		chain_drop(vc);
		*done = false;
		return SW_MEMORY;
	}
	vc->chain.open = true;
	vc->chain.ins = a->ins;
	vc->chain.p1 = a->p1;
	vc->chain.p2 = a->p2;
	a->data = vc_out_view(&vc->chain.data);
	return SW_OK;
}

static const struct command *
command_find(const struct vcard *vc, uint8_t ins)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (commands[i].ins == ins && (!(commands[i].flags & YUBIKEY) || vc->opt.yubikey) &&
		    memcmp(vc->opt.version, commands[i].since, 2) >= 0 &&
		    ((commands[i].flags & ANY_APP) || vc->app == APP_PIV))
			return &commands[i];
	return NULL;
}

/* What any command takes away from the ones before it. */
static void
interrupt(struct vcard *vc, const struct vc_apdu *a)
{
	vc_out_clear(&vc->pending);
	vc->pending_at = 0;
	if (a->ins != 0x87 || (a->p2 != 0x9C && !vc->opt.yubikey))
		vc->fresh = false;
	if (a->ins != 0x87 || a->p2 != 0x9B)
		vc->nonce_kind = 0;
}

static uint16_t
run(struct vcard *vc, const struct command *c, struct vc_apdu *a, struct vc_out *out)
{
	uint16_t sw;
	bool done, no_le = (c->flags & NO_LE) && a->data.n && a->has_le;

	if ((sw = chain(vc, c, a, &done)) != SW_OK)
		vc->fresh = false;
	if (sw != SW_OK || !done)
		return sw;
	if (no_le) {
		chain_drop(vc);
		return SW_LENGTH;
	}
	sw = c->run(vc, a, &vc->pending);
	if (a->ins == 0x87)
		vc->fresh = false;
	chain_drop(vc);
	if (sw != SW_OK || vc->pending.bad) {
		vc_out_clear(&vc->pending);
		return sw == SW_OK ? SW_INTERNAL : sw;
	}
	if (!a->has_le)
		a->le = vc->opt.le_required ? 0 : 256;
	return respond(vc, a->le, out);
}

/* The card at which a command arrives: all but SELECT belong to the application that is selected. */
static struct vcard *
addressee(struct vcard *vc, const struct vc_apdu *a)
{
	struct vcard *now = vc_current(vc);

	if (now == vc || a->ins != 0xA4)
		return now;
	now->fresh = false;
	now->nonce_kind = 0;
	vc_transfer_clear(now);
	return vc;
}

static uint16_t
execute(struct vcard *vc, struct vc_in cmd, struct vc_out *out)
{
	struct vc_apdu a;
	const struct command *c;
	uint16_t sw = vc_apdu_parse(cmd, vc->opt.extended, &a);

	vc = addressee(vc, &a);
	if (sw == SW_OK && a.ins == 0xC0 && (a.cla & 0xEF) == 0) {
		vc->fresh = false;
		vc->nonce_kind = 0;
		chain_drop(vc);
		return get_response(vc, &a, out);
	}
	interrupt(vc, &a);
	if (sw == SW_OK && (a.cla & 0xEF) != 0)
		sw = (a.cla & 0xEF) == 0x0C ? SW_NO_SM : SW_CLA;
	c = command_find(vc, a.ins);
	if (sw == SW_OK && !c)
		sw = SW_INS;
	if (sw != SW_OK) {
		vc->fresh = false;
		chain_drop(vc);
		return sw;
	}
	return run(vc, c, &a, out);
}

static void
log_line(const struct vcard *vc, struct vc_in cmd, const uint8_t *rsp, size_t n)
{
	const uint8_t *c = cmd.p;
	struct timespec t;

	if (!vc->log)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	fprintf(vc->log, "%lld.%03ld n=%lu", (long long)t.tv_sec, t.tv_nsec / 1000000, vc->stats.apdus);
	if (cmd.n >= 4)
		fprintf(vc->log, " cla=%02X ins=%02X p1=%02X p2=%02X", c[0], c[1], c[2], c[3]);
	fprintf(vc->log, " in=%zu out=%zu", cmd.n, n);
	if (n >= 2)
		fprintf(vc->log, " sw=%02X%02X", rsp[n - 2], rsp[n - 1]);
	fputc('\n', vc->log);
	fflush(vc->log);
}

static size_t
reply(struct vcard *vc, struct vc_in cmd, const struct vc_effect *e, uint8_t *rsp, size_t cap)
{
	struct vc_out out = { NULL, 0, 0, false };
	uint16_t sw = e->run ? execute(vc, cmd, &out) : e->sw;
	size_t n = 0;

	if (e->sw) {
		sw = e->sw;
		vc_out_clear(&out);
	}
	vc_out_u8(&out, (uint8_t)(sw >> 8));
	vc_out_u8(&out, (uint8_t)sw);
	if (!out.bad)
		n = out.n < cap ? out.n : cap;
	if (n)
		memcpy(rsp, out.p, n);
	vc_out_free(&out);
	return vc_fault_after(e, rsp, n, cap);
}

size_t
vcard_transmit(struct vcard *vc, const uint8_t *cmd, size_t n, uint8_t *rsp, size_t cap)
{
	struct vc_in in = { cmd, n };
	struct vc_effect e;
	size_t out = 0;

	if (!vc->present)
		return 0;
	vc->stats.apdus++;
	vc->stats.bytes_in += n;
	if (n >= 2)
		vc->stats.per_ins[cmd[1]]++;
	vc_fault_before(vc, in, &e);
	if (vc->hook)
		vc->hook(vc->hook_arg, vc, cmd, n);
	if (vc->present)
		out = reply(vc, in, &e, rsp, cap);
	if (e.remove) {
		vc->present = false;
		vc->absence = e.absence;
		out = 0;
	}
	vc_out_free(&e.reply);
	vc->stats.bytes_out += out;
	log_line(vc, in, rsp, out);
	return out;
}

size_t
vcard_atr(const struct vcard *vc, uint8_t *out, size_t cap)
{
	size_t n = vc->atr_n < cap ? vc->atr_n : cap;

	memcpy(out, vc->atr, n);
	return n;
}

bool
vcard_present(const struct vcard *vc)
{
	return vc->present;
}

int
vcard_absence(const struct vcard *vc)
{
	return vc->absence;
}

const struct vcard_stats *
vcard_stats(const struct vcard *vc)
{
	return &vc->stats;
}

void
vcard_stats_clear(struct vcard *vc)
{
	vc->stats = (struct vcard_stats){ .apdus = 0 };
}

void
vcard_log(struct vcard *vc, FILE *log)
{
	vc->log = log;
}

const char *
vcard_name(const struct vcard *vc)
{
	return vc->name;
}

struct vcard *
vcard_second(struct vcard *vc)
{
	return vc->second;
}
