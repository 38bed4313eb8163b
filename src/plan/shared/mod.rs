//! Shared stages: what a query has more than once is computed once, and read by all.
//!
//! DataFusion puts the query of a view or of a common table expression in the place of each of its names, and computes
//! it as often as it is named. Here it becomes a stage with several readers, so that the task graph is a DAG:
//!
//! ```text
//!  analysed plan ─find─▶ a table for each repeat ─optimise─▶ what readers want of it is noted in their scans
//!                              │                                      │ settle
//!                              └───── the subplan ─────▶ with what all want, optimised and planned on its own,
//!                                                        or back in its readers where that costs less (`decide`)
//!                                                                     │
//!  one stage, an edge for each reader ◀─lower─ the same leaf in each reader
//! ```
//!
//! Nothing crosses the leaf: no filter made while the query runs, no limit, no order that a reader would like. What
//! crosses is settled before the subplan is cut out: the columns that some reader needs, and a condition that each row
//! meets that some reader needs.

mod decide;
mod exec;
mod find;
mod lineage;
mod marker;
mod needs;
mod settle;
mod survey;
mod table;

pub use exec::{SharedExec, ShownOnce};
pub use find::FindShared;
pub use marker::{Wish, marked};
pub use settle::{parts, settled, unshared};
pub use table::ShareId;
