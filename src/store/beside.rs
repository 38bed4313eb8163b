//! The next piece of a body, or of another answer that was asked for beside it.
//!
//! ```text
//! body    ── piece ── piece ──────── nothing ──────────────────────>
//!                              asked: the rest ── head ── piece          whichever brings a piece first is read on
//! ```

use bytes::Bytes;
use datafusion::object_store::Result;
use futures::StreamExt;
use futures::future::{BoxFuture, pending};
use futures::stream::BoxStream;
use tokio::time::sleep;

use super::line::Line;

/// What is left of an object's bytes, as it comes.
pub(super) type Body = BoxStream<'static, Result<Bytes>>;

/// What came.
pub(super) struct Came {
    /// As the body gives it: none at its end.
    pub(super) piece: Option<Result<Bytes>>,
    /// The body that it came from.
    pub(super) body: Body,
    /// Whether that is another one than was waited for.
    pub(super) is_second: bool,
    /// How often the rest was asked for in vain meanwhile.
    pub(super) in_vain: u32,
}

/// The next piece of a body. If that takes long, the rest is asked for a second time, and whichever answer brings
/// something first is read on: what has stalled is soon left, and what is only slow is not given up. An answer that
/// brings nothing either is left in the same way.
///
/// The rest was asked for in vain so often before: each time, the next one is waited for twice as long.
pub(super) async fn next(
    mut body: Body,
    line: &Line,
    in_vain: u32,
    rest: impl Fn() -> BoxFuture<'static, Result<Body>>,
) -> Came {
    let mut asked = None;
    let mut second = None;
    let mut count = 0;
    loop {
        // That two are silent happens in bad times.
        let soon = line.usual.second_body(&line.patience, in_vain + count / 2);
        tokio::select! {
            biased;
            piece = body.next() => {
                return Came { piece, body, is_second: false, in_vain: count };
            }
            // The first is no worse if the second ends or breaks.
            piece = more(&mut second) => if let (Some(piece), Some(body)) = (piece, second.take()) {
                return Came { piece: Some(Ok(piece)), body, is_second: true, in_vain: 0 };
            },
            answer = answered(&mut asked) => {
                asked = None;
                second = answer.ok().or(second);
            }
            () = sleep(soon) => {
                // One that is under way looks after itself: it may be waiting until a busy store wants to be asked.
                if asked.is_none() && line.allowance.take() {
                    asked = Some(rest());
                    count += 1;
                }
            }
        }
    }
}

/// The first piece of a second body, or none; waits for ever where there is no such body.
async fn more(second: &mut Option<Body>) -> Option<Bytes> {
    let Some(body) = second else { return pending().await };
    loop {
        match body.next().await {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) => return Some(piece),
            Some(Err(_)) | None => return None,
        }
    }
}

/// The answer that was asked for; waits for ever where none was.
async fn answered(asked: &mut Option<BoxFuture<'static, Result<Body>>>) -> Result<Body> {
    match asked {
        Some(answer) => answer.await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use datafusion::object_store::Error;
    use futures::FutureExt;
    use futures::stream;
    use tokio::sync::Notify;

    use super::super::counted::Counts;
    use super::super::patience::Patience;
    use super::*;

    const NEVER: Duration = Duration::from_secs(600);

    fn line(second: Duration) -> Arc<Line> {
        let patience = Patience { second_min: second, second_unknown: second, ..Patience::default() };
        Line::new(Arc::<Counts>::default(), patience, std::env::temp_dir())
    }

    /// Says nothing.
    fn stalled() -> Body {
        stream::pending().boxed()
    }

    /// Brings something after a word, and some time for what may be asked meanwhile.
    fn slow(word: Arc<Notify>) -> Body {
        let piece = async move {
            word.notified().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Bytes::from_static(b"slow"))
        };
        stream::once(piece).boxed()
    }

    fn of(text: &'static str) -> Body {
        stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).boxed()
    }

    fn broken() -> Error {
        Error::Generic { store: "test", source: "broken".into() }
    }

    /// The next piece, where the answers are these; and how many were asked for.
    fn ran(line: &Line, body: Body, in_vain: u32, answers: impl Fn(usize) -> Result<Body>) -> (Came, usize) {
        let asked = AtomicUsize::new(0);
        let rest = || {
            let answer = answers(asked.fetch_add(1, Ordering::SeqCst));
            async move { answer }.boxed()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came = runtime.block_on(async {
            // The deadline only ends what hangs.
            tokio::time::timeout(Duration::from_secs(60), next(body, line, in_vain, rest)).await.unwrap()
        });
        (came, asked.into_inner())
    }

    fn text(came: &Came) -> &[u8] {
        came.piece.as_ref().unwrap().as_ref().unwrap()
    }

    #[test]
    fn what_is_there_is_taken_and_nothing_is_asked_for() {
        let (came, asked) = ran(&line(Duration::ZERO), of("first"), 0, |_| Ok(of("second")));
        assert_eq!((text(&came), came.is_second, came.in_vain, asked), (&b"first"[..], false, 0, 0));
    }

    #[test]
    fn a_second_answer_is_read_on_where_the_first_has_stalled() {
        let (came, asked) = ran(&line(Duration::from_millis(1)), stalled(), 0, |_| Ok(of("second")));
        assert_eq!((text(&came), came.is_second, came.in_vain, asked), (&b"second"[..], true, 0, 1));
    }

    #[test]
    fn answers_that_stall_break_or_are_refused_are_asked_for_again_beside_the_first() {
        let (came, asked) = ran(&line(Duration::from_millis(1)), stalled(), 0, |number| match number {
            0 => Ok(stalled()),
            1 => Err(broken()),
            2 => Ok(stream::iter([Err(broken())]).boxed()),
            3 => Ok(stream::empty().boxed()),
            _ => Ok(of("last")),
        });
        assert_eq!((text(&came), came.is_second, asked), (&b"last"[..], true, 5));
    }

    #[test]
    fn what_was_asked_for_in_vain_is_told() {
        let third = Arc::new(Notify::new());
        let (came, asked) = ran(&line(Duration::from_millis(1)), slow(Arc::clone(&third)), 3, |number| {
            if number == 2 {
                third.notify_one();
            }
            Ok(stalled())
        });
        assert_eq!((text(&came), came.is_second), (&b"slow"[..], false));
        assert!(asked >= 3 && came.in_vain == asked as u32, "{asked}");
    }

    #[test]
    fn an_answer_that_waits_for_a_busy_store_is_not_asked_for_again() {
        let first = Arc::new(Notify::new());
        let (asked, line) = (AtomicUsize::new(0), line(Duration::from_millis(1)));
        let rest = || {
            asked.fetch_add(1, Ordering::SeqCst);
            first.notify_one();
            futures::future::pending().boxed()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came = runtime.block_on(next(slow(Arc::clone(&first)), &line, 0, rest));
        assert_eq!((text(&came), asked.into_inner()), (&b"slow"[..], 1));
    }

    #[test]
    fn nothing_is_asked_for_twice_that_nothing_is_left_for() {
        let line = line(Duration::from_millis(1));
        while line.allowance.take() {}
        let at_once = Arc::new(Notify::new());
        at_once.notify_one();
        let (came, asked) = ran(&line, slow(at_once), 0, |_| Ok(of("second")));
        assert_eq!((text(&came), asked), (&b"slow"[..], 0));
    }

    #[test]
    fn the_end_is_an_end() {
        let (came, asked) = ran(&line(NEVER), stream::empty().boxed(), 0, |_| Ok(of("second")));
        assert!(came.piece.is_none() && !came.is_second && asked == 0);
    }
}
