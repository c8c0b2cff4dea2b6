//! Every transition of a received envelope. The worker applies no other; `docs/states.md` is made of it.

use crate::port::Transition;

/// All of them, in the order of the flow.
pub const TRANSITIONS: [Transition; 25] = [
    Transition::begin("retrieved", "receive::receive: the envelope is durable, our AS4 receipt signed"),
    Transition::new("retrieved", "new", "settle::taken: valid, kept, to be acknowledged with ACCEPTED"),
    Transition::new("retrieved", "closed", "settle::turned_away, settle::receipt_taken, open::discarded: rejected, a receipt, or deleted"),
    Transition::new("new", "new", "deliver::failed: the operator was told that delivery fails"),
    Transition::new("new", "delivered", "deliver::delivered: the mail server has it"),
    Transition::new("new", "unread", "read::told: the mailbox was told that it waits here"),
    Transition::new("new", "undeliverable", "deliver::failed: the mail server refused it until the end"),
    Transition::new("unread", "unread", "read::reminded: the mailbox was told once more"),
    Transition::new("unread", "read", "read::opened: somebody has read it"),
    Transition::new("unread", "new", "read::delivered_instead: its mailbox gets messages whole by now"),
    Transition::new("delivered", "returned", "returned::returned: the mail server gave it back"),
    Transition::new("delivered", "new", "operate::redeliver: an operator has it delivered once more"),
    Transition::new("returned", "new", "operate::redeliver: an operator has it delivered once more"),
    Transition::new("undeliverable", "new", "operate::redeliver: an operator has it delivered once more"),
    Transition::new("handled", "new", "operate::redeliver: an operator has it delivered once more"),
    Transition::new("returned", "handled", "operate::handled: an operator has seen to it"),
    Transition::new("undeliverable", "handled", "operate::handled: an operator has seen to it"),
    Transition::new("unread", "handled", "operate::handled: an operator has seen to it"),
    Transition::new("delivered", "purging", "retire: its content's time is over"),
    Transition::new("read", "purging", "retire: its content's time is over"),
    Transition::new("handled", "purging", "retire: its content's time is over"),
    Transition::new("closed", "purging", "retire: its content's time is over"),
    Transition::end("closed", "retire: it has no content, and its time is over"),
    Transition::new("purging", "purged", "retire: its content was found gone, of either direction"),
    Transition::end("purged", "retire: its time is over, of either direction"),
];
