//! The access point: its keys, its endpoint, and how it connects to others.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::HeaderName;

use crate::config::checked::Revocation;
use crate::config::declare::section;
use crate::config::values::{HttpUrl, SecretFile, Size, Span, UrlPath, words};
use crate::edge::reach::IpNetwork;
use crate::ident::AccessPointId;

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

words! {
    /// Whether a server asks for certificates.
    pub(in crate::config) ClientCertificates {
        /// It does not.
        None = "none",
        /// One that is shown must be good.
        Optional = "optional",
        /// Without a good one there is no connection.
        Required = "required",
    }
}
