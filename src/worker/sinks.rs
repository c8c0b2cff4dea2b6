//! Which mail server gets which mail: that of the mailbox that it is for or about, else the first; or a folder by IMAP.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Mailbox;
use super::lanes::Destination;
use crate::ident::{MailAddress, MailServerName};
use crate::port::MailSink;

/// The mail servers.
#[derive(Clone)]
pub struct Sinks {
    first: Arc<dyn MailSink>,
    named: BTreeMap<MailServerName, Arc<dyn MailSink>>,
    /// By the addresses of their mailboxes, folded.
    folders: BTreeMap<String, Arc<dyn MailSink>>,
}

impl Sinks {
    /// One mail server for everything.
    #[must_use]
    pub fn new(first: Arc<dyn MailSink>) -> Self {
        Self { first, named: BTreeMap::new(), folders: BTreeMap::new() }
    }

    /// And one for mailboxes that name it.
    #[must_use]
    pub fn with(mut self, name: MailServerName, sink: Arc<dyn MailSink>) -> Self {
        self.named.insert(name, sink);
        self
    }

    /// And a folder for what is delivered to this mailbox.
    #[must_use]
    pub fn with_folder(mut self, mailbox: &MailAddress, sink: Arc<dyn MailSink>) -> Self {
        self.folders.insert(mailbox.folded(), sink);
        self
    }

    /// Where mail to the operator goes.
    #[must_use]
    pub fn first(&self) -> &dyn MailSink {
        self.first.as_ref()
    }

    /// Takes leave of all of them.
    pub async fn close(&self) {
        for sink in self.named.values().chain(self.folders.values()).chain([&self.first]) {
            sink.close().await;
        }
    }

    /// Where a mailbox's messages go. A mailbox that is gone from the configuration since has the first.
    #[must_use]
    pub fn of(&self, mailbox: Option<&Mailbox>) -> &dyn MailSink {
        match mailbox.and_then(|mailbox| self.folders.get(&mailbox.address.folded())) {
            Some(folder) => folder.as_ref(),
            None => self.server(mailbox),
        }
    }

    /// The name of where a mailbox's messages go.
    pub(super) fn way(&self, mailbox: Option<&Mailbox>) -> Destination {
        match mailbox.filter(|mailbox| self.folders.contains_key(&mailbox.address.folded())) {
            Some(folder) => Destination::MailServer(folder.address.folded()),
            None => self.way_to_server(mailbox),
        }
    }

    /// The name of where notices about a mailbox's messages go.
    pub(super) fn way_of_notices(&self, mailbox: Option<&Mailbox>, to: &MailAddress) -> Destination {
        if mailbox.is_some_and(|mailbox| mailbox.address == *to) { self.way(mailbox) } else { self.way_to_server(mailbox) }
    }

    /// The name of where mail to the operator goes.
    pub(super) fn first_way() -> Destination {
        Destination::MailServer("[mail-server]".to_owned())
    }

    fn way_to_server(&self, mailbox: Option<&Mailbox>) -> Destination {
        let named = mailbox.and_then(|mailbox| mailbox.mail_server.as_ref()).filter(|name| self.named.contains_key(name));
        named.map_or_else(Self::first_way, |name| Destination::MailServer(name.to_string()))
    }

    /// Where notices about a mailbox's messages go: as its messages, unless somebody else sent them in its name.
    #[must_use]
    pub fn of_notices(&self, mailbox: Option<&Mailbox>, to: &MailAddress) -> &dyn MailSink {
        if mailbox.is_some_and(|mailbox| mailbox.address == *to) { self.of(mailbox) } else { self.server(mailbox) }
    }

    fn server(&self, mailbox: Option<&Mailbox>) -> &dyn MailSink {
        let named = mailbox.and_then(|mailbox| self.named.get(mailbox.mail_server.as_ref()?));
        named.unwrap_or(&self.first).as_ref()
    }
}
