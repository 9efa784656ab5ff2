"""Looking somebody up at the holders' page. `lookup.py SCENARIO DIR CADUCEE`: one scenario against the sandbox in DIR."""
import json
import ssl
import sys
import tempfile
import time
import urllib.request

scenario = sys.argv[1]
import portal  # noqa: E402  (reads the arguments)
from portal import SITE, admin, browser, expect, holder  # noqa: E402

DIRECTORY = portal.ALL["directory"]
METADATA = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"
HOSTILE = """<script>document.title='pris'</script><img src=x onerror="document.title='pris'">"""


def inside(index):
    """Somebody of the cast, in their mailbox."""
    address, national_id = holder(index)
    who = browser()
    if "Choisir" in portal.enter_by_psc(who, national_id).text:
        portal.choose(who, address)
    return who, address


def shown(address):
    """What the copy of the directory says of a mailbox of the cast, once it is published."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        admin("directory", "copy", "--refresh")
        command = [portal.CADUCEE, "directory", "search", address, "--json", "--socket"]
        ran = portal.subprocess.run([*command, portal.os.path.join(portal.DIR, portal.OPERATOR["admin_socket"])],
                                    capture_output=True, text=True, timeout=60)
        found = json.loads(ran.stdout)["found"]
        if found:
            return found[0]
        time.sleep(0.5)
    raise AssertionError(f"{address} is not published")


def fhir(method, path, body=None):
    headers = {"ESANTE-API-KEY": DIRECTORY["api_key"], "Content-Type": "application/fhir+json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{DIRECTORY['base']}/{path}", data, headers, method=method)
    return json.load(urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context(cafile=portal.CA)))


def contact(address, service):
    part = [{"url": "type", "valueCode": "ORG"}, {"url": "service", "valueString": service},
            {"url": "listeRouge", "valueBoolean": False}]
    return {"system": "email", "value": address, "extension": [{"url": METADATA, "extension": part}]}


def insert(organization, contacts):
    """Others' mailboxes, in a structure's resource."""
    path = {"name": "path", "valueString": "Organization.telecom"}
    operations = [{"name": "operation", "part": [
        {"name": "type", "valueCode": "insert"}, path, {"name": "index", "valueInteger": 0},
        {"name": "value", "valueContactPoint": each},
    ]} for each in contacts]
    fhir("PATCH", f"Organization/{organization}", {"resourceType": "Parameters", "parameter": operations})
    admin("directory", "copy", "--refresh")


def says(page, words):
    """The text of a browser's page, once it has these words: a click may return before the page that it leads to is there."""
    limit, text = time.monotonic() + 15, ""
    while words not in text:
        assert time.monotonic() < limit, f"no « {words} »:\n{text}"
        try:
            text = page.text()
        except AssertionError as error:
            assert "stale element reference" in str(error) or "no such" in str(error), error
        time.sleep(0.05)
    return text


def searches_traced():
    """What is traced of the first holder's searches."""
    traces = admin("traces", "search", "--person", holder(0)[1], "--action", "administered", "--format", "json")
    return traces.count("directory-searched"), traces


# ---- scenarios ----

def a_colleague_is_found_and_the_search_is_traced_without_its_words():
    who, address = inside(0)
    colleague, _ = holder(1)
    name, before = shown(colleague)["last_name"], searches_traced()[0]
    page = expect(who.go(SITE + "/annuaire"), 200, "Annuaire national", "liste rouge")
    assert page.scripts == 0 and "/annuaire" in page.links
    page = expect(who.send("/annuaire", nom=name.lower()[:4]), 200, colleague, name, "D’après l’annuaire du")
    assert page.scripts == 0 and "correspond" in page.roles["status"]
    assert page.form("/annuaire")["fields"]["nom"] == name.lower()[:4], "the form keeps what was asked for"
    expect(who.send("/annuaire", nom="quisquisquis", ville="nulpart"), 200, "Aucune boîte aux lettres")
    expect(who.send("/annuaire", nom=" -- ", ville=""), 422, "Donnez au moins un mot")
    limit = time.monotonic() + 20
    while True:
        count, traces = searches_traced()
        if count == before + 2:
            break
        assert time.monotonic() < limit, f"two searches were made; traced: {traces}"
        time.sleep(0.2)
    assert address in traces and "quisquisquis" not in traces and "nulpart" not in traces, traces


