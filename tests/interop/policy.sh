#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# An administrator's policy in force: in a copy of /etc that is mounted over the real one in this test's own mount
# namespace, with people and groups of its own. What it forbids is refused with status 5 and its line before a PIN is
# asked for, whatever DPIV_CONF, the user's file and the options say; what it allows works.
. tests/lib/derive.sh
derive_inside "--alg rsa2048"
. tests/lib/shell.sh
at_end issuer_stop
AGENCY=$DERIVE_DIR/agency POLICY=/etc/dpiv/dpiv.conf ROOT=/etc/dpiv/root.pem

cp -a /etc "$TMP/etc"
rm -rf "$TMP/etc/dpiv"
mkdir "$TMP/etc/dpiv"
for n in pat:6001 sam:6002; do echo "${n%:*}:x:${n#*:}:${n#*:}::/nonexistent:/bin/false" >>"$TMP/etc/passwd"; done
for n in pat:6001: sam:6002: lab:6010:sam; do echo "${n%%:*}:x:${n#*:}" >>"$TMP/etc/group"; done
install -m 644 "$AGENCY/root.pem" "$TMP/etc/dpiv/root.pem"
mount --bind "$TMP/etc" /etc
at_end 'umount /etc'

# policy LINE...: the administrator's file: an issuer, and these lines
policy() {
	printf '%s\n' '[issuer agency]' 'url = https://localhost:8443' "cafile = $ROOT" "$@" >$POLICY
}
line_of() { echo "$POLICY:$(grep -n "^$1" $POLICY | tail -n 1 | cut -d: -f1)"; }
mine() { # LINE...: the user's file
	mkdir -p "$XDG_CONFIG_HOME/dpiv"
	printf '%s\n' "$@" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
}
go() { "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" "$@"; }
# refused KEY NAME CMD...: status 5, the line of KEY in the policy is named, and the token is as it was
refused() {
	local key=$1 name=$2 before
	shift 2
	before=$(token_objects)
	_run "$@"
	if [ "$_status" != 5 ]; then
		fail "$name" "exit status $_status, not 5: $_out"
	elif ! grep -qF "$(line_of "$key")" <<<"$_out"; then
		fail "$name" "$(line_of "$key") is not named: $_out"
	elif [ "$(token_objects)" != "$before" ]; then
		fail "$name" "the token has changed"
	else
		pass "$name"
	fi
}

issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
token_fresh laptop
card 1

# --- deriving ----------------------------------------------------------------------------------------------------------
policy '[policy]' 'issuers = agency' 'roles = auth, sign' 'default_roles = auth, sign' 'algorithms = P-256, RSA-3072' \
	'targets = piv, pkcs11:model=SoftHSM*'
NOPIN=(--from pkcs11:serial="$CARD_SERIAL" --to "${TO%&pin-source*}")
refused issuers 'another address' go --issuer https://elsewhere.example:8443
refused issuers 'another address, without a PIN' "$BUILD/dpiv" derive "${NOPIN[@]}" --issuer https://elsewhere.example
refused roles 'a role that is not allowed' go --issuer agency --role encrypt
refused algorithms 'a kind of key that is not allowed' go --issuer agency --alg rsa2048
refused cafile 'other trust anchors' go --issuer agency --cafile "$AGENCY/ca.pem"
refused cafile 'other trust anchors, by address' go --issuer https://localhost:8443 --cafile "$AGENCY/ca.pem"
refused roles 'a binding code for a role that is not allowed' "$BUILD/dpiv" bind --from "$CARD_URI" --issuer agency --role encrypt
refused issuers 'a binding code elsewhere' "$BUILD/dpiv" bind --from "$CARD_URI" --issuer https://elsewhere.example
nothing() { [ -z "$(token_objects)" ] && ! grep -q ' issued ' "$TMP/issuer.log"; }
check 'nothing was made, and nothing asked of the issuer' nothing
says 'sign ' 'issuer, roles and kind of key are the policy'"'"'s' go
made() { token_objects | grep -E '^Private Key' | grep -c 'EC$'; }
check 'two keys, P-256' test "$(token_objects | grep -c 'EC_POINT 256')$(made)" = 22
check 'the anchors of the policy may be named' go --issuer agency --cafile "$ROOT" --alg rsa3072 --again --role auth

