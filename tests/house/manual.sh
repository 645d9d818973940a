#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The manual pages say what the code does, and all of it: verbs, options, exit statuses, configuration keys with their
# kinds and defaults, environment variables, mechanisms and vendor attributes are the same in both; what --help explains
# is what the verb takes; every verb has a page, and every page that another one names is there. No page has a mistake of
# form.
. tests/lib/shell.sh

# same WHAT CODE PAGE: two lists, one name a line
same() {
	local differ
	differ=$(diff <(sort -u <<<"$2") <(sort -u <<<"$3") | sed -n 's/^</only in the code:/p; s/^>/only in the page:/p')
	if [ -n "$2" ] && [ -z "$differ" ]; then pass "$1"; else fail "$1" "${differ:-nothing was found in the code}"; fi
}

section() { sed -n "/^\.S[sh] $2\$/,/^\.S[sh] /p" "$1" | tail -n +2; }

# --- configuration: "section key kind default", a line each; the kind is a letter as in the tables
rows() { # FILE TABLE: the rows of a struct conf_key table
	sed -n "/^static const struct conf_key $2\[\] = {/,/^};/p" "$1" |
		grep -oP '\{ "\K[a-z* ]+", "[a-z_0-9]+", .[a-z]., ("[^"]*"|NULL)' |
		sed -E 's/^([a-z* ]+)", "([a-z_0-9]+)", .([a-z])., (NULL|"(.*)")$/\1 \2 \3 \5/; s/ \* / NAME /; s/ $/ -/'
}
documented() { # PAGE: the same from "Ss Bq section", "It Ic key No = Ar kind" and the line after it
	awk '/^\.Sh /{ s = "" }
		/^\.Ss Bq /{ s = substr($0, 8) }
		s != "" && /^\.It Ic /{ k = $3; v = $0; sub(/.* No = Ar /, "", v); getline d
			t = v == "yes | no" ? "b" : v == "number" ? "n" : v == "/path" ? "p" : v == "list" ? "l" : "s"
			if (d == "No default.") d = "-"
			else if (!sub(/^Default: /, "", d) || !sub(/\.$/, "", d)) d = "(the line after .It says no default)"
			print s, k, t, d }' "$1"
}
same "dpiv.conf(5)" "$(rows base/conf.c dpiv_table)" "$(documented docs/dpiv.conf.5)"
same "issuer.conf in dpiv-issuer(8)" "$(rows derive/issuer/config.c table)" "$(documented docs/dpiv-issuer.8)"

# --- verbs
# Options of getopt_long() tables, and of pages: in lists of options, and in the synopsis.
taken() { grep -ohP '(\{ "\K[a-z0-9-]+(?=", (no|required|optional)_argument))|(strcmp\(argv\[[a-z0-9]+\], "--\K[a-z0-9-]+(?="))' "$@" | grep -vxE 'help|version'; }
explained() { grep -P '^\.It Fl ' "$1" | grep -oP '(?<=\s)-[a-z0-9][a-z0-9-]*' | sed 's/^-//'; }
summarized() { section "$1" SYNOPSIS | grep -oP 'Fl \K-[a-z0-9][a-z0-9-]*' | sed 's/^-//'; }
# What the help text of a verb explains: its lines that begin with two blanks and a hyphen.
helped() { sed -n "/^const char help_$2\[\] =/,/;\$/p" "$1" | grep -P '^(const char .*= )?\s*"  -' | grep -oP '(?<=[ "])--\K[a-z0-9][a-z0-9-]*'; }
# Verbs of a verb (history scan): in the table or the comparisons of its file, in the usage lines of its help, in the
# synopsis of its page.
inner() {
	sed -n '/verbs\[\] = {/,/^};/p' "$@" | grep -oP '^\t\{ "\K[a-z]+'
	grep -ohP 'strcmp\(argv\[(optind|1)\], "\K[a-z]+(?="\))' "$@"
}
inner_helped() { sed -n "/^const char help_$2\[\] =/,/\"\\\\n\"/p" "$1" | grep -oP "^.*?\"(usage:|      ) dpiv $2 \K[a-z|]+(?=[ \\\\])" | tr '|' '\n'; }
inner_summarized() { section "$1" SYNOPSIS | sed -nE "s/^\.Nm dpiv Cm $2 Cm //p" | tr '|' '\n' | tr -d ' '; }
# The files of a verb: the one with its help, and those that are named after it.
files() { grep -lP "^const char help_$1\[\]" cli/*.c; ls cli/"$1"_*.c 2>/dev/null; }

verbs=$(sed -n '/^const struct cli_verb cli_verbs\[\] = {/,/^};/p' cli/main.c | grep -oP '^\t\{ "\K[a-z]+')
same "verbs in dpiv(1)" "$verbs" "$(section docs/dpiv.1 VERBS | sed -n 's/^\.It Cm //p')"
same "a page for each verb" "$(grep -vxE 'help|version' <<<"$verbs")" \
    "$(ls docs/dpiv-*.1 | sed -E 's|docs/dpiv-(.*)\.1|\1|' | grep -vx vcard)"
for v in $(grep -vxE 'help|version' <<<"$verbs"); do
	page=docs/dpiv-$v.1 source=$(files "$v" | sort -u)
	[ -e "$page" ] || continue # was said already
	# shellcheck disable=SC2086 # file names without blanks
	options=$(taken $source)
	options=${options:-none}
	# -o is the short form of --output: the synopsis may have either
	said=$(summarized "$page")
	grep -q '^\.Op Fl o ' <<<"$(section "$page" SYNOPSIS)" && said=$(printf '%s\n' "$said" output)
	listed=$(explained "$page") help=$(helped "$(grep -lP "^const char help_$v\[\]" cli/*.c)" "$v")
	help_inner=$(inner_helped "$(grep -lP "^const char help_$v\[\]" cli/*.c)" "$v") said_inner=$(inner_summarized "$page" "$v")
	if [ -n "$help_inner$said_inner" ]; then
		# shellcheck disable=SC2086
		same "verbs of $v in its help" "$(inner $source)" "$help_inner"
		same "verbs of $v in its synopsis" "$help_inner" "$said_inner"
	fi
	same "options of $v in its page" "$options" "${listed:-none}"
	same "options of $v in its synopsis" "$options" "$(grep . <<<"$said" || echo none)"
	same "options of $v in its help" "$options" "${help:-none}"
done
same "exit statuses in dpiv(1)" "$(sed -n '/^enum cli_exit {/,/^}/p' cli/cli.h | grep -oP '= \K[0-9]+')" \
    "$(section docs/dpiv.1 'EXIT STATUS' | sed -n 's/^\.It //p')"
same "environment in dpiv(1)" \
    "$(grep -rhoP --exclude-dir=issuer '(getenv\(|file_xdg\(|folder\(d, "[a-z ]+", )"\K[A-Z0-9_]+' cli derive base)" \
    "$(section docs/dpiv.1 ENVIRONMENT | grep -E '^\.It Ev' | grep -oE '\b[A-Z][A-Z0-9_]+\b')"

# --- dpiv-issuer and dpiv-vcard
same "verbs of dpiv-issuer" "$(grep -oP '^\t\{ "\K[a-z]+(?=", verb_)' derive/issuer/main.c)" \
    "$(section docs/dpiv-issuer.8 SYNOPSIS | sed -nE 's/^\.Cm ([a-z]+).*/\1/p')"
same "options of dpiv-issuer" "$(taken derive/issuer/*.c)" "$(explained docs/dpiv-issuer.8)"
same "options of dpiv-issuer in its synopsis" "$(taken derive/issuer/*.c)" "$(summarized docs/dpiv-issuer.8)"
same "options of dpiv-issuer in its help" "$(taken derive/issuer/*.c)" \
    "$(sed -n '/^static const struct verb {/,/^};/p' derive/issuer/main.c | grep -oP '(?<=[\[ "])--\K[a-z-]+')"
