#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""aia_server.py PORT DIR: CA certificates over http, each request a line of DIR/log. /NAME is the file DIR/NAME; DIR/NAME.mode says
otherwise: huge, without end; loop, redirects to itself; silent, accepts and says nothing; status N."""
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, where = int(sys.argv[1]), sys.argv[2]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        with open(where + "/log", "a", encoding="ascii") as f:
            f.write(self.path + "\n")

    def send(self, status, body, **headers):
        self.send_response(status)
        for k, v in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(body)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"\x30" * 65536)
        except OSError:
            pass

    def do_GET(self):
        name = where + "/" + os.path.basename(self.path)
        mode = open(name + ".mode").read().split() if os.path.exists(name + ".mode") else [""]
        if mode[0] == "huge":
            return self.endless()
        if mode[0] == "loop":
            return self.send(302, b"", Location=self.path)
        if mode[0] == "silent":
            return time.sleep(30)
        if mode[0] == "status":
            return self.send(int(mode[1]), b"no\n")
        if not os.path.exists(name):
            return self.send(404, b"no such thing\n")
        return self.send(200, open(name, "rb").read())


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
