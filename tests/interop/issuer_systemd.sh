#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The units for systemd, by systemd's own tools: they are sound, the service is closed in, its filter of system calls
# leaves what the service does, and it takes the sockets that systemd hands over.
. tests/lib/shell.sh
. tests/lib/issuer.sh

mkdir -p "$TMP/units"
for f in docs/dpiv-issuer*@.*; do
	sed "s|@bindir@|$BUILD|" "$f" >"$TMP/units/$(basename "$f" | sed 's/@/@lab/')"
done
check 'verify' sh -c "systemd-analyze verify --man=no '$TMP'/units/* >'$TMP/verify' 2>&1 && ! grep '$TMP/units' '$TMP/verify'"
sed 's/^\(Protect.*\)$/\1x/' "$TMP/units/dpiv-issuer@lab.service" >"$TMP/units/bad@lab.service"
says 'Failed to parse' '  which sees mistakes' systemd-analyze verify --man=no "$TMP/units/bad@lab.service"
check 'security: exposure at most 1.5 of 10' \
	systemd-analyze security --offline=yes --threshold=15 --no-pager "$TMP/units/dpiv-issuer@lab.service"
mkdir -p "$TMP/root/etc"
check 'sysusers' systemd-sysusers --root="$TMP/root" "$PWD/docs/dpiv-issuer.sysusers"
check '  makes the user' grep -q '^dpiv-issuer:.*:/var/lib/dpiv-issuer:.*nologin$' "$TMP/root/etc/passwd"

# --- the filter of system calls
/usr/bin/python3 - "$TMP/units/dpiv-issuer@lab.service" >"$TMP/allowed" <<'PY'
import re, subprocess, sys
def members(name):
    out = set()
    for line in subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True,
            check=True).stdout.split("\n")[1:]:
        word = line.strip()
        if word.startswith("@"):
            out |= members(word)
        elif word and not word.startswith("#"):
            out.add(word)
    return out
allowed = members("@default")
for line in open(sys.argv[1]):
    if m := re.match(r"SystemCallFilter=(~?)(.*)", line):
        for word in m[2].split():
            allowed = allowed - members(word) if m[1] else allowed | members(word)
print(*sorted(allowed), sep="\n")
PY
check 'the filter is not empty, and not open' sh -c "grep -qx accept4 '$TMP/allowed' && ! grep -qxE 'ptrace|mount|bpf|setuid|chroot' '$TMP/allowed'"
check 'init' agency_init
agency_set 'address = 127.0.0.1:0'
printf '#!/bin/sh\nexec strace -D -f -qq -o "%s" "%s" "$@"\n' "$TMP/calls" "$ISSUER" >"$TMP/traced"
chmod +x "$TMP/traced"
REAL=$ISSUER ISSUER=$TMP/traced
check 'a card' file_card card p256
check 'a key' file_key one p256
check_start 'serve, watched'
check 'a certificate' enroll card '' one
check '  which is revoked' sh -c "'$REAL' revoke --dir '$AGENCY' \$(openssl x509 -in '$TMP/one.pem' -noout -serial | cut -d= -f2)"
kill -HUP "$ISSUER_PID"
check 'the page' est card / -o "$TMP/page"
check_stop 'stop'
ISSUER=$REAL
# systemd's own is execve; fchown is SQLite's when root runs it, who does not where the filter is
grep -oP '^\d+ +\K[a-z0-9_]+(?=\()' "$TMP/calls" | sort -u | grep -vxE 'execve|fchown' >"$TMP/used"
check 'many calls were seen' test "$(wc -l <"$TMP/used")" -gt 30
denied=$(comm -23 "$TMP/used" <(sort -u "$TMP/allowed"))
if [ -z "$denied" ]; then pass 'all of them are allowed'; else fail 'all of them are allowed' "$denied"; fi

# --- sockets
ports=$(/usr/bin/python3 -c 'import socket
a, b = socket.socket(), socket.socket()
a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0)); print(a.getsockname()[1], b.getsockname()[1])')
read -r est publish <<<"$ports"
systemd-socket-activate -l "127.0.0.1:$publish" -l "127.0.0.1:$est" --fdname=publish:est "$ISSUER" serve "$AGENCY" \
	>"$TMP/activate.out" 2>"$TMP/activate.log" </dev/null &
activated=$!
at_end 'kill "$activated" 2>/dev/null'
check 'EST on the socket of systemd, which starts the service' \
	curl -sSf --retry 10 --retry-connrefused --retry-delay 1 --cacert "$AGENCY/root.pem" -o "$TMP/cacerts" "https://localhost:$est/.well-known/est/cacerts"
check 'CRLs on the other' curl -sSf -o "$TMP/crl" "http://127.0.0.1:$publish/pki/ca.crl"
kill "$activated"
wait "$activated"
check 'it ends well' test $? = 0
