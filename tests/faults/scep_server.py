# SPDX-License-Identifier: BSD-2-Clause
"""scep_server.py MODE CA.pem CA.key: a small SCEP server (RFC 8894) for tests, written for that and sharing nothing with
dpiv, on 127.0.0.1:8080. MODE "good" answers as the RFC says, "pending_once" lets the first request wait and answers the
poll; every other mode does one thing wrong, or says no. Only with asn1crypto and cryptography."""
import base64, hashlib, os, socket, sys, threading, time, datetime, urllib.parse, uuid
from asn1crypto import cms, core, csr as acsr, x509 as ax509, algos
from cryptography import x509
from cryptography.x509.oid import NameOID, ExtendedKeyUsageOID
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

mode, ca_file, key_file = sys.argv[1:4]
ca_cert = x509.load_pem_x509_certificate(open(ca_file, "rb").read())
ca_key = serialization.load_pem_private_key(open(key_file, "rb").read(), None)
ca_asn1 = ax509.Certificate.load(ca_cert.public_bytes(serialization.Encoding.DER))
evil_key = rsa.generate_private_key(65537, 2048)
V = "2.16.840.1.113733.1.9."

class Printables(core.SetOf):
    _child_spec = core.PrintableString

class Octets(core.SetOf):
    _child_spec = core.OctetString

class Texts(core.SetOf):
    _child_spec = core.UTF8String

for number, name, kind in ((V + "2", "message_type", Printables), (V + "3", "pki_status", Printables),
                           (V + "4", "fail_info", Printables), (V + "5", "sender_nonce", Octets),
                           (V + "6", "recipient_nonce", Octets), (V + "7", "transaction", Printables),
                           ("1.3.6.1.5.5.7.24.1", "fail_text", Texts)):
    cms.CMSAttributeType._map[number] = name
    cms.CMSAttribute._oid_specs[name] = kind

def open_request(der):
    """The message's attributes, the certificate that signed it and what is in the envelope. The signature counts."""
    signed = cms.ContentInfo.load(der)["content"]
    info = signed["signer_infos"][0]
    cert = x509.load_der_x509_certificate(signed["certificates"][0].chosen.dump())
    content = signed["encap_content_info"]["content"].native
    attrs = {a["type"].native: a["values"][0].native for a in info["signed_attrs"]}
    digest = info["digest_algorithm"]["algorithm"].native
    assert attrs["message_digest"] == hashlib.new(digest, content).digest()
    cert.public_key().verify(info["signature"].native, info["signed_attrs"].untag().dump(force=True), padding.PKCS1v15(),
                             {"sha256": hashes.SHA256(), "sha1": hashes.SHA1()}[digest])
    envelope = cms.ContentInfo.load(content)["content"]
    key = ca_key.decrypt(envelope["recipient_infos"][0].chosen["encrypted_key"].native, padding.PKCS1v15())
    box = envelope["encrypted_content_info"]
    iv = box["content_encryption_algorithm"].encryption_iv
    kind = algorithms.AES if box["content_encryption_algorithm"].encryption_cipher == "aes" else algorithms.TripleDES
    plain = Cipher(kind(key), modes.CBC(iv)).decryptor().update(box["encrypted_content"].native)
    return attrs, cert, plain[:-plain[-1]]

def issue(request):
    req = x509.load_der_x509_csr(request)
    assert req.is_signature_valid
    now = datetime.datetime.utcnow()
    key = evil_key.public_key() if mode == "other_key" else req.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody")]) if mode == "other_name" else req.subject
    return (x509.CertificateBuilder().subject_name(name).issuer_name(ca_cert.subject).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(days=90))
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.KeyUsage(True, *[False] * 8), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
            .add_extension(x509.CertificatePolicies([x509.PolicyInformation(
                x509.ObjectIdentifier("2.16.840.1.101.3.2.1.3.40"), None)]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:uuid:%s" % uuid.uuid4())]), False)
            .sign(ca_key, hashes.SHA256()))

def certs_only(cert):
    der = ax509.Certificate.load(cert.public_bytes(serialization.Encoding.DER))
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData({
        "version": "v1", "digest_algorithms": [], "encap_content_info": {"content_type": "data"},
        "certificates": [der], "signer_infos": []})}).dump()

def seal(plain, to):
    des = mode == "des3"
    key, iv = os.urandom(24 if des else 16), os.urandom(8 if des else 16)
    block = len(iv)
    plain += bytes([block - len(plain) % block]) * (block - len(plain) % block)
    kind = algorithms.TripleDES if des else algorithms.AES
    box = Cipher(kind(key), modes.CBC(iv)).encryptor().update(plain)
    whom = ax509.Certificate.load(to.public_bytes(serialization.Encoding.DER))
    public = evil_key.public_key() if mode == "other_envelope" else to.public_key()
    return cms.ContentInfo({"content_type": "enveloped_data", "content": cms.EnvelopedData({
        "version": "v0",
        "recipient_infos": [cms.RecipientInfo(name="ktri", value={
            "version": "v0",
            "rid": cms.RecipientIdentifier(name="issuer_and_serial_number", value={
                "issuer": whom.issuer, "serial_number": whom.serial_number}),
            "key_encryption_algorithm": {"algorithm": "rsaes_pkcs1v15"},
            "encrypted_key": public.encrypt(key, padding.PKCS1v15())})],
        "encrypted_content_info": {
            "content_type": "data",
            "content_encryption_algorithm": {"algorithm": "tripledes_3key" if des else "aes128_cbc", "parameters": iv},
            "encrypted_content": box}})}).dump()

