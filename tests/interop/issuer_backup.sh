#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A backup of an issuer that is being written to, and what may become an issuer's directory again: nothing that is cut
# off, changed, or whose events are not those that were written.
. tests/lib/shell.sh
. tests/lib/issuer.sh

B=$TMP/backup.tar
check 'init' agency_init
check_start 'serve'
check 'a card' file_card card p256
check 'a key' file_key one p256
check 'one is issued' enroll card '' one
sql() { /usr/bin/python3 -c 'import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); print(*[r[0] for r in d.execute(sys.argv[2])]); d.commit()' "$@"; }

# --- while somebody writes
accounts() { for _ in $(seq 10); do "$ISSUER" account suspend --dir "$AGENCY" 1; "$ISSUER" account resume --dir "$AGENCY" 1; done; }
accounts >"$TMP/accounts.log" 2>&1 &
writer=$!
check 'a backup while accounts change' "$ISSUER" backup "$AGENCY" "$B"
wait "$writer"
check 'only its owner may read it' test "$(stat -c %a "$B")" = 600
status 1 'another is not overwritten' "$ISSUER" backup "$AGENCY" "$B"
check 'tar knows it' tar -tf "$B"
check 'nothing is left beside it' test "$(ls "$TMP"/backup.tar*)" = "$B"
mkdir "$TMP/by-hand"
check 'tar takes it apart' tar -xf "$B" -C "$TMP/by-hand"
check 'sha256sum likes it' sh -c "cd '$TMP/by-hand' && sha256sum -c --strict SHA256SUMS"
refuse 'there is no key in it' grep -rqa 'PRIVATE KEY' "$TMP/by-hand"
refuse 'nor private/' test -e "$TMP/by-hand/private"
cat "$AGENCY/private/tls.key" >>"$AGENCY/tls.pem"
says 'tls.pem has a private key in it' 'a key in a public file is not carried away' "$ISSUER" backup "$AGENCY" "$TMP/other"
refuse '  and there is no backup' test -e "$TMP/other"
sed -i '/PRIVATE KEY/,$d' "$AGENCY/tls.pem"

# --- what is not taken
bytes=$(stat -c %s "$B")
for n in 0 511 512 20000 $((bytes - 1024)) $((bytes - 1)); do
	head -c "$n" "$B" >"$TMP/cut"
	refuse "cut off after $n bytes" "$ISSUER" restore "$TMP/cut" "$TMP/new"
done
check 'nothing is left of them' test -z "$(ls -d "$TMP"/new* 2>/dev/null)"
changed() { # AT: one byte becomes another
	cp "$B" "$TMP/changed"
	/usr/bin/python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); c = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([c ^ 1]))' "$TMP/changed" "$1"
}
for at in 0 100 150 700 $((bytes / 2)) $((bytes - 1500)) $((bytes - 600)); do
	changed "$at"
	refuse "byte $at is another" "$ISSUER" restore "$TMP/changed" "$TMP/new"
done
# pack FILE NAME...: an archive that is well made, of what is in by-hand
cat >"$TMP/pack.py" <<'PY'
import hashlib, io, os, sys, tarfile
out, folder, *names = sys.argv[1:]
sums = b""
def plain(name, data):
    t = tarfile.TarInfo(name.split("=")[0])
    t.size, t.mode, t.mtime, t.uname, t.gname = len(data), 0o600, 1, "", ""
    if "=" in name:
        t.type, t.linkname, t.size = tarfile.SYMTYPE, name.split("=")[1], 0
    raw = bytearray(t.tobuf(tarfile.USTAR_FORMAT))
    raw[329:345] = bytes(16)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + data + bytes(-len(data) % 512)
with open(out, "wb") as f:
    for n in names:
        data = b"" if "=" in n else open(os.path.join(folder, os.path.basename(n).lstrip('.')), "rb").read()
        f.write(plain(n, data))
        sums += b"%s  %s\n" % (hashlib.sha256(data).hexdigest().encode(), n.encode())
    f.write(plain("SHA256SUMS", sums) + bytes(1024))
PY
pack() { /usr/bin/python3 "$TMP/pack.py" "$TMP/packed" "$TMP/by-hand" "$@"; }
mapfile -t names < <(tar -tf "$B" | grep -v SHA256SUMS)
pack "${names[@]}"
check 'one that tar packed again is taken' "$ISSUER" restore "$TMP/packed" "$TMP/packed.dir"
for bad in ../ca.pem /tmp/ca.pem private/ca.pem .ca.pem evil=/etc/passwd issuer.conf; do
	pack "${names[@]}" "$bad"
	refuse "a member $bad is refused" "$ISSUER" restore "$TMP/packed" "$TMP/new"
