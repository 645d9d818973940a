#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The page for people at the issuer's root, seen by curl: what a person sees, a binding code that works, a credential
# that is revoked; forms of other sites, of other cards and old ones are refused and do nothing; nothing foreign becomes
# markup; every answer has the headers; administrators by their certificate only.
. tests/lib/shell.sh
. tests/lib/issuer.sh

ledger() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$AGENCY/issuer.db" "$1"; }
http() { [ "$(tail -n 1 "$TMP/http")" = "$1" ] || { cat "$TMP/http" "$TMP/page"; return 1; }; }
# Every page that was seen stays in $PAGES, when that names a directory.
keep() { [ -z "${PAGES-}" ] || cp "$TMP/page" "$PAGES/$(ls "$PAGES" | wc -l).html"; }
# page STATUS CARD PATH [curl options]: into $TMP/page
page() {
	local want=$1
	shift
	est "$@" >"$TMP/page" && keep && http "$want"
}
has() { grep -qF -- "$1" "$TMP/page" || { cat "$TMP/page"; return 1; }; }
has_not() { ! grep -qF -- "$1" "$TMP/page"; }
header() { grep -qiF -- "$1" "$TMP/headers" || { cat "$TMP/headers"; return 1; }; }
# token CARD PATH ACTION: the hidden field of that page's form for ACTION
token() {
	est "$1" "$2" | tr -d '\n' | grep -oP "action=\"$3\"><input type=\"hidden\" name=\"token\" value=\"\\K[0-9a-fA-F]+"
}
# post STATUS CARD PATH [curl options]: as a browser does from this page
post() {
	local want=$1 card=$2 path=$3
	shift 3
	page "$want" "$card" "$path" -H "Origin: $URL" -H 'Sec-Fetch-Site: same-origin' "$@"
}
# well_formed: as XML, where void elements and the bare attributes are closed first; one h1, main and title; labels
well_formed() {
	python3 - "$TMP/page" <<-'PY'
		import sys
		from html.parser import HTMLParser
		void = {"meta", "link", "input", "br"}
		class P(HTMLParser):
		    def __init__(self):
		        super().__init__(convert_charrefs=True)
		        self.open, self.count, self.ids, self.fors, self.inputs, self.levels = [], {}, [], [], [], []
		    def handle_starttag(self, tag, attrs):
		        a = dict(attrs)
		        self.count[tag] = self.count.get(tag, 0) + 1
		        assert tag != "script" and not any(k.startswith("on") or k == "style" for k in a), "active content"
		        if len(tag) == 2 and tag[0] == "h": self.levels.append(int(tag[1]))
		        if "id" in a: self.ids.append(a["id"])
		        if "for" in a: self.fors.append(a["for"])
		        if tag in ("input", "select") and a.get("type") != "hidden":
		            self.inputs.append((a.get("id"), "label" in self.open))
		        if tag == "svg": assert a["role"] == "img" and a["aria-label"]
		        if tag not in void: self.open.append(tag)
		        if tag == "html": assert a["lang"] == "en"
		    def handle_startendtag(self, tag, attrs):
		        assert "svg" in self.open, tag
		    def handle_endtag(self, tag):
		        assert self.open and self.open.pop() == tag, tag
		p = P(); p.feed(open(sys.argv[1], encoding="utf-8").read()); p.close()
		assert p.open == [], p.open
		for one in ("html", "title", "main", "header", "footer", "nav", "h1"): assert p.count.get(one) == 1, one
		assert len(set(p.ids)) == len(p.ids), p.ids
		assert all(inside or i in p.fors for i, inside in p.inputs), p.inputs
		assert all(b <= a + 1 for a, b in zip(p.levels, p.levels[1:])), p.levels
	PY
}

