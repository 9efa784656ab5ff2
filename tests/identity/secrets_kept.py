"""Every kind of login, good and bad, at a sandbox that logs all it can; then everything that was written is searched for each
secret that went through, in every form in which it may stand there. `secrets_kept.py SCENARIO DIR CADUCEE`"""
import base64
import glob
import json
import os
import re
import sys
import time
import urllib.parse
import urllib.request

import portal
from doors import (DIR, DOMAIN, DOORS, MECHANISMS, OPERATOR, PORTS, Imap, Lines, Smtp, admin, b64, enters, knobs,
                   let_in, message, of_kind, own_mailbox, per, psc, token, tokens)
from portal import SITE, browser, expect

MARK = "Logiciel-de-repere"

# Secret by name: text, bytes, or digits of a one-time code.
SECRETS = {}


def secret(name, value):
    """Notes a secret; gives it back."""
    assert len(value) >= 6, (name, value)
    assert SECRETS.setdefault(name, value) == value, name
    return value


# ---- what goes through ----

def by_token():
    (address, person), (others, stranger) = per(0), per(1)
    given = tokens(person)
    good = secret("access token", given["access_token"])
    for kind in ("refresh_token", "id_token"):
        secret(kind, given[kind])
    theirs = secret("another's token", token(stranger))
    knobs(expired=True)
    expired = secret("expired token", token(person))
    knobs(wrong_signature=True, no_national_id=True)
    anonymous = secret("token without a national id", token(person))
    knobs()
    nonsense = secret("no token at all", "jeton-qui-n-en-est-pas-un.0123456789abcdef")
    for door in DOORS:
        for mechanism in MECHANISMS:
            for initial in (True, False):
                client = door()
                said_of_itself(client)
                for each in (theirs, expired, nonsense, given["refresh_token"]):
                    assert not let_in(client.login(mechanism, address, each, initial)), client.transcript()
                assert let_in(client.login(mechanism, address, good, initial)), client.transcript()
                client.close()
        enters(door, "XOAUTH2", address, anonymous).close()
    for number, fault in enumerate(({"status": 500}, {"garbage": True}, {"drop": True}, {"status": 401})):
        fresh = secret(f"token while it is away {number}", token(person))
        knobs(**fault)
        for door in DOORS:
            client = door()
            assert not let_in(client.login("XOAUTH2", address, fresh)), client.transcript()
            client.close()
        knobs()
    by_phone(person)
    return good


def by_phone(person):
    client = "logiciel-exemple:secret-du-bac-a-sable"
    _, asked = psc("ext/ciba/auth", client=client, form={
        "scope": "openid scope_all", "login_hint": person, "binding_message": "17", "channel": "MOBILE"})
    secret("CIBA request", asked["auth_req_id"])
    psc("token", client=client, form={"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": asked["auth_req_id"]})


def said_of_itself(client):
    if isinstance(client, Imap):
        client.expect(f'ID ("name" "{MARK}" "version" "1")', "OK")


def misplaced(token):
    """Secrets where no secret belongs: before TLS, as commands, in lines that break off, are too long, or no SASL."""
    address, password = per()[0], secret("misplaced password", "phrase égarée n° 7!")
    broken = secret("broken token", token[:-40] + "bris" * 10)
    for port, hello in ((PORTS["imap"], None), (PORTS["submission"], "EHLO client.example")):
        for line in (f'a LOGIN {address} "{password}"', f"a AUTHENTICATE XOAUTH2 {b64(message('XOAUTH2', address, broken))}",
                     f"AUTH XOAUTH2 {b64(message('XOAUTH2', address, broken))}", f"AUTH PLAIN {plain(address, password)}",
                     password, broken, f"a {password}", f"a {broken} x"):
            client = Lines(port, tls=False)
            client.line()
            for each in filter(None, (hello, line, "a NOOP")):
                client.send(each)
            client.close()
    for door in DOORS:
        verb = "a AUTHENTICATE" if door is Imap else "AUTH"
        for line in (password, f"PASS {password}", f"a {password}", f"a LOGIN {address}", f'a LOGIN {address} "{password}" x',
                     f"a LOGIN {password}", f"Bearer {broken}", f"a SELECT {broken}", f"VRFY {broken}", f"EHLO {broken}",
                     f"MAIL FROM:<{address}> AUTH={broken}", f"{verb} XOAUTH2 {broken}", f"{verb} {broken}",
                     f"{verb} PLAIN {b64(password)}", f"{verb} XOAUTH2 {b64(f'user={address} auth=Bearer {broken}')}",
                     f"{verb} XOAUTH2 {b64(message('XOAUTH2', address, broken * 30))}", f"{verb} PLAIN {b64(password * 9000)}"):
            client = door()
            client.send(line)
            client.send("a NOOP")
            client.line()
            client.close()
        # The connection is lost in the middle of the line.
        client = door()
        client.socket.sendall(f"{verb} XOAUTH2 {b64(message('XOAUTH2', address, broken))}".encode())
        client.close()
    site = browser()
    for path in (f"/postes?token={broken}", f"/psc/retour?code={broken}&state={broken}", f"/{broken}"):
        site.ask(SITE + path, headers={"Authorization": f"Bearer {broken}", "Cookie": f"__Host-caducee={broken}"}, cookies=False)


