"""Mailboxes' lives from outside. `life.py SCENARIO DIR CADUCEE`: one scenario in the sandbox in DIR, which is its own."""
import datetime
import email
import email.policy
import glob
import imaplib
import json
import os
import re
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "identity"))
from web import Browser

DIR, CADUCEE = sys.argv[2], sys.argv[3]
ALL = json.load(open(os.path.join(DIR, "sandbox.json")))
OPERATOR = ALL["operators"][0]
CA = os.path.join(DIR, ALL["ca"])
DOMAIN = OPERATOR["domains"][0]
SITE = f"https://localhost:{OPERATOR['ports']['https']}"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
TERMS = "Article 1\n\nVous gardez vos <clés> pour vous.\n\nArticle 2\n\nRien d’autre.\n"


def ran(*arguments, socket=True, stdin=""):
    command = [CADUCEE, *arguments]
    if socket:
        command += ["--socket", os.path.join(DIR, OPERATOR["admin_socket"])]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def admin(*arguments, stdin=""):
    done = ran(*arguments, stdin=stdin)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def told(*arguments):
    return json.loads(admin(*arguments, "--json"))


def refused(*arguments):
    done = ran(*arguments)
    assert done.returncode != 0, (arguments, done.stdout)
    return done.stdout + done.stderr


def day(later):
    return str(TODAY + datetime.timedelta(days=later))


def holder():
    """A professional of the cast, and their own mailbox."""
    found = next(m for m in OPERATOR["mailboxes"] if m["kind"] == "PER" and not m["test"])
    return found["person"], found["address"]


def mailbox(local, national_id):
    address = f"{local}@{DOMAIN}"
    admin("mailbox", "create", address, "--kind", "PER", "--first-name", "Claude", "--last-name", "Fontanel",
          "--national-id", national_id, "--notification-address", f"{local}@courriel.example")
    return address


def imap(address, person):
    """Logs in with an access token of Pro Santé Connect."""
    token = ran("sandbox", "token", person, "--dir", DIR, socket=False)
    assert token.returncode == 0, token.stderr
    client = imaplib.IMAP4_SSL("localhost", OPERATOR["ports"]["imaps"], timeout=30,
                               ssl_context=ssl.create_default_context(cafile=CA))
    said = f"user={address}\x01auth=Bearer {token.stdout.strip()}\x01\x01".encode()
    # The second question is the error challenge, which wants an empty answer.
    answers = iter([said, b""])
    client.authenticate("XOAUTH2", lambda _: next(answers))
    return client


def imap_refused(address, person):
    try:
        imap(address, person)
    except imaplib.IMAP4.error as error:
        return str(error)
    raise AssertionError("it should have been refused")


def mailed(to, pattern):
    """A notice to an address that fits, once there is one."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        for path in glob.glob(os.path.join(DIR, "courriel", "*.eml")):
            message = email.message_from_binary_file(open(path, "rb"), policy=email.policy.default)
            text = re.sub(r"\s+", " ", message.get_body(("plain",)).get_content())
            if to in str(message["to"]) and re.search(pattern, text):
                return text
        time.sleep(0.1)
    raise AssertionError(f"no notice to {to} says {pattern}")


def expect(page, status, *words):
    assert page.status == status, (page.url, page.status, page.text)
    for word in words:
        assert word in page.text, f"no « {word} » on {page.url}:\n{page.text}"
    return page


def choose(who, address):
    token = who.page.form("/boites")["fields"]["jeton"]
    number = str(told("mailbox", "show", address)["id"])
    return who.go(SITE + "/boites", {"jeton": token, "boite": number})


def journal(address):
    return [line["step"] for line in told("lifecycle", "journal", "--mailbox", address)["lines"]]


def ahead(on, *verb):
    """A run of a day that has not come, which needs its plan's number of steps."""
    steps = told("lifecycle", "plan", "--as-of", on, "--days", "1")["steps"]
    if steps:
        assert "has not come" in refused("lifecycle", *verb, "--as-of", on)
    done = ran("lifecycle", *verb, "--as-of", on, "--confirm-steps", str(len(steps)))
    # What waits for somebody is no full success.
    is_partly = "wait for a confirmation" in done.stdout or "could not be changed" in done.stdout
    assert done.returncode == (5 if is_partly else 0), (verb, on, done.returncode, done.stdout, done.stderr)
    return done.stdout


