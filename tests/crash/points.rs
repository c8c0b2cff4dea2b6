//! Ended at every named point of both flows, once or twice, as a crash would: with one mail and its answer each time.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::points;
use crate::evidence::judge;
use crate::stage::{LONG, Side, Stage, log_of, wait_for};

const LIMIT: Duration = Duration::from_mins(1);

/// What makes the gateway pass the point, beside a mail and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nothing,
    /// A mail that a program sent by itself.
    Automatic,
    /// A message of a function whose id is too long for an address.
    Long,
    /// Two functions that answer each other too fast.
    Loop,
    /// The mail server gives the answer's mail back.
    Returned,
    /// A request that is no AS4.
    Garbage,
    /// The other side is down after it took the message, so that its receipt is late.
    Late,
    /// The other side is away until the gateway has ended.
    Away,
    /// It is away until the operator has been told.
    Back,
    /// Content is kept for a moment only.
    Over,
}

/// One life of the gateway after another: each ends at its point.
struct Case {
    points: Vec<String>,
    also: Also,
}

/// Every point that a mail and its answer pass, in the order of the flows.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |also: Also, before: &[&str], step: &str, effects: &str, pass: u32| {
        for effect in effects.split(' ') {
            let points = before.iter().map(|point| (*point).to_owned()).chain([format!("{step}.{effect}:{pass}")]).collect();
            cases.push(Case { points, also });
        }
    };
    let step = "begin applied done";
    let with_blob = "begin blob applied done";
    add(Also::Nothing, &[], "accept", "spooled begin applied done before-250", 1);
    add(Also::Nothing, &[], "accept.confirm", step, 1);
    // What is noted of the scanner at first, and of the mail.
    for pass in [1, 2] {
        add(Also::Nothing, &[], "scan", step, pass);
    }
    add(Also::Nothing, &[], "pair", step, 1);
    add(Also::Loop, &[], "hold", step, 1);
    add(Also::Loop, &[], "release", step, 1);
    add(Also::Automatic, &[], "accept.dropped", step, 1);
    add(Also::Nothing, &["accept.before-250:1"], "accept.repeated", step, 1);
    add(Also::Nothing, &[], "seal", with_blob, 1);
    add(Also::Nothing, &[], "send.prepared", step, 1);
    add(Also::Nothing, &[], "send", "before-push after-push begin blob applied done", 1);
    add(Also::Away, &[], "put-off", step, 1);
    // The operator is told that the other side is down, and that it is back.
    add(Also::Away, &[], "destination", step, 1);
    add(Also::Back, &[], "destination", step, 2);
    add(Also::Late, &[], "await", step, 1);
    // The message receipt that comes back, and then the answer.
    for pass in [1, 2] {
        add(Also::Nothing, &[], "receive", "checked spooled begin blob applied done before-answer", pass);
    }
    add(Also::Nothing, &["receive.before-answer:1"], "receive.duplicate", step, 1);
    add(Also::Garbage, &[], "receive.refused", step, 1);
    add(Also::Nothing, &[], "open.receipt", with_blob, 1);
    // The notice to the sender, and then the answer.
    for pass in [1, 2] {
        add(Also::Nothing, &[], "hand-over", step, pass);
    }
    add(Also::Nothing, &[], "notify", "before-mail after-mail begin applied done", 1);
    add(Also::Nothing, &[], "open", with_blob, 1);
    add(Also::Long, &[], "deliver.short", step, 1);
    add(Also::Nothing, &[], "deliver", "before-mail after-mail begin applied done", 1);
    add(Also::Returned, &[], "returned", step, 1);
    add(Also::Nothing, &[], "answer", with_blob, 1);
    // Our message receipt.
    add(Also::Nothing, &[], "send.prepared", step, 2);
    add(Also::Nothing, &[], "send", "before-push after-push begin applied done", 2);
    for purge in ["purge.later", "purge.doomed", "purge.content"] {
        add(Also::Over, &[], purge, step, 1);
    }
    add(Also::Over, &[], "purge", "blob", 1);
    // The store passes its points at start already, twice those of the journal.
    for pass in [1, 3, 4, 6] {
        add(Also::Nothing, &[], "store.journal", "append sync", pass);
        add(Also::Nothing, &[], "store", "batch flush", pass);
    }
    for pass in [1, 2, 4] {
        add(Also::Nothing, &[], "spool", "sync rename directory", pass);
    }
    cases
}

