#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What issuer_browser.sh does in the browser: URL PICTURES. axe is below $AXE, the other machine's command $TMP/other."""
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, "tests/lib")
from browser import Browser  # noqa: E402

URL, PICTURES, TMP = sys.argv[1], sys.argv[2], os.environ["TMP"]
AXE = open(os.environ["AXE"] + "/package/axe.min.js", encoding="utf-8").read()
SIZES = (("desk", 1280, 900, False), ("phone", 360, 740, True))
RUN = "const done = arguments[0]; axe.run().then(r => done(r.violations.map(v => v.id + ': ' + v.nodes[0].html)))"
# WCAG 2.2, relative luminance: the least ratio of any text to what is behind it
CONTRAST = """
const lum = c => { const f = c.map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
const rgba = s => s.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
let least = 21, walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), n;
while ((n = walk.nextNode())) { if (!n.data.trim()) continue; const e = n.parentElement;
    const a = lum(rgba(getComputedStyle(e).color).slice(0, 3)), b = lum(behind(e).slice(0, 3));
    least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)); }
return least;"""
dialogs = 0
failed = False


def check(name, good, why=""):
    global failed
    print(("ok - " if good else "not ok - ") + name, flush=True)
    if not good:
        failed = True
        print(why)


def type_pins():
    """Into the dialog, whenever it is there."""
    global dialogs
    while True:
        seen = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "Unlock Security Device"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.split()
        if seen:
            dialogs += 1
            time.sleep(0.5)
            subprocess.run(["xdotool", "type", "--delay", "30", "123456"], check=True)
            subprocess.run(["xdotool", "key", "Return"], check=True)
            time.sleep(1.5)
        time.sleep(0.2)


def look(browser, name):
    for where, width, height, phone in SIZES:
        browser.size(width, height, phone)
        browser.picture(f"{PICTURES}-{name}-{where}.png")
        wide = browser.script("return [document.documentElement.scrollWidth, window.innerWidth]")
        check(f"{name}, {where}: fits", wide[0] <= wide[1], wide)
        browser.script(AXE)
        found = browser.later(RUN)
        check(f"{name}, {where}: axe finds nothing", found == [], found)
    ratio = browser.script(CONTRAST)
    check(f"{name}: contrast {ratio:.2f} is at least 7", ratio >= 7)


def text(browser, awaited=None):
    """Of the page; a click returns before the next one is there."""
    for _ in range(50):
        found = browser.script("return document.body ? document.body.innerText : ''")
        if awaited is None or re.search(awaited, found, re.M):
            break
        time.sleep(0.1)
    return found


def run(browser):
    browser.do("POST", "/timeouts", {"pageLoad": 30000, "script": 20000})
    browser.go(URL + "/")
    check("the person is known by the card", "Pat Example" in text(browser), text(browser))
    check("the PIN was asked for once", dialogs == 1, dialogs)
    check("no script may run", browser.script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.head.append(s);"
        "return window.ran === undefined"))
    look(browser, "home-new")
    browser.click("form[action='/code'] button")
    form = r"^[0-9A-Z]{4}(-[0-9A-Z]{4}){4}$"
    code = re.search(form, text(browser, form), re.M)
    check("a binding code", code is not None, text(browser))
    look(browser, "code")
    with open(TMP + "/code", "w", encoding="ascii") as f:
        f.write((code[0] if code else "") + "\n")
    other = subprocess.run([TMP + "/other", TMP + "/code"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    check("another machine derives with it", other.returncode == 0, other.stdout.decode())
    browser.go(URL + "/")
    check("the page shows that", "the other machine has its credential" in text(browser), text(browser))
    look(browser, "home")
    browser.click("a[href^='/credential/']")
    check("a credential's own page", "Revoke it" in text(browser, "^Revoke it"))
    look(browser, "credential")
    browser.click("option[value='superseded']")
    browser.click("button.danger")
    check("not without the tick", "/credential/" in browser.do("GET", "/url") and "I know that" in text(browser))
    browser.click("input[name='sure']")
    browser.click("button.danger")
    check("revoked", "is revoked" in text(browser, "is revoked"), text(browser))
    look(browser, "revoked")
    browser.go(URL + "/admin")
    check("the administrator's page", "code-given" in text(browser), text(browser))
    look(browser, "admin")
    browser.go(URL + "/credential/01")
    check("a refusal", "not-yours" in text(browser), text(browser))
    look(browser, "refused")
    check("the PIN was asked for once in all", dialogs == 1, dialogs)


def main():
    threading.Thread(target=type_pins, daemon=True).start()
    browser = Browser(["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
                       "--disable-background-networking", "--disable-component-update",
                       f"--user-data-dir={TMP}/chromium"], log=TMP + "/chromedriver.log")
    try:
        run(browser)
    finally:
        browser.close()
    return 1 if failed else 0


sys.exit(main())
