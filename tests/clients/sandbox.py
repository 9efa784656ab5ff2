"""The running sandbox and its mailboxes, as programs that nobody doubts see them: imaplib, smtplib, `caducee`; and how a run says what held."""
import contextlib
import email.message
import email.policy
import email.utils
import imaplib
import json
import smtplib
import ssl
import subprocess
import time
from pathlib import Path


class Failed(Exception):
    """What did not hold."""


def check(held, what: str):
    """Says what held; ends the run where it did not."""
    if not held:
        raise Failed(what)
    print(f"ok       {what}", flush=True)


class Sandbox:
    """The running sandbox, as sandbox.json tells it."""

    def __init__(self, directory: Path, caducee: str):
        self.dir = directory.resolve()
        self.told = json.loads((self.dir / "sandbox.json").read_text())
        self.caducee = caducee
        self.ca = self.dir / self.told["ca"]

    def mailbox(self, address: str | None, operator: int) -> "Mailbox":
        """That of `address`, or the operator's first."""
        operators = self.told["operators"]
        for one in operators if address else [operators[operator]]:
            for mailbox in one["mailboxes"]:
                if address in (None, mailbox["address"]):
                    return Mailbox(self, one, mailbox)
        raise Failed(f"the sandbox has no mailbox {address}")


class Mailbox:
    """A mailbox, and how a program that nobody doubts sees it: imaplib and smtplib."""

    def __init__(self, sandbox: Sandbox, operator: dict, told: dict):
        self.sandbox, self.operator, self.told = sandbox, operator, told
        self.address, self.ports = told["address"], operator["ports"]
        # The client certificate that is shown, with its key.
        self.pem: Path | None = None

    def show_certificate(self, pkcs12: Path, password: str, scratch: Path):
        """Shows the certificate that Thunderbird shows."""
        pem = scratch / "certificate.pem"
        run("openssl", "pkcs12", "-in", pkcs12, "-passin", f"pass:{password}", "-nodes", "-out", pem)
        self.pem = pem

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.sandbox.ca))
        if self.pem:
            context.load_cert_chain(self.pem)
        return context

    @contextlib.contextmanager
    def imap(self, folder: str):
        imap = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self._tls())
        try:
            imap.login(self.told["login"], self.told["password"])
            kind, data = imap.select(folder, readonly=True)
            if kind != "OK":
                raise Failed(f"{self.address} has no {folder}: {data}")
            yield imap
        finally:
            imap.logout()

    def count(self, folder: str) -> int:
        with self.imap(folder) as imap:
            return len(imap.search(None, "ALL")[1][0].split())

    def flags(self, folder: str, message_id: str) -> list[str]:
        """The flags of each message there with this Message-ID: as many as there are copies."""
        with self.imap(folder) as imap:
            found = imap.search(None, "HEADER", "Message-ID", f'"<{message_id}>"')[1][0].split()
            return [imap.fetch(number.decode(), "(FLAGS)")[1][0].decode() for number in found]

    def message(self, folder: str, message_id: str) -> email.message.EmailMessage:
        with self.imap(folder) as imap:
            number = imap.search(None, "HEADER", "Message-ID", f'"<{message_id}>"')[1][0].split()[0]
            raw = imap.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1]
        return email.message_from_bytes(raw, policy=email.policy.default)

    def wait_for(self, folder: str, message_id: str, within: float = 30) -> int:
        """How many copies are there, once there is one."""
        until = time.monotonic() + within
        while not (copies := len(self.flags(folder, message_id))) and time.monotonic() < until:
            time.sleep(0.2)
        return copies

    def send(self, to: str, subject: str):
        """Submits a message, as this mailbox."""
        message = email.message.EmailMessage()
        message["From"], message["To"], message["Subject"] = self.address, to, subject
        message["Date"], message["Message-ID"] = email.utils.localtime(), email.utils.make_msgid(domain="poste.example")
        message.set_content("Cher confrère,\n\nce message est arrivé sans qu'on le demande.\n")
        with smtplib.SMTP_SSL("localhost", self.ports["submissions"], context=self._tls()) as smtp:
            smtp.login(self.told["login"], self.told["password"])
            smtp.send_message(message)

    def save_sent(self, wanted: bool):
        """Whether the server files what this mailbox sends."""
        self.administer("mailbox", "set", f"--save-sent={str(wanted).lower()}")

    def administer(self, noun: str, verb: str, *words) -> str:
        """What `caducee` says to a command about this mailbox."""
        socket = self.sandbox.dir / self.operator["admin_socket"]
        return run(self.sandbox.caducee, noun, verb, self.address, *words, "--socket", socket)


def run(*command) -> str:
    """What a tool says."""
    ran = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode != 0:
        raise Failed(f"{command[0]}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def eventually(probe, what: str, within: float = 15):
    """Thunderbird tells the server in its own time."""
    until = time.monotonic() + within
    while not (held := probe()) and time.monotonic() < until:
        time.sleep(0.2)
    check(held, what)
