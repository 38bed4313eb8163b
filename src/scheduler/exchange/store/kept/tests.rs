use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use futures::task::noop_waker;
use std::sync::OnceLock;

use super::*;
use crate::graph::StageId;
use crate::scheduler::sketch::{batch, numbers, schema};

/// Bytes that a batch of one number takes, about.
const BATCH_BYTES: usize = 64;

struct Shelf {
    kept: Kept,
    memory: Memory,
}

impl Shelf {
    /// For so many readers, in a pool of so many bytes.
    fn new(readers: usize, limit: usize) -> Self {
        let pool = Arc::new(GreedyMemoryPool::new(limit));
        let env = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let context = Arc::new(TaskContext::default().with_runtime(env));
        let memory = Memory { stage: StageId::new(0), context, reservation: OnceLock::new() };
        Self { kept: Kept::new(readers), memory }
    }

    fn push(&self, number: i64) -> bool {
        self.kept.push(batch([number]), &self.memory).is_ok()
    }

    fn run(&self, first: i64) -> Arc<Run> {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let files = SpillManager::new(self.memory.context.runtime_env(), metrics, schema());
        let run = Arc::new(Run::new(&files).unwrap());
        run.append(&batch([first])).unwrap();
        run
    }

    /// What a reader gets, in a word.
    fn next(&self, reader: usize) -> String {
        match self.kept.poll(reader, &self.memory, &mut Context::from_waker(&noop_waker())) {
            Poll::Pending => "waits".into(),
            Poll::Ready(Next::Batch(batch)) => format!("{:?}", numbers(&batch)),
            Poll::Ready(Next::OfRun(_, more)) => format!("{more} of a run"),
            Poll::Ready(Next::Failure(error)) => error.to_string(),
            Poll::Ready(Next::End) => "end".into(),
        }
    }

    fn held(&self) -> usize {
        self.memory.context.memory_pool().reserved()
    }

    fn close(&self, reader: usize) {
        self.kept.close(reader, &self.memory);
    }
}

#[test]
fn each_reader_gets_all_in_order_and_what_all_have_passed_is_let_go() {
    let shelf = Shelf::new(2, 1 << 20);
    shelf.kept.open(0).unwrap();
    assert_eq!(shelf.next(0), "waits");
    assert!((0..3).all(|number| shelf.push(number)));
    let all = shelf.held();
    assert!(all >= 3 * 8);
    assert_eq!([(); 4].map(|()| shelf.next(0)), ["[0]", "[1]", "[2]", "waits"]);
    assert_eq!(shelf.held(), all, "another reader is known, though it has not come");
    shelf.kept.end(End::Done, &shelf.memory);
    assert_eq!(shelf.next(0), "end");
    shelf.close(0);
    shelf.kept.open(1).unwrap();
    assert!(shelf.kept.open(1).is_err(), "read twice");
    for number in 0..3 {
        assert_eq!(shelf.next(1), format!("[{number}]"));
        assert_eq!(shelf.held(), all / 3 * (2 - number));
    }
    assert_eq!([shelf.next(1), shelf.next(1)], ["end", "end"]);
}

#[test]
fn a_reader_that_closes_lets_go_of_what_it_alone_had_still_to_take() {
    let shelf = Shelf::new(3, 1 << 20);
    assert!((0..4).all(|number| shelf.push(number)));
    let each = shelf.held() / 4;
    assert_eq!([shelf.next(0), shelf.next(0), shelf.next(1)], ["[0]", "[1]", "[0]"]);
    assert_eq!(shelf.held(), 4 * each);
    shelf.close(2);
    assert_eq!(shelf.held(), 3 * each);
    shelf.close(1);
    assert_eq!(shelf.held(), 2 * each);
    assert!(shelf.kept.is_wanted());
    shelf.close(0);
    assert_eq!((shelf.held(), shelf.kept.is_wanted()), (0, false));
    assert!(shelf.push(4), "a batch that was on its way");
    assert_eq!(shelf.held(), 0);
    assert!(shelf.next(0).contains("was stopped"), "a part of the rows is not taken for all");
}

#[test]
fn an_error_comes_to_each_reader_behind_the_rows_before_it() {
    let shelf = Shelf::new(2, 1 << 20);
    assert!(shelf.push(7));
    let error = |text: &str| Arc::new(DataFusionError::Execution(text.into()));
    shelf.kept.end(End::Failed(error("a file broke")), &shelf.memory);
    shelf.kept.end(End::Failed(error("another")), &shelf.memory);
    for reader in 0..2 {
        assert_eq!(shelf.next(reader), "[7]");
        assert_eq!(shelf.next(reader), "Execution error: a file broke");
    }
}

#[test]
fn a_run_is_read_while_it_grows_and_left_when_it_cannot() {
    let shelf = Shelf::new(2, 1 << 20);
    let run = shelf.run(0);
    shelf.kept.push_run(Arc::clone(&run), &shelf.memory);
    assert_eq!([shelf.next(0), shelf.next(0)], ["1 of a run", "waits"]);
    for number in 1..3 {
        run.append(&batch([number])).unwrap();
        shelf.kept.appended(&shelf.memory);
    }
    assert_eq!([shelf.next(0), shelf.next(0)], ["2 of a run", "waits"]);
    assert_eq!(shelf.next(1), "3 of a run");
    assert!(Arc::ptr_eq(&shelf.kept.last_run().unwrap(), &run));
    assert!(shelf.push(3));
    assert!(shelf.kept.last_run().is_none());
    assert_eq!([shelf.next(0), shelf.next(0)], ["[3]", "waits"]);
    let other = shelf.run(4);
    shelf.kept.push_run(other, &shelf.memory);
    shelf.kept.end(End::Done, &shelf.memory);
    for reader in 0..2 {
        let ahead = if reader == 0 { vec![] } else { vec![shelf.next(1)] };
        assert!(ahead.iter().all(|next| next == "[3]"));
        assert_eq!([shelf.next(reader), shelf.next(reader)], ["1 of a run", "end"]);
    }
    assert_eq!(Arc::strong_count(&run), 1, "its file goes with the last that has passed it");
    assert_eq!(shelf.held(), 0);
}

#[test]
fn a_store_holds_no_more_than_its_share_and_gives_back_what_is_beyond() {
    let shelf = Shelf::new(1, 4 * 10 * BATCH_BYTES);
    let mut held = 0;
    while shelf.push(held) {
        held += 1;
        assert!(held < 1_000);
    }
    assert!((1..=10 * BATCH_BYTES).contains(&shelf.held()));
    let before = shelf.held();
    let batch = shelf.kept.push(batch([held]), &shelf.memory).unwrap_err();
    assert_eq!((numbers(&batch), shelf.held()), (vec![held], before));
    assert_eq!(shelf.next(0), "[0]");
    assert!(shelf.push(held), "there is room again");
}

#[test]
fn a_batch_that_is_kept_in_slices_counts_once() {
    let shelf = Shelf::new(1, 1 << 20);
    let whole = batch(0..1_000);
    for at in 0..100 {
        shelf.kept.push(whole.slice(at * 10, 10), &shelf.memory).unwrap();
    }
    assert!((8_000..10_000).contains(&shelf.held()), "{} bytes", shelf.held());
    for _ in 0..100 {
        shelf.next(0);
    }
    assert_eq!(shelf.held(), 0);
}
