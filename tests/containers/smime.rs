//! Signed and encrypted mails. OpenSSL makes them, in the forms that mail programs use.

use brevbro::mail::convert::{ConvertError, outgoing};
use brevbro::mail::policy::{MailboxPolicy, SignedMail};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::symm::Cipher;

use crate::common::smime::{signed_data, signer};
use crate::common::{has, run, temporary};
use crate::writer::{Attachment, Part, Properties, Winmail};
use crate::{PDF, converted, files, notes, refused, text};

fn signed(content: &[u8]) -> Vec<u8> {
    signed_data(content, CMSOptions::empty())
}

/// An entity: a header and a body.
fn entity(part: &Part) -> Vec<u8> {
    [part.0.as_bytes(), b"\r\n\r\n", &part.1].concat()
}

fn opaque(kind: &str, bytes: &[u8]) -> Part {
    Part::file(&format!("application/pkcs7-mime; smime-type={kind}"), "smime.p7m", bytes)
}

fn with_pdf() -> Part {
    Part::multipart("mixed", &[Part::text("Hej Åsa\n"), Part::file("application/pdf", "beslut.pdf", PDF)])
}

fn keeping() -> MailboxPolicy {
    MailboxPolicy { signed: SignedMail::Keep, ..MailboxPolicy::default() }
}

#[test]
fn what_was_signed_in_one_piece_comes_out_without_a_claim() {
    let bytes = signed(&entity(&with_pdf()));
    for kind in ["signed-data", "x"] {
        let mail = converted(&opaque(kind, &bytes).mail());
        assert_eq!((text(&mail), files(&mail)), ("Hej Åsa", vec![("beslut.pdf", "application/pdf", PDF)]));
        assert_eq!(notes(&mail), ["Mejlets signatur följer inte med. Den har inte kontrollerats."]);
    }
    // Outlook says octet-stream now and then.
    let unnamed = Part::file("application/octet-stream", "smime.p7m", &bytes);
    assert_eq!(text(&converted(&unnamed.mail())), "Hej Åsa");
}

#[test]
fn lengths_of_openssl_s_streams_are_read() {
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = signer();
    let content = temporary(&folder, "content", entity(&with_pdf()));
    let certificate = temporary(&folder, "certificate.pem", certificate.to_pem().unwrap());
    let key = temporary(&folder, "key.pem", key.private_key_to_pem_pkcs8().unwrap());
    let mut command = std::process::Command::new("openssl");
    command.args(["cms", "-sign", "-nodetach", "-stream", "-outform", "DER", "-binary"]);
    command.arg("-in").arg(&content).arg("-signer").arg(&certificate).arg("-inkey").arg(&key);
    let stream = run(&mut command).unwrap();
    assert_eq!(stream[1], 0x80, "no stream");
    let mail = converted(&opaque("signed-data", &stream).mail());
    assert_eq!((text(&mail), files(&mail).len()), ("Hej Åsa", 1));
    for end in [stream.len() / 3, stream.len() - 1] {
        assert_eq!(refused(&opaque("signed-data", &stream[..end]).mail()), ConvertError::Broken("S/MIME"));
    }
}

#[test]
fn a_program_does_not_hide_behind_a_signature() {
    let program = Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("application/pdf", "faktura.pdf.exe", PDF)]);
    let clear =
        Part::multipart("signed", &[Part(program.0.clone(), program.1.clone()), Part::file("application/pkcs7-signature", "smime.p7s", b"x")]);
    for part in [opaque("signed-data", &signed(&entity(&program))), clear] {
        let expected = Err(ConvertError::Program { name: "faktura.pdf.exe".to_owned() });
        assert_eq!(outgoing(&part.mail(), &MailboxPolicy::default()).map(|_| ()), expected);
        assert_eq!(outgoing(&part.mail(), &keeping()).map(|_| ()), expected);
    }
}

#[test]
fn the_mailbox_may_keep_what_was_signed() {
    let bytes = signed(&entity(&with_pdf()));
    let mail = outgoing(&opaque("signed-data", &bytes).mail(), &keeping()).unwrap();
    assert_eq!(text(&mail), "Hej Åsa");
    assert_eq!(files(&mail), [("beslut.pdf", "application/pdf", PDF), ("smime.p7m", "application/pkcs7-mime", &bytes[..])]);
    assert_eq!(notes(&mail), ["Mejlets signatur skickas med i filen smime.p7m. Den har inte kontrollerats."]);
    let clear = Part::multipart("signed", &[with_pdf(), Part::file("application/pkcs7-signature", "smime.p7s", b"x")]).mail();
    let mail = outgoing(&clear, &keeping()).unwrap();
    assert_eq!(files(&mail), [("beslut.pdf", "application/pdf", PDF), ("signerat-mejl.eml", "message/rfc822", &clear[..])]);
    // Without that wish, neither is there.
    let mail = converted(&clear);
    assert_eq!((files(&mail).len(), notes(&mail)), (1, vec!["Mejlets signatur följer inte med."]));
}

