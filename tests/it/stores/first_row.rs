//! The first row of a Parquet object: how often servers are asked for it, also those that do not count bytes from the
//! end of a file.

use std::sync::Arc;

use futures::StreamExt;
use object_store::{GetOptions, GetRange, ObjectStoreExt};
use query::Session;
use query::datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use query::datafusion::parquet::arrow::ArrowWriter;
use query::datafusion::parquet::file::properties::WriterProperties;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::session::{Outcome, SessionOptions};
use query::store::Kind;

use super::files::{Files, bytes, error, file, s3};
use super::server::{Asked, How, Reply, Server};
use super::{at, s3_secret, secret, stores};
use crate::engine::{self, Answer};

/// Numbers from 0 in two row groups, too many to be read with the footer.
fn numbers() -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100_000))
        .set_dictionary_enabled(false)
        .build();
    let column = Int64Array::from_iter_values(0..200_000);
    let rows = RecordBatch::try_from_iter([("n", Arc::new(column) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

/// Two objects in the bucket `data`.
fn files() -> Files {
    ["x", "y"].map(|name| (format!("/data/{name}.parquet"), numbers())).into()
}

/// A session that reads the bucket `data` from a server.
fn session(server: &Server) -> Session {
    let options = SessionOptions { secrets: vec![s3_secret(server)], ..SessionOptions::default() };
    Session::with_options(&options).unwrap()
}

async fn one(session: &Session, sql: &str) -> String {
    match engine::run(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")) {
        Answer::Rows(_, batches) => engine::texts(&batches)[0][0].clone().unwrap(),
        Answer::Count(count) => panic!("{sql} gave a count of {count}"),
    }
}

/// How many rows come first.
async fn first(session: &Session, sql: &str) -> usize {
    let statement = split(&Script::new("test", sql)).statements.remove(0);
    let statement = statement.parse(&session.functions()).unwrap();
    match session.run(&statement, &Params::default()).await.unwrap() {
        Outcome::Rows(mut rows) => rows.next().await.unwrap().unwrap().num_rows(),
        Outcome::Written(_) | Outcome::Done => panic!("{sql} is no query"),
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let deadline = std::time::Duration::from_secs(120);
    engine::runtime().block_on(async { tokio::time::timeout(deadline, work).await.unwrap() })
}

fn counts_from_end(asked: &Asked) -> bool {
    asked.header("range").is_some_and(|range| range.starts_with("bytes=-"))
}

fn without_range(asked: &Asked) -> Asked {
    let mut asked = asked.clone();
    asked.headers.remove("range");
    asked
}

#[test]
fn the_first_row_comes_with_the_second_answer() {
    for (sql, rows) in [
        ("select * from '@/x.parquet' limit 10", 10),
        ("select n from '@/x.parquet' where n % 1000 = 999", 8),
    ] {
        for scheme in ["s3", "http"] {
            let files = files();
            let server = Server::start(move |asked, number| match number {
                0 | 1 => s3(asked, &files),
                _ => Reply::new(200, "").sent(How::Silent),
            });
            let place = if scheme == "s3" { "s3://data".into() } else { format!("{}/data", server.url()) };
            run(async {
                let session = session(&server);
                engine::run(&session, "set datafusion.execution.target_partitions = 1").await.unwrap();
                assert_eq!(first(&session, &sql.replace('@', &place)).await, rows, "{:?}", server.log());
            });
            let range = |at: usize| server.asked()[at].header("range").map(String::from);
            assert_eq!(range(0).as_deref(), Some("bytes=-524288"));
            assert!(range(1).is_some_and(|range| range.starts_with("bytes=4-")), "{:?}", range(1));
        }
    }
}

#[test]
fn a_server_that_refuses_to_count_from_the_end_is_asked_to_once() {
    let refusals: [fn(&Asked, &Files) -> Reply; 5] = [
        |_, _| error(416, "InvalidRange", "The requested range is not satisfiable"),
        |_, _| error(400, "InvalidArgument", "no such range"),
        |_, _| error(501, "NotImplemented", "no such range"),
        // It sends all, which is not what was asked for.
        |asked, files| s3(&without_range(asked), files),
        // It takes the number from the end for the number of the last byte.
        |asked, files| {
            let mut asked = asked.clone();
            asked.headers.insert("range".into(), "bytes=0-524288".into());
            s3(&asked, files)
        },
    ];
    for (number, refuse) in refusals.into_iter().enumerate() {
        let files = files();
        let server = Server::start(move |asked, _| match counts_from_end(asked) {
            true => refuse(asked, &files),
            false => s3(asked, &files),
        });
        run(async {
            let session = session(&server);
            for (name, requests) in
                [("x", &["GET", "HEAD", "GET", "GET"][..]), ("y", &["HEAD", "GET", "GET"])]
            {
                let before = server.asked().len();
                let sql =
                    format!("select max(m) from (select n as m from 's3://data/{name}.parquet' limit 10)");
                assert_eq!(one(&session, &sql).await, "9");
                let asked: Vec<_> =
                    server.asked()[before..].iter().map(|asked| asked.method.clone()).collect();
                assert_eq!(asked, requests, "{number}: {:?}", server.log());
            }
        });
    }
}

#[test]
fn an_empty_object_says_nothing_of_its_store() {
    let mut files = files();
    files.insert("/data/empty.parquet".into(), Vec::new());
    let server = Server::start(move |asked, _| match asked.path() {
        "/data/empty.parquet" if asked.header("range").is_some() => {
            error(416, "InvalidRange", "The requested range is not satisfiable")
        }
        _ => s3(asked, &files),
    });
    run(async {
        let session = session(&server);
        let failed = engine::run(&session, "from 's3://data/empty.parquet'").await.err().unwrap();
        assert!(format!("{failed:?}").contains("it is empty"), "{failed:?}");
        let before = server.asked().len();
        assert_eq!(one(&session, "select max(n) from 's3://data/x.parquet'").await, "199999");
        assert_eq!(server.log()[before..], ["GET /data/x.parquet"]);
    });
}

#[test]
fn what_is_refused_for_other_reasons_is_not_asked_for_in_another_way() {
    for (status, code) in [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (404, "NoSuchBucket")] {
        let server = Server::start(move |_, _| error(status, code, "no"));
        run(async {
            let failed = engine::run(&session(&server), "from 's3://data/x.parquet'").await.err().unwrap();
            assert!(format!("{failed:?}").contains(code) || status == 404, "{failed:?}");
        });
        // A name that is not there may be a folder.
        assert!(!server.log().iter().any(|line| line.starts_with("HEAD")), "{:?}", server.log());
    }
    // Two ways of asking fail: the answer that has a text is told.
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "HEAD" => Reply::new(400, ""),
        _ => error(400, "ExpiredToken", "The provided token has expired."),
    });
    run(async {
        let failed = engine::run(&session(&server), "from 's3://data/x.parquet'").await.err().unwrap();
        let text = format!("{failed:?}");
        assert!(text.contains("ExpiredToken") && text.contains("renew"), "{text}");
    });
}

#[test]
fn azure_is_asked_for_the_size_first() {
    let files = Files::from([("/data/x.parquet".to_string(), bytes(1000))]);
    let server = Server::start(move |asked, _| s3(asked, &files));
    let settings =
        [("account_name", "acc"), ("account_key", "cGxhbnRlZC1rZXk="), ("endpoint", &server.url())];
    let stores = stores([secret(Kind::Azure, &settings)]);
    let (store, key) = at(&stores, "az://data/x.parquet");
    super::run(async {
        for _ in 0..2 {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(100)));
            let end = store.get_opts(&key, options).await.unwrap();
            assert_eq!((end.meta.size, end.range.clone()), (1000, 900..1000));
            assert!(end.bytes().await.unwrap() == bytes(1000)[900..]);
        }
    });
    let methods: Vec<_> = server.asked().iter().map(|asked| asked.method.clone()).collect();
    assert_eq!(methods, ["HEAD", "GET", "HEAD", "GET"]);
}

