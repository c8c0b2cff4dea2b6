//! The same cases from the command line, as `docs/acceptance.md` has them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use brevbro::event::{EventName, Field};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::shared::harness::client::submit;
use crate::shared::harness::{Gateway, Setup, World, mail, run};
use crate::{Role, address_of};

fn brevbro(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
    command.arg("testbed").args(arguments).arg("--dir").arg(dir);
    command
}

async fn case(dir: &Path, name: &str, to: &str) -> Output {
    let mut command = brevbro(dir, &["case", name, "--to", to, "--function", "inkorg"]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[test]
fn an_operator_runs_the_cases_from_the_command_line() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let world = tokio::task::spawn_blocking(move || World::make(&at)).await.unwrap();
        let running = world.testbed.start().await.unwrap();
        let gateway = Gateway::start_in(&world, Setup::new("operator")).await;
        let point = brevbro(dir.path(), &["point", "--listen", "127.0.0.1:0"]);
        let mut point = tokio::process::Command::from(point).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(point.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "ready") {
            said.push(lines.next_line().await.unwrap().unwrap());
        }
        for role in Role::ALL {
            let participant = role.participant().unwrap().to_string();
            assert!(said.iter().any(|line| line.starts_with(&role.name()) && line.contains(&participant)), "{said:?}");
        }

        // TF-01: a mail to TestAP-01, and what the testbed says of it.
        let to = address_of(&gateway, Role::Answering);
        submit(&gateway, &[&to], "", &mail(&gateway.mailbox, "operator", "Hej")).await;
        let accepted = gateway.event(EventName::Accepted).await;
        let took = lines.next_line().await.unwrap().unwrap();
        assert!(took.starts_with("took ") && took.contains(&accepted.fields[&Field::MessageId]), "{took}");
        let receipted = lines.next_line().await.unwrap().unwrap();
        assert!(receipted.starts_with("receipted ") && receipted.ends_with("as ACCEPTED"), "{receipted}");

        // TF-04 and TF-09, and what the testbed says of our message receipt.
        let to = gateway.participant.to_string();
        let output = case(dir.path(), "TF-04", &to).await;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("\nanswered as expected\n"), "{told}{}", String::from_utf8_lossy(&output.stderr));
        let took = lines.next_line().await.unwrap().unwrap();
        assert!(took.starts_with("took ") && took.contains("message receipt ACCEPTED"), "{took}");
        let output = case(dir.path(), "TF-09", &to).await;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("EBMS:0004"), "{told}");
        // Somebody who is not there.
        let output = case(dir.path(), "TF-04", "0203:ingen.example").await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("0203:ingen.example is not registered"));

        // The log of one participant, while the gateway runs (SDK C1.6 3.3.a).
        let shown = async |arguments: [&str; 4]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
            command.arg("trace").arg("--state-dir").arg(gateway.dir().join("state")).args(arguments);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let id = accepted.fields[&Field::MessageId].as_str();
        let (code, own) = shown(["--organisation", &to, "--json", id]).await;
        assert_eq!(code, Some(0));
        for name in ["mail-accepted", "acknowledged", "accepted"] {
            assert!(own.contains(&format!("\"name\":\"{name}\"")), "{name}: {own}");
        }
        assert_eq!(shown(["--organisation", "0203:nagon-annan.se", "--json", id]).await, (Some(1), String::new()));

        point.kill().await.unwrap();
        gateway.stop().await;
        running.stop().await;
    });
}
