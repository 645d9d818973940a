#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""hostile.py MODE CERT KEY CHAIN CAKEY: an EST server on 127.0.0.1:8443 that misbehaves in one way.

CERT, KEY: of its TLS; CHAIN: issuing CA first, then the root: what it trusts and issues by; CAKEY: key of the issuing CA.
Prints "ready", then one line for each request. Modes are the functions enrol_* (what simpleenroll does), the
connection-level words in CONNECTION, and any HTTP status as a number.
"""
import base64, os, socket, ssl, subprocess, sys, tempfile, threading, time, uuid

mode, cert, key, chain, cakey = sys.argv[1:6]
POLICY = "2.16.840.1.101.3.2.1.3.40"
tmp = tempfile.mkdtemp()

def run(args, stdin=b""):
    p = subprocess.run(args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.returncode != 0:
        print("openssl:", p.stderr.decode(errors="replace"), flush=True)
    return p.stdout

def pkcs7(pem_files):
    args = ["openssl", "crl2pkcs7", "-nocrl", "-outform", "DER"]
    for f in pem_files:
        args += ["-certfile", f]
    return base64.b64encode(run(args))

# ---- issuing ------------------------------------------------------------------------------------------------------

GOOD = dict(ku="critical,digitalSignature", eku="clientAuth", policy=POLICY, san="URI=urn:uuid:%s", ca="critical,CA:FALSE",
            days="365", subject=None)

def peer_subject(conn):
    p = os.path.join(tmp, "peer.der")
    with open(p, "wb") as f:
        f.write(conn.getpeercert(True) or b"")
    return p

def issue(conn, body, **change):
    how = dict(GOOD, **change)
    csr = os.path.join(tmp, "csr.der")
    with open(csr, "wb") as f:
        f.write(base64.b64decode(body))
    peer = peer_subject(conn)
    subject = how["subject"]
    if subject is None:
        # the CSR's own subject is the card's; x509 -req keeps it
        subject_args = []
    else:
        subject_args = ["-subj", subject]
    urn = str(uuid.uuid4())
    if how.get("uuid") == "card":
        text = run(["openssl", "x509", "-inform", "DER", "-in", peer, "-noout", "-ext", "subjectAltName"]).decode()
        urn = text.split("urn:uuid:")[1][:36]
    ext = os.path.join(tmp, "ext.cnf")
    with open(ext, "w") as f:
        f.write("[x]\nbasicConstraints=%s\nkeyUsage=%s\nextendedKeyUsage=%s\ncertificatePolicies=%s\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=@san\n[san]\n%s\n" %
                (how["ca"], how["ku"], how["eku"], how["policy"], how["san"] % urn if "%s" in how["san"] else how["san"]))
    ca = os.path.join(tmp, "ca.pem")
    with open(ca, "wb") as f:
        f.write(run(["openssl", "x509", "-in", chain]))
    out = os.path.join(tmp, "new.pem")
    key_args = []
    if how.get("other_key"):
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", tmp + "/o.key"])
        run(["openssl", "pkey", "-in", tmp + "/o.key", "-pubout", "-out", tmp + "/o.pub"])
        key_args = ["-force_pubkey", tmp + "/o.pub"]
    signer, signer_key = ca, cakey
    if how.get("other_ca"):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             tmp + "/evil.key", "-out", tmp + "/evil.pem", "-subj", "/CN=Evil CA", "-days", "10"])
        signer, signer_key = tmp + "/evil.pem", tmp + "/evil.key"
    run(["openssl", "x509", "-req", "-inform", "DER", "-in", csr, "-CA", signer, "-CAkey", signer_key, "-set_serial",
         str(int.from_bytes(os.urandom(8), "big") | 1), "-sha256", "-days", how["days"], "-extfile", ext, "-extensions", "x",
         "-out", out] + subject_args + key_args)
    return pkcs7([out])

def ok(body):
    return 200, "application/pkcs7-mime; smime-type=certs-only", body, {}

def enrol_good(c, b):        return ok(issue(c, b))
def enrol_wrong_key(c, b):   return ok(issue(c, b, other_key=True))
def enrol_other_name(c, b):  return ok(issue(c, b, subject="/C=US/O=Demo Government/OU=Demo Agency/CN=Somebody Else"))
def enrol_ca_leaf(c, b):     return ok(issue(c, b, ca="critical,CA:TRUE", ku="critical,digitalSignature,keyCertSign"))
def enrol_ten_years(c, b):   return ok(issue(c, b, days="3650"))
def enrol_policy(c, b):      return ok(issue(c, b, policy="2.16.840.1.101.3.2.1.3.13"))
def enrol_no_policy(c, b):   return ok(issue(c, b, policy="1.2.3.4"))
def enrol_card_uuid(c, b):   return ok(issue(c, b, uuid="card"))
def enrol_no_uuid(c, b):     return ok(issue(c, b, san="email=pat@example.test"))
def enrol_fascn(c, b):       return ok(issue(c, b, san="URI=urn:uuid:%s\notherName=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:D0439458210C2C19A0846D83685A1082108CE73984108CA3FC"))
def enrol_usage(c, b):       return ok(issue(c, b, ku="critical,digitalSignature,keyEncipherment"))
def enrol_server_eku(c, b):  return ok(issue(c, b, eku="clientAuth,serverAuth"))
def enrol_untrusted(c, b):   return ok(issue(c, b, other_ca=True))
def enrol_garbage(c, b):     return ok(b"<html>Welcome to the company portal</html>")
def enrol_der_garbage(c, b): return ok(os.urandom(2000))
def enrol_no_certs(c, b):    return ok(base64.b64encode(bytes.fromhex("302306092a864886f70d010702a0163014020101310030" "0b06092a864886f70d0107013100")))
def enrol_empty(c, b):       return ok(b"")
def enrol_pending(c, b):     return 202, "text/plain", b"come back\n", {"Retry-After": "7200"}
def enrol_pending_bare(c, b): return 202, "text/plain", b"", {}
def enrol_challenge(c, b):   return 401, "text/plain", b"log in", {"WWW-Authenticate": 'Basic realm="x"'}
def enrol_redirect_away(c, b): return 302, "text/plain", b"", {"Location": "https://elsewhere.example.test/est"}
def enrol_redirect_http(c, b): return 302, "text/plain", b"", {"Location": "http://localhost:8443/.well-known/est/simpleenroll"}
def enrol_redirect_loop(c, b): return 302, "text/plain", b"", {"Location": "https://localhost:8443/.well-known/est/simpleenroll"}
def enrol_escape(c, b):      return 403, "text/plain", b"\x1b[2J\x1b]0;owned\x07no\xff\xfe entry" + b"A" * 5000 + b"\n", {}

pending_seen = [0]
def enrol_pending_once(c, b):
    pending_seen[0] += 1
    return (202, "text/plain", b"", {"Retry-After": "1"}) if pending_seen[0] == 1 else ok(issue(c, b))

# ---- the connection -----------------------------------------------------------------------------------------------

def endless(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"A" * 65536 + b"\r\n"
    while True:
        conn.sendall(piece)

def huge(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: 52428800\r\n\r\nMII")
    time.sleep(60)

def endless_header(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        conn.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")

def drip(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: 4000\r\n\r\n")
    while True:
        conn.sendall(b"M")
        time.sleep(1)

CONNECTION = {
    "endless": endless, "huge": huge, "endless_header": endless_header, "drip": drip,
    "silent": lambda conn: time.sleep(600),
    "nothing": lambda conn: None,
    "not_http": lambda conn: conn.sendall(b"220 mail.example.test ESMTP\r\n"),
    "cut": lambda conn: conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: 4000\r\n\r\nMII"),
}

def answer(conn, status, ctype, body, extra):
    head = "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (status, ctype, len(body))
    head += "".join("%s: %s\r\n" % kv for kv in extra.items())
    conn.sendall(head.encode() + b"\r\n" + body)

def respond(conn, path, body):
    where, _, what = mode.rpartition("@")  # "cacerts@500": only there
    here = path.rsplit("/", 1)[1]
    what = mode if not where else what
    if (where or "simpleenroll") == here:
        if what.startswith("stall"):
            if here == "simpleenroll" and what == "stall_issued":
                issue(conn, body)
            print("stalled", flush=True)
            time.sleep(600)
        if what in CONNECTION:
            CONNECTION[what](conn)
            return False
        if what.isdigit():
            answer(conn, int(what), "text/plain", b"because it is %s today\n" % what.encode(), {})
            return True
        answer(conn, *globals().get("enrol_" + what, enrol_good)(conn, body))
        return True
    if here == "cacerts":
        answer(conn, *ok(pkcs7([chain])))
    elif here == "csrattrs":
        answer(conn, 204, "text/plain", b"", {})
    else:
        answer(conn, *enrol_good(conn, body))
    return True

def serve(raw):
    try:
        conn = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        try:
            conn.do_handshake()
        except ssl.SSLError:
            # a polite server lets its alert arrive before it closes; mode "rude" does not
            if mode != "rude":
                time.sleep(1)
            raise
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
            print("request", lines[0], flush=True)
            if not respond(conn, lines[0].split()[1], body):
                conn.close()
                return
    except OSError as e:
        print("connection:", e, flush=True)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
if mode != "no_cert_asked":
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(chain)
if mode in ("unknown_ca", "rude"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cert)
if mode == "tls_old":
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
listener = socket.create_server(("127.0.0.1", 8443), backlog=16)
print("ready", flush=True)
while True:
    s, _ = listener.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
