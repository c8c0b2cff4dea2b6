//! Every transition in the tables is made by the steps, and they make no other; what an operator asks for is one or is refused.

use std::collections::BTreeSet;
use std::path::Path;

use brevbro::event::EventName;
use brevbro::failure::{Blame, Failure, Stage};
use brevbro::inbound::retire::Past;
use brevbro::inbound::{self, Closed, Delivered, Incoming, Read, Returned, Undeliverable, Unread};
use brevbro::outbound::operate::Left;
use brevbro::outbound::retry::Schedule;
use brevbro::outbound::send::{Attempted, Prepared};
use brevbro::outbound::state::{End, Ended};
use brevbro::outbound::{self, Cargo, Held, Outgoing, Reached, Resent, Scheduled, Submitted, accept, hold, seal, send, settle};
use brevbro::port::{Effects, Fail, Guard, Op, Queue, Retained, SinkAnswer, SinkError, Step, Tell, Transition};
use brevbro::sdk::receipt::Outcome;
use brevbro::sdk::rules::Breach;

use crate::inbound::{caller, names_for_settling, signer};
use crate::made::{AF, arrival, at, blob, content, lease, letter, names, not_found, put, receipt, taken, tells, waiting};
use crate::outbound::{reply, settled, submitted};

type Pair = (Option<String>, Option<String>);

/// What a step makes of the records that it writes.
fn pairs(step: &Step) -> Vec<Pair> {
    assert_eq!(brevbro::worker::unlawful(step), None);
    let changed = step.ops.iter().filter_map(|op| match op {
        Op::Put(record) => Some((record.id, Some(record.state.to_string()))),
        Op::Remove(id) => Some((*id, None)),
        _ => None,
    });
    let before = |wanted| {
        step.guards.iter().find_map(|guard| match guard {
            Guard::In(id, state) if *id == wanted => Some(state.to_string()),
            _ => None,
        })
    };
    changed.map(|(id, to)| (before(id), to)).collect()
}

fn rows(table: &[Transition]) -> BTreeSet<Pair> {
    table.iter().map(|row| (row.from.map(str::to_owned), row.to.map(str::to_owned))).collect()
}

fn ended(end: End, cargo: Cargo) -> Ended {
    Ended { cargo, end, at: at(50), late_told: false, kept: vec![blob(4), blob(5), blob(6)], retained: Retained::Whole }
}

fn left() -> Left {
    Left { envelope: Some(blob(4)), spent: vec![blob(4), blob(5)], as4_id: "b@b".parse().unwrap() }
}

fn scheduled() -> Scheduled {
    Scheduled { letter: letter(), delay_told: None }
}

fn held() -> Held {
    Held { letter: letter(), until: at(100), delay_told: None }
}

/// As a message is that an operator has sent again.
fn resent() -> outbound::Letter {
    outbound::Letter { resent: Some(Resent { at: at(60), times: 1, kept: vec![blob(6)] }), ..letter() }
}

