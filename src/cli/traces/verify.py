#!/usr/bin/env python3
"""Verifies proof.json without its operator. Needs Python 3 and openssl 3, and nothing of the network.

    python3 verify.py proof.json [PUBLIC-KEY.pem] [--head HEX]...

PUBLIC-KEY.pem is the operator's key, got from the operator or from whom it was left with: without it the proof's own is
taken, and shows only that nothing was changed since somebody signed. HEX is the hash that ended a day, as the operator left
it with others: the steps that stand under it had been written by then. Neither shows that no step was left out by whoever
gives the proof. Only what is printed here was verified; who made the proof, and when, is not signed."""
import base64, datetime, hashlib, json, os, subprocess, sys, tempfile


def bad(why):
    sys.exit("BAD: " + why)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def der(pem):
    """What a PEM file of an Ed25519 public key holds (RFC 8410), and nothing beside it."""
    words = pem.split()
    if words[:3] != ["-----BEGIN", "PUBLIC", "KEY-----"] or words[-3:] != ["-----END", "PUBLIC", "KEY-----"]:
        bad("the key is no public key")
    key = base64.b64decode("".join(words[3:-3]), validate=True)
    if len(key) != 44 or key[:12].hex() != "302a300506032b6570032100":
        bad("the key is no Ed25519 key")
    return key


def number(head, start, end):
    return int.from_bytes(head[start:end], "big")


def day_of(head):
    return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=number(head, 1, 5)))


def climb(item, index, count, path):
    """The root to which a path leads from an item (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < count:
        bad("a path begins nowhere")
    root, last = sha(b"\0", item), count - 1
    for other in map(bytes.fromhex, path):
        if last == 0:
            bad("a path is too long")
        if index & 1 or index == last:
            root = sha(b"\1", other, root)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            root = sha(b"\1", root, other)
        index, last = index >> 1, last >> 1
    if last != 0:
        bad("a path leads nowhere")
    return root


def is_signed(key, what):
    with tempfile.TemporaryDirectory() as place:
        files = {"key": key.encode(), "hash": bytes.fromhex(what["hash"]), "signature": bytes.fromhex(what["signature"])}
        for name, content in files.items():
            with open(os.path.join(place, name), "wb") as file:
                file.write(content)
        command = "openssl pkeyutl -verify -pubin -inkey key -rawin -in hash -sigfile signature".split()
        try:
            return subprocess.run(command, cwd=place, capture_output=True).returncode == 0
        except FileNotFoundError:
            sys.exit("openssl is not there: nothing was verified")


def verify_block(key, block):
    """A block's own place and signature; the hashes behind its head come with its lines."""
    head, name = bytes.fromhex(block["head"]), "block %s/%s" % (block["day"], block["number"])
    if len(head) != 69 or head[0] != 1 or (day_of(head), number(head, 5, 9)) != (block["day"], block["number"]):
        bad("%s is not the one that its head names" % name)
    if not is_signed(key, block):
        bad("the signature of %s does not hold" % name)
    end = block.get("day_end")
    if end is None:
        return
    seal, tree = bytes.fromhex(end["head"]), bytes.fromhex(end["tree"])
    if len(seal) != 69 or seal[0] != 2 or day_of(seal) != block["day"]:
        bad("%s is shown with the end of another day" % name)
    if sha(b"caducee trace block 2\n", seal, bytes.fromhex(end["before"]), tree).hex() != end["hash"]:
        bad("the end of %s is not what its hash says" % block["day"])
    if not is_signed(key, end):
        bad("the signature of the end of %s does not hold" % block["day"])
    if climb(bytes.fromhex(block["hash"]), block["number"], number(seal, 5, 9), end["path"]) != tree:
        bad("%s does not stand under the end of its day" % name)


