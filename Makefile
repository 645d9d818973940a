# SPDX-License-Identifier: BSD-2-Clause
# One makefile, not recursive. `make` builds everything into build/; the other targets are listed by `make help`.

BUILD   ?= build
prefix  ?= /usr/local
VERSION := 0.1

# Packages by target; `make demo` and `make check` install what is missing (Debian, as root).
ifneq ($(filter demo check bench fuzz deps,$(MAKECMDGOALS)),)
NEED := $(shell tests/need $(filter demo check bench fuzz deps,$(MAKECMDGOALS)) >&2 || echo failed)
ifneq ($(NEED),)
$(error packages are missing; see above)
endif
endif

PKGS_base   := libcrypto
PKGS_hw     := libpcsclite libcrypto zlib p11-kit-1
PKGS_p11    := p11-kit-1
PKGS_derive := libcrypto libssl libcurl libp11 p11-kit-1 sqlite3 jansson libqrencode
PKGS_cli    := libsystemd
PKGS_issuer := libevent libevent_openssl
PKGS_vcard  := jansson libcrypto zlib
PKGS_all    := $(sort $(PKGS_base) $(PKGS_hw) $(PKGS_p11) $(PKGS_derive) $(PKGS_cli) $(PKGS_issuer) $(PKGS_vcard))

pc_libs  = $(shell pkg-config --libs $(1))
ifneq ($(filter-out help clean deps,$(or $(MAKECMDGOALS),all)),)
pc_flags := $(shell pkg-config --cflags $(PKGS_all))
ifneq ($(.SHELLSTATUS),0)
$(error libraries are missing; on Debian, as root: make deps)
endif
endif

libdir     ?= $(prefix)/lib
moduledir  ?= $(libdir)/pkcs11
mandir     ?= $(prefix)/share/man
unitdir    ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
enginesdir ?= $(shell pkg-config --variable=enginesdir libcrypto)
# where other PKCS#11 modules are that are named without a path
p11moddir  ?= $(shell pkg-config --variable=p11_module_path p11-kit-1)
modconfdir ?= $(shell pkg-config --variable=p11_module_configs p11-kit-1)

WARN  := -Wall -Wextra -Werror -Wshadow -Wcast-qual -Wwrite-strings -Wmissing-prototypes -Wbad-function-cast \
	-Wimplicit-fallthrough -Wformat=2 -Wvla -Wundef
