"""The holders' page from outside. `portal.py SCENARIO DIR CADUCEE`: one scenario against the sandbox in DIR."""
import base64
import email
import email.policy
import glob
import hashlib
import hmac
import imaplib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

from web import Browser

DIR, CADUCEE = sys.argv[2], sys.argv[3]
ALL = json.load(open(os.path.join(DIR, "sandbox.json")))
OPERATOR = ALL["operators"][0]
CA = os.path.join(DIR, ALL["ca"])
DOMAIN = OPERATOR["domains"][0]
SITE = f"https://localhost:{OPERATOR['ports']['https']}"
PASSWORD = "Une phrase pour le portail"

# Each scenario comes from an address of its own, so that none waits for the wrong passwords of another.
SOURCE = "127.7.{}.{}".format(*hashlib.sha256(sys.argv[1].encode()).digest()[:2])


def admin(*arguments, stdin=""):
    command = [CADUCEE, *arguments, "--socket", os.path.join(DIR, OPERATOR["admin_socket"])]
    ran = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, (arguments, ran.stdout, ran.stderr)
    return ran.stdout


def mailbox(local, national_id, *more, password=PASSWORD, notified=True, kind="PER"):
    """A mailbox of this scenario's own, and of a professional's."""
    address = f"{local}@{DOMAIN}"
    if notified:
        more = (*more, "--notification-address", f"{local}@courriel.example")
    if password:
        more = (*more, "--password-stdin", "--allow-password=false")
    admin("mailbox", "create", address, "--kind", kind, "--title", "Dr", "--first-name", "Claude",
          "--last-name", local.capitalize(), "--national-id", national_id, *more, stdin=f"{password}\n")
    return address


def browser():
    return Browser(CA, SOURCE)


def expect(page, status, *words):
    assert page.status == status, (page.url, page.status, page.text)
    for word in words:
        assert word in page.text, f"no « {word} » on {page.url}:\n{page.text}"
    return page


def mailed(to, pattern, after=0):
    """What the notices to an address say, once there is one that fits and that is none of the first `after`."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        found = []
        for path in sorted(glob.glob(os.path.join(DIR, "courriel", "*.eml")), key=os.path.getmtime):
            message = email.message_from_binary_file(open(path, "rb"), policy=email.policy.default)
            text = message.get_body(("plain",)).get_content()
            match = re.search(pattern, text)
            if to in str(message["to"]) and match:
                found.append(match)
        if len(found) > after:
            return found[-1]
        time.sleep(0.1)
    raise AssertionError(f"no notice to {to} says {pattern}")


def password_step(who, address, password=PASSWORD):
    who.go(SITE + "/")
    return who.send("/connexion", adresse=address, mot_de_passe=password)


def enter_by_mailed_code(who, address):
    expect(password_step(who, address), 200, "Code à usage unique")
    expect(who.send("/code/courriel"), 200, "vient d’être envoyé")
    code = mailed(address.split("@")[0], r"\b(\d[\d ]{4,9}\d)\b").group(1)
    return expect(who.send("/code", code=code), 200, "Postes et téléphones")


def enter_by_psc(who, person):
    """From the login page to Pro Santé Connect's, where a person is picked, and back."""
    who.go(SITE + "/")
    who.go("/psc")
    assert "/auth" in who.page.url and "localhost" in who.page.url, who.page.url
    return who.send("/auth", person=person)


def choose(who, address):
    """One of several mailboxes."""
    token = who.page.form("/boites")["fields"]["jeton"]
    return who.go(SITE + "/boites", {"jeton": token, "boite": number_of(address)})


def number_of(address):
    return str(json.loads(admin("mailbox", "show", address, "--json"))["id"])


def person(address):
    return next(m["person"] for m in OPERATOR["mailboxes"] if m["address"] == address)


def holder(index):
    """The holder of one of the cast's personal mailboxes."""
    found = [m for m in OPERATOR["mailboxes"] if m["kind"] == "PER" and not m["test"]]
    return found[index]["address"], found[index]["person"]


