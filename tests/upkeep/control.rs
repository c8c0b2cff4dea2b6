//! The control socket: what it tells, to whom, and what it bears.

use std::os::unix::fs::PermissionsExt;

use brevbro::cli::control::Unanswered;
use brevbro::daemon::control::{Command, NAME};
use brevbro::inbound::Incoming;
use brevbro::outbound::Outgoing;
use brevbro::port::Queue;
use brevbro::worker::{Overview, Waiting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::gateway::harness::client::submit;
use crate::gateway::harness::peer::Mood;
use crate::gateway::harness::{Gateway, Peer, mail, run, wait_for};
use crate::operator::{ask, ask_at, kept};

#[test]
fn an_operator_sees_what_waits_and_why_and_no_content() {
    run(async {
        let gateway = Gateway::start(kept("upkeep-status")).await;
        let peer = Peer::start("upkeep-status-peer").await;
        peer.set(Mood::Down);
        let to = gateway.address_of("inkorg", &peer.name);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "a1", "Kanariefagel4711")).await;
        let waiting = wait_for("a failed attempt in the queue", || async {
            let waiting: Vec<Waiting> = ask(&gateway, Command::Queue { limit: 10 }).await.unwrap();
            waiting.into_iter().find(|waiting| waiting.queue == Queue::Send && waiting.attempts > 0)
        })
        .await;
        assert!(waiting.why.contains("503"), "{waiting:?}");
        let known = waiting.message.clone().unwrap();
        assert_eq!((known.state, known.organisation, known.other), (Outgoing::SUBMITTED, gateway.participant.clone(), peer.participant.clone()));
        assert!(waiting.due > known.since);
        let overview: Vec<Overview> = ask(&gateway, Command::Status {}).await.unwrap();
        let [overview] = &overview[..] else { panic!("{overview:?}") };
        assert!(overview.working && overview.name == "gw.upkeep-status.se");
        assert!(overview.queues.iter().any(|line| line.queue == Queue::Send && line.jobs == 1 && line.due.is_some()), "{overview:?}");
        assert!(overview.states.iter().any(|(state, count)| *state == Incoming::UNREAD && count.number == 0));

        let all: Vec<serde_json::Value> = ask(&gateway, Command::Queue { limit: 10 }).await.unwrap();
        assert!(!serde_json::to_string(&all).unwrap().contains("Kanariefagel4711"));
        peer.set(Mood::Good);
        peer.message(0).await;
        gateway.stop().await;
    });
}

#[test]
fn nobody_is_asked_where_nothing_runs_and_the_socket_goes_with_its_gateway() {
    run(async {
        let gateway = Gateway::start(kept("upkeep-gone")).await;
        let socket = gateway.dir().join("state").join(NAME);
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let asleep = gateway.sleep().await;
        assert!(!socket.exists());
        let state = socket.parent().unwrap().to_owned();
        let refused = ask_at::<Overview>(state, Command::Status {}).await.unwrap_err();
        assert!(matches!(refused, Unanswered::Nobody(_)), "{refused:?}");
        let told = refused.told().to_string();
        assert!(told.starts_with("error: no gateway runs on ") && told.contains("\nhint: start it"), "{told}");
        asleep.wake(kept("upkeep-gone")).await.stop().await;
    });
}

#[test]
fn hostile_questions_are_refused_and_the_gateway_goes_on() {
    run(async {
        let gateway = Gateway::start(kept("upkeep-hostile")).await;
        let socket = gateway.dir().join("state").join(NAME);
        let say = async |question: &[u8]| {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            // Who is refused early may close before all was said.
            drop(stream.write_all(question).await);
            drop(stream.shutdown().await);
            let mut answer = String::new();
            drop(stream.read_to_string(&mut answer).await);
            answer
        };
        let question = r#"{"refused":{"what":"the question is not understood""#;
        for unread in ["\n", "{}\n", "status\n", "{\"version\":1,\"command\":{\"name\":\"rm\"}}\n", "[1,2,3]\n", "\u{0}\n"] {
            assert!(say(unread.as_bytes()).await.starts_with(question), "{unread:?}");
        }
        assert!(say(b"{\"version\":9}\n").await.contains("version 9"));
        let long = [vec![b' '; 70_000], b"\n".to_vec()].concat();
        for cut in [&b""[..], b"{\"version\":1", &long] {
            let answer = say(cut).await;
            assert!(answer.is_empty() || answer.contains("did not come whole"), "{answer}");
        }
        // Connections that say nothing take every seat, and lose it.
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(UnixStream::connect(&socket).await.unwrap());
        }
        let status = b"{\"version\":1,\"command\":{\"name\":\"status\"}}\n";
        let busy = wait_for("all seats taken", || async {
            let answer = say(status).await;
            answer.contains("refused").then_some(answer)
        });
        assert!(busy.await.contains("too many commands"));
        wait_for("seats to be free again", || async { say(status).await.ends_with("{\"done\":{}}\n").then_some(()) }).await;
        gateway.stop().await;
    });
}