# ---- scenarios ----


def a_mailbox_opens_once_its_holder_has_accepted_the_terms_at_the_page():
    text = os.path.join(DIR, "conditions.txt")
    open(text, "w").write(TERMS)
    assert "nobody is asked" in admin("terms", "list")
    admin("terms", "add", "2027-01", text)
    assert admin("terms", "show", "2027-01").rstrip("\n") == TERMS.rstrip("\n")
    assert "already" in refused("terms", "add", "2027-01", text)

    person, own = holder()
    address = mailbox("conditions", person)
    shown = told("mailbox", "show", address)
    assert (shown["state"], shown["stage"]) == ("suspended", "requested"), shown
    assert "terms of use" in imap_refused(address, person)

    assert address in admin("mailbox", "list", "--state", "requested")

    who = Browser(CA)
    who.go(SITE + "/")
    who.go("/psc")
    expect(who.send("/auth", person=person), 200, address, own)
    page = expect(choose(who, address), 200, "Conditions d’utilisation", "<clés>", "Article 2", "dès que vous les aurez")
    assert "Plus tard" not in page.text and page.scripts == 0
    # Nothing else opens before.
    expect(who.go(SITE + "/postes"), 200, "Conditions d’utilisation")
    expect(who.send("/conditions"), 422, "Conditions d’utilisation")
    assert told("mailbox", "show", address)["stage"] == "requested", "nobody ticked anything"
    expect(who.send("/conditions", accepte="oui"), 200, "sont acceptées", address)
    shown = told("mailbox", "show", address)
    assert (shown["stage"], shown["terms_version"], shown["terms_accepted_by"]) == ("open", "2027-01", person), shown
    assert journal(address) == ["requested", "terms-accepted", "opened"]
    imap(address, person).logout()

    # By password and mailed code as well: the way in leads by the terms.
    other, password = f"attente@{DOMAIN}", "Une phrase pour le portail"
    admin("mailbox", "create", other, "--kind", "PER", "--last-name", "Fontanel", "--national-id", "899799999999",
          "--notification-address", "attente@courriel.example", "--password-stdin", "--allow-password=false",
          stdin=f"{password}\n")
    guest = Browser(CA)
    guest.go(SITE + "/")
    expect(guest.send("/connexion", adresse=other, mot_de_passe=password), 200, "Code à usage unique")
    expect(guest.send("/code/courriel"), 200, "vient d’être envoyé")
    code = re.search(r"\b(\d[\d ]{4,9}\d)\b", mailed("attente@", r"\b\d[\d ]{4,9}\d\b")).group(1)
    expect(guest.send("/code", code=code), 200, "Conditions d’utilisation")
    expect(guest.send("/conditions", accepte="oui"), 200, "sont acceptées", other)

    # A mailbox that is open yet can put it off; the next time it is asked again.
    who.go(SITE + "/boites")
    expect(choose(who, own), 200, "Conditions d’utilisation", "sera suspendue", "Plus tard")
    expect(who.send("/conditions/plus-tard"), 200, "Postes et téléphones")
    who.go(SITE + "/boites")
    expect(choose(who, own), 200, "Plus tard")
    # Past its date it is suspended with all others that owe them, once the administrator has confirmed so many.
    admin("lifecycle", "run", "--apply")
    mailed("", r"conditions d'utilisation \(version 2027-01\)")
    assert "suspensions for terms wait" in ahead(day(62), "run", "--apply")
    assert told("mailbox", "show", own)["stage"] == "open"
    plan = told("lifecycle", "plan", "--as-of", day(62), "--days", "1")
    many = str(sum(step["step"] == "suspended-for-terms" for step in plan["steps"]))
    assert f"lifecycle confirm --suspensions {many}" in admin("lifecycle", "plan", "--as-of", day(62))
    assert "not 1" in refused("lifecycle", "confirm", "--suspensions", "1", "--as-of", day(62))
    ahead(day(62), "confirm", "--suspensions", many)
    assert told("mailbox", "show", own)["stage"] == "suspended"
    assert "terms of use" in imap_refused(own, person)
    # The operator opens it again: it is told anew, and goes on for a week.
    assert "2027-01 are still to be accepted" in admin("mailbox", "reopen", own)
    ahead(day(63), "run", "--apply")
    shown = told("mailbox", "show", own)
    assert (shown["stage"], shown["terms_owed"]) == ("open", "2027-01"), shown
    ahead(day(71), "run", "--apply")
    assert told("mailbox", "show", own)["stage"] == "suspended"
    assert "open" in admin("terms", "accept", own, "2027-01")
    imap(own, person).logout()


