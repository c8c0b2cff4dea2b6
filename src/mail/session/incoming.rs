//! A mail on its way in: whole after DATA (RFC 5321 4.1.1.4), or in chunks after BDAT (RFC 3030).

use super::data::{LineEnds, Stop, Unstuffer};
use super::{Action, Greeting, Phase, Question, Reply, Session, too_large};

/// A mail on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    framing: Framing,
    octets: u64,
    /// Why it will be refused once it has ended; what still comes is thrown away.
    pub(super) refused: Option<Reply>,
}

#[derive(Debug)]
enum Framing {
    Dotted(Unstuffer),
    Counted(LineEnds),
}

/// What is left of a chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    left: u64,
    place: Place,
    /// With what it is refused when it is no part of a mail. It is read all the same: it came along with its command.
    unwanted: Option<Reply>,
}

/// Where in its mail a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    More,
    Last,
}

impl Incoming {
    /// After DATA.
    pub(super) fn dotted() -> Self {
        Self { framing: Framing::Dotted(Unstuffer::new()), octets: 0, refused: None }
    }

    /// After the first BDAT.
    fn counted() -> Self {
        Self { framing: Framing::Counted(LineEnds::default()), octets: 0, refused: None }
    }
}

impl Session {
    /// BDAT. Whatever is wrong with it, as many octets as it says are the mail's and never commands.
    pub(super) fn chunk(&mut self, args: &str) {
        let Some((size, place)) = read_size(args) else {
            // Nobody can tell where the next command would begin.
            return self.end(Reply::new(501, (5, 4), "Syntax: BDAT size [LAST], closing the connection"));
        };
        let limit = self.options.max_message;
        let before = self.chunks.as_ref().map_or(0, |incoming| incoming.octets);
        if size > limit.saturating_mul(2).saturating_sub(before) {
            return self.end(over_twice(limit));
        }
        let unwanted = |reply| Chunk { left: size, place, unwanted: Some(reply) };
        self.phase = Phase::Chunk(match &self.envelope {
            _ if self.chunks.is_some() => {
                // It brings the mail forward.
                self.idle_commands = self.idle_commands.saturating_sub(u32::from(size > 0));
                Chunk { left: size, place, unwanted: None }
            }
            None => unwanted(Reply::new(503, (5, 1), "MAIL comes first")),
            Some(envelope) if envelope.greeting == Greeting::Helo => unwanted(Reply::new(503, (5, 1), "BDAT needs EHLO")),
            Some(envelope) if envelope.recipients.is_empty() => unwanted(Reply::new(554, (5, 1), "No valid recipients")),
            Some(_) => {
                self.first_chunk = Some(Chunk { left: size, place, unwanted: None });
                return self.ask(Question::Data);
            }
        });
    }

    /// BDAT where no mail may come yet.
    pub(super) fn unwanted_chunk(&mut self, args: &str, reply: Reply) {
        self.chunk(args);
        if let Phase::Chunk(chunk) = &mut self.phase {
            chunk.unwanted = Some(reply);
        }
    }

    /// Whether there is room for the mail whose first chunk waits.
    pub(super) fn begin_chunks(&mut self, answer: Result<(), Reply>) {
        let Some(mut chunk) = self.first_chunk.take() else { return };
        match answer {
            Ok(()) => self.chunks = Some(Incoming::counted()),
            Err(reply) if reply.is_closing() => return self.end(reply),
            // RFC 3030 2: the chunk is accepted and discarded before the reply.
            Err(reply) => {
                self.envelope = None;
                chunk.unwanted = Some(reply);
            }
        }
        self.phase = Phase::Chunk(chunk);
    }

    /// Reads on in a chunk; whether anything came of it.
    pub(super) fn read_chunk(&mut self) -> bool {
        let Phase::Chunk(chunk) = &mut self.phase else { return false };
        let here = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(self.buffer.len());
        if here == 0 && chunk.left > 0 {
            return false;
        }
        chunk.left -= here as u64;
        let (left, place, wanted) = (chunk.left, chunk.place, chunk.unwanted.is_none());
        let unwanted = if left == 0 { chunk.unwanted.take() } else { None };
        if here > 0 {
            self.confirm();
            let octets = self.take(here);
            if wanted {
                self.keep(octets);
            }
        }
        if left > 0 {
            return true;
        }
        self.phase = Phase::Command;
        match unwanted {
            Some(reply) => self.fault(reply),
            None => self.end_chunk(place),
        }
        true
    }