policy '[policy]' 'targets = piv, pkcs11:token=desktop'
refused targets 'a token that is not allowed' go --issuer agency
policy '[policy]' 'targets = pkcs11:?module-path=/usr/lib/*/libykcs11.so'
refused targets 'a module that is not allowed' go --issuer agency
policy '[policy]' 'required_roles = auth, encrypt'
refused required_roles 'a role that is missing' go --issuer agency --role sign
policy '[policy]' 'protocols = cmp'
refused protocols 'a protocol that is not allowed' go --issuer agency
policy '[policy]' 'min_assurance = aal3'
refused min_assurance 'a token that cannot carry what is wanted' go --issuer agency --role auth --again
policy '[policy]' 'encrypt = pkcs12'
refused encrypt 'an encryption key from a wrong source' go --issuer agency --role encrypt

# --- ways around it ----------------------------------------------------------------------------------------------------
policy '[policy]' 'issuers = agency' 'roles = auth'
mine '[policy]' 'roles = auth, sign'
refused roles "the user's file loosens" go --issuer agency
says "$XDG_CONFIG_HOME/dpiv/dpiv.conf:2" 'its line is named as well' go --issuer agency
mine '[issuer agency]' 'url = https://elsewhere.example'
refused 'url' 'another address under the same name' go --issuer agency
mine '[issuer own]' 'url = https://localhost:8443' "cafile = $AGENCY/ca.pem"
refused cafile 'the same address under another name, with other anchors' go --issuer own
mine '[issuer own]' 'url = https://127.0.0.1:8443' "cafile = $AGENCY/root.pem"
refused issuers 'an issuer of the user' go --issuer own
mv "$XDG_CONFIG_HOME/dpiv/dpiv.conf" "$TMP/other.conf"
DPIV_CONF=$TMP/other.conf refused issuers 'the same by DPIV_CONF' go --issuer own
DPIV_CONF=/dev/null refused roles 'DPIV_CONF with nothing in it' go --issuer agency --role sign
from_stdin() { DPIV_CONF=- "$BUILD/dpiv" derive --from "$CARD_URI" --to "$TO" --issuer own <"$TMP/other.conf"; }
refused issuers 'DPIV_CONF as standard input' from_stdin
DPIV_CONF=$TMP/missing status 3 'DPIV_CONF that is missing' go --issuer agency --role sign
policy
DPIV_CONF=$TMP/other.conf check 'without a policy DPIV_CONF is alone' go --issuer own --again
policy '[policy]' 'issuers = agency' 'own_issuers = yes'
DPIV_CONF=$TMP/other.conf check 'an issuer of the user where that is allowed' go --issuer own --again
printf '[policy]\nrolls = auth\n' >$POLICY
says "$POLICY:2" 'a policy that is not right allows nothing' go --issuer agency
DPIV_CONF=/dev/null says "$POLICY:2" 'nor with DPIV_CONF' go --issuer https://localhost:8443 --cafile "$AGENCY/root.pem"

# --- import, renewal, revocation ---------------------------------------------------------------------------------------
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/old.key" -out "$TMP/old.pem" -subj /CN=Pat -days 10 \
	-addext basicConstraints=critical,CA:FALSE -addext keyUsage=keyEncipherment -addext subjectAltName=email:pat@example.test 2>/dev/null
