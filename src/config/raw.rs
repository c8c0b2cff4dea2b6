//! Every option there is. A doc comment here is the manual: `config/gateway.toml` is made of it.
//!
//! The order is the file's; in a section the options come first, then its sections.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::HeaderName;

use super::at_rest::Encryption;
use super::audit::RawAudit;
use super::checked::{
    DeliveryMode, Flag, History, InlineImages, LogFormat, LogLevel, OnScanFailure, OtherRecipients, PersonPolicy, Revocation, RevocationOrder, Role,
    ScanDirections, SenderAccessPoint, SignedMail, SuccessNotice,
};
use super::declare::section;
use super::limits::{Limits, MailboxLimits, OrganisationLimits};
use super::retention::{OrganisationRetention, Retention};
pub(super) use super::store::Store;
use super::values::{CalendarDate, Host, HttpUrl, Line, MediaType, ScannerAddress, SecretFile, Size, Span, TimeOfDay, UrlPath, words};
use crate::edge::reach::IpNetwork;
use crate::ident::{AccessPointId, Domain, FederationId, FunctionId, MailAddress, MailServerName, NodeName, ParticipantId};

section! {
    /// The whole file.
    Root {
        /// The gateway's host name: it greets other mail servers with it, and its Message-IDs end with it.
        name: Domain = Required "\"sdk-gw.habo.se\"";
        /// The mail domain that the mail server routes to the gateway. Other organisations have their addresses below it:
        /// `socialkontoret@sundbyberg.se.sdk.habo.se` is a function of the participant `0203:sundbyberg.se`.
        mail_domain: Domain = Required "\"sdk.habo.se\"";
        /// Who gets the mail that a person has to act on. Not an address in `mail-domain`.
        operator: MailAddress = Required "\"it-drift@habo.se\"";
        /// The federation: `urn:fdc:digg.se:edelivery:federation:sdk` (production and QA) or `urn:fdc:digg.se:edelivery:federation:test` (open test).
        federation: FederationId = Required "\"urn:fdc:digg.se:edelivery:federation:sdk\"";
        /// Where the gateway keeps its state: messages on their way, the journal, the index. Back it up as a whole.
        state_dir: PathBuf = Default "\"/var/lib/brevbro\"";
        /// What keeps messages, jobs and the journal: files in `state-dir`, or a database that several nodes share.
        store: Store = Default "{}";
        /// Encryption of what the gateway keeps of messages: mails, messages, envelopes, requests and receipts. Without this section
        /// they lie there in the clear, in `state-dir` or in the database, and the log says so at start. Journal and index, which hold ids and addresses
        /// and no content, are not encrypted: the disk should be. `docs/protection.md` has the steps of a change of keys.
        encryption: Encryption = Optional "{}";
        /// How much memory the messages that are held whole may take together: those that are being converted, sealed, opened
        /// and delivered. A message of 30 MB needs up to 300 MB of it for some seconds. What does not fit waits for its turn;
        /// one that is larger than all of it runs alone. AS4 itself needs none, whatever the size.
        memory: Size = Default "\"1 GB\"";
        /// The largest SDK message that is taken in, as octets of its XML with attachments in base64. A larger one gets a message
        /// receipt: rejected, too long. Everyone must take 30 MB; as some count it as 30 MiB before base64, more is taken.
        max_incoming_message: Size = Default "42000000";
        /// How much one organisation and one mailbox may have here at once.
        limits: Limits = Default "{}";
        /// This node among several. `docs/nodes.md` says which options each of them needs, and which it refuses.
        node: Node = Default "{}";
        /// The access point: AS4 to and from other organisations.
        access_point: AccessPoint = Required "{}";
        /// Who is trusted: the CAs of the environment. `config/federation/` has those of open test, QA and production.
        trust: Trust = Required "{}";
        /// How other participants are found.
        discovery: Discovery = Required "{}";
        /// Mail in: the SMTP server that the organisation's mail server sends to. It may be left out where mailboxes have an outbox
        /// folder (`organisation.mailbox.imap.outbox`).
        smtp: Smtp = Optional "{}";
        /// Mail out: the mail server that gets incoming messages and notices, and mail to the operator.
        mail_server: MailServer = Required "{}";
        /// Another mail server, for mailboxes that name it.
        other_mail_server: Vec<MailServer> = Optional "[]";
        /// So many days before a certificate ends, of ours or of a configured CA, the operator gets a mail; each day once.
        expiry_warnings: Vec<u32> = Default "[60, 30, 14, 7, 1]";
        /// When to try again and when to give up. Waits vary by a fifth, so that messages do not all come at once.
        retry: Retry = Default "{}";
        /// How long messages are kept that have ended.
        retention: Retention = Default "{}";
        /// What looks for malware in mails to SDK and messages from it, which is asked for in both directions (SDK B1.4.7 6.1).
        /// Without this section the gateway does not look, and the mail server has to; the log says so at start.
        malware: Malware = Optional "{}";
        /// The page where people read the messages of mailboxes with `delivery = "notice"`; it stands in the notice.
        reading_url: HttpUrl = Optional "\"https://sdk-gw.habo.se/las\"";
        /// Functions that answer each other by themselves.
        loops: Loops = Default "{}";
        /// The audit journal, where every step of every message is a line.
        audit: RawAudit = Default "{}";
        /// The log on standard error.
        log: Log = Default "{}";
        /// One organisation (participant) that the gateway serves; there may be several, each with its own keys.
        organisation: Vec<Organisation> = Required "[]";
    }
}

