# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A TPM 2.0 of our own for tests: swtpm, the resource manager in front of it on a bus of its own, tpm2-pkcs11 above. Sourced after
# tests/lib/shell.sh; everything is below $TMP and ends with the test.
#
#   tpm_start          the TPM, at TPM_PID; TPM is the module's path
#   tpm_token LABEL    a token with PIN 123456 and SO PIN 12345678 in its one free slot
#   tpm_store_clear    forgets all tokens: keys of a TPM are kept, wrapped, in a file

TPM=$(find /usr/lib -name 'libtpm2_pkcs11.so' -print -quit)
export TPM2_PKCS11_STORE=$TMP/tpm-store TPM2_PKCS11_TCTI=tabrmd:bus_type=session TPM2_PKCS11_LOG_LEVEL=0 TSS2_LOG=all+NONE

_tpm_port() { # one whose successor is free as well
	local port
	while port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	ss -ltn | grep -q ":$((port + 1)) "; do :; done
	echo "$port"
}

tpm_start() {
	local port
	mkdir -p "$TPM2_PKCS11_STORE" "$TMP/tpm"
	port=$(_tpm_port)
	swtpm socket --tpm2 --tpmstate "dir=$TMP/tpm" --server "type=tcp,port=$port,bindaddr=127.0.0.1" \
	    --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear --seccomp action=none >"$TMP/swtpm.log" 2>&1 &
	TPM_PID=$!
	at_end "kill $TPM_PID 2>/dev/null"
	for _ in $(seq 50); do ss -ltn | grep -q ":$port " && break; sleep 0.1; done
	dbus-daemon --session --nofork --print-address >"$TMP/bus" 2>"$TMP/bus.log" &
	at_end "kill $! 2>/dev/null"
	for _ in $(seq 50); do [ -s "$TMP/bus" ] && break; sleep 0.1; done
	DBUS_SESSION_BUS_ADDRESS=$(cat "$TMP/bus")
	export DBUS_SESSION_BUS_ADDRESS
	tpm2-abrmd --session --allow-root --tcti "swtpm:host=127.0.0.1,port=$port" >"$TMP/abrmd.log" 2>&1 &
	at_end "kill $! 2>/dev/null"
	for _ in $(seq 50); do pkcs11-tool --module "$TPM" -L 2>/dev/null | grep -q 'uninitialized' && return 0; sleep 0.1; done
	cat "$TMP/swtpm.log" "$TMP/abrmd.log"
	return 1
}

tpm_token() {
	pkcs11-tool --module "$TPM" --slot-index 0 --init-token --label "$1" --so-pin 12345678 &&
	    pkcs11-tool --module "$TPM" --slot-index 0 --login --login-type so --so-pin 12345678 --init-pin --new-pin 123456
}

tpm_store_clear() { rm -rf "${TPM2_PKCS11_STORE:?}"/*; }
