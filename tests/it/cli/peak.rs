//! The most memory that a process ever held.

use std::fs;
use std::time::Duration;

use super::{Done, Query};

/// Runs a query to its end; gives the most memory that it ever held, and how it ended. Its standard output
/// is to go elsewhere: nobody reads it meanwhile.
pub(super) fn peak(query: Query) -> (u64, Done) {
    let mut running = query.start();
    let status = format!("/proc/{}/status", running.child.id());
    let mut most = 0;
    let mut samples = 0;
    // The kernel keeps the maximum itself, so that no peak falls between two looks; it is gone with the process.
    while running.child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            most = most.max(kilobytes << 10);
            samples += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(samples > 3 && most > 10 << 20, "{samples} samples, {most} bytes: that is no measurement");
    (most, running.wait())
}
