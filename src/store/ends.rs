//! The last bytes of an object whose size is not known: one request, where the store takes one for so many bytes from
//! the end; where it takes none (Azure, some web servers), its size first.

use std::sync::atomic::Ordering;

use datafusion::object_store::path::Path;
use datafusion::object_store::{Error, GetOptions, GetRange, GetResult, GetResultPayload, Result};
use futures::StreamExt;
use futures::stream;

use super::line::Line;
use super::patient::Patient;
use super::trouble::{What, trouble};

/// As [`Patient::get`]. A store that has refused to count from the end is not asked to again.
pub(super) async fn get(patient: Patient, line: &Line, key: Path, options: GetOptions) -> Result<GetResult> {
    let bytes = match &options.range {
        Some(GetRange::Suffix(bytes)) if !options.head => *bytes,
        Some(_) | None => return patient.get(key, options).await,
    };
    let mut refusal = None;
    if !line.counts_from_start.load(Ordering::Relaxed) {
        match patient.clone().get(key.clone(), options.clone()).await {
            Err(error) if is_refused(&error) => refusal = Some(error),
            done => return done,
        }
    }
    match by_size(patient, key, options, bytes).await {
        Ok(result) => {
            // An empty object has no last byte: that says nothing of the store.
            if refusal.is_some() && result.meta.size > 0 {
                line.counts_from_start.store(true, Ordering::Relaxed);
            }
            Ok(result)
        }
        Err(error @ Error::NotFound { .. }) => Err(error),
        // Answers to HEAD have no text: the first refusal says more.
        Err(error) => Err(refusal.unwrap_or(error)),
    }
}

/// The same by two requests: one for the size, and one for the bytes of that version.
async fn by_size(patient: Patient, key: Path, mut options: GetOptions, bytes: u64) -> Result<GetResult> {
    options.range = None;
    let head = GetOptions { head: true, ..options.clone() };
    let meta = patient.clone().get(key.clone(), head).await?.meta;
    let range = meta.size.saturating_sub(bytes)..meta.size;
    if range.is_empty() {
        let payload = GetResultPayload::Stream(stream::empty().boxed());
        return Ok(GetResult { payload, meta, range, attributes: Default::default() });
    }
    // Weak tags match nothing; whoever asked compares the answers then.
    options.if_match = meta.e_tag.filter(|tag| !tag.starts_with("W/")).or(options.if_match);
    options.range = Some(GetRange::Bounded(range));
    patient.get(key, options).await
}

/// Whether it may be the way of asking that was refused. Most stores have one answer for that and others for all else;
/// a few answer with something else than was asked for, of which the client says only that.
fn is_refused(error: &Error) -> bool {
    match error {
        Error::NotSupported { .. } | Error::NotImplemented { .. } => true,
        Error::Generic { .. } => match trouble(error).map(|trouble| trouble.what) {
            Some(What::Answer(answer)) => matches!(answer.status, 400 | 405 | 416 | 501),
            Some(What::Connect(_) | What::Silent(_) | What::Broken(_)) => false,
            None => true,
        },
        _ => false,
    }
}
