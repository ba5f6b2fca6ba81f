//! Receives a body onto disk, whole, with its digest; nothing of it is held in memory.

use crate::app::Context;
use crate::flow::ingest::Upload;
use crate::http::problem::Problem;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

/// Bytes of an upload.
pub(crate) const LIMIT: u64 = 4 << 30;

/// A received file; it is deleted when this is dropped.
pub(crate) struct Received {
    pub(crate) upload: Upload,
    _file: NamedTempFile,
}

/// Takes chunks until their end, of at most so many bytes.
pub(crate) async fn receive<B, E>(
    app: &Context,
    mut chunks: impl futures::Stream<Item = Result<B, E>> + Unpin,
    most: u64,
) -> Result<Received, Problem>
where
    B: AsRef<[u8]>,
    E: std::fmt::Display,
{
    let disk = |error: std::io::Error| {
        tracing::error!(%error, "an upload could not be written");
        let what = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "The server's disk is full. Uploads are refused until the operator frees space."
            }
            _ => "The server cannot write uploads. Try again after the time in Retry-After.",
        };
        Problem::new("unavailable", what)
    };
    let file = NamedTempFile::new_in(&app.spool).map_err(disk)?;
    let mut out = tokio::fs::File::create(file.path()).await.map_err(disk)?;
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    let mut magic: Vec<u8> = Vec::with_capacity(2);
    let mut pending: Vec<u8> = Vec::with_capacity(1 << 20);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Problem::invalid("body", format!("the upload broke off: {error}")))?;
        let chunk = chunk.as_ref();
        size += chunk.len() as u64;
        if size > most {
            return Err(Problem::new(
                "too-large",
                format!("a body has at most {most} bytes here"),
            ));
        }
        if magic.len() < 2 {
            magic.extend(chunk.iter().take(2 - magic.len()));
        }
        hash.update(chunk);
        pending.extend_from_slice(chunk);
        if pending.len() >= 1 << 20 {
            out.write_all(&pending).await.map_err(disk)?;
            pending.clear();
        }
    }
    out.write_all(&pending).await.map_err(disk)?;
    out.flush().await.map_err(disk)?;
    let upload = Upload {
        path: file.path().to_owned(),
        digest: hex::encode(hash.finalize()),
        size,
        gzip: magic == [0x1f, 0x8b],
        masked: false,
        keeps: true,
        progress: Arc::default(),
        keyed: None,
    };
    Ok(Received { upload, _file: file })
}
