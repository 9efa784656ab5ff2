"""The mail doors line by line, with tokens of the sandbox's Pro Santé Connect; what the scenarios beside it share.

Imported by scripts that are called as `SCRIPT SCENARIO DIR CADUCEE`, as `portal.py` is."""
import base64
import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.parse

from portal import ALL, CA, DIR, DOMAIN, OPERATOR, SOURCE, admin

PSC = ALL["psc"]
PORTS = OPERATOR["ports"]
CONFIG = os.path.join(DIR, OPERATOR["config"])
LEA = next(person["person"] for person in PSC["persons"] if person["last"] == "Secrétan")
NOBODY = next(person["person"] for person in PSC["persons"] if not person["opens"])
MECHANISMS = ("XOAUTH2", "OAUTHBEARER")


def of_kind(kind):
    """The first ordinary mailbox of a kind."""
    return next(m for m in OPERATOR["mailboxes"] if m["kind"] == kind and not m["test"])


def per(index=0):
    """The address and the holder of one of the ordinary personal mailboxes."""
    found = [m for m in OPERATOR["mailboxes"] if m["kind"] == "PER" and not m["test"]][index]
    return found["address"], found["person"]


# ---- Pro Santé Connect ----

def psc(path, form=None, body=None, client=None):
    """Asks the look-alike; `path` below its host, or an endpoint of the realm."""
    issuer = urllib.parse.urlsplit(PSC["issuer"])
    url = path if path.startswith("/") else f"{issuer.path}/protocol/openid-connect/{path}"
    connection = http.client.HTTPSConnection(issuer.hostname, issuer.port, timeout=60,
                                             context=ssl.create_default_context(cafile=CA))
    headers = {}
    if form is not None:
        body, headers["Content-Type"] = urllib.parse.urlencode(form), "application/x-www-form-urlencoded"
    if client:
        headers["Authorization"] = "Basic " + base64.b64encode(client.encode()).decode()
    connection.request("GET" if body is None else "POST", url, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if text.startswith("{") else text


def tokens(person):
    status, given = psc("/_sandbox/token", form={"person": person})
    assert status == 200, given
    return given


def token(person):
    return tokens(person)["access_token"]


def knobs(**turned):
    """Makes the look-alike fail in some ways, and in no other."""
    status, said = psc("/_sandbox/knobs", body=json.dumps(turned))
    assert status == 204, said


# ---- the operator ----

def configure(**sections):
    """Puts keys into the operator's configuration and has it read again: `configure(psc={"validation": "jwt"})`. What was put
    there before goes back to what the sandbox wrote."""
    kept = CONFIG + ".written"
    if not os.path.exists(kept):
        with open(CONFIG) as file, open(kept, "w") as copy:
            copy.write(file.read())
    text = open(kept).read()
    for section, keys in sections.items():
        head, rest = (text.split(f"\n[{section}]\n", 1) + [""])[:2] if f"\n[{section}]\n" in text else (text, None)
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        if rest is not None:
            body, mark, after = rest.partition("\n[")
            body = "\n".join(line for line in body.split("\n") if line.split(" = ")[0] not in keys)
            rest = body + mark + after
        text = f"{head}\n[{section}]\n{lines}{rest or ''}"
    with open(CONFIG + ".new", "w") as file:
        file.write(text)
    os.replace(CONFIG + ".new", CONFIG)
    said = json.loads(admin("reload", "--json"))
    assert not said["needs_restart"], said


def alone(scenario):
    """A scenario that may change what others would stumble over: it finds all as the sandbox wrote it."""
    def run():
        knobs()
        configure()
        scenario()
    return run


def sessions(*which):
    return json.loads(admin("session", "list", *which, "--json"))["sessions"]


def own_mailbox(local, kind, *more, stdin=""):
    """A mailbox of a scenario's own; its address."""
    address = f"{local}@{DOMAIN}"
    if kind == "PER":
        what = ("--last-name", local.capitalize())
    else:
        what = ("--label", local.capitalize(), "--structure-id", "1990000999", "--entity", "Maison de santé")
    notified = ("--notification-address", f"{local}@courriel.example")
    admin("mailbox", "create", address, "--kind", kind, *notified, *what, *more, stdin=stdin)
    return address


def until(done, what, limit=20):
    end = time.monotonic() + limit
    while not (found := done()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


# ---- SASL ----

def message(mechanism, user, token):
    if mechanism == "XOAUTH2":
        return f"user={user}\x01auth=Bearer {token}\x01\x01"
    assert mechanism == "OAUTHBEARER"
    named = f"a={user}" if user else ""
    return f"n,{named},\x01host=localhost\x01port=143\x01auth=Bearer {token}\x01\x01"


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


# ---- lines ----

class Gone(Exception):
    """The server has closed the connection."""


class Lines:
    """A connection, line by line."""

    def __init__(self, port, cert=None, tls=True, source=SOURCE):
        self.socket = socket.create_connection(("localhost", port), 30, source_address=(source, 0))
        self.context = ssl.create_default_context(cafile=CA)
        if cert:
            self.context.load_cert_chain(*cert)
        self.said = []
        if tls:
            self.encrypt()
        else:
            self.file = self.socket.makefile("rb")

    def encrypt(self):
        self.socket = self.context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, line):
        self.said.append(f"C: {line}")
        self.socket.sendall(line.encode() + b"\r\n")

    def line(self):
        line = self.file.readline()
        if not line:
            raise Gone(self.transcript())
        assert line.endswith(b"\r\n"), line
        self.said.append("S: " + line.decode().rstrip("\r\n"))
        return line.decode().rstrip("\r\n")

    def rest(self):
        """Everything until the server closes."""
        lines = []
        try:
            while True:
                lines.append(self.line())
        except Gone:
            return lines

    def transcript(self):
        return "\n".join(line if len(line) < 200 else line[:200] + "..." for line in self.said[-12:])

    def close(self):
        self.file.close()
        self.socket.close()


class Imap(Lines):
    AWAY, REFUSED = r"NO \[UNAVAILABLE\] ", r"NO \[(AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|CONTACTADMIN)\] "

    def __init__(self, secure=False, port=None, **more):
        super().__init__(port or (PORTS["imaps"] if secure else PORTS["imap"]), tls=secure, **more)
        self.number = 0
        assert self.line().startswith("* OK"), self.transcript()
        if not secure:
            self.expect("STARTTLS", "OK")
            self.encrypt()

    def command(self, command):
        """Sends a command; its untagged answers are in `self.untagged`, its result is returned."""
        self.number += 1
        tag = f"a{self.number}"
        self.send(f"{tag} {command}")
        return self.result(tag)

    def result(self, tag):
        self.untagged = []
        while not (line := self.line()).startswith(tag + " "):
            self.untagged.append(line)
            if line.startswith("+ "):
                return line
        return line[len(tag) + 1:]

    def expect(self, command, result):
        said = self.command(command)
        assert said.startswith(result), f"{command}: {self.transcript()}"
        return self.untagged

    def login(self, mechanism, user, token, initial=True):
        """Logs in; a challenge is in `self.challenge`. The result comes after the client's empty line."""
        return self.authenticate(mechanism, b64(message(mechanism, user, token)), initial)

    def authenticate(self, mechanism, encoded, initial=True):
        self.number += 1
        tag, self.challenge = f"a{self.number}", None
        self.send(f"{tag} AUTHENTICATE {mechanism}" + (f" {encoded or '='}" if initial else ""))
        if not initial:
            assert self.line() == "+ ", self.transcript()
            self.send(encoded)
        said = self.result(tag)
        if said.startswith("+ "):
            self.challenge = json.loads(base64.b64decode(said[2:]))
            self.send("")
            said = self.result(tag)
        return said

    def still_there(self):
        self.expect("NOOP", "OK")

    def idle(self):
        self.number += 1
        self.send(f"a{self.number} IDLE")
        assert self.line().startswith("+ "), self.transcript()

    def done(self):
        self.send("DONE")
        assert self.result(f"a{self.number}").startswith("OK"), self.transcript()
        return self.untagged


class Smtp(Lines):
    AWAY, REFUSED = r"454 4\.7\.0 ", r"535 5\.7\.8 "

    def __init__(self, secure=False, port=None, **more):
        super().__init__(port or (PORTS["submissions"] if secure else PORTS["submission"]), tls=secure, **more)
        assert self.answer().startswith("220"), self.transcript()
        self.expect("EHLO client.example", "250")
        if not secure:
            self.expect("STARTTLS", "220")
            self.encrypt()
            self.expect("EHLO client.example", "250")

    def answer(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def command(self, command):
        self.send(command)
        return self.answer()

    def expect(self, command, result):
        said = self.command(command)
        assert said.startswith(result), self.transcript()
        return said

    def login(self, mechanism, user, token, initial=True):
        return self.authenticate(mechanism, b64(message(mechanism, user, token)), initial)

    def authenticate(self, mechanism, encoded, initial=True):
        self.challenge = None
        if initial:
            said = self.command(f"AUTH {mechanism} {encoded or '='}")
        else:
            self.expect(f"AUTH {mechanism}", "334 ")
            said = self.command(encoded)
        if said.startswith("334 "):
            self.challenge = json.loads(base64.b64decode(said[4:]))
            said = self.command("")
        return said

    def still_there(self):
        self.expect("NOOP", "250")

    def mail(self, sender, to, text):
        """A message of one recipient; the last answer."""
        self.expect(f"MAIL FROM:<{sender}>", "250")
        said = self.command(f"RCPT TO:<{to}>")
        if not said.startswith("250"):
            self.expect("RSET", "250")
            return said
        self.expect("DATA", "354")
        return self.command(f"From: {sender}\r\nTo: {to}\r\nSubject: {text}\r\n\r\n{text}\r\n.")


DOORS = (Imap, Smtp)


def let_in(said):
    return said.startswith(("OK", "235"))


def enters(door, mechanism, user, token, **more):
    """A connection that is logged in."""
    client = door(**more)
    said = client.login(mechanism, user, token)
    assert let_in(said) and client.challenge is None, client.transcript()
    return client


def is_refused(client, mechanism, user, token, *words, initial=True):
    """A refusal for good: challenge, the client's empty line, the reason; and the connection goes on."""
    said = client.login(mechanism, user, token, initial)
    assert client.challenge and client.challenge["status"] in ("401", "invalid_token"), client.transcript()
    assert re.match(client.REFUSED, said), client.transcript()
    for word in words:
        assert word in said, f"no « {word} »: {client.transcript()}"
    client.still_there()
    return re.sub(r" ?\[rule .*\]$", "", said)


def is_put_off(client, mechanism, user, token):
    """Pro Santé Connect is away: no challenge, which would cost the client its token; and the connection goes on."""
    said = client.login(mechanism, user, token)
    assert client.challenge is None and re.match(client.AWAY, said), client.transcript()
    # IMAP programs show the sentence to people, SMTP programs show none.
    told = "Pro Sante Connect cannot be reached", "Pro Sante Connect ne repond pas"
    assert any(words in said for words in told), client.transcript()
    client.still_there()
