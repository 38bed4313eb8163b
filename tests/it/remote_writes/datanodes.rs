//! DataNodes that go away in the middle of a write.

use std::time::{Duration, Instant};

use crate::engine;
use crate::servers::{DATANODES, Hdfs, Trouble};

use super::source::Gated;
use super::{Place, Server, write};

/// Nothing here takes so long.
const HANG: Duration = Duration::from_secs(120);
/// Bytes that are read before the DataNodes go away, and those of them that are to be on their disks by then.
const BEFORE: u64 = 4 << 20;
const WRITTEN: u64 = 1 << 20;
/// Less than a block of 8 MiB, and more than three.
const SHORT: usize = 7 << 20;
const LONG: usize = 30 << 20;

/// A column of numbers of so many bytes at least.
fn numbers(bytes: usize) -> String {
    let mut text = String::from("n\n");
    let mut n = 0u64;
    while text.len() < bytes {
        text.push_str(&format!("{n}\n"));
        n += 1;
    }
    text
}

/// Writes a text, as a CSV file, and does something when a part of it is on the disks of all DataNodes, and the rest
/// waits. Gives what became of it.
async fn write_with(place: &Place, text: &str, then: impl FnOnce()) -> query::Result<u64> {
    let session = place.session().await;
    let (source, url) = Gated::start(&session, text, BEFORE).await;
    let settings = "SET datafusion.execution.objectstore_writer_buffer_size = 500000";
    let sql = format!("{settings}; COPY (FROM '{url}') TO '{}'", place.url("a.csv"));
    let before = Hdfs::get().growing();
    let trouble = async {
        let begun = Instant::now();
        let written = || {
            let mut copies = Hdfs::get().growing();
            copies.retain(|path, bytes| !before.contains_key(path) && *bytes >= WRITTEN);
            copies.len()
        };
        while written() < DATANODES {
            assert!(begun.elapsed() < HANG, "never written: {:?}", Hdfs::get().growing());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        then();
        source.open();
    };
    let written = tokio::time::timeout(HANG, async { tokio::join!(write(&session, &sql), trouble).0 });
    written.await.unwrap()
}

/// The right file, or nothing at all and an error that says why.
async fn assert_whole_or_absent(place: &Place, text: &str, written: query::Result<u64>) {
    match written {
        Ok(_) => {
            assert_eq!(place.names().await, ["a.csv"]);
            assert!(place.bytes("a.csv").await.unwrap() == text.as_bytes(), "other bytes");
        }
        Err(error) => {
            assert_eq!(place.names().await, Vec::<String>::new(), "{error}");
            let error = error.to_string();
            assert!(error.contains(&place.url("a.csv")) && error.contains("DataNode"), "{error}");
            assert!(!error.contains("staging") && error.lines().count() == 1, "{error}");
        }
    }
}

fn with_trouble(test: impl AsyncFnOnce(&Trouble<'_>)) {
    let trouble = Hdfs::get().trouble();
    engine::runtime().block_on(test(&trouble));
}

#[test]
fn a_block_goes_on_with_the_other_datanode() {
    with_trouble(async |trouble| {
        let text = numbers(SHORT);
        for datanode in 0..DATANODES {
            let place = Place::new(Server::Hdfs, &format!("short-{datanode}"));
            let written = write_with(&place, &text, || trouble.stop_datanode(datanode)).await;
            assert!(written.is_ok(), "{written:?}");
            assert_whole_or_absent(&place, &text, written).await;
            trouble.start_datanodes();
        }
    });
}

#[test]
fn a_datanode_that_goes_away_during_a_write_leaves_the_whole_file_or_nothing() {
    with_trouble(async |trouble| {
        let text = numbers(LONG);
        for datanode in 0..DATANODES {
            let place = Place::new(Server::Hdfs, &format!("long-{datanode}"));
            let written = write_with(&place, &text, || trouble.stop_datanode(datanode)).await;
            assert_whole_or_absent(&place, &text, written).await;
            trouble.start_datanodes();
            // And once more with all of them.
            let written = write_with(&place, &text, || {}).await;
            assert!(written.is_ok(), "{written:?}");
            assert_whole_or_absent(&place, &text, written).await;
        }
    });
}

#[test]
fn datanodes_that_all_go_away_during_a_write_are_one_error() {
    with_trouble(async |trouble| {
        for (name, bytes) in [("all-short", SHORT), ("all-long", LONG)] {
            let text = numbers(bytes);
            let place = Place::new(Server::Hdfs, name);
            let stop = || (0..DATANODES).for_each(|_| trouble.stop_datanode(0));
            let written = write_with(&place, &text, stop).await;
            assert!(written.is_err(), "{name}: {written:?}");
            assert_whole_or_absent(&place, &text, written).await;
            trouble.start_datanodes();
        }
    });
}
