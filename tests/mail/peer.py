"""What Python's own email package makes of mails, as a JSON list: `peer.py read FILE...` their parts and words, `digests`
the SHA-256 of each part, `report` the fields of delivery status notifications that hold to RFC 3464 and 6522."""

import email
import email.policy
import email.utils
import hashlib
import html.parser
import json
import re
import sys


def body(message, kind):
    part = message.get_body((kind,))
    return part.get_content() if part is not None else None


def defects(message):
    return [repr(d) for part in message.walk() for d in part.defects] + [
        f"{name}: {d!r}" for name, value in message.items() for d in getattr(value, "defects", [])
    ]


class Words(html.parser.HTMLParser):
    """The text of a page; tags that do not part words leave no space."""

    def __init__(self, page):
        super().__init__()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.text += "" if tag in ("strong", "em", "b", "i", "u", "a", "code") else " "

    handle_endtag = lambda self, tag: self.handle_starttag(tag, [])

    def handle_data(self, data):
        self.text += data


def read(message):
    files = [
        {"name": part.get_filename(), "type": part.get_content_type(), "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest()}
        for part in message.iter_attachments()
    ]
    return {
        "shape": [part.get_content_type() for part in message.walk()],
        "subject": message["subject"],
        "from": str(message["from"]),
        "to": str(message["to"]),
        "message_id": message["message-id"],
        "date": email.utils.parsedate_to_datetime(message["date"]).isoformat(),
        "plain": body(message, "plain"),
        "html": Words(body(message, "html")).text,
        "files": files,
        "defects": defects(message),
    }


def digests(message):
    return [hashlib.sha256(part.get_payload(decode=True)).hexdigest() for part in message.walk() if not part.is_multipart()]


def report(message):
    assert message.get_content_type() == "multipart/report", message.get_content_type()
    assert message.get_param("report-type") == "delivery-status"
    for name in ("Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "MIME-Version"):
        assert len(message.get_all(name, [])) == 1, name
    assert email.utils.parsedate_to_datetime(message["date"]) is not None
    assert message["auto-submitted"] == "auto-replied"
    parts = list(message.iter_parts())
    assert len(parts) == 3, "RFC 6522 3: two or three parts"
    human, status, header = parts
    assert human.get_content_maintype() in ("text", "multipart")
    assert status.get_content_type() == "message/delivery-status"
    assert status["content-transfer-encoding"] == "7bit"
    # RFC 6533 5: a header that is UTF-8 stands in message/global-headers, which Python reads as a message.
    assert header.get_content_type() in ("text/rfc822-headers", "message/global-headers")
    original = header.get_payload()[0].as_string() if header.is_multipart() else header.get_payload(decode=True).decode()
    blocks = status.get_payload()
    assert len(blocks) == 2, "one block for the message, one for the recipient"
    whole, recipient = blocks
    assert re.fullmatch(r"dns; \S+", whole["reporting-mta"])
    assert email.utils.parsedate_to_datetime(whole["arrival-date"])
    assert re.fullmatch(r"(rfc822|utf-8); \S+@\S+", recipient["final-recipient"])
    assert recipient["action"] in ("delivered", "delayed", "failed")
    assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", recipient["status"])
    assert {"delivered": "2", "delayed": "4", "failed": "5"}[recipient["action"]] == recipient["status"][0]
    assert re.fullmatch(r"x-sdk; .+", recipient["diagnostic-code"])
    assert ("will-retry-until" in recipient) == (recipient["action"] == "delayed")
    assert recipient["final-log-id"]
    for name in ("last-attempt-date", "will-retry-until"):
        if name in recipient:
            assert email.utils.parsedate_to_datetime(recipient[name])
    text = human.get_body(("plain",)).get_content()
    assert text.index("Mottagare:") < text.index("In English") < text.index("Recipient:"), "Swedish first"
    return {"action": recipient["action"], "status": recipient["status"], "header": original, "defects": defects(message)}


def judge(command, path):
    with open(path, "rb") as file:
        raw = file.read()
    assert not re.search(rb"[^\r]\n|\r[^\n]", raw), "bare CR or LF"
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322 2.1.1"
    return {"read": read, "report": report, "digests": digests}[command](email.message_from_bytes(raw, policy=email.policy.default))


json.dump([judge(sys.argv[1], path) for path in sys.argv[2:]], sys.stdout)