openssl pkcs12 -export -in "$TMP/old.pem" -inkey "$TMP/old.key" -out "$TMP/old.p12" -passout pass:x
echo x >"$TMP/p12.pin"
bring() { "$BUILD/dpiv" history import --to "$TO" --address pat@example.test --password-source "file:$TMP/p12.pin" "$TMP/old.p12"; }
policy '[policy]' 'encrypt = derived, scep'
refused encrypt 'a PKCS#12 file' bring
policy '[policy]' 'encrypt = derived, pkcs12' 'targets = piv'
refused targets 'a PKCS#12 file into a token that is not allowed' bring
policy '[policy]' 'encrypt = derived, pkcs12'
check 'a PKCS#12 file where that is allowed' bring

token_fresh desktop
policy
check 'a credential' go --issuer agency
renew() { "$BUILD/dpiv" renew --token "$TO" "$@"; }
policy '[issuer new]' 'url = https://new.example' '[policy]' 'issuers = new'
refused issuers 'renewal at an issuer that is allowed no more' renew --all --force
policy '[policy]' 'algorithms = P-384'
check 'renewal into a kind of key that is still allowed' renew --all --force
check 'it is P-384' test "$(token_objects | grep -c 'EC_POINT 384')" = 1
policy '[policy]' 'renew_days = 1000'
mine '[derive]' 'renew_days = 10'
refused renew_days 'a window that is too small' renew
mine '[derive]' 'renew_days = 1000'
says 'time to renew it from' 'a larger one' renew
mine '[policy]' 'targets = piv'
policy '[policy]' 'issuers = agency' 'roles = sign'
check 'what is forbidden now can still be revoked' "$BUILD/dpiv" revoke --token "$TO" --yes auth
rm "$XDG_CONFIG_HOME/dpiv/dpiv.conf"

# --- groups ------------------------------------------------------------------------------------------------------------
policy '[policy]' 'roles = auth' '[policy lab]' 'groups = lab' 'roles = auth, sign' 'notices = no' \
	'[policy machine]' 'groups = root' 'roles = encrypt'
shows() { # USER ROLES
	"$BUILD/dpiv" policy check --json --user "$1" $POLICY | python3 -c \
		"import json, sys; p = json.load(sys.stdin); assert p['valid'] and p['roles'] == '$2'.split(','), p"
}
check 'pat has what everybody has' shows pat auth
check 'sam of the laboratory has more' shows sam auth,sign
refused 'roles = encrypt' 'who runs it is judged by his groups' go --issuer agency --role auth
as() { # USER...: what runs as that user, with groups that he chose himself
	setpriv --reuid "$1" --regid "$1" --clear-groups env HOME="$TMP/home" DPIV_CONF=/dev/null "$TMP/dpiv" policy check "$POLICY"
}
chmod 755 "$TMP" && install -m 755 "$BUILD/dpiv" "$TMP/dpiv"
says 'does to sam' 'dropping a group does not drop its policy' as sam
says 'roles       auth, sign' 'the same' as sam
says 'roles       auth  [' 'pat' as pat

# --- dpiv policy check -------------------------------------------------------------------------------------------------
state() { "$BUILD/dpiv" policy check "$POLICY"; }
status 0 'a policy that is right' state
one_screen() { [ "$(state | wc -l)" -le 24 ]; }
check 'one screen' one_screen
policy '[policy]' 'trust_roots = /nonexistent.pem' '[policy lab]' 'groups = labb' '[policy third]' 'groups = lab' 'sign = pkcs12'
status 1 'one that is not' state
for n in "$(line_of trust_roots): trust_roots" "$(line_of 'groups = labb'): groups: there is no group 'labb'" "$(line_of sign): sign"; do
	says "$n" "it says ${n#*: }" state
done
status 3 'a user who is not there' "$BUILD/dpiv" policy check --user nobody-of-that-name $POLICY
status 3 'a file that is not there' "$BUILD/dpiv" policy check "$TMP/nothing"
status 2 'no file' "$BUILD/dpiv" policy check
policy '[policy]' 'roles = auth'
mine '[policy]' 'roles = sign'
status 5 "the user's own file loosens" state
says "$XDG_CONFIG_HOME/dpiv/dpiv.conf:2" 'and where' state
