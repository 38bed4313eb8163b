//! When the sides of joins are read.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Two partitions of 30 numbers each, which are counted as they are given. Before the first of them comes, all of
/// `before` must have been given.
fn counted(given: &Arc<AtomicUsize>, before: &Arc<AtomicUsize>, all_before: usize) -> Arc<dyn ExecutionPlan> {
    let (given, before) = (Arc::clone(given), Arc::clone(before));
    source(2, move |partition| {
        let (given, before) = (Arc::clone(&given), Arc::clone(&before));
        let first = i64::try_from(partition).unwrap() * 30;
        let batches = stream::iter([0, 10, 20]).map(move |at| {
            assert_eq!(before.load(Ordering::SeqCst), all_before, "rows of the probe side came too soon");
            given.fetch_add(10, Ordering::SeqCst);
            Ok(batch(first + at..first + at + 10))
        });
        batches.boxed()
    })
}

#[test]
fn build_sides_start_in_their_order_and_a_probe_side_when_all_their_rows_are_given() {
    on_each_engine(async |engine| {
        let [built, probed] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let mut sketch = Sketch::new();
        let outer = sketch.stage(counted(&built, &probed, 0));
        let inner = sketch.stage(counted(&built, &probed, 0));
        let probe = sketch.stage(counted(&probed, &built, 120));
        let outer = sketch.edge(outer, EdgeKind::Gather, 1);
        let inner = sketch.edge(inner, EdgeKind::Gather, 1);
        let probe = sketch.edge(probe, EdgeKind::Shuffle, 2);
        let joined = sketch.stage(self_joined(
            outer,
            self_joined(inner, probe, PartitionMode::CollectLeft),
            PartitionMode::CollectLeft,
        ));
        let rows = sketch.edge(joined, EdgeKind::Gather, 1);
        let root = sketch.stage(rows);
        let job = submit(sketch.finish(root), engine, TaskContext::default());
        assert_eq!(job.collect().await.unwrap().len(), 60);
        assert_eq!((built.load(Ordering::SeqCst), probed.load(Ordering::SeqCst)), (120, 60));
        let all = job.ended().await;
        let at = |what: What| all.iter().position(|other| *other == what).unwrap();
        let started = [0, 1, 2].map(|stage| at(What::StageStarted(StageId::new(stage))));
        assert!(started.is_sorted(), "{started:?}");
    });
}
