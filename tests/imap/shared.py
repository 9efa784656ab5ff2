"""Three people and one mailbox, with Python's imaplib: exits with 0 when all went as it should."""
import imaplib
import ssl
import sys
import time

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
(org, org_password), (anne, anne_password), (bruno, bruno_password) = zip(sys.argv[4::2], sys.argv[5::2])
context = ssl.create_default_context(cafile=ca)


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def refused(answer, code):
    kind, data = answer
    assert kind == "NO" and code in data[0], answer


def login(user, password):
    client = imaplib.IMAP4_SSL(host, port, ssl_context=context)
    ok(client.login(user, password))
    assert "ACL" in client.capability()[1][0].decode().split(), client.capability()
    return client


# The holder lets two people in, one of whom only reads.
holder = login(org, org_password)
ok(holder.create("Partage"))
ok(holder.setacl("INBOX", anne, "lrswikxte"))
ok(holder.setacl("INBOX", bruno, "lr"))
acl = ok(holder.getacl("INBOX"))[0].decode()
assert f'"{anne}" lrswikxtecd' in acl and f'"{bruno}" lr' in acl, acl
refused(holder.setacl("Partage", anne, "lr"), b"CANNOT")

shared = f'"Shared/{org}/Partage"'
one = login(anne, anne_password)
assert ok(one.namespace()) == [b'(("" "/")) NIL (("Shared/" "/"))'], one.namespace()
listed = b"\n".join(ok(one.list('""', '"Shared/*"'))).decode()
assert f'"Shared/{org}/Partage"' in listed and "\\Sent" not in listed, listed
for number in range(1, 4):
    text = f"From: a@b\r\nSubject: essai {number}\r\n\r\nCorps {number}\r\n".encode()
    assert b"APPENDUID" in ok(one.append(shared, None, None, text))[0]
assert ok(one.select(shared)) == [b"3"]
assert ok(one.myrights(shared))[0].endswith(b" lrswikxtecd"), one.myrights(shared)
refused(one.getacl(shared), b"NOPERM")

# The other sees what the first does, while idle, within a second; and changes nothing.
two = login(bruno, bruno_password)
refused(two.append(shared, None, None, b"Subject: non\r\n\r\n"), b"NOPERM")
assert ok(two.select(shared, readonly=True)) == [b"3"]
assert "READ-ONLY" in two.untagged_responses, two.untagged_responses
refused(two.store("1", "+FLAGS", "(\\Seen)"), b"reading only")
two.send(b"i IDLE\r\n")
assert two.readline().startswith(b"+ ")
began = time.monotonic()
ok(one.store("2", "+FLAGS", "(\\Flagged)"))
assert two.readline() == b"* 2 FETCH (FLAGS (\\Flagged))\r\n"
two.send(b"DONE\r\n")
assert two.readline().startswith(b"i OK")
assert time.monotonic() - began < 1, "slow"

# Messages go both ways between mailboxes.
before = int(ok(one.status("Archive", "(MESSAGES)"))[0].split()[-1].rstrip(b")"))
ok(one.copy("1", "Archive"))
ok(one.uid("MOVE", "2", "Archive"))
ok(one.select("Archive"))
last = ok(one.fetch(str(before + 2), "(FLAGS BODY.PEEK[TEXT])"))
assert last[0][1] == b"Corps 2\r\n" and b"\\Flagged" in last[0][0] + last[1], last
ok(one.copy(str(before + 1), shared))
ok(one.store(f"{before + 1}:{before + 2}", "+FLAGS.SILENT", "(\\Deleted)"))
ok(one.expunge())

# A right that is taken away ends what it had opened.
two.send(b"j IDLE\r\n")
while not two.readline().startswith(b"+ "):
    pass
began = time.monotonic()
ok(holder.deleteacl("INBOX", bruno))
while not (said := two.readline()).startswith(b"* BYE"):
    assert said, "the connection ended without a word"
assert time.monotonic() - began < 1, "slow"
two = login(bruno, bruno_password)
refused(two.select(shared), b"NONEXISTENT")
listed = b"\n".join(line or b"" for line in ok(two.list('""', '"Shared/*"')))
assert org.encode() not in listed, listed
two.logout()

# Who writes clears up.
ok(one.delete(shared))
ok(holder.deleteacl("INBOX", anne))
one.logout()
holder.logout()
print("all well")
