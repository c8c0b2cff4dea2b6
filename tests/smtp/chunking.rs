//! BDAT as other programs send it.

use std::process::Command;

use brevbro::crypto::sha256;

use crate::common;
use crate::office::Office;

/// A mail by Java's mail library, which speaks BDAT where it is offered.
const SEND: &str = r#"
import java.io.*;
import java.util.Properties;
import javax.mail.*;
import javax.mail.internet.*;

public class Send {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("mail.smtp.host", "127.0.0.1");
        settings.put("mail.smtp.port", args[0]);
        settings.put("mail.smtp.localhost", "pc.habo.test");
        settings.put("mail.smtp.chunksize", args[1]);
        settings.put("mail.smtp.sendpartial", "true");
        settings.put("mail.smtp.dsn.notify", "SUCCESS,FAILURE");
        settings.put("mail.smtp.dsn.ret", "HDRS");
        Session session = Session.getInstance(settings);
        session.setDebug(true);
        MimeMessage mail = new MimeMessage(session, new FileInputStream(args[2]));
        Transport transport = session.getTransport("smtp");
        transport.connect();
        InternetAddress[] to = InternetAddress.parse(args[3]);
        try {
            transport.sendMessage(mail, to);
        } catch (SendFailedException some) {
            System.out.println("unsent: " + InternetAddress.toString(some.getInvalidAddresses()));
        }
        transport.close();
    }
}
"#;

const JARS: &str = "/usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar";

#[tokio::test(flavor = "multi_thread")]
async fn javas_mail_library_sends_in_chunks_of_any_size() {
    if !common::has("java") {
        return;
    }
    if !std::path::Path::new("/usr/share/java/javax.mail.jar").exists() {
        return common::skip("libmail-java is not installed; `make test` installs it");
    }
    let office = Office::open(|_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let source = common::temporary(dir.path(), "Send.java", SEND);
    // No line begins with a dot: the library doubles it, which BDAT does not ask for and no server undoes.
    let mut mail = b"From: a@habo.test\r\nSubject: x\r\n\r\nMAIL FROM:<boss@habo.test>\r\n".to_vec();
    mail.extend("0123456789abcdef\r\n".repeat(20_000).bytes());
    let file = common::temporary(dir.path(), "mail.eml", &mail);
    let send = |chunk: &str, to: &str| {
        let mut command = Command::new("java");
        command.args(["-cp", JARS]).arg(&source).args([office.address.port().to_string().as_str(), chunk]).arg(&file).arg(to);
        common::judge(command)
    };
    let told = send("8192", "b@sdk.habo.test, okand@sdk.habo.test, langsam@sdk.habo.test").await.unwrap();
    assert!(told.contains("unsent: okand@sdk.habo.test"), "{told}");
    assert!(told.contains("\nBDAT 8192\n") && told.contains(" LAST\n") && !told.contains("\nDATA\n"), "{told}");
    let told = send("1000000", "b@sdk.habo.test").await.unwrap();
    assert!(told.matches("\nBDAT ").count() == 1 && !told.contains("unsent"), "one chunk: {told}");
    let taken = office.taken();
    assert_eq!(taken.len(), 2);
    for taken in &taken {
        // The library writes its header anew; the body is as it was.
        let body = taken.octets.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap() + 4;
        let own = mail.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(sha256(&taken.octets[body..]), sha256(&mail[own..]));
        assert_eq!(taken.envelope.sender.size, None);
    }
    let to: Vec<_> = taken[0].envelope.recipients.iter().map(|recipient| recipient.address.local().to_owned()).collect();
    assert_eq!(to, ["b", "langsam"]);
}