CFLAGS ?= -O2 -g
HARD  := -fstack-protector-strong -fPIC -fvisibility=hidden
ifndef SAN
HARD  += -D_FORTIFY_SOURCE=2
else
# SAN=address,undefined or SAN=thread
HARD  += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
LSAN  := -fsanitize=$(SAN)
endif
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DDPIV_VERSION='"$(VERSION)"' -DDPIV_MODULE='"$(moduledir)/dpiv-pkcs11.so"' \
	-DP11_MODULE_DIR='"$(p11moddir)"' \
	$(WARN) $(HARD) -I. -MMD -MP $(pc_flags) $(CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now $(LSAN) $(LDFLAGS)

# --- rooms ---------------------------------------------------------------------------------------------------------
base_src   := $(sort $(wildcard base/*.c))
hw_src     := $(sort $(wildcard hw/*.c))
engine_src := $(sort $(wildcard pkcs11/engine*.c))
p11_src    := $(sort $(filter-out $(engine_src),$(wildcard pkcs11/*.c)))
derive_src := $(sort $(wildcard derive/*.c))
issuer_main := derive/issuer/main.c
issuer_src := $(sort $(filter-out $(issuer_main),$(wildcard derive/issuer/*.c)))
cli_main   := cli/main.c
cli_src    := $(sort $(filter-out $(cli_main),$(wildcard cli/*.c)))
vcard_main := tests/vcard/main.c
vcard_src  := $(sort $(filter-out $(vcard_main),$(wildcard tests/vcard/*.c)))
test_src   := $(sort $(wildcard tests/unit/test_*.c))
testlib_src := $(sort $(wildcard tests/lib/*.c))
fuzz_src   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
bench_src  := $(sort $(wildcard tests/bench/*.c))
conform_src := $(sort $(wildcard tests/p11/*.c))

# V=1 shows the commands.
Q := $(if $(V),,@)
say = @echo "  $(1) $@"

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
base_a   := $(BUILD)/obj/base.a
hw_a     := $(BUILD)/obj/hw.a
p11_a    := $(BUILD)/obj/p11.a
derive_a := $(BUILD)/obj/derive.a
issuer_a := $(BUILD)/obj/issuer.a
cli_a    := $(BUILD)/obj/cli.a
vcard_a  := $(BUILD)/obj/vcard.a
testlib_a := $(BUILD)/obj/testlib.a

products := $(BUILD)/dpiv-pkcs11.so $(BUILD)/dpiv.so $(BUILD)/dpiv $(BUILD)/dpiv-issuer $(BUILD)/dpiv-vcard
tests    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(test_src))
fuzzers  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(fuzz_src))
benches  := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(bench_src))

.PHONY: all demo check bench fuzz install deps unit help clean
.DELETE_ON_ERROR:
all: $(products)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# What has the places of installation in it is compiled again when `make install` is told others.
placed := $(shell grep -lwE 'DPIV_MODULE|P11_MODULE_DIR' $(hw_src) $(engine_src) $(p11_src) $(derive_src) $(cli_src))
$(call obj,$(placed)): $(BUILD)/places
$(BUILD)/places: always
	@mkdir -p $(@D)
	@echo '$(moduledir) $(p11moddir)' | cmp -s - $@ || echo '$(moduledir) $(p11moddir)' >$@
.PHONY: always

$(base_a): $(call obj,$(base_src))
$(hw_a): $(call obj,$(hw_src))
$(p11_a): $(call obj,$(p11_src))
$(derive_a): $(call obj,$(derive_src))
$(issuer_a): $(call obj,$(issuer_src))
$(cli_a): $(call obj,$(cli_src))
$(vcard_a): $(call obj,$(vcard_src))
$(testlib_a): $(call obj,$(testlib_src))
%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)
	$(Q)ar rcsD $@ $^

# --- products ------------------------------------------------------------------------------------------------------
$(BUILD)/dpiv-pkcs11.so: $(call obj,$(p11_src)) $(hw_a) $(base_a) pkcs11/module.map
	$(call say,LD)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--version-script=pkcs11/module.map -Wl,-z,nodelete -Wl,--no-undefined -o $@ \
		$(filter %.o %.a,$^) $(call pc_libs,$(PKGS_hw)) -lpthread

$(BUILD)/dpiv.so: $(call obj,$(engine_src)) $(base_a) pkcs11/engine.map
	$(call say,LD)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--version-script=pkcs11/engine.map -Wl,--no-undefined -o $@ \
		$(filter %.o %.a,$^) $(call pc_libs,libcrypto libp11 p11-kit-1)

$(BUILD)/dpiv: $(call obj,$(cli_main)) $(cli_a) $(derive_a) $(base_a)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pc_libs,$(PKGS_derive) $(PKGS_cli)) -lpthread

$(BUILD)/dpiv-issuer: $(call obj,$(issuer_main)) $(issuer_a) $(derive_a) $(base_a)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pc_libs,$(PKGS_derive) $(PKGS_issuer)) -lpthread

$(BUILD)/dpiv-vcard: $(call obj,$(vcard_main)) $(vcard_a)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pc_libs,$(PKGS_vcard))

# --- tests ---------------------------------------------------------------------------------------------------------
# A unit test may use every room, the virtual card (in process) and cmocka.
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(testlib_a) $(p11_a) $(issuer_a) $(cli_a) $(derive_a) $(hw_a) $(base_a) $(vcard_a)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
		$(call pc_libs,$(PKGS_all) cmocka) -lpthread -ldl

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(call obj,tests/lib/minipki.c) $(base_a)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call pc_libs,$(PKGS_all)) -lpthread -ldl

# The rules of PKCS#11, asked of any module: nothing of dpiv is in it.
$(BUILD)/p11-conform: $(call obj,$(conform_src))
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpthread -ldl

$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(p11_a) $(issuer_a) $(cli_a) $(derive_a) $(hw_a) $(base_a) $(vcard_a)
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
		$(call pc_libs,$(PKGS_all)) -lpthread -ldl

unit: $(tests)
	@for t in $(tests); do echo "== $$t"; $$t || exit 1; done

check:
	tests/run

demo:
	$(MAKE) --no-print-directory -j$$(nproc) all
	tests/demo

bench:
	$(MAKE) --no-print-directory all
	tests/bench/run

FUZZ_SECONDS ?= 60
fuzz:
	$(MAKE) --no-print-directory CC=clang-14 BUILD=$(BUILD)-fuzz SAN=fuzzer-no-link,address,undefined fuzzers
	tests/fuzz/run $(BUILD)-fuzz $(FUZZ_SECONDS)
.PHONY: fuzzers
fuzzers: $(fuzzers)
.PHONY: test-programs threads-programs valgrind-programs
test-programs: $(tests)
threads-programs: $(filter %_threads,$(tests))
valgrind-programs: $(addprefix $(BUILD)/tests/,$(shell cat tests/valgrind.list))

deps:
	@echo "everything is installed"

# --- install -------------------------------------------------------------------------------------------------------
install: all
	install -D -m 755 $(BUILD)/dpiv $(DESTDIR)$(prefix)/bin/dpiv
	install -D -m 755 $(BUILD)/dpiv-issuer $(DESTDIR)$(prefix)/bin/dpiv-issuer
	install -D -m 755 $(BUILD)/dpiv-vcard $(DESTDIR)$(prefix)/bin/dpiv-vcard
	install -D -m 644 $(BUILD)/dpiv-pkcs11.so $(DESTDIR)$(moduledir)/dpiv-pkcs11.so
	install -D -m 644 $(BUILD)/dpiv.so $(DESTDIR)$(enginesdir)/dpiv.so
	install -d $(DESTDIR)$(modconfdir)
	sed 's|@module@|$(moduledir)/dpiv-pkcs11.so|' docs/dpiv-pkcs11.module >$(DESTDIR)$(modconfdir)/dpiv-pkcs11.module
	chmod 644 $(DESTDIR)$(modconfdir)/dpiv-pkcs11.module
	install -d $(DESTDIR)$(unitdir)
	for u in service socket; do for f in docs/dpiv-issuer*@.$$u; do \
		sed 's|@bindir@|$(prefix)/bin|' $$f >$(DESTDIR)$(unitdir)/$${f#docs/} && \
		chmod 644 $(DESTDIR)$(unitdir)/$${f#docs/} || exit 1; done; done
	install -D -m 644 docs/dpiv-issuer.sysusers $(DESTDIR)$(sysusersdir)/dpiv-issuer.conf
	for p in $(notdir $(wildcard docs/*.[1-8])); do \
		install -D -m 644 docs/$$p $(DESTDIR)$(mandir)/man$${p##*.}/$$p || exit 1; done

help:
	@echo "make          build everything into $(BUILD)/"
	@echo "make demo     install what is missing, then derive, sign, verify, encrypt and decrypt; leaves build/demo/"
	@echo "make check    install what is missing, then run every test"
	@echo "make bench    APDU counts and speed beside the peers that are installed"
	@echo "make fuzz     every fuzz target for FUZZ_SECONDS (60) each"
	@echo "make install  DESTDIR= prefix=/usr/local"
	@echo "variables     CC CFLAGS LDFLAGS BUILD SAN=address,undefined"

clean:
	rm -rf $(BUILD) $(BUILD)-*

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
