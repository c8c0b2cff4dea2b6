"""The people on both sides, with the mail programs that they have: they read by IMAP and answer by SMTP.

    people.py LOG < ORDER

ORDER is JSON: {"sides": [{"name", "smtp", "imap", "domain"}, the other], "boxes": [names], "conversations", "turns", "patience"}.
A conversation begins on one side; each turn is an answer made out of the mail that came, as the program would make it. A line
of LOG is one mail, sent or found in a mailbox. It ends when every turn and every notice has come, or when patience ends.
"""

import base64
import email
import email.message
import email.policy
import email.utils
import hashlib
import html
import html.parser
import imaplib
import json
import random
import re
import smtplib
import struct
import sys
import threading
import time
import zlib

TOKEN = re.compile(r"konv-(\d{3})")
PROGRAMS = ["outlook", "thunderbird", "iphone", "outlook-bare"]
SENTENCES = [
    "Räksmörgåsen på Ölands södra udde kostar 25 % mer i år.",
    "Vi behöver handlingarna senast den 3 november, enligt 4 kap. 2 § förvaltningslagen.",
    "Åsa Öström-Çelik har tagit över ärendet efter Börje.",
    "Beloppet är 1 234 567 kr – se bilagan “Beslut”.",
    "Är x < 5 & y > 7? Då gäller undantaget.",
    "Fastigheten heter Håbo-Häggeby 3:12, gården närmast ån.",
    "Tack på förhand, och ursäkta dröjsmålet!",
    "Kan ni återkomma om når ni har hört av vårdnadshavaren?",
]


class Text(html.parser.HTMLParser):
    """The text of a page, as a reader sees it."""

    def __init__(self, page):
        super().__init__()
        self.words, self.hidden = [], 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("style", "head", "title")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "head", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)


def one_line(text):
    return " ".join(text.split())


def picture(dice, side):
    rows = b"".join(b"\0" + dice.randbytes(3 * side) for _ in range(side))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def files_of(dice):
    files = []
    for number in range(dice.choice([0, 0, 1, 1, 2, 3])):
        kind = dice.choice(["pdf", "png", "txt"])
        if kind == "pdf":
            files.append((f"Beslut åäö {number}.pdf", "application", "pdf", b"%PDF-1.7\n" + dice.randbytes(dice.choice([900, 30_000, 120_000])) + b"\n%%EOF\n"))
        elif kind == "png":
            files.append((f"karta ({number}).png", "image", "png", picture(dice, dice.choice([90, 180]))))
        else:
            text = "Särskilda upplysningar\r\n.\r\n..\r\nsista raden utan slut"
            files.append((f"anteckning_{number}.txt", "text", "plain", (text * dice.randint(1, 50)).encode()))
    return files


def paragraphs_of(token, turn, dice):
    return [f"Hej, detta är märke {token}/{turn}."] + dice.sample(SENTENCES, dice.randint(2, 5)) + ["Vänliga hälsningar", f"Handläggare {turn}, Åmåls kommun"]


def flowed(text, width=72):
    """RFC 3676: a line that goes on ends in a space."""
    lines = []
    for line in text.split("\n"):
        while len(line) > width and " " in line[:width]:
            cut = line.rindex(" ", 0, width)
            lines.append(line[: cut + 1])
            line = line[cut + 1 :]
        lines.append(line)
    return "\n".join(lines)


def page_of(paragraphs, program, quoted):
    if program.startswith("outlook"):
        written = "".join(f'<p class="MsoNormal">{html.escape(text, quote=False)}<o:p></o:p></p>\n' for text in paragraphs)
        style = "<style><!-- p.MsoNormal {margin:0cm; font-size:11.0pt; font-family:\"Calibri\",sans-serif;} --></style>"
        head = f'<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">{style}</head>'
        return f'<html xmlns:o="urn:schemas-microsoft-com:office:office">{head}<body lang="SV"><div class="WordSection1">{written}{quoted}</div></body></html>'
    written = "".join(f"<div>{html.escape(text, quote=False)}</div>" for text in paragraphs)
    return f'<html><head></head><body dir="auto">{written}<div>Skickat från min iPhone</div>{quoted}</body></html>'


