//! Every notice is a sound report.

use brevbro::mail::notice::{self, Notice, Outcome};

use crate::dsn;
use crate::made::{ORIGINAL, SECRET, Setting, composed, evidence, rows};

#[test]
fn every_outcome_has_its_action_and_status_in_a_sound_report_without_secrets() {
    let setting = Setting::habo();
    for row in rows() {
        let report = dsn::read(&composed(&setting, &row.outcome), &[SECRET]).unwrap_or_else(|faults| panic!("{}: {faults:#?}", row.event));
        assert_eq!((report.field("Action"), report.field("Status")), (Some(row.action), Some(row.status)), "{}", row.event);
        assert_eq!(report.field("Final-Recipient"), Some("rfc822; kundtjnst@af.se.sdk.habo.se"));
        assert!(report.text.contains("Meddelande-id: 7bc5576a-3f87-4cf5-a0c5-277da06fcacb") && report.text.contains("it-drift@habo.se"));
        assert_eq!(report.header, ORIGINAL.split_once("\r\n\r\n").unwrap().0.to_owned() + "\r\n");
    }
}

#[test]
fn what_the_client_gave_comes_back_as_it_was() {
    let (setting, outcome) = (Setting::habo(), Outcome::TooLong);
    let notice = Notice {
        envelope_id: Some("QQ3+14=159"),
        original_recipient: Some("rfc822;Kundtjanst+x=y@af.se"),
        codes: Some("REJECTED BV too-long"),
        ..setting.notice(&outcome)
    };
    let report = dsn::read(&notice::compose(&notice), &[SECRET]).unwrap();
    let of_message: Vec<_> = report.message.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("Original-Envelope-Id", "QQ3+14=159"), ("Reporting-MTA", "dns; gw.habo.se"), ("Arrival-Date", "Wed, 4 Mar 2026 08:30:00 +0000")];
    assert_eq!(of_message, expected);
    assert_eq!(report.field("Original-Recipient"), Some("rfc822; Kundtjanst+x=y@af.se"));
    assert_eq!(report.field("Diagnostic-Code"), Some("x-sdk; REJECTED BV too-long"));
    assert_eq!(report.field("Remote-MTA"), Some("x-as4; AP0040-SDK-PROD"));
    assert_eq!(report.field("Will-Retry-Until"), None);
}

#[test]
fn the_evidence_is_attached_octet_for_octet_and_summed_up() {
    let (setting, outcome) = (Setting::habo(), rows().remove(0).outcome);
    let xml: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let notice = Notice { evidence: Some(brevbro::mail::notice::Evidence { xml: &xml, ..evidence() }), ..setting.notice(&outcome) };
    let report = dsn::read(&notice::compose(&notice), &[]).unwrap();
    assert_eq!(report.evidence, Some(xml));
    for line in ["Kvittens-id: 9f0c6d2e", "Utfärdare: 0203:af.se", "Underskrift: kontrollerad och giltig 2026-03-04 11:00", "Certifikat: CN=Arbetsf"]
    {
        assert!(report.text.contains(line), "{line}: {}", report.text);
    }
}

#[test]
fn addresses_and_headers_outside_ascii_are_sound_in_both_widths() {
    let original = "From: åsa@habo.se\r\nSubject: Ansökan\r\nMessage-ID: <abc@habo.se>\r\n\r\nHEMLIGT-7f3a\r\n";
    for (to, recipient) in
        [("soc@habo.se", "kundtjänst+a=b@af.se.sdk.habo.se"), ("åsa@habo.se", "kundtjänst@af.se.sdk.habo.se"), ("åsa@habo.se", "reg@af.se")]
    {
        let setting = Setting::new(to, recipient);
        for row in rows() {
            let notice =
                Notice { original: original.as_bytes(), original_recipient: Some("utf-8;kundtjänst@af.se"), ..setting.notice(&row.outcome) };
            let mail = notice::compose(&notice);
            let report = dsn::read(&mail, &[SECRET]).unwrap_or_else(|faults| panic!("{to} {recipient} {}: {faults:#?}", row.event));
            assert_eq!(mail.is_ascii(), to.is_ascii());
            assert!(report.header.contains("Subject: Ansökan"));
        }
    }
}

#[test]
fn no_original_and_no_text_of_others_unsettles_a_report() {
    let setting = Setting::habo();
    let long = format!("Subject: {}\r\n\r\n", "x".repeat(5_000));
    let folded = "Subject: a\r\n b\r\n  c\r\nX: y\r\n\r\n".to_owned();
    let boundary = format!("Message-ID: <a@b>\r\nX: y\r\n --=_sdk_{}_1\r\n--=_sdk_{}_1\r\nHEMLIGT: 1\r\n\r\n", uuid::Uuid::from_u128(7).simple(), 7);
    let eights = "X: \u{e5}\r\nMessage-ID: <a b@c>\r\n\r\n".to_owned();
    let evil = "x\r\n\r\nAction: delivered\r\n--";
    for (at, original) in [String::new(), "Subject: x".to_owned(), long, folded, boundary, eights, "\r\nHEMLIGT-7f3a".to_owned()].iter().enumerate() {
        let outcome = Outcome::TypeRefused { file: Some(brevbro::content::Redacted("a\r\nb\u{202e}.exe".to_owned())) };
        let notice = Notice {
            original: original.as_bytes(),
            recipient_name: evil,
            envelope_id: Some(evil),
            original_recipient: Some("rfc822;a@b\r\n\r\nAction: delivered"),
            remote: Some(evil),
            codes: Some(evil),
            ..setting.notice(&outcome)
        };
        let faults = dsn::faults(&notice::compose(&notice), &[SECRET]);
        assert_eq!(faults, [""; 0], "original {at}");
    }
}
