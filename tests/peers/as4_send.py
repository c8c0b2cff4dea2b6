"""Sends one SDK message with the `as4` package and judges the answer.

Prints one line of JSON. Exit status: 0 the receipt holds, 3 the peer answered with an error, 1 anything else.
"""

import json
import re
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4

import sdk_profile as sdk
from as4.core.references import AS4References
from as4.errors import ReceiptVerificationError


def spoilt(body, how):
    """The request with its signature taken out, or with another value in it. Nothing else changes."""
    if how == "absent":
        changed, count = re.subn(rb"<(\w+:)?Signature[ >].*?</(\w+:)?Signature>", b"", body, count=1, flags=re.DOTALL)
    else:
        value = re.compile(rb"(SignatureValue>\s*)(.)", re.DOTALL)
        changed, count = value.subn(lambda found: found[1] + (b"B" if found[2] == b"A" else b"A"), body, count=1)
    if count != 1 or changed == body:
        raise SystemExit("the signature was not found")
    return changed


def post(arguments, headers, body):
    """The answer's status and body, whatever the status."""
    context = None
    if arguments.endpoint.startswith("https:"):
        context = ssl.create_default_context(cafile=arguments.tls_ca)
        if arguments.tls_cert:
            context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    request = urllib.request.Request(arguments.endpoint, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=arguments.timeout, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def main():
    parser = sdk.common_arguments(__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--peer", required=True, help="the peer's PartyId: the CN of its certificate")
    parser.add_argument("--payload", required=True, type=Path)
    parser.add_argument("--sender", required=True, help="originalSender")
    parser.add_argument("--recipient", required=True, help="finalRecipient")
    parser.add_argument("--service", default=sdk.SERVICE)
    parser.add_argument("--service-type", default=sdk.SERVICE_TYPE)
    parser.add_argument("--action", default=sdk.ACTION)
    parser.add_argument("--participant-type", default=sdk.PARTICIPANT_TYPE)
    parser.add_argument("--media-type", default="text/xml")
    parser.add_argument("--conversation-id", default=None)
    parser.add_argument("--message-id", default=None)
    parser.add_argument("--content-id", default="message")
    parser.add_argument("--tls-ca", default=None, help="CA file for https")
    parser.add_argument("--tls-cert", default=None, help="client certificate for https")
    parser.add_argument("--tls-key", default=None)
    parser.add_argument("--spoil", choices=["absent", "wrong"], default=None, help="what to do to the signature before sending")
    parser.add_argument("--timeout", type=float, default=60.0)
    arguments = parser.parse_args()

    given = {"message_id": arguments.message_id, "conversation_id": arguments.conversation_id}
    references = AS4References(
        attachment_id_encrypted_data_id_map={arguments.content_id: f"ED-{uuid4()}"},
        **{name: value for name, value in given.items() if value},
    )
    exchange = sdk.SendingExchange(
        profile=sdk.SdkProfile,
        local_party=sdk.internal_party(arguments),
        remote_party=sdk.external_party(arguments.peer, arguments.party_type, sdk.certificate(arguments.peer_cert)),
        identifiers=references,
    )
    values = {name: getattr(arguments, name) for name in ("sender", "recipient", "service", "service_type", "action", "participant_type", "media_type")}
    headers, body = exchange.build(arguments.payload.read_bytes(), sdk.SdkArguments(**values))
    if arguments.spoil:
        body = spoilt(body, arguments.spoil)
    exchange.mark_sent()
    status, answer = post(arguments, headers, body)
    result = {"messageId": exchange.message_id, "conversationId": references.conversation_id, "status": status, "reason": None, "error": None}
    try:
        exchange.receive_signal(answer)
    except ReceiptVerificationError as error:
        result["reason"] = str(error)
    if exchange.error is not None:
        detail = exchange.error.error_detail
        result["error"] = {"code": exchange.error.error_code, "severity": exchange.error.severity, "detail": detail.value if detail else None}
    result["state"] = str(exchange.state)
    print(json.dumps(result), flush=True)
    if exchange.successful:
        return 0
    return 3 if result["error"] else 1


if __name__ == "__main__":
    sys.exit(main())