def plain(user, password, as_whom=""):
    return b64(f"{as_whom}\0{user}\0{password}")


def by_password():
    password = secret("password", "Un sésame bien à nous, 100 % d'août")
    wrong = secret("wrong password", "Un sésame d'ailleurs & d'hier")
    address = own_mailbox("secret.essai", "PER", "--national-id", "899700009201", "--password-stdin", "--allow-password=true",
                          stdin=f"{password}\n")
    unknown = f"personne.ici@{DOMAIN}"
    for right in (False, True):
        each = password if right else wrong
        size = len(each.encode())
        for user in (address,) if right else (address, unknown):
            imap = Imap()
            assert let_in(imap.authenticate("PLAIN", plain(user, each), initial=right)) == right, imap.transcript()
            imap = Imap()
            imap.send(f"l LOGIN {{{len(user)}+}}")
            imap.send(f"{user} {{{size}+}}")
            imap.send(each)
            assert let_in(imap.result("l")) == right, imap.transcript()
            smtp = Smtp()
            assert let_in(smtp.authenticate("PLAIN", plain(user, each), initial=not right)) == right, smtp.transcript()
            smtp = Smtp()
            smtp.expect("AUTH LOGIN", "334")
            smtp.expect(b64(user), "334")
            assert let_in(smtp.command(b64(each))) == right, smtp.transcript()
    imap = Imap()
    assert not let_in(imap.authenticate("PLAIN", plain(address, password, as_whom=per()[0]))), imap.transcript()
    again = secret("next password", "Encore une autre phrase, longue")
    admin("mailbox", "password", address, "--password-stdin", stdin=f"{again}\n")
    made = json.loads(admin("mailbox", "password", address, "--generate-password", "--json"))
    secret("generated password", made["password"])


def by_certificate():
    application = of_kind("APP")
    cert = [os.path.join(DIR, application[key]) for key in ("cert", "key")]
    key("key of an application", cert[1])
    for door in DOORS:
        for named, right in ((application["address"], True), ("", True), (per()[0], False)):
            client = door(cert=cert)
            assert let_in(client.authenticate("EXTERNAL", b64(named))) == right, client.transcript()


