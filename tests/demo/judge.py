"""Judges what the demo leaves, with Python's own mail reader and with `cryptography`.

judge.py mail DIR            the mails: attachments, threading, notices
judge.py as4 DIR NAME KEY    NAME-request.http and NAME-response.http as they went over the wire; the envelope, opened with
                             the receiver's KEY, goes to standard output
judge.py imap HOST:PORT USER PASSWORD    prints the subject and type of every mail in the inbox, as JSON
"""

import base64
import email
import email.policy
import gzip
import hashlib
import imaplib
import json
import pathlib
import sys

EB = "{http://docs.oasis-open.org/ebxml-msg/ebms/v3.0/ns/core/200704/}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
EBBP = "{http://docs.oasis-open.org/ebxml-bp/ebbp-signals-2.0}"


def read(path):
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def attachments(mail):
    files = mail.iter_attachments()
    return {part.get_filename(): (part.get_content_type(), hashlib.sha256(part.get_payload(decode=True)).hexdigest()) for part in files}


def notice(path, to):
    dsn = read(path)
    assert not dsn.defects, dsn.defects
    assert dsn.get_content_type() == "multipart/report" and dsn["Content-Type"].params["report-type"] == "delivery-status"
    assert dsn["To"].addresses[0].addr_spec == to.mailbox and dsn["Auto-Submitted"] == "auto-replied" and dsn["Date"].datetime
    text, status, headers = dsn.iter_parts()
    message, recipient = status.get_payload()
    assert message["Reporting-MTA"].startswith("dns; ") and message["Original-Envelope-Id"] == "demo-1", message
    assert recipient["Action"] == "delivered" and recipient["Status"] == "2.0.0", recipient
    assert recipient["Final-Recipient"].split("; ")[1] == to.address, recipient
    assert headers.get_content_type() == "text/rfc822-headers"
    original = email.message_from_string(headers.get_payload(), policy=email.policy.default)
    assert original["Message-ID"] == dsn["In-Reply-To"] == to.message_id, dsn["In-Reply-To"]
    assert to.message_id in dsn["References"].split()
    evidence = [part for part in text.iter_attachments() if part.get_filename() == "kvittens.xml"]
    assert len(evidence) == 1
    return evidence[0].get_payload(decode=True)


class Sent:
    """The envelope of a mail that was submitted."""

    def __init__(self, path):
        mail = read(path)
        self.mailbox = mail["From"].addresses[0].addr_spec
        self.address = mail["To"].addresses[0].addr_spec
        self.message_id = mail["Message-ID"]


def judge_mail(folder):
    sent, delivered = read(folder / "sent.eml"), read(folder / "delivered.eml")
    assert not delivered.defects, delivered.defects
    first = attachments(sent)
    assert len(first) == 2 and attachments(delivered) == first, (attachments(delivered), first)
    assert delivered["Subject"] == "Underlag för etableringsplan"
    assert delivered["To"].addresses[0].addr_spec == "etablering@arbetsformedlingen.se"
    for kind in ("plain", "html"):
        body = delivered.get_body((kind,)).get_content()
        assert "Återkom gärna före fredag." in body and "SN 2026/1047" in body, body
    assert notice(folder / "dsn.eml", Sent(folder / "sent.eml")) == (folder / "kvittens.xml").read_bytes()

    answer, seen = read(folder / "answer-sent.eml"), read(folder / "answer-delivered.eml")
    assert not seen.defects, seen.defects
    assert answer["To"].addresses[0].addr_spec == delivered["Reply-To"].addresses[0].addr_spec
    assert seen["In-Reply-To"] == sent["Message-ID"] and sent["Message-ID"] in seen["References"].split()
    assert seen["X-SDK-Conversation-Id"] == delivered["X-SDK-Conversation-Id"]
    assert seen["To"].addresses[0].addr_spec == sent["From"].addresses[0].addr_spec
    assert "Tack, underlaget är mottaget." in seen.get_body(("plain",)).get_content()
    notice(folder / "answer-dsn.eml", Sent(folder / "answer-sent.eml"))