def years_of_silence_close_a_mailbox_and_forget_it():
    address = mailbox("silence", "899799999999")
    dry = admin("lifecycle", "run", "--as-of", day(304))
    assert address in dry and "closing-announced" in dry, dry
    assert told("mailbox", "show", address)["stage"] == "open", "a dry run does nothing"

    for verb in ["run", "--apply"], ["confirm", "9"]:
        assert "is over" in refused("lifecycle", *verb, "--as-of", day(-1))
    ahead(day(304), "run", "--apply")
    shown = told("mailbox", "show", address)
    assert (shown["stage"], shown["state"]) == ("closing", "open"), shown
    mailed("silence@courriel.example", r"elle sera fermée à partir du")
    ahead(day(366), "run", "--apply")
    on = told("mailbox", "show", address)["closing_on"]

    later = (datetime.date.fromisoformat(on) - TODAY).days
    assert 366 + 13 < later < 366 + 30, (on, later)
    plan = told("lifecycle", "plan", "--as-of", on, "--days", "1")
    closings = [step["mailbox"] for step in plan["steps"] if step["step"] == "closed"]
    assert address in closings, plan
    held = ahead(on, "run", "--apply")
    if len(closings) > plan["closings_without_confirmation"]:
        assert "wait for a confirmation" in held, held
        assert told("mailbox", "show", address)["stage"] == "closing"
        assert "not 0" in refused("lifecycle", "confirm", "0", "--as-of", on)
        ahead(on, "confirm", str(len(closings)))
    assert told("mailbox", "show", address)["stage"] == "closed"
    mailed("silence@courriel.example", r"est fermée. Ses messages sont effacés définitivement")
    again = refused("mailbox", "create", address, "--kind", "PER", "--last-name", "Autre", "--national-id", "899799999998")
    assert "never given again" in again, again

    on = day(later + 365)
    plan = told("lifecycle", "plan", "--as-of", on, "--days", "1")
    oblivions = [step["mailbox"] for step in plan["steps"] if step["step"] == "forgotten"]
    assert address in oblivions, plan
    held = ahead(on, "run", "--apply")
    if len(oblivions) > plan["closings_without_confirmation"]:
        assert "oblivions wait for a confirmation" in held, held
        assert told("mailbox", "show", address)["stage"] == "closed"
        ahead(on, "confirm", "--oblivions", str(len(oblivions)))
    shown = told("mailbox", "show", address)
    assert shown["stage"] == "forgotten" and not shown["holder"].get("last_name"), shown
    assert journal(address) == ["opened", "closing-announced", "closing-reminded", "closed", "forgotten"]


globals()[sys.argv[1]]()
