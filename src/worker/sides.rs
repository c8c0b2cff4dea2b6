//! The two sides of a gateway, and what a node has of them.
//!
//! SDK seals a message from participant to participant, so that access points need not be trusted with its content. That is
//! worth something only where the access point's machine cannot open what it carries. So a node is one of three:
//!
//! | role | has | never has |
//! |---|---|---|
//! | access point | its keys, the AS4 endpoint, `Send` | a participant's private key, anything in the clear, a mail server |
//! | mail | participants' keys, SMTP and IMAP, all other queues | the access point's key, a way to other access points |
//! | both | both | |
//!
//! What both need is [`Node`]. A side is reached through its own type only: code of the access point's side cannot name a
//! participant's key.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use super::{AccessPoint, Acquaintances, Expiry, Household, Lanes, Limits, Malware, Retention, Room, Sinks};
use crate::event::Field;
use crate::failure::Failure;
use crate::ident::{Domain, FederationId, MailAddress, NodeName, ParticipantId};
use crate::outbound::retry::Schedule;
use crate::port::{Blobs, Clock, Directory, Lease, Moment, Op, Queue, Step, Store, StoreError, Transport, Trust};
use crate::sdk::message::MessageLimits;
use crate::worker::effects::Outcome;

/// Whether other nodes work on the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// The state is this node's alone: what no record names at its start, was left behind by itself.
    Alone,
    /// It is shared: a node may be about to name what no record names yet.
    Nodes,
}

/// What every node has, whatever its role.
pub struct Node {
    /// What it is called among several.
    pub name: NodeName,
    /// Whether there are, or may be, several.
    pub company: Company,
    /// Records, notes, jobs, journal.
    pub store: Arc<dyn Store>,
    /// Bodies.
    pub blobs: Arc<dyn Blobs>,
    /// DNS, SMP, CertPub.
    pub directory: Arc<dyn Directory>,
    /// Certificates.
    pub trust: Arc<dyn Trust>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The memory for messages that are held whole.
    pub room: Room,
    /// What organisations and mailboxes may have here.
    pub limits: Limits,
    /// What all steps share.
    pub settings: Settings,
    /// Who is served.
    pub participants: Vec<Participant>,
    /// The ways to other access points and to mail servers.
    pub lanes: Arc<Lanes>,
}

/// What all steps share that is no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway's host name.
    pub name: Domain,
    /// The gateway's own mail domain.
    pub domain: Domain,
    /// The federation.
    pub federation: FederationId,
    /// Attempts and patience, where no organisation is known that has its own.
    pub schedule: Schedule,
    /// How long what has ended is kept, where no organisation is known that has its own rule.
    pub retention: Retention,
    /// Where scratch files are made.
    pub scratch: std::path::PathBuf,
    /// The transport profiles of endpoints that are sent to.
    pub transport_profiles: Vec<String>,
    /// What ends some day.
    pub expiry: Expiry,
}

/// A participant that the gateway serves, as far as both sides know it.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// Attempts and patience for what it sends.
    pub schedule: Schedule,
    /// How long its messages are kept that have ended.
    pub retention: Retention,
}

/// The access point's side: what goes to other access points and comes from them, sealed. It knows who is served, and of
/// nobody a key.
pub struct AccessPointSide {
    /// What every node has.
    pub node: Arc<Node>,
    /// AS4 out.
    pub transport: Arc<dyn Transport>,
    /// Its name and keys.
    pub access_point: AccessPoint,
    /// Other access points whose certificates are known.
    pub acquaintances: Acquaintances,
}

/// The mail side: the participants with their keys, and mail in and out.
pub struct MailSide {
    /// What every node has.
    pub node: Arc<Node>,
    /// Mail out.
    pub sinks: Sinks,
    /// The participants.
    pub household: Household,
    /// What looks for malware, when something does.
    pub malware: Option<Malware>,
    /// What mails and notices are made with.
    pub mail: MailSettings,
}

