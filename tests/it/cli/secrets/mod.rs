//! Secrets: the statements about them, the configuration file, and that their values are shown by nothing.

mod file;
mod hidden;
mod places;
mod statements;
