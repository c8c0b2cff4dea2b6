"""What Python's own email package makes of mails: for each line of the list on standard input, `SOURCE TAB RESULT`, one JSON
line with the words that are seen and the files that are there in both."""

import email
import email.policy
import hashlib
import html.parser
import json
import re
import sys
import unicodedata

BLOCK = "address blockquote body br caption center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table td th tr ul".split()
VOID = "area base br col embed hr img input link meta source track wbr".split()
UNSEEN = "script style title head textarea select template noscript object svg math iframe xml".split()


class Page(html.parser.HTMLParser):
    """The text that a page shows: no scripts and styles, nothing that is hidden by its style."""

    def __init__(self, page):
        super().__init__()
        self.text, self.hidden, self.open = [], 0, []
        # Word's downlevel-revealed conditions are no comments; what stands in the others is.
        self.feed(re.sub(r"<!\[(if[^\]]*|endif)\]>", "", page))
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag in BLOCK:
            self.text.append("\n")
        if tag in VOID:
            return
        style = (dict(attrs).get("style") or "").replace(" ", "").lower()
        unseen = tag in UNSEEN or "display:none" in style or "mso-hide:all" in style
        # A list's mark that Word writes as text is a mark.
        unseen = unseen or "mso-list:ignore" in style
        self.open.append((tag, unseen))
        self.hidden += unseen

    def handle_endtag(self, tag):
        if tag in BLOCK:
            self.text.append("\n")
        if tag in (name for name, _ in self.open):
            while True:
                name, unseen = self.open.pop()
                self.hidden -= unseen
                if name == tag:
                    break

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)


def words(text):
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", text))


def decoded(part):
    octets = part.get_payload(decode=True)
    # Some put comments behind the name.
    charset = re.search(r"[\w.:-]+", str(part.get_content_charset("utf-8")))[0]
    if charset in ("utf-8", "us-ascii"):
        # What mail programs do: what is no UTF-8 is windows-1252.
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("windows-1252", "replace")
    # A browser reads ISO-8859-1 as windows-1252.
    meant = {"iso-8859-1": "windows-1252", "latin1": "windows-1252", "macintosh": "mac-roman"}.get(charset, charset)
    try:
        return octets.decode(meant, "replace")
    except LookupError:
        return octets.decode("windows-1252", "replace")


def bodies(part):
    """The text parts that a mail program shows, in order."""
    kind = part.get_content_type()
    if part.is_multipart():
        if kind == "message/rfc822":
            return []
        children = part.get_payload()
        if kind == "multipart/alternative":
            shown = [bodies(child) for child in children]
            html = [texts for texts in shown if any(k == "text/html" for k, _ in texts)]
            return html[-1] if html else next((texts for texts in reversed(shown) if texts), [])
        if kind == "multipart/signed":
            return bodies(children[0])
        return [text for child in children for text in bodies(child)]
    if part.get_filename() or part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
        return []
    return [(kind, decoded(part))]


def seen(texts):
    return [word for kind, text in texts for word in words("".join(Page(text).text) if kind == "text/html" else text)]


def digest(part):
    return hashlib.sha256(part.get_payload(decode=True) or b"").hexdigest()


def source(raw):
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    return {"words": seen(bodies(message)), "files": [digest(part) for part in leaves]}


def result(raw):
    assert not re.search(rb"[^\r]\n|\r[^\n]|\0", raw), "bare CR, bare LF or NUL"
    assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(raw, policy=email.policy.default)
    alternative, *files = message.iter_parts()
    plain, page = alternative.iter_parts()
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    return {
        "shape": [message.get_content_type(), alternative.get_content_type(), plain.get_content_type(), page.get_content_type()],
        "plain": words(plain.get_content()),
        "html": words("".join(Page(page.get_content()).text)),
        "files": [[part.get_filename(), digest(part)] for part in files],
        "subject": message["subject"],
        "message_id": message["message-id"],
        "in_reply_to": message["in-reply-to"],
        "references": str(message["references"] or ""),
        "sensitivity": message["sensitivity"],
        "conversation": message["x-sdk-conversation-id"],
        "defects": defects,
    }


for line in sys.stdin:
    before, after = line.rstrip("\n").split("\t")
    with open(before, "rb") as file:
        answer = {"source": source(file.read())}
    if after:
        with open(after, "rb") as file:
            answer["result"] = result(file.read())
    print(json.dumps(answer))
