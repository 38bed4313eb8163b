//! What users write, turned into logical plans. Nothing here runs anything.

pub mod frame;
pub mod functions;
pub mod materialized;
pub mod sql;
pub mod summarize;
