//! Streams that run on the threads for I/O and are read elsewhere.

use datafusion::object_store::{Error, Result};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::io::{self, Stop};

/// Items that may wait to be read; then the connection waits too.
const AHEAD_ITEMS_MAX: usize = 8;

/// The same items, but the stream is polled on the threads for I/O. It is stopped when the reader goes away.
pub(super) fn on_io<T: Send + 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let (to, from) = mpsc::channel(AHEAD_ITEMS_MAX);
    let work = async move {
        let mut items = std::pin::pin!(items);
        while let Some(item) = items.next().await {
            let failed = item.is_err();
            if to.send(Some(item)).await.is_err() || failed {
                return;
            }
        }
        // Said, since a channel that closes may also be one whose sender died.
        drop(to.send(None).await);
    };
    match io::spawn(work) {
        Ok((_, stop)) => stream::unfold(Some((from, stop)), next).fuse().boxed(),
        Err(error) => stream::once(async move { Err(broken(error)) }).boxed(),
    }
}

type Reading<T> = Option<(mpsc::Receiver<Option<Result<T>>>, Stop)>;

async fn next<T>(reading: Reading<T>) -> Option<(Result<T>, Reading<T>)> {
    let (mut from, stop) = reading?;
    match from.recv().await {
        Some(Some(Ok(item))) => Some((Ok(item), Some((from, stop)))),
        Some(Some(Err(error))) => Some((Err(error), None)),
        Some(None) => None,
        None => Some((Err(broken(std::io::Error::other("the read ended without its end"))), None)),
    }
}

/// Trouble of our own threads.
pub(super) fn broken(error: std::io::Error) -> Error {
    Error::Generic { store: "I/O", source: Box::new(error) }
}
