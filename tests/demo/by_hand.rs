//! The commands of README.md, "Try it by hand", do what it says. They are read from there and run as they stand; just the
//! ports are others, so that tests do not meet.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::has;
use crate::stay::{descendants, wait_for};
use crate::{BREVBRO, temporary};

/// The ports that the README and the configuration files name, less 25500.
const PORTS: [u16; 9] = [0, 1, 2, 11, 12, 13, 21, 22, 23];

/// Where the ports begin in this run: all of them are free, and no outgoing connection takes them.
fn base() -> u16 {
    let is_free = |base: u16| {
        PORTS.iter().all(|port| {
            let address = ("127.0.0.1", base + port);
            TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
        })
    };
    let start = u16::try_from(std::process::id() % 200).unwrap();
    (0..200).map(|n| 26_000 + (start + n) % 200 * 30).find(|base| is_free(*base)).unwrap()
}

fn with_ports(text: &str, base: u16) -> String {
    PORTS.iter().fold(text.to_owned(), |text, port| text.replace(&(25_500 + port).to_string(), &(base + port).to_string()))
}

/// A shell into which commands are typed.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(dir: &Path) -> Self {
        let program = Path::new(BREVBRO).parent().unwrap();
        let path =
            std::env::join_paths([program.to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
        let mut command = Command::new("bash");
        command.arg("-e").current_dir(dir).env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Types the lines and waits until they are done.
    fn run(&mut self, lines: &str) {
        writeln!(self.input.as_mut().unwrap(), "{lines}\necho DONE").unwrap();
        let mut said = String::new();
        while !said.contains("DONE\n") {
            assert!(self.output.read_line(&mut said).unwrap() > 0, "the shell ended at an error: {said}");
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for pid in descendants(self.child.id()) {
            drop(Command::new("kill").arg(pid.to_string()).status());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_commands_of_the_readme_bring_a_mail_over_and_its_answer_back() {
    if !has("curl") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let base = base();
    let readme = with_ports(&fs::read_to_string(root.join("README.md")).unwrap(), base);
    let section = readme.split("### Try it by hand").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    let [start, send, stop] = blocks[..] else { panic!("{blocks:?}") };

    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("config/demo")).unwrap();
    for file in fs::read_dir(root.join("config/demo")).unwrap() {
        let file = file.unwrap().path();
        temporary(
            &dir,
            &format!("config/demo/{}", file.file_name().unwrap().to_str().unwrap()),
            with_ports(&fs::read_to_string(&file).unwrap(), base),
        );
    }
    let mut shell = Shell::start(dir.path());
    shell.run(start);
    shell.run(send);
    let place = dir.path().join("by-hand");
    let (mailbox, answered) =
        (place.join("mail-arbetsformedlingen/etablering@arbetsformedlingen.se/new"), place.join("mail-habo/socialkontoret@habo.se/new"));
    let delivered = wait_for_mail(&mailbox, "Thread-Topic:");
    assert!(delivered.contains("SN 2026/1047") && delivered.contains("=C3=A4r p=C3=A5 tisdag kl. 9."), "{delivered}");
    let notice = wait_for_mail(&answered, "multipart/report");
    assert!(notice.contains("Action: delivered") && notice.contains("<by-hand@habo.se>"), "{notice}");
    let journal = fs::read_to_string(place.join("state-habo/store/journal/0000000000.jsonl")).unwrap();
    assert!(
        ["mail-accepted", "submitted", "acknowledged", "accepted"].iter().all(|name| journal.contains(&format!("\"name\":\"{name}\""))),
        "{journal}"
    );

    let reply_to = delivered.split("Reply-To:").nth(1).unwrap().split('<').nth(1).unwrap().split('>').next().unwrap();
    let answer =
        "From: etablering@arbetsformedlingen.se\nSubject: SV: Trepartsmöte\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nTack!\n";
    fs::write(place.join("answer.eml"), answer).unwrap();
    let send = send.replace(&(base + 11).to_string(), &(base + 21).to_string()).replace("socialkontoret@habo.se", "etablering@arbetsformedlingen.se");
    let send = send.replace("sdk=3Aetablering@arbetsformedlingen.se.sdk.habo.se", reply_to).replace("mail.eml", "answer.eml");
    shell.run(&send);
    assert!(wait_for_mail(&answered, "Thread-Topic:").contains("Tack!"));

    let running = descendants(shell.child.id());
    assert_eq!(running.len(), 5, "federation, two mail servers, two gateways");
    shell.run(stop);
    shell.run("wait");
    shell.input = None;
    assert!(shell.child.wait().unwrap().success());
    wait_for("every process to end", || running.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

/// The mail in a folder that has the words in it, when it is there.
fn wait_for_mail(folder: &PathBuf, words: &str) -> String {
    let mut found = None;
    wait_for(&format!("a mail with {words} in {}", folder.display()), || {
        let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        found = files.filter_map(|file| fs::read_to_string(file.path()).ok()).find(|mail| mail.contains(words));
        found.is_some()
    });
    found.unwrap()
}
