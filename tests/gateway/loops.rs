//! Automatic answers, rules that send mail on, and two functions that answer each other by themselves.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use brevbro::event::{EventName, Field};
use brevbro::sdk::receipt::Outcome;

use crate::harness::client::{Client, submit};
use crate::harness::{Gateway, Letter, Peer, Setup, mail, run, wait_for, world};

/// The address in a header field, which may stand on a line of its own.
fn address_in(letter: &Letter, field: &str) -> String {
    let (_, rest) = letter.text.split_once(&format!("\n{field}:")).unwrap();
    rest.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned()
}

/// A mailbox that answers every mail that it gets, as long as it is told to.
struct Responder {
    on: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Responder {
    /// `header` stands in every answer.
    fn start(gateway: &Arc<Gateway>, header: &'static str) -> Self {
        let (on, answered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (gateway, going, count) = (Arc::clone(gateway), Arc::clone(&on), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            let mut seen = 0;
            while going.load(Ordering::SeqCst) {
                let letters = gateway.delivered();
                for letter in letters.iter().skip(seen) {
                    let (to, answered) = (address_in(letter, "Reply-To"), address_in(letter, "Message-ID"));
                    let text = mail(&gateway.mailbox, &format!("auto{seen}"), "Jag har semester.");
                    let text = text.replace("Subject: Prov", &format!("Subject: Autosvar\r\nIn-Reply-To: <{answered}>\r\n{header}"));
                    let reply = submit(&gateway, &[&to], " NOTIFY=DELAY,FAILURE", &text).await;
                    assert!(reply.starts_with("250"), "{reply}");
                    count.fetch_add(1, Ordering::SeqCst);
                    seen += 1;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { on, answered, task }
    }

    /// Answers no more; how many answers that were.
    async fn stop(self) -> usize {
        self.on.store(false, Ordering::SeqCst);
        self.task.await.unwrap();
        self.answered.load(Ordering::SeqCst)
    }
}

async fn pair(name: &str, root: &'static str) -> [Arc<Gateway>; 2] {
    let setup = |side: &str| Setup { root, ..Setup::new(&format!("{name}-{side}")) };
    [Arc::new(Gateway::start(setup("a")).await), Arc::new(Gateway::start(setup("b")).await)]
}

async fn stop(gateways: [Arc<Gateway>; 2]) {
    for gateway in gateways {
        Arc::try_unwrap(gateway).ok().unwrap().stop().await;
    }
}

#[test]
fn out_of_office_of_both_sides_never_meet() {
    run(async {
        let gateways = pair("loop-proper", "").await;
        let [a, b] = &gateways;
        let answers = [a, b].map(|gateway| Responder::start(gateway, "Auto-Submitted: auto-replied\r\n"));
        let to = |from: &Gateway, other: &Gateway| from.address_of("inkorg", other.participant.as_str().trim_start_matches("0203:"));
        assert!(submit(a, &[&to(a, b)], "", &mail(&a.mailbox, "q1", "Hej")).await.starts_with("250"));
        assert!(submit(b, &[&to(b, a)], "", &mail(&b.mailbox, "q2", "Hej")).await.starts_with("250"));
        for gateway in [a, b] {
            let event = gateway.event(EventName::MailDropped).await;
            assert_eq!(event.fields[&Field::Cause], "automatic mail: Auto-Submitted");
            gateway.quiet().await;
        }
        for responder in answers {
            assert_eq!(responder.stop().await, 1);
        }
        assert_eq!((a.delivered().len(), b.delivered().len()), (1, 1));
        stop(gateways).await;
    });
}

#[test]
fn two_mailboxes_that_answer_without_saying_so_are_held_and_nothing_is_lost() {
    run(async {
        let gateways = pair("loop-improper", "loops = { messages = 3, window = \"1h\", hold = \"2s\" }").await;
        let [a, b] = &gateways;
        let answers = [a, b].map(|gateway| Responder::start(gateway, ""));
        let to = a.address_of("inkorg", b.participant.as_str().trim_start_matches("0203:"));
        assert!(submit(a, &[&to], " NOTIFY=DELAY,FAILURE", &mail(&a.mailbox, "q1", "Hej")).await.starts_with("250"));
        // Whichever side counts to four first.
        let held = wait_for("a hold", || async {
            for gateway in [a, b] {
                if !gateway.events(EventName::Held).await.is_empty() {
                    return Some(gateway);
                }
            }
            None
        });
        let held = held.await;
        let alarm = held.alarm().await;
        assert!(alarm.text.contains("inkorg") && alarm.text.contains("finalRecipient"), "{}", alarm.text);
        let notice = held.notice("delayed", "4.4.6").await;
        assert!(notice.text.contains("autosvar"), "{}", notice.text);
        let mut sent = 1;
        for responder in answers {
            sent += responder.stop().await;
        }
        assert!(sent <= 12, "{sent} mails before the pair was held");
        // What was held goes out by itself, and everything that got its 250 arrives.
        wait_for("every mail", || async { (a.delivered().len() + b.delivered().len() == sent).then_some(()) }).await;
        for gateway in [a, b] {
            let count = async |name| gateway.events(name).await.len();
            gateway.quiet().await;
            assert_eq!(count(EventName::Released).await, count(EventName::Held).await);
            assert_eq!(count(EventName::TurnedAway).await, 0, "what comes in is never refused");
        }
        let alarms = held.sink.letters().iter().filter(|letter| letter.to == held.operator).count();
        assert_eq!(alarms, held.events(EventName::PairHeld).await.len(), "one alarm for each hold");
        stop(gateways).await;
    });
}

#[test]
fn the_count_of_a_pair_survives_a_restart_and_holds_only_what_goes_out() {
    run(async {
        let setup =
            || Setup { root: "loops = { messages = 1, window = \"1h\", hold = \"1h\" }", mailbox: "loop-messages = 2", ..Setup::new("loop-restart") };
        let mut gateway = Gateway::start(setup()).await;
        let peer = Peer::start("loop-restart-peer").await;
        let to = gateway.address_of("avdelningen", &peer.name);
        for number in 0..3 {
            peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
            assert_eq!(peer.receipt(number).await.outcome, Outcome::Accepted);
        }
        for number in 0..2 {
            assert!(submit(&gateway, &[&to], "", &mail(&gateway.mailbox, &format!("m{number}"), "Hej")).await.starts_with("250"));
            peer.message(number).await;
        }
        gateway = gateway.restart_in(world().await, setup()).await;
        assert!(submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "m3", "Hej")).await.starts_with("250"));
        let held = gateway.event(EventName::Held).await;
        assert_eq!(held.fields[&Field::Function], "avdelningen");
        assert_eq!(gateway.events(EventName::PairHeld).await.len(), 1);
        // Another function is another pair, and the held one still hears what comes in.
        let other = gateway.address_of("f", &peer.name);
        assert!(submit(&gateway, &[&other], "", &mail(&gateway.mailbox, "m4", "Hej")).await.starts_with("250"));
        assert_eq!(peer.message(2).await.recipient.function.unwrap().as_str(), "f");
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        assert_eq!(peer.receipt(3).await.outcome, Outcome::Accepted);
        gateway.stop().await;
    });
}

#[test]
fn a_mail_that_a_rule_sends_on_is_refused_and_what_a_person_forwards_is_not() {
    run(async {
        let gateway = Gateway::start(Setup::new("loop-redirect")).await;
        let peer = Peer::start("loop-redirect-peer").await;
        let to = gateway.address_of("f", &peer.name);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let delivered = gateway.delivery().await;
        let id = address_in(&delivered, "Message-ID");
        let resent = format!("Received: from exch01 by exch02; Mon, 05 Jan 2026 10:00:00 +0100\r\nResent-From: <{}>\r\n", gateway.mailbox);
        let rewritten = delivered.text.replace(&format!("<{id}>"), "<AM0PR@eurprd.prod.outlook.com>");
        assert!(!rewritten.contains(&id));
        let stripped: String = delivered.text.split_inclusive("\r\n").filter(|line| !line.starts_with("X-SDK-")).collect();
        for (number, text) in [&delivered.text, &rewritten, &stripped].into_iter().enumerate() {
            let reply = submit(&gateway, &[&to], "", &(resent.clone() + text.trim_end_matches(".\r\n"))).await;
            assert!(reply.starts_with("554 5.4.6 ") && reply.contains("forward the mail by hand"), "{reply}");
            gateway.nth_event(EventName::LoopStopped, number).await;
        }
        let quoted = delivered.text.lines().map(|line| format!("> {line}\r\n")).collect::<Vec<_>>().concat();
        let forward = mail(&gateway.mailbox, "fwd", &format!("Se nedan.\r\n\r\n{quoted}"));
        let forward = forward.replace("Subject: Prov", &format!("Subject: VB: Prov\r\nReferences: <{id}>"));
        assert!(submit(&gateway, &[&to], "", &forward).await.starts_with("250"));
        peer.message(0).await;
        gateway.stop().await;
    });
}

#[test]
fn every_sign_of_a_program_drops_a_mail_and_suppression_is_none() {
    run(async {
        let gateway = Gateway::start(Setup::new("loop-signs")).await;
        let peer = Peer::start("loop-signs-peer").await;
        let to = gateway.address_of("f", &peer.name);
        let with = |header: &str| mail(&gateway.mailbox, "s1", "Hej").replace("MIME-Version", &format!("{header}\r\nMIME-Version"));
        let signs = [
            ("Auto-Submitted: auto-replied (vacation)", "Auto-Submitted"),
            ("Auto-Submitted: auto-generated; type=x", "Auto-Submitted"),
            ("Precedence: junk", "Precedence"),
            ("Precedence: auto_reply", "Precedence"),
            ("List-Id: <nyheter.example.se>", "List-Id"),
            ("Return-Path: <>", "Return-Path"),
            ("X-Autoreply: yes", "X-Autoreply"),
            ("X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent", "X-MS-Exchange-Generated-Message-Source"),
        ];
        for (number, (header, sign)) in signs.into_iter().enumerate() {
            let reply = submit(&gateway, &[&to], "", &with(header)).await;
            assert!(reply.starts_with("250 2.0.0 "), "{header}: {reply}");
            let event = gateway.nth_event(EventName::MailDropped, number).await;
            assert_eq!(event.fields[&Field::Cause], format!("automatic mail: {sign}"));
        }
        let report = "From: <postmaster@loop-signs.se>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\nLäst\r\n--b--\r\n";
        assert!(submit(&gateway, &[&to], "", report).await.starts_with("250"));
        gateway.nth_event(EventName::MailDropped, signs.len()).await;
        // The empty sender, whatever stands in the mail.
        let mut client = Client::connect(&gateway).await;
        client.envelope("", &[&to], "").await;
        assert!(client.data(&mail(&gateway.mailbox, "s2", "Hej")).await.starts_with("250"));
        client.cut();
        gateway.nth_event(EventName::MailDropped, signs.len() + 1).await;
        // [MS-OXCMAIL] 2.2.3.2.14: it says what its writer does not want back, not that a program wrote it.
        assert!(submit(&gateway, &[&to], "", &with("X-Auto-Response-Suppress: All")).await.starts_with("250"));
        assert!(submit(&gateway, &[&to], "", &with("Auto-Submitted: no")).await.starts_with("250"));
        peer.message(1).await;
        assert_eq!(peer.taken().len(), 2);
        peer.send(&gateway, &peer.draft(&gateway)).await.acknowledged();
        let delivered = gateway.delivery().await;
        assert_eq!(delivered.line("X-Auto-Response-Suppress:"), Some("OOF, AutoReply, DR, RN, NRN"));
        assert_eq!(delivered.line("Auto-Submitted:"), None);
        gateway.stop().await;
    });
}