#[test]
fn the_steps_of_the_outbound_flow_make_the_transitions_of_its_table_and_no_others() {
    let queued = |queue| lease(letter().record, queue, 0);
    let (down, never) = (Failure::temporary(Stage::Send, Blame::Peer, "down"), Failure::permanent(Stage::Send, Blame::Peer, "no"));
    let schedule = Schedule::default();
    let failed = |state, failure: &Failure| send::failed(state, queued(Queue::Send), failure, Fail::AccessPoint, &schedule, at(1), 0).unwrap();
    let sub = || submitted(Cargo::Letter(letter()));
    let own = || submitted(Cargo::Reply(reply()));
    let identity = crate::common::pki::Ca::new("Test CA").issue("af.example.se");
    let federation = "urn:fdc:digg.se:edelivery:federation:test".parse().unwrap();
    let with = || seal::Seal {
        signer: &identity,
        federation: &federation,
        as4_id: "a@b".parse().unwrap(),
        envelope: blob(4),
        limits: brevbro::sdk::message::MessageLimits::SENDING,
        missing: &[],
        now: at(1),
    };
    let mut made: Vec<Effects> = Vec::new();
    let threads = outbound::thread::Threads::default();
    let transaction = crate::transitions::transaction();
    let letters = accept::letters(&transaction, &accept::Mail::default(), &threads, at(0)).unwrap();
    made.push(accept::accept(&transaction, letters, &threads, brevbro::crypto::sha256(b"m"), &accept::Mail::default(), at(0)).unwrap().into());
    let xml =
        brevbro::sdk::receipt::write(&brevbro::sdk::receipt::Receipt { id: reply().envelope_id.to_string(), ..receipt(Outcome::Accepted) }).unwrap();
    made.push(seal::receipt(reply(), queued(Queue::Answer), &xml, None, &with()).unwrap());
    made.push(failed(Attempted::Scheduled(scheduled()), &down));
    made.push(failed(Attempted::Scheduled(scheduled()), &never));
    made.push(hold::hold(scheduled(), queued(Queue::Seal), at(100), at(1)).unwrap());
    made.push(hold::release(held(), queued(Queue::Seal), at(100)).unwrap());
    made.push(outbound::operate::let_go(held(), "anna", at(2)).unwrap().into());
    made.push(seal::message(scheduled(), queued(Queue::Seal), &content(), &crate::outbound::metadata(&identity), &with()).unwrap());
    for state in [Outgoing::Scheduled(scheduled()), Outgoing::Held(held()), Outgoing::Submitted(sub())] {
        made.push(outbound::operate::cancel(&state, "anna", at(2)).unwrap().into());
    }
    let again = [
        Outgoing::Scheduled(Scheduled { letter: resent(), delay_told: None }),
        Outgoing::Held(Held { letter: resent(), ..held() }),
        Outgoing::Submitted(sub()),
        Outgoing::Waiting(waiting()),
    ];
    for state in again {
        made.push(settled(state.clone(), &receipt(Outcome::Accepted), AF));
        made.push(settled(state, &receipt(not_found()), AF));
    }
    let sent = brevbro::as4::Sent {
        message_id: "a@b".parse().unwrap(),
        content_type: "multipart/related".into(),
        octets: 1,
        references: Vec::new(),
        signature_digest: brevbro::crypto::sha256(b"s"),
    };
    let prepared = Prepared {
        record: letter().record,
        endpoint: "https://as4.example.se/as4".into(),
        peer: "AP0002-TEST".parse().unwrap(),
        certificate: String::new(),
        sent,
    };
    made.push(send::prepared(sub(), &queued(Queue::Send), blob(5), &prepared, brevbro::crypto::sha256(b"c"), at(1)).unwrap().1.into());
    made.push(send::attempted(&sub(), &queued(Queue::Send)).unwrap().unwrap().into());
    made.push(failed(Attempted::Submitted(sub()), &down));
    made.push(failed(Attempted::Submitted(sub()), &never));
    made.push(send::acknowledged(sub(), queued(Queue::Send), None, &schedule, at(1)).unwrap());
    made.push(send::acknowledged(own(), queued(Queue::Send), None, &schedule, at(1)).unwrap());
    made.push(settle::overdue(waiting(), queued(Queue::Await), &schedule, schedule.late_at(at(10))).unwrap());
    made.push(settle::overdue(waiting(), queued(Queue::Await), &schedule, schedule.receipt_due(at(10))).unwrap());
    let end = |end| Outgoing::Ended(ended(end, Cargo::Letter(letter())));
    made.push(settled(end(End::ExchangeError), &receipt(Outcome::Accepted), AF));
    made.push(settled(end(End::Accepted), &receipt(not_found()), AF));
    made.push(settled(end(End::Rejected), &receipt(Outcome::Accepted), AF));
    made.push(outbound::operate::resend(ended(End::ExchangeError, Cargo::Letter(letter())), &left(), "anna", at(60)).unwrap());
    made.push(outbound::operate::resend(ended(End::ExchangeError, Cargo::Reply(reply())), &left(), "anna", at(60)).unwrap());
    let mut found: BTreeSet<Pair> = made.iter().flat_map(|effects| pairs(&effects.step)).collect();
    // What retention makes of them, as the worker does it.
    for of in [End::Accepted, End::Rejected, End::ExchangeError] {
        let (before, ended) = (end(of).state(), ended(of, Cargo::Letter(letter())));
        found.insert((Some(before.to_string()), Some(ended.doomed(Vec::new()).state().to_string())));
    }
    for of in [End::Accepted, End::ExchangeError] {
        assert!(!ended(of, Cargo::Reply(reply())).has_content());
        found.insert((Some(Outgoing::Ended(ended(of, Cargo::Reply(reply()))).state().to_string()), None));
    }
    assert_eq!(found, rows(&outbound::transitions::TRANSITIONS));
}

