#!/usr/bin/env python3
"""From a 250 to the EXISTS in an idle session while messages keep arriving: so many a second, evenly, for many mailboxes.

    benches/push.py --smtp HOST:PORT --imap HOST:PORT --ca FILE --cert FILE --key FILE --name NAME --domain D --from ADDRESS
                    --login 'u{}@D' --password P [--users 50] [--rate 50] [--seconds 20]

One thread a mailbox sits in IDLE over TLS and notes when EXISTS comes; eight SMTP connections over mutual TLS send by a common clock.
Only Python's own library; times are of time.monotonic in one process, so scheduling of this process is in them.
"""
import argparse, queue, smtplib, socket, ssl, threading, time


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def context(o, client):
    c = ssl.create_default_context(cafile=o.ca)
    c.check_hostname = False
    if client:
        c.load_cert_chain(o.cert, o.key)
    return c


class Idler(threading.Thread):
    """A session in IDLE; `seen` gets (EXISTS count, time)."""

    def __init__(self, o, n):
        super().__init__(daemon=True)
        raw = socket.create_connection(address(o.imap), 20)
        self.sock = context(o, False).wrap_socket(raw, server_hostname=o.name)
        self.file = self.sock.makefile("rb")
        self.seen = queue.Queue()
        self.file.readline()
        self.command(b"a", f'LOGIN "{o.login.replace("{}", str(n))}" "{o.password}"'.encode())
        self.start_count = next(int(line.split()[1]) for line in self.command(b"b", b"SELECT INBOX") if line.endswith(b"EXISTS\r\n"))
        self.sock.sendall(b"c IDLE\r\n")
        self.file.readline()
        self.sock.settimeout(120)

    def command(self, tag, words):
        self.sock.sendall(tag + b" " + words + b"\r\n")
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                raise SystemExit("the IMAP server closed the connection")
            if line.startswith(tag + b" "):
                if b" OK" not in line:
                    raise SystemExit(line.decode())
                return lines
            lines.append(line)

    def run(self):
        try:
            while line := self.file.readline():
                if line.endswith(b"EXISTS\r\n"):
                    self.seen.put((int(line.split()[1]), time.monotonic()))
        except OSError:
            pass


def sender(o, jobs, took):
    link = smtplib.SMTP(*address(o.smtp), local_hostname="rig.example", timeout=60)
    link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link._host = o.name
    link.starttls(context=context(o, True))
    link.ehlo()
    while (job := jobs.get()) is not None:
        n, number, at = job
        time.sleep(max(0, at - time.monotonic()))
        to = f"u{n}@{o.domain}"
        text = f"From: <{o.sender}>\r\nTo: <{to}>\r\nSubject: essai {number}\r\nMessage-ID: <{number}.{time.time()}@rig.example>\r\n\r\nBonjour,\r\n"
        link.sendmail(o.sender, [to], text.encode())
        took.put((n, time.monotonic()))
    link.quit()


def percentile(values, p):
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("smtp", "imap", "ca", "cert", "key", "name", "domain", "login", "password"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--from", dest="sender", required=True)
    p.add_argument("--users", type=int, default=50)
    p.add_argument("--rate", type=float, default=50)
    p.add_argument("--seconds", type=float, default=20)
    o = p.parse_args()
    idlers = [Idler(o, n) for n in range(o.users)]
    for idler in idlers:
        idler.start()
    jobs, took = queue.Queue(), queue.Queue()
    total, begin = int(o.rate * o.seconds), time.monotonic() + 1
    for number in range(total):
        jobs.put((number % o.users, number, begin + number / o.rate))
    threads = [threading.Thread(target=sender, args=(o, jobs, took)) for _ in range(8)]
    for thread in threads:
        jobs.put(None)
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - begin
    accepted = {n: [] for n in range(o.users)}
    while not took.empty():
        n, at = took.get()
        accepted[n].append(at)
    delays, missing = [], 0
    for n, times in accepted.items():
        seen = {}
        deadline = time.monotonic() + 10
        while len(times) and max(seen, default=0) < idlers[n].start_count + len(times) and time.monotonic() < deadline:
            try:
                count, at = idlers[n].seen.get(timeout=1)
                seen[count] = at
            except queue.Empty:
                pass
        for k, at in enumerate(sorted(times)):
            # One EXISTS may tell of several messages: the first that counts this one in.
            told = [t for count, t in seen.items() if count >= idlers[n].start_count + k + 1]
            if told:
                delays.append(max(0.0, min(told) - at) * 1000)
            else:
                missing += 1
    delays.sort()
    print(f"  {total} messages in {lasted:.1f} s ({total / lasted:.1f}/s), {missing} not seen; 250 to EXISTS ms: "
          f"p50 {percentile(delays, 50):.2f} p95 {percentile(delays, 95):.2f} p99 {percentile(delays, 99):.2f} max {delays[-1]:.2f}")


if __name__ == "__main__":
    main()