def verify_step(proof, name, step):
    """A step's way to the signed hash of its block. Gives its moment, and what it says."""
    text, prefix, block = step["text"].encode(), bytes.fromhex(step["prefix"]), proof["blocks"][step["block"]]
    head, line = bytes.fromhex(block["head"]), step["line"]
    item = sha(b"caducee trace line 1\n", len(prefix).to_bytes(4, "big"), prefix, text)
    if block["format"] == 2:
        behind = climb(item, line, number(head, 33, 37), step["path"])
        hashed = sha(b"caducee trace block 2\n", head, behind)
    else:
        lines = [bytes.fromhex(hash) for hash in block["line_hashes"]]
        if block["format"] != 1 or len(lines) != number(head, 33, 37) or lines[line] != item:
            bad("%s is not what was written down" % name)
        hashed = sha(b"caducee trace block 1\n", head, *lines)
    if hashed.hex() != block["hash"]:
        bad("%s is not what was written down" % name)
    said = json.loads(text)
    if said["at"] != number(prefix, 16, 24) or not number(head, 17, 25) <= said["at"] <= number(head, 25, 33):
        bad("%s was not written down of that moment" % name)
    if said.get("message", {}).get("message_id") != proof["message_id"]:
        bad("%s is about another message" % name)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=said["at"])
    moment = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if step["trace"]["at"] != moment or bare(step["trace"]) != bare(said):
        bad("%s is shown otherwise than it was written down" % name)
    return moment, bare(said)


def bare(said):
    """What is empty need not be written; the moment is written otherwise for people, and compared by itself."""
    return {name: value for name, value in said.items() if name != "at" and value not in ({}, [], "", None)}


def verify(proof, key, heads):
    if proof["format"] != "caducee-proof-2":
        bad("unknown format")
    if der(proof["public_key"]) != der(proof["public_key"] if key is None else key):
        bad("signed with another key")
    for block in proof["blocks"]:
        verify_block(proof["public_key"], block)
    seen, lines, under = set(), [], 0
    for count, step in enumerate(proof["steps"], 1):
        place = (step["block"], step["line"])
        if any(type(part) is not int or part < 0 for part in place) or place in seen:
            bad("step %d stands there twice, or nowhere" % count)
        seen.add(place)
        moment, said = verify_step(proof, "step %d" % count, step)
        if lines and moment < lines[-1][0]:
            bad("step %d is out of order" % count)
        end = proof["blocks"][step["block"]].get("day_end", {}).get("hash")
        under += end in heads
        lines.append((moment, said, end))
    ends = {line[2] for line in lines}
    if not lines:
        bad("it shows nothing")
    if {place[0] for place in seen} != set(range(len(proof["blocks"]))):
        bad("a block is shown of which no step is")
    if not heads <= ends:
        bad("no step stands under the end %s" % ", ".join(sorted(heads - ends)))
    for moment, said, end in lines:
        print(moment, said.pop("action"), json.dumps(said, sort_keys=True))
    for block in proof["blocks"]:
        end = block.get("day_end", {}).get("hash")
        print("%s, block %d: %s" % (block["day"], block["number"], "the day ends with " + end if end else "no day's end"))
    if key is None:
        print("The key is the proof's own: compare it with the operator's.")
    if heads:
        print("%d of %d steps stand under the ends that were given." % (under, len(lines)))
    print("OK: %d steps, as they were written down and signed" % len(lines))


def main(arguments):
    heads, rest = set(), []
    while arguments:
        argument = arguments.pop(0)
        if argument == "--head" and arguments:
            heads.add(arguments.pop(0).lower())
        else:
            rest.append(argument)
    if len(rest) not in (1, 2):
        sys.exit(__doc__)
    try:
        with open(rest[0], encoding="utf-8") as file:
            proof = json.load(file)
        key = open(rest[1], encoding="utf-8").read() if len(rest) > 1 else None
        verify(proof, key, heads)
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as problem:
        bad("it is no proof, or cannot be read: %r" % problem)


if __name__ == "__main__":
    main(sys.argv[1:])
