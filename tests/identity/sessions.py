"""Who is in: the list, the ways in which a session ends from outside, its limits, and people who share a mailbox.
`sessions.py SCENARIO DIR CADUCEE`"""
import os
import re
import sys
import time

from doors import (DIR, DOORS, LEA, Gone, Imap, Smtp, admin, alone, b64, configure, enters, is_refused, let_in, of_kind,
                   own_mailbox, per, sessions, token, until)

SOON = 1.0  # within a second


def plain(user, password, as_whom=""):
    return b64(f"{as_whom}\0{user}\0{password}")


def application():
    """An application's address, certificate and key."""
    found = of_kind("APP")
    return found["address"], [os.path.join(DIR, found[key]) for key in ("cert", "key")]


# ---- in the sandbox that the tests share ----

def the_list_shows_person_mailbox_means_and_door():
    address, person = per(1)
    shared = own_mailbox("liste.equipe", "ORG")
    admin("mailbox", "grant", shared, LEA, "--rights", "read")
    software, cert = application()
    alone = own_mailbox("liste.essai", "PER", "--national-id", "899700009101", "--password-stdin", "--allow-password=true",
                        stdin="un mot de passe pour la liste\n")
    clients = [enters(Imap, "XOAUTH2", shared, token(LEA)), enters(Smtp, "OAUTHBEARER", address, token(person))]
    by_certificate = Imap(cert=cert)
    assert let_in(by_certificate.authenticate("EXTERNAL", b64(software))), by_certificate.transcript()
    by_password = Smtp()
    assert let_in(by_password.authenticate("PLAIN", plain(alone, "un mot de passe pour la liste"))), by_password.transcript()
    clients += [by_certificate, by_password]
    every = ["read", "write", "send", "manage"]
    expected = {
        shared: (LEA, ["read"], "pro-sante-connect", "imap"),
        address: (person, every, "pro-sante-connect", "submission"),
        software: (None, every, "certificate", "imap"),
        alone: ("899700009101", every, "password", "submission"),
    }
    shown = {}
    for row in sessions():
        shown.setdefault(row["mailbox"], []).append((row.get("person"), row["rights"], row["means"], row["door"]))
        assert re.fullmatch(r"127\.[\d.]+", row["peer"]) and row["began_at"] <= row["last_command_at"], row
    for mailbox, row in expected.items():
        assert row in shown.get(mailbox, []), (mailbox, row, shown)
    assert [row["mailbox"] for row in sessions("--mailbox", shared)] == [shared]
    assert shared in [row["mailbox"] for row in sessions("--person", LEA)]
    table = admin("session", "list", "--mailbox", shared)
    assert all(word in table for word in (LEA, shared, "pro-sante-connect", "imap")), table
    for client in clients:
        client.close()
    until(lambda: not sessions("--mailbox", shared), "who has left is still on the list")


def ended_by(what, farewell, shared, *, by=LEA):
    """Two sessions in a shared mailbox, one of them in IDLE; `what` ends both, with the reason, within a second."""
    reading, writing = enters(Imap, "XOAUTH2", shared, token(by)), enters(Smtp, "XOAUTH2", shared, token(by))
    reading.expect("SELECT INBOX", "OK")
    reading.idle()
    own = enters(Imap, "XOAUTH2", *[(per()[0]), token(per()[1])])
    until(lambda: len(sessions("--mailbox", shared)) == 2, "both are on the list")
    what()
    done = time.monotonic()
    last = reading.rest()[-1:], writing.rest()[-1:]
    took = time.monotonic() - done
    assert last[0] and last[0][0].startswith(f"* BYE {farewell}"), reading.transcript()
    assert last[1] and last[1][0].startswith("421 4.3.2 ") and farewell in last[1][0], writing.transcript()
    assert took < SOON, f"{took} s"
    own.still_there()
    until(lambda: not sessions("--mailbox", shared), "who was told goodbye is still on the list", SOON)
    for client in (reading, writing, own):
        client.close()


