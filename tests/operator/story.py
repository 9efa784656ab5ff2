"""The holders' page in the story: `story.py accept|look CA SITE PERSON`, as whom the card says; prints what the page says."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "identity"))
sys.dont_write_bytecode = True
from web import Browser

VERB, CA, SITE, PERSON = sys.argv[1:]
who = Browser(CA)
who.go(SITE + "/")
who.go("/psc")
page = who.send("/auth", person=PERSON)
print(page.text)
if VERB == "accept":
    page = who.send("/conditions", accepte="oui")
    print(page.text)
sys.exit(page.status != 200)
