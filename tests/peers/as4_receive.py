"""Receives SDK messages with the `as4` package and answers with its receipts.

Prints one line of JSON with the URL when it listens, then one for each message. Payloads are written to `--out`.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import sdk_profile as sdk
from as4.core.context import SecurityPolicy
from as4.core.trust import certificate_chain
from as4.profiles.peppol.profile import certificate_names_the_sender


def header_values(exchange):
    """What the header says, for the caller to compare."""
    user = exchange.message.soap_envelope.header.messaging.user_message
    collaboration, parties = user.collaboration_info, user.party_info
    return {
        "from": parties.party_from.party_id.value,
        "fromType": parties.party_from.party_id.type_value,
        "to": parties.party_to.party_id.value,
        "roles": [parties.party_from.role.value, parties.party_to.role.value],
        "service": [collaboration.service.value, collaboration.service.type_value],
        "action": collaboration.action.value,
        "conversationId": collaboration.conversation_id.value,
        "properties": {p.name: [p.property_type, p.value] for p in user.message_properties.properties},
        "parts": [[part.href, {p.name: p.value for p in part.part_properties.properties}] for part in user.payload_info.part_info],
    }


def pinned_or_issued(anchor):
    """Trusts the certificate itself, and what it issued when it is a CA."""
    issued = certificate_chain(anchor)
    return lambda party, embedded: embedded if embedded == anchor else issued(party, embedded)


class Handler(BaseHTTPRequestHandler):
    """One request, one signal."""

    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self):  # noqa: N802
        server = self.server
        exchange = sdk.ReceivingExchange(profile=sdk.SdkProfile, local_party=server.party)
        exchange.receive(dict(self.headers.items()), self.body(), security_policy=server.policy)
        message, server.count = exchange.message, server.count + 1
        report = {"messageId": exchange.message_id, "state": str(exchange.state), "error": None, "payload": None}
        if message.parse_error is not None:
            report["error"] = {"code": message.parse_error.error_code, "detail": str(message.parse_error)}
        else:
            report["header"] = header_values(exchange)
            report["payload"] = str(server.out / f"{server.count}.xml")
            Path(report["payload"]).write_bytes(next(iter(message.decrypted_data.values())))
        headers, signal = exchange.build_signal()
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(signal)))
        self.end_headers()
        self.wfile.write(signal)
        print(json.dumps(report), flush=True)

    def log_message(self, *_):
        pass


def main():
    parser = sdk.common_arguments(__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--out", required=True, type=Path, help="folder for payloads")
    parser.add_argument("--count", type=int, default=0, help="end after so many requests; 0 is never")
    parser.add_argument("--tls-cert", default=None, help="server certificate; with it the server speaks https")
    parser.add_argument("--tls-key", default=None)
    parser.add_argument("--tls-ca", default=None, help="CA of clients; with it they must have a certificate")
    arguments = parser.parse_args()

    host, port = arguments.listen.rsplit(":", 1)
    server = HTTPServer((host, int(port)), Handler)
    scheme = "http"
    if arguments.tls_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=arguments.tls_ca)
        context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
        context.verify_mode = ssl.CERT_REQUIRED if arguments.tls_ca else ssl.CERT_NONE
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    server.party = sdk.internal_party(arguments)
    server.policy = SecurityPolicy(signer_resolver=certificate_names_the_sender(pinned_or_issued(sdk.certificate(arguments.peer_cert))))
    server.out, server.count = arguments.out, 0
    print(json.dumps({"listening": f"{scheme}://{host}:{server.server_address[1]}/as4"}), flush=True)
    while not arguments.count or server.count < arguments.count:
        server.handle_request()
    return 0


if __name__ == "__main__":
    sys.exit(main())
