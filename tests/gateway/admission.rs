//! Who may hand mail in, as whom, and how much.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Stdio};

use brevbro::crypto::PasswordHash;
use brevbro::event::{EventName, Field};

use crate::common::{self, pki};
use crate::harness::client::submit;
use crate::harness::{Client, Gateway, Peer, Setup, mail, run};

/// TLS with a CA for clients, and an account for each way to be known.
pub(crate) struct Keys {
    pub(crate) ca: pki::Ca,
    dir: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let (ca, dir) = (pki::Ca::new("Mail CA"), tempfile::tempdir().unwrap());
        let keys = Self { ca, dir };
        keys.put("ca.pem", &keys.ca.certificate().to_pem());
        keys.put("tls.pem", &pki::pem(&keys.ca.issue("gw.example.se")));
        keys.put("hash", &PasswordHash::make("mycket hemligt", [3; 16]).unwrap().to_string());
        keys
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// More lines of `[smtp]`.
    pub(crate) fn smtp(&self, accounts: &str) -> &'static str {
        let dir = self.dir.path().display();
        let text = format!("[smtp.tls]\nkey = \"{dir}/tls.pem\"\nclient-ca = [\"{dir}/ca.pem\"]\n{}", accounts.replace("DIR", &dir.to_string()));
        Box::leak(text.into_boxed_str())
    }
}

/// Python's client: its arguments are port, CA, a client's key or nothing, and the lines of a script.
async fn python(gateway: &Gateway, keys: &Keys, certificate: &str, script: &str) -> String {
    let start = r"
import smtplib, ssl, sys
port, root, certificate = int(sys.argv[1]), sys.argv[2], sys.argv[3]
smtp = smtplib.SMTP('127.0.0.1', port, local_hostname='pc.example.se')
smtp.ehlo()
context = ssl.create_default_context(cafile=root)
context.check_hostname = False
if certificate:
    context.load_cert_chain(certificate)
smtp.starttls(context=context)
smtp.ehlo()
def say(*words):
    code, text = smtp.docmd(' '.join(words))
    print(code, text.decode().splitlines()[0])
def send(*to, header='', sender=None):
    try:
        smtp.sendmail(sender or mailbox, to, header + 'From: <%s>\r\nSubject: x\r\nMessage-ID: <a@b.se>\r\n\r\nHej\r\n' % mailbox)
        print('sent')
    except smtplib.SMTPResponseException as refused:
        print(refused.smtp_code, refused.smtp_error.decode().splitlines()[0])
    except smtplib.SMTPRecipientsRefused as refused:
        print(*[(code, text.decode().splitlines()[0]) for code, text in refused.recipients.values()][0])
";
    let port = gateway.daemon.smtp.port().to_string();
    // QUIT tells the gateway that its answer was seen: the next mail is another one, however equal.
    let whole = format!("{start}\nmailbox = '{}'\n{script}\nsmtp.quit()", gateway.mailbox);
    let mut command = Command::new("python3");
    command.args(["-c", &whole, &port, &keys.path("ca.pem"), certificate]).stdin(Stdio::null());
    common::judge(command).await.unwrap()
}