class Imap(imaplib.IMAP4_SSL):
    def _create_socket(self, timeout):
        plain = socket.create_connection((self.host, self.port), timeout, source_address=(SOURCE, 0))
        return self.ssl_context.wrap_socket(plain, server_hostname=self.host)


def imap(address, password, pem=None):
    context = ssl.create_default_context(cafile=CA)
    if pem:
        context.load_cert_chain(pem)
    client = Imap("localhost", OPERATOR["ports"]["imaps"], ssl_context=context, timeout=30)
    client.login(address, password)
    return client


def refused(work):
    try:
        work()
    except (imaplib.IMAP4.error, OSError) as error:
        return str(error)
    raise AssertionError("it should have been refused")


def unpacked(file, password):
    """A PKCS#12 as openssl sees it: certificate and key, PEM in one file."""
    directory = tempfile.mkdtemp(dir=DIR)
    packed, pem = os.path.join(directory, "poste.p12"), os.path.join(directory, "poste.pem")
    open(packed, "wb").write(file)
    ran = subprocess.run(["openssl", "pkcs12", "-in", packed, "-nodes", "-passin", f"pass:{password}", "-out", pem],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    wrong = subprocess.run(["openssl", "pkcs12", "-in", packed, "-nodes", "-passin", "pass:faux"], capture_output=True)
    assert wrong.returncode != 0, "another password opens it"
    return pem


def enrol(who, name):
    who.go(SITE + "/postes/nouveau")
    expect(who.send("/postes/nouveau", nom=name), 200, name)
    password = who.page.by_id["mot-de-passe-du-fichier"]
    file = who.ask(SITE + "/postes/fichier")
    assert file.status == 200 and file.header("content-type") == "application/x-pkcs12", file.status
    assert "attachment" in file.header("content-disposition"), file.headers
    return unpacked(file.body, password), password


def totp(secret, at=None):
    """RFC 6238 with what every application uses: SHA-1, 30 s, 6 digits."""
    key = base64.b32decode(secret.replace(" ", "") + "=" * (-len(secret.replace(" ", "")) % 8))
    counter = struct.pack(">Q", int(at if at is not None else time.time()) // 30)
    digest = hmac.new(key, counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def back_from_psc(who, national_id):
    """Where Pro Santé Connect sends a browser that has just left for it."""
    away = who.ask(SITE + "/psc")
    assert away.status == 303, (away.status, away.text)
    return who.ask(away.header("location") + f"&sandbox_person={national_id}").header("location")


# ---- with a sandbox of its own ----

def pro_sante_connect_that_fails_is_told_from_one_that_refuses_and_the_other_way_stays():
    def turn(**how):
        page = browser().ask(ALL["psc"]["knobs"], body=json.dumps(how), headers={"Content-Type": "application/json"})
        assert page.status == 204, (page.status, page.body)

    _, national_id = holder(0)
    for how in ({"status": 500}, {"garbage": True}, {"drop": True}):
        who = browser()
        back = back_from_psc(who, national_id)
        turn(only=["token"], **how)
        expect(who.go(back), 503, "Pro Santé Connect ne répond pas", "Référence")
        assert who.ask(SITE + "/postes").status == 303
        turn()
    for how in ({"wrong_signature": True}, {"expired": True}, {"acr": "eidas0"}):
        who = browser()
        back = back_from_psc(who, national_id)
        turn(**how)
        expect(who.go(back), 403, "Identification refusée")
        assert who.ask(SITE + "/postes").status == 303
        turn()
    turn(status=500)
    enter_by_mailed_code(browser(), mailbox("portail.secours", "899700009020"))
    turn(no_national_id=True)
    who = browser()
    expect(who.go(back_from_psc(who, national_id)), 200, "Choisir une boîte")


# ---- scenarios ----

def a_password_and_a_mailed_code_enrol_a_workstation_that_opens_imap():
    address, who = mailbox("portail.courriel", "899700009001"), browser()
    enter_by_mailed_code(who, address)
    assert address in who.page.text and "Aucun poste" in who.page.text, who.page.text
    pem, _ = enrol(who, "PC du cabinet")
    expect(who.go(SITE + "/postes"), 200, "PC du cabinet", "valable")
    refused(lambda: imap(address, PASSWORD))
    client = imap(address, PASSWORD, pem)
    assert client.select("INBOX")[0] == "OK"
    mailed("portail.courriel", "PC du cabinet")
    limit = time.monotonic() + 10
    while "jamais" in who.go(SITE + "/postes").text:
        assert time.monotonic() < limit, "the workstation's use is not noted"
        time.sleep(0.1)

    who.go(SITE + "/postes/nouveau")
    expect(who.send("/postes/nouveau", nom="PC du cabinet"), 422, "porte déjà ce nom")
    revoke = next(link for link in who.go(SITE + "/postes").links if link.endswith("/revoquer"))
    expect(who.go(revoke), 200, "définitive", "PC du cabinet")
    expect(who.send(revoke), 200, "est révoqué", "Aucun poste")
    said = refused(lambda: [client.noop() or time.sleep(0.2) for _ in range(25)])
    assert "BYE" in said or "EOF" in said or "opens the mailbox no more" in said, said
    refused(lambda: imap(address, PASSWORD, pem))


def pro_sante_connect_enrols_renews_and_takes_a_certificate_request():
    (address, national_id), who = holder(0), browser()
    expect(enter_by_psc(who, national_id), 200, "Choisir une boîte", address)
    expect(choose(who, address), 200, "Postes et téléphones", address)
    pem, _ = enrol(who, "Téléphone")
    who.go(SITE + "/postes")
    renew = next(form["action"] for form in who.page.forms if form["action"].endswith("/renouveler"))
    expect(who.send(renew), 200, "Téléphone")
    renewed = unpacked(who.ask(SITE + "/postes/fichier").body, who.page.by_id["mot-de-passe-du-fichier"])
    expect(who.go(SITE + "/postes"), 200, "remplacé", "valable")
    key, request = renewed + ".key", renewed + ".csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", request, "-subj", "/CN=peu importe"], check=True, capture_output=True)
    who.go(SITE + "/postes/nouveau")
    expect(who.send("/postes/nouveau", nom="Serveur", demande="n'importe quoi"), 422, "illisible")
    expect(who.send("/postes/nouveau", nom="Serveur", demande=open(request).read()), 200)
    chain = who.page.by_id["certificat"]
    assert chain.count("BEGIN CERTIFICATE") == 2 and "PRIVATE" not in chain
    open(renewed + ".own", "w").write(open(key).read() + chain)
    admin("mailbox", "password", address, "--password-stdin", stdin=f"{PASSWORD}\n")
    for one in (pem, renewed, renewed + ".own"):
        assert imap(address, PASSWORD, one).select("INBOX")[0] == "OK", one
    assert who.ask(SITE + "/postes/fichier").status == 404, "a certificate request leaves no file"


def an_application_for_codes_is_set_up_and_used_and_recovery_codes_are_good_once():
    address, who = mailbox("portail.application", "899700009002"), browser()
    enter_by_mailed_code(who, address)
    expect(who.go(SITE + "/codes"), 200, "Aucune application")
    expect(who.send("/codes/application"), 200, "photographiez")
    assert "<svg" in who.page.body.decode() and who.page.scripts == 0
    secret = who.page.by_id["cle"]
    wrong = "000000" if totp(secret) != "000000" else "000001"
    expect(who.send("/codes/application/confirmation", code=wrong), 422, "faux")
    expect(who.send("/codes/application/confirmation", code=totp(secret)), 200, "L’application est en place")
    recovery = re.findall(r"[a-z0-9]{6}-[a-z0-9]{6}-[a-z0-9]{6}", who.page.by_id["codes"])
    assert len(recovery) == 10, who.page.by_id["codes"]

    used = totp(secret)
    other = browser()
    expect(password_step(other, address), 200, "l’application de codes")
    assert not any(form["action"] == "/code/courriel" for form in other.page.forms), "mailed codes have ended"
    expect(other.send("/code", code=used), 403, "faux, déjà utilisé")
    expect(other.send("/code", code=recovery[0]), 200, "Postes et téléphones")
    third = browser()
    password_step(third, address)
    expect(third.send("/code", code=recovery[0]), 403)
    time.sleep(30 - time.time() % 30 + 0.5)
    expect(third.send("/code", code=totp(secret)), 200, "Postes et téléphones")
    expect(third.go(SITE + "/codes"), 200, f"reste {len(recovery) - 1} codes")
    expect(third.send("/codes/secours"), 200, "ne seront plus affichés")
    fourth = browser()
    password_step(fourth, address)
    expect(fourth.send("/code", code=recovery[1]), 403)


def a_form_without_its_own_token_changes_nothing():
    address, who = mailbox("portail.jeton", "899700009003"), browser()
    enter_by_mailed_code(who, address)
    stranger = browser()
    token = stranger.go(SITE + "/").form("/connexion")["fields"]["jeton"]
    mine = who.go(SITE + "/postes/nouveau").form("/postes/nouveau")["fields"]["jeton"]
    assert token != mine
    for fields in ({}, {"jeton": ""}, {"jeton": token}, {"jeton": mine[:-1]}):
        expect(who.ask(SITE + "/postes/nouveau", {"nom": "Intrus", **fields}), 403, "Page expirée")
    for origin in ("https://attaquant.example", "null", SITE.replace("https", "http")):
        page = who.ask(SITE + "/postes/nouveau", {"nom": "Intrus", "jeton": mine}, headers={"Origin": origin})
        expect(page, 403, "Page expirée")
    for path in ("/codes/application", "/codes/secours", "/mot-de-passe", "/deconnexion", "/boites", "/code/courriel",
                 "/postes/1/revoquer", "/postes/1/renouveler", "/codes/application/confirmation", "/connexion", "/code"):
        page = who.ask(SITE + path, {"jeton": token, "nouveau": "x" * 20, "encore": "x" * 20})
        assert page.status in (303, 403), (path, page.status)
        assert page.status == 403 or page.header("location") == "/", (path, page.headers)
    expect(who.go(SITE + "/postes"), 200, "Aucun poste", address)
    body = urllib.parse.urlencode({"jeton": mine, "nom": "x", "demande": "x" * 40_000})
    huge = who.ask(SITE + "/postes/nouveau", body=body,
                   headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": SITE})
    assert huge.status == 400, huge.status
    plain = who.ask(SITE + "/postes/nouveau", body=f"jeton={mine}&nom=x", headers={"Content-Type": "text/plain"})
    assert plain.status == 400, plain.status


def each_step_of_a_login_has_a_cookie_of_its_own_and_old_ones_open_nothing():
    address, who = mailbox("portail.fixation", "899700009004"), browser()
    who.go(SITE + "/")
    planted = who.cookie(SITE)
    password_step(who, address)
    halfway = who.cookie(SITE)
    who.send("/code/courriel")
    code = mailed("portail.fixation", r"\b(\d[\d ]{4,9}\d)\b").group(1)
    expect(who.send("/code", code=code), 200, "Postes et téléphones")
    inside = who.cookie(SITE)
    assert len({planted, halfway, inside}) == 3
    for cookie in (planted, halfway, "A" * 43, ""):
        page = who.ask(SITE + "/postes", cookies=False, headers={"Cookie": f"__Host-caducee={cookie}"})
        assert (page.status, page.header("location")) == (303, "/"), (cookie, page.status)
    kept = {"Cookie": f"__Host-caducee={inside}"}
    expect(who.ask(SITE + "/postes", cookies=False, headers=kept), 200, address)
    expect(who.go(SITE + "/postes"), 200)
    expect(who.send("/deconnexion"), 200, "terminée")
    assert who.cookie(SITE) is None
    assert who.ask(SITE + "/postes", cookies=False, headers=kept).status == 303, "the session is gone, not just its cookie"
    page = browser().ask(SITE + "/")
    given = page.header("set-cookie")
    for part in ("__Host-caducee=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"):
        assert part in given, given
    assert "Domain" not in given and "Expires" not in given, given


def every_answer_forbids_scripts_frames_and_keeping_and_leads_to_no_other_site():
    address, who = mailbox("portail.pages", "899700009005"), browser()
    enter_by_mailed_code(who, address)
    for path in ("/", "/postes", "/postes/nouveau", "/codes", "/mot-de-passe", "/aide", "/style.css", "/code", "/boites",
                 "/nulle-part", "/postes/9999/revoquer", "/postes/abc/revoquer", "/psc/retour?code=x&state=y",
                 "/postes/fichier", "//attaquant.example", "/postes?fait=%3Cscript%3E", "/code?fait=envoye"):
        who.ask(SITE + path)
    who.ask(SITE + "/postes", {"a": "b"})
    stranger = browser()
    for path in ("/postes", "/codes", "/mot-de-passe", "/aide", "/boites", "/code", "/postes/fichier", "/postes/1/revoquer"):
        page = stranger.ask(SITE + path)
        assert (page.status, page.header("location")) == (303, "/"), (path, page.status)
    for page in who.seen + stranger.seen:
        policy = page.header("content-security-policy")
        assert "default-src 'none'" in policy and "script" not in policy and "frame-ancestors 'none'" in policy, page.url
        assert page.header("cache-control") == "no-store", page.url
        assert page.header("x-content-type-options") == "nosniff" and page.header("x-frame-options") == "DENY"
        assert not page.header("strict-transport-security"), "localhost is not for one program alone"
        assert page.scripts == 0, page.url
        location = page.header("location")
        assert not location or (location.startswith("/") and not location.startswith("//")), (page.url, location)
        if page.title:
            assert b'lang="fr"' in page.body and page.body.count(b"<h1>") == 1, page.url
            for label in re.findall(rb'<label for="([^"]+)"', page.body):
                assert b'id="' + label + b'"' in page.body, (page.url, label)
    statuses = {urllib.parse.urlsplit(page.url).path: page.status for page in who.seen}
    assert statuses["/nulle-part"] == 404 and statuses["/postes/9999/revoquer"] == 404, statuses
    assert statuses["/psc/retour"] == 403, statuses


def who_guesses_waits_and_learns_nothing():
    address, who = mailbox("portail.essais", "899700009006"), browser()
    known = expect(password_step(who, address, "faux"), 403, "Adresse ou mot de passe incorrect").roles["alert"]
    unknown = expect(password_step(who, f"personne@{DOMAIN}", "faux"), 403).roles["alert"]
    assert known == unknown
    assert who.page.form("/connexion")["fields"]["adresse"] == f"personne@{DOMAIN}"
    for page in who.seen:
        assert b"faux" not in page.body, "a password comes back"
    statuses = []
    for _ in range(14):
        page = password_step(who, address, "faux")
        statuses.append(page.status)
        if page.status == 429:
            break
    assert statuses[-1] == 429, statuses
    expect(page, 429, "Trop d’essais")


def who_hangs_up_before_the_answer_has_guessed_all_the_same():
    address, who = mailbox("portail.raccroche", "899700009042"), browser()
    form = who.go(SITE + "/").form("/connexion")["fields"]
    body = urllib.parse.urlencode({**form, "adresse": address, "mot_de_passe": "faux"})
    place = urllib.parse.urlsplit(SITE)
    head = (f"POST /connexion HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Cookie: __Host-caducee={who.cookie(SITE)}\r\nContent-Length: {len(body)}\r\n\r\n")
    for _ in range(12):
        plain = socket.create_connection((place.hostname, place.port), 30, source_address=(SOURCE, 0))
        with who.context.wrap_socket(plain, server_hostname=place.hostname) as connection:
            connection.sendall((head + body).encode())
            # Time to be read, and none for an answer.
            time.sleep(0.02)
    time.sleep(1)
    statuses = [password_step(who, address, "faux").status for _ in range(4)]
    assert 429 in statuses, statuses


def a_mailed_code_is_good_for_its_own_login_once_and_for_five_tries():
    address = mailbox("portail.codes", "899700009007")
    one, other = browser(), browser()
    password_step(one, address)
    password_step(other, address)
    expect(one.send("/code/courriel"), 200)
    code = mailed("portail.codes", r"\b(\d[\d ]{4,9}\d)\b").group(1)
    assert other.send("/code", code=code).status == 403, "another login's code"
    wrong = "111111" if code.replace(" ", "") != "111111" else "222222"
    for _ in range(5):
        assert one.send("/code", code=wrong).status == 403
    page = one.send("/code", code=code)
    assert page.status == 403, "no sixth try"


def the_password_is_changed_and_the_old_one_opens_nothing():
    address, who = mailbox("portail.phrase", "899700009008"), browser()
    enter_by_mailed_code(who, address)
    pem, _ = enrol(who, "Poste")
    before = who.cookie(SITE)
    client = imap(address, PASSWORD, pem)
    who.go(SITE + "/mot-de-passe")
    expect(who.send("/mot-de-passe", nouveau="court", encore="court"), 422, "au moins")
    expect(who.send("/mot-de-passe", nouveau="Une autre phrase", encore="Une autre fraise"), 422, "différents")
    imap(address, PASSWORD, pem).logout()
    expect(who.send("/mot-de-passe", nouveau="Une autre phrase", encore="Une autre phrase"), 200, "est changé", address)
    assert who.cookie(SITE) != before
    refused(lambda: [client.noop() or time.sleep(0.2) for _ in range(25)])
    refused(lambda: imap(address, PASSWORD, pem))
    imap(address, "Une autre phrase", pem).logout()
    expect(who.go(SITE + "/postes"), 200, "Poste")


def a_return_from_pro_sante_connect_fits_only_the_browser_that_left():
    (address, national_id), who = holder(0), browser()
    who.go(SITE + "/")
    away = who.ask(SITE + "/psc")
    assert away.status == 303 and away.header("location").startswith(ALL["psc"]["issuer"].split("/auth/")[0]), away.headers
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(away.header("location")).query))
    assert query["code_challenge_method"] == "S256" and query["redirect_uri"] == SITE + "/psc/retour", query
    assert query["scope"] == "openid scope_all" and query["acr_values"] == "eidas1", query
    back = who.ask(away.header("location") + f"&sandbox_person={national_id}").header("location")
    assert back.startswith(SITE + "/psc/retour?"), back
    victim = browser()
    expect(victim.go(back), 403, "Identification à recommencer")
    victim.ask(SITE + "/psc")
    expect(victim.go(back), 403, "Identification à recommencer")
    expect(who.go(back.replace("code=", "code=x")), 403, "Identification refusée")
    state = urllib.parse.quote(query["state"])
    expect(who.go(f"{SITE}/psc/retour?error=access_denied&state={state}"), 403, "Identification refusée")
    expect(who.go(back), 200, "Choisir une boîte")
    again = browser()
    expect(again.go(back), 403)
    expect(choose(who, address), 200, "Postes et téléphones")
    expect(who.send("/deconnexion"), 200, "Pro Santé Connect")
    assert any(link.startswith(ALL["psc"]["issuer"]) for link in who.page.links), who.page.links


