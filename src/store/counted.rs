//! How much was asked of a store, and how much came back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::object_store::{Attribute, Extensions};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricCategory};

use crate::config::Bytes;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Request {
    /// The bytes of an object.
    Get,
    /// Its size and version.
    Head,
    /// What objects there are.
    List,
    /// An object or a part of one is made.
    Put,
    /// Everything else: uploads that begin and end, deletions, copies.
    Other,
}

/// Marks a result whose bytes did not come from the network now: they are counted already.
pub(super) const HERE: Attribute = Attribute::Metadata(Cow::Borrowed("query-here"));

/// Counts of a store. They only grow.
#[derive(Debug, Default)]
pub(super) struct Counts {
    get: AtomicU64,
    head: AtomicU64,
    list: AtomicU64,
    put: AtomicU64,
    other: AtomicU64,
    retried: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

impl Counts {
    /// One request is sent; `again` if it was sent before.
    pub(super) fn request(&self, request: Request, again: bool) {
        let count = match request {
            Request::Get => &self.get,
            Request::Head => &self.head,
            Request::List => &self.list,
            Request::Put => &self.put,
            Request::Other => &self.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if again {
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The request before was sent to go on with a body that broke.
    pub(super) fn resumed(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of an object have come.
    pub(super) fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes of an object have been sent.
    pub(super) fn written(&self, bytes: u64) {
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counts as they are now.
    pub(super) fn usage(&self) -> Usage {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Usage {
            get: of(&self.get),
            head: of(&self.head),
            list: of(&self.list),
            put: of(&self.put),
            other: of(&self.other),
            retried: of(&self.retried),
            read_bytes: of(&self.read_bytes),
            written_bytes: of(&self.written_bytes),
        }
    }
}

/// What was asked of a store in some time. Requests that were sent again count each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Requests for bytes of objects.
    pub get: u64,
    /// Requests for sizes and versions.
    pub head: u64,
    /// Requests for what there is.
    pub list: u64,
    /// Objects and parts of objects that were sent.
    pub put: u64,
    /// Other requests.
    pub other: u64,
    /// How many of all these were sent because one before them failed.
    pub retried: u64,
    /// Bytes of objects that were read.
    pub read_bytes: u64,
    /// Bytes of objects that were written.
    pub written_bytes: u64,
}

impl Usage {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.get + self.head + self.list + self.put + self.other
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            get: self.get.saturating_sub(before.get),
            head: self.head.saturating_sub(before.head),
            list: self.list.saturating_sub(before.list),
            put: self.put.saturating_sub(before.put),
            other: self.other.saturating_sub(before.other),
            retried: self.retried.saturating_sub(before.retried),
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
        }
    }
}

impl fmt::Display for Usage {
    /// `7 requests (1 list, 6 get; 2 of them again), 1.0 MiB read`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.requests();
        write!(f, "{requests} {}", if requests == 1 { "request" } else { "requests" })?;
        let kinds = [
            (self.list, "list"),
            (self.head, "head"),
            (self.get, "get"),
            (self.put, "put"),
            (self.other, "other"),
        ];
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        if !kinds.is_empty() {
            write!(f, " ({}", kinds.join(", "))?;
            match self.retried {
                0 => f.write_str(")")?,
                retried => write!(f, "; {retried} of them again)")?,
            }
        }
        write!(f, ", {} read", Bytes(self.read_bytes))?;
        if self.written_bytes > 0 {
            write!(f, ", {} written", Bytes(self.written_bytes))?;
        }
        Ok(())
    }
}

/// The counters of one scan. They travel with each of its requests, so that what is sent again counts too.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    requests: Count,
    retried: Count,
    bytes: Count,
}

impl Meter {
    /// Counters among a scan's metrics.
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            requests: MetricBuilder::new(metrics).counter("store_requests", partition),
            retried: MetricBuilder::new(metrics).counter("store_requests_again", partition),
            bytes: MetricBuilder::new(metrics)
                .with_category(MetricCategory::Bytes)
                .counter("store_bytes", partition),
        }
    }

    /// The meter of the scan that a request is for.
    pub(super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub(super) fn request(&self, again: bool) {
        self.requests.add(1);
        if again {
            self.retried.add(1);
        }
    }

    pub(super) fn resumed(&self) {
        self.retried.add(1);
    }

    pub(super) fn read(&self, bytes: usize) {
        self.bytes.add(bytes);
    }
}

/// The counts of a session's stores, by URL.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<String, Arc<Counts>>>);

impl Ledger {
    /// The counts of a store; they are kept when the store is opened anew.
    pub(super) fn of(&self, store: &str) -> Arc<Counts> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(store.to_string()).or_default())
    }

    /// What was asked of each store until now.
    pub(super) fn usage(&self) -> BTreeMap<String, Usage> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(store, counts)| (store.clone(), counts.usage())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_counted_and_worded() {
        let ledger = Ledger::default();
        let counts = ledger.of("s3://a/");
        counts.request(Request::List, false);
        counts.request(Request::Get, false);
        let before = ledger.usage()["s3://a/"];
        assert_eq!(before.to_string(), "2 requests (1 list, 1 get), 0 B read");
        ledger.of("s3://a/").request(Request::Get, true);
        counts.read(10);
        let since = ledger.usage()["s3://a/"] - before;
        assert_eq!(since.to_string(), "1 request (1 get; 1 of them again), 10 B read");
    }
}