#[test]
fn the_steps_of_the_inbound_flow_make_the_transitions_of_its_table_and_no_others() {
    let queued = |queue| lease(arrival().record, queue, 0);
    let answer = SinkAnswer { text: "250 ok".into() };
    let unread = || Unread { taken: taken(), told_at: at(3), reminded_at: None };
    let link = accept::Link { conversation: content().conversation_id, message: content().message_id, record: arrival().record };
    let link = (accept::Link::received(&content().message_id), link.to_note());
    let mailbox = "inkorg@arbetsformedlingen.se".parse().unwrap();
    let notice = brevbro::mail::returned::Returned {
        fate: brevbro::mail::returned::Fate::Failed,
        status: None,
        diagnostic: None,
        recipient: None,
        envelope_id: None,
    };
    let delivered = || Incoming::Delivered(Delivered { taken: taken(), at: at(3) });
    let returned = || Incoming::Returned(Returned { taken: taken(), delivered_at: at(3), at: at(4), status: None });
    let undeliverable = || Undeliverable { taken: taken(), at: at(3) };
    let reader = inbound::read::Reader::new("anna.ek").unwrap();
    let read = || Incoming::Read(Read { taken: taken(), at: at(3), by: reader.clone() });
    let closed = |kept| Incoming::Closed(Closed { arrival: arrival(), how: inbound::How::TurnedAway, at: at(3), kept });
    let mut made: Vec<Effects> = vec![
        inbound::receive::receive(arrival(), b"r".to_vec(), &caller(), at(1)).unwrap(),
        inbound::settle::taken(arrival(), queued(Queue::Open), &content(), b"<m/>".to_vec(), &mailbox, signer(), link, names_for_settling(), at(2))
            .unwrap(),
        inbound::settle::turned_away(arrival(), queued(Queue::Open), None, vec![Breach::unknown_function()], &names_for_settling(), at(2)).unwrap(),
        inbound::settle::receipt_taken(arrival(), queued(Queue::Open), &content().message_id, "ACCEPTED", signer(), at(2)).unwrap(),
        inbound::open::discarded(arrival(), queued(Queue::Open), "no", at(2)).unwrap(),
        crate::inbound::failed(0, &SinkError::Permanent("550".into()), true, 5),
        crate::inbound::failed(99, &SinkError::Permanent("550".into()), false, 200_000),
        inbound::deliver::delivered(taken(), queued(Queue::Deliver), &answer, at(3)).unwrap(),
        inbound::read::told(taken(), queued(Queue::Deliver), &answer, None, at(3)).unwrap(),
        inbound::read::reminded(unread(), queued(Queue::Deliver), &answer, at(3)).unwrap(),
        inbound::read::opened(Incoming::Unread(unread()), &reader, at(3)).unwrap().unwrap(),
        inbound::read::delivered_instead(unread(), at(3)).unwrap(),
        inbound::returned::returned(delivered(), &notice, "t1", at(9)).unwrap(),
    ];
    let again = [delivered(), returned(), Incoming::Undeliverable(undeliverable()), Incoming::Handled(undeliverable())];
    made.extend(again.into_iter().map(|state| inbound::operate::redeliver(state, "anna", at(5)).unwrap().into()));
    let seen_to = [returned(), Incoming::Undeliverable(undeliverable()), Incoming::Unread(unread())];
    made.extend(seen_to.into_iter().map(|state| inbound::operate::handled(state, "called", "anna", at(5)).unwrap().into()));
    let mut found: BTreeSet<Pair> = made.iter().flat_map(|effects| pairs(&effects.step)).collect();
    // What retention makes of them, as the worker does it.
    for state in [delivered(), read(), Incoming::Handled(undeliverable()), closed(Some(blob(24)))] {
        let (before, past) = (state.state().to_string(), Past::of(state).unwrap());
        assert!(past.has_content());
        let doomed = past.doomed(Vec::new());
        found.insert((Some(before), Some(doomed.state().to_string())));
        let gone = Past::of(doomed.clone()).unwrap().gone(at(9));
        assert!(!Past::of(gone.clone()).unwrap().has_content());
        found.insert((Some(doomed.state().to_string()), Some(gone.state().to_string())));
        found.insert((Some(gone.state().to_string()), None));
    }
    assert!(!Past::of(closed(None)).unwrap().has_content());
    found.insert((Some(Incoming::CLOSED.to_string()), None));
    for state in
        [Incoming::Retrieved(arrival()), Incoming::New(taken()), returned(), Incoming::Unread(unread()), Incoming::Undeliverable(undeliverable())]
    {
        assert_eq!(Past::of(state), None, "what waits for somebody has not ended");
    }
    assert_eq!(found, rows(&inbound::transitions::TRANSITIONS));
}