def who_holds_nothing_is_told_and_who_has_several_mailboxes_chooses():
    people = {p["person"]: p for p in ALL["psc"]["persons"]}
    opened = {m["person"] for o in ALL["operators"] for m in [*o["mailboxes"], *o["special_mailboxes"].values()]
              if m.get("person")}
    nobody = next(id for id, p in people.items() if id not in opened and not p["opens"])
    page = enter_by_psc(browser(), nobody)
    expect(page, 403, "Aucune boîte aux lettres")
    (address, national_id), who = holder(1), browser()
    shared = f"accueil.portail@{DOMAIN}"
    admin("mailbox", "create", shared, "--kind", "ORG", "--label", "Accueil", "--structure-id", "1990000999",
          "--entity", "Maison de santé", "--responsible", "899700009999", "--notification-address",
          "accueil@courriel.example")
    admin("mailbox", "grant", shared, national_id, "--rights", "read,write")
    expect(enter_by_psc(who, national_id), 200, "Choisir une boîte", address, shared)
    offered = [form["fields"]["boite"] for form in who.page.forms if form["action"] == "/boites"]
    assert number_of(shared) in offered and len(offered) >= 2, offered
    token = who.page.forms[0]["fields"]["jeton"]
    expect(who.ask(SITE + "/boites", {"jeton": token, "boite": "1000000"}), 403, "Action réservée")
    expect(choose(who, shared), 200, "Postes et téléphones", shared)
    assert "/codes" not in who.page.links and "/mot-de-passe" not in who.page.links, "the service's password is not theirs"
    for path in ("/codes", "/mot-de-passe"):
        expect(who.ask(SITE + path), 403, "Action réservée")
    expect(who.go(SITE + "/boites"), 200, address)
    admin("mailbox", "ungrant", shared, national_id)
    expect(who.go(SITE + "/postes"), 403, "Session terminée")
    assert who.ask(SITE + "/postes").status == 303


