//! ClamAV's daemon as scanner: INSTREAM over TCP or a Unix socket.
//!
//! One command a connection. The stream goes out in chunks while the answer is listened for, because clamd answers and hangs up
//! in the middle of one that is too long for it (`StreamMaxLength`). "OK" counts only when it comes after the whole stream.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::port::{Finding, Pending, ScanError, Scanner};

/// Octets of one chunk.
const CHUNK: usize = 64 * 1024;
/// Octets of an answer; clamd's are a line with the name of a signature.
const ANSWER: u64 = 4096;
/// Characters that are kept of the scanner's words.
const WORDS: usize = 128;

/// Where clamd listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClamdAddress {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host, name or address, and a port. There is no TLS.
    Tcp(String, u16),
}

/// The client's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClamdOptions {
    /// Where it listens.
    pub address: ClamdAddress,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long one file or mail may take, the wait for a free connection included.
    pub timeout: Duration,
    /// Octets that it takes at most: the smallest of its `StreamMaxLength`, `MaxScanSize` and `MaxFileSize`. What is longer than
    /// the first it refuses; what is longer than the others it calls clean without having looked.
    pub max_octets: u64,
    /// Connections at once.
    pub connections: usize,
}

impl ClamdOptions {
    /// clamd's own defaults at an address.
    #[must_use]
    pub fn new(address: ClamdAddress) -> Self {
        Self { address, connect_timeout: Duration::from_secs(10), timeout: Duration::from_mins(2), max_octets: 100_000_000, connections: 4 }
    }
}

