//! A folder that gets messages: put there once, refused for good or for now, and looked for where an answer was missed.

use std::time::{Duration, Instant};

use brevbro::edge::imap::inbox::Creation;
use brevbro::edge::imap::{ImapOptions, ImapSink, ImapTls, InboxOptions};
use brevbro::edge::tls::{Roots, client_config};
use brevbro::port::{Delivery, MailSink, SinkAnswer, SinkError};

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::harness::run;
use crate::server::{Act, EXCHANGE, Server};

const USER: &str = "inkorg@a.se";

fn sink(account: ImapOptions, folder: &str) -> ImapSink {
    ImapSink::new(InboxOptions { account, folder: folder.into(), create: Creation::Allowed, flags: Vec::new() })
}

fn delivery(id: &str, octets: usize) -> Delivery {
    let message = format!("Date: Mon, 05 Jan 2026 10:00:00 +0100\r\nMessage-ID: <{id}@gw.a.se>\r\n\r\n{}\r\n", "x".repeat(octets));
    Delivery { from: None, to: USER.parse().unwrap(), message: message.into_bytes(), id: None }
}

async fn deliver(sink: &ImapSink, id: &str, octets: usize) -> Result<SinkAnswer, SinkError> {
    sink.deliver(delivery(id, octets)).await
}

/// The mailbox of a Dovecot, by STARTTLS.
fn dovecot_account(dovecot: &Dovecot) -> ImapOptions {
    ImapOptions {
        host: "localhost".into(),
        port: dovecot.imap.port(),
        tls: ImapTls::StartTls(client_config(Roots::Only(&[dovecot.ca.certificate()]), None).unwrap()),
        user: USER.into(),
        login: brevbro::edge::imap::ImapLogin::Password("password".to_owned().into()),
        timeout: Duration::from_secs(20),
    }
}

#[test]
fn a_message_stands_in_its_folder_with_flags_and_date() {
    run(async {
        let Some(dovecot) = Dovecot::start(&DovecotSetup::of(&[USER])) else { return };
        let account = dovecot_account(&dovecot);
        let flagged =
            InboxOptions { account: account.clone(), folder: "SDK/Åtgärder".into(), create: Creation::Allowed, flags: vec!["\\Flagged".into()] };
        let flagged = ImapSink::new(flagged);
        // Small without asking, large after asking.
        for (id, octets) in [("a", 10), ("b", 5_000_000)] {
            let answer = deliver(&flagged, id, octets).await.unwrap();
            assert!(answer.text.starts_with("APPENDUID "), "{}", answer.text);
        }
        let listed = dovecot.doveadm(&["fetch", "-u", USER, "uid flags date.received size.physical", "mailbox", "SDK/Åtgärder"]);
        assert_eq!(listed.matches("flags: \\Flagged").count(), 2, "{listed}");
        assert_eq!(listed.matches("2026-01-05").count(), 2, "{listed}");
        let plain = sink(account.clone(), "INBOX");
        deliver(&plain, "c", 10).await.unwrap();
        let flags = dovecot.doveadm(&["fetch", "-u", USER, "flags", "mailbox", "INBOX"]);
        assert!(flags.contains("flags:") && !flags.contains("\\Seen") && !flags.contains("\\Flagged"), "{flags}");
        assert!(dovecot.mails(USER, "INBOX")[0].contains("Message-ID: <c@gw.a.se>\r\n"));
        // Where the folder may not be made, the message waits for a person.
        let forbidden = ImapSink::new(InboxOptions { account, folder: "Nowhere".into(), create: Creation::Forbidden, flags: Vec::new() });
        assert!(matches!(deliver(&forbidden, "d", 10).await, Err(SinkError::Permanent(why)) if why.contains("TRYCREATE")));
    });
}

#[test]
fn a_full_mailbox_is_for_now_and_a_message_larger_than_all_of_it_for_good() {
    run(async {
        let more = "mail_plugins = quota\nplugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=100K\n}\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\n";
        let Some(dovecot) = Dovecot::start(&DovecotSetup { more: more.into(), ..DovecotSetup::of(&[USER]) }) else { return };
        let sink = sink(dovecot_account(&dovecot), "INBOX");
        deliver(&sink, "a", 70_000).await.unwrap();
        let full = deliver(&sink, "b", 70_000).await.unwrap_err();
        assert!(matches!(&full, SinkError::Temporary(why) if why.contains("OVERQUOTA")), "{full}");
        let larger = deliver(&sink, "c", 200_000).await.unwrap_err();
        assert!(matches!(&larger, SinkError::Permanent(why) if why.contains("larger than the whole quota of 102400 octets")), "{larger}");
        dovecot.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", "all"]);
        deliver(&sink, "b", 70_000).await.unwrap();
    });
}