fn refusal(result: Result<Effects, Failure>) -> String {
    result.unwrap_err().what
}

#[test]
fn a_message_is_sent_again_as_the_same_message_with_a_new_as4_id_or_not_at_all() {
    let resend = |ended| outbound::operate::resend(ended, &left(), "anna (uid 0)", at(90));
    let effects = resend(ended(End::ExchangeError, Cargo::Letter(letter()))).unwrap();
    let Some(Outgoing::Scheduled(state)) = put(&effects) else { panic!("scheduled") };
    assert_eq!(
        (&state.letter.message_id, &state.letter.conversation_id, state.letter.accepted_at),
        (&letter().message_id, &letter().conversation_id, at(0))
    );
    assert_eq!(state.letter.resent, Some(Resent { at: at(90), times: 1, kept: vec![blob(6)] }), "the receipt of before stays as evidence");
    assert_eq!(
        (effects.discard, names(&resend(ended(End::ExchangeError, Cargo::Letter(letter()))).unwrap())),
        (vec![blob(4), blob(5)], vec![EventName::Resent])
    );
    assert_eq!(Cargo::Letter(state.letter.clone()).since(), at(90), "its time begins anew");
    assert!(Outgoing::Scheduled(state).blobs().contains(&blob(6)));

    let Some(Outgoing::Submitted(state)) = put(&resend(ended(End::ExchangeError, Cargo::Reply(reply()))).unwrap()) else { panic!("submitted") };
    assert_eq!(
        (state.dispatch.as4_id.as_str(), state.dispatch.envelope, state.dispatch.request, state.dispatch.reached),
        ("b@b", blob(4), None, Reached::Never)
    );

    assert!(refusal(resend(ended(End::Accepted, Cargo::Letter(letter())))).contains("ACCEPTED"));
    assert!(refusal(resend(ended(End::Rejected, Cargo::Letter(letter())))).contains("rejected"));
    let purged = Ended { retained: Retained::Gone { at: at(60) }, ..ended(End::ExchangeError, Cargo::Letter(letter())) };
    assert!(refusal(resend(purged)).contains("deleted"));
    let told = Ended { late_told: true, ..ended(End::ExchangeError, Cargo::Letter(letter())) };
    assert!(refusal(resend(told)).contains("late receipt"));
    let often = outbound::Letter { resent: Some(Resent { at: at(60), times: 8, kept: Vec::new() }), ..letter() };
    assert!(refusal(resend(ended(End::ExchangeError, Cargo::Letter(often)))).contains("8 times"));
}

