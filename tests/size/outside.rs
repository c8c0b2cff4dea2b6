//! A gateway in a process of its own, whose memory is looked at from outside.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use brevbro::event::EventName;
use brevbro::ident::ParticipantId;
use brevbro::store::journal::{self, JournalError};
use tempfile::TempDir;

use crate::harness::{Setup, Sink, configuration, free_port, wait_for, world};

/// The gateway; it is killed with its handle.
pub(crate) struct Outside {
    child: Child,
    pub(crate) participant: ParticipantId,
    pub(crate) endpoint: String,
    pub(crate) smtp: SocketAddr,
    pub(crate) mailbox: String,
    pub(crate) domain: String,
    pub(crate) sink: Sink,
    pub(crate) dir: TempDir,
}

impl Outside {
    /// Starts one whose state folder was prepared.
    pub(crate) async fn start(setup: Setup, prepare: impl AsyncFnOnce(&Path)) -> Self {
        let (world, sink, dir) = (world().await, Sink::start().await, tempfile::tempdir().unwrap());
        let (as4, smtp) = (free_port(), free_port());
        let listen = format!("[smtp]\nlisten = \"127.0.0.1:{smtp}\"");
        let text = configuration(world, &setup, dir.path(), sink.address, as4);
        let config = dir.path().join("gateway.toml");
        assert!(text.contains("[smtp]\nlisten = \"127.0.0.1:0\""));
        std::fs::write(&config, text.replace("[smtp]\nlisten = \"127.0.0.1:0\"", &listen)).unwrap();
        prepare(&dir.path().join("state")).await;
        let (name, endpoint) = (setup.name, format!("https://127.0.0.1:{as4}/as4"));
        let participant = format!("0203:{name}.se");
        world.register(&participant, &endpoint, &world.own_point, &world.own);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_brevbro"));
        command.args(["run", "--config"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let outside = Self {
            child: command.spawn().unwrap(),
            participant: participant.parse().unwrap(),
            endpoint,
            smtp: SocketAddr::from((Ipv4Addr::LOCALHOST, smtp)),
            mailbox: format!("inkorg@{name}.se"),
            domain: format!("sdk.{name}.se"),
            sink,
            dir,
        };
        wait_for("a gateway's sockets", || async { TcpStream::connect(outside.smtp).ok() }).await;
        outside
    }

    /// Octets of memory that it has, and the most that it ever had, or since [`Self::forget_peak`].
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (field("VmRSS"), field("VmHWM"))
    }

    /// The peak is what there is now, which is given back.
    pub(crate) fn forget_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
        self.memory().0
    }

    /// How many lines of a name its journal has.
    pub(crate) fn journal(&self, name: EventName) -> usize {
        let mut lines = 0;
        let read = journal::read(&self.dir.path().join("state/store/journal"), |event| {
            lines += usize::from(event.name == name);
            Ok::<(), JournalError>(())
        });
        read.unwrap();
        lines
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
