# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Sourced by every shell test: . tests/lib/shell.sh   (from the root of the checkout, bash)
#
#   $BUILD  the build directory (default build), absolute        $TMP  a fresh directory, removed at the end
#   check NAME CMD...        ok when CMD succeeds
#   refuse NAME CMD...       ok when CMD fails (any status but a signal)
#   status N NAME CMD...     ok when CMD exits with N
#   says TEXT NAME CMD...    ok when CMD's output (both streams) contains TEXT, whatever its status
#   at_end CMD               run CMD when the test ends, however it ends (newest first)
# Each prints "ok - NAME" or "not ok - NAME" with CMD's output. The test's exit status is 1 when any was not ok, or when
# none was run. Every command runs at most $LIMIT seconds (60).

set -u
ROOT=$PWD
BUILD=$(mkdir -p "${BUILD:-build}" && cd "${BUILD:-build}" && pwd)
TMP=$(mktemp -d "${TMPDIR:-/tmp}/dpiv-test.XXXXXX")
LIMIT=${LIMIT:-60}
export BUILD TMP XDG_CACHE_HOME=$TMP/cache XDG_STATE_HOME=$TMP/state
export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent # tests show nothing on the desktop of who runs them
_passed=0 _failed=0 _end=()

at_end() {
	_end=("$1" "${_end[@]}")
}

_finish() {
	local status=$?
	for c in "${_end[@]}"; do eval "$c"; done
	rm -rf "$TMP"
	[ "$status" -eq 0 ] && [ $((_passed + _failed)) -eq 0 ] && { echo "not ok - no check was run"; status=1; }
	[ "$_failed" -eq 0 ] || status=1
	exit "$status"
}
trap _finish EXIT
trap 'exit 130' INT TERM

pass() {
	_passed=$((_passed + 1))
	echo "ok - $1"
}

fail() {
	_failed=$((_failed + 1))
	echo "not ok - $1"
	[ -z "${2-}" ] || sed 's/^/    /' <<<"$2"
}

# _run CMD...: output in $_out, status in $_status. Functions work too.
_run() {
	if [ "$(type -t "$1")" = function ]; then
		_out=$("$@" 2>&1 </dev/null)
	else
		_out=$(timeout -k 5 "$LIMIT" "$@" 2>&1 </dev/null)
	fi
	_status=$?
}

check() {
	local name=$1
	shift
	_run "$@"
	if [ "$_status" -eq 0 ]; then pass "$name"; else fail "$name" "exit status $_status of: $*
$_out"; fi
}

refuse() {
	local name=$1
	shift
	_run "$@"
	if [ "$_status" -gt 0 ] && [ "$_status" -lt 124 ]; then pass "$name"; else fail "$name" "exit status $_status of: $*
$_out"; fi
}

status() {
	local want=$1 name=$2
	shift 2
	_run "$@"
	if [ "$_status" -eq "$want" ]; then pass "$name"; else fail "$name" "exit status $_status, not $want, of: $*
$_out"; fi
}

says() {
	local text=$1 name=$2
	shift 2
	_run "$@"
	if grep -qF -- "$text" <<<"$_out"; then pass "$name"; else fail "$name" "no \"$text\" in the output of: $*
$_out"; fi
}

# softhsm_token LABEL: a fresh SoftHSM2 token with PIN 123456, SO PIN 12345678, in $TMP; sets SOFTHSM2_CONF, SOFTHSM.
softhsm_token() {
	SOFTHSM=$(find /usr/lib -name libsofthsm2.so -print -quit)
	SOFTHSM2_CONF=$TMP/softhsm2.conf
	export SOFTHSM SOFTHSM2_CONF
	mkdir -p "$TMP/tokens"
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n' \
		"$TMP/tokens" >"$SOFTHSM2_CONF"
	softhsm2-util --init-token --free --label "$1" --so-pin 12345678 --pin 123456 >/dev/null
	echo 123456 >"$TMP/pin"
	chmod 600 "$TMP/pin"
}
