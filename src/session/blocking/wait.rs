//! The process's own runtime, and waiting for what runs on it.

use std::sync::LazyLock;
use std::sync::mpsc::sync_channel;

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};

use crate::config::STACK_BYTES;
use crate::error::{Error, Result};

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("query-worker")
        .thread_stack_size(STACK_BYTES)
        .build()
});

/// Runs work on the process's runtime and waits for it.
pub(super) fn wait<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime =
        RUNTIME.as_ref().map_err(|error| Error::io("start the runtime for", "query", error.kind().into()))?;
    let (sender, receiver) = sync_channel(1);
    // The answer goes through a channel: waiting for a task by polling it is not allowed inside another.
    #[expect(clippy::disallowed_methods, reason = "a statement's driver is no task of a query")]
    runtime.spawn(async move {
        let done = std::panic::AssertUnwindSafe(work).catch_unwind().await;
        drop(sender.send(done));
    });
    match receiver.recv() {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(Error::Internal { message: panic_text(panic.as_ref()) }),
        Err(_) => Err(Error::Internal { message: "the runtime ended before the work did".into() }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a part of the program panicked").into()
}
