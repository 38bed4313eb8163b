//! Where tables come from: files by path, pattern or folder.
//!
//! ```text
//! 'a/**/*.csv' ─find─> files ─format─> how each is read ─shape─> its own columns ─unite─> one schema
//!                        │                                                                   │
//!                        └─partition─> keys in folder names ──────────────> table ───────────┘
//!                                                                             │ scan
//!                            batches <─guard── by_name ──bytes── store <──────┘
//! ```

mod arrow_check;
mod avro;
mod by_name;
mod bytes;
mod external;
pub mod file;
mod find;
mod format;
pub mod functions;
mod guard;
mod json_array;
mod partition;
mod prune;
mod record_limit;
mod shape;
mod spool;
mod table;
mod unite;

use std::future::Future;

pub use external::ExternalTables;
pub use file::Files;
pub use find::{DataFile, find};
pub use format::Format;

tokio::task_local! {
    static FILENAME: bool;
}

/// Does some planning in which tables of files have the virtual column `filename`, if that is wanted: the
/// planner asks for tables by name only, so the wish has to travel beside it.
pub async fn with_filename<T>(wanted: bool, planning: impl Future<Output = T>) -> T {
    FILENAME.scope(wanted, planning).await
}

fn filename_is_wanted() -> bool {
    FILENAME.try_with(|wanted| *wanted).unwrap_or(false)
}
