//! Originals, compressed in pieces so that any line can be shown without reading it all.

use crate::entity::{original, original_chunk};
use crate::sql::{column, rows, run};
use crate::stored::stored_json;
use crate::{Scoped, Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use serde::Deserialize;
use std::io::{Read, Write};
use uuid::Uuid;

/// What a job will import.
#[derive(Deserialize)]
struct Waiting {
    original: Uuid,
}

/// Bytes in one piece, before compression.
const PIECE: usize = 1 << 20;

/// Pieces that are deleted at once.
const PIECES: u32 = 8;

/// Writes an original, a piece in a transaction.
pub struct OriginalWriter {
    store: Store,
    /// Its id.
    pub id: Uuid,
    gzip: bool,
    pending: Vec<u8>,
    n: i32,
    start: i64,
}

impl Store {
    /// Begins to keep an original for a process. `gzip` says that the bytes are a gzip stream already. One that is not finished is to be
    /// dropped ([`Store::drop_original`]); where its process ends before that, it is found by [`Store::unused_originals`].
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn keep_original(
        &self,
        project: ProjectId,
        process: Uuid,
        gzip: bool,
        now: Instant,
    ) -> Result<OriginalWriter, StoreError> {
        let (store, id) = (self.patient(), Uuid::now_v7());
        let row = original::ActiveModel {
            id: Set(id),
            project_id: Set(project.0),
            digest: Set(String::new()),
            gzip: Set(gzip),
            size: Set(0),
            created_at: Set(micros(now)),
            process: Set(Some(process)),
        };
        original::Entity::insert(row)
            .exec_without_returning(&store.write)
            .await?;
        Ok(OriginalWriter {
            store,
            id,
            gzip,
            pending: Vec::with_capacity(PIECE),
            n: 0,
            start: 0,
        })
    }

    /// Originals that no import names and no job will import, kept by processes that ended, or before an instant.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails, or what a job will import cannot be read.
    pub async fn unused_originals(&self, ended: &[Uuid], before: Option<Instant>) -> Result<Vec<Uuid>, StoreError> {
        let marks = crate::sql::marks(ended.len().max(1));
        let sql = format!(
            "SELECT o.id AS id FROM original o WHERE (o.process IN ({marks}) OR o.created_at < ?) \
             AND NOT EXISTS (SELECT 1 FROM import i WHERE i.original_id = o.id)"
        );
        let mut values: Vec<sea_orm::Value> = ended.iter().map(|id| (*id).into()).collect();
        if values.is_empty() {
            values.push(Uuid::nil().into());
        }
        values.push(before.map_or(i64::MIN, micros).into());
        let found = rows(&self.read, &sql, values).await?;
        let unused = found.iter().map(|row| column::<Uuid>(row, "id"));
        let mut unused = unused.collect::<Result<Vec<_>, _>>()?;
        if !unused.is_empty() {
            let waiting = rows(
                &self.read,
                "SELECT id, payload FROM job WHERE kind = 'import' AND state IN ('queued', 'running')",
                Vec::new(),
            );
            for job in waiting.await? {
                let (id, payload): (Uuid, String) = (column(&job, "id")?, column(&job, "payload")?);
                let wanted: Waiting = stored_json(("job", id, "payload"), &payload)?;
                unused.retain(|original| *original != wanted.original);
            }
        }
        Ok(unused)
    }

    /// Throws an original away that no import came to name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn drop_original(&self, id: Uuid) -> Result<(), StoreError> {
        let sql = format!(
            "DELETE FROM original_chunk WHERE original_id = ? AND n IN (SELECT n FROM original_chunk WHERE original_id = ? LIMIT {PIECES})"
        );
        while run(&self.write, &sql, vec![id.into(), id.into()])
            .await?
            .rows_affected()
            > 0
        {}
        original::Entity::delete_by_id(id).exec(&self.write).await?;
        Ok(())
    }
}

impl OriginalWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = PIECE - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == PIECE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let piece = std::mem::replace(&mut self.pending, Vec::with_capacity(PIECE));
        let length = i64::try_from(piece.len()).unwrap_or(0);
        let body = if self.gzip { piece } else { compress(&piece)? };
        let row = original_chunk::ActiveModel {
            original_id: Set(self.id),
            n: Set(self.n),
            start: Set(self.start),
            body: Set(body),
        };
        original_chunk::Entity::insert(row)
            .exec_without_returning(&self.store.write)
            .await?;
        self.n += 1;
        self.start += length;
        Ok(())
    }

    /// Makes it durable; gives its id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn finish(mut self, digest: &str) -> Result<Uuid, StoreError> {
        if !self.pending.is_empty() {
            self.flush().await?;
        }
        let sql = "UPDATE original SET digest = ?, size = ? WHERE id = ?";
        let values = vec![digest.to_owned().into(), self.start.into(), self.id.into()];
        run(&self.store.write, sql, values).await?;
        Ok(self.id)
    }
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 6), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .map_err(|e| StoreError::Damaged(e.to_string()))
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(PIECE);
    GzDecoder::new(bytes)
        .read_to_end(&mut out)
        .map_err(|e| StoreError::Damaged(e.to_string()))?;
    Ok(out)
}

impl Scoped<'_> {
    /// An original's head.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn original(&self, id: Uuid) -> Result<Option<original::Model>, StoreError> {
        Ok(original::Entity::find_by_id(id)
            .filter(original::Column::ProjectId.eq(self.project.0))
            .one(&self.store.read)
            .await?)
    }

    /// One piece of an original as it came; none past the end.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn original_piece(&self, head: &original::Model, n: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(piece) = original_chunk::Entity::find_by_id((head.id, n))
            .one(&self.store.read)
            .await?
        else {
            return Ok(None);
        };
        if head.gzip {
            Ok(Some(piece.body))
        } else {
            inflate(&piece.body).map(Some)
        }
    }

    /// Bytes of an (inflated) original from an offset on.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn original_excerpt(
        &self,
        head: &original::Model,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError> {
        if head.gzip {
            return self.inflated_excerpt(head, offset, length).await;
        }
        let first = original_chunk::Entity::find()
            .filter(original_chunk::Column::OriginalId.eq(head.id))
            .filter(original_chunk::Column::Start.lte(offset.cast_signed()))
            .order_by_desc(original_chunk::Column::N)
            .limit(1)
            .one(&self.store.read)
            .await?;
        let Some(first) = first else {
            return Ok(Vec::new());
        };
        let skip = usize::try_from(offset - first.start.unsigned_abs()).unwrap_or(0);
        let mut bytes = inflate(&first.body)?;
        bytes.drain(..skip.min(bytes.len()));
        let mut n = first.n;
        while bytes.len() < length {
            n += 1;
            match self.original_piece(head, n).await? {
                Some(more) => bytes.extend(more),
                None => break,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    async fn inflated_excerpt(
        &self,
        head: &original::Model,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, StoreError> {
        /// An original that came compressed is shown in part only where it is small.
        const MOST: i64 = 64 << 20;
        if head.size > MOST {
            return Ok(Vec::new());
        }
        let mut whole = Vec::new();
        let mut n = 0;
        while let Some(piece) = self.original_piece(head, n).await? {
            whole.extend(piece);
            n += 1;
        }
        let mut reader = flate2::read::MultiGzDecoder::new(whole.as_slice());
        std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink())
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        let mut out = Vec::new();
        reader
            .take(length as u64)
            .read_to_end(&mut out)
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        Ok(out)
    }
}