def who_manages_a_professionals_mailbox_is_never_taken_for_the_professional():
    address, doctor = mailbox("portail.medecin", "899700009040"), browser()
    enter_by_mailed_code(doctor, address)
    enrol(doctor, "PC du médecin")
    (_, secretary), who = holder(0), browser()
    admin("mailbox", "grant", address, secretary, "--rights", "read,write,send,manage")
    expect(enter_by_psc(who, secretary), 200, "Choisir une boîte", address)
    expect(choose(who, address), 200, "PC du médecin")
    revoke = next(link for link in who.page.links if link.endswith("/revoquer"))
    renewals = [form["action"] for form in who.page.forms if form["action"].endswith("/renouveler")]
    assert not renewals, "its certificate is the doctor's: %s" % renewals
    token = who.page.form("/deconnexion")["fields"]["jeton"]
    for path, fields in ((revoke.replace("revoquer", "renouveler"), {}), ("/codes/application", {}), ("/codes/secours", {}),
                         ("/mot-de-passe", {"nouveau": PASSWORD + " 2", "encore": PASSWORD + " 2"})):
        expect(who.ask(SITE + path, {"jeton": token, **fields}), 403, "Action réservée")
    for path in ("/codes", "/mot-de-passe"):
        expect(who.ask(SITE + path), 403, "Action réservée")
    expect(who.go(SITE + revoke), 200, "PC du médecin")
    expect(who.send(revoke), 200, "est révoqué")
    enrol(who, "PC du secrétariat")
    listed = json.loads(admin("device", "list", address, "--json"))["devices"]
    assert [(row["name"], row["person"]) for row in listed] == [("PC du secrétariat", secretary)], listed
    admin("mailbox", "ungrant", address, secretary)


