//! The same from other programs, from the same server: `peers.py` in the folders of Python that `benches/setup.sh` makes.

use std::process::Command;

use crate::{Bench, median};

/// Programs, and the folder of the Python that has them.
const PEERS: [(&str, &str); 2] = [("duckdb", "duckdb1"), ("polars", "peers")];
const RUNS: usize = 3;
/// After so long there are no more runs.
const SECONDS_MAX: f64 = 5.0;

/// Prints how long peers take for a case, each time in a new process, and our time over theirs.
pub(crate) fn beside(bench: &Bench, case: &str, ours: f64) {
    for (peer, place) in PEERS {
        let python = bench.folder.join(place).join("bin/python");
        if !python.exists() {
            println!("    {peer:8} is not there: benches/setup.sh installs it");
            continue;
        }
        let mut times = Vec::new();
        let mut seen = bench.server.seen();
        while times.len() < RUNS && times.iter().sum::<f64>() < SECONDS_MAX {
            bench.server.calm();
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/stores/peers.py");
            let done =
                Command::new(&python).args([script, peer, case, &bench.server.address]).output().unwrap();
            assert!(done.status.success(), "{peer}, {case}: {}", String::from_utf8_lossy(&done.stderr));
            seen = bench.server.seen();
            times.push(String::from_utf8_lossy(&done.stdout).trim().parse::<f64>().unwrap());
        }
        let theirs = median(times);
        println!(
            "    {peer:8} {theirs:6.3} s  {:5} requests, {:3} at once;  ours {:.2} of it",
            seen.requests,
            seen.together,
            ours / theirs
        );
    }
}
