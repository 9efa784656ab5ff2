"""Tokens of Pro Santé Connect at the doors: who gets in, who does not and is told why, and each way in which Pro Santé Connect
fails. `tokens.py SCENARIO DIR CADUCEE`"""
import base64
import contextlib
import hashlib
import imaplib
import re
import smtplib
import ssl
import sys
import threading
import time

from doors import (CA, DOMAIN, DOORS, LEA, MECHANISMS, NOBODY, OPERATOR, PORTS, Gone, Imap, Smtp, alone, b64, configure, enters,
                   is_put_off, is_refused, knobs, let_in, message, of_kind, per, psc, token)

# The header of a token that nobody signed (RFC 7519 §6).
UNSIGNED = '{"alg":"none"}'
# What makes a failing Pro Santé Connect quick to notice and its return quick to be seen.
QUICK = {"timeout": "1s", "retries": 0, "deadline": "2s", "breaker_pause": "1s", "keys_pause": "1s", "cache_refused": "0s"}


# ---- in the sandbox that the tests share ----

def pythons_clients_log_in_at_every_door_in_every_form():
    (address, person), context = per(), ssl.create_default_context(cafile=CA)
    good = token(person)
    for mechanism in MECHANISMS:
        said = message(mechanism, address, good)
        for secure in (False, True):
            for initial in (False, True):
                if secure:
                    imap = imaplib.IMAP4_SSL("localhost", PORTS["imaps"], ssl_context=context, timeout=30)
                    smtp = smtplib.SMTP_SSL("localhost", PORTS["submissions"], context=context, timeout=30)
                else:
                    imap = imaplib.IMAP4("localhost", PORTS["imap"], timeout=30)
                    imap.starttls(context)
                    smtp = smtplib.SMTP("localhost", PORTS["submission"], timeout=30)
                    smtp.starttls(context=context)
                assert "SASL-IR" in imap.capabilities and f"AUTH={mechanism}" in imap.capabilities, imap.capabilities
                if initial:
                    # imaplib knows no initial response: the command with one is put together here.
                    imaplib.Commands["AUTHENTICATE"] = ("NONAUTH",)
                    assert imap._simple_command("AUTHENTICATE", mechanism, b64(said))[0] == "OK"
                    imap.state = "AUTH"
                else:
                    assert imap.authenticate(mechanism, lambda challenge: said.encode())[0] == "OK"
                assert imap.select("INBOX")[0] == "OK" and imap.logout()[0] == "BYE"
                smtp.ehlo()
                assert mechanism in smtp.esmtp_features["auth"].split(), smtp.esmtp_features
                assert smtp.auth(mechanism, lambda challenge=None: said, initial_response_ok=initial)[0] == 235
                assert smtp.noop()[0] == 250
                smtp.quit()


def a_person_opens_what_they_hold_and_what_lets_them_in():
    (address, person), (_, colleague) = per(0), per(1)
    shared = [of_kind(kind)["address"] for kind in ("ORG", "CAB")]
    opened = [(person, address), (person, address.upper()), (colleague, "")]
    opened += [(who, mailbox) for mailbox in shared for who in (LEA, person, colleague)]
    for who, user in opened:
        given = token(who)
        for mechanism, door in zip(MECHANISMS, DOORS):
            enters(door, mechanism, user, given).close()


def whom_a_mailbox_does_not_let_in_is_told_why_and_may_go_on():
    (address, person), (others, _) = per(0), per(1)
    special = OPERATOR["special_mailboxes"]
    not_theirs = "its access list does not let you in"
    cases = [
        (person, others, not_theirs),
        (person, f"personne.du.tout@{DOMAIN}", not_theirs),
        (person, "no address at all", not_theirs),
        (person, of_kind("APP")["address"], not_theirs),
        # Holds a practice's mailbox beside their own.
        (person, "", "several mailboxes are open to you"),
        (LEA, address, not_theirs),
        (LEA, "", not_theirs),
        (NOBODY, "", not_theirs),
        (NOBODY, of_kind("ORG")["address"], not_theirs),
        (special["suspended"]["person"], special["suspended"]["address"], "the mailbox is suspended"),
        (special["closed"]["person"], special["closed"]["address"], ("the mailbox is closed", not_theirs)),
    ]
    rightful, said = token(person), {}
    for who, user, words in cases:
        given = token(who)
        for door in DOORS:
            for mechanism in MECHANISMS:
                for initial in (True, False):
                    client = door()
                    said[door, user] = is_refused(client, mechanism, user, given, initial=initial)
                    words = (words,) if isinstance(words, str) else words
                    assert any(each in said[door, user] for each in words), client.transcript()
                    assert let_in(client.login(mechanism, address, rightful)), client.transcript()
                    client.close()
    for door in DOORS:
        assert said[door, others] == said[door, f"personne.du.tout@{DOMAIN}"], "the words tell who has a mailbox"