section! {
    /// A node.
    Node {
        /// What it does: `access-point`, AS4 with the access point's key, for a machine in the DMZ, which then has no key of an
        /// organisation and sees nothing in the clear; `mail`, everything else, for a machine inside; or `both`. Nodes that
        /// are not `both` work together through one database.
        role: Role = Default "\"both\"";
        /// Its name in the journal, and beside the work that it holds. Left out, the first part of `name`; with PostgreSQL it must
        /// be said. Several nodes have one name each.
        name: NodeName = Optional "\"sdk-gw-1\"";
    }
}

section! {
    /// The access point.
    AccessPoint {
        /// The access point's name; it must be the common name of its certificate. Left out, that is the name.
        name: AccessPointId = Optional "\"AP0040-SDK-PROD\"";
        /// The private key of the access point certificate: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/access-point.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/access-point.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/access-point.pem\"";
        /// Where it listens.
        listen: SocketAddr = Required "\"0.0.0.0:443\"";
        /// The path that takes AS4 messages.
        path: UrlPath = Default "\"/as4\"";
        /// The URL that is registered in SMP for this access point.
        public_url: HttpUrl = Required "\"https://as4.habo.se/as4\"";
        /// The largest envelope that is taken in, at least 100 MB in a federation and at most 150 MB. A larger one is refused with
        /// an AS4 error, a request that is larger still with HTTP 413.
        max_envelope: Size = Default "\"150 MB\"";
        /// Connections at once, of all clients together. When all are taken, one that has not sent a whole request makes room.
        max_connections: u32 = Default "500";
        /// Connections at once from one address (of IPv6: one network of 64 bits). Behind a reverse proxy all come from one.
        max_connections_per_address: u32 = Default "100";
        /// Requests of one client at once whose bodies are coming in or that are worked on. A client is who shows one certificate, or
        /// where none is shown one address. What is more is put off (HTTP 503), so that nobody takes all the places.
        max_requests_per_client: u32 = Default "50";
        /// How long a client may be silent: in the TLS handshake, before and in a request's head, and in its body.
        silence_timeout: Span = Default "\"30s\"";
        /// How long the body of a request may take to arrive.
        request_timeout: Span = Default "\"20m\"";
        /// How long a connection to another access point may take to come about, TLS included.
        connect_timeout: Span = Default "\"10s\"";
        /// How long another access point may take to read a message and answer it. Then it is sent again later.
        answer_timeout: Span = Default "\"10m\"";
        /// Messages that are sent at once.
        max_sends: u32 = Default "64";
        /// Messages that are sent at once to one host of another access point; more wait for their turn. So a slow one does not
        /// keep the others waiting.
        max_sends_per_destination: u32 = Default "4";
        /// Allows http without TLS, to and from this machine only. For tests.
        allow_plain_loopback: bool = Default "false";
        /// While the certificate is replaced: the next key, before it is the key above, or the one before it, afterwards. It
        /// decrypts what was encrypted to it, also after its certificate's end, and signs the receipts of such messages as
        /// long as its certificate is valid. `docs/certificates.md` has the steps.
        other_key: Vec<OtherKey> = Optional "[]";
        /// TLS of the AS4 endpoint. Its certificate is another one than the access point's.
        tls: ServerTls = Optional "{}";
        /// A reverse proxy that ends TLS in the endpoint's place, on this machine or another.
        proxy: Proxy = Optional "{}";
        /// TLS towards other access points.
        client_tls: ClientTls = Default "{}";
    }
}

section! {
    /// Another key of the access point.
    OtherKey {
        /// The private key: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/access-point-old.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/access-point-old.password\"";
        /// The certificate (PEM), when it is not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/access-point-old.pem\"";
    }
}

