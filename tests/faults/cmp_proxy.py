# SPDX-License-Identifier: BSD-2-Clause
"""cmp_proxy.py MODE FILE: between dpiv and the mock server of `openssl cmp`, on 127.0.0.1:8087; the mock is on 8086. It keeps
its hands off (record, which saves the first answer in FILE), sends that answer again (replay), changes one bit at the end or
in the middle (flip, flip_body), or does not speak CMP at all."""
import http.client, os, socket, sys, threading, time

mode, file = sys.argv[1:3]

upstream = http.client.HTTPConnection("127.0.0.1", 8086, timeout=10)

def forward(path, body):
    # one connection: the mock forgets a transaction with its connection
    upstream.request("POST", path, body, {"Content-Type": "application/pkixcmp", "Connection": "keep-alive"})
    return upstream.getresponse().read()

def respond(conn, path, body):
    status, kind, extra = 200, "application/pkixcmp", {}
    if mode == "record":
        out = forward(path, body)
        if not os.path.exists(file):
            with open(file, "wb") as f:
                f.write(out)
    elif mode == "replay":
        out = open(file, "rb").read()
    elif mode in ("flip", "flip_body"):
        out = bytearray(forward(path, body))
        # the protection is the last element when there are no extra certificates, as with a shared secret
        out[-1 if mode == "flip" else len(out) // 2] ^= 1
        out = bytes(out)
    elif mode == "trailing":
        out = forward(path, body) + b"\0"
    elif mode == "garbage":
        out = os.urandom(3000)
    elif mode == "html":
        kind, out = "text/html", b"<html>Welcome</html>"
    elif mode == "500":
        status, kind, out = 500, "text/plain", b"because it is 500 today\n"
    elif mode == "503":
        status, kind, out = 503, "text/plain", b"later\n"
    elif mode == "redirect_away":
        status, out, extra = 302, b"", {"Location": "http://elsewhere.example.test/pkix/"}
    elif mode == "redirect_loop":
        status, out, extra = 302, b"", {"Location": path}
    elif mode == "silent":
        time.sleep(600)
        return
    elif mode == "huge":
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nConnection: close\r\n\r\n")
        for _ in range(800):
            conn.sendall(b"\x30" * 65536)
        return
    head = "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (status, kind, len(out))
    head += "".join("%s: %s\r\n" % kv for kv in extra.items())
    conn.sendall(head.encode() + b"\r\n" + out)

def serve(conn):
    try:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")
            length = sum(int(l.split(":")[1]) for l in lines if l.lower().startswith("content-length:"))
            while len(data) < length:
                data += conn.recv(65536)
            body, data = data[:length], data[length:]
            respond(conn, lines[0].split()[1], body)
    except OSError as e:
        print("connection:", e, flush=True)
    finally:
        conn.close()

listener = socket.create_server(("127.0.0.1", 8087), backlog=16)
print("ready", flush=True)
while True:
    s, _ = listener.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
