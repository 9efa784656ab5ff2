"""A session that searches in INBOX until it may not any more, says so, and goes on when it may again.

    untraced.py PORT CA USER PASSWORD

Prints how often it has searched and what refused it; then, once it could search again, how often in all.
"""
import imaplib, ssl, sys, time

port, ca, user, password = sys.argv[1:]
link = imaplib.IMAP4("localhost", int(port), timeout=60)
link.starttls(ssl.create_default_context(cafile=ca))
link.login(user, password)
link.select()
searched, deadline = 0, time.time() + 120


def until(wanted):
    global searched
    while time.time() < deadline:
        outcome, said = link.search(None, "TEXT", "nulle-part")
        searched += outcome == "OK"
        if (outcome == "OK") == wanted:
            return said[-1].decode()
        # Some more than may wait; then it only looks.
        if searched > 1200 or wanted:
            time.sleep(0.1)
    sys.exit(f"{searched} times and never {'let' if wanted else 'refused'}")


refused = until(False)
print(searched, refused, flush=True)
until(True)
print(searched, flush=True)
link.logout()
