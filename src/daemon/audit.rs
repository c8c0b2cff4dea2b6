//! Signing the journal's heads while the gateway runs: after so many lines, after so long, with each new segment, at the stop.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::config::checked;
use crate::port::{ChainHead, Clock, Store};
use crate::store::journal::heads::{HEADS, SignedHead};

/// How often the journal's last line is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the program that gets a head may take.
const COMMAND: Duration = Duration::from_secs(30);

/// What signs heads.
pub(super) struct Signing {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    node: String,
    heads: checked::Heads,
    path: PathBuf,
    /// The head that was signed last.
    last: Mutex<Option<ChainHead>>,
}

/// Why a head is not signed.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error(transparent)]
    Store(#[from] crate::port::StoreError),
    #[error(transparent)]
    Key(#[from] crate::crypto::NotaryError),
    #[error("the file of heads cannot be written: {0}")]
    File(std::io::Error),
}

impl Signing {
    /// As it is configured; none where no key is.
    pub(super) fn of(config: &checked::Gateway, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Option<Arc<Self>> {
        let heads = config.audit.heads.clone()?;
        let path = config.state_dir.join("store/journal").join(HEADS);
        let (store, clock) = (Arc::clone(store), Arc::clone(clock));
        Some(Arc::new(Self { store, clock, node: config.node.to_string(), heads, path, last: Mutex::default() }))
    }

    /// Looks again and again; ends with its task.
    pub(super) async fn run(self: Arc<Self>) {
        let mut since = tokio::time::Instant::now();
        // What an earlier run left unsigned is signed at once.
        self.sign().await;
        loop {
            tokio::time::sleep(LOOK).await;
            let last = *self.last.lock().await;
            let due = match (self.store.head().await, last) {
                (Ok(Some(head)), Some(last)) => {
                    let lines = head.line.saturating_sub(last.line);
                    lines > 0 && (lines >= self.heads.lines || head.segment != last.segment || since.elapsed() >= self.heads.interval)
                }
                (head, _) => head.is_ok(),
            };
            if due {
                self.sign().await;
                since = tokio::time::Instant::now();
            } else if last.is_none() {
                since = tokio::time::Instant::now();
            }
        }
    }

    /// Signs the journal's last line, unless it is signed already.
    pub(super) async fn sign(&self) {
        let mut last = self.last.lock().await;
        match self.signed(*last).await {
            Ok(Some((head, signed))) => {
                *last = Some(head);
                drop(last);
                tracing::info!(line = signed.line, hash = %signed.hash, key = %signed.key, signature = signed.signature, "the journal's head");
                self.ship(&signed).await;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the journal's head cannot be signed; it is tried again"),
        }
    }

    async fn signed(&self, last: Option<ChainHead>) -> Result<Option<(ChainHead, SignedHead)>, Unsigned> {
        let Some(head) = self.store.head().await?.filter(|head| last.is_none_or(|last| last.line < head.line)) else { return Ok(None) };
        let signed = SignedHead::sign(&self.heads.key, &self.node, head.line, head.hash, self.clock.now())?;
        let (path, written) = (self.path.clone(), signed.clone());
        let append = tokio::task::spawn_blocking(move || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            written.append(&path)
        });
        append.await.map_err(std::io::Error::other).and_then(|written| written).map_err(Unsigned::File)?;
        Ok(Some((head, signed)))
    }

    /// Hands a head to the program that sends it away. A program that fails costs nothing but what it would have sent.
    async fn ship(&self, signed: &SignedHead) {
        let Some((program, arguments)) = self.heads.command.split_first() else { return };
        let shipped = tokio::time::timeout(COMMAND, async {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = command.spawn()?;
            let mut line = serde_json::to_vec(signed)?;
            line.push(b'\n');
            if let Some(mut input) = child.stdin.take() {
                input.write_all(&line).await?;
            }
            child.wait().await
        });
        match shipped.await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => tracing::error!(program, %status, "a signed head was not sent away"),
            Ok(Err(error)) => tracing::error!(program, %error, "a signed head was not sent away"),
            Err(_) => tracing::error!(program, "a signed head was not sent away: the program took more than half a minute"),
        }
    }
}
