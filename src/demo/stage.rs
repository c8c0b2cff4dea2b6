//! The stage: federation, gateways, mail servers, and the folder where everything is kept.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check::{Checks, header};
use super::mailserver::{Letter, MailServer};
use super::timeline::Timeline;
use super::wire::Tape;
use super::{LEG, dovecot, say};
use crate::daemon::{Daemon, StartError};
use crate::edge::http::{HttpClient, HttpOptions, PlainHttp};
use crate::ident::{DocumentKind, Domain, ParticipantId};
use crate::port::{Blob, BlobKind};
use crate::testbed::{Authority, Options, Running, Testbed, TestbedError};

/// Why the demo ends early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The federation cannot be set up.
    #[error("the testbed cannot be set up")]
    Testbed(#[from] TestbedError),
    /// A gateway does not start.
    #[error("a gateway does not start")]
    Start(#[from] StartError),
    /// A mail server does not start.
    #[error("a mail server does not start")]
    MailServer(#[from] crate::edge::smtp_server::SmtpServerError),
    /// A mail was not taken.
    #[error("a mail was not taken")]
    Submit(#[from] super::submit::SubmitError),
    /// A file cannot be written.
    #[error("{path} cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something did not come in time.
    #[error("{0} did not come in time")]
    Late(&'static str),
    /// The store cannot be read.
    #[error("a gateway's state cannot be read")]
    Store(#[from] crate::port::StoreError),
    /// Checks failed.
    #[error("{0} checks failed")]
    Failed(usize),
}

/// Sizes of the demo's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySizes {
    /// As in the federation.
    Full,
    /// 2048 bits, for tests.
    Small,
}

/// One organisation of the demo.
pub(super) struct Cast {
    /// Its name.
    pub name: &'static str,
    /// Its participant id.
    pub participant: &'static str,
    /// Its function mailbox.
    pub mailbox: &'static str,
    /// The mailbox's function.
    function: &'static str,
    /// The function's name.
    label: &'static str,
    /// The gateway's mail domain.
    domain: &'static str,
    /// The access point's name.
    access_point: &'static str,
    /// The folder.
    folder: &'static str,
}

/// The municipality.
pub(super) const HABO: Cast = Cast {
    name: "Håbo kommun",
    participant: "0203:habo.se",
    mailbox: "socialkontoret@habo.se",
    function: "socialkontoret",
    label: "Socialkontoret",
    domain: "sdk.habo.se",
    access_point: "AP0001-TESTBED",
    folder: "habo",
};

/// The agency.
pub(super) const AF: Cast = Cast {
    name: "Arbetsförmedlingen",
    participant: "0203:arbetsformedlingen.se",
    mailbox: "etablering@arbetsformedlingen.se",
    function: "sdk:etablering",
    label: "Etablering Mälardalen",
    domain: "sdk.arbetsformedlingen.se",
    access_point: "AP0002-TESTBED",
    folder: "arbetsformedlingen",
};

impl Cast {
    /// The address of this organisation's function in another's mail domain.
    pub(super) fn address_in(&self, other: &Self) -> String {
        let organisation = self.participant.trim_start_matches("0203:");
        format!("{}@{organisation}.{}", self.function.replace(':', "=3A"), other.domain)
    }
}

/// One organisation on stage.
pub(super) struct Player {
    cast: &'static Cast,
    /// Its gateway.
    pub daemon: Daemon,
    /// Its mail server.
    mail: MailServer,
    tape: Arc<Tape>,
}

/// Everything that runs.
pub(super) struct Stage {
    dir: PathBuf,
    testbed: Testbed,
    _running: Running,
    /// The municipality.
    pub habo: Player,
    /// The agency.
    pub af: Player,
}

impl Stage {
    /// Makes keys, registers both organisations and starts everything.
    pub(super) async fn set(dir: &Path, keys: KeySizes, out: &mut (dyn Write + Send)) -> Result<Self, DemoError> {
        let file = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DemoError::File { path, source }
        };
        // Everything in it is the demo's own, made anew each time.
        for folder in ["keys", "habo", "arbetsformedlingen", "mail", "dovecot"] {
            let path = dir.join(folder);
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(file(&path))?;
            }
        }
        std::fs::create_dir_all(dir).map_err(file(dir))?;
        say(out, "Nycklar skapas: accesspunkter RSA 3072, deltagare RSA 4096 ...");
        let began = std::time::Instant::now();
        let (testbed, issued) = make_keys(dir.join("keys"), keys).await?;
        say(out, &format!("Nycklar klara efter {:.1} s", began.elapsed().as_secs_f32()));
        let running = testbed.start().await?;
        let [habo, af] = issued;
        let habo = player(dir, &HABO, habo, &testbed).await?;
        let af = player(dir, &AF, af, &testbed).await?;
        Ok(Self { dir: dir.to_path_buf(), testbed, _running: running, habo, af })
    }

    /// Keeps a file in the folder.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let path = self.dir.join(name);
        std::fs::write(&path, bytes).map_err(|source| DemoError::File { path, source })
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
        // The last lines are written when the mail server has answered.
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            timeline.catch_up(out).await?;
        }
        let delivered = delivered.ok_or(DemoError::Late("mejlet"))?.bytes;
        Ok((delivered, notice.ok_or(DemoError::Late("beskedet till avsändaren"))?.bytes))
    }

    /// Keeps the message, its envelope, the AS4 exchange, the receipt and the SMP's answers.
    pub(super) async fn keep_evidence(&self, checks: &mut Checks) -> Result<(), DemoError> {
        let message = blob(&self.af, BlobKind::Message)?;
        let envelope = blob(&self.habo, BlobKind::Envelope)?;
        let receipt = blob(&self.habo, BlobKind::Receipt)?;
        for (name, body) in [("message.xml", message), ("envelope.xml", envelope), ("kvittens.xml", receipt)] {
            checks.that(&format!("{name} finns"), body.is_some());
            self.keep(name, &body.unwrap_or_default())?;
        }
        let exchange = self.habo.tape.first_post();
        checks.that("AS4-utbytet är inspelat", exchange.as_ref().is_some_and(|exchange| !exchange.response.is_empty()));
        let exchange = exchange.unwrap_or_default();
        self.keep("as4-request.http", &exchange.request)?;
        self.keep("as4-response.http", &exchange.response)?;
        let client = HttpClient::new(HttpOptions { plain: PlainHttp::Loopback, ..HttpOptions::default() });
        let participant = participant(&AF);
        let urls = [
            ("servicegroup.xml", crate::smp::service_group_url(&self.testbed.smp_url(), &participant)),
            ("smp.xml", crate::smp::service_metadata_url(&self.testbed.smp_url(), &participant, DocumentKind::Message.document_id())),
        ];
        for (name, url) in urls {
            let answer = client.get(&url).await.ok().filter(|answer| answer.status == 200);
            checks.that(&format!("{name} finns"), answer.is_some());
            self.keep(name, &answer.map(|answer| answer.body).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Goes on until it is told to stop, and says how a mail client takes part.
    pub(super) async fn stay(&self, out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
        let dovecot = dovecot::start(&self.dir).map_err(|source| DemoError::File { path: self.dir.join("dovecot"), source })?;
        let mut text = String::from("\nDemon fortsätter. Inställningar för ett e-postprogram (Thunderbird, Outlook):\n");
        for (player, other) in [(&self.habo, &self.af), (&self.af, &self.habo)] {
            let Player { cast, daemon, .. } = player;
            let _ = writeln!(text, "\n  {} <{}>", cast.name, cast.mailbox);
            match &dovecot {
                Some(dovecot) => {
                    let _ = writeln!(
                        text,
                        "    in   IMAP {}, ingen kryptering, användare {}, lösenord {}",
                        dovecot.address,
                        cast.mailbox,
                        dovecot::PASSWORD
                    );
                }
                None => {
                    let _ = writeln!(text, "    in   Maildir {} (Dovecot är inte installerad)", self.dir.join("mail").join(cast.mailbox).display());
                }
            }
            let _ = writeln!(text, "    ut   SMTP {}, ingen kryptering, ingen inloggning", daemon.smtp);
            let _ = writeln!(text, "    skriv till  {}", other.cast.address_in(cast));
        }
        say(out, &text);
        say(out, "Avsluta med Ctrl-C. / Stop with Ctrl-C.");
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|source| DemoError::File { path: self.dir.clone(), source })?;
        tokio::select! {
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(())
    }

    /// Stops the gateways.
    pub(super) async fn clear(self) {
        tokio::join!(self.habo.daemon.stop(), self.af.daemon.stop());
    }
}

/// The one blob of a kind that a gateway keeps.
fn blob(player: &Player, kind: BlobKind) -> Result<Option<Vec<u8>>, DemoError> {
    let blobs = &player.daemon.gateway.blobs;
    let Some(Blob { id, .. }) = blobs.all()?.into_iter().find(|blob| blob.kind == kind) else { return Ok(None) };
    let (_, _, mut reader) = blobs.open(id)?;
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut body).map_err(|source| DemoError::File { path: "spool".into(), source })?;
    Ok(Some(body))
}

/// The files of one organisation's keys.
struct Keys {
    access_point: PathBuf,
    access_point_password: PathBuf,
    access_point_certificate: crate::crypto::Certificate,
    participant: PathBuf,
    participant_password: PathBuf,
    tls: PathBuf,
}

/// Makes the testbed and all keys, side by side: large RSA keys take seconds.
async fn make_keys(dir: PathBuf, keys: KeySizes) -> Result<(Testbed, [Keys; 2]), DemoError> {
    let options = match keys {
        KeySizes::Full => Options::default(),
        KeySizes::Small => Options::small(),
    };
    let made = tokio::task::spawn_blocking(move || -> Result<_, DemoError> {
        let testbed = Testbed::open(&dir, &options)?;
        let (habo, af) = std::thread::scope(|scope| {
            let habo = scope.spawn(|| issue(&testbed, &HABO));
            let af = scope.spawn(|| issue(&testbed, &AF));
            (habo.join(), af.join())
        });
        let lost = |_| DemoError::Late("nycklarna");
        let keys = [habo.map_err(lost)??, af.map_err(lost)??];
        Ok((testbed, keys))
    });
    made.await.map_err(|_| DemoError::Late("nycklarna"))?
}

fn issue(testbed: &Testbed, cast: &Cast) -> Result<Keys, DemoError> {
    let access_point = testbed.issue_access_point(&cast.access_point.parse().map_err(|_| DemoError::Late("ett namn"))?)?;
    let participant = testbed.issue_participant(&participant(cast))?;
    let tls = testbed.issue_tls(&["localhost", "127.0.0.1", cast.domain])?;
    Ok(Keys {
        access_point: access_point.pkcs12,
        access_point_password: access_point.password_file,
        access_point_certificate: access_point.identity.certificate,
        participant: participant.pkcs12,
        participant_password: participant.password_file,
        tls: tls.pem,
    })
}

/// Writes an organisation's configuration, loads it as `brevbro run` does, starts the gateway and registers it.
async fn player(dir: &Path, cast: &'static Cast, keys: Keys, testbed: &Testbed) -> Result<Player, DemoError> {
    let maildirs = HashMap::from([(cast.mailbox.to_lowercase(), dir.join("mail").join(cast.mailbox))]);
    let hostname = Domain::new(format!("mail.{}", cast.domain)).map_err(|_| DemoError::Late("ett namn"))?;
    let mail = MailServer::start(hostname, maildirs).await?;
    let folder = dir.join(cast.folder);
    let path = folder.join("gateway.toml");
    let file = |source| DemoError::File { path: path.clone(), source };
    std::fs::create_dir_all(&folder).map_err(file)?;
    let (smtp, as4) = (free_port().map_err(file)?, free_port().map_err(file)?);
    let text = configuration(cast, &keys, testbed, &folder, &mail, (smtp, as4)).map_err(file)?;
    std::fs::write(&path, text).map_err(file)?;
    let tape = Arc::new(Tape::default());
    let daemon = Daemon::start_file(&path, Arc::clone(&tape) as Arc<dyn crate::edge::tap::Tap>).await?;
    testbed.register(&participant(cast), &format!("https://127.0.0.1:{as4}/as4"), &keys.access_point_certificate)?;
    Ok(Player { cast, daemon, mail, tape })
}

fn configuration(cast: &Cast, keys: &Keys, testbed: &Testbed, folder: &Path, mail: &MailServer, (smtp, as4): (u16, u16)) -> std::io::Result<String> {
    let trust = |authority| testbed.trust_file(authority).display().to_string();
    let folder = folder.canonicalize()?;
    let [access_point, access_point_password, participant, participant_password, tls] =
        [&keys.access_point, &keys.access_point_password, &keys.participant, &keys.participant_password, &keys.tls]
            .map(|path| path.display().to_string());
    Ok(format!(
        r#"# The demo's gateway of {name}.

name = "gw.{domain}"
mail-domain = "{domain}"
operator = "drift@{mail_domain}"
federation = "urn:fdc:digg.se:edelivery:federation:test"
state-dir = "{state}"

[access-point]
key = "{access_point}"
key-password-file = "{access_point_password}"
listen = "127.0.0.1:{as4}"
public-url = "https://127.0.0.1:{as4}/as4"

[access-point.tls]
key = "{tls}"
client-ca = ["{tls_ca}"]
clients = "required"

[access-point.client-tls]
ca = ["{tls_ca}"]
key = "{tls}"

[trust]
access-point-ca = ["{access_point_ca}"]
participant-ca = ["{participant_ca}"]
smp-ca = ["{smp_ca}"]

[discovery]
sml-zone = "{zone}"
resolvers = ["{dns}"]
allow-plain-loopback = true

[smtp]
listen = "127.0.0.1:{smtp}"
clients = ["127.0.0.0/8"]
require-tls = false

[mail-server]
host = "127.0.0.1"
port = {mail_port}
security = "none"

[[organisation]]
participant = "{participant_id}"
name = "{name}"
key = "{participant}"
key-password-file = "{participant_password}"

[[organisation.mailbox]]
address = "{mailbox}"
function = "{function}"
label = "{label}"
"#,
        name = cast.name,
        domain = cast.domain,
        mail_domain = cast.participant.trim_start_matches("0203:"),
        state = folder.join("state").display(),
        tls_ca = trust(Authority::Tls),
        access_point_ca = trust(Authority::AccessPoint),
        participant_ca = trust(Authority::Participant),
        smp_ca = trust(Authority::Smp),
        zone = testbed.sml_zone(),
        dns = testbed.dns_address(),
        mail_port = mail.address.port(),
        participant_id = cast.participant,
        mailbox = cast.mailbox,
        function = cast.function,
        label = cast.label,
    ))
}

#[expect(clippy::expect_used, reason = "the ids of the cast are constants that the test below reads")]
fn participant(cast: &Cast) -> ParticipantId {
    cast.participant.parse().expect("a participant id")
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cast_has_sound_ids() {
        for cast in [&HABO, &AF] {
            participant(cast);
            cast.access_point.parse::<crate::ident::AccessPointId>().unwrap();
            cast.function.parse::<crate::ident::FunctionId>().unwrap();
            Domain::new(cast.domain).unwrap();
        }
    }
}
