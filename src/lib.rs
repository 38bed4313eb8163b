//! `query`: a SQL and DataFrame engine with a command-line shell.
//!
//! The modules in the order in which a query passes them; each imports only those below it
//! (`ARCHITECTURE.md` has the table, `tests/it/tidy.rs` checks it).

pub mod cli;
pub mod session;
pub mod frontend;
pub mod output;
pub mod plan;
pub mod source;
pub mod memory;
pub mod config;
pub mod error;
pub mod scratch;

pub use error::{Error, Result};
pub use session::Session;
