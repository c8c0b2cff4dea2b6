//! A gateway whole, with its edges in memory.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brevbro::as4::pmode::PMode;
use brevbro::crypto::Identity;
use brevbro::ident::AccessPointId;
use brevbro::mail::pair::Pace;
use brevbro::mail::policy::MailboxPolicy;
use brevbro::outbound::address::TRANSPORT_PROFILE;
use brevbro::outbound::retry::{Patience, Schedule};
use brevbro::sdk::message::MessageLimits;
use brevbro::worker::{
    AccessPoint, AccessPointSide, Acquaintances, Company, Directions, Expiry, Gateway, Household, LaneOptions, Lanes, Limits, MailSettings, MailSide,
    Mailbox, Malware, Mode, Node, OnFailure, Organisation, Participant, Quotas, Retention, Room, Settings, Sides, Sinks, Watched,
};
use jiff::SignedDuration;

use crate::common::pki::Ca;
use crate::folder::Inbox;
use crate::life::Life;
use crate::mailserver::MailServer;
use crate::net::{Place, Register, Scan, Wire};
use crate::plan::Extra;
use crate::world::{NAMES, World, mailbox, participant};

/// Longer than any schedule lasts before its time is over.
pub const KEPT: Retention = Retention { content: Duration::from_hours(24 * 400), metadata: Duration::from_hours(24 * 800) };

/// The keys of both sides, made once.
pub struct Keys {
    pub points: [Identity; 2],
    pub participants: [Identity; 2],
}

pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let ca = Ca::new("CA");
        let issue = |name: &str| ca.issue(name);
        Keys { points: [issue("AP0001-TEST"), issue("AP0002-TEST")], participants: [issue("a.example"), issue("b.example")] }
    })
}

/// The one place where a gateway is put together.
pub fn gateway(world: &Arc<World>, side: usize, life: &Arc<Life>) -> Gateway {
    let (keys, name, place) = (keys(), NAMES[side], Place { world: Arc::clone(world), side, life: Arc::clone(life) });
    let full = {
        let world = Arc::clone(world);
        Arc::new(move || world.plan.is_full(side, world.elapsed()) && world.fails(3))
    };
    let (store, blobs) = world.sides[side].disk.open(life, full, &world.plan);
    let sinks = Sinks::new(Arc::new(MailServer(place.clone()))).with_folder(&mailbox(side, "utkorg"), Arc::new(Inbox(place.clone())));
    let scanning = world.plan.extras.contains(&Extra::Scanner);
    let scanner = || Malware::new(Arc::new(Scan(place.clone())), Directions::Both, OnFailure::Open, Duration::from_hours(1));
    let point = &keys.points[side];
    let watched = Watched { what: "a certificate".into(), certificate: point.certificate.clone(), hint: "change it" };
    let node = Arc::new(Node {
        name: name.parse().unwrap(),
        company: if world.plan.extras.contains(&Extra::Nodes) { Company::Nodes } else { Company::Alone },
        store,
        blobs,
        directory: Arc::new(Register(place.clone())),
        trust: Arc::new(Register(place.clone())),
        clock: Arc::clone(&world.sides[side].clock) as _,
        room: Room::of(256 << 20),
        limits: Limits::new(limits(world.plan.extras.contains(&Extra::Limited), side), &name.parse().unwrap()),
        settings: Settings {
            name: format!("gw.{name}.example").parse().unwrap(),
            domain: format!("sdk.{name}.example").parse().unwrap(),
            federation: "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap(),
            schedule: schedule(),
            scratch: std::env::temp_dir(),
            retention: KEPT,
            transport_profiles: vec![TRANSPORT_PROFILE.to_owned()],
            expiry: Expiry { days: vec![100_000], watched: if world.plan.extras.contains(&Extra::Expiring) { vec![watched] } else { Vec::new() } },
        },
        participants: vec![Participant { id: participant(side), schedule: schedule(), retention: KEPT }],
        lanes: Lanes::new(LaneOptions::of(&schedule())),
    });
    let own: AccessPointId = point.certificate.common_name().unwrap().parse().unwrap();
    let access_point = AccessPointSide {
        node: Arc::clone(&node),
        transport: Arc::new(Wire(place.clone())),
        access_point: AccessPoint {
            name: own.clone(),
            identity: point.clone(),
            others: Vec::new(),
            public_url: format!("https://{name}.example/as4"),
            pmode: PMode::sdk(own),
            limits: brevbro::as4::receive::ReceiveLimits::default(),
            bringer: brevbro::inbound::receive::Bringer::Approved,
        },
        acquaintances: Acquaintances::default(),
    };
    let mail = MailSide {
        node,
        sinks,
        household: household(side),
        malware: scanning.then(scanner),
        mail: MailSettings {
            operator: mailbox(side, "drift"),
            postmaster: format!("postmaster@sdk.{name}.example").parse().unwrap(),
            refused_types: SignedDuration::from_hours(24 * 30),
            delivery: schedule(),
            message: MessageLimits::RECEIVING,
            sending: MessageLimits::SENDING,
            reading: None,
        },
    };
    Gateway::new(Sides::Both(Arc::new(access_point), Arc::new(mail)))
}

/// Room for two messages, or for all.
fn limits(tight: bool, side: usize) -> Vec<Quotas> {
    let waiting = if tight { 2 } else { 1_000_000 };
    vec![Quotas { organisation: participant(side), waiting, unopened: 1_000_000, stored: u64::MAX, mailboxes: Vec::new() }]
}

/// Hours where others have days: what gives up does so within the schedule.
fn schedule() -> Schedule {
    let minutes = |minutes: u64| Duration::from_mins(minutes);
    Schedule {
        first: minutes(1),
        factor: 2.0,
        longest: minutes(20),
        give_up: minutes(180),
        least_attempts: 6,
        in_order_within: minutes(90),
        delay_after: minutes(30),
        receipt_within: minutes(300),
        hours: None,
        patience: Patience::RealTime,
    }
}

fn household(side: usize) -> Household {
    let own = &keys().participants[side];
    let mailboxes = ["inkorg", "annan", "vakt", "snabb", "lang", "stangd", "utkorg"].map(|name| Mailbox {
        address: mailbox(side, name),
        function: function(name).parse().unwrap(),
        label: Some(name.to_owned()),
        senders: Vec::new(),
        deliver_to: mailbox(side, name),
        mode: if name == "vakt" { Mode::Notice(Some(Duration::from_mins(45))) } else { Mode::Full },
        mail_server: None,
        policy: MailboxPolicy::default(),
        pace: Pace { messages: if name == "snabb" { 1 } else { 1_000 }, window: Duration::from_hours(1), hold: Duration::from_mins(20) },
        always_tell: false,
    });
    let organisation = Organisation {
        participant: participant(side),
        name: format!("Organisation {}", NAMES[side]),
        signing: own.clone(),
        decryption: vec![own.clone()],
        mailboxes: mailboxes.into(),
    };
    Household { organisations: vec![organisation] }
}

/// The function of a mailbox.
pub fn function(name: &str) -> String {
    if name == "lang" { format!("lang{}", "-registrator".repeat(6)) } else { name.to_owned() }
}