def at_the_portal():
    password = secret("password at the portal", portal.PASSWORD)
    address, who = portal.mailbox("secret.portail", "899700009202"), browser()
    expect(portal.password_step(browser(), address, secret("wrong one at the portal", "Tout sauf la bonne phrase")), 403)
    expect(portal.password_step(who, address), 200)
    expect(who.send("/code/courriel"), 200)
    code = portal.mailed("secret.portail", r"\b(\d[\d ]{4,9}\d)\b").group(1)
    expect(who.send("/code", code=secret("wrong code", "918273" if "918273" not in code else "827364")), 403)
    expect(who.send("/code", code=secret("mailed code", code)), 200, "Postes et téléphones")
    cookies(who, "with a mailed code")

    pem, file_password = portal.enrol(who, "PC du secrétariat")
    secret("password of the PKCS#12", file_password)
    key("key of a workstation", pem)
    portal.imap(address, password, pem).logout()
    portal.refused(lambda: portal.imap(address, "Tout sauf la bonne phrase", pem))
    client = Smtp(cert=(pem,))
    assert let_in(client.authenticate("PLAIN", plain(address, password))), client.transcript()

    who.go(SITE + "/codes")
    who.send("/codes/application")
    shared_key = secret("key of the application for codes", who.page.by_id["cle"].strip())
    secret("the same without spaces", shared_key.replace(" ", ""))
    secret("the same in bytes", base64.b32decode(shared_key.replace(" ", "") + "=" * (-len(shared_key.replace(" ", "")) % 8)))
    code = secret("code of the application", portal.totp(shared_key))
    expect(who.send("/codes/application/confirmation", code=code), 200)
    recovery = re.findall(r"[a-z0-9]{6}-[a-z0-9]{6}-[a-z0-9]{6}", who.page.by_id["codes"])
    for number, each in enumerate(recovery):
        secret(f"recovery code {number}", each)
        secret(f"recovery code {number} without dashes", each.replace("-", ""))
    other = browser()
    portal.password_step(other, address)
    expect(other.send("/code", code=code), 403)
    expect(other.send("/code", code=recovery[0]), 200, "Postes et téléphones")
    cookies(other, "with a recovery code")
    fresh = secret("new password at the portal", "Une phrase toute neuve du portail")
    other.go(SITE + "/mot-de-passe")
    expect(other.send("/mot-de-passe", nouveau=fresh, encore=fresh), 200, "est changé")


def at_the_portal_by_pro_sante_connect():
    who, (address, person) = browser(), per(0)
    who.go(SITE + "/")
    away = who.ask(SITE + "/psc").header("location")
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(away).query))
    secret("state", asked["state"])
    secret("nonce", asked["nonce"])
    back = who.ask(f"{away}&sandbox_person={person}").header("location")
    secret("authorization code", dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))["code"])
    expect(who.go(back), 200)
    cookies(who, "with Pro Santé Connect")
    portal.choose(who, address)
    _, file_password = portal.enrol(who, "Portable du docteur")
    secret("password of the second PKCS#12", file_password)


def by_the_administrator():
    out = os.path.join(DIR, "secret.p12")
    address = f"secret.portail@{DOMAIN}"
    enrolled = json.loads(admin("device", "enrol", address, "--name", "Poste de garde", "--out", out, "--json"))
    secret("password of the third PKCS#12", enrolled["password"])
    key("key of a third workstation", portal.unpacked(open(out, "rb").read(), enrolled["password"]))
    os.remove(out)
    admin("mailbox", "factor", "reset", address)
    admin("device", "revoke", address, str(enrolled["device"]["id"]))


def key(name, pem):
    """A private key: the lines of its file, and bytes from its middle."""
    text = open(pem, errors="replace").read()
    body = re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", text, re.S).group(1)
    der = base64.b64decode(body)
    secret(f"{name}, a line", body.split("\n")[1])
    for at in (len(der) // 3, len(der) // 2):
        secret(f"{name}, bytes from {at}", der[at:at + 24])


def cookies(who, when):
    for jar in who.cookies.values():
        for name, value in jar.items():
            secret(f"cookie {name} {when}", value)


# ---- what was written ----

def forms(value):
    """How a secret may stand in a text: as it is, escaped, percent-encoded, in hexadecimal, as a list of numbers, and within
    anything that is encoded in base64."""
    raw = value if isinstance(value, bytes) else value.encode()
    found = {raw.hex(), raw.hex().upper(), ", ".join(map(str, raw)), ",".join(map(str, raw))}
    if isinstance(value, str):
        percent = urllib.parse.quote(value, safe="")
        found |= {value, json.dumps(value)[1:-1], value.replace('"', '\\"'), percent, urllib.parse.quote(value),
                  urllib.parse.quote_plus(value), re.sub("%..", lambda octet: octet.group().lower(), percent)}
        found.add("".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in raw))
    if len(raw) >= 9:
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + raw).decode()
            # Characters that hold bits of what stands beside it say nothing.
            whole = encoded[(0, 2, 3)[shift]:len(encoded) // 4 * 4 - (4 if (len(raw) + shift) % 3 else 0)]
            found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= 6}


