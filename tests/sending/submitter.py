"""Submits COUNT messages over several connections and writes down which were acknowledged; a lost server is waited for.

    submitter.py PORT CA USER PASSWORD TO COUNT THREADS ACKNOWLEDGED

ACKNOWLEDGED gets a Message-ID a line, written after the server's 250. A message without an answer is submitted again under a new
Message-ID: what became of the old one is nobody's promise.
"""
import smtplib, ssl, sys, threading, time

port, ca, user, password, to, count, threads, acknowledged = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
lock, left = threading.Lock(), list(range(int(count)))
out = open(acknowledged, "a")
deadline = time.time() + 300


def connect():
    while True:
        try:
            link = smtplib.SMTP("localhost", int(port), timeout=30)
            link.starttls(context=context)
            link.login(user, password)
            return link
        except (OSError, smtplib.SMTPException):
            if time.time() > deadline:
                sys.exit("the server stays away")
            time.sleep(0.05)


def work(thread):
    link, tries = None, 0
    while True:
        with lock:
            if not left:
                break
            number = left.pop()
        while True:
            tries += 1
            message_id = f"<{number}.{thread}.{tries}@essai.example>"
            text = f"From: <{user}>\r\nTo: <{to}>\r\nSubject: essai {number}\r\nMessage-ID: {message_id}\r\n\r\nBonjour,\r\n{'x' * 60}\r\n"
            try:
                link = link or connect()
                link.sendmail(user, [to], text)
            except (OSError, smtplib.SMTPException):
                link = None
                continue
            with lock:
                out.write(message_id + "\n")
                out.flush()
            break
    if link:
        try:
            link.quit()
        except (OSError, smtplib.SMTPException):
            pass


workers = [threading.Thread(target=work, args=(n,)) for n in range(int(threads))]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
