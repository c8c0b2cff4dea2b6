"""An organisation's mail server that hands mails in, and keeps a log of its own.

    client.py LOG PORT[,PORT...] SENDERS SEED < one JSON line for each mail

A mail is {"token", "from", "to": [...], "files", "in_reply_to", "headers", "secret"}, the last four as wanted; the secret stands in
subject, text and files. A mail is sent as soon as its line is read. It does what
RFC 5321 asks of a mail server: what was not answered with 250 is sent again, the same octets in the same envelope, until
it is, with several ports to whichever of them comes by chance. The line of the log that says 250 is on the disk before the next command.
"""

import email.message
import email.policy
import hashlib
import json
import os
import queue
import random
import smtplib
import sys
import threading
import time


def compose(order, seed):
    """The mail's octets and the digests of its files: the same for the same order."""
    dice = random.Random(f"{seed} {order['token']}")
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = order["from"]
    mail["To"] = ", ".join(order["to"])
    mail["Subject"] = f"Ansökan {order['token']} {order.get('secret', '')}".strip()
    mail["Date"] = "Mon, 02 Nov 2026 10:00:00 +0100"
    mail["Message-ID"] = f"<{order['token']}@client.test>"
    if order.get("in_reply_to"):
        mail["In-Reply-To"] = mail["References"] = order["in_reply_to"]
    for header in order.get("headers", []):
        mail[header[0]] = header[1]
    secret = order.get("secret", "")
    mail.set_content((f"{secret}\n" if secret else "") + "Hej!\n\nHär kommer handlingarna.\n.\n..två punkter\n\nVänliga hälsningar\n" + "Räksmörgås. " * dice.randint(1, 40))
    digests = []
    for number in range(order.get("files", 0)):
        octets = b"%PDF-1.4\n" + secret.encode() * 20 + dice.randbytes(dice.randint(40_000, 60_000))
        digests.append(hashlib.sha256(octets).hexdigest())
        mail.add_attachment(octets, maintype="application", subtype="pdf", filename=f"bilaga {number}.pdf")
    return mail.as_bytes(), digests


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a", encoding="utf-8"), threading.Lock()

    def write(self, **line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())


def attempt(port, held, order, octets):
    """One attempt; the connection to go on with. Raises when it is not known or not accepted."""
    smtp = held or smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=60)
    if not held:
        smtp.ehlo()
    code, said = smtp.mail(order["from"], ["RET=HDRS", "BODY=8BITMIME", f"ENVID={order['token']}"])
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
    for to in order["to"]:
        code, said = smtp.rcpt(to, ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{to}"])
        if code not in (250, 251):
            raise smtplib.SMTPResponseException(code, said)
    code, said = smtp.data(octets)
    if code != 250:
        raise smtplib.SMTPResponseException(code, said)
    return smtp


def send(ports, seed, orders, log, number):
    dice, held = random.Random(f"{seed} sender {number}"), None
    while (order := orders.get()) is not None:
        octets, digests = compose(order, seed)
        tries = 0
        while True:
            tries += 1
            try:
                held = attempt(dice.choice(ports), held, order, octets)
                log.write(event="accepted", token=order["token"], to=order["to"], files=digests, tries=tries, at=time.time())
                break
            except smtplib.SMTPResponseException as error:
                held = None
                event = "refused" if error.smtp_code >= 500 else "deferred"
                log.write(event=event, token=order["token"], to=order["to"], code=error.smtp_code, said=str(error.smtp_error))
                if event == "refused":
                    break
            except (OSError, smtplib.SMTPException) as error:
                held = None
                log.write(event="broken", token=order["token"], why=repr(error))
            time.sleep(dice.uniform(0.05, 0.3))
        # Some say goodbye, some go on with the next mail, some just leave.
        fate = dice.random() if number else 0
        try:
            if held and fate < 0.4:
                held.quit()
                held = None
            elif held and fate < 0.6:
                held.close()
                held = None
        except (OSError, smtplib.SMTPException):
            held = None
    try:
        if held:
            held.quit()
    except (OSError, smtplib.SMTPException):
        pass


def main(path, ports, senders, seed):
    orders, log, ports = queue.Queue(), Log(path), [int(port) for port in ports.split(",")]
    threads = [threading.Thread(target=send, args=(ports, seed, orders, log, number)) for number in range(int(senders))]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        orders.put(json.loads(line))
    for _ in threads:
        orders.put(None)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:5])
