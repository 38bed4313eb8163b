//! Where tables come from: files by path, pattern, folder or URL.
//!
//! ```text
//! 'a/**/*.csv' ─find─> files ─format─> how each is read ─shape─> its own columns ─unite─> one schema
//!                        │                                                                   │
//!                        └─partition─> keys in folder names ──────────────> table ───────────┘
//!                                                                             │ scan
//!                            batches <─guard── by_name ──bytes── store <──────┘
//! ```

mod arrow_check;
mod at_once;
mod avro;
mod base;
mod by_name;
mod bytes;
mod declared;
mod external;
pub mod file;
mod find;
mod format;
pub mod functions;
mod guard;
mod json_array;
mod look;
mod partition;
mod prune;
mod quotes;
mod record_limit;
mod remote;
mod routed;
mod shape;
mod size;
mod spool;
mod statistics;
mod table;
mod unite;

use std::future::Future;

pub use base::{below, from_base, located};
pub use external::ExternalTables;
pub use file::Files;
pub use find::DataFile;
pub use format::Format;
pub use prune::{Narrowed, Tables};
pub use remote::Remotes;
pub use size::{ScanSize, size};

tokio::task_local! {
    static LOOKUP: Lookup;
}

/// What names that are no table's may mean. The engine asks for tables by name only, so this has to travel
/// beside the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lookup {
    /// Files.
    #[default]
    Files,
    /// Files, with the virtual column `filename`.
    NamedFiles,
    /// Nothing: a table is to be made or dropped, and a file of its name has nothing to do with it.
    Nothing,
}

impl Lookup {
    /// Does some work in which names are looked up so.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        LOOKUP.scope(self, work).await
    }

    fn current() -> Self {
        LOOKUP.try_with(|lookup| *lookup).unwrap_or_default()
    }
}