section! {
    /// TLS of the AS4 endpoint.
    ServerTls {
        /// The private key: PEM, or PKCS#12.
        key: SecretFile = Required "\"/etc/brevbro/tls.key\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/tls.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/tls.pem\"";
        /// Whether other access points must show a certificate: `required`, `optional` (one that is shown must be good), or `none`.
        clients: ClientCertificates = Default "\"required\"";
        /// The CAs of those certificates.
        client_ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/siths-root.pem\"]";
        /// What to do when it cannot be checked whether such a certificate is revoked: `hard`, `soft`, or `off`, which never checks.
        /// One that is known as revoked is refused by the first two.
        client_revocation: Revocation = Default "\"soft\"";
    }
}

section! {
    /// A reverse proxy that ends TLS. `docs/network.md` has its side for nginx, Apache and HAProxy.
    Proxy {
        /// Its addresses. No other address is served at all, since it could claim any certificate.
        from: Vec<IpNetwork> = Required "[\"127.0.0.1\"]";
        /// The header in which it hands the client's certificate on; it must remove what a client sends under that name.
        header: HeaderName = Default "\"X-SSL-Client-Cert\"";
        /// Whether other access points must show a certificate: `required`, `optional` (one that is shown must be good), or `none`.
        /// It is verified here again, whatever the proxy did.
        clients: ClientCertificates = Default "\"required\"";
        /// The CAs of those certificates.
        client_ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/siths-root.pem\"]";
        /// What to do when it cannot be checked whether such a certificate is revoked: `hard`, `soft`, or `off`, which never checks.
        client_revocation: Revocation = Default "\"soft\"";
    }
}

section! {
    /// TLS towards other access points.
    ClientTls {
        /// The CAs of their servers; left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/siths-root.pem\"]";
        /// The private key of the certificate to show: PEM, or PKCS#12. Left out, none is shown.
        key: SecretFile = Optional "\"/etc/brevbro/tls-client.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/tls-client.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/tls-client.pem\"";
    }
}

section! {
    /// Who is trusted.
    Trust {
        /// The CAs of access point certificates: root and issuing CA of this environment and no other.
        access_point_ca: Vec<PathBuf> = Required "[\"federation/production/rot-ca-edelivery-accesspunkt-prod.pem\", \"federation/production/accesspunkt-ca-sdk-prod.pem\"]";
        /// The CAs of participant certificates: SITHS, Expisoft, Försäkringskassan. One without its root is trusted as it stands.
        participant_ca: Vec<PathBuf> = Required "[\"federation/production/sithseidrootcav2.pem\", \"federation/production/sithseidfunctioncav1.pem\"]";
        /// The CAs of the certificate that signs SMP answers.
        smp_ca: Vec<PathBuf> = Required "[\"federation/production/rot-ca-edelivery-smp-prod.pem\"]";
        /// Takes SMP answers from this signer only. Left out, from every signer that `smp-ca` has issued; the signer is renewed every few years.
        smp_signer: PathBuf = Optional "\"/etc/brevbro/smp.pem\"";
        /// Takes SMP answers only when their signer's certificate, issued by `smp-ca`, has this common name: renewals keep it.
        smp_signer_name: Line = Optional "\"SMP0001-SDK-PROD\"";
        /// Which access points may bring a participant's messages: `approved`, every one with a certificate of `access-point-ca`,
        /// which may not be refused in the federation (SDK C3.4.6 3.1.2.b), or `registered`, only the one at which SMP has the
        /// participant. The latter asks SMP before a message is taken in, and refuses what is on its way while a participant moves.
        sender_access_point: SenderAccessPoint = Default "\"approved\"";
        /// What to do when revocation cannot be checked: `hard` waits and tries again, `soft` goes on and says so in the log,
        /// `off` never checks, and is allowed only where everything is on this machine.
        revocation: Revocation = Default "\"hard\"";
        /// The same for participants' certificates alone. Left out, as `revocation`.
        participant_revocation: Revocation = Optional "\"soft\"";
        /// The same for the SMP's certificate alone. Left out, as `revocation`.
        smp_revocation: Revocation = Optional "\"soft\"";
        /// Where a certificate names both an OCSP responder and a revocation list, the one that is asked first: `ocsp-first`, or
        /// `crl-first`, which tells the CA less about whom messages go to. The other is asked when the first cannot tell.
        revocation_order: RevocationOrder = Default "\"ocsp-first\"";
        /// How long a list or an OCSP answer is used again, at most until the end that it names itself.
        revocation_cache: Span = Default "\"1h\"";
        /// How long a list or an OCSP answer is used after the end that it names, while no newer one is to be had. A revocation
        /// in that time is missed. Left out, not at all.
        revocation_grace: Span = Optional "\"12h\"";
        /// The CAs of servers whose lists and responders have https addresses. Left out, the operating system's.
        revocation_ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/revocation-ca.pem\"]";
        /// How far the clocks of CAs may be ahead of this machine's: a certificate that begins so soon is taken already.
        /// Nothing is added at its end.
        clock_skew: Span = Default "\"5m\"";
    }
}

