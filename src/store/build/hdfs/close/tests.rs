use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Builder;
use tokio::time::timeout;

use super::*;

const HANG: Duration = Duration::from_secs(60);
const BYTES: u64 = 7;

/// A writer of which is written down how it is to answer each time.
struct Scripted<S> {
    step: S,
    calls: usize,
}

impl<S, F> Closing for Scripted<S>
where
    S: FnMut(usize) -> F + Send,
    F: Future<Output = Result<(), HdfsError>> + Send,
{
    async fn close(&mut self) -> Result<(), HdfsError> {
        self.calls += 1;
        (self.step)(self.calls).await
    }
}

/// Runs a close to its end, and gives how often the writer was told to close as well.
fn closed<F>(known: &AtomicU64, step: impl FnMut(usize) -> F + Send) -> (Result<(), HdfsError>, usize)
where
    F: Future<Output = Result<(), HdfsError>> + Send,
{
    let mut writer = Scripted { step, calls: 0 };
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let end = runtime.block_on(async {
        let length = || async { Ok(known.load(Relaxed)) };
        timeout(HANG, close(&mut writer, length, BYTES)).await.expect("it hangs")
    });
    (end, writer.calls)
}

fn no_lease() -> HdfsError {
    let class = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException";
    HdfsError::RPCError(class.into(), "File is not open for writing".into())
}

#[test]
fn a_close_that_ends_is_asked_once() {
    let known = &AtomicU64::new(0);
    assert!(matches!(closed(known, |_| async { Ok(()) }), (Ok(()), 1)));
    assert!(matches!(
        closed(known, |_| async { Err(HdfsError::ChecksumError) }),
        (Err(HdfsError::ChecksumError), 1)
    ));
}

#[test]
fn the_namenode_is_asked_again_when_it_knows_of_all_bytes() {
    for last in 2..=PAUSES.len() + 1 {
        let known = &AtomicU64::new(0);
        let (end, calls) = closed(known, |call| async move {
            known.store(BYTES, Relaxed);
            match call == last {
                true => Ok(()),
                false => pending().await,
            }
        });
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(calls, last);
    }
}

#[test]
fn a_client_that_has_something_to_send_is_left_alone() {
    let known = &AtomicU64::new(BYTES - 1);
    let (end, calls) = closed(known, |_| async {
        sleep(PAUSE_MAX * 4).await;
        Ok(())
    });
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(calls, 1);
}

#[test]
fn a_close_whose_answer_was_not_waited_for_is_one() {
    for (left, is_whole) in [(BYTES, true), (BYTES + 1, false), (0, false)] {
        let known = &AtomicU64::new(0);
        let (end, calls) = closed(known, |call| async move {
            if call == 1 {
                known.store(BYTES, Relaxed);
                pending::<()>().await;
            }
            known.store(left, Relaxed);
            Err(no_lease())
        });
        assert_eq!((end.is_ok(), calls), (is_whole, 2), "{end:?}");
    }
}

#[test]
fn a_file_that_was_taken_away_before_its_end_is_an_error() {
    let known = &AtomicU64::new(BYTES);
    let (end, calls) = closed(known, |_| async { Err(no_lease()) });
    assert!(matches!(end, Err(HdfsError::RPCError(..))), "{end:?}");
    assert_eq!(calls, 1);
}