def answer(attrs, content):
    """CertRep, signed by the CA: content None leaves the content out, as for failure and pending."""
    weak = mode == "sha1"
    hash_name, hash_class = ("sha1", hashes.SHA1()) if weak else ("sha256", hashes.SHA256())
    all_attrs = [("content_type", "data"), ("message_digest", hashlib.new(hash_name, content or b"").digest())] + attrs
    signed_attrs = cms.CMSAttributes([cms.CMSAttribute({"type": t, "values": [v]}) for t, v in all_attrs])
    signer = evil_key if mode == "other_signer" else ca_key
    signature = signer.sign(signed_attrs.dump(), padding.PKCS1v15(), hash_class)
    if mode == "signature":
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    info = {"version": "v1",
            "sid": cms.SignerIdentifier(name="issuer_and_serial_number", value={
                "issuer": ca_asn1.issuer, "serial_number": ca_asn1.serial_number}),
            "digest_algorithm": {"algorithm": hash_name}, "signed_attrs": signed_attrs,
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"}, "signature": signature}
    inner = {"content_type": "data"}
    if content is not None:
        inner["content"] = content
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData({
        "version": "v1", "digest_algorithms": [{"algorithm": hash_name}], "encap_content_info": inner,
        "certificates": [ca_asn1], "signer_infos": [] if mode == "no_signer" else [info]})}).dump()

waiting = {}

def operation(der):
    attrs, signer, plain = open_request(der)
    kind, transaction = attrs["message_type"], attrs["transaction"]
    print("message", kind, transaction[:8], signer.subject.rfc4514_string(), flush=True)
    head = [("message_type", "3"), ("transaction", transaction), ("recipient_nonce", attrs["sender_nonce"]),
            ("sender_nonce", os.urandom(16))]
    if mode == "transaction":
        head[1] = ("transaction", "0" * 64)
    if mode == "nonce":
        head[2] = ("recipient_nonce", os.urandom(16))
    if mode == "no_nonce":
        del head[2]
    if mode == "two_nonces":
        head.append(("recipient_nonce", os.urandom(16)))
    if mode == "type":
        head[0] = ("message_type", "19")
    if mode == "failure":
        return answer(head + [("pki_status", "2"), ("fail_info", "2"), ("fail_text", "not on \x1b[2Ja Tuesday")], None), {}
    if kind == "20":
        request = waiting.get(transaction)
        if request is None:
            return answer(head + [("pki_status", "2"), ("fail_info", "4")], None), {}
    else:
        request = plain
    if mode == "pending" or (mode == "pending_once" and transaction not in waiting):
        waiting[transaction] = request
        return answer(head + [("pki_status", "3")], None), {"Retry-After": "1"} if mode == "pending_once" else {}
    if mode == "status":
        return answer(head + [("pki_status", "7")], None), {}
    content = certs_only(issue(request))
    if mode == "junk":
        content = b"\x30\x03\x02\x01\x05"
    if mode != "no_envelope":
        content = seal(content, signer)
    return answer(head + [("pki_status", "0")], content), {}

def caps():
    if mode == "caps_old":
        return b"DES3\nSHA-1\nPOSTPKIOperation\n"
    if mode == "caps_none":
        return b""
    if mode == "get_only":
        return b"AES\r\nSHA-256\r\nRenewal\r\n"
    return b"AES\nSHA-256\nRenewal\nSCEPStandard\nSomethingNew\n"

def respond(conn, method, target, body):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    what = query["operation"][0]
    extra = {}
    print(method, what, flush=True)
    if what == "GetCACaps":
        status, kind, out = 200, "text/plain", caps()
    elif what == "GetCACert":
        status, kind, out = 200, "application/x-x509-ca-cert", ca_cert.public_bytes(serialization.Encoding.DER)
        if mode == "ca_garbage":
            out = b"<html>hello</html>"
    elif mode == "500":
        status, kind, out = 500, "text/plain", b"because it is 500 today\n"
    elif mode == "redirect_away":
        status, kind, out, extra = 302, "text/plain", b"", {"Location": "http://elsewhere.example.test/scep"}
    elif mode == "redirect_loop":
        status, kind, out, extra = 302, "text/plain", b"", {"Location": target}
    elif mode == "garbage":
        status, kind, out = 200, "application/x-pki-message", os.urandom(3000)
    elif mode == "huge":
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-pki-message\r\nConnection: close\r\n\r\n")
        for _ in range(800):
            conn.sendall(b"\x30" * 65536)
        return
    elif mode == "silent":
        time.sleep(600)
        return
    else:
        status, kind = 200, "application/x-pki-message"
        out, extra = operation(body if method == "POST" else base64.b64decode(query["message"][0]))
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
            method, target = lines[0].split()[:2]
            respond(conn, method, target, body)
    except OSError as e:
        print("connection:", e, flush=True)
    finally:
        conn.close()

listener = socket.create_server(("127.0.0.1", 8080), backlog=16)
print("ready", flush=True)
while True:
    s, _ = listener.accept()
    threading.Thread(target=serve, args=(s,), daemon=True).start()
