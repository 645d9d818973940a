#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""pki_server.py PORT AGENCY DIR: what a CA publishes, over http: /pki/ca.crl and /pki/ocsp, for tests of those who ask.

DIR/crl is the CRL that is sent (DER; absent: 404). DIR/ocsp-mode says how OCSP answers: good, a working responder (`openssl ocsp`
with DIR/index.txt, as OCSP-SIGNER); stale, signed and out of date; forged, signed by DIR/forger.pem; huge, without end; silent,
accepts and says nothing; replay, the bytes of DIR/ocsp-kept; none, 503."""
import os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, agency, where = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def ocsp(request, mode):
    with open(where + "/req", "wb") as f:
        f.write(request)
    signer, key = agency + "/ocsp.pem", agency + "/private/ocsp.key"
    if mode == "forged":
        signer, key = where + "/forger.pem", where + "/forger.key"
    if mode == "ca":
        signer, key = agency + "/ca.pem", agency + "/private/ca.key"
    more = ["-nmin", "5"] if mode != "forever" else []
    subprocess.run(["openssl", "ocsp", "-index", where + "/index.txt", "-CA", agency + "/ca.pem", "-rsigner", signer, "-rkey", key,
                    "-reqin", where + "/req", "-respout", where + "/resp"] + more, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return open(where + "/resp", "rb").read()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def endless(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"\x30" * 65536)
        except OSError:
            pass

    def do_GET(self):
        name = where + "/crl"
        if self.path != "/pki/ca.crl" or not os.path.exists(name):
            return self.send(404, "text/plain", b"no such thing\n")
        if os.path.getsize(name) == 0:
            return self.endless()
        return self.send(200, "application/pkix-crl", open(name, "rb").read())

    def do_POST(self):
        request = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = open(where + "/ocsp-mode").read().strip()
        if mode == "huge":
            return self.endless()
        if mode == "silent":
            return time.sleep(30)
        if mode == "none":
            return self.send(503, "text/plain", b"closed\n")
        if mode == "replay":
            body = open(where + "/ocsp-kept", "rb").read()
        elif mode == "junk":
            body = os.urandom(300)
        else:
            body = ocsp(request, mode)
        return self.send(200, "application/ocsp-response", body)


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