check 'a demo agency' agency_init --name 'R&D <Lab>'
check 'a card' file_card pat p256
PERSON='/C=US/O=Demo Government/CN=<script>alert(1)<\/script>" SAM'
FASCN=${FASCN/D0439458210C2C/D0439458210C2D} CARD_UUID=6b3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b11
sed -i "s/FORMAT:HEX,OCT:.*/FORMAT:HEX,OCT:$FASCN/; s/urn:uuid:.*/urn:uuid:$CARD_UUID/; s/pat@/sam@/" "$TMP/fpki.cnf"
check "another person's, with markup in the name" file_card sam p256
sha256() { openssl x509 -in "$TMP/$1.pem" -outform DER | sha256sum | cut -c 1-64; }
printf '\n[page]\nadmins = 12\n' >>"$AGENCY/issuer.conf"
says '[page] admins' 'a fingerprint that is none is an error of the configuration' "$ISSUER" status "$AGENCY"
sed -i "s/^admins = .*/admins = $(sha256 sam)/" "$AGENCY/issuer.conf"
check_start 'serve'

# --- looking -------------------------------------------------------------------------------------------------------------
check 'without a certificate: a page that tells what to do' page 403 - /
check '  it is a page' well_formed
check '  with the code' has '<code>no-certificate</code>'
check '  and where the roots are' has 'href="/pki/root.cer"'
check 'the root' sh -c "curl -sSf --cacert $AGENCY/root.pem $URL/pki/root.cer | openssl x509 -inform DER -noout"
check 'with the card' page 200 pat /
check '  it is a page' well_formed
check '  the name' has 'PAT EXAMPLE'
check '  no account yet' has 'Your account is opened when'
check '  which looking does not open' test "$(ledger 'SELECT count(*) FROM account')" = 0
check '  the name of the site is no markup' has 'R&amp;D &lt;Lab&gt;'
for h in "Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" \
	'X-Frame-Options: DENY' 'Referrer-Policy: same-origin' 'X-Content-Type-Options: nosniff' 'Cache-Control: no-store' \
	'Cross-Origin-Opener-Policy: same-origin' 'Content-Type: text/html; charset=utf-8'; do
	check "  ${h%%:*}" header "$h"
done
check 'the style sheet' page 200 - /style.css
check '  is one' header 'Content-Type: text/css'
file_key one p256
check 'the person enrols' enroll pat '' one
serial=$(openssl x509 -in "$TMP/one.pem" -noout -serial | cut -d= -f2)
check 'now there is more to see' page 200 pat /
check '  it is a page' well_formed
check '  the credential' has "$serial"
check '  its state' has '<dd>valid'
check '  its end' has "<time datetime=\"$(date -u -d "$(openssl x509 -in "$TMP/one.pem" -noout -enddate | cut -d= -f2)" +%Y-%m-%dT%H:%M:%SZ)\">"
check '  the card' has "$(openssl x509 -in "$TMP/pat.pem" -noout -ext subjectAltName | grep -oP 'urn:uuid:\K[0-9a-f-]+') (this one)"
check 'markup in a name' page 200 sam /
check '  stays text' has '\&lt;script\&gt;alert(1)'
check '  and is no markup' has_not '<script'
check '  it is a page' well_formed

