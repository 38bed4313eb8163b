//! Trouble between the program and S3 while it writes: the whole object, or none and one clear error.

use std::time::Duration;

use query::session::SessionOptions;
use query::store::Patience;

use crate::engine;
use crate::servers::{Fault, Plan, Proxy, S3};

use super::{Place, Server, write};

/// So many of a hundred requests are hit.
const PERCENT: u8 = 30;
const SEEDS: u64 = 4;
/// S3 takes no part that is smaller, but the last one.
const PART_BYTES: usize = 5 << 20;

/// Three parts.
const LARGE: &str = "SELECT value AS n, md5(value::text) AS text FROM generate_series(1, 300000)";
/// Objects of a few bytes each, that appear together.
const SMALL: &str = "SELECT value AS n, value % 5 AS k FROM generate_series(1, 500)";
const FOLDERS: usize = 5;

const OLD: &str = "n,text\n0,old\n";

/// What became of the writes under a fault.
#[derive(Debug, Default)]
struct Ends {
    done: usize,
    errors: Vec<String>,
}

/// Writes of both kinds, with some seeds. What is there must be whole each time, and nothing else may be left.
fn under(fault: Fault) -> Ends {
    // Bucket names have small letters.
    let place = Place::new(Server::S3, &format!("faults-{}", format!("{fault:?}").to_lowercase()));
    engine::runtime().block_on(async {
        let proxy = Proxy::start(S3::get().address(), Plan::calm());
        let whole = large(&place, &proxy, "whole.csv").await;
        whole.unwrap();
        let whole = place.bytes("whole.csv").await.unwrap();
        assert!(whole.len() > 2 * PART_BYTES && whole.len() < 3 * PART_BYTES, "{}", whole.len());
        let mut ends = Ends::default();
        let mut hit = 0;
        for seed in 0..SEEDS {
            let name = format!("large-{seed}.csv");
            // Half of the time there is one already.
            let old = (seed % 2 == 1).then(|| OLD.as_bytes().to_vec());
            if old.is_some() {
                let session = place.session().await;
                let sql = format!("COPY (SELECT 0 AS n, 'old' AS text) TO '{}'", place.url(&name));
                write(&session, &sql).await.unwrap();
                assert_eq!(place.bytes(&name).await, old);
            }
            proxy.follow(Plan::of(fault, PERCENT, seed));
            let written = large(&place, &proxy, &name).await;
            hit += proxy.seen().faults.len();
            assert_nothing_open(&place, fault, seed);
            let found = place.bytes(&name).await;
            match &written {
                Ok(_) => assert!(found.as_ref() == Some(&whole), "{fault:?}, seed {seed}"),
                // It may be there although the answer to the last request was lost.
                Err(error) => {
                    assert!(found == old || found.as_ref() == Some(&whole), "{fault:?}, seed {seed}: {error}")
                }
            }
            ends.note(&place.url(&name), written);

            proxy.follow(Plan::of(fault, PERCENT, seed));
            let folder = format!("small-{seed}/");
            let written = small(&place, &proxy, &folder).await;
            hit += proxy.seen().faults.len();
            assert_nothing_open(&place, fault, seed);
            let names = place.names().await;
            let found = names.iter().filter(|name| name.starts_with(&folder)).count();
            let wanted = if written.is_ok() { FOLDERS } else { 0 };
            assert_eq!(found, wanted, "{fault:?}, seed {seed}: {written:?}");
            ends.note(&place.url(&folder), written);
        }
        assert!(hit > 0, "{fault:?} never happened");
        ends
    })
}

impl Ends {
    /// An error is one line, and names what was to be written.
    fn note(&mut self, url: &str, written: query::Result<u64>) {
        match written {
            Ok(_) => self.done += 1,
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(url) && error.lines().count() == 1, "{error}");
                self.errors.push(error);
            }
        }
    }
}

fn assert_nothing_open(place: &Place, fault: Fault, seed: u64) {
    let (uploads, parts) =
        (S3::get().unfinished_uploads(&place.name), S3::get().unfinished_parts(&place.name));
    assert_eq!((uploads, parts), (0, 0), "uploads and parts that are left: {fault:?}, seed {seed}");
}

async fn through(place: &Place, proxy: &Proxy, sql: &str) -> query::Result<u64> {
    // What stalls is given up soon: loopback answers at once, and the test is to end.
    let patience = Patience {
        wait_min: Duration::from_millis(300),
        wait_max: Duration::from_secs(1),
        sent_bytes_per_second: 50 << 20,
        ..Patience::default()
    };
    let options = SessionOptions { patience: Some(patience), ..SessionOptions::default() };
    let session = place.session_with(options, &proxy.endpoint()).await;
    let settings = format!("SET datafusion.execution.objectstore_writer_buffer_size = {PART_BYTES}");
    write(&session, &format!("{settings}; {sql}")).await
}

async fn large(place: &Place, proxy: &Proxy, name: &str) -> query::Result<u64> {
    through(place, proxy, &format!("COPY ({LARGE}) TO '{}'", place.url(name))).await
}

async fn small(place: &Place, proxy: &Proxy, folder: &str) -> query::Result<u64> {
    let sql = format!("COPY ({SMALL}) TO '{}' STORED AS csv PARTITIONED BY (k)", place.url(folder));
    through(place, proxy, &sql).await
}

/// Trouble that passes is not to be seen.
fn passes(fault: Fault) {
    let ends = under(fault);
    assert!(ends.errors.is_empty(), "{fault:?}: {:#?}", ends.errors);
}

#[test]
fn writes_to_a_busy_server_are_sent_again() {
    passes(Fault::Busy);
}

#[test]
fn writes_whose_answer_is_lost_are_sent_again() {
    passes(Fault::Reset);
}

#[test]
fn writes_whose_answer_ends_early_are_sent_again() {
    passes(Fault::Truncated);
}

#[test]
fn writes_that_stall_are_sent_again() {
    passes(Fault::Stall);
}

#[test]
fn credentials_that_expire_during_a_write_are_one_error() {
    let ends = under(Fault::Expired);
    assert!(!ends.errors.is_empty(), "{} writes saw nothing of it", ends.done);
    let unclear: Vec<_> =
        ends.errors.iter().filter(|error| !error.to_lowercase().contains("expired")).collect();
    assert!(unclear.is_empty(), "{unclear:#?}");
}
