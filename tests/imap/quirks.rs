//! Servers that throttle, break off, say what nobody asked for, or say nothing: no mail is taken twice, none is left lying, and
//! nobody is asked more often than they allow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brevbro::edge::imap::{Content, Fate, Found, ImapError, OutboxOptions, OutboxReception, Place, watch};
use brevbro::edge::serving::{Stopper, stop};
use brevbro::port::Pending;

use crate::harness::{run, wait_for};
use crate::server::{Act, EXCHANGE, Server};

/// A reception that takes everything, and remembers.
#[derive(Default)]
struct Taking {
    marks: Mutex<BTreeMap<(u32, u32), Fate>>,
    taken: Mutex<Vec<String>>,
    /// Mails with one of these in them are refused, or must wait.
    refuses: &'static str,
    waits: Mutex<Vec<&'static str>>,
}

impl Taking {
    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl OutboxReception for Taking {
    fn known<'a>(&'a self, place: &'a Place) -> Pending<'a, Option<Fate>> {
        Box::pin(async { self.marks.lock().unwrap().get(&(place.validity, place.uid)).copied() })
    }

    fn room(&self, _: u64) -> Pending<'_, Box<dyn Send>> {
        Box::pin(async { Box::new(()) as Box<dyn Send> })
    }

    fn take(&self, found: Found) -> Pending<'_, Fate> {
        Box::pin(async move {
            let text = match &found.content {
                Content::Whole(mail) => String::from_utf8_lossy(mail).into_owned(),
                Content::TooLarge { octets, header } => format!("{octets} octets of {}", String::from_utf8_lossy(header)),
            };
            let waits = self.waits.lock().unwrap().iter().position(|word| text.contains(word));
            if let Some(at) = waits {
                self.waits.lock().unwrap().remove(at);
                return Fate::Later;
            }
            let refused = matches!(found.content, Content::TooLarge { .. }) || (!self.refuses.is_empty() && text.contains(self.refuses));
            let fate = if refused { Fate::Refused } else { Fate::Taken };
            self.taken.lock().unwrap().push(text);
            self.marks.lock().unwrap().insert((found.place.validity, found.place.uid), fate);
            fate
        })
    }

    fn moved<'a>(&'a self, _: &'a Place) -> Pending<'a, ()> {
        Box::pin(async {})
    }

    fn gone(&self, place: Place) -> Pending<'_, ()> {
        Box::pin(async move {
            self.marks.lock().unwrap().remove(&(place.validity, place.uid));
        })
    }

    fn unreachable<'a>(&'a self, _: &'a str, _: &'a ImapError) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}

/// A folder of a server that is watched until this is dropped.
struct Watched {
    taking: Arc<Taking>,
    _stopper: Stopper,
}

fn options(server: &Server) -> OutboxOptions {
    OutboxOptions {
        account: server.options(),
        folder: "Out".into(),
        processed: "Done".into(),
        failed: "Failed".into(),
        poll: Duration::from_millis(300),
        max_mail: 10_000,
    }
}

fn watched(options: OutboxOptions, taking: Taking) -> Watched {
    let (stopper, stopped) = stop();
    let taking = Arc::new(taking);
    tokio::spawn(watch(options, Arc::clone(&taking) as Arc<dyn OutboxReception>, stopped));
    Watched { taking, _stopper: stopper }
}

async fn done(server: &Server, folder: &str, number: usize) {
    wait_for(&format!("{number} mails in {folder}"), || async { (server.mails(folder).len() == number).then_some(()) }).await;
}

fn mail(text: &str) -> String {
    format!("Subject: {text}\r\n\r\n{text}\r\n")
}

#[test]
fn mails_are_taken_once_and_moved_with_move_and_without() {
    run(async {
        for capabilities in [EXCHANGE, "IMAP4rev1 UIDPLUS", "IMAP4rev1", "IMAP4rev1 AUTH=PLAIN IDLE"] {
            let server = Server::start(capabilities).await;
            let watched = watched(options(&server), Taking { refuses: "fel", ..Taking::default() });
            for text in ["ett", "fel", "ett"] {
                server.put("Out", mail(text));
            }
            done(&server, "Done", 2).await;
            done(&server, "Failed", 1).await;
            server.put("Out", mail("sent"));
            done(&server, "Done", 3).await;
            assert_eq!(watched.taking.taken().len(), 4, "two equal mails are two: {capabilities}");
            let left = server.mails("Out");
            // Without MOVE and UIDPLUS a mail stays, marked as deleted, and is not looked at again.
            assert!(left.iter().all(|mail| mail.flags == ["\\Deleted"]), "{capabilities}: {left:?}");
            assert_eq!(left.is_empty(), capabilities.contains("MOVE") || capabilities.contains("UIDPLUS"));
            wait_for("marks forgotten", || async { watched.taking.marks.lock().unwrap().is_empty().then_some(()) }).await;
        }
    });
}

