#!/usr/bin/env python3
"""A real Thunderbird with a mailbox of the sandbox: it reads, is told of new mail, answers, and throws away.

    caducee sandbox --dir sandbox &
    tests/clients/thunderbird.py --sandbox sandbox

With `--enrol` it is an enrolled workstation instead (`enrolment.py`): refused without its file, at work with it, and out when it
is revoked.

Thunderbird runs without a screen on a profile made here; Marionette tells it what to do (`thunderbird.js`). What became of it
is asked of the servers, by IMAP. Needed: Debian's thunderbird and libnss3-tools. Says line by line what held, and ends with 0 when
everything did, 1 when something did not, 77 when a program is missing. `note` lines tell what Thunderbird complained of and what the
servers refused it.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from enrolment import WAYS, Workstation
from marionette import DialogOpen, Marionette
from sandbox import Mailbox, Sandbox, check, eventually, run

# nsMsgSocketType and nsMsgAuthMethod.
STARTTLS, TLS = 2, 3
AUTHENTICATION = {"password": 3, "certificate": 7}
# The doors for sending, as the sandbox calls them.
DOORS_OUT = {"submissions": TLS, "submission": STARTTLS}

# One quiet Thunderbird: nothing of its own reaches the network (HTTP goes to a port where nobody listens, each name is localhost),
# nothing asks a person anything, and a certificate is shown to a server that asks for one.
PREFERENCES = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.dns.native-is-localhost": True,
    "app.update.auto": False,
    "app.donation.eoy.version": 999,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mail.shell.checkDefaultClient": False,
    "mail.warn_on_send_accel_key": False,
    "mail.SpellCheckBeforeSend": False,
    "mailnews.start_page.enabled": False,
    "mailnews.mark_message_read.auto": True,
    "mailnews.mark_message_read.delay": False,
    # What it says by SMTP goes to its output.
    "mailnews.smtp.loglevel": "All",
    "devtools.console.stdout.chrome": True,
    "marionette.port": 0,
    "toolkit.startup.max_resumed_crashes": -1,
    "security.default_personal_cert": "Select Automatically",
}


class Thunderbird:
    """Thunderbird on a profile of its own, without a screen."""

    def __init__(self, directory: Path, options: argparse.Namespace, ca: Path):
        self.profile, self.output, self.imap_log = directory / "profile", directory / "thunderbird.log", directory / "imap.moz_log"
        self._script = Path(__file__).with_suffix(".js").read_text()
        self._make_profile(options, ca)
        self._directory, self._program = directory, options.thunderbird
        self._process = self._marionette = None
        self.was_refused = False

    def _launch(self):
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= {"HOME": str(self._directory), "LC_ALL": "C.UTF-8", "MOZ_CRASHREPORTER_DISABLE": "1"}
        environment |= {"MOZ_LOG": "sync,timestamp,append,IMAP:4", "MOZ_LOG_FILE": str(self.imap_log)}
        command = [self._program, "--headless", "--no-remote", "--profile", self.profile, "--marionette", "--remote-allow-system-access"]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def _make_profile(self, options: argparse.Namespace, ca: Path):
        """Preferences, and the certificates: the sandbox's root is believed, the PKCS#12 is there to be shown."""
        self.profile.mkdir()
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
        (self.profile / "user.js").write_text("".join(lines))
        database = f"sql:{self.profile}"
        run("certutil", "-N", "-d", database, "--empty-password")
        run("certutil", "-A", "-d", database, "-n", "sandbox root", "-t", "C,,", "-i", ca)
        if options.pkcs12:
            run("pk12util", "-i", options.pkcs12, "-d", database, "-W", options.pkcs12_password)

    def __enter__(self):
        # A port that an earlier start has left.
        (self.profile / "MarionetteActivePort").unlink(missing_ok=True)
        self._launch()
        try:
            self._marionette = Marionette(self.profile)
            self.version = self._marionette.about["browserVersion"]
            self.do("watchDialogs")
        except BaseException as failure:
            self.__exit__(failure)
            raise
        return self

    def restart(self):
        """Starts it anew on its profile. It is killed: after a refused login its own way out may take a minute."""
        self.do("savePreferences")
        self._process.kill()
        self._process.wait()
        self.__enter__()

    def do(self, action: str, **wishes):
        """One of thunderbird.js's actions."""
        return self._marionette.run(self._script, action, wishes)

    def attempt(self, action: str, **wishes) -> tuple[str, list[str]]:
        """Begins what may be refused: what became of it, and what the dialogs said, each of which is answered with Cancel."""
        self.was_refused, before = True, len(self.do("dialogs"))
        self.do("begin", what=action, wishes=wishes)
        outcome, said, quiet, until = "", [], 0, time.monotonic() + 60
        # A refused look at IMAP has no end but its dialogs; and a dialog may follow the end.
        while quiet < 8 and time.monotonic() < until:
            time.sleep(0.2)
            with contextlib.suppress(DialogOpen):
                outcome, known, said = self.do("outcome"), said, self.do("dialogs")[before:]
                quiet = quiet + 1 if (outcome or said) and said == known else 0
        return outcome, said

    def imap_lines(self) -> list[str]:
        """What went over its IMAP connections: `A:C: 12 noop`, `S-INBOX:S: * 7 EXISTS`; A is one with no folder, S- one with."""
        text = self.imap_log.read_text(errors="replace") if self.imap_log.exists() else ""
        found = re.findall(r":(NA|A|S-[^:\n]*):(SendData|CreateNewLineFromSocket): ([^\r\n]*)", text)
        return [f"{state}:{'C' if kind == 'SendData' else 'S'}: {line}" for state, kind, line in found]

    def smtp_lines(self) -> list[str]:
        """What its SMTP client says: `C: EHLO …`, `S: 250 …`."""
        found = re.findall(r'mailnews\.smtp: "([CS]: .*)"', self.output.read_text(errors="replace"))
        return [line for reply in found for line in reply.replace("\\r\\n", "\n").splitlines()]

    def notes(self) -> list[str]:
        """What a reader should look at: refusals, complaints, dialogs, and whether a certificate was seen."""
        imap, smtp = self.imap_lines(), self.smtp_lines()
        notes = [f"IMAP {line}" for line in imap if re.search(r":S: (\d+|\*) (NO|BAD|BYE)\b", line)]
        notes += [f"SMTP {line}" for line in smtp if re.match(r"(S: )?[45]\d\d", line)]
        offered = [name for name, lines in (("IMAP", imap), ("SMTP", smtp)) if any("EXTERNAL" in line and "AUTH" in line for line in lines)]
        notes.append(f"EXTERNAL is offered, for a client certificate, by: {' and '.join(offered) or 'nobody'}")
        return notes + [f"Thunderbird: {text}" for text in self.do("complaints") + self.do("dialogs")]

    def __exit__(self, failure, *_):
        # One that is stuck in a dialog would not quit, one that was refused takes a minute; its profile is of no more use.
        if failure or self.was_refused:
            self._process.kill()
        else:
            self._marionette.quit()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def morning(thunderbird: Thunderbird, options: argparse.Namespace, own: Mailbox, peer: Mailbox, scratch: Path):
    """A morning with Thunderbird."""
    add_account(thunderbird, options, own)
    read(thunderbird, own)
    pushed = push(thunderbird, own, peer)
    answer(thunderbird, options, own, peer, pushed, scratch)
    write(thunderbird, options, own, peer)
    draft(thunderbird, own, peer)
    file_away(thunderbird, own, pushed)


