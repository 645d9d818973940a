#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""smtp_server.py DIR [CODE [CERT KEY]]: a mail relay for tests on 127.0.0.1. Says its port; each message goes to DIR/N.eml, with
the envelope in its first two lines. With a CODE other than 250 recipients get that answer; with CERT and KEY it speaks TLS
after STARTTLS, and takes mail after that only. Ends with its standard input.
"""
import os, socketserver, ssl, sys, threading

where, code = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "250"
tls = sys.argv[3:5]
lock, count = threading.Lock(), [0]


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def secure(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        self.say("220 go")
        sock = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = sock.makefile("rb"), sock.makefile("wb")
        return True

    def handle(self):
        sender, to, safe = "", "", not tls
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].split(":")[0].upper()
            if verb == "EHLO":
                self.say("250-test")
                self.say("250 8BITMIME" if safe else "250 STARTTLS")
            elif verb == "STARTTLS":
                safe = self.secure()
            elif verb == "MAIL" and safe:
                sender = line
                self.say("250 ok")
            elif verb == "RCPT" and safe:
                to = line
                self.say(code + " as you say")
            elif verb == "DATA" and code == "250" and safe:
                self.say("354 go on")
                self.take(sender, to)
                self.say("250 ok")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok" if verb in ("RSET", "NOOP") else "530 no")

    def take(self, sender, to):
        text = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            text += line[1:] if line.startswith(b".") else line
        with lock:
            count[0] += 1
            path = os.path.join(where, "%d" % count[0])
        with open(path + ".new", "wb") as f:
            f.write(f"{sender}\r\n{to}\r\n".encode() + text)
        os.rename(path + ".new", path + ".eml")


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
server.daemon_threads = True
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