#[test]
fn a_gateway_that_ends_at_any_named_point_loses_nothing() {
    if !crate::common::has("python3") || !crate::common::has("curl") {
        return;
    }
    let only = std::env::var("BREVBRO_CRASH_POINT").unwrap_or_default();
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.points.iter().any(|point| point.contains(&only))).collect();
    // What a gateway does between two ends is mostly waiting: three federations side by side take a third of the time.
    std::thread::scope(|scope| {
        for (number, cases) in cases.chunks(cases.len().div_ceil(3).max(1)).enumerate() {
            scope.spawn(move || run_all(&format!("crash-points-{number}"), cases));
        }
    });
}

/// Those of the flows are tried by `tests/schedules`, which fails when there is one at which no life of a gateway ended.
#[test]
fn every_named_point_is_tried() {
    assert_eq!(points::unread(), [""; 0], "points whose names cannot be read from the source are tried by nobody");
    let all: BTreeSet<String> = points::all().into_iter().collect();
    let here = cases().into_iter().flat_map(|case| case.points).filter_map(|point| Some(point.rsplit_once(':')?.0.to_owned()));
    let here: BTreeSet<String> = here.collect();
    assert!(here.is_subset(&all), "there are no such points: {:?}", here.difference(&all));
    let tried = |name: &String| here.contains(name) || points::is_in_a_test(name);
    let untried: Vec<_> = all.iter().filter(|name| points::is_of_disk(name) && !tried(name)).collect();
    assert!(untried.is_empty(), "nothing ends at {untried:?}");
}

/// Runs cases one after another in a federation of their own, and judges them all.
fn run_all(name: &str, cases: &[Case]) {
    let mut stage = Stage::set(name);
    stage.b.start(None);
    let ends = cases.iter().enumerate().map(|(number, case)| run(&mut stage, number, case)).sum();
    stage.a.start(None);
    assert!(stage.a.is_up());
    crate::quiet(&stage);
    stage.stop();
    let verdict = judge(&stage);
    println!("ended {ends} times at a named point; {verdict:?}");
    verdict.assert(ends);
}

/// Runs one case; how often the gateway ended.
fn run(stage: &mut Stage, number: usize, case: &Case) -> usize {
    let began = Instant::now();
    let token = format!("crash-point{number:03}");
    let mut play = Play { stage, case, lives: 0, ends: 0, turns: 0 };
    if case.also == Also::Late {
        play.stage.b.kill();
        play.stage.b.start(Some("answer.begin:1"));
    }
    if matches!(case.also, Also::Away | Also::Back) {
        play.stage.b.kill();
    }
    play.stage.a.day = (case.also == Also::Over).then_some(Duration::from_millis(400));
    play.begin();
    if matches!(case.also, Also::Away | Also::Back) {
        play.while_away(&token);
    }
    if case.also == Also::Automatic {
        let headers = [["Auto-Submitted", "auto-replied"]];
        play.hand_in(
            Side::A,
            &json!({ "token": format!("{token}-auto"), "from": Side::A.mailbox(0), "to": [Side::A.towards(1)], "headers": headers }),
        );
    }
    if case.also == Also::Loop {
        // The last one comes while the pair is held; another pair each time, since one that was held before is held longer.
        let (own, other) = (2, number % 3);
        for (side, from, to) in [(Side::A, own, other), (Side::B, other, own), (Side::A, own, other), (Side::B, other, own), (Side::A, own, other)] {
            let token = format!("{token}-turn{}", play.turn());
            play.hand_in(side, &json!({ "token": token, "from": side.mailbox(from), "to": [side.towards(to)] }));
            if play.turns < 5 {
                play.arrived(side.other(), &token);
            } else {
                play.outcome(side.other(), &token);
            }
        }
    }
    if case.also == Also::Long {
        let token = format!("{token}-long");
        play.hand_in(Side::B, &json!({ "token": token, "from": Side::B.mailbox(LONG), "to": [Side::B.towards(0)] }));
        play.outcome(Side::A, &token);
    }
    if case.also == Also::Garbage {
        play.until("an answer to garbage", |stage| hand_in_garbage(stage).then_some(()));
    }
    play.hand_in(Side::A, &json!({ "token": token, "from": Side::A.mailbox(0), "to": [Side::A.towards(1)], "files": 1 }));
    if case.also == Also::Late {
        wait_for("the end of the other side", LIMIT, || play.stage.b.ended());
        wait_for("the end at await", LIMIT, || play.stage.a.ended());
        play.stage.b.start(None);
    }
    let mail = play.outcome(Side::B, &token);
    let answer = format!("{token}-answer");
    let order = json!({ "token": answer, "from": Side::B.mailbox(1), "to": [mail["reply_to"]], "files": 1, "in_reply_to": mail["id"] });
    play.hand_in(Side::B, &order);
    let mail = play.outcome(Side::A, &answer);
    assert_eq!(mail["in_reply_to"], format!("<{token}@client.test>"), "{}: the answer threads", play.what());
    if case.also == Also::Returned {
        play.hand_in(Side::A, &json!({ "token": format!("{token}-auto"), "from": "", "to": [mail["from"]] }));
        play.until("the operator's mail", |stage| log_of(&stage.dir.join("sink.jsonl"), "skickade tillbaka").pop());
    }
    play.ended();
    play.stage.a.kill();
    println!("{}: {:.1} s", play.what(), began.elapsed().as_secs_f32());
    play.ends
}

