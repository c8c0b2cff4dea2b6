//! What ends some day: certificates of ours and of the CAs.

use crate::config::checked;
use crate::crypto::Certificate;
use crate::worker::{Expiry, Watched};

/// Our own certificates that are in use, and the CAs. A key that decrypts what is left over may end.
pub(super) fn expiry(config: &checked::Gateway) -> Expiry {
    const OWN: &str = "order a new one now and change it as docs/certificates.md says";
    const CA: &str = "its operator has a new one, which must be added to the configuration before";
    let mut watched = Vec::new();
    let mut watch = |what: String, certificate: &Certificate, hint| watched.push(Watched { what, certificate: certificate.clone(), hint });
    if let Some(point) = &config.access_point {
        watch("the access point's certificate".into(), &point.identity.certificate, OWN);
        if let Some(tls) = &point.tls {
            watch("the TLS certificate of the AS4 endpoint".into(), &tls.certificate, OWN);
        }
        if let Some(certificate) = &point.client_tls.certificate {
            watch("the TLS certificate towards other access points".into(), certificate, OWN);
        }
    }
    if let Some(tls) = config.smtp().and_then(|smtp| smtp.tls.as_ref()) {
        watch("the TLS certificate of the SMTP server".into(), &tls.certificate, OWN);
    }
    for organisation in config.organisations() {
        let participant = &organisation.participant;
        watch(format!("the certificate that {participant} signs with"), &organisation.signing.certificate, OWN);
        let newest = organisation.decryption.iter().map(|identity| &identity.certificate).max_by_key(|certificate| certificate.not_before());
        if let Some(certificate) = newest.filter(|newest| **newest != organisation.signing.certificate) {
            watch(format!("the certificate that others encrypt to for {participant}"), certificate, OWN);
        }
    }
    for (whose, authorities) in
        [("access points", &config.trust.access_point), ("participants", &config.trust.participant), ("the SMP", &config.trust.smp)]
    {
        for ca in authorities {
            watch(format!("the CA certificate of {whose}"), ca, CA);
        }
    }
    Expiry { days: config.expiry_warnings.clone(), watched }
}