#[test]
fn who_is_told_to_wait_waits_so_long() {
    run(async {
        for (command, answer) in [
            ("UID FETCH", "{tag} NO [THROTTLED] Request is throttled. Suggested Backoff Time: 1500 milliseconds\r\n"),
            ("UID MOVE", "{tag} BAD Request is throttled. Suggested Backoff Time: 1500 milliseconds\r\n"),
            ("SELECT", "{tag} NO [UNAVAILABLE] Server Busy. Backoff Time: 1500 milliseconds\r\n"),
            ("AUTHENTICATE", "{tag} NO Backoff Time: 1500 milliseconds\r\n"),
        ] {
            let server = Server::start(EXCHANGE).await;
            server.will(command, Act::Say(answer.into()));
            server.put("Out", mail("ett"));
            let began = Instant::now();
            let watched = watched(options(&server), Taking::default());
            done(&server, "Done", 1).await;
            assert!(began.elapsed() >= Duration::from_millis(1500), "{command}: {:?}", began.elapsed());
            assert_eq!((server.count("connect"), watched.taking.taken().len()), (2, 1), "{command}");
        }
    });
}

#[test]
fn a_bye_at_any_moment_takes_nothing_twice() {
    run(async {
        let with_move =
            ["connect", "CAPABILITY", "AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH 1 (UID RFC822", "UID FETCH 1 (UID BODY", "UID MOVE", "IDLE"];
        let without = ["UID COPY", "CREATE", "UID STORE", "UID EXPUNGE"];
        let cases = with_move.map(|command| (EXCHANGE, command)).into_iter().chain(without.map(|command| ("IMAP4rev1 AUTH=PLAIN UIDPLUS", command)));
        let mut all = tokio::task::JoinSet::new();
        for (capabilities, command) in cases {
            for act in [Act::Bye("* BYE Connection is closed. 13\r\n".into()), Act::Bye("* 1 FETCH (UID 1 BODY[] {99}\r\nab".into()), Act::Forget] {
                if command != "connect" || !matches!(act, Act::Forget) {
                    all.spawn(cut_off(capabilities, command, act));
                }
            }
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
    });
}

async fn cut_off(capabilities: &'static str, command: &'static str, act: Act) {
    let server = Server::start(capabilities).await;
    server.put("Out", mail("ett"));
    server.will(command, act.clone());
    let watched = watched(options(&server), Taking::default());
    // Cut off after STORE, a mail that is marked as deleted stays so until somebody expunges the folder.
    let is_empty = || server.mails("Out").iter().all(|mail| mail.flags == ["\\Deleted"]);
    wait_for(command, || async { (is_empty() && !server.mails("Done").is_empty()).then_some(()) }).await;
    server.put("Out", mail("sent"));
    wait_for(command, || async { is_empty().then_some(()) }).await;
    assert_eq!(watched.taking.taken(), [mail("ett"), mail("sent")], "{command}, {act:?}");
    // A copy may have been made twice where there is no MOVE; nothing is missing.
    let done = server.mails("Done").len();
    assert!(done == 2 || (done == 3 && !capabilities.contains("MOVE")), "{command}, {act:?}: {done}");
}

#[test]
fn what_nobody_asked_for_is_passed_over() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let junk = "* OK [UNKNOWN (a b)] still here\r\n* 17 RECENT\r\n* FROBNICATE \"{\" ))((\r\n* 5 EXISTS\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 FLAGS (\\Seen $x))\r\n* LIST (\\Noselect) NIL {3}\r\na\"b\r\n* VANISHED 1:9\r\n* 3 EXPUNGE\r\n* 99999999999999 EXISTS\r\n\r\n";
        for command in ["CAPABILITY", "AUTHENTICATE", "SELECT", "UID SEARCH", "UID FETCH", "UID FETCH", "UID MOVE"] {
            server.will(command, Act::First(junk.into()));
        }
        server.put("Out", mail("ett"));
        let watched = watched(options(&server), Taking::default());
        done(&server, "Done", 1).await;
        assert_eq!((server.count("connect"), watched.taking.taken()), (1, vec![mail("ett")]));
    });
}

