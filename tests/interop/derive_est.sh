#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# EST with a server that is not ours: Apache's mod_ssl and a CGI program (tests/interop/est_apache). Enrol, wait for a 202
# within a run and across runs, and renew keys in SoftHSM2, RSA and EC, under TLS 1.2 and 1.3; the client's certificate asked
# for in the first handshake or late.
. tests/lib/derive.sh
derive_inside "--alg p256" "--alg rsa2048"
. tests/lib/shell.sh
. tests/lib/peers.sh
at_end apache_stop
AGENCY=$DERIVE_DIR/agency
export ISSUER=https://localhost:10443
peer_files

keys() { token_objects | grep -c '^Private Key'; }

round() { # CARD ALG DEFINE...
	local what="card $1, $2, ${*:3}" alg=$2
	card "$1"
	shift 2
	apache_start "$@"
	token_fresh laptop
	check "$what: enrolled" derive --alg "$alg"
	token_cert 01 "$TMP/old.pem"
	check "$what: renewed with the old key" call renew auth
	check "$what: one key" test "$(keys)" -eq 1
	check "$what: renewed again" call renew auth
	apache_stop
}
call_build || fail 'the program that renews is built'
round 1 p256 ONLY12
round 1 rsa2048 ONLY13
round 2 p256 ONLY13 LATE
round 2 rsa2048 ONLY12 LATE

# --- an encryption key that the server makes ------------------------------------------------------------------------------
keygen_round() { # CARD DEFINE...
	card "$1"
	apache_start "${@:2}"
	token_fresh laptop
	issuer_conf 'encrypt = serverkeygen'
	check "serverkeygen, card $*: derived" derive_conf --role encrypt
	check "serverkeygen, card $*: one key" test "$(keys)" -eq 1
	ID=$(pkcs11-tool --module "$SOFTHSM" -O --type cert 2>/dev/null | sed -n 's/^  ID: *//p')
	check "serverkeygen, card $*: mail opens" opens
	apache_stop
}
opens() {
	token_cert "$ID" "$TMP/to.pem" && echo letter >"$TMP/letter" &&
		openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -out "$TMP/mail" "$TMP/to.pem" &&
		"$BUILD/dpiv" decrypt --token "$TO" --text -o "$TMP/plain" "$TMP/mail" && tr -d '\r' <"$TMP/plain" | cmp - "$TMP/letter"
}
keygen_round 1 ONLY12
keygen_round 2 ONLY13
apache_start
token_fresh laptop
issuer_conf 'encrypt = serverkeygen'
for wrong in plain unsigned; do
	touch "$RUN/$wrong"
	derive_conf --role encrypt >"$TMP/out" 2>&1
	check "a key that comes $wrong: exit status 5" test $? -eq 5
	check "a key that comes $wrong: why" grep -q 'in the clear\|not signed' "$TMP/out"
	check "a key that comes $wrong: nothing stays" test "$(keys)" -eq 0
	rm "$RUN/$wrong"
done
touch "$RUN/wait"
status 6 'serverkeygen, later' derive_conf --role encrypt
check 'the key for the way stays' test "$(keys)" -eq 1
rm "$RUN/wait"
sleep 1.2
check 'and the same command goes on' derive_conf --role encrypt
check 'one key, that of the certificate' test "$(keys)" -eq 1
ID=$(pkcs11-tool --module "$SOFTHSM" -O --type cert 2>/dev/null | sed -n 's/^  ID: *//p')
check 'mail opens' opens
apache_stop

# --- an issuer that wants time -------------------------------------------------------------------------------------------
apache_start
for alg in rsa2048 p256; do
	token_fresh laptop
	: >"$RUN/wait"
	status 6 "$alg: a 202 ends the run" derive --alg $alg
	check "$alg: the key is kept" test "$(keys)" -eq 1
	(sleep 3 && rm "$RUN/wait") &
	check "$alg: the next run waits and gets the certificate" derive --alg $alg --wait 20
	check "$alg: for that key" test "$(keys)" -eq 1
	wait $!
	: >"$RUN/wait"
	status 6 "$alg: the renewal has to wait" call renew auth
	check "$alg: two keys" test "$(keys)" -eq 2
	rm "$RUN/wait"
	sleep 1.1
	check "$alg: renewed by the next run" call renew auth
	check "$alg: the old key is gone" test "$(keys)" -eq 1
done