def a_login_half_made_ends_with_the_password_and_with_the_mailboxs_state():
    address, who = mailbox("portail.moitie", "899700009044"), browser()
    expect(password_step(who, address), 200, "Code à usage unique")
    expect(who.send("/code/courriel"), 200, "vient d’être envoyé")
    code = mailed("portail.moitie", r"\b(\d[\d ]{4,9}\d)\b").group(1)
    other = "Une autre phrase"
    admin("mailbox", "password", address, "--password-stdin", stdin=f"{other}\n")
    expect(who.send("/code", code=code), 403, "Session terminée")
    expect(who.go(SITE + "/"), 200, "Mot de passe")
    expect(password_step(who, address, other), 200, "Code à usage unique")
    time.sleep(1.1)
    admin("mailbox", "suspend", address)
    admin("mailbox", "reopen", address)
    expect(who.go(SITE + "/code"), 403, "Session terminée")
    expect(password_step(who, address, other), 200, "Code à usage unique")


def a_practices_password_and_code_name_nobody_and_enrol_nothing():
    address, who = mailbox("portail.cabinet", "899700009043", kind="CAB"), browser()
    page = enter_by_mailed_code(who, address)
    expect(page, 200, "connectez-vous avec Pro Santé Connect, ou demandez-le à votre opérateur")
    assert not any(href == "/postes/nouveau" for href in page.links), page.links
    expect(who.go(SITE + "/postes/nouveau"), 409, "chaque poste est celui d’une personne")
    token = who.go(SITE + "/postes").form("/deconnexion")["fields"]["jeton"]
    expect(who.ask(SITE + "/postes/nouveau", {"jeton": token, "nom": "Poste"}), 409, "chaque poste est celui d’une personne")
    assert json.loads(admin("device", "list", address, "--json"))["devices"] == [], "nothing is enrolled, as the holder least of all"
    admin("device", "enrol", address, "--name", "Poste du titulaire", "--out", os.path.join(tempfile.mkdtemp(), "poste.p12"))
    expect(who.go(SITE + "/postes"), 200, "Poste du titulaire")
    assert not any(form["action"].endswith("/renouveler") for form in who.page.forms), "the holder's is the holder's to renew"


