# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For tests that derive: a demo agency, cards certified by it, an issuer or a hostile server, fresh SoftHSM2 tokens.
#
#   derive_inside OPTIONS...   first line of the test, before shell.sh: makes the agency and one card for each OPTIONS (of
#                              dpiv-vcard make), or an empty PIV token for blank:MEMBERS (token_blank), then runs the
#                              same script again inside tests/with-card
# Then, after shell.sh:
#   issuer_start [OPTIONS of dpiv-issuer serve]    ISSUER, killed at the end; issuer_stop
#   token_fresh LABEL [PIN]    an empty token: TO, the state store and HOME are fresh as well
#   card N                     CARD_URI (with its PIN's file), CARD_SERIAL, CARD_LABEL of the N-th card (from 1)
#   card_cert FILE             its PIV Authentication certificate
#   derive OPTIONS...          dpiv derive from the card into the token
#   token_objects              what is on the token, sorted
#   hostile_start MODE [CERT KEY]    tests/faults/hostile.py in the issuer's place, its log in $TMP/server.log; hostile_stop

# token_blank MEMBERS: the image of a PIV token with the demo secrets and nothing on it; MEMBERS of the image besides
token_blank() {
	cat <<-JSON
	{"format": "piv-image-1", "name": "token", "pin": "123456", "puk": "12345678", $1${1:+,}
	 "mgmt_key": "010203040506070801020304050607080102030405060708"}
	JSON
}

derive_inside() {
	[ -z "${DERIVE_DIR-}" ] || return 0
	local n=0 images=() status opts build=${BUILD:-build}
	DERIVE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dpiv-derive.XXXXXX")
	export DERIVE_DIR
	"$build/dpiv-issuer" init --demo "$DERIVE_DIR/agency" >"$DERIVE_DIR/init.log" 2>&1 || cat "$DERIVE_DIR/init.log"
	for opts in "$@"; do
		n=$((n + 1))
		images+=(--image "$DERIVE_DIR/$n.json")
		[ "${opts#blank:}" = "$opts" ] || { token_blank "${opts#blank:}" >"$DERIVE_DIR/$n.json"; continue; }
		# shellcheck disable=SC2086
		"$build/dpiv-vcard" make $opts --ca-cert "$DERIVE_DIR/agency/ca.pem" --ca-key "$DERIVE_DIR/agency/private/ca.key" \
			--name "Pat Example" --email pat@example.test "$DERIVE_DIR/$n.json" || exit 1
	done
	tests/with-card "${images[@]}" -- "$0"
	status=$?
	rm -rf "$DERIVE_DIR"
	exit $status
}

issuer_start() {
	: >"$TMP/issuer.log"
	"$BUILD/dpiv-issuer" serve "$@" "$DERIVE_DIR/agency" >"$TMP/issuer.log" 2>&1 &
	ISSUER_PID=$!
	ISSUER=https://localhost:8443
	for _ in $(seq 100); do
		grep -q '^listening on' "$TMP/issuer.log" && return 0
		kill -0 $ISSUER_PID 2>/dev/null || break
		sleep 0.05
	done
	cat "$TMP/issuer.log"
	return 1
}

issuer_stop() {
	[ -z "${ISSUER_PID-}" ] || { kill "$ISSUER_PID" 2>/dev/null; wait "$ISSUER_PID" 2>/dev/null; }
	ISSUER_PID=
}

# What an earlier server has logged must not be read as this one's.
hostile_start() {
	local a=$DERIVE_DIR/agency
	: >"$TMP/server.log"
	/usr/bin/python3 tests/faults/hostile.py "$1" "${2:-$a/tls.pem}" "${3:-$a/private/tls.key}" "$a/chain.pem" \
		"$a/private/ca.key" >"$TMP/server.log" 2>&1 &
	HOSTILE_PID=$!
	for _ in $(seq 100); do
		grep -q '^ready' "$TMP/server.log" && return 0
		kill -0 $HOSTILE_PID 2>/dev/null || break
		sleep 0.05
	done
	fail "the hostile server starts as $1" "$(cat "$TMP/server.log")"
}

hostile_stop() {
	[ -z "${HOSTILE_PID-}" ] || { kill "$HOSTILE_PID"; wait "$HOSTILE_PID"; } 2>/dev/null
	HOSTILE_PID=
}

token_fresh() {
	local label=$1 pin=${2:-123456}
	rm -rf "$TMP/tokens" "$TMP/state" "$TMP/home"
	mkdir -p "$TMP/home"
	export HOME=$TMP/home XDG_STATE_HOME=$TMP/state XDG_CONFIG_HOME=$TMP/home/.config
	softhsm_token "$label"
	if [ "$pin" != 123456 ]; then
		softhsm2-util --init-token --token "$label" --label "$label" --so-pin 12345678 --pin "$pin" >/dev/null
		echo "$pin" >"$TMP/pin"
	fi
	TOKEN_PIN=$pin
	TO="pkcs11:token=$label?module-path=${MODULE:-$SOFTHSM}&pin-source=file:$TMP/pin"
}

