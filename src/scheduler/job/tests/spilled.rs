//! Rows that find no room in memory.

use datafusion::execution::memory_pool::{MemoryPool, MemoryReservation, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;

use super::*;

/// Refuses what can spill more than a little.
#[derive(Debug)]
pub(super) struct Tight(pub(super) UnboundedMemoryPool);

impl MemoryPool for Tight {
    fn name(&self) -> &str {
        "tight"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        self.0.shrink(reservation, bytes);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().can_spill() && reservation.size() + additional > 10_000 {
            return Err(DataFusionError::ResourcesExhausted("too much".into()));
        }
        self.0.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.0.reserved()
    }
}

impl std::fmt::Display for Tight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tight")
    }
}

#[test]
fn rows_beyond_the_limit_of_memory_go_to_disk_and_come_back() {
    on_each_engine(async |engine| {
        let pool = Arc::new(Tight(UnboundedMemoryPool::default()));
        let env = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let context = TaskContext::default().with_runtime(Arc::clone(&env));
        let mut sketch = Sketch::new();
        let from = sketch.stage(many(2, 40, 1_000));
        let shuffled = sketch.spec(from, ordered(EdgeKind::Shuffle, 4));
        let middle = sketch.stage(shuffled);
        let merged = sketch.spec(middle, ordered(EdgeKind::Merge, 1));
        let root = sketch.stage(merged);
        let job = submit(sketch.finish(root), engine, context);
        let mut rows = job.rows();
        let mut found = Vec::new();
        // A slow reader: everything behind it fills up first.
        while let Some(batch) = in_time(rows.next()).await {
            found.extend(numbers(&batch.unwrap()));
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        drop(rows);
        assert_eq!(found, (0..80_000).collect::<Vec<_>>());
        let weak = Arc::downgrade(&job.job);
        assert!(job.ended().await.iter().any(|what| matches!(what, What::Spilled(..))));
        assert!(weak.upgrade().is_none(), "a job that is over is held");
        assert_eq!(env.memory_pool.reserved(), 0);
    });
}
