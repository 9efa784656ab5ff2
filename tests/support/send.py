"""Sends standard input with smtplib, over STARTTLS and after a login, as the JSON of the first argument says."""

import json
import smtplib
import ssl
import sys

wanted = json.loads(sys.argv[1])
with smtplib.SMTP("localhost", wanted["port"], timeout=60) as link:
    link.starttls(context=ssl.create_default_context(cafile=wanted["ca"]))
    link.login(wanted["login"], wanted["password"])
    message = sys.stdin.buffer.read()
    try:
        refused = link.sendmail(wanted["from"], wanted["to"], message, wanted["mail"], wanted["rcpt"])
    except smtplib.SMTPException as error:
        sys.exit(f"{error}")
    if refused:
        sys.exit(f"{refused}")
