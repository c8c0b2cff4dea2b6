//! One side: a gateway, the Postfix that it is behind, the Dovecot that keeps the mailboxes. Messages for the first mailbox
//! come by SMTP through Postfix, those for the second by LMTP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use brevbro::daemon::Daemon;
use brevbro::event::Event;
use brevbro::testbed::Issued;
use tempfile::TempDir;

use crate::common::dovecot::{Dovecot, DovecotSetup};
use crate::common::postfix::{Plan, Postfix};
use crate::gateway::harness::{Setup, World, configuration, free_port, wait_for};

/// The function mailboxes of both sides, by address and by function.
pub(crate) const BOXES: [&str; 2] = ["inkorg", "bygglov"];

pub(crate) struct Office {
    pub(crate) name: String,
    pub(crate) postfix: Postfix,
    pub(crate) dovecot: Dovecot,
    daemon: Daemon,
    _state: TempDir,
}

impl Office {
    /// Opens it, in a federation: `samtal-b` has access point and keys of its own. `None` where a program is absent.
    pub(crate) async fn open(world: &World, name: &str) -> Option<Self> {
        let users: Vec<String> = Self::named(name).chain([format!("drift@{name}.se")]).collect();
        let dovecot = Dovecot::start(&DovecotSetup::of(&users.iter().map(String::as_str).collect::<Vec<_>>()))?;
        let (smtp, as4) = (free_port(), free_port());
        let gateway = SocketAddr::from(([127, 0, 0, 1], smtp));
        let plan = Plan::new().route(&format!("sdk.{name}.se"), gateway).route(&format!(".sdk.{name}.se"), gateway);
        let postfix = plan.transport(&format!("{name}.se"), &format!("lmtp:inet:{}", dovecot.lmtp)).start()?;
        let state = tempfile::tempdir().unwrap();
        let more = format!(
            "[[organisation.mailbox]]\naddress = \"{box_}@{name}.se\"\nfunction = \"{box_}\"\nlabel = \"Bygglov\"\nmail-server = \"brevlador\"",
            box_ = BOXES[1]
        );
        // What is for the second mailbox goes past Postfix, straight to where the mailboxes are.
        let lmtp = format!(
            "other-mail-server = [{{ name = \"brevlador\", protocol = \"lmtp\", host = \"127.0.0.1\", port = {}, security = \"none\" }}]",
            dovecot.lmtp.port()
        );
        let setup = Setup { root: lmtp.leak(), smtp_port: smtp, mailbox: more.leak(), ..Setup::new(name) };
        let mut text = configuration(world, &setup, state.path(), postfix.address, as4);
        let (mut point, mut own) = (&world.own_point, &world.own);
        if name.ends_with('b') {
            text = with_keys(&with_keys(&text, point, &world.peer_point), own, &world.peer);
            (point, own) = (&world.peer_point, &world.peer);
        }
        let path = state.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        let daemon = Daemon::start(brevbro::config::load(&path).unwrap()).await.unwrap();
        world.register(&format!("0203:{name}.se"), &format!("https://127.0.0.1:{as4}/as4"), point, own);
        Some(Self { name: name.to_owned(), postfix, dovecot, daemon, _state: state })
    }

    fn named(name: &str) -> impl Iterator<Item = String> {
        BOXES.map(|local| format!("{local}@{name}.se")).into_iter()
    }

    /// Everybody who has a mailbox, the operator among them.
    pub(crate) fn addresses(&self) -> Vec<String> {
        Self::named(&self.name).chain([format!("drift@{}.se", self.name)]).collect()
    }

    pub(crate) async fn journal(&self) -> Vec<Event> {
        let (mut journal, mut from) = (Vec::new(), 0);
        loop {
            let events = self.daemon.gateway.store.audit(from, 10_000).await.unwrap();
            let Some((last, _)) = events.last() else { return journal };
            from = last + 1;
            journal.extend(events.into_iter().map(|(_, event)| event));
        }
    }

    /// Waits until nothing is left to do, here and in the mail server's queue.
    pub(crate) async fn quiet(&self) {
        wait_for("quiet", || async {
            let health = self.daemon.gateway.store.health().await;
            let idle = |(queue, waiting): &(brevbro::port::Queue, usize)| *waiting == 0 || *queue == brevbro::port::Queue::Purge;
            let done = health.jobs.iter().all(idle) && self.postfix.queue().is_empty();
            tokio::time::sleep(Duration::from_millis(100)).await;
            done.then_some(())
        })
        .await;
    }

    pub(crate) async fn close(self) {
        self.daemon.stop().await;
    }
}

/// The same configuration with other keys.
fn with_keys(text: &str, before: &Issued, after: &Issued) -> String {
    let path = |path: &Path| path.display().to_string();
    text.replace(&path(&before.pkcs12), &path(&after.pkcs12)).replace(&path(&before.password_file), &path(&after.password_file))
}
