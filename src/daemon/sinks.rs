//! The mail servers of a configuration as the worker's sinks.

use std::sync::Arc;

use crate::config::checked;
use crate::crypto::Certificate;
use crate::edge::imap::ImapSink;
use crate::edge::smtp_client::{ClientTls, Login, SmtpClient, SmtpClientOptions};
use crate::edge::tls::{self, Roots};
use crate::ident::MailAddress;
use crate::port::MailSink;
use crate::worker::Sinks;

/// Every mail server, ready to be connected to, and the folders of mailboxes that have one.
pub(super) fn sinks(mail: &checked::Mail, inboxes: Vec<(MailAddress, ImapSink)>) -> Result<Sinks, String> {
    let mut sinks = Sinks::new(sink(&mail.server)?);
    // A mailbox that names the first one finds no other by that name, which is the first again.
    for server in &mail.other_servers {
        if let Some(name) = &server.name {
            sinks = sinks.with(name.clone(), sink(server)?);
        }
    }
    for (mailbox, folder) in inboxes {
        sinks = sinks.with_folder(&mailbox, Arc::new(folder));
    }
    Ok(sinks)
}

fn sink(server: &checked::MailServer) -> Result<Arc<dyn MailSink>, String> {
    let client = options(server).and_then(|options| SmtpClient::new(options).map_err(|error| error.to_string()));
    Ok(Arc::new(client.map_err(|why| format!("{}:{}: {why}", server.host, server.port))?))
}

fn options(server: &checked::MailServer) -> Result<SmtpClientOptions, String> {
    let config = |roots: &[Certificate]| {
        let roots = if roots.is_empty() { Roots::System } else { Roots::Only(roots) };
        tls::client_config(roots, None).map_err(|error| error.to_string())
    };
    let mut options = SmtpClientOptions::new(&server.host, server.port, server.hello.clone());
    options.protocol = server.protocol;
    options.tls = match &server.security {
        checked::DeliverySecurity::Plain => ClientTls::Plain,
        checked::DeliverySecurity::Starttls(roots) => ClientTls::StartTls(config(roots)?),
        checked::DeliverySecurity::Tls(roots) => ClientTls::Implicit(config(roots)?),
    };
    options.login = server.credentials.as_ref().map(|(user, password)| Login { user: user.clone(), password: password.expose().to_owned().into() });
    options.timeouts.command = server.timeout;
    options.connections = server.max_connections as usize;
    Ok(options)
}
