//! The end of a file that is written to HDFS.

use std::future::pending;
use std::time::Duration;

use hdfs_native::HdfsError;
use hdfs_native::file::FileWriter;
use tokio::select;
use tokio::time::sleep;

use super::wording::has_no_lease;

/// Pauses before the NameNode is asked once more whether a file is whole. The longest is far shorter than the client's
/// own, so that a close is never given up while the client asks for itself.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(40), Duration::from_millis(80), PAUSE_MAX];
const PAUSE_MAX: Duration = Duration::from_millis(160);

/// The writer of a file.
pub(super) trait Closing: Send {
    /// Sends what is left and asks the NameNode to close the file, until it does. Given up and begun again, it asks at
    /// once; what was still to be sent is lost.
    fn close(&mut self) -> impl Future<Output = Result<(), HdfsError>> + Send;
}

impl Closing for FileWriter {
    async fn close(&mut self) -> Result<(), HdfsError> {
        self.close().await
    }
}

/// Closes a file of so many bytes; `length` asks the NameNode how many it knows of.
///
/// To the NameNode a file is whole once a DataNode has told of its last block. With one copy of it, or one DataNode left,
/// that comes a little after the bytes were acknowledged, but a client that is told "not yet" asks again after half a
/// second. One that begins to close anew asks at once, and may do so as soon as it has asked for the first time, which is
/// when the NameNode knows of all bytes. Before that the client still has something to send, or another DataNode to find,
/// and is left alone.
///
/// # Errors
/// Those of the client. If its first answer was only late, the file is whole and nobody's any more: that is none.
pub(super) async fn close<F>(
    writer: &mut impl Closing,
    length: impl Fn() -> F,
    bytes: u64,
) -> Result<(), HdfsError>
where
    F: Future<Output = Result<u64, HdfsError>>,
{
    for (attempt, pause) in PAUSES.into_iter().enumerate() {
        let closed = select! {
            biased;
            closed = writer.close() => closed,
            () = is_known(&length, bytes, pause) => continue,
        };
        return match closed {
            Err(error) if attempt > 0 && has_no_lease(&error) => whole(length().await, bytes, error),
            closed => closed,
        };
    }
    match writer.close().await {
        Err(error) if has_no_lease(&error) => whole(length().await, bytes, error),
        closed => closed,
    }
}

/// Ends when the NameNode knows of all bytes, and never if it cannot be asked.
async fn is_known<F>(length: &impl Fn() -> F, bytes: u64, mut pause: Duration)
where
    F: Future<Output = Result<u64, HdfsError>>,
{
    loop {
        sleep(pause).await;
        match length().await {
            Ok(known) if known == bytes => return,
            Ok(_) => pause = (pause * 2).min(PAUSE_MAX),
            Err(_) => pending().await,
        }
    }
}

/// Whether a file that nobody writes any more has all bytes; the error if not.
fn whole(known: Result<u64, HdfsError>, bytes: u64, error: HdfsError) -> Result<(), HdfsError> {
    match known {
        Ok(known) if known == bytes => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