section! {
    /// How other participants are found.
    Discovery {
        /// `dns`: by DNS, SMP and CertPub, as the federation does. `static`: they stand in this file, for closed networks and tests.
        mode: DiscoveryMode = Default "\"dns\"";
        /// With `dns`: the zone of the federation's service metadata locator. The federation's operator (Digg) tells it; there is no default.
        sml_zone: Domain = Optional "\"sml.example.se\"";
        /// With `dns`: the name servers to ask. Left out, the operating system's.
        resolvers: Vec<SocketAddr> = Optional "[\"192.0.2.53:53\"]";
        /// With `dns`: the transport profiles of endpoints that are sent to. A newer one that is compatible may be added.
        transport_profiles: Vec<Line> = Default "[\"digg-transport-as4-v1_0\"]";
        /// With `dns`: how long an answer may be used again.
        cache: Span = Default "\"1h\"";
        /// With `dns`: how old an answer may be that is used because DNS or the SMP is down. The log and the journal say so each time.
        /// A certificate that has ended or is revoked is never used, however its metadata was kept.
        cache_stale: Span = Default "\"1d\"";
        /// With `dns`: how long "not registered" may be used again.
        cache_absent: Span = Default "\"5m\"";
        /// With `dns`: how long DNS and SMP may take together for one answer.
        timeout: Span = Default "\"10s\"";
        /// Networks that are not of the public internet and may be connected to all the same, where SMP, endpoints or revocation
        /// lists lie in them. Others decide where these addresses lead, so without this none leads into private networks.
        allow_networks: Vec<IpNetwork> = Default "[]";
        /// Allows addresses of this machine, and with `static` http endpoints there. For tests. (SMP and revocation lists are asked
        /// by http where their addresses say so: what they answer is signed.)
        allow_plain_loopback: bool = Default "false";
        /// With `static`: one participant.
        participant: Vec<StaticParticipant> = Optional "[]";
    }
}

section! {
    /// A participant that stands in the file.
    StaticParticipant {
        /// Its id.
        id: ParticipantId = Required "\"0203:sundbyberg.se\"";
        /// The URL of its access point.
        endpoint: HttpUrl = Required "\"https://as4.sundbyberg.se/as4\"";
        /// The certificate of its access point.
        access_point_certificate: PathBuf = Required "\"/etc/brevbro/sundbyberg-ap.pem\"";
        /// The certificates that it signs with.
        signing_certificate: Vec<PathBuf> = Required "[\"/etc/brevbro/sundbyberg.pem\"]";
        /// The certificates to encrypt to, the first one is used. Left out, those that it signs with.
        encryption_certificate: Vec<PathBuf> = Optional "[\"/etc/brevbro/sundbyberg-encryption.pem\"]";
    }
}

section! {
    /// Mail in.
    Smtp {
        /// Where it listens.
        listen: SocketAddr = Required "\"0.0.0.0:25\"";
        /// The name it greets with. Left out, the gateway's.
        hostname: Domain = Optional "\"sdk-gw.habo.se\"";
        /// The addresses that may send: those of the organisation's own mail servers. This is what keeps strangers out. A client
        /// from elsewhere must be one of the accounts below; without accounts it is turned away at once.
        clients: Vec<IpNetwork> = Optional "[\"10.1.2.0/28\"]";
        /// Takes mail only after STARTTLS.
        require_tls: bool = Default "true";
        /// The largest SDK message that a mail may become, as octets of its XML with attachments in base64. A larger mail is
        /// refused at the end of its data (552 5.3.4), one that is larger by half already when it is announced. No receiver
        /// needs to take more than 30 MB.
        max_message: Size = Default "30000000";
        /// Recipients of one mail.
        max_recipients: u32 = Default "100";
        /// Mails on one connection. Then the client goes on with another.
        max_mails: u32 = Default "1000";
        /// How long a file type is remembered that a receiving function has rejected. A mail with such a file to it is refused at
        /// once, with the file's name; of several recipients only those are told who do not take it. PDF is always sent.
        refused_types: Span = Default "\"30d\"";
        /// Connections at once, of all clients together.
        max_connections: u32 = Default "100";
        /// Connections at once from one address (of IPv6: one network of 64 bits).
        max_connections_per_address: u32 = Default "50";
        /// How long a client may be silent.
        timeout: Span = Default "\"5m\"";
        /// How much one sender may send. What is more is deferred (450 4.7.1) and tried again by the mail server.
        pace: SmtpPace = Default "{}";
        /// The key and certificate of STARTTLS.
        tls: SmtpTls = Optional "{}";
        /// A client that is known by a password or a certificate, from whichever address it comes.
        account: Vec<SmtpAccount> = Optional "[]";
    }
}

