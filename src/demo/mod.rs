//! The demo: a federation, two gateways and two mail servers on this machine; a mail there and its answer back.
//!
//! Nothing is played: the federation is [`testbed`](crate::testbed), each gateway is a [`Daemon`](crate::daemon::Daemon) with a configuration
//! file, keys and state of its own, and what is checked at the end is what the mail servers got.

mod check;
mod dovecot;
pub mod mail;
mod mailserver;
mod stage;
mod submit;
mod timeline;
mod wire;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::EventName;
use check::Checks;
use stage::Stage;
pub use stage::{DemoError, KeySizes};
use timeline::Timeline;

/// How long one leg may take: sealing and opening with keys of full size on a small machine.
const LEG: Duration = Duration::from_secs(40);

/// Runs the demo into a folder; prints what happens to `out`. With `stay` it goes on until SIGINT or SIGTERM.
///
/// # Errors
/// [`DemoError`]: something could not be started, or a check failed.
pub async fn run(dir: &Path, stay: bool, keys: KeySizes, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
    say(out, "brevbro demo: en federation, två gatewayer och två e-postservrar på den här datorn\n");
    let stage = Stage::set(dir, keys, out).await?;
    let mut timeline = Timeline::new(Timestamp::now());
    timeline.follow(stage::HABO.name, stage.habo.daemon.gateway.store.clone());
    timeline.follow(stage::AF.name, stage.af.daemon.gateway.store.clone());
    let mut checks = Checks::default();

    let to = stage::AF.address_in(&stage::HABO);
    let sent = mail::outlook(stage::HABO.mailbox, &to, "<AM0PR07MB1.demo.1@habo.se>", Timestamp::now());
    stage.keep("sent.eml", &sent)?;
    say(out, &format!("\n{} skriver till {} ({to})", stage::HABO.mailbox, stage::AF.name));
    let reply = submit::submit(stage.habo.daemon.smtp, stage::HABO.mailbox, &to, &sent).await?;
    say(out, &format!("           {:<22} svarar {reply}", stage::HABO.name));
    let (delivered, dsn) = stage.leg(&stage.habo, &stage.af, &mut timeline, out).await?;
    stage.keep("delivered.eml", &delivered)?;
    stage.keep("dsn.eml", &dsn)?;
    checks.mail(&delivered);
    checks.notice("besked till Håbo", &dsn, "<AM0PR07MB1.demo.1@habo.se>");
    stage.keep_evidence(&mut checks).await?;

    let to = check::header(&delivered, "From").unwrap_or_default();
    let to = to.rsplit_once('<').map_or(to.as_str(), |(_, rest)| rest).trim_end_matches('>').to_owned();
    let answered = check::header(&delivered, "Message-ID").unwrap_or_default();
    let references = [check::header(&delivered, "References").unwrap_or_default(), answered.clone()].join(" ");
    let answer = mail::reply(stage::AF.mailbox, &to, "<svar.demo.1@arbetsformedlingen.se>", &answered, references.trim(), Timestamp::now());
    stage.keep("answer-sent.eml", &answer)?;
    say(out, &format!("\n{} svarar {to}", stage::AF.mailbox));
    submit::submit(stage.af.daemon.smtp, stage::AF.mailbox, &to, &answer).await?;
    let (delivered, dsn) = stage.leg(&stage.af, &stage.habo, &mut timeline, out).await?;
    stage.keep("answer-delivered.eml", &delivered)?;
    stage.keep("answer-dsn.eml", &dsn)?;
    checks.answer(&delivered, "<AM0PR07MB1.demo.1@habo.se>");
    checks.notice("besked till Arbetsförmedlingen", &dsn, "<svar.demo.1@arbetsformedlingen.se>");
    for name in [stage::HABO.name, stage::AF.name] {
        let events = [EventName::Acknowledged, EventName::Accepted, EventName::ReceiptSent, EventName::Delivered, EventName::NoticeSent];
        checks.that(
            &format!("{name}: AS4-kvittens, meddelandekvittens och leverans, en gång var"),
            events.into_iter().all(|event| timeline.events(name, event).count() == 1),
        );
    }
    stage.keep("timeline.json", serde_json::to_string_pretty(&timeline.to_json()).unwrap_or_default().as_bytes())?;

    say(out, "");
    let failed = checks.print(out);
    say(out, &format!("\nAllt ligger i {}", dir.display()));
    if failed == 0 && stay {
        stage.stay(out).await?;
    }
    stage.clear().await;
    if failed == 0 { Ok(()) } else { Err(DemoError::Failed(failed)) }
}

fn say(out: &mut (dyn Write + Send), text: &str) {
    // A closed pipe is no reason to fail.
    drop(writeln!(out, "{text}"));
    drop(out.flush());
}