# The readers are "Virtual PCD 00 00", or "Virtual PCD N 00 00" where there are several; cards may take a moment to be seen.
card() {
	local n=$(($1 - 1)) found
	echo 123456 >"$TMP/card.pin"
	for _ in $(seq 50); do
		found=$(pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" -L 2>/dev/null | awk -v n=$n '
			/^Slot/ { here = $0 ~ ("Virtual PCD " n " 00 00") || $0 ~ /Virtual PCD 00 00/ }
			here && /token label/ { sub(/.* : /, ""); label = $0 }
			here && /serial num/ { print $NF "/" label; exit }')
		[ -z "$found" ] || break
		sleep 0.1
	done
	CARD_SERIAL=${found%%/*} CARD_LABEL=${found#*/}
	CARD_URI="pkcs11:serial=$CARD_SERIAL?pin-source=file:$TMP/card.pin"
}

# card_cert FILE: its PIV Authentication certificate as PEM
card_cert() {
	pkcs11-tool --module "$BUILD/dpiv-pkcs11.so" --token-label "$CARD_LABEL" --read-object --type cert --id 01 \
		-o "$TMP/card.der" >/dev/null 2>&1 && openssl x509 -inform DER -in "$TMP/card.der" -out "$1"
}

derive() {
	"$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer "${ISSUER:-https://localhost:8443}" \
		--cafile "${CAFILE:-$DERIVE_DIR/agency/root.pem}" "$@"
}

token_objects() {
	pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" -O 2>/dev/null | grep -v '^Using slot' | sort
}

# token_cert ID FILE: the certificate of this CKA_ID as PEM
token_cert() {
	pkcs11-tool --module "$SOFTHSM" --read-object --type cert --id "$1" -o "$TMP/cert.der" >/dev/null 2>&1 &&
		openssl x509 -inform DER -in "$TMP/cert.der" -out "$2"
}

# shim_build: MODULE, tests/faults/p11_shim.c in front of SoftHSM2. Use token_fresh after it; shim RULE COMMAND... applies a rule.
shim_build() {
	SOFTHSM=$(find /usr/lib -name libsofthsm2.so -print -quit)
	MODULE=$TMP/shim.so
	export P11_SHIM_MODULE=$SOFTHSM
	# shellcheck disable=SC2046
	gcc -shared -fPIC -O1 -Wall -o "$MODULE" tests/faults/p11_shim.c $(pkg-config --cflags p11-kit-1) -ldl
}

shim() {
	local rule=$1
	shift
	P11_SHIM_RULE=$rule "$@"
}

# call_build: CALL, a program that renews and revokes (tests/interop/derive_call.c); call ACTION ROLE uses TO, ISSUER, PROTOCOL …
call_build() {
	CALL=$TMP/derive_call
	# shellcheck disable=SC2046
	gcc -O1 -Wall -D_GNU_SOURCE -I. -o "$CALL" tests/interop/derive_call.c "$BUILD/obj/derive.a" "$BUILD/obj/base.a" \
		$(pkg-config --cflags --libs libcrypto libssl libcurl libp11 p11-kit-1 sqlite3 jansson) -lpthread
}

call() {
	TO=$TO ISSUER=$ISSUER CAFILE=${CAFILE:-$DERIVE_DIR/agency/root.pem} "$CALL" "$@"
}

# issuer_conf LINE...: an [issuer peer] in dpiv.conf with these lines, and what derive_conf uses
issuer_conf() {
	mkdir -p "$XDG_CONFIG_HOME/dpiv"
	printf '%s\n' '[issuer peer]' "url = $ISSUER" "cafile = ${CAFILE:-$DERIVE_DIR/agency/root.pem}" "$@" \
		>"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}

derive_conf() {
	"$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer peer "$@"
}

# token_pubkey ID FILE: the public key of this CKA_ID as PEM
token_pubkey() {
	pkcs11-tool --module "$SOFTHSM" --login --pin "$TOKEN_PIN" --read-object --type pubkey --id "$1" -o "$TMP/pub.der" \
		>/dev/null 2>&1 && openssl pkey -pubin -inform DER -in "$TMP/pub.der" -out "$2"
}

# derived_cert PUB.pem SERIAL OUT.pem: a derived PIV Authentication certificate of the agency for this key and the card's name
derived_cert() {
	card_cert "$TMP/card.pem" && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/dummy.key" 2>/dev/null &&
		openssl x509 -x509toreq -in "$TMP/card.pem" -key "$TMP/dummy.key" -out "$TMP/dummy.csr" 2>/dev/null &&
		openssl x509 -req -in "$TMP/dummy.csr" -force_pubkey "$1" -CA "$DERIVE_DIR/agency/ca.pem" \
			-CAkey "$DERIVE_DIR/agency/private/ca.key" -set_serial "$2" -days 90 -sha256 -out "$3" -extfile <(
				cat <<EXT
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
certificatePolicies = 2.16.840.1.101.3.2.1.3.40
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:urn:uuid:$(cat /proc/sys/kernel/random/uuid)
EXT
			) 2>"$TMP/x509.err" || { cat "$TMP/x509.err"; return 1; }
}

# sql FILE STATEMENT: the first column of the first row
sql() {
	python3 -c 'import sqlite3, sys; print(*(sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute(sys.argv[2]).fetchone() or [""])[:1])' "$@"
}
