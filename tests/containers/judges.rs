//! Foreign readers of TNEF and RTF read what the tests' writer writes, and what they write is read.

use std::path::Path;
use std::process::Command;

use crate::common::{has, python, run, temporary};
use crate::writer::{Part, Properties, Winmail, compressed};
use crate::{PDF, converted, files, text, tnef};

#[test]
fn debian_s_tnef_reads_what_the_writer_writes() {
    if !has("tnef") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let octets = tnef::everything().octets();
    let path = temporary(&folder, "winmail.dat", &octets);
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    run(Command::new("tnef").arg("--file").arg(&path).arg("--directory").arg(&out).arg("--save-body").args(["--body-pref", "ALL"])).unwrap();
    let read = |name: &str| std::fs::read(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}; {:?}", list(&out)));
    assert_eq!(read("Rapport åäö.pdf"), PDF);
    assert!(list(&out).iter().any(|name| name.starts_with("message")), "{:?}", list(&out));
    let mail = converted(&Part::winmail(&octets).mail());
    assert_eq!(files(&mail)[0], ("Rapport åäö.pdf", "application/pdf", PDF));
}

fn list(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn python_s_tnefparse_reads_what_the_writer_writes() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = temporary(&folder, "winmail.dat", tnef::everything().octets());
    let script = r#"
import sys, tnefparse
message = tnefparse.TNEF(open(sys.argv[1], "rb").read())
for attachment in message.attachments:
    print(attachment.long_filename(), len(attachment.data), getattr(attachment, "embed", None) is not None)
for attachment in message.attachments:
    if getattr(attachment, "embed", None):
        print([inner.long_filename() for inner in attachment.embed.attachments])
print(all(item.good_checksum for item in message.objects), message.rtfbody[:6], b"H\\'e5bo" in message.rtfbody)
"#;
    let script = temporary(&folder, "read.py", script);
    let told = String::from_utf8(run(Command::new(python).arg(script).arg(path)).unwrap()).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], format!("Rapport åäö.pdf {} False", PDF.len()), "{told}");
    assert!(lines[1].ends_with("True") && lines[2] == "['inre.pdf']", "{told}");
    assert!(lines[3].starts_with("True ") && lines[3].ends_with(" True"), "{told}");
}

#[test]
fn rtf_that_python_compresses_is_read_and_ours_is_read_by_it() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Long enough for the window to be written over, with runs that repeat and some that do not.
    let words: Vec<String> = (0..4_000).map(|n| format!("ord{} {{\\b fet}} \\'e5\\'e4\\'f6\\par\n", n * 7919 % 1_009)).collect();
    let words = words.concat();
    let rtf = format!("{{\\rtf1\\ansi\\ansicpg1252 {words}}}");
    let path = temporary(&folder, "text.rtf", &rtf);
    let script = r#"
import sys, compressed_rtf
data = open(sys.argv[1], "rb").read()
sys.stdout.buffer.write(compressed_rtf.compress(data, compressed=sys.argv[2] == "1") if sys.argv[2] != "d" else compressed_rtf.decompress(data))
"#;
    let script = temporary(&folder, "rtf.py", script);
    let run = |path: &Path, how: &str| run(Command::new(&python).arg(&script).arg(path).arg(how)).unwrap();
    let body = |octets: &[u8]| {
        let winmail = Winmail::new("IPM.Note", Properties::default().binary(0x1009, octets));
        text(&converted(&Part::winmail(&winmail.octets()).mail())).to_owned()
    };
    let small = run(&path, "1");
    assert!(small.len() * 2 < rtf.len(), "{} of {}", small.len(), rtf.len());
    let read = body(&small);
    assert_eq!(read.matches("**fet** åäö").count(), 4_000);
    assert_eq!((body(&run(&path, "0")), body(&compressed(rtf.as_bytes()))), (read.clone(), read));
    assert_eq!(run(&temporary(&folder, "ours", compressed(rtf.as_bytes())), "d"), rtf.as_bytes());
}