#[test]
fn a_client_is_known_by_password_or_by_certificate_and_by_nothing_else() {
    run(async {
        if !common::has("python3") {
            return;
        }
        let keys = Keys::new();
        keys.put("exchange.pem", &pki::pem(&keys.ca.issue("mail.example.se")));
        keys.put("other.pem", &pki::pem(&keys.ca.issue("skrivare.example.se")));
        let smtp = keys.smtp(
            "[[smtp.account]]\nname = \"verksamhet\"\npassword-hash-file = \"DIR/hash\"\n\
             [[smtp.account]]\nname = \"exchange\"\ncertificate-name = \"mail.example.se\"\n",
        );
        let gateway = Gateway::start(Setup { clients: "10.0.0.0/8", smtp, ..Setup::new("admission") }).await;
        let peer = Peer::start("admission-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let path = |name: &str| keys.path(name);

        // From a network that may not send: heard, because it may be an account, and sent away at MAIL.
        let mut stranger = Client::connect(&gateway).await;
        assert!(stranger.say(&format!("MAIL FROM:<{}>", gateway.mailbox)).await.starts_with("530 5.7.0 "));
        assert!(stranger.say("AUTH PLAIN AHgAeA==").await.starts_with("538 5.7.11 "), "no password in the clear");
        stranger.cut();

        let by_password = format!("smtp.login('verksamhet', 'mycket hemligt')\nsend('{to}')");
        assert_eq!(python(&gateway, &keys, "", &by_password).await, "sent\n");
        let by_certificate = python(&gateway, &keys, &path("exchange.pem"), &format!("send('{to}')")).await;
        assert_eq!(by_certificate, "sent\n", "without a login");
        let external = format!("smtp.auth('EXTERNAL', lambda challenge=None: 'exchange')\nsend('{to}')");
        assert_eq!(python(&gateway, &keys, &path("exchange.pem"), &external).await, "sent\n");
        assert_eq!(peer.message(2).await.sender.function.unwrap().as_str(), "inkorg");

        let unknown = python(&gateway, &keys, &path("other.pem"), &format!("say('AUTH EXTERNAL =')\nsend('{to}')")).await;
        assert!(unknown.starts_with("504 5.5.4 ") && unknown.contains("\n530 5.7.0 "), "a good certificate of nobody's: {unknown}");
        let wrong = "say('AUTH PLAIN AHZlcmtzYW1oZXQAZmVs')\nsay('AUTH PLAIN AG5hZ29uAGZlbA==')";
        assert_eq!(python(&gateway, &keys, "", wrong).await, "535 5.7.8 Login failed\n".repeat(2), "an unknown user reads like a wrong password");
        let acting = "say('AUTH EXTERNAL dmVya3NhbWhldA==')";
        assert!(python(&gateway, &keys, &path("exchange.pem"), acting).await.starts_with("535 "), "one account does not act as another");

        let accounts: Vec<_> = gateway.events(EventName::MailAccepted).await.iter().map(|event| event.fields[&Field::Account].clone()).collect();
        assert_eq!(accounts, ["verksamhet", "exchange", "exchange"]);
        gateway.stop().await;
    });
}

#[test]
fn who_guesses_passwords_is_not_listened_to_for_a_while() {
    run(async {
        if !common::has("python3") {
            return;
        }
        let keys = Keys::new();
        let smtp = keys.smtp("[[smtp.account]]\nname = \"verksamhet\"\npassword-hash-file = \"DIR/hash\"\n");
        let gateway = Gateway::start(Setup { smtp, ..Setup::new("guesser") }).await;
        // Ten at once, over as many connections, each of which waits for its answer.
        let guess = || python(&gateway, &keys, "", "say('AUTH PLAIN AHZlcmtzYW1oZXQAZmVs')");
        let ten = tokio::join!(guess(), guess(), guess(), guess(), guess());
        let more = tokio::join!(guess(), guess(), guess(), guess(), guess());
        for told in [ten.0, ten.1, ten.2, ten.3, ten.4, more.0, more.1, more.2, more.3, more.4] {
            assert_eq!(told, "535 5.7.8 Login failed\n");
        }
        let right = python(&gateway, &keys, "", "say('AUTH PLAIN AHZlcmtzYW1oZXQAbXlja2V0IGhlbWxpZ3Q=')").await;
        assert!(right.starts_with("454 4.7.0 "), "not even the right one: {right}");
        gateway.stop().await;
    });
}

#[test]
fn an_account_sends_as_the_mailboxes_that_it_is_bound_to() {
    run(async {
        if !common::has("python3") {
            return;
        }
        let keys = Keys::new();
        keys.put("exchange.pem", &pki::pem(&keys.ca.issue("mail.example.se")));
        let smtp = keys.smtp("[[smtp.account]]\nname = \"exchange\"\ncertificate-name = \"mail.example.se\"\nmailboxes = [\"arkivet@bound.se\"]\n");
        let mailbox = "[[organisation.mailbox]]\naddress = \"arkivet@bound.se\"\nfunction = \"arkivet\"\nlabel = \"Arkivet\"";
        let gateway = Gateway::start(Setup { clients: "10.0.0.0/8", smtp, mailbox, ..Setup::new("bound") }).await;
        let peer = Peer::start("bound-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let told = python(&gateway, &keys, &keys.path("exchange.pem"), &format!("send('{to}')\nmailbox = 'arkivet@bound.se'\nsend('{to}')")).await;
        assert!(told.starts_with("550 5.7.1 ") && told.ends_with("\nsent\n"), "{told}");
        assert_eq!(peer.message(0).await.sender.function.unwrap().as_str(), "arkivet");
        gateway.stop().await;
    });
}

#[test]
fn another_tenant_of_exchange_online_is_refused() {
    run(async {
        if !common::has("python3") {
            return;
        }
        let keys = Keys::new();
        keys.put("online.pem", &pki::pem(&keys.ca.issue("mail.protection.outlook.com")));
        let account = "[[smtp.account]]\nname = \"exo\"\ncertificate-name = \"mail.protection.outlook.com\"\noriginator = \"tenant.se\"\n";
        let gateway = Gateway::start(Setup { clients: "10.0.0.0/8", smtp: keys.smtp(account), ..Setup::new("tenant") }).await;
        let peer = Peer::start("tenant-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let field = "X-OriginatorOrg: ";
        let script = [
            format!("send('{to}')"),
            format!("send('{to}', header='{field}annan.se\\r\\n')"),
            format!("send('{to}', header='{field}annan.se\\r\\n{field}tenant.se\\r\\n')"),
            format!("send('{to}', header='{field}Tenant.se\\r\\n')"),
        ];
        let told = python(&gateway, &keys, &keys.path("online.pem"), &script.join("\n")).await;
        let told: Vec<&str> = told.lines().collect();
        assert!(told[..3].iter().all(|line| line.starts_with("550 5.7.1 ")) && told[3] == "sent", "{told:?}");
        gateway.stop().await;
    });
}

#[test]
fn a_from_field_that_could_be_two_people_is_refused_at_data() {
    run(async {
        let gateway = Gateway::start(Setup::new("author")).await;
        let peer = Peer::start("author-peer").await;
        let to = gateway.address_of("inkorg", &peer.name);
        let ours = &gateway.mailbox;
        let whole = mail(ours, "a1", "Hej");
        let fields = [
            format!("From: chefen@author.se\r\nSender: {ours}"),
            format!("From: {ours}, chefen@author.se"),
            format!("From: {ours}\r\nFrom: chefen@author.se"),
            format!("From: chefen@author.se\r\nFrom: {ours}"),
            format!("From: chefen@author.se <{ours}>"),
            format!("From: \"{ours}\" <chefen@author.se>"),
            format!("From: \"chefen@annan.se\" <{ours}>"),
            format!("From: Gruppen: {ours};"),
            format!("From: <@annan.se:{ours}>"),
            format!("From: =?utf-8?q?{}?= <chefen@author.se>", ours.replace('@', "=40")),
            format!("From: =?utf-8?q?{}?=", ours.replace('@', "=40")),
            format!("From: ({ours}) chefen@author.se"),
        ];
        for field in fields {
            let reply = submit(&gateway, &[&to], "", &whole.replace(&format!("From: Anna Ek <{ours}>"), &field)).await;
            assert!(reply.starts_with("550 5.7.1 "), "{field}: {reply}");
        }
        // Who pressed the button grants nothing and takes nothing away ("on behalf of").
        let behalf = whole.replace("From:", "Sender: anna@author.se\r\nFrom:");
        assert!(submit(&gateway, &[&to], "", &behalf).await.starts_with("250 2.0.0 "));
        assert_eq!(gateway.events(EventName::MailAccepted).await.len(), 1);
        gateway.stop().await;
    });
}

#[test]
fn who_sends_too_much_is_told_to_come_back_later() {
    run(async {
        let smtp = "max-mails = 4\n[smtp.pace]\nmails-per-minute = 3\nrecipients-per-minute = 3";
        let gateway = Gateway::start(Setup { smtp, ..Setup::new("pace") }).await;
        let peer = Peer::start("pace-peer").await;
        let to: Vec<String> = (0..4).map(|n| gateway.address_of(&format!("f{n}"), &peer.name)).collect();
        let mut client = Client::connect(&gateway).await;
        let start = format!("MAIL FROM:<{}>", gateway.mailbox);
        assert!(client.say(&start).await.starts_with("250"));
        for to in &to[..3] {
            assert!(client.say(&format!("RCPT TO:<{to}>")).await.starts_with("250"), "{to}");
        }
        let fourth = client.say(&format!("RCPT TO:<{}>", to[3])).await;
        assert!(fourth.starts_with("450 4.7.1 ") && fourth.contains("at most 3 a minute"), "{fourth}");
        assert!(client.data(&mail(&gateway.mailbox, "a1", "Hej")).await.starts_with("250 2.0.0 "), "the three are taken");
        for _ in 0..2 {
            assert!(client.say(&start).await.starts_with("250"));
            client.say("RSET").await;
        }
        assert!(client.say(&start).await.starts_with("450 4.7.1 "));
        assert!(client.say(&start).await.starts_with("421 4.7.0 "), "the fifth MAIL of a connection that may have four");
        client.cut();
        for number in 0..3 {
            peer.message(number).await;
        }
        gateway.stop().await;
    });
}

#[test]
fn requiretls_is_not_promised_where_notices_go_in_the_clear() {
    run(async {
        if !common::has("python3") {
            return;
        }
        let keys = Keys::new();
        let gateway = Gateway::start(Setup { smtp: keys.smtp(""), ..Setup::new("requiretls") }).await;
        let told = python(&gateway, &keys, "", "print(smtp.has_extn('requiretls'))\nsay('MAIL FROM:<%s> REQUIRETLS' % mailbox)").await;
        assert!(told.starts_with("False\n555 5.5.4 "), "{told}");
        assert!(Path::new(&keys.path("ca.pem")).exists());
        gateway.stop().await;
    });
}
