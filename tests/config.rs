//! Configurations that are taken, and those that are refused, each for its reasons and with all of them.
//!
//! A fixture says what is different from `config/minimal.toml`; one with a line `#! whole` says everything itself.
//! The keys and CAs that fixtures name are made for the run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use brevbro::config::{self, Discovery, History, InlineImages, PersonPolicy, SignedMail, SuccessNotice};
use brevbro::crypto::rest::RestKey;
use brevbro::crypto::{Certificate, Identity};
use brevbro::edge::smtp_client::Protocol;

use brevbro::ident::MailAddress;
use brevbro::outbound::retry::Patience;
use common::pki;
use jiff::{SignedDuration, Timestamp};
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::symm::Cipher;
use openssl::x509::X509;

#[test]
fn every_refused_configuration_is_refused_for_its_reasons() {
    let mut names = BTreeSet::new();
    for path in fixtures("refused", "toml") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let told = match config::load(&written(&path)) {
            Ok(gateway) => panic!("{name} is taken: {gateway:?}"),
            Err(errors) => errors.errors.iter().map(|error| without_times(&error.to_string()) + "\n").collect::<String>(),
        };
        assert!(!told.contains("hemligt"), "{name} shows a secret:\n{told}");
        let expected = path.with_extension("expected");
        if std::env::var_os("BREVBRO_UPDATE").is_some() {
            std::fs::write(&expected, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, expected, "{name} is told otherwise; BREVBRO_UPDATE=1 writes what is told now");
        names.insert(name);
    }
    let described = fixtures("refused", "expected").iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, described);
    assert!(names.len() >= 15);
}

#[test]
fn every_good_configuration_is_taken() {
    let fixtures = fixtures("good", "toml");
    for path in &fixtures {
        config::load(&written(path)).unwrap_or_else(|errors| panic!("{errors}"));
    }
    assert!(fixtures.len() >= 2);
}

#[test]
fn the_minimal_configuration_is_taken_and_defaults_hold() {
    let gateway = config::load(&written(&root().join("config/minimal.toml"))).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(gateway.access_point.as_ref().unwrap().name.as_str(), "AP0040-SDK-QA");
    assert_eq!((gateway.access_point.as_ref().unwrap().path.as_str(), gateway.access_point.as_ref().unwrap().max_envelope), ("/as4", 150_000_000));
    let smtp = gateway.smtp().unwrap();
    assert_eq!((smtp.hostname.as_str(), smtp.max_message, smtp.require_tls), ("sdk-gw.habo.se", 30_000_000, true));
    assert_eq!(gateway.organisations()[0].decryption.len(), 1);
    assert_eq!(gateway.organisations()[0].mailboxes[0].deliver_to.as_str(), "socialkontoret@habo.se");
    assert!(gateway.organisations()[0].mailboxes[0].confidential);
}

#[test]
fn what_a_joint_board_configures_is_what_it_gets() {
    let gateway = config::load(&written(&root().join("tests/config/good/joint-board.toml"))).unwrap();
    let (organisation, mailbox) = gateway.sender(&MailAddress::new("Treserva@habo.se").unwrap()).unwrap();
    assert_eq!((organisation.name.as_str(), organisation.decryption.len()), ("Håbo kommun", 2));
    assert_eq!(mailbox.deliver_to.as_str(), "sdk-inkorg@habo.se");
    assert_eq!((mailbox.person, mailbox.success_notice, mailbox.confidential), (PersonPolicy::NameAndAddress, SuccessNotice::Always, false));
    assert_eq!((mailbox.history, mailbox.inline_images, mailbox.signed_mail), (History::Trim, InlineImages::Keep, SignedMail::Keep));
    assert_eq!(mailbox.file_types, ["image/png", "application/pdf"]);
    assert!(gateway.sender(&MailAddress::new("okand@habo.se").unwrap()).is_none());
    let (knivsta, server) = (&gateway.organisations()[1].mailboxes[0], &gateway.mail.as_ref().unwrap().other_servers[0]);
    assert_eq!((mailbox.mail_server.as_ref(), knivsta.mail_server.as_ref()), (None, server.name.as_ref()));
    assert_eq!((server.host.as_str(), server.protocol, server.port, server.max_connections), ("mail.knivsta.se", Protocol::Lmtp, 24, 2));
    assert_eq!(
        (
            gateway.mail.as_ref().unwrap().server.protocol,
            gateway.mail.as_ref().unwrap().server.port,
            gateway.mail.as_ref().unwrap().server.max_connections
        ),
        (Protocol::Smtp, 465, 8)
    );
    let (user, password) = gateway.mail.as_ref().unwrap().server.credentials.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose(), format!("{password:?}")), ("brevbro", "brevlåda", "[…]".to_owned()));
}

