//! One organisation's gateway: keys, configuration file, mail server, registration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cast::{AF, Cast, HABO};
use super::error::DemoError;
use super::mailserver::{ANY_PORT, MailServer, Maildirs};
use super::stage::{KeySizes, Player};
use super::wire::Tape;
use crate::daemon::Daemon;
use crate::ident::{AccessPointId, Domain};
use crate::testbed::{Authority, Options, Testbed, free_port};

/// The files of one organisation's keys.
pub(super) struct Keys {
    access_point: PathBuf,
    access_point_password: PathBuf,
    access_point_certificate: crate::crypto::Certificate,
    participant: PathBuf,
    participant_password: PathBuf,
    tls: PathBuf,
}

/// Makes the testbed and all keys, side by side: large RSA keys take seconds.
pub(super) async fn make_keys(dir: PathBuf, keys: KeySizes) -> Result<(Testbed, [Keys; 2]), DemoError> {
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
        let lost = |_| DemoError::Late("a key");
        let keys = [habo.map_err(lost)??, af.map_err(lost)??];
        Ok((testbed, keys))
    });
    made.await.map_err(|_| DemoError::Late("a key"))?
}

fn issue(testbed: &Testbed, cast: &Cast) -> Result<Keys, DemoError> {
    let name = AccessPointId::new(cast.access_point).map_err(|_| DemoError::Late("a name"))?;
    let (access_point, participant, tls) = std::thread::scope(|scope| {
        let access_point = scope.spawn(|| testbed.issue_access_point(&name));
        let participant = scope.spawn(|| testbed.issue_participant(&cast.participant()));
        // The first name is the folder's: each gateway has its own key.
        let tls = testbed.issue_tls(&[cast.domain, "localhost", "127.0.0.1"]);
        (access_point.join(), participant.join(), tls)
    });
    let lost = |_| DemoError::Late("a key");
    let (access_point, participant, tls) = (access_point.map_err(lost)??, participant.map_err(lost)??, tls?);
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
pub(super) async fn player(dir: &Path, cast: &'static Cast, keys: Keys, testbed: &Testbed) -> Result<Player, DemoError> {
    let maildirs = Maildirs::Of(HashMap::from([(cast.mailbox.to_lowercase(), dir.join("mail").join(cast.mailbox))]));
    let hostname = Domain::new(format!("mail.{}", cast.domain)).map_err(|_| DemoError::Late("a name"))?;
    let mail = MailServer::start(ANY_PORT, hostname, maildirs).await?;
    let folder = dir.join(cast.folder);
    let path = folder.join("gateway.toml");
    let file = |source| DemoError::File { path: path.clone(), source };
    std::fs::create_dir_all(&folder).map_err(file)?;
    let (smtp, as4) = (free_port()?, free_port()?);
    let text = configuration(cast, &keys, testbed, &folder, &mail, (smtp, as4)).map_err(file)?;
    std::fs::write(&path, text).map_err(file)?;
    let tape = Arc::new(Tape::default());
    let daemon = Daemon::start_file(&path, Arc::clone(&tape) as Arc<dyn crate::edge::tap::Tap>).await?;
    testbed.register(&cast.participant(), &format!("https://127.0.0.1:{as4}/as4"), &keys.access_point_certificate)?;
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
        mail_domain = cast.mail_domain(),
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
