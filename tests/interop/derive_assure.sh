#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What a key can carry, by evidence: software is AAL2 whatever anybody writes; a PIV token that attests its keys is AAL3
# when the administrator's file has its maker's root, and not when only the person's has. AAL3 that is demanded is refused
# before anything is made, or undone. The administrator's file is in a copy of /etc in this test's own mount namespace.
. tests/lib/derive.sh
attesting() { # what a card's image has for its attestation key, as members of another's
	local dir
	dir=$(mktemp -d "${TMPDIR:-/tmp}/dpiv-attest.XXXXXX")
	"${BUILD:-build}/dpiv-vcard" make --alg p256 --yubikey --firmware 5.7.1 "$dir/yk.json" &&
		python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
print(json.dumps({"yubikey": True, "version": "5.7.1", "serial": 4711, "keys": {"F9": j["keys"]["F9"]},
    "objects": {"5FFF01": j["objects"]["5FFF01"]}})[1:-1])' "$dir/yk.json"
	rm -rf "$dir"
}
[ -n "${DERIVE_DIR-}" ] || BLANK=$(attesting)
derive_inside "--alg p256" "blank:${BLANK-}"
. tests/lib/shell.sh
at_end issuer_stop
M=$BUILD/dpiv-pkcs11.so SYSTEM=/etc/dpiv/dpiv.conf
cp -a /etc "$TMP/etc"
rm -rf "$TMP/etc/dpiv"
mkdir "$TMP/etc/dpiv"
mount --bind "$TMP/etc" /etc
at_end 'umount /etc'
python3 -c 'import json, sys
o = bytes.fromhex(json.load(open(sys.argv[1]))["objects"]["5FFF01"])
i = o.index(b"\x70\x82")
open(sys.argv[2], "wb").write(o[i + 4:i + 4 + int.from_bytes(o[i + 2:i + 4], "big")])' "$DERIVE_DIR/2.json" "$TMP/f9.der"
openssl x509 -inform DER -in "$TMP/f9.der" -out /etc/dpiv/maker.pem || fail 'the root of the attestation'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/x.key" -subj /CN=Other -days 9 -out /etc/dpiv/other.pem 2>/dev/null

json() { "$BUILD/dpiv" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); assert $1, s"; }
issuer_start || fail 'an issuer' "$(cat "$TMP/issuer.log")"
card 1

# --- software --------------------------------------------------------------------------------------------------------------------
keys() { token_objects | grep -c '^Private Key'; }
token_fresh laptop
printf '[assurance all]\nmanufacturer = *\nmodel = *\n' >$SYSTEM
status 5 'AAL3 is demanded of software that is listed' derive --assurance aal3
says 'is software' 'and the reason is said' derive --assurance 3
check 'nothing was made' test "$(keys)" -eq 0
check 'and nobody was asked' test "$(grep -c ' issued ' "$TMP/issuer.log")" -eq 0
status 2 'a level that there is not' derive --assurance high
mkdir -p "$XDG_CONFIG_HOME/dpiv"
printf '[derive]\nassurance = aal3\n' >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
status 5 'demanded by dpiv.conf' derive
printf '[policy]\nmin_assurance = aal3\n' >$SYSTEM
rm "$XDG_CONFIG_HOME/dpiv/dpiv.conf"
says "$SYSTEM" 'demanded by the policy' derive
check 'nothing was made' test "$(keys)" -eq 0
rm $SYSTEM
says 'can carry AAL2 (id-fpki-common-derived-pivAuth)' 'what it can is said before' derive
check 'made' test "$(keys)" -eq 1
check 'the facts stay' json '(s["credentials"][0]["carries"] == "AAL2" and s["credentials"][0]["assurance"] == "AAL2" and
any("CKA_LOCAL" in e["fact"] and e["good"] for e in s["credentials"][0]["evidence"]) and
any("is software" in e["fact"] and not e["good"] for e in s["credentials"][0]["evidence"]))'
says 'the key carries AAL2' 'and are shown again' derive
printf '[assurance x]\nmanufacturer = Example\n' >$SYSTEM
status 1 'a section that says too little' derive --again
says 'needs a manufacturer and a model' 'and why' derive --again
rm $SYSTEM

# --- a PIV token that attests its keys --------------------------------------------------------------------------------------------
rm -rf "$TMP/state" "$TMP/home"
mkdir -p "$XDG_CONFIG_HOME/dpiv"
echo 010203040506070801020304050607080102030405060708 >"$TMP/admin"
chmod 600 "$TMP/admin"
mine() { printf '%s\n' '[module]' "management_key_file = $TMP/admin" "$@" >"$XDG_CONFIG_HOME/dpiv/dpiv.conf"; }
listed() { # ROOT [LINE...]
	local root=$1
	shift
	printf '%s\n' '[assurance yubikey]' 'manufacturer = dpiv' 'model = *PIV' "attestation_roots = /etc/dpiv/$root" "$@"
}
mine
slot=$(pkcs11-tool --module "$M" -L | sed -n 's/^Slot [0-9]* (\(.*\)): Virtual PCD 1 00 00$/\1/p')
TO="pkcs11:slot-id=$((slot))?pin-source=file:$TMP/pin"
key() { pkcs11-tool --module "$M" --slot "$slot" --login --pin 123456 -O --type privkey 2>/dev/null | grep -c '^Private Key'; }
status 5 'not listed: AAL3 is demanded' derive --assurance aal3
says 'no [assurance] section of /etc/dpiv/dpiv.conf lists' 'nobody has listed it' derive --assurance aal3
listed maker.pem >>"$XDG_CONFIG_HOME/dpiv/dpiv.conf"
status 5 'listed by the person: no evidence' derive --assurance aal3
mine
listed other.pem >$SYSTEM
says 'not certified by its maker' 'another maker' derive --assurance aal3
printf '[assurance cards]\nmanufacturer = dpiv\nmodel = *\n' >$SYSTEM
status 5 'what a card calls itself is no evidence' derive --assurance aal3
check 'no key was made' test "$(key)" -eq 0
listed maker.pem 'firmware = 5.4.*' >$SYSTEM
status 5 'the firmware of its attestation is another' derive --assurance aal3
says 'its firmware 5.7.1' 'which is said' derive --assurance aal3
check 'that key was undone' test "$(key)" -eq 0
listed maker.pem 'firmware = 5.7.*' 'serial = 4711' >$SYSTEM
status 5 'the issuer certifies it for AAL2' derive --assurance aal3
says 'it is issued for AAL2, and AAL3 is demanded' 'which is not what was wanted' derive --assurance aal3
check 'that was undone, too' test "$(key)" -eq 0
says 'can carry AAL3 (id-fpki-common-derived-pivAuth-hardware)' 'AAL3 by evidence' derive
check 'an AAL2 certificate for it is accepted' json '(s["credentials"][0]["carries"] == "AAL3" and s["credentials"][0]["assurance"] == "AAL2" and
all(e["good"] for e in s["credentials"][0]["evidence"]) and
any("firmware 5.7.1, serial number 4711" in e["fact"] for e in s["credentials"][0]["evidence"]))'