#[test]
fn an_organisation_has_its_own_patience_and_hours_and_the_rest_of_what_holds_for_all() {
    let gateway = config::load(&written(&root().join("tests/config/good/office-hours.toml"))).unwrap();
    let (own, all) = (&gateway.organisations()[0], &gateway.retry);
    let hours = |span: std::time::Duration| span.as_secs() / 3600;
    assert_eq!((hours(own.retry.give_up), hours(own.retry.receipt_timeout), hours(own.retry.delayed_notice_after)), (72, 16, 2));
    assert_eq!((hours(all.give_up), hours(all.receipt_timeout), hours(all.delayed_notice_after)), (72, 24, 1));
    assert_eq!(own.patience, Patience::WorkingTime);
    let office = own.hours.as_ref().unwrap();
    let is_open = |local: &str| office.is_open(office.zone.to_timestamp(local.parse().unwrap()).unwrap());
    // A Thursday until four; no Friday; Epiphany is a day as any other, and the 23rd of December is not.
    assert!(is_open("2026-01-08T07:30:00") && !is_open("2026-01-08T16:00:00") && !is_open("2026-01-09T10:00:00"));
    assert!(is_open("2026-01-06T10:00:00") && !is_open("2026-12-23T10:00:00"));
    let minimal = config::load(&written(&root().join("config/minimal.toml"))).unwrap();
    assert_eq!((minimal.organisations()[0].hours.as_ref(), minimal.organisations()[0].retry), (None, minimal.retry));
}