def enrolled(thunderbird: Thunderbird, options: argparse.Namespace, own: Mailbox, peer: Mailbox, scratch: Path):
    """The life of an enrolled workstation: refused without its file, at work with it, and out when it is revoked."""
    # The mailbox's password opened it here just now, so failures do not make it wait.
    own.count("INBOX")
    with WAYS[options.enrol](own, scratch) as workstation:
        add_account(thunderbird, options, own)
        refused(thunderbird, own, peer, "submissions", "with the password alone")
        workstation.enrol()
        check(thunderbird.do("importCertificate", file=str(workstation.file), password=workstation.password),
              f"{workstation.name} is enrolled ({options.enrol}), and Thunderbird takes its file")
        # Until then it shows no certificate to a server to which it has shown none.
        thunderbird.restart()
        own.show_certificate(workstation.file, workstation.password, scratch)
        read(thunderbird, own)
        push(thunderbird, own, peer)
        for door in DOORS_OUT:
            write_at(thunderbird, own, peer, door)
        revoked(thunderbird, own, workstation)
        refused(thunderbird, own, peer, "submission", "with a revoked certificate")
    own.count("INBOX")


def write_at(thunderbird: Thunderbird, own: Mailbox, peer: Mailbox, door: str):
    """A message by one of the doors for sending."""
    thunderbird.do("setOutgoing", port=own.ports[door], socketType=DOORS_OUT[door])
    before, subject = len(thunderbird.smtp_lines()), f"Par la porte {door} {time.time():.0f}"
    thunderbird.do("write", to=peer.address, subject=subject, body="Bonjour,\nbien à vous\n")
    arrived_once(thunderbird, own, peer, subject, f"what is written by the door {door}")
    said = thunderbird.smtp_lines()[before:]
    check(("C: STARTTLS" in said) == (DOORS_OUT[door] == STARTTLS), "… and went by that door")


