//! The stage: the federation, two gateways with their mail servers, and the folder where everything is kept.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cast::{AF, Cast, HABO};
use super::check::header;
use super::error::DemoError;
use super::folder::{DOVECOT, Folder};
use super::mailserver::{Letter, MailServer};
use super::show::{decimal, pad};
use super::timeline::Timeline;
use super::wire::Tape;
use super::{dovecot, gateway, say};
use crate::daemon::Daemon;
use crate::testbed::{Running, Testbed};

/// How long one leg may take: sealing and opening with keys of full size on a small machine.
const LEG: Duration = Duration::from_secs(40);

/// Sizes of the demo's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySizes {
    /// As in the federation.
    Full,
    /// 2048 bits, for tests.
    Small,
}

/// One organisation on stage.
pub(super) struct Player {
    /// Who.
    pub cast: &'static Cast,
    /// Its gateway.
    pub daemon: Daemon,
    /// Its mail server.
    pub mail: MailServer,
    /// What its gateway sends, and the answers.
    pub tape: Arc<Tape>,
}

/// Everything that runs.
pub(super) struct Stage {
    /// Where everything is kept.
    pub folder: Folder,
    /// The federation.
    pub testbed: Testbed,
    _running: Running,
    /// The municipality.
    pub habo: Player,
    /// The agency.
    pub af: Player,
}

impl Stage {
    /// Makes keys, registers both organisations and starts everything.
    pub(super) async fn set(dir: &Path, keys: KeySizes, out: &mut (dyn Write + Send)) -> Result<Self, DemoError> {
        let folder = Folder::take(dir)?;
        say(
            out,
            match keys {
                KeySizes::Full => "Nycklar skapas / Making keys: RSA 3072, deltagarna RSA 4096 ...",
                KeySizes::Small => "Nycklar skapas / Making keys: RSA 2048 ...",
            },
        );
        let began = Instant::now();
        let (testbed, [habo, af]) = gateway::make_keys(folder.path().join("keys"), keys).await?;
        let took = began.elapsed().as_millis();
        let running = testbed.start().await?;
        let habo = gateway::player(folder.path(), &HABO, habo, &testbed).await?;
        let af = gateway::player(folder.path(), &AF, af, &testbed).await?;
        say(out, &format!("  klart efter {} s\n", decimal(took, 1)));
        say(out, "Federationen / The federation");
        say(
            out,
            &format!(
                "  DNS {}  zon {}  SMP {}  CRL {}  OCSP {}",
                running.dns_addr, running.sml_zone, running.smp_url, running.crl_url, running.ocsp_url
            ),
        );
        say(out, "Gatewayerna / The gateways");
        for Player { cast, daemon, .. } in [&habo, &af] {
            say(out, &format!("  {}  {}  SMTP {}  AS4 https://{}/as4", pad(cast.name, 18), cast.access_point, daemon.smtp, daemon.as4));
        }
        Ok(Self { folder, testbed, _running: running, habo, af })
    }

    /// Waits for a mail's delivery there and its notice here; the timeline goes on meanwhile.
    pub(super) async fn leg(
        &self,
        from: &Player,
        to: &Player,
        timeline: &mut Timeline,
        out: &mut (dyn Write + Send),
    ) -> Result<(Vec<u8>, Vec<u8>), DemoError> {
        let is_notice = |letter: &Letter| header(&letter.bytes, "Content-Type").is_some_and(|value| value.contains("multipart/report"));
        let delivered = to.mail.wait_for(LEG, |letter| letter.to.eq_ignore_ascii_case(to.cast.mailbox) && !is_notice(letter));
        let notice = from.mail.wait_for(LEG, |letter| letter.to.eq_ignore_ascii_case(from.cast.mailbox) && is_notice(letter));
        let both = async { tokio::join!(delivered, notice) };
        let mut both = std::pin::pin!(both);
        let (delivered, notice) = loop {
            tokio::select! {
                both = &mut both => break both,
                () = tokio::time::sleep(Duration::from_millis(50)) => timeline.catch_up(out).await?,
            }
        };
        timeline.finish(out).await?;
        let delivered = delivered.ok_or(DemoError::Late("the mail"))?.bytes;
        Ok((delivered, notice.ok_or(DemoError::Late("the notice to the sender"))?.bytes))
    }

    /// Goes on until it is told to stop, and says how a mail client takes part.
    pub(super) async fn stay(&self, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
        let file = |source| DemoError::File { path: self.folder.path().join(DOVECOT), source };
        let signal = |kind| tokio::signal::unix::signal(kind).map_err(file);
        let mut term = signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut int = signal(tokio::signal::unix::SignalKind::interrupt())?;
        let dovecot = dovecot::start(self.folder.path()).await.map_err(file)?;
        let mut text = String::from("\nDemon fortsätter. Inställningar för ett e-postprogram / Settings for a mail client:\n");
        for (player, other) in [(&self.habo, &self.af), (&self.af, &self.habo)] {
            let Player { cast, daemon, .. } = player;
            let _ = writeln!(text, "\n  {} <{}>", cast.name, cast.mailbox);
            if let Some(dovecot) = &dovecot {
                let (address, password) = (dovecot.address, dovecot::PASSWORD);
                let _ = writeln!(text, "    in          IMAP {address}  användare {}  lösenord {password}  utan TLS", cast.mailbox);
            } else {
                let maildir = self.folder.path().join("mail").join(cast.mailbox);
                let _ = writeln!(text, "    in          Maildir {}", maildir.display());
                let _ = writeln!(text, "                (Dovecot saknas eller når inte mappen / no Dovecot, or it cannot reach the folder)");
            }
            let _ = writeln!(text, "    ut          SMTP {}  utan TLS, utan inloggning", daemon.smtp);
            let _ = writeln!(text, "    skriv till  {}", other.cast.address_in(cast));
        }
        say(out, &text);
        say(out, "Avsluta med Ctrl-C. / Stop with Ctrl-C.");
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        if let Some(dovecot) = dovecot {
            dovecot.stop().await;
        }
        Ok(())
    }

    /// Stops the gateways.
    pub(super) async fn clear(self) {
        tokio::join!(self.habo.daemon.stop(), self.af.daemon.stop());
    }
}