    fn keep(&mut self, octets: Vec<u8>) {
        let limit = self.options.max_message;
        let Some(incoming) = &mut self.chunks else { return };
        incoming.octets += octets.len() as u64;
        let total = incoming.octets;
        let sound = match &mut incoming.framing {
            Framing::Counted(ends) => ends.read(&octets),
            Framing::Dotted(_) => true,
        };
        if total > limit {
            self.refuse_data(too_large(total, limit));
        } else if !sound {
            self.refuse_data(bare_line_end());
        }
        if self.chunks.as_ref().is_some_and(|incoming| incoming.refused.is_none()) {
            self.actions.push_back(Action::Data(octets));
        }
    }

    fn end_chunk(&mut self, place: Place) {
        let limit = self.options.max_message;
        let Some(incoming) = &self.chunks else { return };
        if place == Place::Last && matches!(&incoming.framing, Framing::Counted(ends) if !ends.may_end()) {
            self.refuse_data(bare_line_end());
        }
        let Some(incoming) = &mut self.chunks else { return };
        match incoming.refused.take() {
            // RFC 3030 2: the mail has failed; what is pipelined behind this chunk finds no transaction.
            Some(reply) => {
                let reply = if incoming.octets > limit { too_large(incoming.octets, limit) } else { reply };
                self.chunks = None;
                self.envelope = None;
                self.reply(reply);
            }
            None if place == Place::Last => self.ask(Question::Message),
            None => {
                let reply = Reply::new(250, (0, 0), format!("{} octets so far", incoming.octets));
                self.reply(reply);
            }
        }
    }

    /// Reads on after DATA; whether anything came of it.
    pub(super) fn read_data(&mut self) -> bool {
        if self.buffer.is_empty() {
            return false;
        }
        self.confirm();
        let Phase::Data(Incoming { framing: Framing::Dotted(unstuffer), octets, .. }) = &mut self.phase else { return false };
        let mut piece = Vec::with_capacity(self.buffer.len());
        let (used, stop) = unstuffer.read(&self.buffer, &mut piece);
        *octets += piece.len() as u64;
        let (octets, limit) = (*octets, self.options.max_message);
        self.take(used);
        if octets > limit {
            self.refuse_data(too_large(octets, limit));
        }
        if octets > limit.saturating_mul(2) {
            self.end(over_twice(limit));
            return true;
        }
        if stop == Some(Stop::BareLineEnd) {
            // At once, not at the end: client and server may disagree about where the end is.
            self.end(Reply::new(550, (6, 0), "Bare CR or LF in the mail: lines end in CRLF, closing the connection"));
            return true;
        }
        let Phase::Data(incoming) = &mut self.phase else { return false };
        if incoming.refused.is_none() && !piece.is_empty() {
            self.actions.push_back(Action::Data(piece));
        }
        if stop == Some(Stop::End) {
            match incoming.refused.take() {
                Some(reply) => {
                    // The whole size is known only now.
                    let reply = if octets > limit { too_large(octets, limit) } else { reply };
                    self.phase = Phase::Command;
                    self.envelope = None;
                    self.reply(reply);
                }
                None => self.ask(Question::Message),
            }
        }
        true
    }
}

/// RFC 3030 2: a number, and LAST for the last one. More than fits is as much as can be.
fn read_size(args: &str) -> Option<(u64, Place)> {
    let (size, rest) = args.split_once(' ').unwrap_or((args, ""));
    let place = match rest.trim_matches(' ') {
        "" => Place::More,
        last if last.eq_ignore_ascii_case("LAST") => Place::Last,
        _ => return None,
    };
    let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| (size.parse().unwrap_or(u64::MAX), place))
}

/// For good: after a 421 the client would send all of it again, for days.
fn over_twice(limit: u64) -> Reply {
    Reply::new(552, (3, 4), format!("The mail is over twice the limit of {limit} octets, closing the connection"))
}

/// In chunks it blurs no border, but without BINARYMIME a mail is lines that end in CRLF (RFC 3030 3), and every reader
/// of it that takes a bare LF for a line end would read another header than one that does not.
fn bare_line_end() -> Reply {
    Reply::new(550, (6, 0), "Bare CR or LF in the mail: lines end in CRLF")
}