def a_suspended_mailbox_and_an_ended_session_end_at_the_next_page():
    address, who = mailbox("portail.fin", "899700009010"), browser()
    enter_by_mailed_code(who, address)
    listed = json.loads(admin("session", "list", "--json"))
    rows = listed if isinstance(listed, list) else listed["sessions"]
    mine = next(row for row in rows if row.get("mailbox", row.get("address")) == address and row["door"] == "portal")
    admin("session", "end", str(mine["id"]))
    expect(who.go(SITE + "/postes"), 403, "Session terminée")
    enter_by_mailed_code_again(who, address)
    admin("mailbox", "suspend", address)
    expect(who.go(SITE + "/postes"), 403, "Session terminée")
    expect(password_step(browser(), address), 403, "suspendue")
    expect(password_step(browser(), address, "faux"), 403, "incorrect")


def enter_by_mailed_code_again(who, address):
    local = address.split("@")[0]
    pattern = r"\b(\d[\d ]{4,9}\d)\b"
    expect(password_step(who, address), 200)
    expect(who.send("/code/courriel"), 200)
    code = mailed(local, pattern, after=1).group(1)
    expect(who.send("/code", code=code), 200, "Postes et téléphones")


def mail_programs_find_their_settings_at_the_same_door():
    path = f"/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=anne%40{DOMAIN}"
    found = browser().ask(SITE + path)
    assert found.status == 200 and "xml" in found.header("content-type"), found.headers
    assert f"<port>{OPERATOR['ports']['imaps']}</port>".encode() in found.body, found.body
    assert browser().ask(SITE + path.replace(DOMAIN, "ailleurs.example")).status == 404


