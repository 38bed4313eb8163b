//! Reading an object to its end, whatever happens to the connections.
//!
//! A body that breaks, ends too early or brings nothing for too long is given up, and the rest is asked for by range,
//! of the same version of the object. If there is none any more, that is an error: rows of two versions are never mixed.
//!
//! Long before a body is given up, the rest is asked for a second time, beside it: most stalls cost no more than that.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore, Result,
};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::beside::{self, Body};
use super::counted::{HERE, Meter, Request};
use super::line::Line;
use super::secret::Kind;
use super::tries::Tries;
use super::trouble::{Trouble, What, find, trouble};

/// Bodies from HDFS are waited for as if the rest had been asked for in vain so often.
const HDFS_IN_VAIN: u32 = 2;

/// A read that goes on where it broke. All of it runs on the threads for I/O.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    store: Arc<dyn ObjectStore>,
    line: Arc<Line>,
    /// Whether requests are counted and sent again below (by `wire`).
    is_wired: bool,
}

/// The object is another one than at the beginning of the read.
#[derive(Debug, thiserror::Error)]
#[error("it was changed while it was read")]
pub(super) struct Changed;

/// A read broke and cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(
        "the connection broke at byte {at}, and the server says nothing by which to tell that the rest is of the \
             same file (neither ETag nor Last-Modified)"
    )]
    NoVersion { at: u64 },
    #[error("the server sent more bytes than it said")]
    TooMuch,
    #[error("the connection broke at byte {at}, {attempts} times in a row: {last}")]
    TooOften { at: u64, attempts: u32, last: What },
}

impl Patient {
    pub(super) fn new(kind: Kind, store: Arc<dyn ObjectStore>, line: Arc<Line>) -> Self {
        Self { store, line, is_wired: kind != Kind::Hdfs }
    }

    /// As [`ObjectStore::get_opts`]; the stream gives all bytes of the range, or an error.
    pub(super) async fn get(self, key: Path, options: GetOptions) -> Result<GetResult> {
        let result = self.ask(&key, &options).await?;
        // What is usual is how long a NameNode takes; a DataNode has to be found and reads from a disk.
        let in_vain = if self.is_wired { 0 } else { HDFS_IN_VAIN };
        let GetResult { payload, meta, range, attributes } = result;
        let payload = match payload {
            GetResultPayload::Stream(body) if !options.head => {
                let version = Version::of(&meta);
                let read = Read {
                    patient: self,
                    key,
                    options,
                    version,
                    begun: range.start,
                    rest: range.clone(),
                    tries: Tries::first(),
                    in_vain,
                    resumptions: 0,
                    silence: Duration::ZERO,
                    body: Some(body),
                    is_here: attributes.get(&HERE).is_some(),
                };
                GetResultPayload::Stream(read.stream())
            }
            other => other,
        };
        Ok(GetResult { payload, meta, range, attributes })
    }

    /// One request, or as many as it takes.
    async fn ask(&self, key: &Path, options: &GetOptions) -> Result<GetResult> {
        if self.is_wired {
            return self.store.get_opts(key, options.clone()).await;
        }
        let purpose = if options.head { Request::Head } else { Request::Get };
        let mut tries = Tries::first();
        loop {
            self.line.counts.request(purpose, !tries.is_first());
            if let Some(meter) = Meter::of(&options.extensions) {
                meter.request(!tries.is_first());
            }
            let wait = self.line.usual.wait(&self.line.patience, tries.attempts());
            let begun = Instant::now();
            let what = match timeout(wait, self.store.get_opts(key, options.clone())).await {
                Ok(Ok(result)) => {
                    self.line.answered(purpose, begun.elapsed());
                    return Ok(result);
                }
                Ok(Err(error @ Error::Generic { .. })) => match trouble(&error) {
                    Some(trouble) => trouble.what,
                    // Its own words are the best, when it has been asked often enough.
                    None if self.line.is_over(tries) => return Err(error),
                    None => What::Broken(error.to_string()),
                },
                Ok(Err(error)) => return Err(error),
                Err(_) => What::Silent(wait),
            };
            if self.line.is_over(tries) {
                return Err(generic(Trouble { what, attempts: tries.attempts() }));
            }
            sleep(self.line.pause(&what, purpose, &mut tries, begun.elapsed())).await;
            tries.again();
        }
    }
}

/// What tells one version of an object from another.
#[derive(Debug, Clone, PartialEq)]
struct Version {
    tag: Option<String>,
    size: u64,
    modified_seconds: i64,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Self { tag: meta.e_tag.clone(), size: meta.size, modified_seconds: meta.last_modified.timestamp() }
    }

    /// Whether there is anything to tell it by but its size.
    fn is_known(&self) -> bool {
        self.tag.is_some() || self.modified_seconds != 0
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.tag, &other.tag) {
            (Some(own), Some(other_tag)) => own == other_tag && self.size == other.size,
            (None, None) => self == other,
            // A server that gives a tag one time and none the other.
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The tag, if a server may compare by it: weak ones do not match anything.
    fn condition(&self) -> Option<String> {
        self.tag.clone().filter(|tag| !tag.starts_with("W/"))
    }
}

/// A body in the middle of being read.
struct Read {
    patient: Patient,
    key: Path,
    options: GetOptions,
    version: Version,
    begun: u64,
    /// What has not come yet.
    rest: Range<u64>,
    /// Since the last bytes came.
    tries: Tries,
    /// How often the rest was asked for beside a body that was only slow.
    in_vain: u32,
    /// How often another answer was read on.
    resumptions: u32,
    /// The longest that nothing came.
    silence: Duration,
    body: Option<Body>,
    /// Whether the bytes were counted when they came.
    is_here: bool,
}