/// A case while it runs.
struct Play<'a> {
    stage: &'a mut Stage,
    case: &'a Case,
    lives: usize,
    ends: usize,
    turns: usize,
}

impl Play<'_> {
    fn what(&self) -> String {
        self.case.points.join(", ")
    }

    /// The number of a turn.
    fn turn(&mut self) -> usize {
        self.turns += 1;
        self.turns
    }

    /// Begins the gateway's next life.
    fn begin(&mut self) {
        let point = self.case.points.get(self.lives);
        self.lives += 1;
        self.stage.a.start(point.map(String::as_str));
    }

    /// Starts the gateway again when it has ended.
    fn tend(&mut self) {
        if let Some(status) = self.stage.a.ended() {
            assert_eq!(status.signal(), Some(6), "{}: gateway a ended with {status}", self.what());
            self.ends += 1;
            self.begin();
        }
    }

    /// Waits until it has ended at each point.
    fn ended(&mut self) {
        let (what, lives) = (format!("{}: the end of gateway a", self.what()), self.case.points.len());
        wait_for(&what, LIMIT, || {
            self.tend();
            (self.ends == lives).then_some(())
        });
    }

    /// Two mails wait for the other side until the gateway has ended at its point, or until the operator knows.
    fn while_away(&mut self, token: &str) {
        let told = |stage: &Stage| log_of(&stage.dir.join("sink.jsonl"), "A server does not answer").len();
        let before = told(self.stage);
        let tokens = [1, 2].map(|number| format!("{token}-away{number}"));
        for token in &tokens {
            self.hand_in(Side::A, &json!({ "token": token, "from": Side::A.mailbox(0), "to": [Side::A.towards(1)] }));
        }
        if self.case.also == Also::Away {
            self.ended();
        } else {
            self.until("the operator's mail", |stage| (told(stage) > before).then_some(()));
        }
        self.stage.b.start(None);
        for token in &tokens {
            self.outcome(Side::B, token);
        }
    }

    fn until<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Stage) -> Option<T>) -> T {
        let what = format!("{}: {what}", self.what());
        wait_for(&what, LIMIT, || {
            self.tend();
            ask(self.stage)
        })
    }

    fn hand_in(&mut self, side: Side, order: &Value) {
        let mut client = self.stage.client(side, 1, 1);
        client.send(order);
        client.close();
        self.until("the client's end", |_| client.ended().then_some(()));
    }

    /// The mail of this token at a side's mail server.
    fn arrived(&mut self, side: Side, token: &str) {
        let is = |line: &Value| line["token"] == token && line["kind"] == "mail" && line["server"] == side.name();
        self.until("a mail", |stage| log_of(&stage.dir.join("sink.jsonl"), token).iter().any(is).then_some(()));
    }

    /// The mail of this token at a side's mail server, when its sender has been told as well.
    fn outcome(&mut self, side: Side, token: &str) -> Value {
        let about = |line: &Value| line["token"] == token;
        self.until("a mail and its notice", |stage| {
            let lines = log_of(&stage.dir.join("sink.jsonl"), token);
            lines.iter().find(|line| about(line) && line["kind"] == "notice")?;
            lines.into_iter().find(|line| about(line) && line["kind"] == "mail" && line["server"] == side.name())
        })
    }
}

/// Whether gateway a has answered a request that is no AS4 message.
fn hand_in_garbage(stage: &Stage) -> bool {
    let url = format!("https://127.0.0.1:{}/as4", stage.a.as4);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--max-time", "10", "--header", "Content-Type: application/soap+xml", "--data", "garbage", "--cert"]);
    curl.arg(&stage.a.tls).arg(url).stdout(Stdio::null());
    curl.status().unwrap().success()
}
