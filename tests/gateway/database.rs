//! A gateway whose state is in a database does all that one with files does.

use brevbro::event::EventName;

use crate::common::postgres::shared;
use crate::harness::client::submit;
use crate::harness::{Gateway, Setup, mail_with, run};

#[test]
fn a_mail_goes_through_two_gateways_whose_state_is_in_postgresql() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let setup = |name: &str, schema: &str| {
        let port = cluster.port;
        let store = format!(
            "store = {{ kind = \"postgresql\", host = [\"127.0.0.1\"], port = {port}, database = \"{database}\", user = \"postgres\", schema = \"{schema}\" }}\nnode = {{ name = \"nod-1\" }}"
        );
        Setup { top: Box::leak(store.into_boxed_str()), ..Setup::new(name) }
    };
    run(async {
        let (sender, receiver) = (Gateway::start(setup("database", "one")).await, Gateway::start(setup("database-peer", "other")).await);
        let to = sender.address_of("inkorg", "database-peer.se");
        let body = vec![7; 3_000_000];
        let mail = mail_with(&sender.mailbox, "d1", "bild.pdf", "application/pdf", &[b"%PDF-1.4 ".as_slice(), &body].concat());
        assert!(submit(&sender, &[&to], " NOTIFY=SUCCESS,FAILURE", &mail).await.starts_with("250"));
        receiver.delivery().await;
        sender.event(EventName::Accepted).await;
        for gateway in [&sender, &receiver] {
            gateway.quiet().await;
        }
        sender.stop().await;
        receiver.stop().await;
    });
    let ask = |sql: &str| cluster.sql(&database, sql);
    assert_eq!(ask("SELECT DISTINCT kind FROM one.sealed_blobs ORDER BY kind"), "envelope\nrequest\nsignal");
    assert_eq!(ask("SELECT max(part) > 2 FROM one.sealed_parts"), "t", "bodies stand in parts");
    assert_eq!(ask("SELECT count(*) FROM other.clear_blobs WHERE kind = 'message' AND written IS NOT NULL"), "1");
    assert_eq!(ask("SELECT count(*) FROM one.clear_blobs WHERE written IS NULL"), "0");
    assert_eq!(ask("SELECT count(*) > 5 FROM one.journal"), "t");
}
