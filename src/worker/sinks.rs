//! Which mail server gets which mail: that of the mailbox that it is for or about, else the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mailbox;
use crate::ident::MailServerName;
use crate::port::MailSink;

/// The mail servers.
#[derive(Clone)]
pub struct Sinks {
    first: Arc<dyn MailSink>,
    named: BTreeMap<MailServerName, Arc<dyn MailSink>>,
}

impl Sinks {
    /// One mail server for everything.
    #[must_use]
    pub fn new(first: Arc<dyn MailSink>) -> Self {
        Self { first, named: BTreeMap::new() }
    }

    /// And one for mailboxes that name it.
    #[must_use]
    pub fn with(mut self, name: MailServerName, sink: Arc<dyn MailSink>) -> Self {
        self.named.insert(name, sink);
        self
    }

    /// Where mail to the operator goes.
    #[must_use]
    pub fn first(&self) -> &dyn MailSink {
        self.first.as_ref()
    }

    /// Takes leave of all of them.
    pub async fn close(&self) {
        for sink in self.named.values().chain([&self.first]) {
            sink.close().await;
        }
    }

    /// Where a mailbox's messages and notices go. A mailbox that is gone from the configuration since has the first.
    #[must_use]
    pub fn of(&self, mailbox: Option<&Mailbox>) -> &dyn MailSink {
        let named = mailbox.and_then(|mailbox| self.named.get(mailbox.mail_server.as_ref()?));
        named.unwrap_or(&self.first).as_ref()
    }
}
