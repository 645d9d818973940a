#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# OpenSSH on the module and a PIV card, RSA-2048 and P-256: ssh-keygen -D lists the keys without a PIN; a real sshd on the loopback
# lets in ssh -I and ssh-agent (ssh-add -s) by key 9A, and nobody else. PIN prompts go through SSH_ASKPASS and are counted.
. tests/lib/shell.sh
. tests/lib/softhsm.sh
. tests/lib/card.sh

M=$BUILD/dpiv-pkcs11.so
[ -e "$M" ] || { echo "not ok - the module is not built"; exit 1; }
command -v /usr/sbin/sshd >/dev/null || { echo "not ok - sshd is missing (Debian: openssh-server)"; exit 1; }
export HOME=$TMP/home DPIV_CONF=$TMP/dpiv.conf XDG_CACHE_HOME=$TMP/cache
mkdir -p "$HOME"
: >"$DPIV_CONF"
agency_make
ssh-keygen -q -t ed25519 -N '' -f "$TMP/hostkey"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/stranger"
chmod 711 "$TMP"

cat >"$TMP/askpass" <<SH
#!/bin/sh
echo "\$1" >>"$TMP/asked"
cat "$TMP/pin"
SH
chmod 700 "$TMP/askpass"
export SSH_ASKPASS=$TMP/askpass SSH_ASKPASS_REQUIRE=force

cat >"$TMP/sshd.conf" <<CONF
ListenAddress 127.0.0.1
Port 2222
HostKey $TMP/hostkey
PidFile none
AuthorizedKeysFile $TMP/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
CONF
cat >"$TMP/ssh.conf" <<CONF
Host *
	HostName 127.0.0.1
	Port 2222
	User pat
	UserKnownHostsFile $TMP/known_hosts
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking yes
	PreferredAuthentications publickey
	IdentitiesOnly no
	IdentityFile none
	ConnectTimeout 10
CONF
echo "[127.0.0.1]:2222 $(cut -d' ' -f1,2 "$TMP/hostkey.pub")" >"$TMP/known_hosts"

# sshd for a user "pat" who exists only in this mount namespace (that of tests/with-card)
sshd_start() {
	cp /etc/passwd /etc/shadow "$TMP" && mkdir -p "$TMP/pat" "$TMP/sshd" && chown 12345 "$TMP/pat" &&
	    echo "pat:x:12345:65534::$TMP/pat:/bin/sh" >>"$TMP/passwd" && echo 'pat:*:19000:0:99999:7:::' >>"$TMP/shadow" &&
	    mkdir -p /run/sshd && mount --bind "$TMP/sshd" /run/sshd && chmod 755 /run/sshd &&
	    mount --bind "$TMP/passwd" /etc/passwd && mount --bind "$TMP/shadow" /etc/shadow || return 1
	/usr/sbin/sshd -D -e -f "$TMP/sshd.conf" 2>"$TMP/sshd.log" &
	SSHD=$!
	for _ in $(seq 100); do ss -ltn | grep -q '127.0.0.1:2222 ' && return 0; sleep 0.05; done
	cat "$TMP/sshd.log"
	return 1
}
public_of() { ssh-keygen -D "$M" | grep " $1 "; }
asked() { [ "$(grep -c . "$TMP/asked")" -eq "$1" ] || { echo "prompts:"; cat "$TMP/asked"; return 1; }; }
go() { ssh -F "$TMP/ssh.conf" "$@" pat 'echo in as $(id -un)' | grep -x 'in as pat' || { tail -n 5 "$TMP/sshd.log"; return 1; }; }
setup() { : >"$TMP/asked"; echo 123456 >"$TMP/pin"; sshd_start && public_of "PIV AUTH" >"$TMP/authorized_keys" && [ -s "$TMP/authorized_keys" ]; }

