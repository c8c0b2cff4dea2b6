//! Logins over real TLS, by Python's client and by hand.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use brevbro::edge::smtp_server::SmtpTls;
use brevbro::edge::tls::{ClientAuth, TlsIdentity, server_config};

use crate::common::pki::{self, Ca};
use crate::common::{self, postfix::Plan};
use crate::office::Office;

/// Every way to log in that Python's client has, and what it is told when it fails.
const SCRIPT: &str = r"
import smtplib, ssl, sys
port, root, pem = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def connect(certificate=None):
    smtp = smtplib.SMTP('127.0.0.1', port, local_hostname='pc.habo.test')
    smtp.ehlo()
    assert not smtp.has_extn('auth') and not smtp.has_extn('requiretls'), smtp.esmtp_features
    assert smtp.docmd('AUTH', 'PLAIN AGV4Y2hhbmdlAGhlbWxpZw==')[0] == 538
    context = ssl.create_default_context(cafile=root)
    if certificate:
        context.load_cert_chain(certificate)
    smtp.starttls(context=context)
    smtp.ehlo()
    return smtp
with connect() as smtp:
    assert smtp.esmtp_features['auth'].strip() == 'PLAIN LOGIN', smtp.esmtp_features
    assert smtp.docmd('AUTH', 'EXTERNAL =')[0] == 504
    smtp.login('exchange', 'hemlig')
    smtp.sendmail('a@habo.test', ['b@sdk.habo.test'], 'plain\n')
with connect() as smtp:
    smtp.user, smtp.password = 'exchange', 'hemlig'
    smtp.auth('LOGIN', smtp.auth_login)
    smtp.sendmail('a@habo.test', ['b@sdk.habo.test'], 'login\n')
with connect(pem) as smtp:
    assert smtp.esmtp_features['auth'].strip() == 'PLAIN LOGIN EXTERNAL', smtp.esmtp_features
    smtp.auth('EXTERNAL', lambda challenge=None: '')
    smtp.sendmail('a@habo.test', ['b@sdk.habo.test'], 'external\n')
with connect() as smtp:
    for user, password in [('exchange', 'fel'), ('nobody', 'hemlig')]:
        try:
            smtp.user, smtp.password = user, password
            smtp.auth('PLAIN', smtp.auth_plain)
            sys.exit('logged in')
        except smtplib.SMTPAuthenticationError as refused:
            print(refused.smtp_code, refused.smtp_error.decode())
    smtp.docmd('AUTH', 'PLAIN AGV4Y2hhbmdlAGZlbA==')
    code, text = smtp.docmd('NOOP')
    assert code == 421, (code, text)
";

#[tokio::test(flavor = "multi_thread")]
async fn python_logs_in_by_password_and_by_certificate() {
    if !common::has("python3") {
        return;
    }
    let ca = Ca::new("CA");
    let roots = [ca.certificate()];
    let tls = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::Optional(&roots)).unwrap();
    let delay = Duration::from_millis(700);
    let office = Office::open(|options| (options.tls, options.login_delay) = (SmtpTls::Offered(tls), delay)).await;
    let dir = tempfile::tempdir().unwrap();
    let root = common::temporary(dir.path(), "ca.pem", roots[0].to_pem());
    let pem = common::temporary(dir.path(), "client.pem", pki::pem(&ca.issue("mail.habo.test")));
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT, &office.address.port().to_string()]).args([root, pem]).stdin(Stdio::null());
    let began = Instant::now();
    let told = common::judge(command).await.unwrap();
    // After the third the connection is gone.
    assert_eq!(told, "535 5.7.8 Login failed\n535 5.7.8 Login failed\n", "both read alike");
    assert!(began.elapsed() >= delay * 3, "a failed login waits for its answer");
    let taken: Vec<_> = office.taken().into_iter().map(|taken| (String::from_utf8(taken.octets).unwrap(), taken.login)).collect();
    let exchange = Some("exchange".to_owned());
    let external = Some("mail.habo.test".to_owned());
    assert_eq!(taken, [("plain\r\n".into(), exchange.clone()), ("login\r\n".into(), exchange), ("external\r\n".into(), external)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postfix_logs_in_before_it_sends() {
    let ca = Ca::new("CA");
    let tls = server_config(&TlsIdentity::try_from(&ca.issue("gw.habo.test")).unwrap(), ClientAuth::None).unwrap();
    let office = Office::open(|options| (options.tls, options.login_delay) = (SmtpTls::Required(tls), Duration::ZERO)).await;
    let plan = |password| {
        let plan = Plan::new().route("sdk.habo.test", office.address).tls(&ca.certificate(), "gw.habo.test");
        plan.login(office.address, "exchange", password).start()
    };
    let Some(postfix) = plan("hemlig") else { return };
    postfix.submit("a@habo.test", &["b@sdk.habo.test"], &[], b"Subject: x\n\nHej\n");
    postfix.wait_for_log(&["status=sent", "250 2.0.0 Ok: m1"]);
    assert_eq!(office.taken()[0].login.as_deref(), Some("exchange"));
    drop(postfix);
    let wrong = plan("fel").unwrap();
    wrong.submit("a@habo.test", &["b@sdk.habo.test"], &[], b"Subject: x\n\nHej\n");
    let line = wrong.wait_for_log(&["SASL authentication failed", "535 5.7.8"]);
    assert!(!line.contains("fel:"), "{line}");
    wrong.wait_for_log(&["status=deferred"]);
    assert_eq!(office.taken().len(), 1, "a wrong password is the administrator's affair: the mail waits");
}