def refused(thunderbird: Thunderbird, own: Mailbox, peer: Mailbox, door: str, how: str):
    """Nothing is read, and nothing goes out by `door`. Few tries: too many failures make an address wait."""
    before = len(thunderbird.imap_lines())
    outcome, said = thunderbird.attempt("getMessages", path="INBOX")
    new = thunderbird.imap_lines()[before:]
    check(outcome != "done" and any(" NO [AUTHENTICATIONFAILED] " in line for line in new), f"IMAP is refused {how}")
    check(said, f"… and Thunderbird says: {' / '.join(dict.fromkeys(said))}")
    check(not any(re.search(r":C: \d+ (select|examine) ", line, re.IGNORECASE) for line in new), "… and no folder is opened")
    thunderbird.do("setOutgoing", port=own.ports[door], socketType=DOORS_OUT[door])
    before, there = len(thunderbird.smtp_lines()), peer.count("INBOX")
    outcome, said = thunderbird.attempt("write", to=peer.address, subject="Refusé", body="Bonjour\n")
    thunderbird.do("discard")
    new = thunderbird.smtp_lines()[before:]
    check(outcome != "done" and any(line.startswith("S: 535 5.7.8 ") for line in new), f"sending by the door {door} is refused {how}")
    check(said, f"… and Thunderbird says: {' / '.join(dict.fromkeys(said))}")
    check(not any(line.startswith("C: MAIL") for line in new) and peer.count("INBOX") == there, "… and nothing has gone out")


def revoked(thunderbird: Thunderbird, own: Mailbox, workstation: Workstation):
    """The session that Thunderbird has open ends, in the middle of its IDLE."""
    thunderbird.do("open", path="INBOX", messages=0)
    eventually(lambda: in_inbox(thunderbird)[-1].startswith("S-INBOX:S: + "), "Thunderbird idles in INBOX")
    before = len(in_inbox(thunderbird))
    workstation.revoke()
    eventually(lambda: any(":S: * BYE " in line for line in in_inbox(thunderbird)[before:]),
               "its workstation is revoked, and its session ends", within=5)


def in_inbox(thunderbird: Thunderbird) -> list[str]:
    """What went over the connection that has INBOX open."""
    return [line for line in thunderbird.imap_lines() if line.startswith("S-INBOX:")]


def add_account(thunderbird: Thunderbird, options: argparse.Namespace, own: Mailbox):
    kind, imap, smtp = (STARTTLS, "imap", "submission") if options.starttls else (TLS, "imaps", "submissions")
    incoming = {"port": own.ports[imap], "socketType": kind, "auth": AUTHENTICATION[options.auth]}
    outgoing = {"port": own.ports[smtp], "socketType": kind, "auth": AUTHENTICATION[options.sending_auth]}
    made = thunderbird.do("addAccount", address=own.address, name=own.told["name"], password=own.told["password"],
                          incoming=incoming, outgoing=outgoing)
    check(made["fcc"], f"the account of {own.address} is made: IMAP by {options.auth}, copies of what is sent go to Sent")