section! {
    /// How much one sender may send.
    SmtpPace {
        /// Mails in any minute.
        mails_per_minute: u32 = Default "120";
        /// Mails in any hour.
        mails_per_hour: u32 = Default "2000";
        /// Recipients in any minute, of all its mails together.
        recipients_per_minute: u32 = Default "600";
        /// Recipients in any hour.
        recipients_per_hour: u32 = Default "6000";
    }
}

section! {
    /// A client that is known by a password or a certificate. `docs/smtp.md` has its side for Exchange and Postfix.
    SmtpAccount {
        /// Its name: what it logs in with, and what the transaction is noted under.
        name: Line = Required "\"exchange\"";
        /// The file that holds the hash of its password, as `brevbro smtp-password` writes it. Passwords are taken over TLS only.
        password_hash_file: SecretFile = Optional "\"/etc/brevbro/exchange.hash\"";
        /// The name in its certificate, which a CA of `client-ca` has issued. With it no login is needed.
        certificate_name: Domain = Optional "\"mail.habo.se\"";
        /// The addresses of the function mailboxes that it may send as. Left out, all of them.
        mailboxes: Vec<MailAddress> = Default "[]";
        /// What `X-OriginatorOrg` in its mails must say. Exchange Online writes the tenant's domain there, and shows one
        /// certificate for all its tenants.
        originator: Domain = Optional "\"habo.se\"";
    }
}

section! {
    /// TLS of the SMTP server.
    SmtpTls {
        /// The private key: PEM, or PKCS#12.
        key: SecretFile = Required "\"/etc/brevbro/smtp.key\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/smtp.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/smtp.pem\"";
        /// The CAs of clients' certificates. With them clients are asked for one; one that is shown must be good, or there is
        /// no connection. Revocation is not checked.
        client_ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
    }
}

section! {
    /// Mail out.
    MailServer {
        /// What mailboxes call it. Needed by every mail server but the first.
        name: MailServerName = Optional "\"skolan\"";
        /// `smtp`, or `lmtp` (RFC 2033) to what keeps the mailboxes, such as Dovecot: it answers for the mailbox itself, so a full
        /// one is known at once. It takes no mail for the operator or other senders that are not its own.
        protocol: Protocol = Default "\"smtp\"";
        /// The mail server's host name, which its certificate bears, or its address.
        host: Host = Required "\"mail.habo.se\"";
        /// Its port. Left out, 25 with `smtp` and 24 with `lmtp`.
        port: u16 = Optional "25";
        /// `starttls` (required, never "if offered"), `tls` from the first octet on, or `none`.
        security: Security = Default "\"starttls\"";
        /// Allows `none` towards another machine: messages then cross the network in the clear.
        allow_plain: bool = Default "false";
        /// The CAs of its certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
        /// The user to log in as.
        username: Line = Optional "\"brevbro\"";
        /// The file that holds the user's password.
        password_file: SecretFile = Optional "\"/etc/brevbro/mail-server.password\"";
        /// The name the gateway greets with. Left out, the gateway's.
        hello: Domain = Optional "\"sdk-gw.habo.se\"";
        /// How long one command may take.
        timeout: Span = Default "\"5m\"";
        /// Connections at once. They are kept open for a minute between mails.
        max_connections: u32 = Default "8";
    }
}

section! {
    /// When to try again.
    Retry {
        /// The wait after the first failure.
        first: Span = Default "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Default "2.0";
        /// The longest wait.
        longest: Span = Default "\"30m\"";
        /// How long after it came in a message is given up. The sender is told.
        give_up: Span = Default "\"2d\"";
        /// How many attempts are made before a message is given up, even if that takes longer: the clock may be wrong, or the gateway
        /// have stood still. No more than fit into `give-up`.
        least_attempts: u32 = Default "6";
        /// Messages of a conversation, from one function to another, leave in the order in which they came in. So long at most a
        /// message waits for an earlier one that does not get through; half of `give-up` where that is shorter.
        in_order_within: Span = Default "\"12h\"";
        /// How long after the other access point took a message its message receipt is awaited. Then the sender is told that the outcome is unknown.
        receipt_timeout: Span = Default "\"1d\"";
        /// After how long the sender is told that a message is delayed, and the operator that a server is down.
        delayed_notice_after: Span = Default "\"1h\"";
        /// When to try again what the mail server did not take: what stands here holds instead of the above.
        delivery: DeliveryRetry = Optional "{}";
    }
}