def the_holder_chooses_how_often_new_messages_are_told():
    address = mailbox("avisee", "899700000871")
    who = browser()
    enter_by_mailed_code(who, address)
    page = expect(who.go(SITE + "/avis"), 200, "a•••@courriel.example", "une fois par jour")
    assert re.search(r'id="jour"[^>]* checked', page.body.decode()), page.text
    page = expect(who.send("/avis", rythme="heure"), 200, "Votre choix est enregistré")
    assert re.search(r'id="heure"[^>]* checked', page.body.decode()), page.text
    assert json.loads(admin("mailbox", "show", address, "--json"))["new_mail_notices"] == "hourly"
    # What is none of the choices changes nothing.
    expect(who.send("/avis", rythme="toujours"), 403)
    assert json.loads(admin("mailbox", "show", address, "--json"))["new_mail_notices"] == "hourly"


def a_mailbox_without_a_second_factor_opens_by_no_password():
    # Only a test mailbox may have no notification address (MSSanté §5).
    address, who = mailbox("portail.sans", "899700009011", "--test", notified=False), browser()
    expect(password_step(who, address), 200, "Aucun code n’est encore en place")
    assert not any(form["action"] == "/code" for form in who.page.forms)
    token = who.page.form("/deconnexion")["fields"]["jeton"]
    page = who.ask(SITE + "/code", {"jeton": token, "code": "000000"})
    assert page.status == 403, page.status
    assert who.ask(SITE + "/postes").status == 303


if __name__ == "__main__":
    globals()[sys.argv[1]]()