list() { # the keys, as in the certificates, without a PIN
	local f
	: >"$TMP/asked"
	ssh-keygen -D "$M" | cut -d' ' -f1,2 >"$TMP/keys" && asked 0 || return 1
	for f in 9a 9c 9d 9e; do
		openssl x509 -in "$TMP/$ALG-$f.pem" -noout -pubkey >"$TMP/pub" && ssh-keygen -i -m PKCS8 -f "$TMP/pub" >"$TMP/pub.ssh" &&
		    grep -qxF -f "$TMP/pub.ssh" "$TMP/keys" || { cat "$TMP/keys"; return 1; }
	done
}
log_in() { setup && go -I "$M" && asked 1; }
log_in_as_set_up() { # with the configuration that dpiv setup ssh makes
	setup && mkdir -p "$HOME/.ssh" && cp "$TMP/ssh.conf" "$HOME/.ssh/config" && env -u XDG_CONFIG_HOME "$BUILD/dpiv" setup ssh --module "$M" &&
	    ssh -F "$HOME/.ssh/config" pat 'echo in as $(id -un)' | grep -x 'in as pat' && asked 1
}
# What the server says of a login that it refused; it may say so after the client has gone.
refused() { for _ in $(seq 50); do grep -q 'pat.*\[preauth\]' "$TMP/sshd.log" && return 0; sleep 0.1; done; return 1; }
stranger() { # a key that the server does not know
	setup && ! go -i "$TMP/stranger" && refused
}
not_this_card() { # the server knows another key only
	setup && cp "$TMP/stranger.pub" "$TMP/authorized_keys" && ! go -I "$M" && refused
}
agent() { # ssh-add once, logging in three times, keys removed again
	setup || return 1
	eval "$(ssh-agent -s -P "$BUILD/*")" >/dev/null
	ssh-add -s "$M" && asked 1 && [ "$(ssh-add -l | grep -c .)" -eq 4 ] && go && go && go && asked 1 && ssh-add -e "$M" && ! go
	local ok=$?
	kill "$SSH_AGENT_PID"
	return $ok
}
agent_wrong_pin() { # one try of the card, none of the agent's own
	setup || return 1
	echo 999999 >"$TMP/pin"
	eval "$(ssh-agent -s -P "$BUILD/*")" >/dev/null
	tests/vcard-ctl clear >/dev/null
	ssh-add -s "$M"
	go
	kill "$SSH_AGENT_PID"
	tests/vcard-ctl trace | grep -c 'ins=20 .*in=13 .*sw=63C' | sed 's/^/refused: /'
}
sign_file() { # git and others sign with ssh-keygen -Y, through the agent
	setup || return 1
	eval "$(ssh-agent -s -P "$BUILD/*")" >/dev/null
	echo "this is it" >"$TMP/msg"
	rm -f "$TMP/msg.sig"
	echo "pat $(cat "$TMP/authorized_keys")" >"$TMP/signers"
	ssh-add -s "$M" && ssh-keygen -Y sign -f "$TMP/authorized_keys" -n file "$TMP/msg" &&
	    ssh-keygen -Y verify -f "$TMP/signers" -I pat -n file -s "$TMP/msg.sig" <"$TMP/msg"
	local ok=$?
	kill "$SSH_AGENT_PID"
	return $ok
}

for ALG in rsa2048 p256; do
	card_make $ALG
	check "ssh-keygen lists the card's keys without a PIN, $ALG" with_card $ALG list
	check "ssh logs in with one PIN, $ALG" with_card $ALG log_in
	check "as dpiv setup ssh makes it: ssh logs in with one PIN, $ALG" with_card $ALG log_in_as_set_up
	check "but not with another key, $ALG" with_card $ALG stranger
	check "nor where the card's key is unknown, $ALG" with_card $ALG not_this_card
	check "ssh-agent: one PIN for three logins, $ALG" with_card $ALG agent
	says "refused: 1" "ssh-agent: a wrong PIN is sent once, $ALG" with_card $ALG agent_wrong_pin
	check "ssh-keygen -Y signs through the agent, $ALG" with_card $ALG sign_file
done
