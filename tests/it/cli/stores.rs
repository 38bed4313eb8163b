//! Results and copies that go to stores: whole, or not at all.

use std::path::PathBuf;

use super::{Query, Room, Running};
use crate::engine;
use crate::remote_writes::{Place, Server};
use crate::servers::{Fault, Hdfs, Plan, Proxy, S3};

/// Without an end.
const ENDLESS: &str = "select value as a, md5(value::text) as b from generate_series(1, 1000000000000)";
const ROWS: &str = "select value as a, 'x' || value as b from generate_series(1, 1000)";

/// The command with the credentials of the writer, at an endpoint that may be a proxy's.
fn query(room: &Room, endpoint: &str, args: &[&str]) -> Query {
    room.query(args)
        .env("AWS_ACCESS_KEY_ID", &S3::get().writer.key)
        .env("AWS_SECRET_ACCESS_KEY", &S3::get().writer.secret)
        .env("AWS_ENDPOINT_URL_S3", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HADOOP_CONF_DIR", "/nonexistent")
}

fn names(place: &Place) -> Vec<String> {
    engine::runtime().block_on(place.names())
}

#[test]
fn a_result_goes_to_a_store() {
    let _calm = Hdfs::get().calm();
    for server in Server::ALL {
        let place = Place::new(server, "output");
        let room = Room::new();
        room.write("script.sql", format!("{ROWS};"));
        for file in ["x.csv", "a/b c.csv", "x.tsv", "x.json", "x.parquet", "x.arrow"] {
            let url = place.url(file);
            assert_eq!(
                query(&room, &S3::get().endpoint, &["run", "script.sql", "-o", &url]).run().rows(),
                ""
            );
            let sums = format!("select count(*) as n, sum(a) as s, max(b) as m from '{url}'");
            let found = query(&room, &S3::get().endpoint, &["-c", &sums]).run().rows();
            assert_eq!(found, "n,s,m\n1000,500500,x999\n", "{url}");
        }
        // The file is what it would be here.
        assert_eq!(room.query(["run", "script.sql", "-o", "here.csv"]).run().rows(), "");
        let there = engine::runtime().block_on(place.bytes("x.csv")).unwrap();
        assert_eq!(String::from_utf8(there).unwrap(), room.read("here.csv"), "{server:?}");
        assert_eq!(names(&place), ["a/b c.csv", "x.arrow", "x.csv", "x.json", "x.parquet", "x.tsv"]);
        assert_eq!(room.names(), ["here.csv", "script.sql"]);
    }
}

#[test]
fn a_result_that_cannot_go_to_a_store_says_why() {
    let room = Room::new();
    let output = |sql: &str, url: &str| query(&room, &S3::get().endpoint, &["-c", sql, "-o", url]).run();
    let error = output(ROWS, "s3://there-is-no-such-bucket/x.csv").error(1);
    assert!(
        error.contains("there is no such bucket") && error.contains("s3://there-is-no-such-bucket/x.csv"),
        "{error}"
    );
    let error = output(ROWS, "ftp://host/x.csv").error(1);
    assert!(error.contains("'ftp://host/x.csv' cannot be written"), "{error}");
    let _calm = Hdfs::get().calm();
    for server in Server::ALL {
        let place = Place::new(server, "refused");
        let error = output(ROWS, &place.url("folder.csv/")).error(2);
        assert!(error.contains("is a folder"), "{error}");
        // A query that fails late leaves nothing, and what was there.
        let url = place.url("x.csv");
        let fails = "select 1 / (value - 400000) as x from generate_series(1, 500000)";
        for before in [&[][..], &["x.csv"]] {
            let error = output(fails, &url).error(1);
            assert!(error.starts_with("error: division by zero\n"), "{error}");
            assert_eq!(names(&place), before, "{server:?}");
            assert_eq!(output("select 1 as a", &url).rows(), "");
        }
    }
}

#[test]
fn a_copy_to_a_bucket_that_is_not_there_says_so() {
    let room = Room::new();
    for sql in [ROWS.to_string(), format!("{ENDLESS} limit 2000000")] {
        let copy = format!("copy ({sql}) to 's3://there-is-no-such-bucket/x.csv'");
        let error = query(&room, &S3::get().endpoint, &["-c", &copy]).run().error(1);
        let said = "error: 's3://there-is-no-such-bucket/x.csv' cannot be written: there is no such bucket";
        assert!(error.starts_with(said), "{error}");
    }
}

/// Interrupts a command, and looks at how it ended and at what it left.
fn interrupt(running: Running, signal: i32, code: i32, place: &Place) {
    running.signal(signal);
    let error = running.wait().error(code);
    assert_eq!(error, "error: interrupted\n");
    assert_eq!(names(place), Vec::<String>::new());
}

#[test]
fn an_interrupted_copy_to_s3_leaves_nothing() {
    let place = Place::new(Server::S3, "interrupted");
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        for target in ["x.csv", "x.parquet", "folder/"] {
            let room = Room::new();
            let copy = format!("copy ({ENDLESS}) to '{}' stored as csv", place.url(target));
            let copy = if target.ends_with("parquet") { copy.replace("csv", "parquet") } else { copy };
            let mut running = query(&room, &S3::get().endpoint, &["-c", &copy]).start().read_all();
            running.until("its first part", || S3::get().unfinished_parts("interrupted") > 0);
            interrupt(running, signal, code, &place);
        }
    }
}

