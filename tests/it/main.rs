//! The integration tests, one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod engine;
mod frame;
mod slt;
mod tidy;
mod tpch;
