"""How a workstation comes to its certificate: from the administrator, or on the holders' page after a code by mail or Pro Santé Connect."""
import email
import email.policy
import json
import re
import sys
import time
from pathlib import Path

from sandbox import Failed, Mailbox

sys.path.append(str(Path(__file__).parents[1] / "identity"))
from web import Browser  # pylint: disable=wrong-import-position # Lies with the tests of the page.


class Workstation:
    """A workstation to be enrolled by the administrator, for a mailbox that meanwhile no password opens alone.

    Left behind, its certificate is revoked and the mailbox as it was.
    """

    def __init__(self, own: Mailbox, scratch: Path):
        self.own, self.name = own, f"Poste {time.time():.0f}"
        self.file, self.password = scratch / "poste.p12", ""
        self._password_alone = json.loads(own.administer("mailbox", "show", "--json"))["allow_password"]

    def __enter__(self):
        self.own.administer("mailbox", "set", "--allow-password=false")
        return self

    def __exit__(self, *_):
        self.own.pem = None
        if self.number():
            Workstation.revoke(self)
        self.own.administer("mailbox", "set", f"--allow-password={str(self._password_alone).lower()}")

    def enrol(self):
        """Gets its file, and the password of that."""
        told = json.loads(self.own.administer("device", "enrol", "--name", self.name, "--out", self.file, "--json"))
        self.password = told["password"]

    def revoke(self):
        """Its certificate is good for nothing any more."""
        self.own.administer("device", "revoke", self.number())

    def number(self) -> int | None:
        """That of the mailbox's valid devices."""
        devices = json.loads(self.own.administer("device", "list", "--json"))["devices"]
        return next((one["id"] for one in devices if (one["name"], one["state"]) == (self.name, "valid")), None)


class OnThePage(Workstation):
    """One that its holder enrols and revokes on the holders' page."""

    def enrol(self):
        self._browser = Browser(self.own.sandbox.ca)
        self._site = f"https://localhost:{self.own.ports['https']}"
        self._browser.go(f"{self._site}/")
        self._log_in()
        self._page("/postes/nouveau")
        page = self._browser.send("/postes/nouveau", nom=self.name)
        self.password = page.by_id["mot-de-passe-du-fichier"]
        self.file.write_bytes(self._browser.ask(f"{self._site}/postes/fichier").body)

    def revoke(self):
        revoke = f"/postes/{self.number()}/revoquer"
        self._page(revoke)
        page = self._browser.send(revoke)
        if "est révoqué" not in page.text:
            raise Failed(f"the page revokes no workstation: {page.text}")

    def _page(self, path: str):
        page = self._browser.go(f"{self._site}{path}")
        if page.status != 200 or self.own.address not in page.text:
            raise Failed(f"{page.url} answers {page.status}: {page.text}")
        return page

    def _log_in(self):
        raise NotImplementedError


class ByCode(OnThePage):
    """After the mailbox's password and a code that comes to the address for notices."""

    def _log_in(self):
        before = set(self._notices())
        self._browser.send("/connexion", adresse=self.own.address, mot_de_passe=self.own.told["password"])
        self._browser.send("/code/courriel")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            for file in set(self._notices()) - before:
                if code := re.search(r"\b\d[\d ]{4,9}\d\b", text_of(file)):
                    self._browser.send("/code", code=code[0])
                    return
            time.sleep(0.1)
        raise Failed("no code has come by mail")

    def _notices(self):
        return self.own.sandbox.dir.joinpath("courriel").glob("*.eml")


class ByProSanteConnect(OnThePage):
    """After Pro Santé Connect, where the mailbox's holder is picked."""

    def _log_in(self):
        self._browser.go("/psc")
        page = self._browser.send("/auth", person=self.own.told["person"])
        number = json.loads(self.own.administer("mailbox", "show", "--json"))["id"]
        token = page.form("/boites")["fields"]["jeton"]
        self._browser.go(f"{self._site}/boites", {"jeton": token, "boite": str(number)})


def text_of(file: Path) -> str:
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    return message.get_body(("plain",)).get_content()


# How `--enrol` names the ways.
WAYS = {"administrator": Workstation, "code": ByCode, "psc": ByProSanteConnect}