#[test]
fn the_first_key_encrypts_and_the_others_open() {
    let gateway = config::load(&written(&root().join("tests/config/good/encryption.toml"))).unwrap_or_else(|errors| panic!("{errors}"));
    let rings = gateway.encryption;
    let old = RestKey::read(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
    assert_eq!((rings.transport.len(), rings.content.len()), (2, 1));
    assert_eq!(rings.transport[1].id(), old.id());
    assert_ne!(rings.content[0].id(), rings.transport[0].id());
    assert!(gateway.warnings.iter().any(|warning| warning.path == "encryption.content-keys[0]" && warning.what.contains("its group can read")));
    let minimal = config::load(&written(&root().join("config/minimal.toml"))).unwrap();
    assert!(minimal.encryption.transport.is_empty() && minimal.encryption.content.is_empty());
}

#[test]
fn without_smtp_mails_come_from_outbox_folders() {
    let gateway = config::load(&written(&root().join("tests/config/good/without-smtp.toml"))).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(gateway.smtp().is_none());
    assert_eq!(gateway.mail.as_ref().unwrap().max_message(), 30_000_000);
    let imap = gateway.organisations()[0].mailboxes[0].imap.as_ref().unwrap();
    assert_eq!((imap.port, imap.username.as_str()), (993, "socialkontoret@habo.se"));
    let outbox = imap.outbox.as_ref().unwrap();
    assert_eq!([&outbox.folder, &outbox.processed, &outbox.failed], ["SDK att skicka", "SDK/Skickat", "SDK ej skickat"]);
    assert!(gateway.warnings.iter().any(|warning| warning.what.contains("can only receive")), "{:?}", gateway.warnings);
}

#[test]
fn a_node_of_one_side_has_what_its_side_needs_and_nothing_of_the_other() {
    use brevbro::config::Role;
    let load = |name: &str| config::load(&written(&root().join(name))).unwrap_or_else(|errors| panic!("{errors}"));
    let point = load("tests/config/good/node-access-point.toml");
    assert_eq!((point.role(), point.node.as_str()), (Role::AccessPoint, "dmz-1"));
    assert!(point.mail.is_none() && point.organisations().is_empty());
    assert_eq!((point.participants[0].id.to_string(), point.participants[0].retry.give_up.as_secs()), ("0203:habo.se".to_owned(), 3 * 86_400));
    let mail = load("tests/config/good/node-mail.toml");
    assert_eq!((mail.role(), mail.node.as_str()), (Role::Mail, "inne-1"));
    assert!(mail.access_point.is_none());
    assert_eq!(mail.organisations()[0].participant, mail.participants[0].id);
    let both = load("config/minimal.toml");
    assert_eq!((both.role(), both.participants.len()), (Role::Both, 1));
}

#[test]
fn on_one_machine_plain_http_and_static_discovery_are_taken() {
    let gateway = config::load(&written(&root().join("tests/config/good/loopback.toml"))).unwrap();
    assert!(gateway.access_point.as_ref().unwrap().tls.is_none());
    assert!(gateway.state_dir.ends_with("state") && gateway.state_dir.starts_with(place()));
    let Discovery::Static(participants) = gateway.discovery else { panic!("{:?}", gateway.discovery) };
    assert_eq!(participants[0].signing, participants[0].encryption);
}

#[test]
fn the_published_environments_are_recognised() {
    use brevbro::config::Environment;
    let path = written(&root().join("config/minimal.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(config::load(&path).unwrap().environment, None, "CAs of the test's own");
    for (environment, folder, expected) in
        [("qa", "qa", Environment::Qa), ("prod", "production", Environment::Production), ("test", "open-test", Environment::OpenTest)]
    {
        // Beside the test's CA, so that its own keys lead somewhere.
        let smp = format!("smp-ca = [\"ca.pem\", \"federation/{folder}/rot-ca-edelivery-smp-{environment}.pem\"]");
        let text = text.replace("smp-ca = [\"ca.pem\"]", &smp);
        assert!(text.contains(&smp), "{text}");
        let id = if expected == Environment::OpenTest { "federation:test" } else { "federation:sdk" };
        let path = path.with_file_name(format!("environment-{folder}.toml"));
        std::fs::write(&path, text.replace("federation:sdk", id)).unwrap();
        let gateway = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(gateway.environment, Some(expected));
        assert!(gateway.warnings.iter().any(|warning| warning.what.contains("not among the published CAs")), "{:?}", gateway.warnings);
        let wrong = if id == "federation:test" { "federation:sdk" } else { "federation:test" };
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace(id, wrong)).unwrap();
        let errors = config::load(&path).unwrap_err().errors;
        assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["federation"]);
    }
}

#[test]
fn own_certificates_must_be_valid_now_and_warn_before_they_end() {
    let minimal = written(&root().join("config/minimal.toml"));
    let now = Timestamp::now();
    let soon = config::load_at(&minimal, now).unwrap();
    assert!(soon.warnings.iter().any(|warning| warning.path == "access-point.key" && warning.what.contains("expires at")), "{:?}", soon.warnings);
    for (at, reason) in [(SignedDuration::from_hours(24 * 60), "expired at"), (SignedDuration::from_hours(-24), "not valid until")] {
        let errors = config::load_at(&minimal, now + at).unwrap_err();
        let wrong: BTreeSet<&str> = errors.errors.iter().filter(|error| error.reason.contains(reason)).map(|error| error.path.as_str()).collect();
        for path in ["access-point.key", "access-point.tls.key", "organisation[0].key", "smtp.tls.key"] {
            assert!(wrong.contains(path), "{path} is not among {wrong:?}");
        }
    }
}

#[test]
fn a_secret_that_its_group_reads_is_warned_of() {
    let path = written(&root().join("config/minimal.toml"));
    let text = std::fs::read_to_string(&path).unwrap().replace("keys/habo.password", "keys/readable-by-group.password");
    let path = path.with_file_name("group.toml");
    std::fs::write(&path, text).unwrap();
    let gateway = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(gateway.warnings.iter().any(|warning| warning.path == "organisation[0].key-password-file"), "{:?}", gateway.warnings);
}

#[test]
fn a_key_of_no_trusted_participant_ca_is_warned_of() {
    let path = written(&root().join("config/minimal.toml"));
    let text = std::fs::read_to_string(&path).unwrap().replace("participant-ca = [\"ca.pem\", \"ca.pem\"]", "participant-ca = [\"ca-other.pem\"]");
    let path = path.with_file_name("foreign.toml");
    std::fs::write(&path, text).unwrap();
    let gateway = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let warned = |warning: &config::Warning| warning.path == "organisation[0].key" && warning.what.contains("participant-ca");
    assert!(gateway.warnings.iter().any(warned), "{:?}", gateway.warnings);
}

#[test]
fn check_config_tells_what_a_configuration_means_or_all_that_is_wrong() {
    let check = |path: &Path| Command::new(env!("CARGO_BIN_EXE_brevbro")).args(["check-config", "--config"]).arg(path).output().unwrap();
    let good = check(&written(&root().join("tests/config/good/joint-board.toml")));
    let told = String::from_utf8(good.stdout).unwrap();
    assert_eq!((good.status.code(), String::from_utf8(good.stderr).unwrap().as_str()), (Some(0), ""));
    for line in ["AP0040-SDK-QA at https://as4.habo.se/as4", "socialkontoret@knivsta.se is function Socialkontoret", "mail.habo.se:465, TLS", "days)"]
    {
        assert!(told.contains(line), "{line} is missing in:\n{told}");
    }
    let refused = check(&written(&root().join("tests/config/refused/retry.toml")));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(2), &[][..]));
    assert!(told.starts_with("error: ") && told.contains("has 4 errors\n  retry.delayed-notice-after: "), "{told}");
}

