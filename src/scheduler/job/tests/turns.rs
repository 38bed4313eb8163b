//! Tasks that wake others and go on by themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures::channel::oneshot;

use super::*;

/// What tells when it has come.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Keeps the thread until it is set.
    fn hold(&self) {
        let pause = Duration::from_millis(1);
        let is_set = || self.0.load(Ordering::SeqCst);
        let waited = (0..DEADLINE.as_millis()).any(|_| {
            thread::sleep(pause);
            is_set()
        });
        assert!(waited, "the other task does not go on");
    }
}

/// The second task waits for the first, which gets a batch from an operator below it then, and keeps its thread until
/// the second has gone on.
#[test]
fn a_task_that_is_woken_runs_on_an_idle_thread_while_the_one_that_woke_it_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (waits, goes_on) = (Flag::default(), Flag::default());
    let (wake, woken) = oneshot::channel();
    let (wake, woken) = (std::sync::Mutex::new(Some(wake)), std::sync::Mutex::new(Some(woken)));
    let rows = source(2, move |partition| {
        let (waits, goes_on) = (waits.clone(), goes_on.clone());
        if partition == 0 {
            let wake = wake.lock().unwrap().take().unwrap();
            let below = NamedExec::around(batches(vec![vec![batch([0])]]));
            let mut below = below.execute(0, Arc::default()).unwrap();
            let first = async move {
                waits.hold();
                wake.send(()).unwrap();
                let rows = below.next().await.unwrap();
                goes_on.hold();
                rows
            };
            return stream::once(first).boxed();
        }
        let woken = woken.lock().unwrap().take().unwrap();
        let second = async move {
            waits.set();
            woken.await.unwrap();
            goes_on.set();
            Ok(batch([1]))
        };
        stream::once(second).boxed()
    });
    let graph = through(rows, spec(EdgeKind::Gather, 1));
    let engine = Engine::Local(Workers::of_the_process(2).unwrap());
    let found = runtime.block_on(async { submit(graph, engine, TaskContext::default()).collect().await });
    assert_eq!(BTreeSet::from_iter(found.unwrap()), BTreeSet::from([0, 1]));
}
