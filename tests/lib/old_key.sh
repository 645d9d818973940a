# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# An old decryption key in a PKCS#12 file, $TMP/old.p12 with its password in $TMP/pw, and a letter that it opens. Sourced after
# tests/lib/softhsm.sh and agency_make.

echo secret >"$TMP/pw"
key_make rsa2048 "$TMP/old.key"
(cd "$TMP" && cert_make encrypt old.key "/CN=Pat Old" old.pem ca 20140101000000Z 20170101000000Z)
openssl pkcs12 -export -inkey "$TMP/old.key" -in "$TMP/old.pem" -passout "file:$TMP/pw" -out "$TMP/old.p12"
echo 'An old letter.' >"$TMP/letter"
openssl cms -encrypt -aes-256-cbc -in "$TMP/letter" -out "$TMP/old.eml" "$TMP/old.pem"