same "environment in dpiv-issuer(8)" "$(grep -rhoP 'getenv\("\K[A-Z0-9_]+' derive/issuer)" \
    "$(section docs/dpiv-issuer.8 ENVIRONMENT | grep -E '^\.It Ev' | grep -oE '\b[A-Z][A-Z0-9_]+\b')"
vcard=$(grep -oP '\{ "\K[a-z-]+(?=", (&|NULL, &))' tests/vcard/main.c)
same "options of dpiv-vcard" "$vcard" "$(explained docs/dpiv-vcard.1)"
same "options of dpiv-vcard in its help" "$vcard" "$(grep -P '^\s*"    --' tests/vcard/main.c | grep -oP '(?<=[ "])--\K[a-z-]+')"

# --- dpiv-pkcs11(7)
page=docs/dpiv-pkcs11.7
keys() { rows base/conf.c dpiv_table | grep -oP "^$1 \K[a-z_0-9]+"; }
same "mechanisms" \
    "$(sed -n '/^static const struct mech table/,/^};/p' pkcs11/mech.c | grep -oE '\bCKM_[A-Z0-9_]+')" \
    "$(grep -oE '\bCKM_[A-Z0-9_]+' $page)"
same "vendor attributes" "$(grep -rhoE '\bCKA_(DPIV|YUBICO)_[A-Z0-9_]+' pkcs11 base hw)" "$(grep -oE '\bCKA_(DPIV|YUBICO)_[A-Z0-9_]+' $page)"
same "environment" \
    "$(grep -rhoP '(getenv\(|file_xdg\()"\K[A-Z0-9_]+' base/log.c base/conf.c base/proc.c base/file.c hw pkcs11 | grep -vx DPIV_MODULE)" \
    "$(section $page ENVIRONMENT | grep -E '^\.It Ev' | grep -oE '\b[A-Z][A-Z0-9_]+\b')"
same "configuration of [module]" "$(keys module)" "$(section $page 'Configuration, Bq module' | sed -n 's/^\.It Ic //p')"
same "configuration of [token NAME]" "$(keys 'token NAME')" \
    "$(section $page 'Configuration, Bq token NAME' | sed -n 's/^\.It Ic //p')"

# --- form
missing=$(grep -hoP '^\.Xr dpiv[a-z0-9.-]* [0-9]' docs/*.[1-8] | sort -u | while read -r _ name number; do
	[ -e "docs/$name.$number" ] || echo "$name($number)"
done)
check "pages that other pages name are there (${missing:-all})" test -z "$missing"
# Whether pages of other packages are installed is not the pages' affair, nor are the lines of their sources the reader's.
lint() {
	! (cd docs && mandoc -T lint ./*.[1-8]) 2>/dev/null |
		grep -vE 'referenced manual not found|input text line longer than 80 bytes'
}
if command -v mandoc >/dev/null; then
	check "mandoc has nothing to say" lint
else
	fail "mandoc is missing (Debian: mandoc)"
fi
