//! Where in a job an error came from.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

use datafusion::error::DataFusionError;

use super::find;

/// A task that failed, and why.
#[derive(Debug)]
pub struct TaskFailure {
    /// The number of its stage.
    pub stage: usize,
    /// What the stage mainly does.
    pub op: &'static str,
    /// The partition that the task computes.
    pub task: usize,
    /// How many tasks the stage has.
    pub tasks: usize,
    source: DataFusionError,
}

impl TaskFailure {
    /// An error with its place in a job. One that comes from another task keeps the place it has.
    pub fn locate(
        stage: usize,
        op: &'static str,
        task: usize,
        tasks: usize,
        source: DataFusionError,
    ) -> DataFusionError {
        match find::<Self>(&source) {
            Some(_) => source,
            None => DataFusionError::External(Box::new(Self { stage, op, task, tasks, source })),
        }
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, op, task, tasks, source } = self;
        write!(f, "task {} of {tasks} of stage {stage} ({op}): {source}", task + 1)
    }
}

impl StdError for TaskFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// The error that a panic of an operator becomes.
pub fn panicked(panic: &(dyn Any + Send)) -> DataFusionError {
    DataFusionError::Internal(panic_message(panic))
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a part of the program panicked".into())
}