/// What the mail side's steps share that is no secret.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Who is told when a human is needed.
    pub operator: MailAddress,
    /// The sender of notices.
    pub postmaster: MailAddress,
    /// How long a file type that a function has refused is not sent to it.
    pub refused_types: jiff::SignedDuration,
    /// Attempts at delivering to the mail server.
    pub delivery: Schedule,
    /// Bounds on messages that come in.
    pub message: MessageLimits,
    /// Bounds on messages that go out.
    pub sending: MessageLimits,
    /// Where people read messages of mailboxes that are only told of them.
    pub reading: Option<String>,
}

/// The sides that a node has: one or both.
#[derive(Clone)]
pub enum Sides {
    /// The access point's, in the DMZ.
    AccessPoint(Arc<AccessPointSide>),
    /// The participants', inside.
    Mail(Arc<MailSide>),
    /// One node does everything, or several do.
    Both(Arc<AccessPointSide>, Arc<MailSide>),
}

/// A node with its sides.
#[derive(Clone)]
pub struct Gateway {
    sides: Sides,
}

impl Gateway {
    /// A node that has these.
    #[must_use]
    pub fn new(sides: Sides) -> Self {
        Self { sides }
    }

    /// The access point's side, where this node has it.
    #[must_use]
    pub fn access_point(&self) -> Option<&Arc<AccessPointSide>> {
        match &self.sides {
            Sides::AccessPoint(side) | Sides::Both(side, _) => Some(side),
            Sides::Mail(_) => None,
        }
    }

    /// The mail side, where this node has it.
    #[must_use]
    pub fn mail(&self) -> Option<&Arc<MailSide>> {
        match &self.sides {
            Sides::Mail(side) | Sides::Both(_, side) => Some(side),
            Sides::AccessPoint(_) => None,
        }
    }

    /// The queues whose jobs this node runs.
    #[must_use]
    pub fn queues(&self) -> Vec<Queue> {
        Queue::ALL.into_iter().filter(|queue| self.runs(*queue)).collect()
    }

    fn runs(&self, queue: Queue) -> bool {
        match queue {
            Queue::Send => self.access_point().is_some(),
            Queue::Seal | Queue::Await | Queue::Open | Queue::Deliver | Queue::Answer | Queue::Notify | Queue::Purge => self.mail().is_some(),
        }
    }
}

impl Deref for Gateway {
    type Target = Node;

    fn deref(&self) -> &Node {
        match &self.sides {
            Sides::AccessPoint(side) | Sides::Both(side, _) => &side.node,
            Sides::Mail(side) => &side.node,
        }
    }
}

impl Deref for AccessPointSide {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Deref for MailSide {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Node {
    /// Whether a participant is one of ours.
    #[must_use]
    pub fn serves(&self, participant: &ParticipantId) -> bool {
        self.participant(participant).is_some()
    }

    /// When to try again, and when to give up, what an organisation sends.
    pub(super) fn schedule(&self, participant: &ParticipantId) -> &Schedule {
        self.participant(participant).map_or(&self.settings.schedule, |participant| &participant.schedule)
    }

    /// How long messages of an organisation are kept.
    pub(super) fn retention(&self, participant: &ParticipantId) -> Retention {
        self.participant(participant).map_or(self.settings.retention, |participant| participant.retention)
    }

    fn participant(&self, id: &ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|participant| &participant.id == id)
    }

    /// Applies a step, which counts what it changes of what organisations have here. Among several nodes each event says on
    /// which one it happened.
    pub(super) async fn apply(&self, mut step: Step) -> Result<(), StoreError> {
        let changes = self.limits.count(&mut step);
        if self.company == Company::Nodes {
            for op in &mut step.ops {
                if let Op::Audit(event) = op {
                    event.fields.insert(Field::Node, self.name.to_string());
                }
            }
        }
        self.store.apply(step).await?;
        self.limits.counted(&changes);
        Ok(())
    }

    /// Ends a job whose record has moved on.
    pub(super) async fn abandon(&self, lease: Lease) -> Result<Outcome, Failure> {
        self.carry_out("abandon", Step::new().op(Op::Complete(lease)).into()).await.map(|_| Outcome::Overtaken)
    }

    /// Any number, for jitter.
    pub(super) fn random() -> u64 {
        super::chance::number()
    }

    /// Now, and how far back the clock can be relied on.
    pub(super) fn moment(&self) -> Moment {
        Moment::of(self.clock.as_ref())
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