def a_restricted_user_opens_by_token_and_stays_within_the_operator():
    restricted = OPERATOR["special_mailboxes"]["restricted"]
    given = token(restricted["person"])
    enters(Imap, "XOAUTH2", restricted["address"], given).close()
    client = enters(Smtp, "XOAUTH2", restricted["address"], given)
    elsewhere = "helene.castagnet@nouvelle-aquitaine.mssante.example"
    assert client.mail(restricted["address"], elsewhere, "au dehors").startswith("550 5.7.1"), client.transcript()
    assert client.mail(restricted["address"], per()[0], "au dedans").startswith("250"), client.transcript()


def too_many_refusals_end_a_connection_aloud():
    (address, _), bad = per(), "pas-un-jeton"
    for door, farewell in ((Imap, "* BYE Too many failed logins"), (Smtp, "421 ")):
        client = door()
        for _ in range(4):
            is_refused(client, "XOAUTH2", address, bad)
        with contextlib.suppress(Gone):
            client.login("XOAUTH2", address, bad)
            client.rest()
        assert any(f"S: {farewell}" in line for line in client.said), client.transcript()


def what_is_no_sasl_message_is_a_mistake_and_no_refusal():
    good = token(per()[1])
    for broken in ("user=a", b64("user=a\x01auth=Bearer x"), b64(f"user=a\x01auth=Basic {good}\x01\x01"), "=", "*"):
        for mechanism in MECHANISMS:
            client = Imap()
            said = client.authenticate(mechanism, broken, initial=broken != "*")
            assert said.startswith("BAD") and client.challenge is None, client.transcript()
            client.still_there()
            client = Smtp()
            said = client.authenticate(mechanism, broken, initial=broken != "*")
            assert re.match(r"501 5\.[57]\.\d ", said) and client.challenge is None, client.transcript()
            client.still_there()
            client.close()