#[test]
fn a_signed_file_is_that_file() {
    let part = Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("application/pkcs7-mime", "avtal.pdf.p7m", &signed(PDF))]);
    assert_eq!(files(&converted(&part.mail())), [("avtal.pdf", "application/pdf", PDF)]);
    let mail = Part::file("application/pkcs7-mime", "Brev 2026.03.04.p7m", &signed(&entity(&with_pdf())));
    assert_eq!(text(&converted(&mail.mail())), "Hej Åsa");
    let part = Part::multipart("mixed", &[Part::text("Hej\n"), Part::file("application/pkcs7-mime", "avtal.exe.p7m", &signed(PDF))]);
    assert!(matches!(refused(&part.mail()), ConvertError::Program { .. }));
}

#[test]
fn what_is_encrypted_is_refused_with_its_reason() {
    let mut to = Stack::new().unwrap();
    to.push(signer().0).unwrap();
    let bytes = CmsContentInfo::encrypt(&to, b"Hej", Cipher::aes_256_cbc(), CMSOptions::BINARY).unwrap().to_der().unwrap();
    let pgp = [Part("Content-Type: application/pgp-encrypted".to_owned(), b"Version: 1".to_vec()), Part::text("-----BEGIN PGP MESSAGE-----\n")];
    let inside = Part::multipart(
        "mixed",
        &[Part::text("Se bifogat\n"), Part("Content-Type: message/rfc822".to_owned(), opaque("enveloped-data", &bytes).mail())],
    );
    let outlook = Attachment { data: Some(bytes.clone()), properties: Properties::default().text(0x3707, "smime.p7m"), ..Attachment::default() };
    let outlook = Winmail::new("IPM.Note.SMIME", Properties::default().text(0x0037, "x")).with(outlook);
    for part in [
        opaque("enveloped-data", &bytes),
        // What it says of itself does not count.
        opaque("signed-data", &bytes),
        opaque("authEnveloped-data", &bytes),
        Part::multipart("encrypted", &pgp),
        inside,
        Part::winmail(&outlook.octets()),
    ] {
        let error = refused(&part.mail());
        assert_eq!((&error, error.code(), error.status()), (&ConvertError::Encrypted, 550, (7, 4)), "{}", part.0);
        assert!(error.swedish().starts_with("Mejlet är krypterat") && error.english().starts_with("The mail is encrypted"));
    }
}

#[test]
fn certificates_alone_and_pgp_signatures_are_noted() {
    let (certificate, key) = signer();
    let detached = CMSOptions::BINARY | CMSOptions::DETACHED;
    let alone = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(b"x"), detached).unwrap().to_der().unwrap();
    let mail = converted(&Part::multipart("mixed", &[Part::text("Mitt certifikat\n"), opaque("certs-only", &alone)]).mail());
    assert_eq!((text(&mail), notes(&mail)), ("Mitt certifikat", vec!["Mejlets certifikat följer inte med."]));
    let pgp =
        Part::multipart("signed", &[Part::text("Hej\n"), Part::file("application/pgp-signature", "signature.asc", b"-----BEGIN PGP SIGNATURE-----")]);
    assert_eq!(notes(&converted(&pgp.mail())), ["Mejlets signatur följer inte med."]);
}

#[test]
fn outlook_s_own_form_of_a_signed_mail_is_opened() {
    let inner = Part::multipart("signed", &[with_pdf(), Part::file("application/pkcs7-signature", "smime.p7s", b"x")]);
    let whole = |kind: &str, bytes: Vec<u8>| {
        let properties = Properties::default().text(0x370e, kind).text(0x3707, "smime.p7m");
        Winmail::new("IPM.Note.SMIME.MultipartSigned", Properties::default().text(0x0037, "x")).with(Attachment {
            data: Some(bytes),
            properties,
            ..Attachment::default()
        })
    };
    for winmail in [whole("multipart/signed", entity(&inner)), whole("application/pkcs7-mime", signed(&entity(&with_pdf())))] {
        let mail = converted(&Part::winmail(&winmail.octets()).mail());
        assert_eq!((text(&mail), files(&mail).len()), ("Hej Åsa", 1));
    }
}