section! {
    /// When to try again what the mail server did not take.
    DeliveryRetry {
        /// The wait after the first failure.
        first: Span = Optional "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Optional "2.0";
        /// The longest wait.
        longest: Span = Optional "\"10m\"";
        /// How long after it came in a message is tried. Then it is kept, and the operator is told. While the mail server is down
        /// nothing is given up.
        give_up: Span = Optional "\"5d\"";
    }
}

section! {
    /// Functions that answer each other by themselves: no mail whose header says that a program sent it gets into SDK, but not
    /// every program says so. `docs/protection.md` has the rest.
    Loops {
        /// A function mailbox and one function elsewhere may exchange so many messages in each direction within `window`. After
        /// that our messages to that function are held; what comes in is taken as ever.
        messages: u32 = Default "50";
        /// The time that messages are counted in.
        window: Span = Default "\"1h\"";
        /// How long messages are held. Then they go out one by one. Each time that it happens again within a day it takes half as
        /// many messages, and they are held twice as long, up to a day.
        hold: Span = Default "\"1h\"";
    }
}

section! {
    /// Malware.
    Malware {
        /// Where ClamAV's daemon listens: its socket's path, or `host:port`.
        clamd: ScannerAddress = Required "\"/run/clamav/clamd.ctl\"";
        /// Allows a host that is another machine: messages then cross the network in the clear, for clamd knows no TLS.
        allow_plain: bool = Default "false";
        /// What is looked into: `both`, mails to SDK (`out`), or messages from SDK (`in`).
        directions: ScanDirections = Default "\"both\"";
        /// What happens while there is no verdict to be had: `closed`, mails are refused for the time being (451 4.7.1) and messages
        /// wait without a receipt, or `open`, everything passes and the journal names it.
        on_failure: OnScanFailure = Default "\"closed\"";
        /// How long one file or mail may take, the wait for a free connection included.
        timeout: Span = Default "\"2m\"";
        /// The largest file or mail that is given to clamd. Keep it at or below StreamMaxLength, MaxScanSize and MaxFileSize of
        /// clamd.conf, and those above the largest mail: what is over MaxFileSize clamd calls clean without having looked. A larger
        /// mail is refused (552 5.3.4), a larger message waits, and the operator is told.
        max_size: Size = Default "\"100 MB\"";
        /// Connections to clamd at once; below MaxThreads of clamd.conf.
        max_connections: u32 = Default "4";
        /// How long there may be no verdict before the operator is told.
        alarm_after: Span = Default "\"10m\"";
    }
}

section! {
    /// The log.
    Log {
        /// `text` for people, `json` for log systems.
        format: LogFormat = Default "\"text\"";
        /// `error`, `warn`, `info`, `debug` or `trace`. No level writes content.
        level: LogLevel = Default "\"info\"";
    }
}

section! {
    /// An organisation.
    Organisation {
        /// Its participant id.
        participant: ParticipantId = Required "\"0203:habo.se\"";
        /// Its name, as receivers read it.
        name: Line = Required "\"Håbo kommun\"";
        /// The private key of its certificate, which signs, and decrypts unless its key usage forbids that: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/habo.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/habo.password\"";
        /// The certificate and the intermediates (PEM), when they are not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/habo.pem\"";
        /// A further key that decrypts: that of a certificate for encryption alone, the next key before it signs, or the one
        /// before, which is needed until every sender knows the new certificate. Its certificate may have ended.
        /// `docs/certificates.md` has the steps.
        encryption_key: Vec<EncryptionKey> = Optional "[]";
        /// When to try again what this organisation sends: what stands here holds instead of `[retry]`.
        retry: OrganisationRetry = Optional "{}";
        /// How long its messages are kept that have ended: what stands here holds instead of `[retention]`.
        retention: OrganisationRetention = Optional "{}";
        /// How much it may have here at once: what stands here holds instead of `[limits]`.
        limits: OrganisationLimits = Optional "{}";
        /// When its people work. Without this section somebody is always there.
        hours: Hours = Optional "{}";
        /// A function mailbox: who in the organisation sends and gets SDK messages.
        mailbox: Vec<Mailbox> = Required "[]";
    }
}

section! {
    /// When to try again, for one organisation.
    OrganisationRetry {
        /// The wait after the first failure.
        first: Span = Optional "\"30s\"";
        /// How many times longer each wait is than the one before.
        factor: f64 = Optional "2.0";
        /// The longest wait.
        longest: Span = Optional "\"30m\"";
        /// How long after it came in a message is given up.
        give_up: Span = Optional "\"3d\"";
        /// How long after the other access point took a message its message receipt is awaited.
        receipt_timeout: Span = Optional "\"2d\"";
        /// After how long the sender is told that a message is delayed.
        delayed_notice_after: Span = Optional "\"2h\"";
    }
}

