//! Who is trusted.

use std::path::PathBuf;

use crate::config::checked::{Revocation, RevocationOrder, SenderAccessPoint};
use crate::config::declare::section;
use crate::config::values::{Line, Span};

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