def read(thunderbird: Thunderbird, own: Mailbox):
    there = own.count("INBOX")
    shown = thunderbird.do("open", path="INBOX", messages=there)
    check(len(shown) == there, f"INBOX shows the {there} messages that the server has")
    standard = {"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"}
    eventually(lambda: standard <= set(thunderbird.do("folders")), "the mailbox's six folders are there")
    for message in shown[:2]:
        read_one(thunderbird, own, message)


def read_one(thunderbird: Thunderbird, own: Mailbox, message: dict):
    page = thunderbird.do("read", path="INBOX", id=message["id"])
    check(page["text"].strip() and message["subject"] in page["subject"],
          f"\"{message['subject']}\" opens, with {', '.join(page['attachments']) or 'nothing attached'}")
    eventually(lambda: all("\\Seen" in flags for flags in own.flags("INBOX", message["id"])), "… and is \\Seen on the server")


def push(thunderbird: Thunderbird, own: Mailbox, peer: Mailbox) -> dict:
    """What comes in while Thunderbird idles: the server speaks first, and Thunderbird shows it."""
    thunderbird.do("open", path="INBOX", messages=0)
    eventually(lambda: in_inbox(thunderbird)[-1].startswith("S-INBOX:S: + "), "Thunderbird idles in INBOX")
    before = len(in_inbox(thunderbird))
    subject = f"Sans qu'on le demande {time.time():.0f}"
    began = time.monotonic()
    peer.send(own.address, subject)
    message = thunderbird.do("await", path="INBOX", subject=subject, seconds=30)
    took = time.monotonic() - began
    check("\\Seen" not in own.flags("INBOX", message["id"])[0],
          f"a message from {peer.address} shows, {took:.1f} s after it was submitted")
    check(in_inbox(thunderbird)[before].endswith(" EXISTS"), "… because the server said so, unasked")
    read_one(thunderbird, own, message)
    return message


def answer(thunderbird: Thunderbird, options: argparse.Namespace, own: Mailbox, peer: Mailbox, pushed: dict, scratch: Path):
    """An answer with an attachment, while the server files copies as well."""
    own.save_sent(True)
    attachment = scratch / "compte-rendu.zip"
    with zipfile.ZipFile(attachment, "w") as archive:
        archive.writestr("résultats.txt", "tout va bien\n" * 2000)
    thunderbird.do("reply", path="INBOX", id=pushed["id"], attachment=str(attachment))
    eventually(lambda: all("\\Answered" in flags for flags in own.flags("INBOX", pushed["id"])), "the message is \\Answered on the server")
    sent = arrived_once(thunderbird, own, peer, pushed["subject"], "the answer, which the server files too,")
    there = peer.message("INBOX", sent)
    parts = [part for part in there.iter_attachments() if part.get_filename() == attachment.name]
    check(parts and parts[0].get_content() == attachment.read_bytes(), f"{attachment.name} came through whole")
    check(there["In-Reply-To"] == f"<{pushed['id']}>", "it names what it answers")


def write(thunderbird: Thunderbird, options: argparse.Namespace, own: Mailbox, peer: Mailbox):
    """A new message, which Thunderbird alone files."""
    own.save_sent(False)
    subject = f"Épicrise n° {time.time():.0f} — été"
    thunderbird.do("write", to=peer.address, subject=subject, body="Bonjour,\n.\n..\nbien à vous\n")
    sent = arrived_once(thunderbird, own, peer, subject, "the message that Thunderbird alone files")
    there = peer.message("INBOX", sent)
    check(there["Subject"] == subject, "its subject came through")
    text = there.get_body(("plain",)).get_content().replace("\r\n", "\n")
    check("\n.\n..\nbien à vous" in text, "its lines of dots came through")


def arrived_once(thunderbird: Thunderbird, own: Mailbox, peer: Mailbox, subject: str, what: str) -> str:
    """The Message-ID of what was sent, from Thunderbird's Sent; it has to lie there, on the server and with the peer just once."""
    thunderbird.do("open", path="Sent", messages=own.count("Sent"))
    shown = [message["id"] for message in thunderbird.do("list", path="Sent") if subject in message["subject"]]
    check(len(shown) == 1, f"{what} lies in Thunderbird's Sent just once")
    check(own.wait_for("Sent", shown[0]) == 1, "… and in the server's")
    check(peer.wait_for("INBOX", shown[0]) == 1, f"… and has arrived at {peer.address}, once")
    return shown[0]