/// The client.
#[derive(Debug)]
pub struct Clamd {
    options: ClamdOptions,
    slots: Semaphore,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Clamd {
    /// A client; nothing is connected before there is something to ask.
    #[must_use]
    pub fn new(options: ClamdOptions) -> Self {
        let slots = Semaphore::new(options.connections.max(1));
        Self { options, slots }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ScanError> {
        let connecting = async {
            Ok::<Box<dyn Stream>, std::io::Error>(match &self.options.address {
                ClamdAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
                ClamdAddress::Tcp(host, port) => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
            })
        };
        match timeout(self.options.connect_timeout, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(no_verdict(format!("it cannot be reached: {error}"))),
            Err(_) => Err(no_verdict("the connection took too long")),
        }
    }

    /// Sends a command and, for INSTREAM, what it is about; the answer, and whether all was sent before it came.
    async fn ask(&self, command: &[u8], stream: Option<&[u8]>) -> Result<(Vec<u8>, bool), ScanError> {
        let asking = async {
            let _slot = self.slots.acquire().await.map_err(|_| no_verdict("it is no longer asked"))?;
            let (reader, mut writer) = tokio::io::split(self.connect().await?);
            let mut sending = std::pin::pin!(send(&mut writer, command, stream));
            let mut hearing = std::pin::pin!(hear(reader));
            tokio::select! {
                biased;
                sent = &mut sending => {
                    let answer = hearing.await;
                    // A stream that broke off may still have its reason in the answer.
                    let answer = answer.map_err(|error| no_verdict(format!("the connection broke: {error}")))?;
                    Ok((answer, sent.is_ok()))
                }
                answer = &mut hearing => {
                    let answer = answer.map_err(|error| no_verdict(format!("the connection broke: {error}")))?;
                    Ok((answer, false))
                }
            }
        };
        let late = |_| no_verdict(format!("it took longer than {} s", self.options.timeout.as_secs_f32()));
        timeout(self.options.timeout, asking).await.map_err(late)?
    }
}

impl Scanner for Clamd {
    fn scan<'a>(&'a self, octets: &'a [u8]) -> Pending<'a, Result<Finding, ScanError>> {
        Box::pin(async move {
            let length = octets.len() as u64;
            if length > self.options.max_octets {
                return Err(ScanError::TooLarge { octets: length });
            }
            let (answer, whole) = self.ask(b"zINSTREAM\0", Some(octets)).await?;
            verdict(&answer, whole, length)
        })
    }

    fn version(&self) -> Pending<'_, Result<String, ScanError>> {
        Box::pin(async move {
            let (answer, _) = self.ask(b"zVERSION\0", None).await?;
            let version = line(&answer)?;
            if version.starts_with("ClamAV") { Ok(version) } else { Err(no_verdict("what answers is not clamd")) }
        })
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), command: &[u8], stream: Option<&[u8]>) -> std::io::Result<()> {
    writer.write_all(command).await?;
    if let Some(octets) = stream {
        for chunk in octets.chunks(CHUNK) {
            let length = u32::try_from(chunk.len()).unwrap_or_default();
            writer.write_all(&length.to_be_bytes()).await?;
            writer.write_all(chunk).await?;
        }
        writer.write_all(&0_u32.to_be_bytes()).await?;
    }
    writer.flush().await
}

/// The answer up to its NUL, with whatever came along behind it.
async fn hear(reader: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut reader = reader.take(ANSWER);
    let mut answer = Vec::new();
    while !answer.contains(&0) && reader.read_buf(&mut answer).await? > 0 {}
    Ok(answer)
}

/// The one line of an answer, in printable ASCII.
fn line(answer: &[u8]) -> Result<String, ScanError> {
    let Some(text) = answer.strip_suffix(&[0]).filter(|text| !text.contains(&0)) else {
        return Err(no_verdict("its answer is cut short, too long, or several"));
    };
    Ok(text.iter().map(|&octet| if octet.is_ascii_graphic() || octet == b' ' { char::from(octet) } else { '?' }).collect())
}

fn verdict(answer: &[u8], whole: bool, octets: u64) -> Result<Finding, ScanError> {
    let line = line(answer)?;
    if line.ends_with("size limit exceeded. ERROR") {
        return Err(ScanError::TooLarge { octets });
    }
    if let Some(name) = line.strip_prefix("stream: ").and_then(|line| line.strip_suffix(" FOUND")).filter(|name| !name.is_empty()) {
        return Ok(Finding::Malware(name.chars().take(WORDS).collect()));
    }
    match (line.as_str(), whole) {
        ("stream: OK", true) => Ok(Finding::Clean),
        ("stream: OK", false) => Err(no_verdict("it answered before it had everything")),
        (other, _) => Err(no_verdict(format!("it said: {}", other.chars().take(WORDS).collect::<String>()))),
    }
}

fn no_verdict(why: impl Into<String>) -> ScanError {
    ScanError::NoVerdict(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_ok_is_clean_and_every_found_is_malware() {
        assert_eq!(verdict(b"stream: OK\0", true, 1), Ok(Finding::Clean));
        assert_eq!(verdict(b"stream: Win.Test.EICAR_HDB-1 FOUND\0", true, 1), Ok(Finding::Malware("Win.Test.EICAR_HDB-1".into())));
        assert_eq!(verdict(b"stream: X FOUND\0", false, 1), Ok(Finding::Malware("X".into())));
        assert_eq!(verdict(b"INSTREAM size limit exceeded. ERROR\0", false, 7), Err(ScanError::TooLarge { octets: 7 }));
        for doubtful in [
            &b"stream: OK"[..],
            b"stream: OK\0stream: X FOUND\0",
            b"stream: OK\0\0",
            b"stream: OK FOUND\0\0",
            b"stream: ok\0",
            b"stream:  FOUND\0",
            b"OK\0",
            b"stream: Can't allocate memory ERROR\0",
            b"UNKNOWN COMMAND\0",
            b"\0",
            b"",
        ] {
            assert!(matches!(verdict(doubtful, true, 1), Err(ScanError::NoVerdict(_))), "{}", String::from_utf8_lossy(doubtful));
        }
        assert!(matches!(verdict(b"stream: OK\0", false, 1), Err(ScanError::NoVerdict(_))));
    }

    #[test]
    fn of_all_answers_one_is_clean() {
        use proptest::prelude::*;
        let words = prop::sample::select(vec!["stream: ", "OK", " FOUND", "\0", "ERROR", "size limit exceeded. ", "X", " ", "\n"]);
        let answers =
            prop_oneof![prop::collection::vec(words, 0..8).prop_map(|words| words.concat().into_bytes()), prop::collection::vec(any::<u8>(), 0..64)];
        proptest!(ProptestConfig::with_cases(2_000), |(answer in answers, whole in any::<bool>())| {
            let clean = verdict(&answer, whole, 1) == Ok(Finding::Clean);
            prop_assert_eq!(clean, whole && answer == b"stream: OK\0");
        });
    }

    #[test]
    fn a_name_is_short_and_printable() {
        let answer = [b"stream: ", "x\u{1b}[31m\r\nå".as_bytes(), &[b'y'; 500], b" FOUND\0"].concat();
        let Ok(Finding::Malware(name)) = verdict(&answer, true, 1) else { panic!("found") };
        assert!(name.len() == WORDS && name.starts_with("x?[31m????y"), "{name}");
    }
}