def strings(value):
    """Every text in a line of the log but its time."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name != "timestamp":
                yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def written():
    """What the servers and the sandbox have said: by file its lines, and the texts in them."""
    files = {}
    for path in sorted([*glob.glob(os.path.join(DIR, "*", "caducee.log")), os.path.join(DIR, "said.txt")]):
        lines, texts = open(path, errors="replace").read().split("\n"), []
        for line in lines:
            texts.append(" ".join(strings(json.loads(line))) if line.startswith("{") else line)
        files[os.path.relpath(path, DIR)] = "\n".join(lines), "\n".join(texts)
    return files


def found_in(whole, texts, value):
    """Which form of a secret stands there. Digits of a one-time code count as a number of their own among texts only: the logs
    are full of numbers."""
    digits = value.replace(" ", "") if isinstance(value, str) else ""
    if digits.isdigit():
        number = re.compile("(?<![0-9.])" + r"[\s-]?".join(digits) + "(?![0-9])")
        return [match.group() for match in number.finditer(texts)][:1]
    return [form for form in forms(value) if form in whole or form in texts][:1]


def nothing_secret_is_written():
    good = by_token()
    misplaced(good)
    by_password()
    by_certificate()
    at_the_portal()
    at_the_portal_by_pro_sante_connect()
    by_the_administrator()
    secret("client's secret", "secret-du-bac-a-sable")
    key("key of the operator", os.path.join(DIR, OPERATOR["key"]))
    master = open(os.path.join(DIR, "a", "master.key")).read().split()
    secret("master key", max(master, key=len))
    figures = urllib.request.urlopen(f"http://127.0.0.1:{PORTS['metrics']}/metrics", timeout=10).read().decode()
    time.sleep(0.5)

    files = written()
    whole, texts = files["a/caducee.log"]
    it_was_loud(whole, texts)
    files["metrics"] = figures, figures
    leaks = [(name, form, path) for path, (whole, texts) in files.items() for name, value in SECRETS.items()
             for form in found_in(whole, texts, value)]
    for path, (whole, _) in files.items():
        leaks += [("a private key", "PRIVATE KEY", path)] * ("PRIVATE KEY" in whole)
    shown = [f"{name} as {form[:60]} in {path}: {line_with(files[path], form)}" for name, form, path in leaks]
    assert not leaks, "\n" + "\n".join(shown)
    kept_nowhere()
    print(f"{len(SECRETS)} secrets, {sum(len(whole) for whole, _ in files.values()) >> 10} KiB of logs")


def line_with(file, form):
    return next((line[:400] for text in file for line in text.split("\n") if form in line), "")


def it_was_loud(whole, texts):
    """The search finds what is written, and the logs tell of every kind of login."""
    assert whole.count('"level":"TRACE"') > 1000, "the log is not at its loudest"
    assert found_in(whole, texts, MARK) and found_in(whole, texts, "login refused"), "the search finds nothing"
    logins = [json.loads(line) for line in whole.split("\n") if '"message":"login"' in line]
    assert {"token", "password", "certificate"} <= {each.get("means") for each in logins}, logins[-1:]
    for name in ("password", "access token"):
        probe = f"... {SECRETS[name]} ..."
        for text in (probe, *(b64(before + probe) for before in ("", "x", "xy")), urllib.parse.quote(probe), json.dumps(probe),
                     probe.encode().hex()):
            assert found_in(text, "", SECRETS[name]), text
    assert found_in("", "code 123 456 sent", "123456") and not found_in("", "0.123456 s", "123456")


def kept_nowhere():
    """Nor do tokens, passwords and codes lie in the store, the traces, or whatever else the operator keeps."""
    apart = ("caducee.toml", "caducee.toml.written", "psc.secret", "master.key", "caducee.log")
    for folder, _, names in os.walk(os.path.join(DIR, "a")):
        for name in names:
            path = os.path.join(folder, name)
            if name in apart or not os.path.isfile(path):
                continue
            data = open(path, "rb").read()
            for what, value in SECRETS.items():
                if isinstance(value, str) and len(value) < 12:
                    continue
                raw = value if isinstance(value, bytes) else value.encode()
                assert raw not in data, (what, path)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
