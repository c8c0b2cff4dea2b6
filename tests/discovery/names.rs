//! What the name server says: which record counts, and whether there is none or nobody knows.

use std::time::Duration;

use brevbro::port::{DirectoryError, Freshness};
use brevbro::smp::Naptr;
use hickory_resolver::proto::op::ResponseCode;

use crate::stage::{Says, Stage};

fn record(order: u16, preference: u16, flags: &str, service: &str, regexp: &str) -> Naptr {
    Naptr { order, preference, flags: flags.into(), service: service.into(), regexp: regexp.into() }
}

/// Whether the SMP was found by these records.
async fn leads_there(stage: &Stage, says: Says) -> bool {
    stage.says(says);
    let before = stage.requests();
    let found = stage.ask(&stage.directory(), Freshness::Cached).await;
    assert_eq!(found.is_ok(), stage.requests() > before, "{found:?}");
    found.is_ok()
}

#[tokio::test]
async fn order_preference_flag_and_service_choose_the_record() {
    let stage = Stage::set().await;
    let good = format!("!^.*$!http://{}/smp!", stage.smp_address);
    let closed = "!^.*$!http://127.0.0.1:1/smp!";
    let found = async |records: Vec<Naptr>| leads_there(&stage, Says::Records(records)).await;
    assert!(found(vec![record(20, 1, "U", "Meta:SMP", closed), record(10, 9, "U", "Meta:SMP", &good)]).await, "order before preference");
    assert!(found(vec![record(10, 9, "U", "Meta:SMP", closed), record(10, 1, "u", "META:smp", &good)]).await, "then preference; without case");
    assert!(
        found(vec![
            record(1, 1, "S", "Meta:SMP", closed),
            record(1, 1, "", "Meta:SMP", closed),
            record(1, 2, "U", "Meta:CPPA", closed),
            record(9, 9, "U", "Meta:SMP", &good)
        ])
        .await,
        "others' records are passed over"
    );
    assert!(found(vec![record(1, 1, "U", "Meta:SMP", "!^.*$!http://\\1.evil.se!"), record(2, 1, "U", "Meta:SMP", &good)]).await, "broken ones too");
    assert!(
        !found(vec![record(1, 1, "U", "Meta:SMP", closed), record(2, 1, "U", "Meta:SMP", &good)]).await,
        "one that is down is the one all the same"
    );
    assert!(found(vec![record(65_535, 65_535, "U", "Meta:SMP", &good)]).await);
}

#[tokio::test]
async fn expressions_are_read_with_any_delimiter_and_never_run() {
    let stage = Stage::set().await;
    let url = format!("http://{}/smp", stage.smp_address);
    for good in [
        format!("!^.*$!{url}!"),
        format!("!.*!{url}!"),
        format!("#^.*$#{url}#"),
        format!("|^.*$|{url}/|"),
        format!("!^.*$!{url}!i"),
        format!("!^(.*)$!{url}!"),
        format!("!^.*$!{}!", url.replace("http://", "HTTP://")),
    ] {
        assert!(leads_there(&stage, Says::Records(vec![record(1, 1, "U", "Meta:SMP", &good)])).await, "{good}");
    }
    for bad in [
        String::new(),
        "!".into(),
        format!("!^.*$!{url}"),
        format!("!^.*$!{url}!!"),
        format!("!^.*$!{url}!g"),
        format!("!^.*$!{url}/\\1!"),
        format!("!(a+)+$!{url}!"),
        format!("!^0203:.*$!{url}!"),
        format!("a^.*$a{url}a"),
        format!("\\^.*$\\{url}\\"),
        "!^.*$!ftp://127.0.0.1/!".into(),
        "!^.*$!file:///etc/passwd!".into(),
        "!^.*$!//127.0.0.1/smp!".into(),
        format!("!^.*$!{url}å!"),
    ] {
        stage.says(Says::Records(vec![record(1, 1, "U", "Meta:SMP", &bad)]));
        assert_eq!(stage.unusable().await, "its NAPTR records lead to no SMP", "{bad}");
    }
    assert_eq!(stage.requests(), 7);
}

#[tokio::test]
async fn aliases_are_followed_and_a_truncated_answer_is_asked_for_by_tcp() {
    let stage = Stage::set().await;
    let good = vec![Naptr::to_smp(&format!("http://{}/smp", stage.smp_address))];
    assert!(leads_there(&stage, Says::Alias(good.clone())).await);
    assert!(leads_there(&stage, Says::Truncated(good.clone())).await);
    let mut many = vec![record(9, 9, "U", "Meta:CPPA", &format!("!^.*$!http://{}.example.se!", "x".repeat(150))); 20];
    many.extend(good);
    assert!(leads_there(&stage, Says::Truncated(many)).await, "an answer that only TCP can carry");
    stage.says(Says::Truncated(vec![Naptr::to_smp("http://127.0.0.1:1/smp"); 33]));
    assert_eq!(stage.unusable().await, "there are too many NAPTR records at its name");
}

#[tokio::test]
async fn no_such_name_is_final_and_everything_that_may_pass_is_not() {
    let stage = Stage::set().await;
    let ask = async |says| {
        stage.says(says);
        stage.ask(&stage.directory_with(|options| options.dns.timeout = Duration::from_millis(300)), Freshness::Cached).await
    };
    for absent in [Says::NxDomain, Says::Nothing { soa: true }] {
        assert_eq!(ask(absent).await, Err(DirectoryError::UnknownParticipant(stage.participant.clone())));
    }
    for passing in [
        Says::Code(ResponseCode::ServFail),
        Says::Code(ResponseCode::Refused),
        Says::Code(ResponseCode::NotImp),
        Says::Code(ResponseCode::FormErr),
        Says::Nothing { soa: false },
        Says::Silence,
    ] {
        let answer = ask(passing).await;
        assert!(matches!(&answer, Err(DirectoryError::Unavailable { service, .. }) if service == "DNS"), "{answer:?}");
    }
    assert_eq!(stage.requests(), 0);
}