def who_is_on_the_red_list_by_now_is_shown_no_more():
    who, _ = inside(0)
    hidden, _ = holder(1)
    entry = shown(hidden)
    who.go(SITE + "/annuaire")
    expect(who.send("/annuaire", nom=entry["last_name"]), 200, hidden)
    admin("mailbox", "set", hidden, "--red-list")
    page = expect(who.send("/annuaire", nom=entry["last_name"]), 200)
    assert hidden not in page.text, page.text
    admin("mailbox", "set", hidden, "--red-list=false")
    expect(who.send("/annuaire", nom=entry["last_name"]), 200, hidden)


def a_form_of_elsewhere_searches_nothing_and_strangers_find_no_form():
    expect(browser().go(SITE + "/annuaire"), 200, "Connexion")
    stranger = browser()
    assert stranger.ask(SITE + "/annuaire", {"nom": "martin"}).status in (303, 403)
    who, _ = inside(0)
    expect(who.ask(SITE + "/annuaire", {"nom": "martin"}), 403, "Page expirée")
    who.go(SITE + "/annuaire")
    token = who.page.form("/annuaire")["fields"]["jeton"]
    elsewhere = {"Origin": "https://ailleurs.example"}
    expect(who.ask(SITE + "/annuaire", {"nom": "martin", "jeton": token}, headers=elsewhere), 403, "Page expirée")
    expect(who.ask(SITE + "/annuaire?nom=martin"), 200, "Annuaire national")
    assert "correspond" not in who.ask(SITE + "/annuaire?nom=martin").text, "a link searches nothing"


def who_searches_without_end_waits():
    who, _ = inside(1)
    who.go(SITE + "/annuaire")
    for n in range(30):
        expect(who.send("/annuaire", nom=f"personne{n}"), 200, "Aucune boîte")
    page = expect(who.send("/annuaire", nom="encore"), 429, "beaucoup de recherches")
    assert 0 < int(page.header("retry-after")) <= 60, page.headers
    again, _ = inside(1)
    again.go(SITE + "/annuaire")
    expect(again.send("/annuaire", nom="encore"), 429), "another session is the same person"
    other, _ = inside(0)
    other.go(SITE + "/annuaire")
    expect(other.send("/annuaire", nom="encore"), 200)


def what_a_hostile_directory_says_is_text_in_a_real_browser():
    from chromium import Driver
    bundle = fhir("GET", "Organization?address-city=lyon")
    organization = bundle["entry"][0]["resource"]["id"]
    insert(organization, [contact(f"accueil{n:02}@hostile.mssante.example", f"Hostile {HOSTILE}") for n in range(45)])
    insert(organization, [contact("<b>gras</b>@hostile.mssante.example", "Hostile")])
    page = Driver(tempfile.mkdtemp(dir=portal.DIR))
    try:
        address, national_id = holder(0)
        page.go(SITE + "/psc")
        page.click(f"button[name='person'][value='{national_id}']")
        page.heads("Choisir une boîte aux lettres")
        page.click(f"button[aria-label='Ouvrir {address}']")
        page.heads("Postes et téléphones")
        page.click("nav a[href='/annuaire']")
        page.heads("Annuaire national")
        labelled = "return [...document.querySelectorAll('main input[type=text]')].every(field => field.labels.length == 1)"
        assert page.script(labelled)
        page.type("#structure", HOSTILE)
        page.click("main form button")
        says(page, "45 boîtes aux lettres correspondent")
        assert page.script("return document.querySelector('#structure').value") == HOSTILE, "as it was typed"
        page.script("document.querySelector('#structure').value = 'hostile'")
        page.click("main form button")
        text = says(page, "46 boîtes aux lettres correspondent")
        rows = page.script("return document.querySelectorAll('tbody tr').length")
        assert rows == 19, f"twenty, but for what is no address: {rows}\n{text}"
        assert "Page 1 sur 3" in text and HOSTILE in text and "gras" not in text, text
        page.click("nav.turning button[value='2']")
        says(page, "Page 2 sur 3")
        page.click("nav.turning button[value='3']")
        says(page, "Page 3 sur 3")
        assert page.script("return document.querySelectorAll('tbody tr').length") == 6, page.text()
        assert "hostile" not in page.address(), "what is looked for stands in no address"
        made = page.script("return [document.scripts.length, document.images.length, document.title.includes('pris')]")
        assert made == [0, 0, False], made
        if portal.os.environ.get("CADUCEE_PICTURES"):
            page.picture(portal.os.path.join(portal.os.environ["CADUCEE_PICTURES"], "annuaire.png"))
    finally:
        page.end()


if __name__ == "__main__":
    globals()[scenario]()
