//! Where tables come from.

pub mod file;
