#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A browser by WebDriver (W3C), spoken to chromedriver by plain HTTP; see tests/interop/issuer_browser.sh."""
import base64
import json
import subprocess
import time
import urllib.request


class Browser:
    def __init__(self, arguments, port=9515, binary="/usr/bin/chromium", log="/dev/null"):
        self.base = f"http://127.0.0.1:{port}"
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}", f"--log-path={log}"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                if self.ask("GET", "/status")["ready"]:
                    break
            except OSError:
                time.sleep(0.1)
        options = {"binary": binary, "args": arguments}
        self.session = "/session/" + self.ask("POST", "/session", {
            "capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}})["sessionId"]

    def ask(self, method, path, body=None, limit=40):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=limit) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise RuntimeError(json.load(e)["value"]["message"].splitlines()[0]) from None

    def do(self, method, path, body=None):
        return self.ask(method, self.session + path, body)

    def go(self, url):
        self.do("POST", "/url", {"url": url})

    def script(self, text, *args):
        return self.do("POST", "/execute/sync", {"script": text, "args": list(args)})

    def later(self, text, *args):
        return self.do("POST", "/execute/async", {"script": text, "args": list(args)})

    def devtools(self, command, **params):
        return self.do("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def find(self, selector):
        return list(self.do("POST", "/element", {"using": "css selector", "value": selector}).values())[0]

    def click(self, selector):
        self.do("POST", f"/element/{self.find(selector)}/click", {})

    def size(self, width, height, phone):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=2 if phone else 1, mobile=phone)

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.ask("DELETE", self.session)
        except (OSError, RuntimeError):
            pass
        self.driver.terminate()
        self.driver.wait()
