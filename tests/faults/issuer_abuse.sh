#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What strangers do to the issuer's port: plain text, silence, dripping, half handshakes, huge headers and bodies, many
# connections, renegotiation; and kills in the middle of work. Bounded time, honest clients served, nothing lost.
. tests/lib/shell.sh
. tests/lib/issuer.sh

port() { echo "${URL##*:}"; }
alive() { est - /.well-known/est/cacerts | base64 -di | openssl pkcs7 -inform der -print_certs -noout; }

# closed_within SECONDS FUNCTION: FUNCTION holds a connection open until the server ends it
closed_within() {
	local start=$SECONDS
	timeout $(($1 + 5)) bash -c "$(declare -f "$2"); $2 $(port)"
	echo "closed after $((SECONDS - start)) s"
	[ $((SECONDS - start)) -le "$1" ]
}
silent() { exec 3<>"/dev/tcp/127.0.0.1/$1"; cat <&3 >/dev/null; }
half_hello() { exec 3<>"/dev/tcp/127.0.0.1/$1"; printf '\x16\x03\x01\x02\x00\x01\x00' >&3; cat <&3 >/dev/null; }
tls_silent() { openssl s_client -connect "127.0.0.1:$1" -quiet < <(exec sleep 15) >/dev/null 2>&1; }
half_header() {
	openssl s_client -connect "127.0.0.1:$1" -quiet < <(printf 'GET / HTTP/1.1\r\nHost: x'; exec sleep 15) >/dev/null 2>&1
}
drip_header() {
	{ printf 'GET / HTTP/1.1\r\n'; while sleep 0.3; do printf 'x' || break; done; } |
		openssl s_client -connect "127.0.0.1:$1" -quiet >/dev/null 2>&1
}
drip_body() {
	{
		printf 'POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n'
		while sleep 0.3; do printf 'x' || break; done
	} | openssl s_client -connect "127.0.0.1:$1" -quiet >/dev/null 2>&1
}
plain_http() {
	local answer
	answer=$(curl -s --max-time 10 "http://127.0.0.1:$(port)/.well-known/est/cacerts")
	[ -z "$answer" ]
}
# A client of TLS 1.3 has sent its request by the time its handshake is refused: closing the socket with that unread
# would reset the connection, and the alert would go down with it. Here, 20 kB that are no handshake.
alert_arrives() {
	python3 - "$(port)" <<-'PY'
	import socket, sys, time
	s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
	s.sendall(b"\x16\x03\x01\x00\x05hello" + b"x" * 20000)
	time.sleep(0.5)
	s.getpeername()	# ENOTCONN after a reset
	alert = s.recv(100)
	print(alert)
	s.sendall(b"more")
	assert alert[:1] == b"\x15", "no alert"
	s.settimeout(5)
	assert s.recv(100) == b"", "the server does not hang up"
	PY
}
code() { # the HTTP status of a request over TLS, whatever the body
	curl -s -o /dev/null -w '%{http_code}' --max-time 20 --cacert "$AGENCY/root.pem" --http1.1 "$@" "$URL/.well-known/est/simpleenroll"
}
big_header() { [ "$(code -H "X-Big: $(head -c 20000 /dev/zero | tr '\0' x)")" = 400 ]; }
big_length() {
	local answer
	answer=$({ printf 'POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n'; sleep 2; } |
		openssl s_client -connect "127.0.0.1:$(port)" -quiet 2>/dev/null | head -n 1)
	grep -q ' 413 ' <<<"$answer"
}
big_body() { [ "$(code -X POST -H 'Expect:' --data-binary "@$TMP/big")" != 200 ] && alive; }
chunks_without_end() {
	timeout 20 bash -c "{ printf 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
		while printf '400\r\n%1024s\r\n' ''; do :; done; } 2>/dev/null |
		openssl s_client -connect 127.0.0.1:$(port) -quiet >/dev/null 2>&1"
	alive
}
methods() { # whatever it is, it is not served
	local m
	for m in PUT DELETE OPTIONS TRACE PATCH BREW; do
		[ "$(code -X $m)" != 200 ] || return 1
	done
	alive
}
renegotiate() {
	{ printf 'GET / HTTP/1.1\r\nHost: x\r\n'; sleep 1; echo R; sleep 1; } |
		openssl s_client -connect "127.0.0.1:$(port)" -tls1_2 -CAfile "$AGENCY/root.pem" 2>&1 | grep -qi 'no renegotiation\|error'
}
no_tickets() {
	local v
	for v in 1_2 1_3; do
		rm -f "$TMP/session"
		printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
			openssl s_client -connect "127.0.0.1:$(port)" -tls$v -ign_eof -sess_out "$TMP/session" >"$TMP/out" 2>&1
		! grep -qi 'ticket lifetime' "$TMP/out" || return 1
		[ ! -s "$TMP/session" ] || ! printf '' | openssl s_client -connect "127.0.0.1:$(port)" -tls$v -sess_in "$TMP/session" \
			2>&1 | grep -q '^Reused' || return 1
	done
}
old_tls() {
	! openssl s_client -connect "127.0.0.1:$(port)" -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null >/dev/null 2>&1 &&
		! openssl s_client -connect "127.0.0.1:$(port)" -tls1_2 -cipher AES128-SHA </dev/null >/dev/null 2>&1
}
# more silent connections than the limit; an honest client is served as soon as the strangers time out
crowd() {
	local n pids=() start=$SECONDS
	for n in $(seq 40); do
		(exec 3<>"/dev/tcp/127.0.0.1/$(port)" && cat <&3 >/dev/null) &
		pids+=($!)
	done
	sleep 0.5
	est - /.well-known/est/cacerts --max-time 30 --connect-timeout 30 >"$TMP/answer"
	n=$?
	kill "${pids[@]}" 2>/dev/null
	echo "served after $((SECONDS - start)) s"
	[ $n -eq 0 ] && [ -s "$TMP/answer" ]
}
files_open() { ls "/proc/$ISSUER_PID/fd" | wc -l; }