def a_login_on_a_phone_opens_the_mailbox():
    (address, person), client = per(), "logiciel-exemple:secret-du-bac-a-sable"
    status, asked = psc("ext/ciba/auth", client=client, form={
        "scope": "openid scope_all", "login_hint": person, "binding_message": "42", "channel": "CARD",
        "acr_values": "eidas1"})
    assert status == 200, asked
    poll = {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": asked["auth_req_id"]}
    answers = []
    while not answers or answers[-1].get("error") == "authorization_pending":
        answers.append(psc("token", client=client, form=poll)[1])
        assert len(answers) < 60, answers
        time.sleep(asked["interval"])
    assert len(answers) > 1, "the phone lay on the table for a while"
    for door in DOORS:
        enters(door, "XOAUTH2", address, answers[-1]["access_token"]).close()
    status, renewed = psc("token", client=client, form={
        "grant_type": "refresh_token", "refresh_token": answers[-1]["refresh_token"]})
    assert status == 200, renewed
    enters(Imap, "OAUTHBEARER", address, renewed["access_token"]).close()
    for wrong in ("id_token", "refresh_token"):
        is_refused(Imap(), "XOAUTH2", address, renewed[wrong])


# ---- in a sandbox whose Pro Santé Connect is made to fail ----

@alone
def while_it_is_away_in_any_way_logins_are_put_off_and_its_return_is_seen():
    address, person = per()
    faults = [{"status": 500}, {"status": 503}, {"garbage": True}, {"drop": True}, {"delay_ms": 4000}]
    for fault in faults:
        configure(psc=QUICK)
        given = token(person)
        # An answer first, so that the addresses of its endpoints are known.
        enters(Imap, "XOAUTH2", address, token(person)).close()
        clients = [door() for door in DOORS]
        knobs(**fault, only=["introspect"])
        for client in clients:
            for mechanism in MECHANISMS:
                is_put_off(client, mechanism, address, given)
        knobs()
        back_again(clients, address, given)


def back_again(clients, address, given):
    """Each connection is let in as soon as Pro Santé Connect is there again, with the token that was put off."""
    for client in clients:
        end = time.monotonic() + 20
        while not let_in(said := client.login("XOAUTH2", address, given)):
            assert time.monotonic() < end and re.match(client.AWAY, said), client.transcript()
            time.sleep(0.2)
        client.still_there()
        client.close()


@alone
def after_a_reload_it_may_be_away_from_the_first_question_on():
    address, person = per()
    given = token(person)
    for fault in ({"status": 500}, {"garbage": True}, {"drop": True}, {"delay_ms": 4000}):
        configure(psc=QUICK)
        clients = [door() for door in DOORS]
        knobs(**fault, only=["wallet-openid-configuration"])
        for client in clients:
            is_put_off(client, "XOAUTH2", address, given)
        knobs()
        back_again(clients, address, given)


@alone
def each_bad_token_is_refused_for_its_own_reason():
    address, person = per()
    configure(psc=QUICK)
    good = token(person)
    for turned, words in [
        ({"expired": True}, ("Pro Sante Connect has ended this session", "has expired")),
        ({"acr": "eidas0"}, ("not by health card or e-CPS",)),
        ({"bound_to": "A" * 43}, ("bound to a certificate that this connection did not show",)),
        ({"inactive": True}, ("Pro Sante Connect has ended this session",)),
    ]:
        knobs(**turned)
        bad = token(person)
        for door in DOORS:
            client = door()
            said = is_refused(client, "XOAUTH2", address, bad)
            assert any(each in said for each in words), client.transcript()
            knobs()
            assert let_in(client.login("XOAUTH2", address, good)), client.transcript()
            knobs(**turned)
            client.close()
    knobs()


@alone
def the_national_id_comes_from_userinfo_where_the_token_has_none():
    address, person = per()
    configure(psc=QUICK)
    knobs(no_national_id=True)
    first, second = token(person), token(person)
    for door in DOORS:
        enters(door, "XOAUTH2", address, first).close()
    is_refused(Imap(), "XOAUTH2", per(1)[0], first, "its access list does not let you in")
    knobs(no_national_id=True, status=500, only=["userinfo"])
    client = Smtp()
    is_put_off(client, "XOAUTH2", address, second)
    knobs()
    back_again([client], address, second)


@alone
def a_token_that_is_bound_to_a_certificate_comes_with_it():
    address, person = per()
    configure(psc=QUICK)
    application = of_kind("APP")
    cert = [f"{sys.argv[2]}/{application[key]}" for key in ("cert", "key")]
    leaf = open(cert[0]).read().split("-----END CERTIFICATE-----")[0].split("-----BEGIN CERTIFICATE-----")[1]
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(base64.b64decode(leaf)).digest()).decode().rstrip("=")
    for validation in ("introspection", "jwt"):
        configure(psc={**QUICK, "validation": validation})
        knobs(bound_to=thumbprint)
        bound = token(person)
        knobs()
        for door in DOORS:
            enters(door, "OAUTHBEARER", address, bound, cert=cert).close()
            is_refused(door(), "OAUTHBEARER", address, bound, "bound to a certificate")


@alone
def by_signature_tokens_are_judged_without_asking():
    address, person = per()
    configure(psc={**QUICK, "validation": "jwt"})
    knobs(status=500, only=["introspect"])
    for door in DOORS:
        enters(door, "XOAUTH2", address, token(person)).close()
    good = token(person)
    header, claims, signature = good.split(".")
    forged = ".".join((header, claims, signature[:-8] + ("A" * 8 if signature[-8:] != "A" * 8 else "B" * 8)))
    unsigned = f"{b64(UNSIGNED).rstrip('=')}.{claims}."
    for bad in (forged, unsigned):
        is_refused(Imap(), "XOAUTH2", address, bad)
    is_refused(Imap(), "XOAUTH2", address, forged, "signature does not hold")
    for turned, words in [
        ({"wrong_signature": True}, "signature does not hold"),
        ({"expired": True}, "has expired"),
        ({"acr": "eidas0"}, "not by health card or e-CPS"),
    ]:
        knobs(**turned)
        bad = token(person)
        for door in DOORS:
            client = door()
            is_refused(client, "XOAUTH2", address, bad, words)
            assert let_in(client.login("XOAUTH2", address, good)), client.transcript()
            client.close()
    knobs(inactive=True)
    enters(Imap, "XOAUTH2", address, token(person)).close()
    configure(psc={**QUICK, "validation": "both"})
    is_refused(Imap(), "XOAUTH2", address, token(person), "Pro Sante Connect has ended this session")
    knobs(wrong_signature=True)
    is_refused(Imap(), "XOAUTH2", address, token(person), "signature does not hold")
    knobs()
    enters(Smtp, "XOAUTH2", address, token(person)).close()


