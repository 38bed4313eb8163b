//! Where in a job an error came from.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

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
    /// The operator of the stage that the error comes from, where it is known.
    pub operator: Option<Arc<str>>,
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
            None => {
                let operator = find::<OperatorFailure>(&source).map(|failure| Arc::clone(&failure.operator));
                DataFusionError::External(Box::new(Self { stage, op, task, tasks, operator, source }))
            }
        }
    }
}

impl TaskFailure {
    /// Where it happened, in words.
    pub fn place(&self) -> String {
        let Self { stage, op, task, tasks, operator, source: _ } = self;
        let operator = operator.as_ref().map(|operator| format!(", {operator}")).unwrap_or_default();
        format!("stage {stage} ({op}), task {} of {tasks}{operator}", task + 1)
    }

    /// The failure that an error tells of, if it comes from a task.
    pub fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        find(error)
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.source)
    }
}

impl StdError for TaskFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// An error with the operator that it comes from.
#[derive(Debug)]
pub struct OperatorFailure {
    operator: Arc<str>,
    source: DataFusionError,
}

impl OperatorFailure {
    /// Marks an error on its way up. One that comes from an operator below, or from another task, is marked already.
    pub fn mark(operator: &Arc<str>, source: DataFusionError) -> DataFusionError {
        if find::<Self>(&source).is_some() || find::<TaskFailure>(&source).is_some() {
            return source;
        }
        DataFusionError::External(Box::new(Self { operator: Arc::clone(operator), source }))
    }
}

impl fmt::Display for OperatorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for OperatorFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// What stands in the place of rows that will not come, because what computes them was told to stop.
#[derive(Debug, thiserror::Error)]
#[error("the query was stopped")]
pub struct Stopped;

impl Stopped {
    /// It as an error of the engine.
    pub fn error() -> DataFusionError {
        DataFusionError::External(Box::new(Self))
    }

    /// Whether an error comes of nothing else.
    pub fn is_cause_of(error: &DataFusionError) -> bool {
        find::<Self>(error).is_some()
    }
}

/// The error that a panic becomes, with the operator that it came from.
pub fn panicked(panic: &(dyn Any + Send), operator: Option<&Arc<str>>) -> DataFusionError {
    let error = DataFusionError::Internal(panic_message(panic));
    match operator {
        Some(operator) => OperatorFailure::mark(operator, error),
        None => error,
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a part of the program panicked".into())
}