#[test]
fn an_interrupted_copy_to_hdfs_leaves_nothing() {
    // Nobody else writes then.
    let _trouble = Hdfs::get().trouble();
    let place = Place::new(Server::Hdfs, "interrupted");
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        for target in ["x.csv", "folder/"] {
            let room = Room::new();
            let copy = format!("copy ({ENDLESS}) to '{}' stored as csv", place.url(target));
            let before = Hdfs::get().growing();
            let mut running = query(&room, &S3::get().endpoint, &["-c", &copy]).start().read_all();
            let is_written = |(path, bytes): (PathBuf, u64)| bytes > 0 && !before.contains_key(&path);
            running.until("its first bytes", || Hdfs::get().growing().into_iter().any(is_written));
            let is_hidden = |name: &String| name.starts_with('.') && name.ends_with(".tmp");
            assert!(names(&place).iter().any(is_hidden), "{:?}", names(&place));
            interrupt(running, signal, code, &place);
        }
    }
}

#[test]
fn a_copy_that_takes_too_long_leaves_nothing() {
    let _trouble = Hdfs::get().trouble();
    for server in Server::ALL {
        let place = Place::new(server, "timed-out");
        let room = Room::new();
        let copy = format!("copy ({ENDLESS}) to '{}'", place.url("x.csv"));
        let error = query(&room, &S3::get().endpoint, &["--timeout", "2s", "-c", &copy]).run().error(124);
        assert!(error.contains("took longer than 2s"), "{error}");
        assert_eq!(names(&place), Vec::<String>::new(), "{server:?}");
    }
}

#[test]
fn an_interrupted_result_on_its_way_leaves_nothing() {
    let place = Place::new(Server::S3, "interrupted-output");
    // Of each part that is sent, the answer does not come.
    let proxy =
        Proxy::start(S3::get().address(), Plan { methods: &["PUT"], ..Plan::of(Fault::Stall, 100, 0) });
    let room = Room::new();
    let url = place.url("x.csv");
    let mut running = query(&room, &proxy.endpoint(), &["-c", ROWS, "-o", &url]).start().read_all();
    running.until("its part", || !proxy.seen().faults.is_empty());
    assert_eq!(S3::get().unfinished_uploads("interrupted-output"), 1);
    interrupt(running, libc::SIGINT, 130, &place);
}
