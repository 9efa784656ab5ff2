"""A session with Python's imaplib, a client nobody here wrote: exits with 0 when all went as it should."""
import imaplib
import ssl
import sys
import time

host, starttls_port, tls_port, ca, login, password, app_login, cert, key = sys.argv[1:10]
context = ssl.create_default_context(cafile=ca)


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


# STARTTLS: no password is offered before it.
plain = imaplib.IMAP4(host, int(starttls_port))
assert "LOGINDISABLED" in plain.capabilities and "AUTH=PLAIN" not in plain.capabilities
try:
    plain.login(login, password)
    raise SystemExit("a password was taken in plain text")
except imaplib.IMAP4.error as error:
    assert "PRIVACYREQUIRED" in str(error), error
ok(plain.starttls(context))
ok(plain.login(login, password))
plain.logout()

one = imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=context)
try:
    one.login(login, password + "x")
    raise SystemExit("a wrong password was taken")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
ok(one.authenticate("PLAIN", lambda _: f"\0{login}\0{password}".encode()))
folders = b"\n".join(ok(one.list()))
for use in (b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk", b"\\Archive"):
    assert use in folders, folders

# A folder of our own, messages with flags and dates, in literals that wait for their continuation.
ok(one.create("Essais"))
ok(one.subscribe("Essais"))
for number in range(1, 11):
    text = f"From: a@b\r\nSubject: essai {number}\r\n\r\nCorps {number}\r\n".encode()
    date = imaplib.Time2Internaldate(time.time() - 86400 * number)
    answer = ok(one.append("Essais", "(\\Seen)" if number % 2 else "", date, text))
    assert b"APPENDUID" in answer[0], answer
assert ok(one.select("Essais")) == [b"10"]
assert ok(one.search(None, "SUBJECT", '"essai 1"')) == [b"1 10"]
assert ok(one.search(None, "UNSEEN")) == [b"2 4 6 8 10"]
assert ok(one.uid("SEARCH", None, "BODY", "Corps", "5")) == [b"5"]
assert len(ok(one.fetch("1:*", "(UID FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE)"))) == 10
part = ok(one.fetch("3", "(BODY.PEEK[TEXT])"))[0][1]
assert part == b"Corps 3\r\n", part
ok(one.store("1:3", "+FLAGS", "(\\Deleted)"))
assert ok(one.expunge()) == [b"1", b"1", b"1"]
ok(one.copy("1:2", "Archive"))
ok(one.uid("MOVE", "6", "Trash"))

# A second session sees what the first does.
two = imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=context)
ok(two.login(login, password))
assert ok(two.select("Essais")) == [b"6"]
ok(one.append("Essais", None, None, b"Subject: nouveau\r\n\r\n"))
ok(two.noop())
assert two.untagged_responses["EXISTS"][-1] == b"7", two.untagged_responses
quota = ok(two.getquotaroot("INBOX"))
assert b"STORAGE" in quota[1][0], quota
ok(two.close())
ok(two.delete("Essais"))
two.logout()

# An application opens its mailbox by its certificate, and no other.
context.load_cert_chain(cert, key)
app = imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=context)
assert "AUTH=EXTERNAL" in app.capabilities, app.capabilities
try:
    app.authenticate("EXTERNAL", lambda _: login.encode())
    raise SystemExit("a certificate opened another mailbox")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error
ok(app.authenticate("EXTERNAL", lambda _: app_login.encode()))
ok(app.select("INBOX"))
app.logout()
print("all well")
