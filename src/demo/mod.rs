//! The demo: a federation, two gateways and two mail servers on this machine; a mail there and its answer back.
//!
//! Nothing is played: the federation is [`testbed`](crate::testbed), each gateway is a [`Daemon`](crate::daemon::Daemon)
//! with a configuration file, keys and state of its own, and what is checked at the end is what the mail servers got.

mod cast;
mod check;
mod dovecot;
mod error;
mod evidence;
mod folder;
mod gateway;
pub mod mail;
pub mod mailserver;
mod show;
mod stage;
mod submit;
mod timeline;
mod wire;

use std::io::Write;
use std::path::Path;

use jiff::{Timestamp, Zoned};

use crate::event::EventName;
use crate::port::BlobKind;
use cast::{AF, HABO};
use check::Checks;
pub use error::DemoError;
pub use stage::KeySizes;
use stage::{Player, Stage};
use timeline::Timeline;

const FIRST: &str = "<AM0PR07MB1.demo.1@habo.se>";
const ANSWER: &str = "<svar.demo.1@arbetsformedlingen.se>";

/// Runs the demo into a folder; prints what happens to `out`. With `stay` it goes on until SIGINT or SIGTERM.
///
/// # Errors
/// [`DemoError`]: something could not be started, or a check failed.
pub async fn run(dir: &Path, stay: bool, keys: KeySizes, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
    say(out, "brevbro demo: en federation, två gatewayer och två mejlservrar på den här datorn");
    say(out, "              a federation, two gateways and two mail servers on this machine");
    say(out, &format!("              {}\n", Zoned::now().strftime("%Y-%m-%d %H:%M:%S %Z")));
    let stage = Stage::set(dir, keys, out).await?;
    let mut timeline = Timeline::new(Timestamp::now());
    timeline.follow(HABO.name, stage.habo.daemon.gateway.store.clone());
    timeline.follow(AF.name, stage.af.daemon.gateway.store.clone());
    let told = tell(&stage, &mut timeline, out).await;
    // Also when it went wrong, and then all the more.
    let lines = serde_json::to_string_pretty(&timeline.to_json()).unwrap_or_default();
    let told = told.and(stage.folder.keep("timeline.json", lines.as_bytes()));
    let stayed = match &told {
        Ok(()) if stay => stage.stay(out).await,
        _ => Ok(()),
    };
    stage.clear().await;
    told.and(stayed)
}

/// The mail, its answer, and what must be right at the end.
async fn tell(stage: &Stage, timeline: &mut Timeline, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
    let mut checks = Checks::default();

    let to = AF.address_in(&HABO);
    let sent = mail::outlook(HABO.mailbox, &to, FIRST, Timestamp::now());
    stage.folder.keep("sent.eml", &sent)?;
    say(out, &format!("\n1. {} skriver till {}: \"{}\", {} bilagor", HABO.name, AF.name, mail::SUBJECT, mail::attachments().len()));
    let (delivered, dsn) = leg(stage, (&stage.habo, &stage.af), &to, &sent, timeline, out).await?;
    stage.folder.keep("delivered.eml", &delivered)?;
    stage.folder.keep("dsn.eml", &dsn)?;
    checks.mail(&delivered);
    checks.notice("besked till Håbo", &dsn, FIRST);
    evidence::keep(stage, &mut checks).await?;

    let to = check::header(&delivered, "From").unwrap_or_default();
    let to = to.rsplit_once('<').map_or(to.as_str(), |(_, rest)| rest).trim_end_matches('>').to_owned();
    let answered = check::header(&delivered, "Message-ID").unwrap_or_default();
    let references = [check::header(&delivered, "References").unwrap_or_default(), answered.clone()].join(" ");
    let answer = mail::reply(AF.mailbox, &to, ANSWER, &answered, references.trim(), Timestamp::now());
    stage.folder.keep("answer-sent.eml", &answer)?;
    say(out, &format!("\n2. {} svarar {}", AF.name, HABO.name));
    let (delivered, dsn) = leg(stage, (&stage.af, &stage.habo), &to, &answer, timeline, out).await?;
    stage.folder.keep("answer-delivered.eml", &delivered)?;
    stage.folder.keep("answer-dsn.eml", &dsn)?;
    let first = evidence::blob(&stage.af, BlobKind::Message).await?.unwrap_or_default();
    let second = evidence::keep_blob(stage, &mut checks, "answer-message.xml", &stage.habo, BlobKind::Message).await?;
    checks.answer(&delivered, FIRST);
    checks.thread(&first, &second);
    checks.notice("besked till Arbetsförmedlingen", &dsn, ANSWER);
    for name in [HABO.name, AF.name] {
        let events = [EventName::Acknowledged, EventName::Accepted, EventName::ReceiptSent, EventName::Delivered, EventName::NoticeSent];
        let once = events.into_iter().all(|event| timeline.events(name, event).count() == 1);
        checks.that(&format!("{name}: AS4-kvittens, meddelandekvittens och leverans, en gång var"), once);
    }

    say(out, "");
    checks.print(out);
    say(out, "");
    stage.folder.print(out);
    checks.verdict()
}

/// One mail from one organisation to the other: the mail that was delivered, and the notice to its sender.
async fn leg(
    stage: &Stage,
    (from, to): (&Player, &Player),
    address: &str,
    mail: &[u8],
    timeline: &mut Timeline,
    out: &mut (dyn Write + Send),
) -> Result<(Vec<u8>, Vec<u8>), DemoError> {
    say(out, &format!("   {} -> {address}\n", from.cast.mailbox));
    timeline.begin(Timestamp::now(), out);
    let reply = submit::submit(from.daemon.smtp, from.cast.mailbox, address, mail).await?;
    let both = stage.leg(from, to, timeline, out).await?;
    say(out, "");
    for (name, id) in std::iter::once(("SMTP", reply)).chain(timeline.ids(from.cast.name)) {
        say(out, &format!("   {}{id}", show::pad(name, 14)));
    }
    Ok(both)
}

fn say(out: &mut (dyn Write + Send), text: &str) {
    // A closed pipe is no reason to fail.
    drop(writeln!(out, "{text}"));
    drop(out.flush());
}