def http(path):
    """The first line, the headers and the body; the length is what the headers say."""
    head, body = path.read_bytes().split(b"\r\n\r\n", 1)
    first, rest = head.split(b"\r\n", 1)
    headers = email.message_from_bytes(rest + b"\r\n\r\n", policy=email.policy.HTTP)
    assert int(headers["content-length"]) == len(body), (headers["content-length"], len(body))
    return first.decode("ascii"), headers, body


def parts(headers, body):
    """The MIME parts by their Content-ID, octets untouched: Python's reader would change line ends in binary parts."""
    assert headers.get_content_type() == "multipart/related" and headers["content-type"].params["type"] == "application/soap+xml"
    delimiter = b"--" + headers["content-type"].params["boundary"].encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    assert pieces[-1] == b"--\r\n" and not pieces[0].strip(), (pieces[0], pieces[-1])
    found = []
    for piece in pieces[1:-1]:
        head, content = piece.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        found.append((email.message_from_bytes(head + b"\r\n\r\n", policy=email.policy.HTTP), content))
    return found


def references(tree):
    from lxml import etree

    found = tree.iter(DS + "Reference")
    return sorted((one.get("URI"), one.findtext(DS + "DigestValue"), etree.tostring(one.find(DS + "Transforms"), method="c14n", exclusive=True)) for one in found)


def judge_as4(folder, name, key):
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from lxml import etree

    first, headers, body = http(folder / f"{name}-request.http")
    assert first == "POST /as4 HTTP/1.1", first
    (soap_head, soap), (payload_head, payload) = parts(headers, body)
    assert soap_head.get_content_type() == "application/soap+xml"
    assert payload_head["content-id"] == "<message>" and payload_head.get_content_type() == "application/octet-stream"
    soap = etree.fromstring(soap)
    wrapped = base64.b64decode(soap.findtext(f".//{XENC}EncryptedKey//{XENC}CipherValue"))
    key = load_pem_private_key(pathlib.Path(key).read_bytes(), None)
    session = key.decrypt(wrapped, padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None))
    assert len(session) == 16
    compressed = AESGCM(session).decrypt(payload[:12], payload[12:], None)
    signed = dict((uri, digest) for uri, digest, _ in references(soap))
    assert signed["cid:message"] == base64.b64encode(hashlib.sha256(compressed).digest()).decode()

    first, headers, body = http(folder / f"{name}-response.http")
    assert first.startswith("HTTP/1.1 200 "), first
    assert headers.get_content_type() == "application/soap+xml"
    receipt = etree.fromstring(body)
    assert receipt.findtext(f".//{EB}RefToMessageId") == soap.findtext(f".//{EB}UserMessage//{EB}MessageId")
    told = receipt.find(f".//{EB}Receipt/{EBBP}NonRepudiationInformation")
    assert references(told) == references(soap) and len(references(told)) == 3
    sys.stdout.buffer.write(gzip.decompress(compressed))


def judge_imap(server, user, password):
    host, port = server.rsplit(":", 1)
    with imaplib.IMAP4(host, int(port), timeout=20) as imap:
        imap.login(user, password)
        imap.select("INBOX")
        numbers = imap.search(None, "ALL")[1][0].split()
        mails = [email.message_from_bytes(imap.fetch(number, "(RFC822)")[1][0][1], policy=email.policy.default) for number in numbers]
    print(json.dumps([[mail["Subject"], mail.get_content_type(), mail["Message-ID"]] for mail in mails]))


if sys.argv[1] == "mail":
    judge_mail(pathlib.Path(sys.argv[2]))
elif sys.argv[1] == "as4":
    judge_as4(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4])
elif sys.argv[1] == "imap":
    judge_imap(*sys.argv[2:5])
else:
    sys.exit(__doc__)
