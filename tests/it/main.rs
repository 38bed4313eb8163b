//! The integration tests, one binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cancel;
mod cli;
mod corrupt;
mod credentials;
mod drawing;
mod engine;
mod faults;
mod fixtures;
mod graph;
mod hdfs;
mod narrowed;
mod shell;
mod frame;
mod progress;
mod remote;
mod remote_tables;
mod remote_tpch;
mod remote_writes;
mod secrets;
mod servers;
mod slt;
mod stores;
mod summarize;
mod tidy;
mod tpch;
mod writes;