check 'a demo agency' agency_init
check 'small limits' agency_set 'timeout = 2' 'max_connections = 20' 'require_binding = no'
check 'a card' file_card ec p256
check_start 'serve'
check 'served' alive
before=$(files_open)
check 'plain HTTP gets nothing' plain_http
check 'why a handshake is refused arrives' alert_arrives
check 'a silent connection is closed' closed_within 6 silent
check 'half a ClientHello' closed_within 6 half_hello
check 'TLS and silence' closed_within 6 tls_silent
check 'half a header' closed_within 6 half_header
check 'a dripping header' closed_within 8 drip_header
check 'a dripping body' closed_within 8 drip_body
check 'a header of 20 kB' big_header
check 'a Content-Length of 1 GB' big_length
head -c 3000000 /dev/zero >"$TMP/big"
check 'a body of 3 MB' big_body
check 'chunks without end' chunks_without_end
check 'other methods' methods
check 'no renegotiation' renegotiate
check 'no tickets, no resumption' no_tickets
check 'nothing older than TLS 1.2 with ECDHE and AES-GCM' old_tls
check 'a crowd of silent connections' crowd
sleep 3
check 'no connection is left over' test "$(files_open)" -le $((before + 1))
file_key new p256
check 'an honest client is served' enroll ec '' new
check_stop 'SIGTERM ends it cleanly'

# --- kills: what left the building is in the ledger ------------------------------------------------------------------
issued() { sqlite3_count "SELECT count(*) FROM certificate WHERE serial = '$1' AND state = 'issued' AND der IS NOT NULL"; }
sqlite3_count() { python3 -c "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])" "$AGENCY/issuer.db" "$1"; }
kills() {
	local n k serial got=0
	for n in 1 2 3 4; do
		issuer_start || return 1
		(sleep 0.$((n * 2)); kill -9 "$ISSUER_PID") 2>/dev/null &
		for k in 1 2 3 4 5 6 7 8 9 10 11 12; do
			file_key kill-$n-$k p256
			enroll ec '' kill-$n-$k --max-time 5 >/dev/null 2>&1 || break
			got=$((got + 1))
		done
		wait "$ISSUER_PID" 2>/dev/null
		wait
		for k in "$TMP"/kill-$n-*.pem; do
			[ -s "$k" ] || continue
			serial=$(openssl x509 -in "$k" -noout -serial | cut -d= -f2)
			[ "$(issued "$serial")" = 1 ] || { echo "lost: $serial"; return 1; }
		done
	done
	echo "$got certificates, all in the ledger"
	[ "$got" -gt 0 ] && [ "$(sqlite3_count 'PRAGMA integrity_check')" = ok ]
}
check 'SIGKILL while enrolling, four times: every certificate that was handed out is in the ledger' kills
check_start 'and it starts again'
check_stop 'and ends'
