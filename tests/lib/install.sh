# SPDX-License-Identifier: BSD-2-Clause
# Source after shell.sh: installing what was built, without building it anew under the tests that run beside this one.
#
#   install_into DESTDIR [VARIABLE=VALUE...]     make install, from a copy in $COPY, since what has the places of
#                                                installation in it is compiled again

COPY=$TMP/build
install_into() {
	local dest=$1
	shift
	mkdir -p "$COPY" && cp -a "$BUILD"/obj "$BUILD"/places "$BUILD"/dpiv{,-issuer,-vcard,.so,-pkcs11.so} "$COPY" &&
	    make --no-print-directory "BUILD=$COPY" "DESTDIR=$dest" "$@" install
}
