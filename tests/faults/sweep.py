#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every interruption is survived: tests/faults/sweep_*.sh say which.

sweep.py VERB KIND...   VERB: derive, keygen, again, renew, move, import, revoke; KIND: a name of KINDS, or all that the verb has

The verb runs once undisturbed, and its points are counted: the calls of PKCS#11, the APDUs, the records on the line to the
issuer, the writes of the state. Then, for each point, it runs from a fresh copy of the same beginnings (token, state) and is
cut there; and once more as a person would, uncut, which has to succeed. Then three witnesses are asked: the token (one key
with one certificate, nothing else, or nothing at all), the client's store (nothing unfinished), and the issuer's ledger (no
valid certificate that the client does not know). The ledger is not restored, for the issuer keeps running: what counts is
what a point adds to it.

From the environment, as tests/lib/derive.sh sets it: BUILD TMP DERIVE_DIR TO CARD_URI SOFTHSM P11_SHIM_MODULE TOKEN_PIN
DPIV_VCARD_CTL; SWEEP_IMAGE for a PIV token as the target, SWEEP_PLAIN when that has the commands of SP 800-73 alone;
SWEEP_SECOND, the directory of the issuer that move moves to; SWEEP_PART "2/3": the second, fifth, … point.
"""
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time

BUILD, TMP = os.environ["BUILD"], os.environ["TMP"]
DPIV = BUILD + "/dpiv"
AGENCY = os.environ.get("DERIVE_DIR", "") + "/agency"
SECOND = os.environ.get("SWEEP_SECOND")
TO = os.environ["TO"]
PIV = os.environ.get("SWEEP_IMAGE")  # the target is the second virtual card, which writes itself into this file
PLAIN = os.environ.get("SWEEP_PLAIN")  # it can neither move nor delete keys
LIMIT = 60


# --- the line to the issuer ---------------------------------------------------------------------------------------------------

class Line:
    """A proxy that passes TLS on, record by record. up: towards the issuer, down: from it. rule: (direction, n, how): at the
    n-th record of that direction: "cut" it off instead of passing it, pass "half" of it, or "kill" the client."""

    def __init__(self, port):
        self.port, self.rule, self.pid = port, None, 0
        self.count, self.fired, self.lock = {"up": 0, "down": 0}, False, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = "https://localhost:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, rule):
        with self.lock:
            self.rule, self.fired, self.count = rule, False, {"up": 0, "down": 0}

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            for s in client, server:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way in (client, server, "up"), (server, client, "down"):
                threading.Thread(target=self.carry, args=way, daemon=True).start()

    def record(self, sock):
        data = b""
        want = 5
        while len(data) < want:
            more = sock.recv(want - len(data))
            if not more:
                return None
            data += more
            if len(data) == 5:
                want = 5 + int.from_bytes(data[3:5], "big")
        return data

    def carry(self, source, sink, way):
        try:
            while (data := self.record(source)) is not None:
                data = self.judge(way, data)
                if data is None:
                    break
                data, last = data
                sink.sendall(data)
                if last:
                    break
        except OSError:
            pass
        for s in source, sink:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def judge(self, way, data):
        if data[0] == 21 or (data[0] == 23 and len(data) == 24):
            return data, False  # an alert, of TLS 1.3 by its length: nobody waits for close_notify, so nobody is cut by it
        with self.lock:
            self.count[way] += 1
            if self.rule is None or self.rule[:2] != (way, self.count[way]):
                return data, False
            self.fired = True
            how = self.rule[2]
        if how == "kill":
            os.kill(self.pid, 9)
        return None if how != "half" else (data[:(len(data) + 1) // 2], True)


# --- a virtual card -------------------------------------------------------------------------------------------------------------

class Card:
    def __init__(self, n):
        self.path = "%s/%d" % (os.environ["DPIV_VCARD_CTL"], n)

    def ask(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(request.encode() + b"\n")
            answer = b""
            while more := s.recv(4096):
                answer += more
        answer = answer.decode()
        assert answer.startswith("ok"), (request, answer)
        return answer

    def apdus(self):
        return int(self.ask("log").split("apdus=")[1].split()[0])

    def back(self):
        """In the reader, and the reader's driver knows."""
        self.ask("fault clear")
        if "present=1" in self.ask("status"):
            return
        time.sleep(0.5)  # pcscd looks every 0.4 s
        self.ask("insert")
        for _ in range(200):
            if "powered=1" in self.ask("status"):
                time.sleep(0.1)  # and tells its clients
                break
            time.sleep(0.02)


