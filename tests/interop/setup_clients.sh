#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dpiv setup and the programs that it sets up, each of them run with a card: Thunderbird, NSS's tools on a Firefox profile, openssl
# with the engine, ssh, gpgsm, p11-kit, systemd's own check of the timer. Twice is as once, a dry run changes nothing, and --undo brings
# every file back byte for byte: missing ones, and ones with comments and odd endings. A run that is killed at any write, or finds
# the disk full, leaves the old file or the new one.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

D=$BUILD/dpiv M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf
unset XDG_CONFIG_HOME GNUPGHOME XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
mkdir "$HOME"
: >"$DPIV_CONF"
agency_make
chmod 711 "$TMP"
printf '%s\n' "$PIN" >"$TMP/pin"
chmod 644 "$TMP/pin"
gcc -shared -fPIC -o "$TMP/shim.so" tests/faults/state_shim.c -ldl || fail "the shim does not build"
FILES="openssl ssh gpgsm p11-kit timer"
tree() { (cd "$HOME" && find . -printf '%p %y %m %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 -r sha256sum); }
profile_make() { # CLIENT FOLDER: a profile that is there, with its databases
	mkdir -p "$HOME/$2/p.default" && printf '[Install4F96D1932A9F858E]\nDefault=p.default\n\n[Profile0]\nName=default\nIsRelative=1\nPath=p.default\n' \
	    >"$HOME/$2/profiles.ini" && certutil -N -d "sql:$HOME/$2/p.default" --empty-password
}
fresh() { rm -rf "$HOME" && mkdir "$HOME"; }

# --- there and back ---------------------------------------------------------------------------------------------------
there_and_back() { # CLIENT [FILE]: twice is as once; a dry run changes nothing; back
	local before once
	before=$(tree)
	"$D" setup "$1" --dry-run >"$TMP/dry" && [ "$(tree)" = "$before" ] || { echo "the dry run has changed something"; return 1; }
	"$D" setup "$1" --root "$TMP/root.pem" && once=$(tree) && [ "$once" != "$before" ] && "$D" setup "$1" --root "$TMP/root.pem" &&
	    [ "$(tree)" = "$once" ] || { echo "the second run has changed something"; return 1; }
	[ -z "${2-}" ] || { "$D" setup "$1" --dry-run --undo | sed -n 's/^  - //p' >"$TMP/shown"; [ -s "$TMP/shown" ] || return 1; }
	"$D" setup "$1" --undo && [ "$(tree)" = "$before" ] || { diff <(echo "$before") <(tree); return 1; }
}
for c in $FILES; do
	fresh
	check "$c: there and back in an empty home" there_and_back "$c"
done
shown() { # what a dry run shows is what is written
	fresh
	for c in $FILES; do
		"$D" setup "$c" --dry-run | sed -n 's/^  + //p' && "$D" setup "$c" >/dev/null || return 1
	done >"$TMP/shown"
	cat "$HOME"/.config/dpiv/openssl.cnf "$HOME"/.ssh/config "$HOME"/.gnupg/{gnupg-pkcs11-scd,gpg-agent}.conf \
	    "$HOME"/.config/pkcs11/modules/* "$HOME"/.config/systemd/user/dpiv-check.{service,timer} | diff - "$TMP/shown"
}
check "a dry run shows what is written, to the letter" shown
listed() { "$D" setup >"$TMP/list" && grep -qE "^$1 +$2" "$TMP/list" || { cat "$TMP/list"; return 1; }; }
check "the list says what is set up" listed ssh "set up"
check "and what is not here" listed thunderbird "not here"
mode=0640
for text in '' '# a comment\n' 'Host x\n\tUser y' 'Host x\r\n\tUser y\r\n' '\n\n\n' '\x00\xff\n# <<< dpiv setup ssh\n' '# >>> dpiv setup sshd\n'; do
	fresh
	mkdir -p "$HOME/.ssh" "$HOME/dotfiles"
	printf "$text" >"$HOME/dotfiles/config"
	chmod $mode "$HOME/dotfiles/config"
	ln -s ../dotfiles/config "$HOME/.ssh/config"
	check "ssh: there and back with $(printf '%q' "$text") behind a symbolic link" there_and_back ssh "$HOME/dotfiles/config"
done
mode_kept() { "$D" setup ssh && [ "$(stat -c %a "$HOME/dotfiles/config")" = 640 ] && [ -L "$HOME/.ssh/config" ]; }
check "permissions and the link are kept" mode_kept
own_lines() { # what came behind the block in the meantime stays
	"$D" setup ssh && printf 'Host later\n' >>"$HOME/.ssh/config" && "$D" setup ssh --undo && [ "$(tail -n 1 "$HOME/.ssh/config")" = "Host later" ] &&
	    ! grep -q PKCS11 "$HOME/.ssh/config"
}
check "lines that came later stay" own_lines
fresh
mkdir -m 700 "$HOME/.gnupg"
echo 'scdaemon-program /opt/scd' >"$HOME/.gnupg/gpg-agent.conf"
before=$(tree)
says "scdaemon-program" "gpgsm: a card daemon of one's own stays" "$D" setup gpgsm
check "and nothing was written" test "$(tree)" = "$before"
echo '# >>> dpiv setup ssh' >"$TMP/damaged"
mkdir "$HOME/.ssh" && cp "$TMP/damaged" "$HOME/.ssh/config"
says "remove by hand" "a block without its end is not guessed at" "$D" setup ssh
check "and stays" cmp "$TMP/damaged" "$HOME/.ssh/config"
refuse "a module that is none" "$D" setup ssh --module "$BUILD/dpiv.so"
says "cannot be loaded" "a module that is not there: the loader's words" "$D" setup p11-kit --module /nowhere/x.so
refuse "a path that would need quotes" "$D" setup p11-kit --module "/a b/x.so"
status 2 "no such client" "$D" setup netscape
policy_roots() {
	fresh
	printf '[policy]\ntrust_roots = %s\n' "$TMP/root.pem" >"$DPIV_CONF"
	"$D" setup gpgsm && grep -q "^$(openssl x509 -in "$TMP/root.pem" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g') S" "$HOME/.gnupg/trustlist.txt"
	local ok=$?
	: >"$DPIV_CONF"
	return $ok
}
check "the policy's roots are trusted" policy_roots

# --- cut short --------------------------------------------------------------------------------------------------------
cut_short() { # RULE N VERB...: before any write, and with a full disk: old or new
	local rule=$1 n=$2
	shift 2
	fresh
	mkdir "$HOME/.ssh" && printf 'Host x\n\tUser y' >"$HOME/.ssh/config" || return 1
	[ $# -eq 0 ] || "$D" setup ssh >/dev/null || return 1
	{ STATE_SHIM_DIR=$HOME STATE_SHIM_RULE=$rule:$n LD_PRELOAD=$TMP/shim.so "$D" setup ssh "$@" >/dev/null 2>&1; } 2>/dev/null
	cut_status=$?
	cmp -s "$HOME/.ssh/config" "$TMP/config.old" || cmp -s "$HOME/.ssh/config" "$TMP/config.new"
}
fresh
mkdir "$HOME/.ssh" && printf 'Host x\n\tUser y' >"$HOME/.ssh/config"
cp "$HOME/.ssh/config" "$TMP/config.old"
"$D" setup ssh >/dev/null
cp "$HOME/.ssh/config" "$TMP/config.new"
points=0
for verb in "" --undo; do
	for rule in kill full; do
		for n in $(seq 1 30); do
			# shellcheck disable=SC2086
			cut_short $rule $n $verb || fail "$rule:$n $verb left a file that is neither old nor new" "$(cat "$HOME/.ssh/config")"
			[ $cut_status -ne 0 ] || break
			points=$((points + 1))
		done
	done
done
check "cut short at each of $points points: the old file or the new" test $points -ge 12

# --- the programs -----------------------------------------------------------------------------------------------------
card_make rsa2048
fresh
firefox() { # the module with its card, and a root that is trusted for servers
	"$D" setup firefox --root "$TMP/root.pem" --root "$TMP/ca.pem" || return 1
	modutil -dbdir "sql:$HOME/.mozilla/firefox/p.default" -list dpiv >"$TMP/list" 2>&1 # fails for the reader that is empty
	grep -q 'Token Name: *PIV ' "$TMP/list" && certutil -L -d "sql:$HOME/.mozilla/firefox/p.default" -h all >"$TMP/list" &&
	    [ "$(grep -c '^PIV .*u,u,u' "$TMP/list")" -eq 4 ] && grep -q '^dpiv root Test Root .*C,C,' "$TMP/list" &&
	    certutil -V -d "sql:$HOME/.mozilla/firefox/p.default" -n "$(sed -n 's/^\(PIV .*Digital Signature\) .*/\1/p' "$TMP/list")" -u S || { cat "$TMP/list"; return 1; }
}
firefox_back() {
	"$D" setup firefox --undo && cmp "$TMP/pkcs11.txt" "$HOME/.mozilla/firefox/p.default/pkcs11.txt" &&
	    certutil -L -d "sql:$HOME/.mozilla/firefox/p.default" | diff - "$TMP/certs"
}
# shellcheck disable=SC2088
profile_make firefox .mozilla/firefox
cp "$HOME/.mozilla/firefox/p.default/pkcs11.txt" "$TMP"
certutil -L -d "sql:$HOME/.mozilla/firefox/p.default" >"$TMP/certs"
check "Firefox's profile has the card, and trusts the root" with_card rsa2048 firefox
check "set up twice: nothing changes" "$D" setup firefox --root "$TMP/root.pem"
check "and back" firefox_back
no_marks() { # NSS drops comments when another module is removed
	"$D" setup firefox && sed -i '/^#/d' "$HOME/.mozilla/firefox/p.default/pkcs11.txt" && "$D" setup firefox --undo && ! grep -qx name=dpiv "$HOME/.mozilla/firefox/p.default/pkcs11.txt" &&
	    modutil -dbdir "sql:$HOME/.mozilla/firefox/p.default" -list | grep -q 'NSS Internal'
}
check "back also when the marks are gone" no_marks
their_root() { # a root that the person has stays as it is
	local db=sql:$HOME/.mozilla/firefox/p.default
	certutil -A -d "$db" -n mine -t P,, -a -i "$TMP/root.pem" && "$D" setup firefox --root "$TMP/root.pem" && "$D" setup firefox --undo && certutil -L -d "$db" | grep -q '^mine .*P,,'
}
check "a root that was there keeps its trust" their_root
locked() {
	python3 -c 'import fcntl, subprocess, sys
f = open(sys.argv[1], "w"); fcntl.lockf(f, fcntl.LOCK_EX)
sys.exit(subprocess.run(sys.argv[2:]).returncode)' "$HOME/.mozilla/firefox/p.default/.parentlock" "$D" setup firefox
}
status 6 "a profile in use is left alone" locked
refuse "and nothing was written" grep -qx name=dpiv "$HOME/.mozilla/firefox/p.default/pkcs11.txt"
sandboxed() { fresh; mkdir -p "$HOME/snap/thunderbird/common/.thunderbird"; "$D" setup thunderbird; }
says "as a snap" "a sandboxed Thunderbird is named as such" sandboxed

openssl_signs() {
	fresh
	echo data >"$TMP/msg"
	"$D" setup openssl && export OPENSSL_CONF=$HOME/.config/dpiv/openssl.cnf && unset OPENSSL_ENGINES &&
	    openssl dgst -sha256 -engine dpiv -keyform engine -sign "pkcs11:id=%01;type=private?pin-source=file:$TMP/pin" -out "$TMP/sig" "$TMP/msg" &&
	    openssl x509 -in "$TMP/rsa2048-9a.pem" -pubkey -noout >"$TMP/pub" && openssl dgst -sha256 -verify "$TMP/pub" -signature "$TMP/sig" "$TMP/msg" &&
	    openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -out /dev/null
}
check "openssl signs with the card" with_card rsa2048 openssl_signs
ssh_sees() { fresh; "$D" setup ssh && ssh -G -F "$HOME/.ssh/config" host | grep -x "pkcs11provider $M"; }
check "ssh has the module for every host" ssh_sees
gpgsm_learns() {
	fresh
	export GNUPGHOME=$TMP/gpg
	mkdir -m 700 "$GNUPGHOME"
	printf 'disable-crl-checks\ndisable-dirmngr\n' >"$GNUPGHOME/gpgsm.conf"
	"$D" setup gpgsm --root "$TMP/root.pem" && gpgsm --batch --import "$TMP/root.pem" "$TMP/ca.pem" && gpg-connect-agent 'scd learn --force' /bye >"$TMP/learnt" &&
	    gpgsm --batch --learn-card && gpgsm --batch --list-secret-keys --with-colons --with-validation >"$TMP/list"
	gpgconf --kill all
	[ "$(grep -c '^crs:u:' "$TMP/list")" -ge 1 ] || [ "$(grep -c '^crs:[^ie]*:2048' "$TMP/list")" -eq 4 ] || { cat "$TMP/list"; return 1; }
}
check "gpgsm learns the card, and trusts its certificates" with_card rsa2048 gpgsm_learns
p11kit_lists() { # p11-kit ignores the configuration of root's home
	fresh
	chmod 755 "$HOME"
	chown 65534:65534 "$HOME"
	local as="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=$HOME XDG_CACHE_HOME=$HOME/cache"
	$as "$D" setup p11-kit && $as p11-kit list-modules >"$TMP/list" && grep -q "^dpiv-pkcs11: $M\|path: $M" "$TMP/list" && grep -q 'token: PIV ' "$TMP/list" || { cat "$TMP/list"; return 1; }
}
check "p11-kit lists the card for a user" with_card rsa2048 p11kit_lists
timer_units() {
	fresh
	mkdir -p -m 700 "$TMP/run"
	export XDG_RUNTIME_DIR=$TMP/run
	"$D" setup timer && (cd "$HOME/.config/systemd/user" && systemd-analyze verify --user --man=no "$PWD/dpiv-check.service" "$PWD/dpiv-check.timer") &&
	    [ -e "$HOME/.config/systemd/user/timers.target.wants/dpiv-check.timer" ]
}
check "systemd takes the timer and its service" timer_units