# --- a binding code ------------------------------------------------------------------------------------------------------
t=$(token pat / /code)
check 'the form has a token' test ${#t} -eq 80
page 200 pat /
check '  a role for it' has 'name="role-encrypt"'
check '  but not one that is not set up' has_not 'name="role-mail"'
codes() { ledger 'SELECT count(*) FROM bind_code'; }
refused() { # NAME: nothing was done, for this reason
	check "refused: $1" has '<code>cross-site</code>'
	check '  it is a page' well_formed
	check '  and no code was given' test "$(codes)" = 0
}
page 403 pat /code -H 'Sec-Fetch-Site: cross-site' -H 'Origin: https://evil.example' -d "token=$t&role-auth=1"; refused 'another site'
page 403 pat /code -H 'Origin: null' -d "token=$t&role-auth=1"; refused 'Origin: null'
page 403 pat /code -H "Origin: http://${URL#https://}" -d "token=$t&role-auth=1"; refused 'the same host without TLS'
page 403 pat /code -H "Origin: $URL" -H 'Sec-Fetch-Site: same-site' -d "token=$t&role-auth=1"; refused 'a neighbour'
page 403 pat /code -d "token=$t&role-auth=1"; refused 'a browser that says nothing'
post 403 pat /code -d 'role-auth=1'; refused 'no token'
post 403 pat /code -d "token=${t%?}$([ "${t: -1}" = 0 ] && echo 1 || echo 0)&role-auth=1"; refused 'a token with a wrong digit'
post 403 sam /code -d "token=$t&role-auth=1"; refused 'the token of another card'
post 403 pat /code -d "token=$(printf %016x $(($(date +%s) + 60)))${t:16}&role-auth=1"; refused 'a token whose end was changed'
post 403 pat /code -d "token=$(token pat "/credential/$serial" "/credential/$serial")&role-auth=1"; refused 'the token of another form'
post 400 pat /code -d "token=$t"
check 'nothing ticked: no code' has '<code>bad-body</code>'
post 400 pat /code -d "token=$t&token=$t&role-auth=1"
check 'a field twice: no form' has 'the form cannot be read'
post 400 pat /code -d "token=$t&role-auth=%00"
check 'a NUL: no form' has 'the form cannot be read'
post 415 pat /code -H 'Content-Type: text/plain' -d "token=$t&role-auth=1"
check 'text/plain: no form' has '<code>media-type</code>'
check 'no certificate: no code' post 403 - /code -d "token=$t&role-auth=1"
check 'GET is refused' page 405 pat /code
check '  still no code' test "$(codes)" = 0
check 'a code' post 200 pat /code -d "token=$t&role-auth=1"
check '  it is a page' well_formed
code=$(grep -oP '<p class="code"><code>\K[0-9A-Z-]{24}' "$TMP/page")
check '  of five groups' test ${#code} -eq 24
check '  with a picture' has 'aria-label="QR code of the binding code"'
check '  and the headers' header "Content-Security-Policy: default-src 'none'"
# qr: the picture's path, eight pixels a module, read by another program
qr() {
	python3 - "$TMP/page" >"$TMP/qr.pgm" <<-'PY'
		import re, sys
		page = open(sys.argv[1]).read()
		side = int(re.search(r'viewBox="0 0 (\d+) ', page)[1])
		dots = [[255] * side for _ in range(side)]
		for x, y, n in re.findall(r'M(\d+) (\d+)h(\d+)v1h-\d+z', page):
		    for k in range(int(n)): dots[int(y)][int(x) + k] = 0
		print("P2", side * 8, side * 8, 255)
		for row in dots:
		    for _ in range(8): print(*[v for v in row for _ in range(8)])
	PY
	[ "$(zbarimg -q --raw "$TMP/qr.pgm")" = "$code" ]
}
check '  that reads as the code' qr
check 'the page waits for it' page 200 pat /
check '  the role is open' has 'waiting for the other machine'
check '  the code is not shown again' has_not "$code"
file_key two p256
csr two
check 'the other machine enrols with it' page 200 - /.well-known/est/simpleenroll -u "x:$code" -H 'Content-Type: application/pkcs10' \
	--data-binary "@$TMP/two.b64"
check 'the page says so' page 200 pat /
check '  used' has 'the other machine has its credential'

# --- revoking ------------------------------------------------------------------------------------------------------------
check 'the page of the credential' page 200 pat "/credential/$serial"
check '  it is a page' well_formed
check "another person's is not shown" page 403 sam "/credential/$serial"
check '  for this reason' has '<code>not-yours</code>'
check 'a number that is none' page 404 pat '/credential/%3Cb%3E'
check '  is no markup' has_not '<b>'
t=$(token pat "/credential/$serial" "/credential/$serial")
post 403 sam "/credential/$serial" -d "token=$t&reason=superseded&sure=1"
check "another person does not revoke it" has '<code>cross-site</code>'
post 400 pat "/credential/$serial" -d "token=$t&reason=superseded"
check 'not without the tick' has 'was not ticked'
post 400 pat "/credential/$serial" -d "token=$t&reason=fun&sure=1"
check 'not for fun' has 'not a reason'
page 403 pat "/credential/$serial" -H 'Sec-Fetch-Site: cross-site' -H 'Origin: https://evil.example' -d "token=$t&reason=superseded&sure=1"
check 'not from another site' has '<code>cross-site</code>'
check '  nothing is revoked so far' test "$(ledger 'SELECT count(*) FROM revocation')" = 0
for reason in $(est pat "/credential/$serial" | grep -oP '<option value="\K[A-Za-z]+'); do
	status 3 "the reason $reason is one" "$ISSUER" revoke --dir "$AGENCY" --reason "$reason" 1234
done
check 'revoked' post 200 pat "/credential/$serial" -d "token=$t&reason=keyCompromise&sure=1"
check '  it is a page' well_formed
listed() { openssl crl -in "$AGENCY/ca.crl" -noout -text | grep -A4 "Serial Number: $serial" | grep -q 'Key Compromise'; }
check '  the CRL has it' listed
check '  the page has it' page 200 pat /
check '  with the reason' has 'revoked, keyCompromise'
check '  and the event' test "$(ledger "SELECT detail FROM event WHERE what = 'revoked'")" = keyCompromise

# --- administrators ------------------------------------------------------------------------------------------------------
check 'no administrator' page 403 pat /admin
check '  for this reason' has '<code>not-admin</code>'
check '  nobody' page 403 - /admin
check 'an administrator' page 200 sam /admin
check '  it is a page' well_formed
check '  the accounts' has 'PAT EXAMPLE'
check '  the events' has '<td>code-given</td>'
check '  what needs attention' has 'Requests refused in the last 24 hours: '
t=$(token pat / /code)
check 'an account is suspended' "$ISSUER" account suspend --dir "$AGENCY" 1
check '  which needs attention' page 200 sam /admin
check '  one' has 'Suspended accounts: 1'
check '  sees itself' page 200 pat /
check '  suspended' has '</bdi>, suspended'
check '  without a form' has_not '<form'
post 403 pat /code -d "token=$t&role-auth=1"
check '  and gets no code by an old one' has '<code>account-suspended</code>'
check 'resumed' "$ISSUER" account resume --dir "$AGENCY" 1
sam_code() { post 200 sam /code -d "token=$(token sam / /code)&role-auth=1"; }
check 'the administrator gets an account' sam_code
sam_account=$(ledger 'SELECT max(id) FROM account')
check '  which is suspended' "$ISSUER" account suspend --dir "$AGENCY" "$sam_account"
check '  no administrator any more' page 403 sam /admin
check '  for this reason' has '<code>account-suspended</code>'
check '  who sees nothing' has_not 'PAT EXAMPLE'
t=$(token pat / /code)
check 'forms outlive a restart' test -n "$t"
check_stop 'stop'
check_start 'serve again'
check '  the old form' post 200 pat /code -d "token=$t&role-sign=1"
check 'programs have plain text still' sh -c "curl -sS --cacert $AGENCY/root.pem $URL/nothing | grep -q '^dpiv-issuer: not-found: '"
# --- where the card's CHUID is wanted, a browser gets no code ---
t=$(token pat / /code)
check 'the CHUID of the card is wanted' agency_set 'require_chuid = yes'
check_stop 'stop'
check_start 'serve with that'
check '  the page' page 200 pat /
check '  is one' well_formed
check '  it says how a code is had' has '<code>dpiv bind</code>'
check '  and has no form for it' has_not 'action="/code"'
check '  a form of before gets none' post 403 pat /code -d "token=$t&role-sign=1"
check '  for this reason' has '<code>chuid-missing</code>'
check_stop 'stop'