#[test]
fn the_reference_is_the_generated_one() {
    let committed = std::fs::read_to_string(root().join("config/gateway.toml")).unwrap();
    assert_eq!(committed, config::reference(), "run `brevbro check-config --reference > config/gateway.toml`");
}

#[test]
fn the_federations_certificates_are_the_published_ones() {
    for (environment, published) in [("open-test", "open-test"), ("qa", "qa"), ("production", "prod")] {
        let folder = root().join("config/federation").join(environment);
        let ours = certificates(&folder);
        assert_eq!(ours.len(), 8, "{environment}");
        let Some(shared) = common::shared(&format!("sdk-docs/certificates/{published}")) else { return };
        assert_eq!(fingerprints(&ours), fingerprints(&certificates(&shared)), "{environment}");
    }
}

#[test]
fn the_federations_snippets_name_every_certificate() {
    for environment in ["open-test", "qa", "production"] {
        let text = std::fs::read_to_string(root().join(format!("config/federation/{environment}.toml"))).unwrap();
        let snippet: toml::Table = text.parse().unwrap();
        let trust = snippet["trust"].as_table().unwrap();
        let named: BTreeSet<PathBuf> =
            trust.values().flat_map(|list| list.as_array().unwrap()).map(|path| root().join("config").join(path.as_str().unwrap())).collect();
        // The SMP's own, out-of-date certificate stands in a comment.
        let there: BTreeSet<PathBuf> = files(&root().join("config/federation").join(environment), "pem").into_iter().collect();
        let left: Vec<_> = there.difference(&named).collect();
        assert!(
            named.is_subset(&there) && left.len() == 1 && text.contains(left[0].file_name().unwrap().to_str().unwrap()),
            "{environment}: {left:?}"
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures(folder: &str, extension: &str) -> Vec<PathBuf> {
    files(&root().join("tests/config").join(folder), extension)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn certificates(folder: &Path) -> Vec<Certificate> {
    let all = ["pem", "cer", "crt"].iter().flat_map(|extension| files(folder, extension));
    all.map(|path| Certificate::from_any(&std::fs::read(path).unwrap()).unwrap()).collect()
}

fn fingerprints(certificates: &[Certificate]) -> BTreeSet<String> {
    certificates.iter().map(|certificate| certificate.fingerprint().to_string()).collect()
}

/// The fixture as a whole configuration, beside the keys. Each call has a file of its own: tests run at the same time.
fn written(fixture: &Path) -> PathBuf {
    static CALL: AtomicUsize = AtomicUsize::new(0);
    let text = std::fs::read_to_string(fixture).unwrap();
    let whole = if text.contains("#! whole") || fixture.ends_with("config/minimal.toml") {
        with_own_cas(&text)
    } else {
        let minimal = std::fs::read_to_string(root().join("config/minimal.toml")).unwrap();
        let mut whole: toml::Table = with_own_cas(&minimal).parse().unwrap();
        overlay(&mut whole, text.parse().unwrap());
        whole.to_string()
    };
    let path = place().join(format!("{}.toml", CALL.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&path, whole).unwrap();
    path
}

/// The CAs of the run in place of the federation's.
fn with_own_cas(text: &str) -> String {
    let federation = |word: &str| word.starts_with("federation/");
    text.split('"').map(|part| if federation(part) { "ca.pem" } else { part }).collect::<Vec<_>>().join("\"")
}

fn overlay(whole: &mut toml::Table, part: toml::Table) {
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(value)) => overlay(below, value),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

/// `2026-01-02T03:04:05Z` becomes `TIME`.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.len() >= 20 && word.ends_with('Z') && word.parse::<Timestamp>().is_ok();
    text.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
}

/// A folder with the keys and CAs that fixtures name, made once.
fn place() -> &'static Path {
    static PLACE: OnceLock<tempfile::TempDir> = OnceLock::new();
    PLACE
        .get_or_init(|| {
            let place = tempfile::tempdir().unwrap();
            let keys = place.path().join("keys");
            std::fs::create_dir(&keys).unwrap();
            std::os::unix::fs::symlink(root().join("config/federation"), place.path().join("federation")).unwrap();
            let write = |name: &str, octets: &[u8], mode: u32| {
                std::fs::write(keys.join(name), octets).unwrap();
                std::fs::set_permissions(keys.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
            };
            let (ca, other) = (pki::Ca::new("Test CA"), pki::Ca::new("Another CA"));
            std::fs::write(place.path().join("ca.pem"), ca.certificate().to_pem()).unwrap();
            std::fs::write(place.path().join("ca-other.pem"), other.certificate().to_pem()).unwrap();
            let (access_point, habo, tls) = (ca.issue("AP0040-SDK-QA"), ca.issue("habo.se"), ca.issue("as4.habo.se"));
            write("access-point.p12", &pkcs12(&access_point, "nyckel"), 0o600);
            write("access-point.pem", pki::pem(&access_point).as_bytes(), 0o600);
            write("access-point.password", b"nyckel\n", 0o600);
            write("habo.p12", &pkcs12(&habo, "lösen"), 0o600);
            write("habo.password", "lösen\r\n".as_bytes(), 0o600);
            write("habo-old.key", &key(&habo).private_key_to_pem_pkcs8().unwrap(), 0o600);
            write("habo-old.pem", habo.certificate.to_pem().as_bytes(), 0o644);
            write("readable-by-group.password", "lösen".as_bytes(), 0o640);
            write("tls.pem", pki::pem(&tls).as_bytes(), 0o600);
            write("readable-by-all.pem", pki::pem(&tls).as_bytes(), 0o604);
            write("locked.pem", &key(&tls).private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"nyckel").unwrap(), 0o600);
            write("no-certificate.pem", b"-----BEGIN NOTHING-----\n", 0o644);
            write("exchange.hash", smtp_password("räksmörgås med ägg").unwrap().as_bytes(), 0o600);
            let rest: [u8; 32] = std::array::from_fn(|at| at as u8);
            write("state.key", &rest, 0o600);
            write("state-again.key", RestKey::read(&rest).unwrap().to_base64().as_bytes(), 0o600);
            write("state-new.key", format!("{}\n", *RestKey::random().unwrap().to_base64()).as_bytes(), 0o400);
            write("content.key", RestKey::random().unwrap().to_base64().as_bytes(), 0o640);
            write("readable-by-all.key", &rest, 0o644);
            write("zero.key", &[0; 32], 0o600);
            write("mail-server.password", "brevlåda\n".as_bytes(), 0o400);
            place
        })
        .path()
}

/// What `brevbro smtp-password` makes of a password.
fn smtp_password(password: &str) -> Result<String, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_brevbro"))
        .arg("smtp-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn smtp_password_writes_the_line_that_an_account_is_known_by() {
    let gateway = config::load(&written(&root().join("tests/config/good/accounts.toml"))).unwrap_or_else(|errors| panic!("{errors}"));
    let [exchange, online] = &gateway.smtp().unwrap().accounts[..] else { panic!("two accounts") };
    let hash = exchange.password.as_ref().unwrap();
    assert!(hash.verify("räksmörgås med ägg") && !hash.verify("räksmörgås utan ägg"));
    assert_eq!(online.originator.as_ref().unwrap().as_str(), "habo.se");
    let (one, other) = (smtp_password("ett lösenord").unwrap(), smtp_password("ett lösenord").unwrap());
    assert_ne!(one, other, "salted");
    assert!(!one.contains("lösenord") && one.ends_with('\n') && one.lines().count() == 1, "{one}");
    assert!(smtp_password("kort").unwrap_err().contains("shorter than 12"));
}

fn key(identity: &Identity) -> PKey<openssl::pkey::Private> {
    PKey::private_key_from_pkcs8(&identity.key.to_pkcs8().unwrap()).unwrap()
}

fn pkcs12(identity: &Identity, password: &str) -> Vec<u8> {
    let x509 = X509::from_der(identity.certificate.der()).unwrap();
    Pkcs12::builder().name("brevbro").pkey(&key(identity)).cert(&x509).build2(password).unwrap().to_der().unwrap()
}
