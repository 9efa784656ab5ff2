#!/usr/bin/env python3
"""The measuring rig: Caducée beside Debian's Postfix + Dovecot, in the same minutes, under the same load.

    benches/rig.py --kit DIR [--phases smtp,idle,...] [--rounds 3] [--only caducee|pair] [--out FILE]

DIR is the black-box kit (msggen.py, loadgen/); the rig builds its load generator, starts a sandbox of the release binary, gives
operator A a thousand mailboxes (u0 … u999), starts the pair (benches/pair.sh, as root) with operator A's own certificate, and runs
each phase on one and then on the other, so that what the machine does meanwhile falls on both.
What each phase is, is said in docs/performance.md. Everything is on loopback, bounded, and stopped at the end.
"""
import argparse, http.client, json, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
PASSWORD = "Rig-secret-2026-rig"


class Unix(http.client.HTTPConnection):
    """HTTP over the administration socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def run(*command, **kw):
    return subprocess.run([str(c) for c in command], check=True, text=True, **kw)


def create_mailboxes(admin, domain, wanted):
    link = Unix(admin)
    for name in wanted:
        body = {"address": f"{name}@{domain}", "kind": "ORG", "allow_password": True, "password": {"set": PASSWORD}, "quota": 64 << 30,
                "notification_address": "banc@courriel.example",
                "holder": {"structure_id": "1690000001", "entity": "Banc d'essai", "last_name": "ESSAI", "first_name": "Banc"}}
        link.request("POST", "/v1/mailboxes", json.dumps(body), {"Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read()
        if answer.status not in (200, 201) and b"exists" not in text and b"taken" not in text:
            sys.exit(f"creating {name}: {answer.status} {text.decode()}")


def corpus(kit, out, sender, recipient):
    sys.path.insert(0, str(kit))
    import msggen
    msggen.make.__defaults__ = (sender, recipient)
    sys.argv = ["msggen", str(out)]
    msggen.main()


def start_sandbox(binary, where):
    process = subprocess.Popen([binary, "sandbox", "--dir", where, "--base-port", "0"], stdout=open(where + ".log", "w"), stderr=subprocess.STDOUT)
    deadline = time.time() + 60
    path = pathlib.Path(where) / "sandbox.json"
    while not path.exists():
        if process.poll() is not None or time.time() > deadline:
            sys.exit(f"the sandbox did not start, see {where}.log")
        time.sleep(0.1)
    return process, json.loads(path.read_text())


def cpu_seconds(pids):
    """Processor time of these processes so far, all threads."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    """VmHWM in MiB."""
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def metric(operator, name):
    link = http.client.HTTPConnection("127.0.0.1", operator["ports"]["metrics"], timeout=20)
    link.request("GET", "/metrics")
    text = link.getresponse().read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


class Rig:
    def __init__(self, options):
        self.o = options
        self.base = pathlib.Path(options.dir or tempfile.mkdtemp(prefix="caducee-rig-"))
        self.base.mkdir(parents=True, exist_ok=True)
        # Dovecot runs as a user of its own and has to pass through.
        self.base.chmod(0o755)
        self.processes = []

    def abs(self, path):
        return path if os.path.isabs(path) else str(pathlib.Path(self.sandbox_dir) / path)

    def set_up(self):
        kit = pathlib.Path(self.o.kit).resolve()
        build = self.base.parent / "caducee-rig-loadgen" if not self.o.loadgen else None
        if build:
            shutil.copytree(kit / "loadgen", build, dirs_exist_ok=True)
            run("cargo", "build", "--release", "--quiet", "--manifest-path", build / "Cargo.toml")
        self.loadgen = self.o.loadgen or str(build / "target/release/loadgen")
        self.sandbox_dir = str(self.base / "sandbox")
        process, self.box = start_sandbox(self.o.caducee, self.sandbox_dir)
        self.processes.append(process)
        a, b = self.box["operators"][0], self.box["operators"][1]
        self.a, self.b = a, b
        self.domain, self.peer = a["domains"][0], b["domains"][0]
        self.sender = f"dr.expediteur@{self.peer}"
        create_mailboxes(self.abs(a["admin_socket"]), self.domain, [f"u{i}" for i in range(self.o.users)])
        if not (self.base / "corpus").exists():
            corpus(kit, self.base / "corpus", self.sender, f"u0@{self.domain}")
        self.sides = {"caducee": dict(smtp=f"127.0.0.1:{a['ports']['smtp']}", imap=f"127.0.0.1:{a['ports']['imaps']}", pids=[a["pid"]],
                                      login="@".join(["{}", self.domain]), password=PASSWORD, wait="")}
        if self.o.only != "caducee":
            self.start_pair()
        if self.o.only:
            self.sides = {self.o.only: self.sides[self.o.only]}

    def start_pair(self):
        pki = self.base / "pair-pki"
        pki.mkdir(exist_ok=True)
        shutil.copy(self.abs(self.a["cert"]), pki / "server.chain.pem")
        shutil.copy(self.abs(self.a["key"]), pki / "server.key")
        shutil.copy(self.abs(self.box["ca"]), pki / "ca.pem")
        self.pair_dir = str(self.base / "pair")
        run(HERE / "pair.sh", self.pair_dir, pki, 2525, 2993, self.domain, stdin=subprocess.DEVNULL, stdout=open(self.pair_dir + ".log", "w"), stderr=subprocess.STDOUT)

        def pid(path):
            file = pathlib.Path(self.pair_dir, path)
            for _ in range(100):
                if file.exists() and file.read_text().strip():
                    return int(file.read_text())
                time.sleep(0.1)
            sys.exit(f"the pair did not start: no {file}, see {self.pair_dir}.log")

        self.sides["pair"] = dict(smtp="127.0.0.1:2525", imap="127.0.0.1:2993", pids=[pid("queue/pid/master.pid"), pid("run/master.pid")],
                                  login="{}", password="secret", wait=f"while [ -n \"$(find {self.pair_dir}/queue/active {self.pair_dir}/queue/incoming -type f 2>/dev/null | head -n 1)\" ]; do sleep 0.05; done")

    def tls(self):
        return ["--ca", self.abs(self.box["ca"]), "--cert", self.abs(self.b["cert"]), "--key", self.abs(self.b["key"]), "--server-name", self.o.server_name]

    def generate(self, side, *words, wait=False):
        s = self.sides[side]
        pids = [w for p in s["pids"] for w in ("--pid", str(p))]
        command = [self.loadgen, *map(str, words), *pids]
        began = time.time()
        text = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900).stdout
        if wait and s["wait"]:
            accepted = time.time()
            subprocess.run(["sh", "-c", s["wait"]], timeout=120)
            text += f"  queue drained {time.time() - accepted:.2f} s after the last 250; {time.time() - began:.2f} s in all\n"
        self.say(f"== {side} {' '.join(w for w in map(str, words[:1]))} load {os.getloadavg()[0]:.1f}\n{text}")

    def say(self, text):
        print(text, flush=True)
        if self.o.out:
            with open(self.o.out, "a") as f:
                f.write(text + "\n")

    def smtp_to(self, side):
        return ["--smtp", self.sides[side]["smtp"], *self.tls(), "--ehlo", self.peer, "--corpus", self.base / "corpus", "--domain", self.domain,
                "--users", self.o.users, "--from", self.sender, "--quickack"]

    def imap_to(self, side, user):
        s = self.sides[side]
        return ["--imap", s["imap"], *self.tls(), "--user", s["login"].replace("{}", user), "--password", s["password"]]

    def phase_smtp(self, side, tag):
        self.generate(side, "smtp", *self.smtp_to(side), "-c", 16, "-m", self.o.messages, "--run", tag, wait=True)

    def phase_small(self, side, tag):
        self.generate(side, "smtp", *self.smtp_to(side), "-c", 16, "-m", 150, "--mix", "1,0,0,0", "--run", tag, wait=True)

    def phase_newconn(self, side, tag):
        self.generate(side, "smtp", *self.smtp_to(side), "-c", 8, "-m", 50, "--mix", "1,0,0,0", "--new-conn", "--run", tag)

    def phase_idle(self, side, tag):
        s = self.sides[side]
        self.generate(side, "idle", "--imap", s["imap"], *self.smtp_to(side), "--login", s["login"].replace("{}", "u{}"), "--password", s["password"],
                      "-c", self.o.idle, "--probes", 100)

    def phase_push(self, side, tag):
        """50 messages a second arriving: 250 to EXISTS."""
        s = self.sides[side]
        command = [sys.executable, HERE / "push.py", "--smtp", s["smtp"], "--imap", s["imap"], "--ca", self.abs(self.box["ca"]), "--cert", self.abs(self.b["cert"]),
                   "--key", self.abs(self.b["key"]), "--name", self.o.server_name, "--domain", self.domain, "--from", self.sender,
                   "--login", s["login"].replace("{}", "u{}"), "--password", s["password"]]
        text = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300).stdout
        self.say(f"== {side} push load {os.getloadavg()[0]:.1f}\n{text}")

    def through(self, tag, corpus, *words):
        """Mail of one operator's client to the other's mailboxes: submission, queue, relay, mailbox. Processor time of both, to the last delivery."""
        a, b = self.a, self.b
        if not getattr(self, "recipients_at_b", False):
            create_mailboxes(self.abs(b["admin_socket"]), self.peer, [f"u{i}" for i in range(self.o.users)])
            create_mailboxes(self.abs(a["admin_socket"]), self.domain, ["banc"])
            self.recipients_at_b = True
        pids, before = [a["pid"], b["pid"]], metric(b, "caducee_deliveries_total")
        syncs = [metric(operator, "caducee_log_syncs_total") for operator in (a, b)]
        spent, began = [cpu_seconds([pid]) for pid in pids], time.time()
        command = [self.loadgen, "smtp", "--smtp", f"127.0.0.1:{a['ports']['submission']}", *self.tls(), "--auth", f"banc@{self.domain}:{PASSWORD}", "--corpus", corpus,
                   "--domain", self.peer, "--users", self.o.users, "--from", f"banc@{self.domain}", "--quickack", "--run", tag, *words]
        text = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900).stdout
        accepted = time.time() - began
        count = int(text.split(" msgs ")[1].split()[0])
        deadline = time.time() + 300
        while metric(b, "caducee_deliveries_total") < before + count and time.time() < deadline:
            time.sleep(0.1)
        whole = time.time() - began
        spent = [cpu_seconds([pid]) - then for pid, then in zip(pids, spent)]
        syncs = [metric(operator, "caducee_log_syncs_total") - then for operator, then in zip((a, b), syncs)]
        arrived = metric(b, "caducee_deliveries_total") - before
        self.say(f"== caducee through load {os.getloadavg()[0]:.1f}\n{text}  {arrived:.0f} of {count} in the other operator's mailboxes after {whole:.2f} s (accepted {accepted:.2f} s): "
                 f"{count / whole:.0f} msg/s, {sum(spent) / count * 1000:.2f} ms CPU a message for both servers ({' and '.join(f'{each / count * 1000:.2f}' for each in spent)}), "
                 f"{' and '.join(f'{each / count:.2f}' for each in syncs)} syncs; peak memory {peak_memory(a['pid']):.0f} and {peak_memory(b['pid']):.0f} MiB")

    def sender_corpus(self, size=None):
        """The corpus with the sender that submission allows; `size`: one message of so many bytes in place of it."""
        out = self.base / f"corpus-out-{size or 'mix'}"
        if not out.exists():
            shutil.copytree(self.base / "corpus", out)
            for file in out.glob("*.eml"):
                file.write_bytes(file.read_bytes().replace(self.sender.encode(), f"banc@{self.domain}".encode()))
                if size and file.name.startswith("m4"):
                    body = file.read_bytes()
                    file.write_bytes(body + b"".join(b"%071d\r\n" % n for n in range((size - len(body)) // 73)))
        return out

    def phase_through(self, side, tag):
        if side == "caducee":
            self.through(tag, self.sender_corpus(), "-c", 16, "-m", self.o.messages)

    def phase_big(self, side, tag):
        """200 messages of 25 MB, all at once, through both operators."""
        if side == "caducee":
            self.through(tag, self.sender_corpus(25_000_000), "-c", 200, "-m", 1, "--mix", "0,0,0,1")

    def phase_resume(self, side, tag):
        """A new connection a message, TLS sessions resumed."""
        self.generate(side, "smtp", *self.smtp_to(side), "-c", 8, "-m", 50, "--mix", "1,0,0,0", "--new-conn", "--resume", "--run", tag)

    def phase_fill(self, side, _tag):
        for user, folder, count in (("u998", "Big10k", 10_000), ("u999", "Big100k", 100_000)):
            self.generate(side, "fill", *self.imap_to(side, user), "--mbox", folder, "-n", count, "--mix", "1,0,0,0", "--corpus", self.base / "corpus")

    def phase_fetch(self, side, _tag):
        for user, folder in (("u998", "Big10k"), ("u999", "Big100k")):
            self.generate(side, "fetch", *self.imap_to(side, user), "--mbox", folder, "--reps", 4)

    def phase_ops(self, side, _tag):
        self.generate(side, "ops", *self.imap_to(side, "u998"), "--mbox", "Big10k", "-c", 4, "-n", 300, "--searches", 3, "--corpus", self.base / "corpus")

    def run(self):
        self.set_up()
        for round_ in range(self.o.rounds):
            for phase in self.o.phases.split(","):
                for side in self.sides:
                    try:
                        getattr(self, f"phase_{phase}")(side, f"{phase}{round_}{int(time.time())}")
                    except subprocess.TimeoutExpired:
                        self.say(f"== {side} {phase}: no end within 900 s")

    def stop(self):
        if hasattr(self, "pair_dir"):
            subprocess.run([HERE / "pair.sh", "stop", self.pair_dir])
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        if not self.o.dir:
            shutil.rmtree(self.base, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kit", default=str(HERE.parent.parent / "shared/kit"))
    p.add_argument("--loadgen", help="a built load generator")
    p.add_argument("--caducee", default=str(HERE.parent / "target/release/caducee"))
    p.add_argument("--phases", default="smtp,small,idle,push,fill,fetch,ops")
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--users", type=int, default=1000)
    p.add_argument("--idle", type=int, default=1000)
    p.add_argument("--messages", type=int, default=60, help="of each of 16 connections, in the phases smtp and through")
    p.add_argument("--only", choices=["caducee", "pair"])
    p.add_argument("--server-name", default="localhost")
    p.add_argument("--dir", help="keep everything here")
    p.add_argument("--out")
    rig = Rig(p.parse_args())
    try:
        rig.run()
    finally:
        rig.stop()


if __name__ == "__main__":
    main()
