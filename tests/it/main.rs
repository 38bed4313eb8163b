//! The integration tests, one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cancel;
mod cli;
mod corrupt;
mod drawing;
mod engine;
mod fixtures;
mod graph;
mod narrowed;
mod shell;
mod frame;
mod progress;
mod slt;
mod summarize;
mod tidy;
mod tpch;
