//! What ends soon is told in time, once, whatever is started again in between.

use brevbro::event::{EventName, Field};

use crate::harness::{Gateway, Setup, run, world};

#[test]
fn the_operator_is_told_of_each_end_once_for_each_threshold() {
    run(async {
        let world = world().await;
        // Keys of the testbed are issued for 730 days, its CAs for 3650.
        let warnings = |root: &'static str| Setup { root, ..Setup::new("slutar") };
        let gateway = Gateway::start_in(world, warnings("expiry-warnings = [800, 1000]")).await;
        let told = async |gateway: &Gateway| -> Vec<String> {
            gateway.events(EventName::Expiring).await.iter().map(|event| event.fields[&Field::Cause].clone()).collect()
        };
        gateway.nth_event(EventName::Alarmed, 2).await;
        gateway.quiet().await;
        let causes = told(&gateway).await;
        // TLS towards both sides has one certificate here, which is told of once.
        let wanted = [
            ("the access point's certificate, AP0001-TESTBED", 1),
            ("TLS certificate of the AS4", 1),
            ("towards other access points", 0),
            ("signs with", 1),
        ];
        for (words, number) in wanted {
            assert_eq!(causes.iter().filter(|cause| cause.contains(words)).count(), number, "{words}: {causes:?}");
        }
        let letter = gateway.alarm().await;
        assert!(letter.text.contains("Ett certifikat g") && letter.text.contains("A certificate ends soon"), "{}", letter.text);
        let count = causes.len();
        // Looked at again, now and after a restart: nothing new. A nearer threshold is told anew.
        assert_eq!(gateway.daemon.gateway.watch_expiry().await.unwrap(), 0);
        let gateway = gateway.restart_in(world, warnings("expiry-warnings = [800, 1000]")).await;
        assert_eq!(gateway.daemon.gateway.watch_expiry().await.unwrap(), 0);
        assert_eq!(told(&gateway).await.len(), count);
        let gateway = gateway.restart_in(world, warnings("expiry-warnings = [740, 800, 1000]")).await;
        gateway.nth_event(EventName::Expiring, 2 * count - 1).await;
        assert_eq!(gateway.daemon.gateway.watch_expiry().await.unwrap(), 0);
        assert_eq!(told(&gateway).await.len(), 2 * count);
        // The CAs' ten years are no news.
        assert!(told(&gateway).await.iter().all(|cause| !cause.contains("CA certificate")));
        gateway.quiet().await;
        gateway.stop().await;
    });
}
