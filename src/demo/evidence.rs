//! What is kept of the first message for others to judge.

use std::io::Read;
use std::path::PathBuf;

use super::check::Checks;
use super::error::DemoError;
use super::stage::{Player, Stage};
use crate::edge::http::{HttpClient, HttpOptions, PlainHttp};
use crate::edge::reach::Reach;
use crate::ident::DocumentKind;
use crate::port::{Blob, BlobKind};
use crate::smp::{service_group_url, service_metadata_url};

/// Keeps the message, its envelope, the receipt, both AS4 exchanges and the SMP's answers.
///
/// # Errors
/// [`DemoError`] when a store cannot be read or a file cannot be written.
pub(super) async fn keep(stage: &Stage, checks: &mut Checks) -> Result<(), DemoError> {
    let blobs = [
        ("message.xml", &stage.af, BlobKind::Message),
        ("envelope.xml", &stage.habo, BlobKind::Envelope),
        ("kvittens.xml", &stage.habo, BlobKind::Receipt),
    ];
    for (name, player, kind) in blobs {
        keep_blob(stage, checks, name, player, kind).await?;
    }
    for (name, player) in [("as4", &stage.habo), ("kvittens", &stage.af)] {
        let exchange = player.tape.first_post().unwrap_or_default();
        checks.that(&format!("{name}-request.http och {name}-response.http är inspelade"), exchange.response.starts_with(b"HTTP/1.1 200 "));
        stage.folder.keep(&format!("{name}-request.http"), &exchange.request)?;
        stage.folder.keep(&format!("{name}-response.http"), &exchange.response)?;
    }
    let client = HttpClient::new(HttpOptions { plain: PlainHttp::Loopback, reach: Reach::with_loopback(), ..HttpOptions::default() });
    let (smp, participant) = (stage.testbed.smp_url(), stage.af.cast.participant());
    let urls = [
        ("servicegroup.xml", service_group_url(&smp, &participant)),
        ("smp.xml", service_metadata_url(&smp, &participant, DocumentKind::Message.document_id())),
    ];
    for (name, url) in urls {
        let answer = client.get(&url).await.ok().filter(|answer| answer.status == 200);
        checks.that(&format!("{name} finns"), answer.is_some());
        stage.folder.keep(name, &answer.map(|answer| answer.body).unwrap_or_default())?;
    }
    Ok(())
}

/// Keeps what a gateway has of one kind.
///
/// # Errors
/// As [`keep`].
pub(super) async fn keep_blob(stage: &Stage, checks: &mut Checks, name: &str, player: &Player, kind: BlobKind) -> Result<Vec<u8>, DemoError> {
    let body = blob(player, kind).await?;
    checks.that(&format!("{name} finns"), body.is_some());
    let body = body.unwrap_or_default();
    stage.folder.keep(name, &body)?;
    Ok(body)
}

/// What a gateway has of one kind.
///
/// # Errors
/// [`DemoError`] when its store cannot be read.
pub(super) async fn blob(player: &Player, kind: BlobKind) -> Result<Option<Vec<u8>>, DemoError> {
    let blobs = &player.daemon.gateway.blobs;
    let Some(Blob { id, .. }) = blobs.heads().await?.into_iter().find(|blob| blob.kind == kind) else { return Ok(None) };
    let (_, _, mut reader) = blobs.open(id).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        reader.read_to_end(&mut body).map(|_| body)
    });
    let body = read.await.map_err(std::io::Error::other).flatten();
    body.map(Some).map_err(|source| DemoError::File { path: PathBuf::from(player.cast.folder).join("state/spool"), source })
}