#[test]
fn a_message_above_the_append_limit_is_not_tried() {
    run(async {
        for (capabilities, limit) in [("IMAP4rev1 AUTH=PLAIN APPENDLIMIT=500", "at most 500 "), ("IMAP4rev1 AUTH=PLAIN APPENDLIMIT", "at most 1000 ")]
        {
            let server = Server::start(capabilities).await;
            let sink = sink(server.options(), "Out");
            let error = deliver(&sink, "a", 2000).await.unwrap_err();
            assert!(matches!(&error, SinkError::Permanent(why) if why.contains(limit)), "{error}");
            deliver(&sink, "b", 100).await.unwrap();
            assert_eq!((server.count("APPEND"), server.count("connect")), (1, 1));
        }
    });
}

#[test]
fn after_a_missed_answer_the_message_is_looked_for_before_it_is_put_there_again() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let sink = sink(server.options(), "Out");
        server.will("APPEND", Act::Forget);
        let missed = deliver(&sink, "a", 10).await.unwrap_err();
        assert!(matches!(missed, SinkError::Unknown(_)), "{missed}");
        let answer = deliver(&sink, "a", 10).await.unwrap();
        assert_eq!((answer.text.as_str(), server.mails("Out").len()), ("it was there already, UID 1", 1));
        // After a restart it is the caller who knows.
        let other = self::sink(server.options(), "Out");
        other.deliver_again(delivery("a", 10)).await.unwrap();
        other.deliver_again(delivery("b", 10)).await.unwrap();
        assert_eq!(server.mails("Out").len(), 2);
        // Whoever asks for the first time is not looked for: the search is slow where a folder is large.
        deliver(&other, "c", 10).await.unwrap();
        assert_eq!(server.count("UID SEARCH"), 3);
    });
}

#[test]
fn a_session_that_was_closed_while_it_rested_costs_nothing() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let sink = sink(server.options(), "Out");
        deliver(&sink, "a", 10).await.unwrap();
        server.will("APPEND", Act::Bye("* BYE Session invalidated\r\n".into()));
        deliver(&sink, "b", 10_000).await.unwrap();
        assert_eq!((server.mails("Out").len(), server.count("connect")), (2, 2));
    });
}

#[test]
fn a_server_that_throttles_is_left_alone_as_long_as_it_says() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let sink = sink(server.options(), "Out");
        server.will("APPEND", Act::Say("{tag} NO [THROTTLED] Suggested Backoff Time: 1200 milliseconds\r\n".into()));
        let began = Instant::now();
        let mut refusals = Vec::new();
        loop {
            match deliver(&sink, "a", 10_000).await {
                Ok(_) => break,
                Err(SinkError::Temporary(why)) => refusals.push(why),
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(1200));
        assert!(refusals.len() > 3 && refusals[1].contains("asked to be left alone"), "{refusals:?}");
        assert_eq!(server.count("APPEND"), 2, "it is not even asked");
    });
}

#[test]
fn refusals_are_for_now_or_for_good_as_the_server_means_them() {
    run(async {
        for (answer, permanent) in [
            ("NO [TOOBIG] Message too large", true),
            ("NO [NOPERM] not yours", true),
            ("NO [CANNOT] no such flag", true),
            ("NO [INUSE] in use", false),
            ("NO [UNAVAILABLE] User is authenticated but not connected.", false),
            ("NO something else", false),
            ("BAD Command Argument Error. 11", false),
        ] {
            let server = Server::start(EXCHANGE).await;
            server.will("APPEND", Act::Say(format!("{{tag}} {answer}\r\n")));
            let error = deliver(&sink(server.options(), "Out"), "a", 10_000).await.unwrap_err();
            assert_eq!(matches!(error, SinkError::Permanent(_)), permanent, "{answer}: {error}");
            assert!(!matches!(error, SinkError::Unknown(_)));
        }
    });
}