def draft(thunderbird: Thunderbird, own: Mailbox, peer: Mailbox):
    before = own.count("Drafts")
    thunderbird.do("draft", to=peer.address, subject="À finir", body="Je reprendrai demain.\n")
    eventually(lambda: own.count("Drafts") == before + 1, "a draft lies in Drafts")


def file_away(thunderbird: Thunderbird, own: Mailbox, pushed: dict):
    """A star, a tag, a folder with a name that IMAP has to encode, and at last the waste-paper basket."""
    identifier, name = pushed["id"], f"Été {time.time():.0f}"
    thunderbird.do("mark", path="INBOX", id=identifier, keyword="$label1")
    eventually(lambda: all(flag in own.flags("INBOX", identifier)[0] for flag in ("\\Flagged", "$label1")),
               "a star and a tag are flags on the server")
    thunderbird.do("createFolder", name=name)
    encoded = name.replace("É", "&AMk-").replace("é", "&AOk-")
    thunderbird.do("move", path="INBOX", id=identifier, to=name)
    eventually(lambda: len(own.flags(f'"{encoded}"', identifier)) == 1 and not own.flags("INBOX", identifier),
               f"it is moved to a new folder, {name}")
    thunderbird.do("remove", path=name, id=identifier)
    eventually(lambda: len(own.flags("Trash", identifier)) == 1 and not own.flags(f'"{encoded}"', identifier),
               "what is deleted lies in Trash")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", type=Path, default=Path("sandbox"), help="directory of the running sandbox")
    parser.add_argument("--mailbox", help="Thunderbird's; the first operator's first if not given")
    parser.add_argument("--peer", help="the mailbox that it writes with; the second operator's first if not given")
    parser.add_argument("--starttls", action="store_true", help="the doors with STARTTLS instead of those within TLS")
    parser.add_argument("--pkcs12", type=Path, help="a client certificate that Thunderbird shows")
    parser.add_argument("--pkcs12-password", default="")
    parser.add_argument("--enrol", choices=WAYS, nargs="?", const="administrator",
                        help="the life of an enrolled workstation instead, by this way to its certificate")
    parser.add_argument("--auth", choices=AUTHENTICATION, default="password", help="IMAP: PLAIN with the password, or EXTERNAL")
    # Thunderbird's SMTP client has no EXTERNAL: with `certificate` it says no AUTH at all and goes on to MAIL.
    parser.add_argument("--sending-auth", choices=AUTHENTICATION, default="password", help="submission: PLAIN, or no AUTH")
    parser.add_argument("--thunderbird", default="thunderbird", help="the program")
    parser.add_argument("--caducee", default="target/release/caducee", help="the program, for `mailbox` and `device`")
    parser.add_argument("--keep", action="store_true", help="leave the profile, imap.moz_log and thunderbird.log (SMTP), and say where")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    missing = [program for program in (options.thunderbird, "certutil", "pk12util", "openssl", options.caducee) if not shutil.which(program)]
    if missing:
        print(f"skipped  not installed: {', '.join(missing)}")
        return 77
    # Whoever ends this ends Thunderbird with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, scratch = time.monotonic(), Path(tempfile.mkdtemp(prefix="caducee-thunderbird-"))
    try:
        sandbox = Sandbox(options.sandbox, options.caducee)
        own, peer = sandbox.mailbox(options.mailbox, 0), sandbox.mailbox(options.peer, 1)
        if options.pkcs12:
            own.show_certificate(options.pkcs12, options.pkcs12_password, scratch)
        with Thunderbird(scratch, options, sandbox.ca) as thunderbird:
            print(f"ok       Thunderbird {thunderbird.version} is up after {time.monotonic() - began:.1f} s", flush=True)
            try:
                (enrolled if options.enrol else morning)(thunderbird, options, own, peer, scratch)
            finally:
                for note in thunderbird.notes():
                    print(f"note     {' '.join(note.split())[:300]}", flush=True)
    except Exception as error:  # pylint: disable=broad-except
        print(f"FAILED   {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep:
            print(f"note     profile and logs are in {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"all well, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
