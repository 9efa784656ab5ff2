"""Reads a message from standard input with the email package, strictly, and prints what it is as JSON: `type`, `report`
(the report's type), `header` (its fields), `parts` (their types), `status` (the groups of a delivery or disposition
notification's fields), `text` (its first text), `third` (what the third part holds)."""

import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
for part in message.walk():
    if part.defects:
        sys.exit(f"defects in {part.get_content_type()}: {part.defects}")
parts = list(message.iter_parts()) if message.is_multipart() else []
machine = parts[1] if len(parts) > 1 else None
groups = machine.get_payload() if machine is not None else []
if isinstance(groups, str):
    # message/global-delivery-status, which the package does not know: the same in UTF-8.
    text = machine.get_payload(decode=True).decode()
    groups = [email.message_from_string(group) for group in text.replace("\r\n", "\n").strip().split("\n\n")]
text = message.get_body(preferencelist=("plain",))
third = parts[2] if len(parts) > 2 else None
print(json.dumps({
    "type": message.get_content_type(),
    "report": message["Content-Type"].params.get("report-type"),
    "header": {name.lower(): str(value) for name, value in message.items()},
    "parts": [part.get_content_type() for part in parts],
    "status": [{name.lower(): str(value) for name, value in group.items()} for group in groups],
    "text": text.get_content() if text is not None else "",
    "third": third.as_string() if third is not None else "",
}))
