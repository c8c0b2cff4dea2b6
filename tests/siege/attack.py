"""Opens connections to an AS4 endpoint and leaves them half open, until standard input ends.

attack.py PORT HOW MANY ADDRESSES AGAIN [CA CERTIFICATE]

HOW is tcp (nothing is sent), hello (a ClientHello and no more), head (TLS, then the beginning of a request's head) or
body (TLS, a whole head, then an octet of the body now and then). They come from ADDRESSES different loopback addresses.
What the server closes is opened again, at most AGAIN times a second. Prints `standing` when MANY were opened and nearly all have come about, and at the
end how many were opened in all and how many were open at last.
"""

import select
import selectors
import socket
import ssl
import sys
import time

port, how, many, addresses, again = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])

context = ssl.create_default_context(cafile=sys.argv[6]) if len(sys.argv) > 6 else ssl._create_unverified_context()
if len(sys.argv) > 7:
    context.load_cert_chain(sys.argv[7])


def hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


HELLO = hello()
HEAD = b"POST /as4 HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEAD + b"Content-Type: application/soap+xml\r\nContent-Length: 100000\r\n\r\n<"
opened = 0
selector = selectors.DefaultSelector()
standing = {}
# Those whose connection has not come about yet.
coming = set()


def source(number):
    number %= addresses
    return "127.7.%d.%d" % (number // 250, 1 + number % 250)


def begin():
    """One more connection; False when the system has none left."""
    global opened
    stream = socket.socket()
    stream.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: a port is chosen for the pair
    stream.bind((source(opened), 0))
    try:
        if how in ("head", "body"):
            stream.settimeout(20)
            stream.connect(("127.0.0.1", port))
            stream = context.wrap_socket(stream, server_hostname="localhost")
            stream.sendall(HEAD if how == "head" else BODY)
            stream.setblocking(False)
        else:
            stream.setblocking(False)
            stream.connect_ex(("127.0.0.1", port))
    except OSError:
        # Cut off while it came about, which is what the server is to do when there are too many.
        stream.close()
        opened += 1
        return
    opened += 1
    standing[stream.fileno()] = stream
    if how in ("head", "body"):
        selector.register(stream, selectors.EVENT_READ)
    else:
        coming.add(stream.fileno())
        selector.register(stream, selectors.EVENT_READ | selectors.EVENT_WRITE)


def look(wait):
    for key, events in selector.select(wait):
        stream = key.fileobj
        try:
            if events & selectors.EVENT_WRITE:
                coming.discard(key.fd)
                selector.modify(stream, selectors.EVENT_READ)
                if how == "hello":
                    stream.send(HELLO)
                continue
            # What the server says is read so that its end is seen.
            if stream.recv(65536):
                continue
        except (BlockingIOError, ssl.SSLWantReadError):
            continue
        except OSError:
            pass
        selector.unregister(stream)
        standing.pop(key.fd, None)
        coming.discard(key.fd)
        stream.close()


told, started, count = False, time.monotonic(), 0
second, in_second, dripped = time.monotonic(), 0, time.monotonic()
while True:
    if select.select([sys.stdin], [], [], 0)[0]:
        break
    now = time.monotonic()
    if now - second >= 1:
        second, in_second = now, 0
    burst = 0
    while len(standing) < many and burst < 200 and (count < many or in_second < again):
        begin()
        count, in_second, burst = count + 1, in_second + 1, burst + 1
    if how == "body" and now - dripped > 0.5:
        dripped = now
        for stream in list(standing.values()):
            try:
                stream.send(b" ")
            except OSError:
                pass
    look(0 if burst else 0.02)
    if count >= many and len(coming) < many // 20 and not told:
        told = True
        print("standing", opened, len(standing), "%.1f" % (time.monotonic() - started), flush=True)
# What the server closes while it looks at the last of them.
until = time.monotonic() + 10
while standing and time.monotonic() < until:
    before = len(standing)
    look(1)
    if not coming and len(standing) == before:
        break
print("ended", opened, len(standing), flush=True)