# --- what is swept ----------------------------------------------------------------------------------------------------------------

class World:
    """The directories of one client. kept/ has the beginnings of every run."""

    def __init__(self):
        self.env = dict(os.environ, LD_PRELOAD=TMP + "/state_shim.so", STATE_SHIM_DIR=TMP + "/state")
        self.parts = ["state"] if PIV else ["tokens", "state"]
        self.token = Card(1) if PIV else None

    def keep(self):
        shutil.rmtree(TMP + "/kept", ignore_errors=True)
        for p in self.parts:
            if os.path.exists(f"{TMP}/{p}"):
                shutil.copytree(f"{TMP}/{p}", f"{TMP}/kept/{p}")
        if PIV:
            os.makedirs(TMP + "/kept", exist_ok=True)
            shutil.copy(PIV, TMP + "/kept/image.json")

    def fresh(self):
        for p in self.parts:
            shutil.rmtree(f"{TMP}/{p}", ignore_errors=True)
            if os.path.exists(f"{TMP}/kept/{p}"):
                shutil.copytree(f"{TMP}/kept/{p}", f"{TMP}/{p}")
        if PIV:
            self.token.ask(f"load {TMP}/kept/image.json")
            shutil.copy(TMP + "/kept/image.json", PIV)

    def run(self, argv, extra=None, started=None):
        """(status, output); the process waits for started(pid) before it begins."""
        p = subprocess.Popen(["/bin/sh", "-c", 'read x; exec "$@"', "sh", *argv], env=dict(self.env, **(extra or {})),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        if started:
            started(p.pid)
        try:
            out, _ = p.communicate(b"\n", timeout=LIMIT)
        except subprocess.TimeoutExpired:
            p.kill()
            out, _ = p.communicate()
            return 124, out.decode(errors="replace")
        return p.returncode, out.decode(errors="replace")


def plain(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
                          timeout=LIMIT).stdout.decode(errors="replace")


def token_objects():
    """[(class, id)]"""
    out, found = plain(["pkcs11-tool", "--module", os.environ["SOFTHSM"], "--login", "--pin", os.environ["TOKEN_PIN"], "-O"]), []
    for line in out.splitlines():
        for kind in "Private Key", "Public Key", "Certificate", "Secret Key", "Data object":
            if line.startswith(kind):
                found.append([kind, None])
        if line.strip().startswith("ID:") and found:
            found[-1][1] = line.split(":", 1)[1].strip()
    return [tuple(f) for f in found]


def piv_objects():
    """The same of a PIV token, from its own memory: no program is asked."""
    image = json.load(open(PIV, encoding="ascii"))
    tags = {"9A": "5FC105", "9C": "5FC10A", "9D": "5FC10B", **{"%02X" % (0x82 + n): "5FC1%02X" % (0x0D + n) for n in range(20)}}
    keys = [("Private Key", k.upper()) for k in image.get("keys", {}) if k.upper() in tags]
    objects = [o.upper() for o, v in image.get("objects", {}).items() if v != "5300"]  # an empty container is none
    return keys + [("Certificate", k) for k, tag in tags.items() if tag in objects]


def piv_keys():
    """{place: key}"""
    return {k.upper(): v for k, v in json.load(open(PIV, encoding="ascii")).get("keys", {}).items()} if PIV else {}


def pairs(objects, n):
    """n keys, each with its certificate and at most one public key, and nothing else."""
    ids = [i for c, i in objects if c == "Private Key"]
    certs = sorted(i for c, i in objects if c == "Certificate")
    public = [i for c, i in objects if c == "Public Key"]
    return (len(ids) == n and len(set(ids)) == n and sorted(ids) == certs and len(public) == len(set(public)) and
            set(public) <= set(ids) and len(objects) == len(ids) + len(certs) + len(public))


def rows(path, sql):
    db = sqlite3.connect(path, timeout=20)
    try:
        return [r[0] for r in db.execute(sql)]
    finally:
        db.close()


def ledger():
    """Serial numbers of the certificates that are valid by the issuers' ledgers."""
    return set().union(*map(valid, [AGENCY] + [SECOND] * bool(SECOND)))


def valid(agency):
    return set(rows(agency + "/issuer.db", "SELECT serial FROM certificate WHERE state = 'issued' AND serial NOT IN "
                                           "(SELECT serial FROM revocation)"))


def known():
    """Those that the client knows."""
    path = TMP + "/state/dpiv/state.db"
    return set(rows(path, "SELECT serial FROM credential")) if os.path.exists(path) else set()


class Verb:
    issuer = True
    keys = 1  # on the token in the end

    def __init__(self, world, line):
        self.world, self.line = world, line

    def common(self):
        return ["--cafile", AGENCY + "/root.pem", "--timeout", "10"]

    def derive(self):
        return [DPIV, "derive", "--from", os.environ["CARD_URI"], "--to", TO, "--issuer", self.line.url, "--alg", "p256",
                *self.common()]

    def objects(self):
        return piv_objects() if PIV else token_objects()

    def settled(self):
        """None, or what is wrong."""
        objects = self.objects()
        if not pairs(objects, self.keys):
            return f"the token has {objects}"
        status = json.loads(plain([DPIV, "status", "--json"]) or "{}")
        if status.get("unfinished") != []:
            return f"unfinished: {status.get('unfinished')}"
        states = [c["state"] for c in status["credentials"]]
        if states != ["ok"] * self.keys:
            return f"credentials: {states}"
        return None

    def first(self):
        """The beginnings."""

    def before(self):
        """Of each point."""

    def again(self, status, out):
        """Did the second run end well?"""
        return status == 0


class Derive(Verb):
    def argv(self):
        return self.derive()


class Keygen(Verb):
    """An encryption key that the issuer makes; to this address it is asked for."""

    def first(self):
        with open(os.environ["DPIV_CONF"], "a", encoding="ascii") as f:
            f.write(f"[issuer line]\nurl = {self.line.url}\nencrypt = serverkeygen\n")

    def argv(self):
        return [*self.derive(), "--role", "encrypt"]


class Again(Keygen):
    """Another one, when there is one: that is kept. What was cut off is finished, or undone, and then one more is made."""

    def first(self):
        super().first()
        status, out = self.world.run(super().argv())
        assert status == 0, out
        self.old = piv_keys()["9D"]

    def argv(self):
        return [*super().argv(), "--again"]

    def settled(self):
        objects, status = self.objects(), json.loads(plain([DPIV, "status", "--json"]) or "{}")
        if not any(pairs(objects, n) for n in (2, 3)):
            return f"the token has {objects}"
        if self.old not in piv_keys().values():
            return "the old key is gone"
        if status.get("unfinished") != [] or [c["state"] for c in status["credentials"]] != ["ok"]:
            return f"status: {status}"
        return None


class Renew(Verb):
    def first(self):
        status, out = self.world.run(self.derive())
        assert status == 0, out

    def argv(self):
        over = ["--replace"] if PLAIN else []
        return [DPIV, "renew", "auth", "--force", *over, "--token", TO, *self.common()]

    def again(self, status, out):
        """Where the old key had to make room for the new one, --replace says that the card may be needed."""
        if PLAIN and status == 3 and "derive a new one with the PIV card" in out:
            status, _ = self.world.run(self.derive())
        return status == 0


class Revoke(Renew):
    keys = 0

    def argv(self):
        return [DPIV, "revoke", "--yes", "--token", TO, *self.common()]

    def first(self):
        super().first()
        self.serial, self.old = max(known()), piv_keys()

    def objects(self):
        """Without what a key that cannot be deleted was destroyed by: another one over it, without a certificate."""
        found, now = super().objects(), piv_keys()
        return [(c, i) for c, i in found if not (PLAIN and c == "Private Key" and ("Certificate", i) not in found and
                                                 now[i] != self.old.get(i))]

    def before(self):
        db = sqlite3.connect(AGENCY + "/issuer.db", timeout=20)
        db.execute("DELETE FROM revocation WHERE serial = ?", (self.serial,))
        db.commit()
        db.close()

    def again(self, status, out):
        return status == 0 or (status == 3 and "no derived credential" in out)

    def settled(self):
        if self.serial in ledger():
            return f"the issuer still has {self.serial} as valid"
        return super().settled()


class Import(Verb):
    issuer = False

    def argv(self):
        return [DPIV, "history", "import", "--to", TO, "--password-source", f"file:{TMP}/pw", TMP + "/old.p12"]

    def settled(self):
        objects = piv_objects() if PIV else token_objects()
        if not pairs(objects, 1):
            return f"the token has {objects}"
        uri = TO.replace(os.environ["TMP"] + "/shim.so", os.environ["SOFTHSM"])
        text = plain([DPIV, "decrypt", "--token", uri, "--text", TMP + "/old.eml"]).replace("\r", "")
        return None if text == open(TMP + "/letter", encoding="ascii").read() else "the key does not open the letter"


class Move(Renew):
    """From one issuer to the other, which is behind the line. One credential is left, there; the old one is revoked."""

    def first(self):
        line, self.line = self.line, Line(8443)
        self.old_url = self.line.url
        super().first()
        self.line = line
        self.old = max(known())
        conf = os.environ["DPIV_CONF"]
        with open(conf, "a", encoding="ascii") as f:
            f.write(f"[issuer a]\nurl = {self.old_url}\ncafile = {AGENCY}/root.pem\n[issuer b]\nurl = {self.line.url}\n"
                    f"cafile = {SECOND}/root.pem\n[derive]\nto = {TO}\n")

    def before(self):
        db = sqlite3.connect(AGENCY + "/issuer.db", timeout=20)
        db.execute("DELETE FROM revocation WHERE serial = ?", (self.old,))
        db.commit()
        db.close()

    def argv(self):
        return [DPIV, "renew", "auth", "--move-to", "b", "--from", os.environ["CARD_URI"], "--timeout", "10"]

    def again(self, status, out):
        if status == 0:
            return True
        # the new one is there, and a role fits both: the run without a name ends what was begun
        return self.world.run([DPIV, "renew", "--from", os.environ["CARD_URI"], "--timeout", "10"])[0] == 0

    def settled(self):
        if self.old in valid(AGENCY):
            return f"the old issuer still has {self.old} as valid"
        issuers = rows(TMP + "/state/dpiv/state.db", "SELECT issuer FROM credential WHERE active = 1")
        return super().settled() if issuers == [self.line.url] else f"credentials of {issuers}"


VERBS = {"derive": Derive, "keygen": Keygen, "again": Again, "renew": Renew, "move": Move, "revoke": Revoke, "import": Import}


# --- how it is cut ------------------------------------------------------------------------------------------------------------------

CHANGES = {"C_OpenSession", "C_Login", "C_CreateObject", "C_DestroyObject", "C_SignInit", "C_Sign", "C_GenerateKeyPair", "C_UnwrapKey"}
ROOM = {"write", "pwrite", "pwrite64", "open", "open64", "mkdir", "rename"}


class Sweep:
    def __init__(self, verb):
        self.world, self.line = World(), Line(8444 if verb == "move" else 8443)
        self.verb = VERBS[verb](self.world, self.line)
        self.name = verb
        self.card = Card(0) if "DPIV_VCARD_CTL" in os.environ else None
        self.verb.first()
        self.world.keep()
        self.measure()

    def measure(self):
        """An undisturbed run, and what it did."""
        calls, writes = TMP + "/calls", TMP + "/writes"
        self.world.fresh()
        self.line.arm(None)
        for f in calls, writes:
            open(f, "w").close()
        for card in filter(None, (self.card, self.world.token)):
            card.ask("clear")
        start = ledger() if self.verb.issuer else set()
        self.verb.before()
        status, out = self.world.run(self.verb.argv(), {"P11_SHIM_LOG": calls, "STATE_SHIM_LOG": writes, "P11_SHIM_ALL": "1"})
        self.apdus = self.card.apdus() if self.card else 0
        self.token_apdus = self.world.token.apdus() if PIV else 0
        self.calls = [x.split()[1] for x in open(calls)]
        self.writes = [x.split()[1] for x in open(writes)]
        self.records = dict(self.line.count)
        assert status == 0, (status, out)
        wrong = self.verb.settled()
        assert wrong is None, wrong
        self.lost(start)

    def lost(self, start):
        if not self.verb.issuer:
            return None
        lost = ledger() - start - known()
        return f"the issuer knows {sorted(lost)}, and the client does not" if lost else None

    # Each kind: points, and for a point what a run needs: (environment, hook on its pid, whether the cut was reached).
    def numbered(self, things, which=None):
        return [n + 1 for n, x in enumerate(things) if which is None or x in which]

    def by_call(self, rule):
        return self.by_log("P11_SHIM", rule, {"P11_SHIM_ALL": "1"})

    def by_write(self, rule):
        return self.by_log("STATE_SHIM", rule, {})

    def by_log(self, shim, rule, more):
        log = TMP + "/point"

        def arm(n):
            open(log, "w").close()
            return {shim + "_RULE": f"{rule}:{n}", shim + "_LOG": log, **more}, None, lambda: sum(1 for _ in open(log)) >= n
        return arm

    def by_line(self, how):
        def arm(point):
            self.line.arm((*point, how))
            return {}, lambda pid: setattr(self.line, "pid", pid), lambda: self.line.fired
        return arm

    def by_card(self, card, how):
        def arm(n):
            if how != "kill":
                card.ask(f"fault at {n} {how}")
            return ({}, (lambda pid: card.ask(f"kill {n} {pid}")) if how == "kill" else None,
                    lambda: how == "kill" or "pending=0" in card.ask("faults"))
        return arm

    def kinds(self):
        line = [(way, n + 1) for way in ("up", "down") for n in range(self.records[way])]
        apdus, token = range(1, self.apdus + 1), range(1, self.token_apdus + 1)
        changes = self.numbered(self.calls, CHANGES)
        return {
            "call-kill": ("killed before a call of PKCS#11", changes, self.by_call("kill-before"), True),
            "call-killed": ("killed after a call of PKCS#11", changes, self.by_call("kill-after"), True),
            "call-error": ("a call of PKCS#11 fails", self.numbered(self.calls), self.by_call("error"), False),
            "call-gone": ("the token is gone from a call of PKCS#11 on", self.numbered(self.calls), self.by_call("gone"), False),
            "line-cut": ("the connection is cut before a record", line, self.by_line("cut"), False),
            "line-half": ("the connection is cut within a record", line, self.by_line("half"), False),
            "line-kill": ("killed before a record of the connection", line, self.by_line("kill"), True),
            "write-kill": ("killed before a write of the state", self.numbered(self.writes), self.by_write("kill"), True),
            "write-full": ("the disk is full from a write of the state on", self.numbered(self.writes, ROOM),
                           self.by_write("full"), False),
            "card-pull": ("the PIV card is pulled before an APDU", apdus, self.by_card(self.card, "remove"), False),
            "card-kill": ("killed at an APDU of the PIV card", apdus, self.by_card(self.card, "kill"), True),
            "token-pull": ("the PIV token is pulled before an APDU", token, self.by_card(self.world.token, "remove"), False),
            "token-lost": ("the PIV token is pulled after an APDU", token, self.by_card(self.world.token, "remove-after"), False),
            "token-kill": ("killed at an APDU of the PIV token", token, self.by_card(self.world.token, "kill"), True),
        }

    def point(self, where, arm, killed):
        """None, or what went wrong."""
        self.world.fresh()
        self.verb.before()
        start = ledger() if self.verb.issuer else set()
        extra, started, reached = arm(where)
        status, out = self.world.run(self.verb.argv(), extra, started)
        fired = killed or reached()
        self.line.arm(None)
        for card in filter(None, (self.card, self.world.token)):
            card.back()
        wrong = None
        if killed and status != -9:
            wrong = f"was not killed, exit status {status}"
        elif not fired:
            wrong = "was not cut: it did not come to this point"
        elif not killed and not 0 <= status < 100:
            wrong = f"exit status {status}"
        status2, out2 = self.world.run(self.verb.argv())
        if not wrong and not self.verb.again(status2, out2):
            wrong = f"the second run: exit status {status2}"
        wrong = wrong or self.verb.settled() or self.lost(start)
        return wrong and f"{where}: {wrong}\n    first ({status}): {out.strip()}\n    second ({status2}): {out2.strip()}"

    def sweep(self, kind):
        text, points, arm, killed = self.kinds()[kind]
        begun, wrong = time.time(), []
        nth, parts = (int(x) for x in os.environ.get("SWEEP_PART", "1/1").split("/"))
        points = list(points)[nth - 1::parts]
        for where in points:
            what = self.point(where, arm, killed)
            if what:
                wrong.append(what + (f"\n    at {self.calls[where - 1]}" if kind.startswith("call") else
                                     f"\n    at {self.writes[where - 1]}" if kind.startswith("write") else ""))
        print("%sok - %s, %s: %d points, %d survived (%.0f s)" % ("not " if wrong else "", self.name, text, len(points),
                                                             len(points) - len(wrong), time.time() - begun))
        for w in wrong[:8]:
            print("    " + w)
        sys.stdout.flush()
        return not wrong and bool(points)


def main():
    sweep = Sweep(sys.argv[1])
    print("%s, undisturbed: %d calls of PKCS#11, %d of them change something; %d APDUs of the card, %d of the token; %d records to and %d "
          "from the issuer; %d writes of the state" % (
              sweep.name, len(sweep.calls), sum(c in CHANGES for c in sweep.calls), sweep.apdus, sweep.token_apdus, sweep.records["up"],
              sweep.records["down"], len(sweep.writes)), flush=True)
    good = [sweep.sweep(k) for k in sys.argv[2:]]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
