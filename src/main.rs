//! The `query` command: runs the command line and maps its outcome to an exit code.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    query::cli::main(allocator::fit)
}