section! {
    /// Office hours in Swedish time. Messages are sent day and night; but that one is delayed is told while somebody is there, and
    /// only office hours count until then. What fails is told at once.
    Hours {
        /// The days of the week: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
        days: Vec<Day> = Default "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]";
        /// From when.
        opens: TimeOfDay = Default "\"08:00\"";
        /// Until when.
        closes: TimeOfDay = Default "\"16:30\"";
        /// Whether people work on Swedish public holidays, and on Midsummer's, Christmas and New Year's Eve.
        work_on_holidays: bool = Default "false";
        /// Further days on which nobody is there.
        closed: Vec<CalendarDate> = Default "[]";
        /// What counts office hours: `delays`, or `all`, for which `give-up` and `receipt-timeout` stop with the office too.
        /// Two days are then 48 hours of work.
        count: HoursCount = Default "\"delays\"";
    }
}

section! {
    /// A key that decrypts.
    EncryptionKey {
        /// The private key: PKCS#12, or PEM together with the certificate.
        key: SecretFile = Required "\"/etc/brevbro/habo-encryption.p12\"";
        /// The file that holds the key's password.
        key_password_file: SecretFile = Optional "\"/etc/brevbro/habo-encryption.password\"";
        /// The certificate (PEM), when it is not in the key's file.
        certificate: PathBuf = Optional "\"/etc/brevbro/habo-encryption.pem\"";
    }
}

section! {
    /// A function mailbox.
    Mailbox {
        /// Its mail address on the organisation's mail server: From of what it sends, To of what it gets. Not in `mail-domain`.
        address: MailAddress = Required "\"socialkontoret@habo.se\"";
        /// Its function address in the federation's address book. Two that differ only in case are refused.
        function: FunctionId = Required "\"socialkontoret\"";
        /// Its name, as receivers read it.
        label: Line = Required "\"Socialkontoret\"";
        /// Other addresses that may send as it, such as a case system's.
        senders: Vec<MailAddress> = Default "[]";
        /// Where its messages are delivered, when that is not `address`.
        deliver_to: MailAddress = Optional "\"sdk-inkorg@habo.se\"";
        /// The name of the mail server that gets its messages and notices, when that is not the first.
        mail_server: MailServerName = Optional "\"skolan\"";
        /// What receivers learn of the person who wrote: `none`, `name`, or `name-and-address`.
        person: PersonPolicy = Default "\"name\"";
        /// Whether a message is marked confidential when its mail does not say.
        confidential: bool = Default "true";
        /// What becomes of the earlier mails that an answer quotes below its text: `keep`, or `trim`, which leaves them out and tells
        /// the sender so in the notice of delivery. A forwarded mail is never left out.
        history: History = Default "\"keep\"";
        /// What becomes of images that stand in the text: `drop-decorative` leaves signature logos, icons and tracking dots out and
        /// attaches the others, `keep` attaches all, `drop` none. The text says where each stood.
        inline_images: InlineImages = Default "\"drop-decorative\"";
        /// What becomes of a signature (S/MIME or PGP): `unwrap` sends what was signed without it, `keep` attaches the signed mail
        /// besides, as `.eml` or `.p7m`, whatever `file_types` says. No signature is verified. An encrypted mail is refused.
        signed_mail: SignedMail = Default "\"unwrap\"";
        /// When the sender is told that a message was accepted: `asked`, when the mail asks for it, or `always`. A sender whose mail
        /// lost something on the way, such as an image, is told unless the mail asks for no notice at all.
        success_notice: SuccessNotice = Default "\"asked\"";
        /// What it gets of a message: `full`, the message as a mail, or `notice`, a mail that says from whom one has come, and nothing of
        /// its content. The message then waits in the gateway to be read there. The gateway has no page of its own to read it on yet:
        /// use `notice` only where something else reads what waits. When it is set back to `full`, what nobody has read is delivered
        /// at the next start.
        delivery: DeliveryMode = Default "\"full\"";
        /// With `notice`: after how long the mailbox is reminded, once, of a message that nobody has read. Left out, it is not.
        remind_after: Span = Optional "\"3d\"";
        /// What `loops.messages` is for this mailbox. Left out, that.
        loop_messages: u32 = Optional "500";
        /// The file types that it takes, as media types. PDF is always taken. Left out, the common office, picture and text types.
        file_types: Vec<MediaType> = Optional "[\"application/pdf\", \"image/png\"]";
        /// How much it may have here at once: what stands here holds instead of `[limits]`.
        limits: MailboxLimits = Optional "{}";
        /// Its mailbox by IMAP: a folder whose mails are sent, a folder that gets messages, or both.
        imap: Imap = Optional "{}";
    }
}

