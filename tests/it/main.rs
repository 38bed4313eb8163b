//! The integration tests, one binary.

mod engine;
mod slt;
mod tidy;
mod tpch;