@alone
def new_keys_are_found_and_those_before_are_good_for_their_time():
    address, person = per()
    configure(psc={**QUICK, "validation": "jwt"})
    before = token(person)
    enters(Imap, "XOAUTH2", address, token(person)).close()
    for _ in range(2):
        assert psc("/_sandbox/rotate", form={})[0] == 200
        # Not more often than keys_pause, which is a second here.
        time.sleep(1.1)
        after = token(person)
        for door in DOORS:
            enters(door, "XOAUTH2", address, before).close()
            enters(door, "XOAUTH2", address, after).close()
        before = after
    assert psc("/_sandbox/rotate", form={})[0] == 200
    time.sleep(1.1)
    newest = token(person)
    knobs(status=500, only=["certs"])
    client = Smtp()
    is_put_off(client, "XOAUTH2", address, newest)
    knobs()
    back_again([client], address, newest)


@alone
def a_session_outlives_its_token():
    address, person = per()
    for validation in ("introspection", "jwt"):
        configure(psc={**QUICK, "validation": validation, "clock_skew": "0s"})
        knobs(access_seconds=2)
        short = token(person)
        knobs()
        imap, smtp = (enters(door, "XOAUTH2", address, short) for door in DOORS)
        imap.expect("SELECT INBOX", "OK")
        imap.idle()
        time.sleep(3.2)
        is_refused(Imap(), "XOAUTH2", address, short)
        imap.done()
        imap.expect("STATUS INBOX (MESSAGES)", "OK")
        assert smtp.mail(address, address, "apres le jeton").startswith("250"), smtp.transcript()


@alone
def who_waits_for_pro_sante_connect_holds_up_nobody():
    """500 logins at once with a Pro Santé Connect that takes 2 s."""
    many, commands = 500, []
    address, person = per()
    # Logins of one mailbox from one address are bounded; that is not what this is about.
    configure(imap={"max_connections_per_account": 1000}, submission={"max_connections_per_account": 1000,
                                                                      "max_connections_per_address": 1000})
    session = enters(Imap, "XOAUTH2", address, token(person))
    session.expect("SELECT INBOX", "OK")

    def noop():
        begun = time.monotonic()
        session.expect("NOOP", "OK")
        return time.monotonic() - begun

    clients = [DOORS[n % 2](secure=True) for n in range(many)]
    # Each a token of its own to the server, which asks about it; the look-alike looks at what is signed alone.
    signed, signature = token(person).rsplit(".", 1)
    given = [f"{signed}.{signature[:-4]}{n:04}" for n in range(many)]
    before = sorted(noop() for _ in range(200))
    knobs(delay_ms=2000, only=["introspect"])
    for client, each in zip(clients, given):
        answer = b64(message("XOAUTH2", address, each))
        client.send(f"a AUTHENTICATE XOAUTH2 {answer}" if isinstance(client, Imap) else f"AUTH XOAUTH2 {answer}")
    waiting, answers = threading.Event(), []

    def collect():
        for client in clients:
            answers.append(client.result("a") if isinstance(client, Imap) else client.answer())
        waiting.set()

    collecting = threading.Thread(target=collect)
    collecting.start()
    while not waiting.is_set():
        commands.append(noop())
        time.sleep(0.01)
    collecting.join()
    knobs()
    assert all(let_in(answer) for answer in answers) and len(answers) == many, [a for a in answers if not let_in(a)][:3]
    during, usual = sorted(commands)[len(commands) // 2], before[len(before) // 2]
    told = f"{len(commands)} commands, median {during * 1000:.1f} ms; {usual * 1000:.1f} ms before"
    print(told)
    # 500 in line, 100 at once, 2 s each: ten seconds, in which the other session goes on as ever.
    assert len(commands) > 100, told
    assert during < max(20 * usual, 0.25), told


if __name__ == "__main__":
    globals()[sys.argv[1]]()
