//! How long the steps of a message take, from a mail's size on: `make bench`. Keys as in the federation: access points 3072, participants 4096 bits.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails by panicking and prints what it measures")]

mod sample;

use std::io::Cursor;
use std::time::{Duration, Instant};

use brevbro::as4::receive::{self, Context, Options};
use brevbro::as4::{receipt, send};
use brevbro::crypto::{Certificate, Identity, KeyReference};
use brevbro::sdk::message::{self, MessageLimits};
use brevbro::sdk::seal;
use jiff::Timestamp;
use sample::{content, header, identity, user_message};

fn main() {
    // `cargo test --all-targets` runs benches too, without this word: once, with little, to see that they work.
    let in_earnest = std::env::args().any(|argument| argument == "--bench");
    let (bits, sizes): (_, &[usize]) = if in_earnest { ((3072, 4096), &[20_000, 1_000_000, 20_000_000]) } else { ((2048, 2048), &[20_000]) };
    let keys = Keys {
        ours: identity("AP0001", bits.0),
        theirs: identity("AP0002", bits.0),
        sender: identity("s", bits.1),
        recipient: identity("r", bits.1),
    };
    for size in sizes {
        steps(*size, &keys, if in_earnest { Duration::from_secs(2) } else { Duration::ZERO });
    }
}

struct Keys {
    ours: Identity,
    theirs: Identity,
    sender: Identity,
    recipient: Identity,
}

/// Each step of one message with an attachment of this many octets, the output of one the input of the next.
fn steps(size: usize, keys: &Keys, span: Duration) {
    println!("attachment of {size} octets");
    let content = content(size);
    let payload = timed("convert: message written and checked", size, span, || message::write(&content).unwrap());
    let envelope =
        timed("seal: encrypted and signed", size, span, || seal::seal(&header(), &payload, Some(&keys.recipient.certificate), &keys.sender).unwrap());
    let package = || {
        let mut body = Vec::new();
        let sent = send::package(
            &user_message(),
            &mut &envelope[..],
            &keys.ours,
            &keys.theirs.certificate,
            Cursor::new(Vec::new()),
            &mut body,
            "=_boundary",
        )
        .unwrap();
        (body, sent)
    };
    let (body, sent) = timed("send: AS4 packaged", size, span, package);
    let theirs = [keys.theirs.clone()];
    let known = |_: &KeyReference| -> Option<Certificate> { None };
    let options = Options::default();
    let open = || {
        let with = Context { keys: &theirs, known: &known, options: &options, at: Timestamp::now() };
        let mut taken = Vec::new();
        let received = receive::open(&sent.content_type, &mut &body[..], &with, Cursor::new(Vec::new()), &mut taken).unwrap();
        (received, taken)
    };
    let (received, taken) = timed("receive: AS4 opened", size, span, open);
    assert_eq!(taken, envelope);
    timed("receive: receipt signed", 0, span, || receipt::write(&received, &received.header.message_id, Timestamp::now(), &keys.theirs).unwrap());
    let verified = timed("open: signature verified", size, span, || seal::verify(&taken).unwrap());
    let own = [keys.recipient.clone()];
    let opened = timed("open: decrypted", size, span, || verified.payload(&own).unwrap());
    timed("check: message read and judged", size, span, || message::read(&opened, &MessageLimits::default()).unwrap());
}

/// Repeats for about `span`, prints the mean, returns the last result.
fn timed<T>(name: &str, octets: usize, span: Duration, mut step: impl FnMut() -> T) -> T {
    let start = Instant::now();
    let mut rounds = 1_u32;
    let mut result = step();
    while start.elapsed() < span {
        result = step();
        rounds += 1;
    }
    let mean = start.elapsed() / rounds;
    #[expect(clippy::cast_precision_loss, reason = "sizes of files are exact")]
    let rate = octets as f64 / 1e6 / mean.as_secs_f64();
    println!("  {name:<40}{:>12.3} ms{}", mean.as_secs_f64() * 1e3, if octets < 1_000_000 { String::new() } else { format!("{rate:>9.0} MB/s") });
    result
}
