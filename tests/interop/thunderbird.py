#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Thunderbird without a screen, driven over Marionette: the module is loaded, certificates are listed, a mail is signed and
encrypted to oneself, filed, opened in the window, and its icons are read. Every PIN prompt is answered and counted.

Used by thunderbird_card.sh inside tests/with-card; prints one "NAME: VALUE" a line and leaves the mail in DIR/mail.eml.
With --box it opens every message of an mbox instead. With --setup the module and the certificates are there before it starts:
`dpiv setup thunderbird` has put them into the profile, and takes them back in the end.
"""

import argparse
import email.utils
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

PORT = 2828
ME = "pat@example.test"

PREFS = {
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "mail.accountmanager.accounts": "account1,account2",
    "mail.accountmanager.defaultaccount": "account1",
    "mail.accountmanager.localfoldersserver": "server2",
    "mail.account.account1.identities": "id1",
    "mail.account.account1.server": "server1",
    "mail.account.account2.server": "server2",
    "mail.identity.id1.useremail": ME,
    "mail.identity.id1.fullName": "Pat Example",
    "mail.identity.id1.valid": True,
    "mail.identity.id1.smtpServer": "smtp1",
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.server.server1.type": "pop3",
    "mail.server.server1.hostname": "localhost",
    "mail.server.server1.userName": "pat",
    "mail.server.server1.name": ME,
    "mail.server.server1.check_new_mail": False,
    "mail.server.server1.login_at_startup": False,
    "mail.server.server2.type": "none",
    "mail.server.server2.hostname": "Local Folders",
    "mail.server.server2.userName": "nobody",
    "mail.server.server2.name": "Local Folders",
    "mail.shell.checkDefaultClient": False,
    "mail.smtpserver.smtp1.hostname": "localhost",
    "mail.smtpservers": "smtp1",
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "marionette.port": PORT,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}

PROMPTER = """
let log = Services.pinLog = [];
let prompt = {QueryInterface: ChromeUtils.generateQI(["nsIPrompt"]),
  promptPassword(title, text, out) { log.push(text); out.value = A[0]; return true; },
  alert(t, x) { log.push("alert " + x); }, confirm() { return true; }, confirmEx() { return 0; }};
let prompts = {QueryInterface: ChromeUtils.generateQI(["nsIPromptFactory"]), getPrompt() { return prompt; }};
Components.manager.QueryInterface(Ci.nsIComponentRegistrar).registerFactory(Services.uuid.generateUUID(), "pin",
  "@mozilla.org/prompter;1",
  {QueryInterface: ChromeUtils.generateQI(["nsIFactory"]), createInstance(iid) { return prompts.QueryInterface(iid); }});
"""

TRUST = """
let db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
await db.addCertFromBase64(A[0], "CT,CT,CT");
await db.addCertFromBase64(A[1], ",,");
"""

MODULE = """
await Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB).addModule("dpiv", A[0], 0, 0);
"""

LIST = """
let db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
return [...await db.getCerts()].filter(c => c.tokenName.startsWith(A[0])).map(c => [c.displayName, c.emailAddress, c.serialNumber]);
"""

WRITE = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let [path, signerSerial, recipientSerial, head, body] = A;
let db = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
let certs = [...await db.getCerts()].filter(c => c.tokenName.startsWith("PIV "));
let signer = certs.find(c => c.serialNumber == signerSerial), recipient = certs.find(c => c.serialNumber == recipientSerial);
let id = MailServices.accounts.getIdentity("id1"), me = id.email;
for (let [kind, c] of [["signing", signer], ["encryption", recipient]]) {
  id.setUnicharAttribute(kind + "_cert_name", c.displayName); id.setCharAttribute(kind + "_cert_dbkey", c.dbKey); }
let make = (contract, iface) => Cc["@mozilla.org/" + contract + ";1"].createInstance(iface);
let fields = make("messengercompose/composefields", Ci.nsIMsgCompFields); fields.from = fields.to = me;
let secure = make("messengercompose/composesecure", Ci.nsIMsgComposeSecure);
secure.signMessage = A[5]; secure.requireEncryptMessage = A[6]; fields.composeSecure = secure;
if (A[6]) {
  await new Promise(done => secure.asyncFindCertByEmailAddr(me, {findCertDone(email, cert) { done(!!cert); }}));
  secure.cacheValidCertForEmail(me, recipient.dbKey); }
let file = make("file/local", Ci.nsIFile); file.initWithPath(path);
let out = make("network/file-output-stream", Ci.nsIFileOutputStream); out.init(file, 0x02 | 0x08 | 0x20, 0o600, 0);
out.write(head, head.length);
let report = make("messengercompose/sendreport", Ci.nsIMsgSendReport);
secure.beginCryptoEncapsulation(out, me, fields, "", id, report, false);
secure.mimeCryptoWriteBlock(body, body.length); secure.finishCryptoEncapsulation(false, report); out.close();
"""