def quoted_page(mail, program):
    """What came, below a line or a header block."""
    body = mail.get_body(("html",)).get_content()
    inner = re.sub(r"(?s)^.*?<body[^>]*>|</body>.*$", "", body)
    sender, sent, subject = (html.escape(str(mail[name])) for name in ("From", "Date", "Subject"))
    if program.startswith("outlook"):
        block = f"<b>Från:</b> {sender} <br><b>Skickat:</b> {sent}<br><b>Till:</b> {html.escape(str(mail['To']))}<br><b>Ämne:</b> {subject}<o:p></o:p>"
        return f'<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">{block}</p></div>{inner}'
    return f'<div><br><blockquote type="cite">{sent} skrev {sender}:<br><br></blockquote></div><blockquote type="cite">{inner}</blockquote>'


def compose(token, turn, program, sender, recipient, answered, dice):
    """A mail, and what it says."""
    paragraphs, files = paragraphs_of(token, turn, dice), files_of(dice)
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = email.utils.formataddr(("Åsa Öberg", sender))
    mail["To"] = recipient
    subject = str(answered["Subject"]) if answered else f"Ärende {token}: ansökan på Ödegården"
    prefix = "" if not answered else "Re: " if program == "thunderbird" else "SV: "
    mail["Subject"] = prefix + subject
    mail["Date"] = email.utils.formatdate(localtime=True)
    mail["Message-ID"] = f"<{token}.{turn}.{dice.randrange(1 << 60):x}@{sender.split('@')[1]}>"
    if answered:
        identity = str(answered["Message-ID"])
        if program != "outlook-bare":
            mail["In-Reply-To"] = identity
            mail["References"] = one_line(f"{answered['References'] or ''} {identity}")
        if program.startswith("outlook"):
            index = base64.b64decode(str(answered["Thread-Index"]))
            mail["Thread-Topic"] = str(answered["Thread-Topic"])
            mail["Thread-Index"] = base64.b64encode(index + dice.randbytes(5)).decode()
    if program == "thunderbird":
        text = "\n".join(paragraphs)
        if answered:
            plain = answered.get_body(("plain",)).get_content().replace("\r\n", "\n").rstrip("\n")
            text += f"\n\nDen 2026-11-02 skrev {answered['From']}:\n" + "\n".join(f"> {line}" if line[:1] != ">" else f">{line}" for line in plain.split("\n"))
        mail.set_content(flowed(text) + "\n")
        mail.set_param("format", "flowed")
    else:
        page = page_of(paragraphs, program, quoted_page(answered, program) if answered else "")
        mail.set_content("\n\n".join(paragraphs) + "\n")
        mail.add_alternative(page, subtype="html")
    for name, kind, subtype, octets in files:
        mail.add_attachment(octets, maintype=kind, subtype=subtype, filename=name)
    said = {"subject": subject, "paragraphs": [one_line(text) for text in paragraphs], "files": [[file[0], hashlib.sha256(file[3]).hexdigest()] for file in files]}
    return mail, said


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a", encoding="utf-8"), threading.Lock()
        self.turns, self.notices = 0, 0

    def write(self, **line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
            self.turns += line["event"] == "received"
            self.notices += line["event"] == "notice"


class Reader(threading.Thread):
    """Who reads one mailbox, and answers."""

    def __init__(self, order, number, box, log, end):
        super().__init__(daemon=True)
        self.order, self.number, self.box, self.log, self.end = order, number, box, log, end
        self.side, self.other = order["sides"][number], order["sides"][1 - number]
        self.address = f"{order['boxes'][box]}@{self.side['domain']}"

    def run(self):
        try:
            self.work()
        except Exception as error:
            self.log.write(event="broken", why=repr(error), box=self.address)
            raise

    def work(self):
        for number in range(self.order["conversations"]):
            if (number % 2, number // 2 % 2) == (self.number, self.box):
                function = self.order["boxes"][number // 4 % 2]
                self.send(number, 1, f"{function}@{self.other['domain']}.sdk.{self.side['domain']}", None)
        imap, following = imaplib.IMAP4("127.0.0.1", self.side["imap"]), 1
        imap.login(self.address, "password")
        while not self.end.is_set():
            imap.select("INBOX", readonly=True)
            found = [uid for uid in map(int, imap.uid("SEARCH", None, f"UID {following}:*")[1][0].split()) if uid >= following]
            for uid in found:
                octets = imap.uid("FETCH", str(uid), "(BODY.PEEK[])")[1][0][1]
                following = uid + 1
                self.read(email.message_from_bytes(octets, policy=email.policy.default))
            self.end.wait(0 if found else 0.3)
        imap.logout()

    def send(self, number, turn, recipient, answered):
        token, dice = f"konv-{number:03}", random.Random(f"{number} {turn}")
        program = PROGRAMS[(number + turn) % len(PROGRAMS)]
        mail, said = compose(token, turn, program, self.address, recipient, answered, dice)
        asked = number % 2 == 0
        self.log.write(event="sent", token=token, turn=turn, box=self.address, program=program, asked=asked, id=mail["Message-ID"], **said)
        notify = ["NOTIFY=SUCCESS,FAILURE" if asked else "NOTIFY=FAILURE"]
        with smtplib.SMTP("127.0.0.1", self.side["smtp"], local_hostname="pc.test", timeout=60) as smtp:
            smtp.sendmail(self.address, [recipient], mail.as_bytes(), [f"ENVID={token}.{turn}", "RET=HDRS"], notify)

    def read(self, mail):
        if mail.get_content_type() == "multipart/report":
            blocks = [block for part in mail.iter_parts() if part.get_content_type() == "message/delivery-status" for block in part.get_payload()]
            fields = {name: str(value) for block in blocks for name, value in block.items()}
            self.log.write(event="notice", box=self.address, action=fields.get("Action"), status=fields.get("Status"), envelope=fields.get("Original-Envelope-Id"), about=str(mail["In-Reply-To"] or ""))
            return
        plain, page = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
        number = int(TOKEN.search(str(mail["Subject"])).group(1))
        token = f"konv-{number:03}"
        turn = max(int(found) for found in re.findall(token + r"/(\d)", plain))
        files = [[part.get_filename(), hashlib.sha256(part.get_payload(decode=True)).hexdigest()] for part in mail.iter_attachments()]
        identities = lambda name: str(mail[name] or "").split()
        self.log.write(
            event="received", token=token, turn=turn, box=self.address, id=str(mail["Message-ID"]), subject=str(mail["Subject"]), files=files,
            plain=one_line(plain), page=one_line(" ".join(Text(page).words)), in_reply_to=identities("In-Reply-To"), references=identities("References"),
            message=str(mail["X-SDK-Message-Id"]), conversation=str(mail["X-SDK-Conversation-Id"]),
        )
        if turn < self.order["turns"]:
            self.send(number, turn + 1, mail["Reply-To"].addresses[0].addr_spec, mail)


def main(path):
    order, log, end = json.load(sys.stdin), Log(path), threading.Event()
    readers = [Reader(order, number, box, log, end) for number in range(2) for box in range(2)]
    for reader in readers:
        reader.start()
    turns, until = order["conversations"] * order["turns"], time.monotonic() + order["patience"]
    notices = (order["conversations"] + 1) // 2 * order["turns"]
    while (log.turns < turns or log.notices < notices) and time.monotonic() < until and all(reader.is_alive() for reader in readers):
        time.sleep(0.1)
    end.set()
    for reader in readers:
        reader.join(60)
    print(json.dumps({"turns": log.turns, "notices": log.notices}))


if __name__ == "__main__":
    main(*sys.argv[1:2])
