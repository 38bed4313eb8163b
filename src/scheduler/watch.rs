//! Counts the memory that a job and each of its stages hold.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

use crate::context::copied;

/// An amount, and the most that it has been.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    fn grow(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn shrink(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is held now.
    pub(super) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// The most that was held at a time.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A memory pool seen from a stage, or from a job's exchanges: it counts what goes through it.
#[derive(Debug)]
struct Watched {
    pool: Arc<dyn MemoryPool>,
    gauges: Vec<Arc<Gauge>>,
}

/// A context whose memory is counted by these gauges as well.
pub(super) fn watched(context: &TaskContext, gauges: Vec<Arc<Gauge>>) -> Arc<TaskContext> {
    let pool = Watched { pool: Arc::clone(context.memory_pool()), gauges };
    let runtime = RuntimeEnv { memory_pool: Arc::new(pool), ..context.runtime_env().as_ref().clone() };
    Arc::new(copied(context).with_runtime(Arc::new(runtime)))
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

impl MemoryPool for Watched {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.gauges.iter().for_each(|gauge| gauge.grow(additional));
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        self.pool.shrink(reservation, bytes);
        self.gauges.iter().for_each(|gauge| gauge.shrink(bytes));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional)?;
        self.gauges.iter().for_each(|gauge| gauge.grow(additional));
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_follow_what_goes_through_and_keep_the_peak() {
        let context = TaskContext::default();
        let (stage, job) = (Arc::new(Gauge::default()), Arc::new(Gauge::default()));
        let of_stage = watched(&context, vec![Arc::clone(&stage), Arc::clone(&job)]);
        let of_job = watched(&context, vec![Arc::clone(&job)]);
        let held = MemoryConsumer::new("sort").register(of_stage.memory_pool());
        held.try_grow(100).unwrap();
        held.shrink(60);
        let other = MemoryConsumer::new("exchange").register(of_job.memory_pool());
        other.grow(70);
        assert_eq!((stage.now(), stage.peak()), (40, 100));
        assert_eq!((job.now(), job.peak()), (110, 110));
        assert_eq!(context.memory_pool().reserved(), 110);
        drop((held, other));
        assert_eq!((stage.now(), job.now(), context.memory_pool().reserved()), (0, 0, 0));
        assert_eq!((stage.peak(), job.peak()), (100, 110));
    }
}
