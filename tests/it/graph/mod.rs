//! Task graphs of whole queries.

mod lower;
mod stock;