#[test]
fn a_file_that_was_read_whole_is_looked_up_before_its_end_is_taken_from_there() {
    let server = Server::start(|asked, number| match number {
        0 => file(&without_range(asked), b"old content", "\"v1\""),
        1 => file(&without_range(asked), b"old content", "\"v1\""),
        _ => file(&without_range(asked), b"new", "\"v2\""),
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/x.parquet", server.url()));
    super::run(async {
        for expected in ["ent", "ent", "new"] {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(3)));
            let end = store.get_opts(&key, options).await.unwrap().bytes().await.unwrap();
            assert_eq!(end, expected, "{:?}", server.log());
        }
        assert_eq!(store.get_range(&key, 0..1).await.unwrap(), "n");
    });
    let methods: Vec<_> = server.asked().iter().map(|asked| asked.method.clone()).collect();
    assert_eq!(methods, ["GET", "HEAD", "HEAD", "GET"]);
}

#[test]
fn a_web_server_without_ranges_sends_a_parquet_file_once() {
    let files = files();
    let server = Server::start(move |asked, _| s3(&without_range(asked), &files));
    run(async {
        let session = session(&server);
        let sql = format!("select sum(n) from '{}/data/x.parquet' where n >= 0", server.url());
        for _ in 0..2 {
            assert_eq!(one(&session, &sql).await, (100_000_u64 * 199_999).to_string());
        }
    });
    assert_eq!(server.log(), ["GET /data/x.parquet", "HEAD /data/x.parquet"]);
}