done
pack issuer.conf ca.pem
says 'there is no ledger in it' 'without a ledger' "$ISSUER" restore "$TMP/packed" "$TMP/new"
tamper() { # TEXT SQL: an archive whose digests are right
	cp "$TMP/by-hand/issuer.db" "$TMP/kept.db"
	sql "$TMP/by-hand/issuer.db" "$2" >"$TMP/sql.out" 2>&1
	pack "${names[@]}"
	says "$1" "a ledger after: $2" "$ISSUER" restore "$TMP/packed" "$TMP/new"
	rm -f "$TMP"/by-hand/issuer.db-*
	mv "$TMP/kept.db" "$TMP/by-hand/issuer.db"
}
tamper 'other tables or triggers' 'DROP TRIGGER event_kept'
tamper 'other tables or triggers' 'CREATE TRIGGER more AFTER INSERT ON revocation BEGIN DELETE FROM revocation; END'
tamper 'newer version' 'PRAGMA user_version = 1000'
tamper 'another program' 'PRAGMA application_id = 1'
trigger=$(sql "$TMP/by-hand/issuer.db" "SELECT sql FROM sqlite_master WHERE name = 'event_fixed'")
cat >"$TMP/edit.py" <<'PY'
import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
d.executescript("DROP TRIGGER event_fixed; UPDATE event SET detail = 'nothing' WHERE id = 2; " + sys.argv[2])
PY
cp "$TMP/by-hand/issuer.db" "$TMP/kept.db"
/usr/bin/python3 "$TMP/edit.py" "$TMP/by-hand/issuer.db" "$trigger"
pack "${names[@]}"
says 'event 2' 'a ledger whose events were written anew' "$ISSUER" restore "$TMP/packed" "$TMP/new"
mv "$TMP/kept.db" "$TMP/by-hand/issuer.db"
head -c 9000 /dev/zero | tr '\0' x | dd of="$TMP/by-hand/issuer.db" bs=1 seek=8192 conv=notrunc 2>/dev/null
pack "${names[@]}"
refuse 'a damaged ledger' "$ISSUER" restore "$TMP/packed" "$TMP/new"
check 'nothing is left of all these' test -z "$(ls -d "$TMP"/new* 2>/dev/null)"

# --- what is
check 'into a new directory' "$ISSUER" restore "$B" "$TMP/new"
check '  its events are whole' "$ISSUER" audit verify "$TMP/new"
check '  the last says so' sh -c "'$ISSUER' audit show '$TMP/new' | tail -n 1 | grep -q ' restored'"
check '  it is for its owner' test "$(stat -c %a "$TMP/new") $(stat -c %a "$TMP/new/issuer.db")" = '700 600'
check '  the certificates are the same' cmp "$TMP/new/ca.pem" "$AGENCY/ca.pem"
status 6 'not while it is served' "$ISSUER" restore --force "$B" "$AGENCY"
check 'a second one is issued after the backup' enroll card '' one
check_stop 'stop'
status 1 'not over something, unasked' "$ISSUER" restore "$B" "$AGENCY"
before=$(cd "$AGENCY" && sha256sum issuer.db issuer.conf private/*)
head -c 20000 "$B" >"$TMP/cut"
refuse 'half a backup, with --force' "$ISSUER" restore --force "$TMP/cut" "$AGENCY"
check '  all is as it was' test "$before" = "$(cd "$AGENCY" && sha256sum issuer.db issuer.conf private/*)"
# killed at the Nth call of one kind: what is there is whole, the old or the new, and can be served
killed() { # CALL N
	strace -f -qq -o "$TMP/calls" -e "inject=$1:signal=KILL:when=$2" "$ISSUER" restore --force "$B" "$AGENCY" >"$TMP/killed.out" 2>&1
	grep -q 'killed by SIGKILL' "$TMP/calls" && "$ISSUER" audit verify "$AGENCY" && "$ISSUER" doctor "$AGENCY" && [ -s "$AGENCY/private/ca.key" ]
}
cp -a "$AGENCY" "$TMP/kept"
for at in mkdir:1 fsync:1 fsync:4 fdatasync:1 unlink:1 linkat:2 fchmod:1 renameat2:1 renameat2:2; do
	check "killed at $at" killed "${at%:*}" "${at#*:}"
	rm -rf "$AGENCY" "$AGENCY".restore-* "$AGENCY".before-*
	cp -a "$TMP/kept" "$AGENCY"
done
check 'a whole one, with --force' "$ISSUER" restore --force "$B" "$AGENCY"
check '  what was there is beside it' test "$before" = "$(cd "$AGENCY".before-* && sha256sum issuer.db issuer.conf private/*)"
check 'the account is as it was then, perhaps suspended' "$ISSUER" account resume --dir "$AGENCY" 1
check_start 'it is served'
file_key two p256
check '  and issues' enroll card '' two
check_stop 'stop'
