//! When something was last heard of a request.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// When something was last heard of a request, and of those beside it.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Mutex<Instant>,
    news: Notify,
}

impl Default for Pulse {
    /// A request that is sent now.
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()), news: Notify::new() }
    }
}

impl Pulse {
    /// Something was heard.
    pub(super) fn beat(&self) {
        self.restart();
        self.news.notify_one();
    }

    /// The time is counted from now on, although nothing was heard.
    pub(super) fn restart(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nothing has been heard.
    pub(super) fn since(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until something is heard; at once if something was since this was last called.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}