def whatever_ends_a_session_says_so_within_a_second_in_idle_too():
    shared = own_mailbox("fin.equipe", "ORG")
    access_changed = "Your access to this mailbox was changed"
    admin("mailbox", "grant", shared, LEA, "--rights", "read,write,send")

    def one_by_one():
        for row in sessions("--mailbox", shared):
            admin("session", "end", str(row["id"]))

    by_operator = "The session was ended by the operator"
    ended_by(one_by_one, by_operator, shared)
    ended_by(lambda: admin("session", "end", "--mailbox", shared), by_operator, shared)
    ended_by(lambda: admin("mailbox", "suspend", shared), "The mailbox is suspended", shared)
    is_refused(Imap(), "XOAUTH2", shared, token(LEA), "the mailbox is suspended")
    admin("mailbox", "reopen", shared)
    ended_by(lambda: admin("mailbox", "grant", shared, LEA, "--rights", "read"), access_changed, shared)
    reads = enters(Imap, "XOAUTH2", shared, token(LEA))
    reads.close()
    admin("mailbox", "grant", shared, LEA, "--rights", "read,write,send")
    ended_by(lambda: admin("mailbox", "ungrant", shared, LEA), access_changed, shared)
    is_refused(Imap(), "XOAUTH2", shared, token(LEA), "its access list does not let you in")
    admin("mailbox", "grant", shared, LEA, "--rights", "read,write,send")
    ended_by(lambda: admin("mailbox", "close", shared, "--yes"), "The mailbox is closed", shared)


def a_colleagues_mailbox_on_the_list_opens_as_long_as_it_is_theirs():
    """An access list may name a mailbox in place of a person: whoever holds that mailbox gets in."""
    address, person = per(1)
    shared = own_mailbox("fin.annuaire", "CAB", "--national-id", "899700009102", "--last-name", "Cabinet")
    admin("mailbox", "grant", shared, address, "--rights", "read,write,send")
    ended_by(lambda: admin("mailbox", "ungrant", shared, address), "Your access to this mailbox was changed", shared, by=person)


def two_people_in_one_mailbox_see_each_others_marks_at_once():
    shared = own_mailbox("ensemble.equipe", "ORG")
    (_, colleague), people = per(0), {}
    for who in (LEA, colleague):
        admin("mailbox", "grant", shared, who, "--rights", "read,write,send")
        people[who] = enters(Imap, "XOAUTH2", shared, token(who))
        people[who].expect("SELECT INBOX", "OK")
    lea, other = people.values()
    marks_are_seen(lea, other)
    text = "From: a@a.example\r\nSubject: second\r\n\r\ntext\r\n"
    lea.idle()
    other.send(f"x APPEND INBOX {{{len(text)}+}}")
    other.send(text.rstrip("\r\n") + "\r\n")
    assert lea.line() == "* 2 EXISTS", lea.transcript()


def who_looks_in_from_their_own_mailbox_sees_the_same_marks():
    shared, (address, colleague) = own_mailbox("ensemble.accueil", "ORG"), per(1)
    for who in (LEA, colleague):
        admin("mailbox", "grant", shared, who, "--rights", "read,write")
    there, own = enters(Imap, "XOAUTH2", shared, token(LEA)), enters(Imap, "OAUTHBEARER", address, token(colleague))
    there.expect("SELECT INBOX", "OK")
    assert "Shared/" in own.expect("NAMESPACE", "OK")[0], own.transcript()
    inbox = f"Shared/{shared}/INBOX"
    assert any(inbox in line for line in own.expect('LIST "" "Shared/*"', "OK")), own.transcript()
    own.expect(f"SELECT {inbox}", "OK")
    marks_are_seen(there, own)
    assert [(row["mailbox"], row["person"]) for row in sessions("--mailbox", shared)] == [(shared, LEA)]
    own.idle()
    admin("mailbox", "ungrant", shared, colleague)
    begun = time.monotonic()
    assert own.rest()[-1].startswith("* BYE "), own.transcript()
    assert time.monotonic() - begun < SOON, own.transcript()
    there.still_there()
    own = enters(Imap, "OAUTHBEARER", address, token(colleague))
    assert not any(shared in line for line in own.expect('LIST "" "*"', "OK")), own.transcript()
    assert own.command(f"SELECT {inbox}").startswith("NO [NONEXISTENT]"), own.transcript()


