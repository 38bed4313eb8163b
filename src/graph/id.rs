//! Names of things in a graph; each is an index that means something in one graph only.

use std::fmt;

/// A stage of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(u32);

/// An edge of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(u32);

/// A task: one partition of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The stage.
    pub stage: StageId,
    /// The partition of the stage's output that the task computes.
    pub partition: usize,
}

impl StageId {
    /// The stage at an index of [`TaskGraph::stages`](super::TaskGraph::stages).
    pub fn new(index: usize) -> Self {
        Self(narrow(index))
    }

    /// Where the stage is in [`TaskGraph::stages`](super::TaskGraph::stages).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl EdgeId {
    /// The edge at an index of [`TaskGraph::edges`](super::TaskGraph::edges).
    pub fn new(index: usize) -> Self {
        Self(narrow(index))
    }

    /// Where the edge is in [`TaskGraph::edges`](super::TaskGraph::edges).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A graph of so many stages does not fit in memory.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stage, self.partition)
    }
}