impl Read {
    fn stream(self) -> Body {
        let pieces =
            stream::try_unfold(
                self,
                |mut read| async move { Ok(read.next().await?.map(|piece| (piece, read))) },
            );
        // Some ask again after the end.
        pieces.fuse().boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let wait = self.patient.line.usual.wait(&self.patient.line.patience, self.tries.attempts());
            let body = match self.body.take() {
                Some(body) => body,
                None => {
                    let body = self.left().asked().await?;
                    self.resumed();
                    body
                }
            };
            let what = match timeout(wait, self.piece(body)).await {
                Ok(Some(Ok(piece))) if piece.is_empty() => continue,
                Ok(Some(Ok(piece))) => return self.taken(piece).map(Some),
                Ok(Some(Err(error))) => match is_final(&error) {
                    true => return Err(error),
                    false => trouble(&error)
                        .map_or_else(|| What::Broken(error.to_string()), |trouble| trouble.what),
                },
                Ok(None) => What::Broken("the body ended too early".into()),
                Err(_) => What::Silent(wait),
            };
            self.broken(what).await?;
        }
    }

    /// The next piece of a body, which is kept if it has one; or of the rest, asked for beside it.
    async fn piece(&mut self, mut body: Body) -> Option<Result<Bytes>> {
        let has_version = self.version.is_known() || self.rest.start == self.begun;
        let begun = Instant::now();
        let piece = if has_version && !self.is_here {
            let left = self.left();
            // A network on which all bodies come with gaps is soon not asked for each anew.
            let in_vain = self.in_vain + self.resumptions / 2;
            let came = beside::next(body, &self.patient.line, in_vain, || left.asked()).await;
            if came.is_second {
                self.resumed();
            }
            self.in_vain += came.in_vain;
            body = came.body;
            came.piece
        } else {
            body.next().await
        };
        self.silence = self.silence.max(begun.elapsed());
        if matches!(piece, Some(Ok(_))) {
            self.body = Some(body);
        }
        piece
    }

    fn taken(&mut self, piece: Bytes) -> Result<Bytes> {
        let length = piece.len() as u64;
        if length > self.rest.end - self.rest.start {
            return Err(generic(Lost::TooMuch));
        }
        self.rest.start += length;
        self.tries = Tries::first();
        if self.is_here {
            return Ok(piece);
        }
        if self.rest.is_empty() && self.resumptions == 0 {
            self.patient.line.usual.ended(self.silence);
        }
        self.patient.line.counts.read(length);
        if let Some(meter) = Meter::of(&self.options.extensions) {
            meter.read(piece.len());
        }
        Ok(piece)
    }

    /// Waits until it is time to go on; an error if it is of no use.
    async fn broken(&mut self, what: What) -> Result<()> {
        let at = self.rest.start;
        if !self.version.is_known() && at > self.begun {
            return Err(generic(Lost::NoVersion { at }));
        }
        if self.patient.line.is_over(self.tries) {
            return Err(generic(Lost::TooOften { at, attempts: self.tries.attempts(), last: what }));
        }
        let line = &self.patient.line;
        // Bytes came just now, so it is not known how long it takes to ask.
        let pause = line.pause(&what, Request::Get, &mut self.tries, line.patience.pause_first);
        self.tries.again();
        sleep(pause).await;
        Ok(())
    }

    /// What is left to be read.
    fn left(&self) -> Left<'_> {
        let Self { patient, key, version, options, rest, .. } = self;
        Left { patient, key, version, options, range: rest.clone() }
    }

    /// The request before was sent to go on with a body that broke or stalled.
    fn resumed(&mut self) {
        self.resumptions += 1;
        if let Some(meter) = Meter::of(&self.options.extensions) {
            meter.resumed();
        }
        self.patient.line.counts.resumed();
    }
}

/// What is left of an object's bytes.
struct Left<'a> {
    patient: &'a Patient,
    key: &'a Path,
    version: &'a Version,
    options: &'a GetOptions,
    range: Range<u64>,
}

impl Left<'_> {
    /// Asks for it; of the same version.
    fn asked(&self) -> BoxFuture<'static, Result<Body>> {
        let (patient, key, version) = (self.patient.clone(), self.key.clone(), self.version.clone());
        let (rest, mut options) = (self.range.clone(), self.options.clone());
        options.range = Some(GetRange::Bounded(rest.clone()));
        options.if_match = version.condition().or(options.if_match);
        async move {
            let result = match patient.ask(&key, &options).await {
                Err(Error::Precondition { .. }) => return Err(changed(&key)),
                other => other?,
            };
            if !version.is_same(&Version::of(&result.meta)) || result.range != rest {
                return Err(changed(&key));
            }
            match result.payload {
                GetResultPayload::Stream(body) => Ok(body),
                GetResultPayload::File(..) => Err(generic(Lost::TooMuch)),
            }
        }
        .boxed()
    }
}

/// Errors that asking again does not change.
fn is_final(error: &Error) -> bool {
    find::<Changed>(error).is_some()
        || find::<Lost>(error).is_some()
        || find::<Trouble>(error).is_some_and(|trouble| !trouble.what.is_passing())
}

pub(super) fn changed(key: &Path) -> Error {
    Error::Precondition { path: key.to_string(), source: Box::new(Changed) }
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "store", source: Box::new(source) }
}
