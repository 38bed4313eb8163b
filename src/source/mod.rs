//! Where tables come from.

pub mod file;
pub mod functions;
