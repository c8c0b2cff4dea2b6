"""The header values of SDK for the `as4` package, which ships a Peppol profile only.

Everything is set through its own extension classes: a message class, a profile and builder arguments.
"""

import argparse
import gzip
from datetime import UTC, datetime
from pathlib import Path

from as4.core.common import (
    AS4BaseCredentials,
    AS4ExternalParty,
    AS4InternalCredentials,
    AS4InternalParty,
    AS4LocalPrivateKey,
    AS4PartyIdentity,
)
from as4.core.exchange import AS4ReceivingExchange, AS4SendingExchange
from as4.core.message import AS4Message
from as4.core.receipt import AS4Receipt
from as4.core.references import AS4References
from as4.models.ebms import user_message as ebms
from as4.models.ebms.message_info import MessageId, MessageInfo, Timestamp
from as4.profiles.peppol.message import PeppolAS4Message
from as4.profiles.peppol.profile import PeppolAS4Profile
from as4.utils.cipher_handler import CipherHandler
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from pydantic import BaseModel

PARTY_TYPE = "urn:fdc:digg.se:edelivery:transportprofile:as4:partytype:ap"
SERVICE = "bdx:noprocess"
SERVICE_TYPE = "urn:fdc:digg.se:edelivery:process"
PARTICIPANT_TYPE = "iso6523-actorid-upis"
ACTION = (
    "busdox-docid-qns::urn:riv:infrastructure:messaging:MessageWithAttachments:3"
    "::messagePayload##3.0::tm-base-ext-sigenc"
)


class SdkArguments(BaseModel):
    """What differs between messages. `namespace_map` is what the package's builder asks for."""

    namespace_map: dict[str, str] = {}
    sender: str
    recipient: str
    service: str = SERVICE
    service_type: str = SERVICE_TYPE
    action: str = ACTION
    participant_type: str = PARTICIPANT_TYPE
    media_type: str = "text/xml"


class SdkMessage(PeppolAS4Message):
    """Peppol's signing and encryption around an SDK header and a payload without SBDH."""

    @classmethod
    def process(cls, fields, parse_context, soap_envelope_element, mime_attachments):
        return AS4Message.process.__func__(cls, fields, parse_context, soap_envelope_element, mime_attachments)

    @classmethod
    def get_user_message(cls, local_party, remote_party, builder_args, references):
        def part_property(name, value):
            return ebms.Property(name=name, value=value)

        participants = [
            ebms.Property(name=name, property_type=builder_args.participant_type, value=value)
            for name, value in (("originalSender", builder_args.sender), ("finalRecipient", builder_args.recipient))
        ]
        properties = [part_property("MimeType", builder_args.media_type), part_property("CompressionType", "application/gzip")]
        parts = [
            ebms.PartInfo(part_properties=ebms.PartProperties(properties=properties), href=f"cid:{cid}")
            for cid in references.attachment_id_encrypted_data_id_map
        ]
        return ebms.UserMessage(
            message_info=MessageInfo(timestamp=Timestamp(value=datetime.now(UTC)), message_id=MessageId(value=references.message_id)),
            party_info=ebms.PartyInfo(party_to=remote_party.identity.to_party_to(), party_from=local_party.identity.to_party_from()),
            collaboration_info=ebms.CollaborationInfo(
                service=ebms.Service(value=builder_args.service, type_value=builder_args.service_type),
                action=ebms.Action(value=builder_args.action),
                conversation_id=ebms.ConversationId(value=references.conversation_id),
            ),
            message_properties=ebms.MessageProperties(properties=participants),
            payload_info=ebms.PayloadInfo(part_info=parts),
        )

    @classmethod
    def build_message(cls, payload, *, local_party, remote_party, builder_args, references):
        compressed = gzip.compress(payload)
        session_key, encrypted = CipherHandler.encrypt_payload(compressed)
        oaep = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=b"")
        wrapped = remote_party.credentials.rsa_public_key.encrypt(session_key, oaep)
        cid, _ = references.encrypted_data_attachment_mapping()
        envelope = cls.get_soap_envelope(
            local_party, remote_party, builder_args, references, wrapped, compressed_payloads={cid: compressed}
        )
        return cls(
            soap_envelope=envelope,
            message_id=references.message_id,
            messaging_id=references.messaging_id,
            mime_attachments={cid: encrypted},
            decrypted_data={cid: payload},
        )


class SdkProfile(PeppolAS4Profile):
    """The profile that ties the classes together."""

    @classmethod
    def get_profile_name(cls):
        return "sdk"

    @classmethod
    def message_class(cls):
        return SdkMessage

    @classmethod
    def receipt_class(cls):
        return AS4Receipt

    @classmethod
    def parse_receipt(cls, payload, expected_signer):
        return AS4Receipt.parse(payload, expected_signer)

    @classmethod
    def build_message(cls, payload, *, local_party, remote_party, builder_args, references=None):
        return SdkMessage.build_message(
            payload,
            local_party=local_party,
            remote_party=remote_party,
            builder_args=builder_args,
            references=references or AS4References(),
        )


SendingExchange = AS4SendingExchange[SdkMessage, AS4Receipt, SdkArguments]
ReceivingExchange = AS4ReceivingExchange[SdkMessage, AS4Receipt, SdkArguments]


def common_arguments(description):
    """The arguments that sender and receiver share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--key", required=True, type=Path, help="PEM file with the own private key")
    parser.add_argument("--cert", required=True, type=Path, help="PEM file with the own certificate")
    parser.add_argument("--party", required=True, help="own PartyId: the CN of the own certificate")
    parser.add_argument("--party-type", default=PARTY_TYPE)
    parser.add_argument("--peer-cert", required=True, type=Path, help="PEM file with the peer's certificate, or its CA's for the receiver")
    return parser


def certificate(path):
    """The first certificate of a PEM file."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def internal_party(arguments):
    """The own party with its key."""
    key = serialization.load_pem_private_key(arguments.key.read_bytes(), password=None)
    return AS4InternalParty(
        identity=AS4PartyIdentity(party_id=arguments.party, party_type=arguments.party_type),
        credentials=AS4InternalCredentials(certificate=certificate(arguments.cert), private_key=AS4LocalPrivateKey(key)),
    )


def external_party(party_id, party_type, cert):
    """The peer."""
    return AS4ExternalParty(
        identity=AS4PartyIdentity(party_id=party_id, party_type=party_type), credentials=AS4BaseCredentials(certificate=cert)
    )
