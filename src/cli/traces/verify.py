#!/usr/bin/env python3
"""Verifies proof.json without its operator: python3 verify.py proof.json [PUBLIC-KEY.pem]
Needs Python 3 and openssl 3. With the operator's public key given, the proof's own must be the same."""
import hashlib, json, os, subprocess, sys, tempfile

proof = json.load(open(sys.argv[1], encoding="utf-8"))
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
# The moment is written otherwise for people; what is empty need not be written.
bare = lambda trace: {name: value for name, value in trace.items() if name != "at" and value not in ({}, [], "", None)}
if proof["format"] != "caducee-proof-1":
    sys.exit("unknown format")
if len(sys.argv) > 2 and open(sys.argv[2]).read().split() != proof["public_key"].split():
    sys.exit("BAD: signed with another key")

with tempfile.TemporaryDirectory() as place:
    at = lambda name: os.path.join(place, name)
    open(at("key"), "w").write(proof["public_key"])
    for block in proof["blocks"]:
        lines = [bytes.fromhex(line) for line in block["line_hashes"]]
        if sha(b"caducee trace block 1\n", bytes.fromhex(block["head"]), *lines).hex() != block["hash"]:
            sys.exit("BAD: block %s/%d is not what its hash says" % (block["day"], block["number"]))
        open(at("hash"), "wb").write(bytes.fromhex(block["hash"]))
        open(at("signature"), "wb").write(bytes.fromhex(block["signature"]))
        verified = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", at("key"), "-rawin",
                                   "-in", at("hash"), "-sigfile", at("signature")], capture_output=True)
        if verified.returncode != 0:
            sys.exit("BAD: the signature of block %s/%d does not hold" % (block["day"], block["number"]))

for number, step in enumerate(proof["steps"], 1):
    text, prefix = step["text"].encode(), bytes.fromhex(step["prefix"])
    line = sha(b"caducee trace line 1\n", len(prefix).to_bytes(4, "big"), prefix, text)
    if line.hex() != proof["blocks"][step["block"]]["line_hashes"][step["line"]]:
        sys.exit("BAD: step %d is not what was written down" % number)
    said = json.loads(text)
    if said.get("message", {}).get("message_id") != proof["message_id"]:
        sys.exit("BAD: step %d is about another message" % number)
    if bare(step["trace"]) != bare(said):
        sys.exit("BAD: step %d is shown otherwise than it was written down" % number)
    print(step["trace"]["at"], said["action"])
print("OK: %d steps, as they were written down and signed" % len(proof["steps"]))
