#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The end of dpiv-issuer serve, and a new beginning: who has asked is answered, who sits idle is hung up on, and it is
# bounded; SIGHUP takes over a new certificate or nothing; with sockets from a service manager no client is refused
# while the service is restarted.
. tests/lib/shell.sh
. tests/lib/issuer.sh

tls_serial() { openssl s_client -connect "${URL#https://}" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
check 'init' agency_init
agency_set 'farewell = 3'
check_start 'serve'

# half a request, SIGTERM, the other half; besides, a connection that has its answer
cat >"$TMP/ends.py" <<'PY'
import os, signal, socket, ssl, sys, time
port, pid, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
ctx = ssl._create_unverified_context()
def connect():
    s = ctx.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    s.settimeout(20)
    return s
def answer(s):
    data = b""
    while True:
        more = s.recv(65536)
        if not more:
            return data
        data += more
get = b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\n\r\n"
if what == "asked":
    idle, late = connect(), connect()
    idle.sendall(get)
    idle.recv(65536)
    late.sendall(get[:20])
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    time.sleep(1.5)
    late.sendall(get[20:])
    data = answer(late)
    assert b" 200 " in data[:20] and b"Connection: close" in data, data[:300]
else:
    stranger = connect()
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)
    assert answer(stranger) == b""
PY
began=$SECONDS
check 'who has asked half is answered after SIGTERM' /usr/bin/python3 "$TMP/ends.py" "${URL##*:}" "$ISSUER_PID" asked
wait "$ISSUER_PID"
check 'the service ends well' test $? = 0
check 'without waiting for who is idle' test $((SECONDS - began)) -le 5
check 'no connection is left' sh -c "tail -n 1 '$TMP/issuer.log' | grep -q 'stopped connections=0'"
check_start 'serve again'
began=$SECONDS
check 'a stranger is hung up on at last' /usr/bin/python3 "$TMP/ends.py" "${URL##*:}" "$ISSUER_PID" stranger
wait "$ISSUER_PID"
check '  and the service ends well' test $? = 0
check '  in its time' test $((SECONDS - began)) -le 8

# SIGHUP
check_start 'serve again'
before=$(tls_serial)
check 'a connection before' test -n "$before"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/new.key" -out "$TMP/new.pem" -days 10 -subj '/CN=localhost' 2>/dev/null
cp "$TMP/new.pem" "$AGENCY/tls.pem"
kill -HUP "$ISSUER_PID"
says_log() { for _ in $(seq 50); do grep -q "$1" "$TMP/issuer.log" && return; sleep 0.1; done; tail -n 5 "$TMP/issuer.log"; return 1; }
check 'a certificate without its key is not taken' says_log 'not-reloaded .*tls'
check '  the old one is shown' test "$(tls_serial)" = "$before"
cp "$TMP/new.key" "$AGENCY/private/tls.key"
kill -HUP "$ISSUER_PID"
check 'the new one is taken' says_log ' reloaded '
check '  and shown' test "$(tls_serial)" = "$(openssl x509 -in "$TMP/new.pem" -noout -serial)"
echo 'nonsense = 1' >>"$AGENCY/issuer.conf"
kill -HUP "$ISSUER_PID"
check 'a configuration with a mistake is not taken' says_log 'not-reloaded .*nonsense'
sed -i '$d' "$AGENCY/issuer.conf"
check 'EST is served all the while' curl -sSkf -o "$TMP/cacerts" "$URL/.well-known/est/cacerts"
check_stop 'stop'

# The sockets are the manager's: four restarts under a stream of clients, none of which is refused or cut off.
cat >"$TMP/manager.py" <<'PY'
import os, signal, socket, ssl, subprocess, sys, threading, time
issuer, agency, log = sys.argv[1:4]
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
port = listener.getsockname()[1]
def child():
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="est")
def start():
    return subprocess.Popen(["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', issuer, "serve", agency], close_fds=False,
        preexec_fn=child, stdout=subprocess.DEVNULL, stderr=open(log, "a"))
ctx = ssl._create_unverified_context()
done, served, lost = threading.Event(), [], []
def client():
    while not done.is_set():
        try:
            with ctx.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20)) as s:
                s.sendall(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                data = b""
                while more := s.recv(65536):
                    data += more
                (served if b" 200 " in data[:20] else lost).append(data[:60])
        except OSError as e:
            lost.append(e)
run = start()
clients = [threading.Thread(target=client) for _ in range(4)]
for c in clients:
    c.start()
for _ in range(4):
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    assert run.wait(20) == 0
    run = start()
time.sleep(1)
done.set()
for c in clients:
    c.join()
run.send_signal(signal.SIGTERM)
assert run.wait(20) == 0
print("port", port, len(served), "served,", len(lost), "lost", lost[:3])
sys.exit(0 if not lost and len(served) > 20 else 1)
PY
sed -i '/^\[listen\]/,/^\[publish\]/s|^address = .*|address = 127.0.0.1:1|' "$AGENCY/issuer.conf" # where nobody may listen
check 'four restarts, no client is lost' /usr/bin/python3 "$TMP/manager.py" "$ISSUER" "$AGENCY" "$TMP/manager.log"
check 'every start took over the socket' test "$(grep -c ' listening ' "$TMP/manager.log")" = 5
