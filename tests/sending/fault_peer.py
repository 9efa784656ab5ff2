"""Another operator's server that misbehaves, one way a port. Not ours: Python's own ssl and sockets.

    fault_peer.py SPEC.json        SPEC: {"cert", "key", "ca", "journal", "certificates": {name: {"cert", "key"}}, "faults": [name, ...]}

Prints one JSON line {fault: port} when all listen, then serves until its standard input closes. What it has taken (answered 250 to) is a
JSON line in `journal`: {"fault", "to": [...], "message_id", "bytes", "chunked"}; written before the 250 is sent.
"""
import json, os, socket, ssl, struct, sys, threading, time

LOCK = threading.Lock()


class Gone(Exception):
    pass


class Peer:
    """One connection and its fault."""

    def __init__(self, spec, fault, sock):
        self.spec, self.fault, self.sock = spec, fault, sock
        self.file = sock.makefile("rb")
        self.tls = False

    # ---- saying and hearing ----

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def line(self):
        line = self.file.readline(70000)
        if not line:
            raise Gone
        return line.rstrip(b"\r\n").decode("utf-8", "replace")

    def silence(self):
        while self.sock.recv(65536):
            pass
        raise Gone

    def reset(self):
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A TLS socket's close is polite; the descriptor's is not.
        os.close(raw.detach())
        raise Gone

    def at(self, step):
        """What the fault does in place of the answer to `step`; None: nothing, answer as you should."""
        kind, _, where = self.fault.partition("@")
        if where != step:
            return False
        if kind == "silence":
            self.silence()
        elif kind == "reset":
            self.reset()
        elif kind == "half":
            self.sock.sendall(b"250-half a rep")
            raise Gone
        elif kind == "long":
            self.sock.sendall(b"250 " + b"x" * 100_000 + b"\r\n")
        elif kind == "lines":
            self.sock.sendall(b"250-one of very many\r\n" * 1000 + b"250 the last\r\n")
        elif kind == "binary":
            self.sock.sendall(bytes(range(256)) + b"\r\n")
        elif kind == "bare-lf":
            self.sock.sendall(b"250 Ok\n250 Ok\n")
        elif kind == "nocode":
            self.say("hello to you too")
        elif kind.isdigit():
            self.say(f"{kind} {kind[0]}.7.0 Fault as asked at {step}")
            if kind == "421":
                raise Gone
            return True
        else:
            raise SystemExit(f"unknown fault {self.fault}")
        return True

    # ---- the conversation ----

    def serve(self):
        if not self.at("greeting"):
            self.say("220 fautes.example ESMTP")
        self.mail, self.rcpt, self.done = None, [], 0
        while True:
            line = self.line()
            verb = line.split(" ")[0].upper()
            handler = getattr(self, "do_" + verb.lower(), None)
            if handler is None:
                self.say("500 5.5.1 What?")
            else:
                handler(line)

    def do_ehlo(self, _):
        step = "ehlo-tls" if self.tls else "ehlo"
        if self.at(step):
            return
        words = ["fautes.example", "SIZE 40000000", "ENHANCEDSTATUSCODES"]
        if not self.tls and self.fault != "no-starttls":
            words.append("STARTTLS")
        if self.fault != "no-8bit":
            words.append("8BITMIME")
        if self.fault not in ("no-pipelining",):
            words.append("PIPELINING")
        if not any(self.fault.endswith(where) for where in ("@data", "@dot")) and self.fault != "no-chunking":
            words.append("CHUNKING")
        if self.fault == "dsn":
            words.append("DSN")
        if self.fault == "small":
            words[1] = "SIZE 1000"
        for word in words[:-1]:
            self.say("250-" + word)
        self.say("250 " + words[-1])

    do_helo = do_ehlo

    def do_starttls(self, _):
        if self.at("starttls"):
            return
        if self.fault == "injected":
            self.sock.sendall(b"220 Go\r\n250 Ok injected\r\n")
        else:
            self.say("220 Go")
        if self.fault == "silence@handshake":
            self.silence()
        if self.fault == "reset@handshake":
            self.reset()
        if self.fault == "garbage@handshake":
            self.sock.sendall(b"this is no TLS record at all\r\n")
            raise Gone
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(self.spec["ca"])
        context.verify_mode = ssl.CERT_REQUIRED
        pair = self.spec["certificates"].get(self.fault.removeprefix("certificate:"), self.spec)
        context.load_cert_chain(pair["cert"], pair["key"])
        if self.fault == "cbc-only":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-RSA-AES128-SHA:AES128-SHA@SECLEVEL=0")
        if self.fault == "tls11-only":
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")
        self.tls = True

    def do_mail(self, line):
        if not self.tls:
            return self.say("530 5.7.0 STARTTLS first")
        if self.at("mail"):
            return
        self.mail, self.rcpt = line, []
        self.say("250 2.1.0 Ok")

    def do_rcpt(self, line):
        to = line.split("<", 1)[1].split(">", 1)[0]
        if self.at("rcpt"):
            return
        if self.fault == "mixed" and to.startswith("refuse"):
            return self.say("550 5.1.1 Nobody of that name")
        if self.fault == "mixed" and to.startswith("later"):
            return self.say("450 4.2.0 Not now")
        self.rcpt.append(to)
        self.say("250 2.1.5 Ok")

    def do_data(self, _):
        if self.at("data"):
            return
        if not self.rcpt:
            return self.say("554 5.5.1 Nobody to send it to")
        self.say("354 Go on")
        body = b""
        while True:
            if self.fault == "reset@body" and len(body) > 100:
                self.reset()
            line = self.file.readline()
            if not line:
                raise Gone
            if line == b".\r\n":
                break
            body += line[1:] if line.startswith(b".") else line
        self.end(body, False)

    def do_bdat(self, line):
        words = line.split()
        left, body = int(words[1]), b""
        while left:
            if self.fault == "reset@body" and body:
                self.reset()
            if self.fault == "silence@body":
                time.sleep(3600)
            piece = self.file.read(min(left, 512 if self.fault == "reset@body" else 65536))
            if not piece:
                raise Gone
            body += piece
            left -= len(piece)
        self.end(body, True)

    def end(self, body, chunked):
        if self.at("dot" if not chunked else "bdat"):
            self.mail, self.rcpt = None, []
            return
        header = body.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace")
        ids = [line.split(":", 1)[1].strip() for line in header.split("\r\n") if line.lower().startswith("message-id:")]
        note = {"fault": self.fault, "from": self.mail, "to": self.rcpt, "message_id": ids[0] if ids else None, "bytes": len(body), "chunked": chunked,
                "header": header}
        with LOCK, open(self.spec["journal"], "a") as journal:
            journal.write(json.dumps(note) + "\n")
            journal.flush()
        if self.fault == "taken-then-reset":
            self.reset()
        self.say("250 2.0.0 Ok taken")
        self.mail, self.rcpt = None, []
        if self.fault == "250-then-reset":
            self.reset()
        if self.fault == "250-then-421":
            self.say("421 4.3.2 Closing")
            raise Gone

    def do_rset(self, _):
        self.mail, self.rcpt = None, []
        self.say("250 2.0.0 Ok")

    def do_noop(self, _):
        self.say("250 2.0.0 Ok")

    def do_quit(self, _):
        if self.fault == "silence@quit":
            self.silence()
        self.say("221 2.0.0 Bye")
        raise Gone


def talk(spec, fault, sock):
    sock.settimeout(120)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        Peer(spec, fault, sock).serve()
    except (Gone, OSError, ValueError):
        pass
    finally:
        try:
            sock.close()
        except OSError:
            pass


def listen(spec, fault):
    server = socket.create_server(("127.0.0.1", 0), backlog=200)

    def accept():
        while True:
            sock, _ = server.accept()
            threading.Thread(target=talk, args=(spec, fault, sock), daemon=True).start()

    if fault != "black-hole":
        # A black hole's connections stay in the kernel's queue: open, and nobody there.
        threading.Thread(target=accept, daemon=True).start()
    return server


def main():
    spec = json.load(open(sys.argv[1]))
    servers = {fault: listen(spec, fault) for fault in spec["faults"]}
    print(json.dumps({fault: server.getsockname()[1] for fault, server in servers.items()}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
