//! Work on many files at once.

use std::future::Future;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// What comes of some pieces of work, in their order; so many of them are under way at once.
///
/// A piece that takes long keeps none of the others waiting, as it would in a stream that is `buffered`: those ended
/// count there until their turn comes.
///
/// # Errors
/// That of the first piece in their order that fails. Those after it are not begun any more, or given up.
pub(super) async fn at_once<T, E, F>(work: impl IntoIterator<Item = F>, most: usize) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut ahead = work.into_iter().enumerate();
    let mut under_way = FuturesUnordered::new();
    let mut done = Vec::new();
    let mut failed: Option<(usize, E)> = None;
    loop {
        while failed.is_none()
            && under_way.len() < most.max(1)
            && let Some((at, piece)) = ahead.next()
        {
            under_way.push(async move { (at, piece.await) });
        }
        let Some((at, result)) = under_way.next().await else { break };
        match result {
            Ok(value) => done.push((at, value)),
            Err(_) if failed.as_ref().is_some_and(|(first, _)| *first < at) => {}
            Err(error) => failed = Some((at, error)),
        }
        if failed.as_ref().is_some_and(|(first, _)| before(&done, *first) == *first) {
            break;
        }
    }
    if let Some((_, error)) = failed {
        return Err(error);
    }
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

/// How many of those that are done come before a place.
fn before<T>(done: &[(usize, T)], place: usize) -> usize {
    done.iter().filter(|(at, _)| *at < place).count()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use futures::FutureExt;
    use futures::channel::oneshot;
    use futures::future::BoxFuture;

    use super::*;

    fn block<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // The deadline only ends what hangs.
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await.unwrap() })
    }

    #[test]
    fn what_comes_is_in_the_order_of_the_work() {
        // Each piece ends when the one after it does: the last ends first.
        let mut ends: Vec<_> = (0..8).map(|_| oneshot::channel::<()>()).collect();
        let mut next: Option<oneshot::Sender<()>> = None;
        let mut work: Vec<BoxFuture<'_, Result<usize, ()>>> = Vec::new();
        for at in 0..8 {
            let (send, receive) = ends.pop().unwrap();
            let before = next.replace(send);
            work.push(
                async move {
                    if at < 7 {
                        receive.await.unwrap();
                    }
                    before.into_iter().for_each(|before| before.send(()).unwrap());
                    Ok(at)
                }
                .boxed(),
            );
        }
        assert_eq!(block(at_once(work, 8)), Ok((0..8).collect()));
        let none: [BoxFuture<'_, Result<usize, ()>>; 0] = [];
        assert_eq!(block(at_once(none, 8)), Ok(Vec::new()));
    }

    #[test]
    fn a_slow_piece_keeps_none_of_the_others_waiting_and_no_more_than_wanted_are_begun() {
        let (all, waited) = oneshot::channel::<()>();
        let (all, waited) = (RefCell::new(Some(all)), RefCell::new(Some(waited)));
        let (under_way, most, ended) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let piece = |at: usize| {
            let (all, waited, under_way, most, ended) = (&all, &waited, &under_way, &most, &ended);
            async move {
                under_way.set(under_way.get() + 1);
                most.set(most.get().max(under_way.get()));
                tokio::task::yield_now().await;
                if at == 0 {
                    // It ends when all others have.
                    let waited = waited.take().unwrap();
                    waited.await.unwrap();
                } else {
                    ended.set(ended.get() + 1);
                    if ended.get() == 99 {
                        all.take().unwrap().send(()).unwrap();
                    }
                }
                under_way.set(under_way.get() - 1);
                Ok::<_, ()>(at)
            }
        };
        assert_eq!(block(at_once((0..100).map(piece), 3)), Ok((0..100).collect()));
        assert_eq!(most.get(), 3);
    }

    #[test]
    fn the_error_is_that_of_the_first_piece_that_fails_and_later_ones_are_given_up() {
        let begun = Cell::new(0);
        let (late, is_late) = oneshot::channel::<()>();
        let (late, is_late) = (RefCell::new(Some(late)), RefCell::new(Some(is_late)));
        let piece = |at: usize| {
            let (begun, late, is_late) = (&begun, &late, &is_late);
            async move {
                begun.set(begun.get() + 1);
                match at {
                    1 => {
                        let is_late = is_late.take().unwrap();
                        is_late.await.unwrap();
                        Err(at)
                    }
                    // Never ends.
                    2 => std::future::pending().await,
                    3 => {
                        late.take().unwrap().send(()).unwrap();
                        Err(at)
                    }
                    _ => Ok(at),
                }
            }
        };
        assert_eq!(block(at_once((0..100).map(piece), 4)), Err(1));
        assert!(begun.get() <= 5, "{} were begun", begun.get());
    }
}
