"""Debian's Chromium, headless, driven by WebDriver over plain HTTP: from the login page to the PKCS#12, which then opens IMAP.

`chromium.py enrol DIR CADUCEE`"""
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.argv[1], scenario = "-", sys.argv[1]
import portal  # noqa: E402  (reads the arguments)

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Driver:
    """A session of chromedriver (W3C WebDriver)."""

    def __init__(self, downloads):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.home = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "HOME": self.home.name})
        limit = time.monotonic() + 30
        while True:
            try:
                self.ask("GET", "/status")
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < limit, "chromedriver does not answer"
                time.sleep(0.1)
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--lang=fr",
                     "--window-size=1000,1400",
                     f"--user-data-dir={self.home.name}/profile"],
            "prefs": {"download.default_directory": downloads, "download.prompt_for_download": False},
        }
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options}
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{session['sessionId']}"

    def ask(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            return json.load(urllib.request.urlopen(request, timeout=60))["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:600]}") from None

    def find(self, using, what):
        limit = time.monotonic() + 15
        while True:
            found = self.ask("POST", "/elements", {"using": using, "value": what})
            if found:
                return found[0][ELEMENT]
            assert time.monotonic() < limit, f"no {what} on {self.address()}:\n{self.text()}"
            time.sleep(0.1)

    def click(self, what, using="css selector"):
        self.ask("POST", f"/element/{self.find(using, what)}/click")

    def type(self, what, text):
        self.ask("POST", f"/element/{self.find('css selector', what)}/value", {"text": text})

    def read(self, what):
        return self.ask("GET", f"/element/{self.find('css selector', what)}/text")

    def heads(self, title):
        """Waits for the page with this heading: a click may return before the page that it leads to is there."""
        limit, said = time.monotonic() + 15, None
        while said != title:
            assert time.monotonic() < limit, f"{said}, not {title}, on {self.address()}:\n{self.text()}"
            try:
                said = self.read("h1")
            except AssertionError as error:
                # Found on the page before, gone with it.
                assert "stale element reference" in str(error) or "no such" in str(error), error
            time.sleep(0.05)

    def text(self):
        found = self.ask("POST", "/elements", {"using": "css selector", "value": "body"})
        return self.ask("GET", f"/element/{found[0][ELEMENT]}/text") if found else ""

    def address(self):
        return self.ask("GET", "/url")

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def script(self, text):
        return self.ask("POST", "/execute/sync", {"script": text, "args": []})

    def picture(self, path, what=None):
        of = f"/element/{self.find('css selector', what)}" if what else ""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("GET", f"{of}/screenshot")))

    def end(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(20)
            self.home.cleanup()


def set_up_an_application(browser, directory):
    """The QR code as a telephone's camera reads it, from what Chromium has drawn."""
    browser.go(portal.SITE + "/codes")
    browser.click("form[action='/codes/application'] button")
    secret = browser.read("#cle")
    if shutil.which("zbarimg"):
        path = os.path.join(directory, "qr.png")
        browser.picture(path, "svg.qr")
        read = subprocess.run(["zbarimg", "--quiet", "--raw", path], capture_output=True, text=True)
        assert read.stdout.startswith("otpauth://totp/"), read
        assert f"secret={secret.replace(' ', '')}" in read.stdout, "the drawn secret is the written one"
    browser.type("#code", portal.totp(secret))
    browser.click("form[action='/codes/application/confirmation'] button")
    browser.heads("Vos codes de secours")


def enrol():
    downloads = tempfile.mkdtemp(dir=portal.DIR)
    browser = Driver(downloads)
    try:
        address, national_id = portal.holder(0)
        browser.go(portal.SITE + "/")
        browser.heads("Connexion")
        browser.click("a[href='/psc']")
        browser.click(f"button[name='person'][value='{national_id}']")
        browser.heads("Choisir une boîte aux lettres")
        browser.click(f"button[aria-label='Ouvrir {address}']")
        browser.heads("Postes et téléphones")
        assert address in browser.text()
        browser.click("a[href='/postes/nouveau']")
        browser.type("#nom", "Ordinateur de Chromium")
        browser.click("main button[type='submit']")
        browser.heads("Poste enregistré")
        password = browser.read("#mot-de-passe-du-fichier")
        browser.click("#fichier")
        path = os.path.join(downloads, "ordinateur-de-chromium.p12")
        limit = time.monotonic() + 20
        while not os.path.exists(path):
            assert time.monotonic() < limit, os.listdir(downloads)
            time.sleep(0.1)
        pem = portal.unpacked(open(path, "rb").read(), password)
        portal.admin("mailbox", "password", address, "--password-stdin", stdin=f"{portal.PASSWORD}\n")
        assert portal.imap(address, portal.PASSWORD, pem).select("INBOX")[0] == "OK"
        # The page's own policy holds: nothing on it runs, nothing is styled by hand, and the sheet is taken.
        assert browser.script("return document.styleSheets.length") == 1
        browser.go(portal.SITE + "/postes")
        assert "Ordinateur de Chromium" in browser.text()
        set_up_an_application(browser, downloads)
        if os.environ.get("CADUCEE_PICTURES"):
            for name in ("postes", "postes/nouveau", "codes", "mot-de-passe", "aide"):
                browser.go(f"{portal.SITE}/{name}")
                browser.picture(os.path.join(os.environ["CADUCEE_PICTURES"], name.replace("/", "-") + ".png"))
        browser.go(portal.SITE + "/postes")
        browser.click("form[action='/deconnexion'] button")
        browser.heads("Vous êtes déconnecté")
        browser.go(portal.SITE + "/postes")
        browser.heads("Connexion")
    finally:
        browser.end()


if __name__ == "__main__":
    globals()[scenario]()