#[test]
fn who_was_told_that_it_failed_is_told_that_the_second_attempt_arrived_whatever_was_asked_for() {
    let letter = outbound::Letter { notify: outbound::state::Notify { success: false, failure: true, delay: false }, ..resent() };
    let state = outbound::Waiting { letter, ..waiting() };
    let effects = settled(Outgoing::Waiting(state), &receipt(Outcome::Accepted), AF);
    assert!(matches!(tells(&effects)[..], [Tell::Accepted { late: true, .. }]));
    // A receipt for the first attempt, while the second has not begun.
    let effects = settled(Outgoing::Scheduled(Scheduled { letter: resent(), delay_told: None }), &receipt(Outcome::Accepted), AF);
    assert!(matches!(put(&effects), Some(Outgoing::Ended(Ended { end: End::Accepted, .. }))));
    // Of a message that was never sent it is none.
    let effects = settled(Outgoing::Scheduled(scheduled()), &receipt(Outcome::Accepted), AF);
    assert_eq!((names(&effects), put(&effects)), (vec![EventName::StrayReceipt], None));
}

#[test]
fn what_may_have_left_is_not_stopped() {
    let cancel = |state: &Outgoing| outbound::operate::cancel(state, "anna", at(2)).unwrap_err().what;
    let perhaps = |cargo| {
        let state = submitted(cargo);
        Submitted { dispatch: outbound::Dispatch { reached: Reached::Perhaps, ..state.dispatch.clone() }, ..state }
    };
    assert!(cancel(&Outgoing::Submitted(perhaps(Cargo::Letter(letter())))).contains("may have arrived"));
    assert!(cancel(&Outgoing::Submitted(submitted(Cargo::Reply(reply())))).contains("owed"));
    assert!(cancel(&Outgoing::Waiting(waiting())).contains("has it"));
    assert!(cancel(&Outgoing::Ended(ended(End::Rejected, Cargo::Letter(letter())))).contains("ended already"));
    let stopped = Effects::from(outbound::operate::cancel(&Outgoing::Held(held()), "anna", at(2)).unwrap());
    assert!(matches!(tells(&stopped)[..], [Tell::Failed { why: Fail::Cancelled }]));
}

#[test]
fn what_is_still_on_its_way_is_not_delivered_once_more() {
    let redeliver = |state| inbound::operate::redeliver(state, "anna", at(5)).unwrap_err().what;
    assert!(redeliver(Incoming::New(taken())).contains("brevbro retry"));
    assert!(redeliver(Incoming::Unread(Unread { taken: taken(), told_at: at(3), reminded_at: None })).contains("read in the gateway"));
    let gone = Past::of(Incoming::Delivered(Delivered { taken: taken(), at: at(3) })).unwrap().gone(at(9));
    assert!(redeliver(gone).contains("deleted"));
    let handled = |state| inbound::operate::handled(state, "called", "anna", at(5)).unwrap_err().what;
    assert!(handled(Incoming::New(taken())).contains("on its way"));
    assert!(handled(Incoming::Delivered(Delivered { taken: taken(), at: at(3) })).contains("ended already"));
}

/// As a client hands it in.
fn transaction() -> accept::Transaction {
    let recipient = accept::Recipient {
        record: letter().record,
        message_id: letter().message_id,
        address: letter().address,
        participant: letter().participant,
        function: letter().to_function,
        notify: letter().notify,
        orcpt: None,
    };
    accept::Transaction {
        id: letter().transaction,
        at: at(0),
        organisation: letter().organisation,
        function: letter().function,
        sender: letter().sender,
        envid: None,
        recipients: vec![recipient],
        peer: "127.0.0.1".into(),
        account: None,
        originator: None,
        origin: None,
    }
}

#[test]
fn the_tables_stand_in_the_manual() {
    let row = |row: &Transition| format!("| {} | {} | {} |\n", row.from.unwrap_or("—"), row.to.unwrap_or("—"), row.by);
    let table = |rows: &[Transition]| format!("| from | to | by |\n|---|---|---|\n{}", rows.iter().map(row).collect::<String>());
    let tables = [table(&outbound::transitions::TRANSITIONS), table(&inbound::transitions::TRANSITIONS)];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/states.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (mut wanted, mut next) = (String::new(), tables.iter());
    for line in manual.lines() {
        if line == "| from | to | by |" {
            wanted.push_str(next.next().expect("two tables"));
        } else if !line.starts_with("| ") && line != "|---|---|---|" {
            wanted.push_str(line);
            wanted.push('\n');
        }
    }
    if std::env::var_os("BREVBRO_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(next.next().is_none() && manual == wanted, "BREVBRO_BLESS=1 cargo test --test flows");
}
