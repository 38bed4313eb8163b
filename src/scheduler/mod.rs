//! Runs task graphs: what is started and stopped when ([`state`]), on which threads ([`Engine`]), and how rows go
//! from stage to stage.

pub mod event;
mod exchange;
mod inline;
mod job;
mod local;
pub mod measure;
pub mod progress;
pub mod record;
#[cfg(test)]
mod sketch;
pub mod state;
mod watch;

pub use inline::Inline;
pub use job::{Job, JobId, JobOptions, Results};
pub use local::Workers;

use std::sync::Arc;

use futures::FutureExt;

/// Where a job's tasks are polled.
#[derive(Debug, Clone)]
pub enum Engine {
    /// On worker threads.
    Local(Workers),
    /// By whoever reads the results, one task at a time, in an order that a seed gives: for tests.
    Inline(Arc<Inline>),
}

impl Engine {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Stopper {
        match self {
            Self::Local(workers) => Stopper::Local(workers.spawn(task)),
            Self::Inline(inline) => Stopper::Inline(Arc::clone(inline), inline.spawn(task.boxed())),
        }
    }

    /// The number of the thread that asks, among those that poll tasks.
    fn worker(&self) -> event::Worker {
        match self {
            Self::Local(workers) => workers.current(),
            Self::Inline(_) => event::Worker(0),
        }
    }

    /// Whether tasks let others go on after each batch.
    fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }
}

/// Stops a task: it is dropped as soon as it lets go of its thread.
#[derive(Debug)]
enum Stopper {
    Local(tokio::task::AbortHandle),
    Inline(Arc<Inline>, inline::Slot),
}

impl Stopper {
    fn stop(&self) {
        match self {
            Self::Local(task) => task.abort(),
            Self::Inline(inline, slot) => inline.stop(*slot),
        }
    }
}
