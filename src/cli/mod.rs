//! The command line: arguments, running scripts, the interactive shell, telling people what went wrong.

mod args;
mod data;
mod execute;
mod graph;
mod output;
mod progress;
mod record;
mod report;
mod run;
mod script;
mod secrets;
mod shell;
mod supervise;

use std::process::ExitCode;
use std::thread;

use crate::config::STACK_BYTES;
use crate::error::{Error, Result};

/// Runs the command line and gives the process's exit code: 0 done, 1 a statement failed, 2 wrong usage,
/// 130 Ctrl-C, 143 a polite kill. `fit_allocator` is told the limit of memory in bytes before anything runs.
pub fn main(fit_allocator: fn(usize)) -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let reporter = report::Reporter::new(args.color);
    // A panic's message becomes the error that is reported; the default hook would print it twice.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = thread::Builder::new()
        .name("query".into())
        .stack_size(STACK_BYTES)
        .spawn(move || match args.is_shell {
            true => shell::main(args, fit_allocator, reporter),
            false => run::main(args, fit_allocator, reporter),
        })
        .map_err(|source| Error::io("start a thread for", "query", source))
        .and_then(|thread| thread.join().map_err(|panic| supervise::panicked(panic.as_ref())));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(reporter.fail(&error)),
    }
}

/// Runs work that must not take the process down with it.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(supervise::panicked(panic.as_ref())))
}
