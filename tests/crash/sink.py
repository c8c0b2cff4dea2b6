"""The mail servers of both organisations: takes every mail and keeps a log of its own.

    sink.py LOG NAME=PORT...

A line of the log is one mail, as JSON: which server, to whom, its ids, the digests of its files, and for a notice what it
says. The line is on the disk before the mail is answered with 250, as a mail server's queue is.
"""

import asyncio
import email
import email.policy
import hashlib
import json
import os
import re
import sys
import time

TOKEN = re.compile(r"crash-[0-9a-z-]+")


def read(server, sender, to, octets):
    mail = email.message_from_bytes(octets, policy=email.policy.default)
    said = {
        "at": time.time(),
        "server": server,
        "from": sender,
        "to": to,
        "id": str(mail["Message-ID"] or "").strip(),
        "reply_to": mail["From"].addresses[0].addr_spec if mail["From"] else "",
        "in_reply_to": str(mail["In-Reply-To"] or "").strip(),
    }
    if mail.get_content_type() == "multipart/report":
        said["kind"] = "notice"
        for part in mail.iter_parts():
            if part.get_content_type() == "message/delivery-status":
                for block in part.get_payload():
                    said["token"] = block["Original-Envelope-Id"] or said.get("token")
                    said["action"] = block["Action"] or said.get("action")
                    said["status"] = block["Status"] or said.get("status")
                    about = block["Original-Recipient"] or block["Final-Recipient"]
                    if about:
                        said["about"] = str(about).split(";", 1)[1].strip()
        return said
    found = TOKEN.search(str(mail["Subject"] or ""))
    said["kind"] = "mail" if found else "other"
    said["subject"] = str(mail["Subject"] or "")
    said["token"] = found.group(0) if found else None
    said["files"] = [hashlib.sha256(part.get_payload(decode=True)).hexdigest() for part in mail.iter_attachments()]
    if not found:
        body = mail.get_body(("plain",))
        said["body"] = body.get_content()[:2000] if body else ""
    return said


async def talk(server, log, reader, writer):
    async def say(line):
        writer.write(line.encode() + b"\r\n")
        await writer.drain()

    try:
        await say("220 sink ESMTP")
        sender, to = "", []
        while line := await reader.readline():
            verb = line.decode("utf-8", "replace").strip()
            word = verb[:4].upper()
            if word == "EHLO":
                await say("250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8")
            elif word == "MAIL":
                sender, to = verb.split("<", 1)[1].split(">", 1)[0], []
                await say("250 2.1.0 ok")
            elif word == "RCPT":
                to.append(verb.split("<", 1)[1].split(">", 1)[0])
                await say("250 2.1.5 ok")
            elif word == "DATA":
                await say("354 go on")
                octets = bytearray()
                while (line := await reader.readline()) != b".\r\n":
                    if not line:
                        return
                    octets += line[1:] if line.startswith(b".") else line
                for recipient in to:
                    log.write(json.dumps(read(server, sender, recipient, bytes(octets))) + "\n")
                log.flush()
                os.fsync(log.fileno())
                await say("250 2.0.0 kept")
            elif word == "QUIT":
                await say("221 2.0.0 bye")
                return
            else:
                await say("250 2.0.0 ok")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main(path, servers):
    log = open(path, "a", encoding="utf-8")
    running = []
    for name, port in servers:
        running.append(await asyncio.start_server(lambda r, w, name=name: talk(name, log, r, w), "127.0.0.1", port, limit=1 << 20))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in running))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [(name, int(port)) for name, port in (pair.split("=") for pair in sys.argv[2:])]))