FOLDER = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let root = MailServices.accounts.localFoldersServer.rootFolder;
root.createSubfolder("probe", null);
let win = Services.wm.getMostRecentWindow("mail:3pane"), sleep = ms => new Promise(r => win.setTimeout(r, ms));
let pane = win.document.getElementById("tabmail").currentAbout3Pane;
for (let i = 0; i < 100 && !root.containsChildNamed("probe"); i++) await sleep(50);
pane.displayFolder(root.getChildNamed("probe").URI);
await sleep(500);
"""

FILE = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let folder = MailServices.accounts.localFoldersServer.rootFolder.getChildNamed("probe");
let file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile); file.initWithPath(A[0]);
await new Promise((done, failed) => MailServices.copy.copyFileMessage(file, folder, null, false, 0, "",
  {QueryInterface: ChromeUtils.generateQI(["nsIMsgCopyServiceListener"]), onStartCopy() {}, onProgress() {}, setMessageKey() {},
   getMessageId() { return null; }, onStopCopy(s) { s ? failed("copy " + s) : done(); }}, null));
"""

READ = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let folder = MailServices.accounts.localFoldersServer.rootFolder.getChildNamed("probe");
let header = [...folder.messages].find(h => h.messageId == A[0]);
if (!header) throw "no message " + A[0];
let win = Services.wm.getMostRecentWindow("mail:3pane"), sleep = ms => new Promise(r => win.setTimeout(r, ms));
let pane = win.document.getElementById("tabmail").currentAbout3Pane;
pane.selectMessage(header); let view = pane.messageBrowser.contentWindow;
for (let i = 0; i < 100 && !(view.msgLoaded && view.gMessage?.messageKey == header.messageKey); i++) await sleep(50);
let icons = () => [...view.document.querySelectorAll("#signedHdrIcon, #encryptedHdrIcon")].filter(x => !x.hidden && x.src)
  .map(x => x.src.replace(/.*\\//, "").replace(".svg", ""));
for (let i = 0; i < 60 && icons().length < A[1]; i++) await sleep(50);
await sleep(200);
return [view.getMessagePaneBrowser().contentDocument?.body?.textContent ?? "", icons()];
"""

# Messages A[0] to A[1] of the folder, opened in the window one after the other until "this is it, NAME." is there to be read.
BOX = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let folder = MailServices.accounts.localFoldersServer.rootFolder.getChildNamed("box");
let win = Services.wm.getMostRecentWindow("mail:3pane"), sleep = ms => new Promise(r => win.setTimeout(r, ms));
let pane = win.document.getElementById("tabmail").currentAbout3Pane;
let out = {right: 0, locks: 0, wrong: []};
for (let h of [...folder.messages].slice(A[0], A[1])) {
  let name = h.messageId.replace(/@.*/, ""), plain = name.endsWith("9"), text = "", lock = false;
  pane.selectMessage(h); let view = pane.messageBrowser.contentWindow;
  for (let i = 0; i < 400; i++) {
    if (view.msgLoaded && view.gMessage?.messageKey == h.messageKey) {
      let icon = view.document.getElementById("encryptedHdrIcon");
      text = view.getMessagePaneBrowser().contentDocument?.body?.textContent ?? "";
      lock = !!icon && !icon.hidden && /message-encrypted-ok/.test(icon.src);
      if (text.includes("this is it, " + name + ".") && (lock || plain)) break; }
    await sleep(5); }
  if (lock && !plain) out.locks++;
  if (text.includes("this is it, " + name + ".")) out.right++; else out.wrong.push(name + ": " + text.slice(0, 60)); }
return out;
"""

OPEN_BOX = """
let {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
let root = MailServices.accounts.localFoldersServer.rootFolder;
let win = Services.wm.getMostRecentWindow("mail:3pane"), sleep = ms => new Promise(r => win.setTimeout(r, ms));
let pane = win.document.getElementById("tabmail").currentAbout3Pane;
for (let i = 0; i < 100 && !root.containsChildNamed("box"); i++) await sleep(50);
let folder = root.getChildNamed("box");
pane.displayFolder(folder.URI);
let n = -1;
for (let i = 0; i < 200; i++) { let now = folder.getTotalMessages(false); if (now == n && n > 0) break; n = now; await sleep(200); }
return n;
"""

LOGOUT = """
Cc["@mozilla.org/security/sdr;1"].getService(Ci.nsISecretDecoderRing).logoutAndTeardown();
"""


class Thunderbird:
    """One running program and its Marionette connection; frames are LENGTH:JSON."""

    def __init__(self, home, box=None, prepare=None):
        profile = home / "profile"
        profile.mkdir(parents=True)
        prefs = dict(PREFS)
        if box is not None:
            folders = profile / "Mail" / "Local Folders"
            folders.mkdir(parents=True)
            shutil.copy(box, folders / "box")
            prefs["mail.server.server2.directory"] = str(folders)
        lines = (f'user_pref("{k}", {json.dumps(v)});\n' for k, v in prefs.items())
        (profile / "user.js").write_text("".join(lines))
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        env = dict(os.environ, HOME=str(home), XDG_RUNTIME_DIR=str(runtime), MOZ_CRASHREPORTER_DISABLE="1")
        if prepare is not None:
            prepare(home, profile, env)
        args = ["thunderbird", "--headless", "-no-remote", "-profile", str(profile), "-marionette", "-remote-allow-system-access"]
        with open(home / "thunderbird.log", "w") as log:
            self.process = subprocess.Popen(args, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.sock, self.id = self.connect(), 0
        self.file = self.sock.makefile("rb")
        self.read()
        self.command("WebDriver:NewSession", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "ignore"}})
        self.command("Marionette:SetContext", value="chrome")
        self.command("WebDriver:SetTimeouts", script=30000)

    def connect(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise RuntimeError("thunderbird ended at once")
            try:
                return socket.create_connection(("127.0.0.1", PORT), 60)
            except ConnectionRefusedError:
                time.sleep(0.1)
        raise RuntimeError("no Marionette")

    def read(self):
        length = b""
        while (c := self.file.read(1)) != b":":
            if not c:
                raise RuntimeError("thunderbird is gone")
            length += c
        return json.loads(self.file.read(int(length)))

    def command(self, name, **params):
        self.id += 1
        frame = json.dumps([0, self.id, name, params]).encode()
        self.sock.sendall(b"%d:%s" % (len(frame), frame))
        _, _, error, result = self.read()
        if error:
            raise RuntimeError(error["message"])
        return result

    def run(self, body, *args):
        """Body of an async function; its arguments are A[0], A[1] ..."""
        script = (
            "const A = arguments[0], done = arguments[arguments.length - 1];"
            "(async () => {" + body + "})().then(r => done({ok: r ?? null}), e => done({err: String(e)}));"
        )
        value = self.command("WebDriver:ExecuteAsyncScript", script=script, args=[list(args)], newSandbox=True)["value"]
        if "err" in value:
            raise RuntimeError(value["err"])
        return value["ok"]

    def prompts(self):
        """How often it asked since the last time."""
        asked = self.run("let l = Services.pinLog.splice(0); return l;")
        alerts = [a for a in asked if a.startswith("alert ")]
        if alerts:
            print("alerts:", alerts, flush=True)
        return len(asked)

    def close(self):
        """Ends the process group that we started."""
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            pass


def say(name, value):
    print(f"{name}: {value}", flush=True)


def base64_of(path):
    return "".join(line for line in path.read_text().splitlines() if not line.startswith("-----"))


def serial_of(path):
    out = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-serial"], capture_output=True, text=True, check=True)
    digits = out.stdout.strip().split("=")[1]
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def head_of(name):
    lines = {
        "From": f"Pat Example <{ME}>",
        "To": ME,
        "Subject": name,
        "Date": email.utils.formatdate(),
        "Message-ID": f"<{name}@example.test>",
        "MIME-Version": "1.0",
    }
    return "".join(f"{k}: {v}\r\n" for k, v in lines.items())


def write(tb, dir, name, signer, recipient, sign=True, encrypt=True):
    body = f"Content-Type: text/plain; charset=UTF-8\r\n\r\nthis is it, {name}\r\n"
    path = dir / f"{name}.eml"
    tb.run(WRITE, str(path), signer, recipient, head_of(name), body, sign, encrypt)
    return path


def read(tb, name, icons):
    text, seen = tb.run(READ, f"{name}@example.test", icons)
    say(f"{name} body", "right" if f"this is it, {name}" in text else repr(text))
    say(f"{name} icons", " ".join(sorted(seen)) or "none")


def mail(tb, args):
    """Sign one, sign and encrypt one; read them, and the signed one with its text changed."""
    signer, recipient = serial_of(args.signer), serial_of(args.recipient)
    signed = write(tb, args.dir, "signed", signer, recipient, encrypt=False)
    say("prompts to sign", tb.prompts())
    both = write(tb, args.dir, "both", signer, recipient)
    say("prompts to sign again", tb.prompts())
    changed = args.dir / "changed.eml"
    changed.write_bytes(signed.read_bytes().replace(b"this is it", b"this is not").replace(b"<signed@", b"<changed@"))
    tb.run(FOLDER)
    for path in (signed, changed, both, *args.inbox):
        tb.run(FILE, str(path))
    read(tb, "signed", 1)
    read(tb, "changed", 1)
    read(tb, "both", 2)
    say("prompts to decrypt when logged in", tb.prompts())


def inbox(tb, args):
    """Mail from outside; nobody is logged in any more."""
    tb.run(LOGOUT)
    for path in args.inbox:
        read(tb, path.stem, 1)
    say("prompts to decrypt", tb.prompts())


def box(tb):
    """A mailbox that came from elsewhere, in pieces, so that no script runs for too long."""
    total, start = tb.run(OPEN_BOX), time.time()
    right, locks, wrong = 0, 0, []
    for n in range(0, total, 50):
        part = tb.run(BOX, n, n + 50)
        right, locks, wrong = right + part["right"], locks + part["locks"], wrong + part["wrong"]
    say("box", f"{right} right, {len(wrong)} wrong")
    say("box shown as encrypted", locks)
    for line in wrong[:10]:
        say("wrong", line)
    say("prompts to decrypt", tb.prompts())
    say("box took", f"{time.time() - start:.1f} s")


class Setup:
    """dpiv setup thunderbird on the profile."""

    def __init__(self, args):
        self.args = args

    def run(self, *options):
        command = [str(self.args.setup), "setup", "thunderbird", "--module", self.args.module, *options]
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode not in (0, 6):
            print(done.stdout, done.stderr, flush=True)
        return done.returncode

    def modules(self):
        return (self.profile / "pkcs11.txt").read_text() if (self.profile / "pkcs11.txt").exists() else ""

    def prepare(self, home, profile, env):
        self.env, self.profile = {k: v for k, v in env.items() if k != "XDG_CONFIG_HOME"}, profile
        (home / ".thunderbird").mkdir()
        (home / ".thunderbird" / "profiles.ini").write_text(f"[Profile0]\nName=p\nIsRelative=0\nPath={profile}\n")
        say("set up", self.run("--root", str(self.args.root), "--root", str(self.args.ca)))

    def back(self):
        say("set up, taken back", self.run("--undo"))
        certs = subprocess.run(["certutil", "-L", "-d", f"sql:{self.profile}"], capture_output=True, text=True, check=True)
        say("left behind", self.modules().count("name=dpiv") + certs.stdout.count("dpiv root"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", required=True)
    parser.add_argument("--pin", default="123456")
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--ca", type=pathlib.Path, required=True)
    parser.add_argument("--signer", type=pathlib.Path)
    parser.add_argument("--recipient", type=pathlib.Path)
    parser.add_argument("--token", default="PIV ", help="what the token's name begins with")
    parser.add_argument("--box", type=pathlib.Path, help="an mbox; its messages' Message-IDs are their names")
    parser.add_argument("--setup", type=pathlib.Path, help="dpiv, which sets the profile up")
    parser.add_argument("--dir", type=pathlib.Path, required=True, help="a fresh directory")
    parser.add_argument("inbox", type=pathlib.Path, nargs="*", help="encrypted mail; its Message-ID is its file's name")
    args = parser.parse_args()
    args.dir.mkdir(parents=True)
    setup = Setup(args) if args.setup is not None else None
    tb = Thunderbird(args.dir / "home", args.box, setup.prepare if setup else None)
    try:
        tb.run(PROMPTER, args.pin)
        if setup is not None:
            say("set up while it runs", setup.run("--undo"))
        else:
            tb.run(TRUST, base64_of(args.root), base64_of(args.ca))
            tb.run(MODULE, args.module)
        certs = tb.run(LIST, args.token)
        say("certificates", len(certs))
        say("prompts to list", tb.prompts())
        if args.box is not None:
            box(tb)
        else:
            mail(tb, args)
            inbox(tb, args)
    finally:
        tb.close()
    if setup is not None:
        setup.back()


if __name__ == "__main__":
    main()
