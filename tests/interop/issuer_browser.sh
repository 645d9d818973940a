#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The page for people in Chromium, which finds the card through NSS and dpiv's module: the certificate is chosen by policy,
# the PIN is typed into Chromium's own dialog (on a display without a screen, since --headless has no dialogs and would
# wait for ever), once for all. A person sees the account, gets a code that another machine uses, and revokes. Every page
# at the width of a desk and of a telephone: a picture in $BUILD/log, nothing wider than the window, no violation that
# axe-core finds, contrast of all text as the style sheet says. axe-core is fetched by npm: this version and no other.
AXE_VERSION=4.14.1
AXE_SHA512=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
axe_fetch() {
	local tgz=axe-core-$AXE_VERSION.tgz
	cd "$AXE" || return 1
	timeout 40 npm pack "axe-core@$AXE_VERSION" &&
		[ "$(openssl dgst -sha512 -binary "$tgz" | base64 -w 0)" = "$AXE_SHA512" ] && tar -xzf "$tgz" package/axe.min.js
}
# Outside of the test's network; in a mount namespace, since Chromium reads its policy below /etc alone.
if [ -z "${AXE-}" ]; then
	AXE=$(mktemp -d "${TMPDIR:-/tmp}/dpiv-axe.XXXXXX")
	export AXE
	(axe_fetch) >"$AXE/log" 2>&1
	unshare -m -- "$0"
	status=$?
	rm -rf "$AXE"
	exit $status
fi
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency
policy() {
	mkdir -p /etc/chromium && mount -t tmpfs none /etc/chromium && mkdir -p /etc/chromium/policies/managed &&
		echo '{"AutoSelectCertificateForUrls": ["{\"pattern\":\"https://localhost:8443\",\"filter\":{}}"]}' \
			>/etc/chromium/policies/managed/dpiv.json
}
nss() {
	local db=sql:$HOME/.pki/nssdb
	mkdir -p "$HOME/.pki/nssdb" && certutil -N -d "$db" --empty-password &&
		certutil -A -d "$db" -n root -t C,, -i "$AGENCY/root.pem" &&
		modutil -dbdir "$db" -add dpiv -libfile "$BUILD/dpiv-pkcs11.so" -force
}
display() {
	Xvfb -displayfd 3 -screen 0 1280x1000x24 3>"$TMP/display" >"$TMP/xvfb.log" 2>&1 &
	XVFB_PID=$!
	for _ in $(seq 100); do
		[ -s "$TMP/display" ] && break
		sleep 0.05
	done
	DISPLAY=:$(cat "$TMP/display")
	export DISPLAY
}
at_end 'kill "${XVFB_PID-}" 2>/dev/null'
admin() {
	card 1 && card_cert "$TMP/card.pem" && printf '\n[page]\nadmins = %s\n' \
		"$(openssl x509 -in "$TMP/card.pem" -outform DER | sha256sum | cut -c 1-64)" >>"$AGENCY/issuer.conf"
}

axe_there() { [ -s "$AXE/package/axe.min.js" ] || { cat "$AXE/log"; return 1; }; }
check "axe-core $AXE_VERSION is fetched" axe_there
check "Chromium's policy" policy
token_fresh laptop
check "an NSS database with the agency's root and dpiv's module" nss
admin || fail 'the card is an administrator'
if issuer_start; then pass 'the issuer'; else fail 'the issuer' "$(cat "$TMP/issuer.log")"; fi
display
mkdir -p "$BUILD/log"
cat >"$TMP/other" <<SH
#!/bin/sh
PCSCLITE_CSOCK_NAME=$TMP/no-pcscd exec "$BUILD/dpiv" derive --to '$TO' --issuer $ISSUER --cafile "$AGENCY/root.pem" --code-file "\$1"
SH
chmod 755 "$TMP/other"
while read -r line; do
	case $line in
	"ok - "*) pass "${line#ok - }" ;;
	"not ok - "*) fail "${line#not ok - }" ;;
	*) echo "    $line" ;;
	esac
done < <(timeout -k 5 120 python3 tests/interop/issuer_browser.py "$ISSUER" "$BUILD/log/issuer_browser" 2>&1; echo "$?" >"$TMP/rc")
check 'to the end' test "$(cat "$TMP/rc")" = 0
revoked() { openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -q 'Superseded'; }
check 'the CRL has the credential' revoked