def marks_are_seen(lea, other):
    """Two connections with one folder selected: each is in IDLE while the other marks a message, and then removes it."""
    text = "From: a@a.example\r\nSubject: first\r\n\r\ntext"
    lea.number += 1
    lea.send(f"a{lea.number} APPEND INBOX {{{len(text) + 2}+}}")
    lea.send(text + "\r\n")
    assert lea.result(f"a{lea.number}").startswith("OK"), lea.transcript()
    other.expect("NOOP", "OK")
    lea.expect("NOOP", "OK")
    for idling, marking, mark in ((lea, other, r"\Flagged"), (other, lea, r"\Answered"), (lea, other, "$Traite")):
        idling.idle()
        begun = time.monotonic()
        marking.expect(f"STORE 1 +FLAGS ({mark})", "OK")
        while not re.search(r"^\* 1 FETCH", line := idling.line()):
            # The folder's list of keywords has grown.
            assert line.startswith("* FLAGS ") or "PERMANENTFLAGS" in line, idling.transcript()
        assert re.match(r"\* 1 FETCH \(", line) and mark in line, idling.transcript()
        assert time.monotonic() - begun < SOON, idling.transcript()
        idling.done()


# ---- in a sandbox of their own ----

# Not beside the others: it ends what they are doing as the same person.
@alone
def ending_a_persons_sessions_ends_them_in_every_mailbox():
    shared = own_mailbox("fin.personne", "ORG")
    admin("mailbox", "grant", shared, LEA, "--rights", "read,write,send")
    ended_by(lambda: admin("session", "end", "--person", LEA), "The session was ended by the operator", shared)


@alone
def a_session_that_has_lasted_long_enough_or_says_nothing_is_told_why():
    address, person = per()
    configure(imap={"idle_timeout": "1s", "session_timeout": "3s", "max_idle": "10s"},
              submission={"command_timeout": "1s", "session_timeout": "3s"})
    begun = time.monotonic()
    reading, writing = (enters(door, "XOAUTH2", address, token(person)) for door in DOORS)
    assert reading.rest()[-1].startswith("* BYE Autologout"), reading.transcript()
    assert writing.rest()[-1].startswith("421 4.4.2 "), writing.transcript()
    assert time.monotonic() - begun < 2.9, "silence is short here, a session's life is not over"
    idling, busy, writing = (enters(door, "XOAUTH2", address, token(person)) for door in (Imap, Imap, Smtp))
    begun = time.monotonic()
    idling.idle()
    while time.monotonic() - begun < 2.0:
        busy.still_there()
        writing.still_there()
        time.sleep(0.3)
    assert idling.rest()[-1].startswith("* BYE The session has lasted long enough"), idling.transcript()
    assert 2.0 < time.monotonic() - begun < 5.0, "IDLE is no silence, and has the session's end"
    assert busy.rest()[-1].startswith("* BYE"), busy.transcript()
    assert writing.rest()[-1].startswith("421 4."), writing.transcript()


@alone
def the_end_of_a_sessions_life_comes_to_who_goes_on_talking_too():
    address, person = per()
    configure(imap={"idle_timeout": "3s", "session_timeout": "3s"},
              submission={"command_timeout": "3s", "session_timeout": "3s"})
    for door, farewell in ((Imap, "* BYE The session has lasted long enough"), (Smtp, "421 4.")):
        client = enters(door, "XOAUTH2", address, token(person))
        end, command = time.monotonic() + 10, "NOOP" if door is Imap else f"MAIL FROM:<{address}>"
        try:
            while time.monotonic() < end and not client.said[-1].startswith(f"S: {farewell}"):
                client.command(command)
                if door is Smtp and client.said[-1].startswith("S: 250"):
                    client.expect("RSET", "250")
                time.sleep(0.2)
        except Gone:
            pass
        assert any(line.startswith(f"S: {farewell}") for line in client.said), client.transcript()
        assert client.rest() == [], "and it is closed"


if __name__ == "__main__":
    globals()[sys.argv[1]]()
