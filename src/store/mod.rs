//! The stores of the network: S3, Google Cloud Storage, Azure, web servers, HDFS.
//!
//! ```text
//! engine ─get_store─> Stores ─> Remote ─────> I/O threads ─> Patient ──────> object_store ─> counted ─> sockets
//!                       │        which secret                 again, by      (signs, parses)  (wire)
//!                       │        is for this key              range
//!                       └─> Local: what the page cache has, at once
//! ```

mod allowance;
mod aside;
mod beside;
mod build;
mod counted;
pub mod credentials;
mod ends;
pub mod file;
pub mod io;
mod line;
mod local;
mod location;
mod metered;
mod patience;
mod patient;
mod pulse;
mod pump;
mod registry;
mod remote;
pub mod secret;
pub mod setting;
mod tries;
mod trouble;
mod upload;
mod usual;
mod wire;
mod wording;

pub use aside::without_query;
pub use counted::Usage;
pub use location::Location;
pub use metered::metered;
pub use patience::Patience;
pub use registry::{StoreOptions, Stores};
pub use secret::{Kind, Secret, Secrets};
