//! Files of which a server gives no part: read once, whole, into a file without a name, and served from there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use datafusion::object_store::client::HttpResponse;
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectMeta, Result};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use super::answer::{Described, described};
use super::generic;
use crate::store::counted::Request;
use crate::store::line::Line;
use crate::store::tries::Tries;
use crate::store::trouble::{Trouble, What};

/// Bytes that are read from the file at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Files that are kept; of more, those that nobody reads any more go.
const KEPT_MAX: usize = 16;

/// A file that was read whole. It has no name, so it is gone with the process, however that ends.
pub(super) struct Whole {
    file: File,
    pub(super) meta: ObjectMeta,
}

impl Whole {
    /// A part of it.
    pub(super) fn read(self: Arc<Self>, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let pieces = stream::try_unfold((self, range), |(whole, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let length = (range.end - range.start).min(PIECE_BYTES);
            let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
            whole.file.read_exact_at(&mut piece, range.start).map_err(generic)?;
            Ok(Some((Bytes::from(piece), (whole, range.start + length..range.end))))
        });
        pieces.fuse().boxed()
    }
}

type Cell = Arc<OnceCell<Arc<Whole>>>;

/// The files that were read whole, by key.
#[derive(Default)]
pub(super) struct Wholes(Mutex<BTreeMap<Path, Cell>>);

impl Wholes {
    /// Whether a file is here, or on its way.
    pub(super) fn has(&self, key: &Path) -> bool {
        self.known().contains_key(key)
    }

    /// The file; read, if it is not here: from this answer, and if that breaks, from the beginning.
    pub(super) async fn get<Again: Future<Output = Result<HttpResponse>>>(
        &self,
        key: &Path,
        line: &Line,
        response: Option<HttpResponse>,
        again: impl Fn() -> Again,
    ) -> Result<Arc<Whole>> {
        let cell = {
            let mut known = self.known();
            if known.len() >= KEPT_MAX {
                known.retain(|other, cell| {
                    other == key || cell.get().is_none_or(|whole| Arc::strong_count(whole) > 1)
                });
            }
            Arc::clone(known.entry(key.clone()).or_default())
        };
        let whole = cell.get_or_try_init(|| fetched(key, line, response, again)).await;
        if whole.is_err() {
            self.forget(key);
        }
        whole.cloned()
    }

    pub(super) fn forget(&self, key: &Path) {
        self.known().remove(key);
    }

    /// Forgets a file if it is another version than this, or if there is nothing to tell by.
    pub(super) fn forget_unless(&self, meta: &ObjectMeta) {
        let mut known = self.known();
        let Some(whole) = known.get(&meta.location).and_then(|cell| cell.get()) else { return };
        let is_same = has_version(meta) && whole.meta == *meta;
        if !is_same {
            known.remove(&meta.location);
        }
    }

    /// The file, if it is here and an answer that does not tell its size is about just this version.
    pub(super) fn same(&self, key: &Path, answer: &Described) -> Option<ObjectMeta> {
        let known = self.known();
        let whole = known.get(key)?.get()?;
        let meta = answer.of_size(whole.meta.size);
        (answer.status == 200 && has_version(&meta) && meta == whole.meta).then_some(meta)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Path, Cell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is anything to tell a version by.
fn has_version(meta: &ObjectMeta) -> bool {
    meta.e_tag.is_some() || meta.last_modified.timestamp() != 0
}

async fn fetched<Again: Future<Output = Result<HttpResponse>>>(
    key: &Path,
    line: &Line,
    mut response: Option<HttpResponse>,
    again: impl Fn() -> Again,
) -> Result<Arc<Whole>> {
    let mut tries = Tries::first();
    loop {
        let begun = Instant::now();
        let answer = match response.take() {
            Some(answer) => answer,
            None => again().await?,
        };
        let what = match spooled(key, line, answer, tries.attempts()).await {
            Ok(whole) => return Ok(Arc::new(whole)),
            Err(Failed::Own(error)) => return Err(generic(error)),
            Err(Failed::Wire(what)) => what,
        };
        if line.is_over(tries) {
            return Err(generic(Trouble { what, attempts: tries.attempts() }));
        }
        sleep(line.pause(&what, Request::Get, &mut tries, begun.elapsed())).await;
        tries.again();
    }
}

enum Failed {
    /// Our disk.
    Own(io::Error),
    Wire(What),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Own(error)
    }
}

/// One answer's body in a file.
async fn spooled(key: &Path, line: &Line, answer: HttpResponse, attempt: u32) -> Result<Whole, Failed> {
    let described = described(key, &answer);
    let length = described.meta(None).map(|meta| meta.size);
    let mut file = tempfile::tempfile_in(&line.temp_dir)?;
    let mut size = 0;
    let mut body = answer.into_body().bytes_stream();
    loop {
        let wait = line.usual.wait(&line.patience, attempt);
        match timeout(wait, body.next()).await {
            Err(_) => return Err(Failed::Wire(What::Silent(wait))),
            Ok(Some(Err(error))) => return Err(Failed::Wire(What::of(&error))),
            Ok(Some(Ok(piece))) => {
                file.write_all(&piece)?;
                size += piece.len() as u64;
                line.counts.read(piece.len() as u64);
            }
            Ok(None) => break,
        }
    }
    if length.is_some_and(|length| length != size) {
        return Err(Failed::Wire(What::Broken("the body ended too early".into())));
    }
    Ok(Whole { file, meta: described.of_size(size) })
}
