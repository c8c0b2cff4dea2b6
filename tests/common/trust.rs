//! Trust in a testbed's authorities.

use std::sync::Arc;

use brevbro::crypto::Authorities;
use brevbro::edge::clock::SystemClock;
use brevbro::edge::http::PlainHttp;
use brevbro::edge::reach::Reach;
use brevbro::edge::trust::{CaTrust, TrustOptions};
use brevbro::port::Realm;
use brevbro::testbed::{Authority, Testbed};

/// As a gateway beside the testbed has it, with other options.
pub fn trust(testbed: &Testbed, change: impl FnOnce(&mut TrustOptions)) -> CaTrust {
    let realms = [(Realm::AccessPoint, Authority::AccessPoint), (Realm::Participant, Authority::Participant), (Realm::Smp, Authority::Smp)];
    let authorities = realms.map(|(realm, authority)| (realm, Authorities::from_bundle(testbed.trusted(authority).unwrap())));
    let mut options = TrustOptions { authorities: authorities.into(), ..TrustOptions::default() };
    options.http.plain = PlainHttp::Loopback;
    options.http.reach = Reach::with_loopback();
    change(&mut options);
    CaTrust::new(options, Arc::new(SystemClock))
}