section! {
    /// A mailbox by IMAP. `docs/imap.md` has the steps for Exchange Online and others.
    Imap {
        /// The server's name, which its certificate bears, or its address.
        host: Host = Required "\"outlook.office365.com\"";
        /// Its port. Left out, 993 with `tls`, else 143.
        port: u16 = Optional "993";
        /// `tls` from the first octet on, `starttls` (required, never "if offered"), or `none`, to this machine only.
        security: Security = Default "\"tls\"";
        /// The CAs of its certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
        /// The user whose mailbox it is. Left out, the mailbox's address.
        username: Line = Optional "\"socialkontoret@habo.se\"";
        /// The file that holds the user's password. Either this or `oauth2`.
        password_file: SecretFile = Optional "\"/etc/brevbro/imap.password\"";
        /// How long the server may be silent, and a connection take to come about.
        timeout: Span = Default "\"1m\"";
        /// Logs in with access tokens in place of a password.
        oauth2: Oauth2 = Optional "{}";
        /// A folder whose mails are sent to SDK.
        outbox: Outbox = Optional "{}";
        /// A folder that gets the messages and notices of the mailbox, in place of the mail server.
        inbox: Inbox = Optional "{}";
    }
}

section! {
    /// Access tokens by OAuth2 client credentials (RFC 6749 4.4), for XOAUTH2 and OAUTHBEARER.
    Oauth2 {
        /// The token endpoint.
        token_url: HttpUrl = Required "\"https://login.microsoftonline.com/TENANT/oauth2/v2.0/token\"";
        /// The application's (client's) id.
        client_id: Line = Required "\"00000000-0000-0000-0000-000000000000\"";
        /// The file that holds the application's secret.
        client_secret_file: SecretFile = Required "\"/etc/brevbro/imap.client-secret\"";
        /// What the token is for.
        scope: Line = Default "\"https://outlook.office365.com/.default\"";
        /// The CAs of the token endpoint's certificate. Left out, the operating system's.
        ca: Vec<PathBuf> = Optional "[\"/etc/brevbro/internal-ca.pem\"]";
    }
}

section! {
    /// A folder whose mails are sent: to those of To, Cc and Bcc that are in `mail-domain`. Only one gateway may have it.
    /// A missing folder is made.
    Outbox {
        /// The folder. Never the one for drafts: what is in it is sent at once.
        folder: Line = Default "\"SDK att skicka\"";
        /// Where mails go that were taken over.
        processed_folder: Line = Default "\"SDK skickat\"";
        /// Where mails go that were refused; the writer gets a notice with the reason.
        failed_folder: Line = Default "\"SDK ej skickat\"";
        /// How often it is looked at where the server tells nothing of new mails (no IDLE, or silent).
        poll: Span = Default "\"1m\"";
        /// Recipients outside `mail-domain` beside others within: `notice` tells the writer that nothing is sent to them from here,
        /// `ignore` does not, for folders of mails that the mail server has sent to them already.
        other_recipients: OtherRecipients = Default "\"notice\"";
    }
}

section! {
    /// A folder that gets messages.
    Inbox {
        /// The folder.
        folder: Line = Default "\"INBOX\"";
        /// Makes the folder when it is not there. Otherwise messages wait for it.
        create_folder: bool = Default "true";
        /// Flags that messages get: `flagged`, `seen`. None leaves them unread.
        flags: Vec<Flag> = Default "[]";
    }
}

words! {
    /// A day of the week.
    pub(super) Day {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
    /// What counts office hours.
    pub(super) HoursCount {
        /// Until a delay is told.
        Delays = "delays",
        /// And until the end.
        All = "all",
    }
    /// Whether a server asks for certificates.
    pub(super) ClientCertificates {
        /// It does not.
        None = "none",
        /// One that is shown must be good.
        Optional = "optional",
        /// Without a good one there is no connection.
        Required = "required",
    }
    /// How participants are found.
    pub(super) DiscoveryMode {
        /// By DNS and SMP.
        Dns = "dns",
        /// In the file.
        Static = "static",
    }
    /// What is spoken to the mail server.
    pub(super) Protocol {
        /// SMTP.
        Smtp = "smtp",
        /// LMTP.
        Lmtp = "lmtp",
    }
    /// TLS towards the mail server.
    pub(super) Security {
        /// None.
        None = "none",
        /// STARTTLS, required.
        Starttls = "starttls",
        /// From the first octet on.
        Tls = "tls",
    }
}
