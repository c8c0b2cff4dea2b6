//! `brevbro check-config`: the code that the start runs, for the eyes of an operator.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::CliError;
use crate::config::{self, DeliverySecurity, Discovery, Gateway, Mail, MailServer, Role};
use crate::crypto::Certificate;
use crate::crypto::rest::RestKey;
use crate::edge::smtp_client::Protocol;
use crate::store::cipher::Rings;

/// Arguments of `brevbro check-config`.
#[derive(Debug, clap::Args)]
pub struct CheckConfigArgs {
    /// The configuration file.
    #[arg(short, long, default_value = "/etc/brevbro/gateway.toml")]
    config: PathBuf,
    /// Prints every option with its manual instead.
    #[arg(long)]
    reference: bool,
}

/// Checks, and prints what the configuration means.
///
/// # Errors
/// Everything that is wrong with it, as a usage error.
#[expect(clippy::unused_async, reason = "subcommands are async")]
pub async fn run(args: CheckConfigArgs) -> Result<(), CliError> {
    let text = if args.reference { config::reference() } else { summary(&config::load(&args.config).map_err(CliError::usage)?, Timestamp::now()) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// What the gateway would do: who it is, whom it serves, whom it trusts, and what ends soon.
fn summary(gateway: &Gateway, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<16}{value}");
    };
    let environment = gateway.environment.map(|environment| format!(" ({environment})")).unwrap_or_default();
    line("gateway", format!("{}, federation {}{environment}", gateway.name, gateway.federation));
    line("node", format!("{}, {}", gateway.node, role(gateway.role())));
    line("state", gateway.state_dir.display().to_string());
    line("kept", kept(&gateway.encryption));
    if let Some(point) = &gateway.access_point {
        let tls = match (&point.tls, &point.proxy) {
            (Some(_), _) => "",
            (None, Some(_)) => " for a reverse proxy",
            (None, None) => " without TLS",
        };
        line("access point", format!("{} at {}, listens on {}{tls}", point.name, point.public_url, point.listen));
    }
    match &gateway.discovery {
        Discovery::Dns { sml_zone, resolvers, .. } => {
            let asked = if resolvers.is_empty() { "the system's name servers".to_owned() } else { list(resolvers) };
            line("discovery", format!("DNS and SMP, zone {sml_zone}, by {asked}"));
        }
        Discovery::Static(participants) => {
            line("discovery", format!("in the file: {}", list(participants.iter().map(|participant| &participant.id))));
        }
    }
    match &gateway.mail {
        Some(mail) => mail_side(gateway, mail, &mut line),
        None => line("participants", list(gateway.participants.iter().map(|participant| &participant.id))),
    }
    let trusted = [("access points", &gateway.trust.access_point), ("participants", &gateway.trust.participant), ("SMP", &gateway.trust.smp)];
    for (whom, authorities) in trusted {
        line("trusted", format!("{whom}: {}", list(authorities.iter().map(|ca| ca.common_name().unwrap_or_else(|| ca.subject())))));
    }
    let mut own = Vec::new();
    if let Some(point) = &gateway.access_point {
        own.push(("access point", &point.identity.certificate));
        own.extend(point.tls.iter().map(|tls| ("endpoint TLS", &tls.certificate)));
        own.extend(point.client_tls.certificate.iter().map(|certificate| ("client TLS", certificate)));
    }
    own.extend(gateway.smtp().iter().flat_map(|smtp| &smtp.tls).map(|tls| ("SMTP TLS", &tls.certificate)));
    for organisation in gateway.organisations() {
        own.push(("signing", &organisation.signing.certificate));
        let decrypting = organisation.decryption.iter().map(|identity| &identity.certificate);
        own.extend(decrypting.filter(|certificate| **certificate != organisation.signing.certificate).map(|certificate| ("decryption", certificate)));
    }
    for (what, certificate) in own {
        line("certificate", format!("{what}: {}", told(certificate, now)));
    }
    for warning in &gateway.warnings {
        line("warning", format!("{}: {}", warning.path, warning.what));
    }
    text
}

fn mail_side(gateway: &Gateway, mail: &Mail, line: &mut impl FnMut(&str, String)) {
    line("operator", mail.operator.to_string());
    if let Some(smtp) = &mail.smtp {
        let accounts = smtp.accounts.iter().map(|account| {
            let by = [account.password.as_ref().map(|_| "password"), account.certificate_name.as_ref().map(|_| "certificate")];
            format!("{} (by {})", account.name, by.into_iter().flatten().collect::<Vec<_>>().join(" or "))
        });
        let clients: Vec<String> = smtp.clients.iter().map(ToString::to_string).chain(accounts).collect();
        line("mail in", format!("*@*.{} on {} from {}, at most {} octets", gateway.mail_domain, smtp.listen, list(&clients), smtp.max_message));
    }
    line("mail out", mail_server(&mail.server));
    for server in &mail.other_servers {
        line("", mail_server(server));
    }
    for organisation in &mail.organisations {
        line("organisation", format!("{}, {}", organisation.participant, organisation.name));
        for mailbox in &organisation.mailboxes {
            let server = mailbox.mail_server.as_ref().map(|name| format!(", by mail server {name}")).unwrap_or_default();
            line("", format!("{} is function {} ({}){server}", mailbox.address, mailbox.function, mailbox.label));
            if let Some(imap) = &mailbox.imap {
                let folders = imap.outbox.iter().map(|outbox| format!("sends what is put into {:?}", outbox.folder));
                let folders = folders.chain(imap.inbox.iter().map(|inbox| format!("gets messages in {:?}", inbox.folder)));
                line("", format!("  by IMAP, {} at {}:{}: {}", imap.username, imap.host, imap.port, list(folders)));
            }
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::AccessPoint => "access point only",
        Role::Mail => "mail only",
        Role::Both => "mail and access point",
    }
}

/// How what is kept of messages lies there.
fn kept(rings: &Rings) -> String {
    let ids = |ring: &[Arc<RestKey>]| list(ring.iter().map(|key| key.id()));
    match (rings.content.first(), rings.transport.first()) {
        (Some(content), Some(transport)) if content.id() == transport.id() => format!("under the key {}", ids(&rings.transport)),
        (Some(_), Some(_)) => format!("under the key {}, content under {}", ids(&rings.transport), ids(&rings.content)),
        _ => "in the clear".to_owned(),
    }
}

fn mail_server(server: &MailServer) -> String {
    let security = match server.security {
        DeliverySecurity::Plain => "without TLS",
        DeliverySecurity::Starttls(_) => "STARTTLS",
        DeliverySecurity::Tls(_) => "TLS",
    };
    let protocol = match server.protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Lmtp => "LMTP",
    };
    let name = server.name.as_ref().map(|name| format!(", named {name}")).unwrap_or_default();
    format!("{protocol} to {}:{}, {security}{name}", server.host, server.port)
}

fn told(certificate: &Certificate, now: Timestamp) -> String {
    let days = certificate.not_after().duration_since(now).as_hours() / 24;
    let name = certificate.common_name().unwrap_or_else(|| certificate.subject());
    format!("{name}, until {} ({days} days)", certificate.not_after().strftime("%Y-%m-%d"))
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