#[test]
fn a_server_that_sends_too_much_or_hangs_holds_up_one_mail_at_most() {
    run(async {
        let too_much = [
            ("a literal without end", "* 1 FETCH (UID 1 BODY[] {4000000000}\r\n".to_owned()),
            ("a line without end", "* OK ".to_owned() + &"x".repeat(2 << 20)),
            ("a wrong length", "* 1 FETCH (UID 1 BODY[] {5}\r\nabcdefghij)\r\n{tag} OK\r\n".to_owned()),
            ("no mail", "{tag} OK\r\n* 1 FETCH (UID 1)\r\n".to_owned()),
            ("deep lists", format!("* 1 FETCH (UID 1 BODYSTRUCTURE {}", "(".repeat(500_000)) + "\r\n{tag} OK\r\n"),
        ];
        for (what, text) in too_much {
            let server = Server::start(EXCHANGE).await;
            server.put("Out", mail("ett"));
            server.put("Out", mail("tva"));
            server.will("UID FETCH 1 (UID BODY", Act::Say(text));
            let watched = watched(options(&server), Taking { refuses: "octets of", ..Taking::default() });
            wait_for(what, || async { (server.mails("Done").len() + server.mails("Failed").len() == 2).then_some(()) }).await;
            assert_eq!(watched.taking.taken().len(), 2, "{what}");
        }
        let server = Server::start(EXCHANGE).await;
        server.will("UID FETCH 1 (UID BODY", Act::Hang);
        server.put("Out", mail("ett"));
        server.put("Out", mail("tva"));
        let watched = watched(options(&server), Taking::default());
        done(&server, "Done", 2).await;
        let taken = watched.taking.taken();
        assert_eq!((taken[0].as_str(), taken[1].as_str()), (mail("tva").as_str(), mail("ett").as_str()), "the other mail goes first");
    });
}

#[test]
fn a_mail_that_must_wait_lets_the_others_pass() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        server.put("Out", mail("vanta"));
        server.put("Out", mail("ett"));
        let watched = watched(options(&server), Taking { waits: Mutex::new(vec!["vanta"]), ..Taking::default() });
        done(&server, "Done", 2).await;
        assert_eq!(watched.taking.taken(), [mail("ett"), mail("vanta")]);
        assert_eq!(server.count("connect"), 1);
    });
}

#[test]
fn a_mail_too_large_is_not_fetched_whatever_the_server_says_of_its_size() {
    run(async {
        for told in [None, Some(10)] {
            let server = Server::start(EXCHANGE).await;
            server.state().size = told;
            server.put("Out", mail("stor") + &"x".repeat(20_000));
            let watched = watched(options(&server), Taking::default());
            done(&server, "Failed", 1).await;
            assert_eq!(watched.taking.taken(), ["20023 octets of Subject: stor\r\n\r\n"]);
        }
    });
}

#[test]
fn a_silent_idle_is_looked_after_and_a_refused_one_is_given_up() {
    run(async {
        for quirk in [None, Some("{tag} NO not now\r\n"), Some("{tag} BAD Command Error. 12\r\n")] {
            let server = Server::start(EXCHANGE).await;
            server.state().tells = false;
            if let Some(text) = quirk {
                server.will("IDLE", Act::Say(text.into()));
            }
            let _watched = watched(options(&server), Taking::default());
            wait_for("an IDLE", || async { (server.count("IDLE") > 0).then_some(()) }).await;
            server.put("Out", mail("ett"));
            done(&server, "Done", 1).await;
            assert_eq!(server.count("connect"), 1);
            assert_eq!(server.count("IDLE") == 1, quirk.is_some());
        }
        // A connection that is dead without a word is noticed.
        let server = Server::start(EXCHANGE).await;
        server.will("IDLE", Act::Hang);
        let _watched = watched(options(&server), Taking::default());
        wait_for("another connection", || async { (server.count("connect") > 1).then_some(()) }).await;
        server.put("Out", mail("ett"));
        done(&server, "Done", 1).await;
    });
}

#[test]
fn when_uidvalidity_changes_places_are_new_ones() {
    run(async {
        let server = Server::start(EXCHANGE).await;
        let watched = watched(options(&server), Taking { waits: Mutex::new(vec!["vanta"; 3]), ..Taking::default() });
        server.put("Out", mail("vanta"));
        wait_for("an attempt", || async { (watched.taking.waits.lock().unwrap().len() < 3).then_some(()) }).await;
        {
            let mut state = server.state();
            let folder = state.folders.get_mut("Out").unwrap();
            (folder.validity, folder.next) = (2, 5);
            folder.mails[0].uid = 4;
        }
        // The server ends sessions whose folder is another one now.
        server.will("UID SEARCH", Act::Bye("* BYE [UNAVAILABLE] The folder was recreated\r\n".into()));
        done(&server, "Done", 1).await;
        assert_eq!(watched.taking.taken(), [mail("vanta")]);
    });
}
