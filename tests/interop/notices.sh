#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Notices on the desktop, on a session bus of the test's own with a notification service that writes down what it gets: bound,
# renewed, expiring, in need of the person, expired; each once; none when it is switched off or policy has none; nothing private
# in them; and no verb fails because of a bus that is not there, has no service, or hangs.
. tests/lib/derive.sh
derive_inside "--alg p256"
. tests/lib/shell.sh
at_end issuer_stop
D=$BUILD/dpiv
# shellcheck disable=SC2046
gcc -O1 -Wall -D_GNU_SOURCE -o "$TMP/desktop" tests/interop/notify_server.c $(pkg-config --cflags --libs libsystemd) || fail "the service does not build"

bus_start() {
	dbus-daemon --session --nofork --print-address >"$TMP/bus" 2>"$TMP/bus.log" &
	BUS_PID=$!
	for _ in $(seq 100); do [ -s "$TMP/bus" ] && break; sleep 0.05; done
	DBUS_SESSION_BUS_ADDRESS=$(cat "$TMP/bus")
	export DBUS_SESSION_BUS_ADDRESS
}
DESKTOP_PID=
desktop_start() { # [hang]
	: >"$TMP/ready"
	"$TMP/desktop" "$TMP/shown" "$@" >"$TMP/ready" &
	DESKTOP_PID=$!
	for _ in $(seq 100); do [ -s "$TMP/ready" ] && break; sleep 0.05; done
}
desktop_stop() { [ -z "$DESKTOP_PID" ] || { kill "$DESKTOP_PID"; wait "$DESKTOP_PID" 2>/dev/null; DESKTOP_PID=; }; }
at_end 'kill $BUS_PID 2>/dev/null'
at_end desktop_stop

renew() { "$D" renew --cafile "$DERIVE_DIR/agency/root.pem" "$@" </dev/null; }
look() { "$D" check --cafile "$DERIVE_DIR/agency/root.pem" </dev/null; [ $? -le 6 ]; }
shown() { [ "$(grep -c . "$TMP/shown")" -eq "$1" ] || { echo "shown:"; cat "$TMP/shown"; return 1; }; }
last() { tail -n 1 "$TMP/shown" | grep -qE -- "$1" || { cat "$TMP/shown"; return 1; }; }
conf() { mkdir -p "$XDG_CONFIG_HOME/dpiv" && printf '%s\n' "$@" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"; }
quick() { # COMMAND...: within ten seconds
	local start=$SECONDS
	"$@" && [ $((SECONDS - start)) -le 10 ]
}
aged() { # FROM TO: the certificate in the state store gets these dates, as in life_renew.sh
	printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/x.db\nnew_certs_dir=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n' \
	    "$TMP" "$TMP" >"$TMP/x.cnf"
	: >"$TMP/x.db"
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TMP/x.key" 2>/dev/null &&
	    openssl req -new -key "$TMP/x.key" -subj "/CN=Pat Example" -config "$TMP/x.cnf" -out "$TMP/x.csr" &&
	    openssl ca -batch -notext -selfsign -keyfile "$TMP/x.key" -config "$TMP/x.cnf" -in "$TMP/x.csr" -startdate "$(date -u -d "$1" +%Y%m%d%H%M%SZ)" \
		-enddate "$(date -u -d "$2" +%Y%m%d%H%M%SZ)" -out "$TMP/x.pem" 2>"$TMP/ca.log" && openssl x509 -in "$TMP/x.pem" -outform DER -out "$TMP/x.der" &&
	    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.execute("UPDATE credential SET cert = ? WHERE active", (open(sys.argv[2], "rb").read(),)); db.commit()' \
		"$XDG_STATE_HOME/dpiv/state.db" "$TMP/x.der"
}

: >"$TMP/shown"
token_fresh laptop
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1
check 'without a bus a credential is derived' derive --role auth
bus_start
check 'nor is a service needed' quick derive --role auth --again
desktop_start hang
check 'a desktop that hangs does not hang the verb' quick derive --role auth --again
desktop_stop
shown 0 || fail 'something was shown too early'
desktop_start
check 'bound' derive --role auth,sign --again
check 'each is said' shown 2
check 'with what to do' last '^1\|dpiv\|A credential was derived.*\|For digital signature, valid until [0-9]{4}-[0-9]{2}-[0-9]{2}\. .*: dpiv revoke sign$'
check 'what is there already is not bound anew' derive --role auth,sign
check 'nor said' shown 2
status 4 'a renewal that wants a PIN, without a terminal' renew sign --force
check 'is said' last '^2\|dpiv\|A derived credential cannot be renewed without you\|For digital signature, valid until .*: dpiv renew sign$'
conf '[derive]' "to = $TO"
check 'renewed' renew sign --force
check 'said' shown 4
check 'as that' last '^1\|dpiv\|A derived credential was renewed\|For digital signature, now valid until'
check 'a check finds nothing to say' look
check 'and says nothing' shown 4
refuse 'nothing that others need not see' grep -iE 'pat|example|laptop|https|[0-9A-F]{10}' "$TMP/shown"

# --- when it is time ----------------------------------------------------------------------------------------------------------
token_fresh laptop
check 'derived once more' derive --role auth
check 'said' shown 5
aged '-300 days' '+5 days'
issuer_stop
check 'the check finds that it expires' look
check 'and says so' shown 6
check 'with what to do' last "^1\|dpiv\|A derived credential expires soon\|For authentication, valid until $(date -u -d '+5 days' +%F)\. To renew it: dpiv renew auth$"
check 'the next day' look
check 'not again' shown 6
aged '-300 days' '+6 days'
mv "$TMP/tokens" "$TMP/away"
mkdir "$TMP/tokens"
refuse 'a renewal that misses the token' renew
check 'is said, as a thing for the person' last '^2\|dpiv\|A derived credential cannot be renewed without you\|'
N=$(grep -c . "$TMP/shown")
refuse 'the next day' renew
check 'not again' shown "$N"
check 'nor as expiring' look
check 'since that is the same' shown "$N"
aged '-300 days' '-1 day'
check 'expired' look
check 'is said' last '^2\|dpiv\|A derived credential has expired\|.*: dpiv derive --again --role auth$'
N=$(grep -c . "$TMP/shown")
conf '[notices]' 'desktop = no'
aged '-300 days' '-2 days'
check 'switched off' look
check 'nothing is said' shown "$N"
rm "$XDG_CONFIG_HOME/dpiv/dpiv.conf"
check 'on again' look
check 'it is said' shown $((N + 1))
aged '-300 days' '-3 days'
quiet() { printf '[policy]\nnotices = no\n' >"$TMP/policy.conf" && DPIV_CONF=$TMP/policy.conf look && shown $((N + 1)); }
check 'a policy without notices' quiet
