//! Every transition of an outgoing message. The worker applies no other; `docs/states.md` is made of it.

use crate::port::Transition;

/// All of them, in the order of the flow.
pub const TRANSITIONS: [Transition; 31] = [
    Transition::begin("scheduled", "accept::accept: a mail was taken in"),
    Transition::begin("submitted", "seal::receipt: a message receipt of ours was signed"),
    Transition::new("scheduled", "scheduled", "send::failed: the recipient cannot be looked up now"),
    Transition::new("scheduled", "held", "hold::hold: its functions answer each other too fast"),
    Transition::new("held", "scheduled", "hold::release: it has waited long enough; operate::let_go: an operator lets it go"),
    Transition::new("scheduled", "submitted", "seal::message: encrypted, signed, the AS4 id is fixed"),
    Transition::new("scheduled", "message-exchange-error", "send::failed: it cannot be sent; operate::cancel: an operator stops it"),
    Transition::new("held", "message-exchange-error", "operate::cancel: an operator stops it"),
    Transition::new("scheduled", "accepted", "settle::settle: a receipt for an earlier attempt, before it was sent again"),
    Transition::new("scheduled", "rejected", "settle::settle: a receipt for an earlier attempt, before it was sent again"),
    Transition::new("held", "accepted", "settle::settle: a receipt for an earlier attempt, before it was sent again"),
    Transition::new("held", "rejected", "settle::settle: a receipt for an earlier attempt, before it was sent again"),
    Transition::new("submitted", "submitted", "send::prepared, send::attempted, send::failed: the request is made, sent, sent again"),
    Transition::new("submitted", "waiting-for-receipt", "send::acknowledged: the other access point has it"),
    Transition::new("submitted", "accepted", "send::acknowledged: the other access point has our receipt; settle::settle: ACCEPTED came first"),
    Transition::new("submitted", "rejected", "settle::settle: REJECTED came first"),
    Transition::new("submitted", "message-exchange-error", "send::failed: it cannot be sent in time; operate::cancel: an operator stops it"),
    Transition::new("waiting-for-receipt", "waiting-for-receipt", "settle::overdue: the sender is told that it takes long"),
    Transition::new("waiting-for-receipt", "accepted", "settle::settle: ACCEPTED"),
    Transition::new("waiting-for-receipt", "rejected", "settle::settle: REJECTED"),
    Transition::new("waiting-for-receipt", "message-exchange-error", "settle::overdue: no message receipt in time"),
    Transition::new("message-exchange-error", "message-exchange-error", "settle::settle: a late receipt is kept and told once"),
    Transition::new("accepted", "accepted", "settle::settle: a receipt that contradicts is kept, the operator told once"),
    Transition::new("rejected", "rejected", "settle::settle: a receipt that contradicts is kept, the operator told once"),
    Transition::new("message-exchange-error", "scheduled", "operate::resend: an operator has it sent again"),
    Transition::new("message-exchange-error", "submitted", "operate::resend: an operator has a receipt of ours sent again"),
    Transition::new("accepted", "purging", "retire: its content's time is over"),
    Transition::new("rejected", "purging", "retire: its content's time is over"),
    Transition::new("message-exchange-error", "purging", "retire: its content's time is over"),
    Transition::end("accepted", "retire: a receipt of ours, whose time is over"),
    Transition::end("message-exchange-error", "retire: a receipt of ours, whose time is over"),
];
