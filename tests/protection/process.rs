//! A gateway as a service is: a process that leaves no core file and shows its memory to no other program of its user.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::stage::{Gateway, Process, Stage, wait_for};

/// One gateway of a stage, started with an environment of its own.
pub struct Guarded {
    process: Process,
    pub log: PathBuf,
}

impl Guarded {
    /// Starts it and waits until it takes mail.
    pub fn start(gateway: &Gateway, dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut started = Self::begin(gateway, dir, environment, None);
        wait_for("a gateway", Duration::from_mins(1), || {
            assert!(started.process.ended().is_none(), "{}", started.said());
            TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.smtp)).ok()
        });
        started
    }

    /// Starts it as this user.
    pub fn begin(gateway: &Gateway, dir: &Path, environment: &[(&str, &str)], user: Option<u32>) -> Self {
        let log = dir.join(format!("guarded-{}.log", gateway.side.name()));
        let mut command = as_user(user, env!("CARGO_BIN_EXE_brevbro"));
        command.args(["run", "--config"]).arg(&gateway.config).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(environment.iter().copied());
        Self { process: Process::start(&mut command, &log), log }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it ends by itself.
    pub fn end(&mut self) -> ExitStatus {
        wait_for("its end", Duration::from_mins(1), || self.process.ended())
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap().success());
    }

    pub fn stop(&mut self) {
        self.process.stop();
    }
}

/// A program as another user, where one is given.
fn as_user(user: Option<u32>, program: &str) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into(), "--".into(), program.into()]);
    command
}

#[test]
fn a_gateway_leaves_no_core_file_and_its_user_cannot_read_its_memory() {
    if !crate::common::has("python3") || !crate::common::has("setpriv") {
        return;
    }
    let stage = Stage::set("protection-process");
    // Root reads everything: what the gateway keeps from its own user is seen as a user that is none.
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = is_root.then_some(65_534);
    if is_root {
        crate::common::run(Command::new("chown").args(["-R", "65534:65534"]).arg(&stage.dir)).unwrap();
        crate::common::run(Command::new("chmod").args(["a+rx"]).arg(&stage.dir)).unwrap();
    }
    let mut other = as_user(user, "sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
    let mut gateway = Guarded::begin(&stage.a, &stage.dir, &[], user);
    wait_for("a gateway", Duration::from_mins(1), || {
        assert!(gateway.process.ended().is_none(), "{}", gateway.said());
        gateway.said().contains("brevbro is running").then_some(())
    });
    let readable = |process: u32| {
        let path = format!("/proc/{process}/mem");
        as_user(user, "dd").args([&format!("if={path}"), "of=/dev/null", "count=0"]).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(readable(other.id()), "the same user can open the memory of other programs");
    assert!(!readable(gateway.id()));
    other.kill().unwrap();
    other.wait().unwrap();

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    gateway.signal("ABRT");
    let status = gateway.end();
    assert!(status.signal() == Some(6) && !status.core_dumped(), "{status:?}");
}
