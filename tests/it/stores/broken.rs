//! Answers that break: the same bytes come all the same, or one clear error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use query::datafusion;
use query::store::{Patience, StoreOptions, Stores, metered};

use super::files::{Files, bytes, error, file, s3};
use super::server::{Asked, How, Reply, Server};
use super::{at, run, s3_secret, s3_stores, stores_with};

const SIZE: usize = 3 << 20;

/// A bucket with one file; the closure changes answers.
fn bucket(change: impl Fn(&Asked, usize, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let files = Files::from([("/data/a.bin".to_string(), bytes(SIZE))]);
    Server::start(move |asked, number| change(asked, number, s3(asked, &files)))
}

fn read(server: &Server) -> object_store::Result<Vec<u8>> {
    let stores = s3_stores(server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    run(async { Ok(store.get(&key).await?.bytes().await?.to_vec()) })
}

fn range_of(asked: &Asked) -> Option<(usize, usize)> {
    asked.range(SIZE)
}

/// Stores that wait long enough before they ask a second time for a busy machine to answer.
fn calm(server: &Server) -> Arc<Stores> {
    let second = Duration::from_secs(3);
    let patience = Patience { second_min: second, second_unknown: second, ..Patience::default() };
    stores_with(StoreOptions { patience, ..StoreOptions::default() }, [s3_secret(server)])
}

#[test]
fn a_body_that_breaks_is_read_on_by_range_of_the_same_version() {
    for how in [How::Cut(1000), How::Reset(1_000_000), How::Stall(2_000_000), How::Cut(0)] {
        let server = bucket(move |_, number, reply| if number == 0 { reply.sent(how) } else { reply });
        let stores = calm(&server);
        let (store, key) = at_file(&stores);
        let got = run(async { store.get(&key).await.unwrap().bytes().await.unwrap() });
        assert!(got == bytes(SIZE), "{how:?}");
        let asked = server.asked();
        assert_eq!(asked.len(), 2, "{how:?}");
        let (first, last) = range_of(&asked[1]).unwrap();
        assert_eq!(last, SIZE - 1);
        match how {
            How::Cut(bytes) | How::Stall(bytes) => assert_eq!(first, bytes, "{how:?}"),
            // What was sent before a reset may be lost.
            _ => assert!(first <= 1_000_000),
        }
        assert_eq!(asked[1].header("if-match"), Some("\"v1\""));
    }
}

#[test]
fn a_body_that_breaks_again_and_again_is_read_as_long_as_something_comes() {
    let server = bucket(|_, number, reply| {
        let how = [How::Cut(100_000), How::Reset(50_000), How::Cut(0)][number % 3];
        reply.sent(if number < 40 { how } else { How::Whole })
    });
    assert!(read(&server).unwrap() == bytes(SIZE));
    assert!(server.asked().len() > 20, "{:?}", server.log());
}

/// Stores that give nothing up within a test, but soon ask a second time.
fn eager(server: &Server) -> Arc<Stores> {
    let wait = Duration::from_secs(600);
    let second_min = Duration::from_millis(50);
    let patience = Patience { wait_min: wait, wait_max: wait, second_min, ..Patience::default() };
    stores_with(StoreOptions { patience, ..StoreOptions::default() }, [s3_secret(server)])
}

#[test]
fn a_body_that_stalls_is_left_for_a_second_answer_long_before_it_is_given_up() {
    for at in [0, 1000, 2_000_000] {
        let server =
            bucket(move |_, number, reply| if number == 0 { reply.sent(How::Stall(at)) } else { reply });
        let stores = eager(&server);
        let (store, key) = at_file(&stores);
        let got = run(async { store.get(&key).await.unwrap().bytes().await.unwrap() });
        assert!(got == bytes(SIZE), "{at}");
        let asked = server.asked();
        let (first, last) = range_of(&asked[1]).unwrap();
        assert!(first <= at && last == SIZE - 1, "{first}-{last}");
        assert_eq!(asked[1].header("if-match"), Some("\"v1\""));
        assert!(stores.usage()["s3://data/"].retried >= 1);
    }
}

#[test]
fn a_body_that_is_only_slow_is_not_given_up_for_a_second_answer() {
    // Whoever left it would wait for ever: there is no second answer.
    let server = bucket(|_, number, reply| match number {
        0 => reply.sent(How::Pause(1 << 20, Duration::from_millis(500))),
        _ => reply.sent(How::Silent),
    });
    let stores = eager(&server);
    let (store, key) = at_file(&stores);
    let got = run(async { store.get(&key).await.unwrap().bytes().await.unwrap() });
    assert!(got == bytes(SIZE));
    assert!(server.asked().len() >= 2, "a second answer was asked for");
    assert_eq!(stores.usage()["s3://data/"].retried, 0, "and nothing was sent again");
}

#[test]
fn a_second_answer_that_is_of_another_version_is_not_read() {
    let server = bucket(|asked, number, reply| match number {
        0 => reply.sent(How::Pause(1 << 20, Duration::from_millis(500))),
        _ => {
            let mut asked = asked.clone();
            asked.headers.remove("if-match");
            file(&asked, &vec![7; SIZE], "\"v2\"")
        }
    });
    let stores = eager(&server);
    let (store, key) = at_file(&stores);
    let got = run(async { store.get(&key).await.unwrap().bytes().await.unwrap() });
    assert!(got == bytes(SIZE));
}

fn at_file(stores: &Stores) -> (Arc<dyn ObjectStore>, Path) {
    at(stores, "s3://data/a.bin")
}

#[test]
fn short_reads_break_and_go_on_too() {
    let server = bucket(|_, number, reply| if number % 2 == 0 { reply.sent(How::Cut(10)) } else { reply });
    let stores = s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    let ranges = [0..100, 5000..5001, SIZE as u64 - 100..SIZE as u64];
    let all = bytes(SIZE);
    for range in ranges {
        let got = run(store.get_range(&key, range.clone())).unwrap();
        assert!(got == all[range.start as usize..range.end as usize], "{range:?}");
    }
}

#[test]
fn a_file_that_changed_in_mid_read_is_an_error_and_never_a_mixture() {
    // With If-Match the server refuses; one that knows no conditions sends the new version, which is seen as well.
    for knows_conditions in [true, false] {
        let server = Server::start(move |asked, number| match number {
            0 => file(asked, &bytes(SIZE), "\"v1\"").sent(How::Cut(1 << 20)),
            _ => {
                let mut asked = asked.clone();
                if !knows_conditions {
                    asked.headers.remove("if-match");
                }
                file(&asked, &vec![7; SIZE], "\"v2\"")
            }
        });
        let failed = read(&server).unwrap_err();
        let text = query::Error::from(datafusion_error(failed)).to_string();
        assert_eq!(text, "'s3://data/a.bin' cannot be read: it was changed while it was read");
    }
}

fn datafusion_error(error: object_store::Error) -> query::datafusion::error::DataFusionError {
    error.into()
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = bucket(|_, number, reply| match number {
        0 => error(503, "SlowDown", "Please reduce your request rate."),
        1 => error(500, "InternalError", "We encountered an internal error."),
        2 => Reply::new(429, "").with("retry-after", "0"),
        3 => reply.sent(How::Silent),
        _ => reply,
    });
    assert!(read(&server).unwrap() == bytes(SIZE));
    assert_eq!(server.asked().len(), 5);
}

/// After ten attempts, and four that followed soon.
#[test]
fn a_server_that_only_fails_is_given_up() {
    let server = bucket(|_, _, _| error(503, "SlowDown", "Please reduce your request rate."));
    let text = query::Error::from(datafusion_error(read(&server).unwrap_err())).to_string();
    assert_eq!(
        text,
        "'s3://data/a.bin' cannot be read: the server answered 503 Service Unavailable (SlowDown: Please reduce your \
         request rate); it was tried 14 times"
    );
}

/// Asked again, the server would say that the object is there already: the one that it made and did not tell of.
#[test]
fn a_write_that_depends_on_what_is_there_is_sent_again_only_if_it_was_refused() {
    for (status, mode, sent) in [
        (500, PutMode::Create, 1),
        (500, PutMode::Overwrite, 2),
        (503, PutMode::Create, 2),
        (503, PutMode::Overwrite, 2),
    ] {
        let server = Server::start(move |_, number| match number {
            0 => error(status, "InternalError", "We encountered an internal error."),
            _ => Reply::new(200, "").with("etag", "\"v1\""),
        });
        let stores = s3_stores(&server);
        let (store, key) = at(&stores, "s3://data/a.bin");
        let name = format!("{status}, {mode:?}");
        let put = run(store.put_opts(&key, PutPayload::from_static(b"x"), mode.into()));
        assert_eq!((put.is_ok(), server.asked().len()), (sent > 1, sent), "{name}");
    }
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    let server = bucket(|_, _, _| error(403, "AccessDenied", "Access Denied"));
    read(&server).unwrap_err();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn requests_and_bytes_are_counted() {
    let server = bucket(|_, number, reply| if number == 1 { reply.sent(How::Cut(1000)) } else { reply });
    let stores = s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    run(async {
        store.head(&key).await.unwrap();
        store.get(&key).await.unwrap().bytes().await.unwrap();
        let none = store.list(Some(&Path::from("a"))).try_collect::<Vec<_>>().await.unwrap();
        assert!(none.is_empty());
    });
    let usage = stores.usage()["s3://data/"];
    assert_eq!((usage.head, usage.get, usage.list, usage.retried), (1, 2, 1, 1));
    assert_eq!(usage.read_bytes, SIZE as u64);
    assert_eq!(usage.requests(), server.asked().len() as u64);
}

#[test]
fn a_scan_counts_what_is_asked_for_it_and_local_files_are_left_alone() {
    let server = bucket(|_, number, reply| match number {
        0 => error(503, "SlowDown", "Please reduce your request rate."),
        1 => reply.sent(How::Cut(1000)),
        _ => reply,
    });
    let stores = s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    let metrics = ExecutionPlanMetricsSet::new();
    let of = |name: &str| metrics.clone_inner().sum_by_name(name).map(|value| value.as_usize());
    let url = ObjectStoreUrl::parse("s3://data").unwrap();
    let scan = metered(Arc::clone(&store), &url, &metrics, 0);
    run(async { scan.get(&key).await.unwrap().bytes().await.unwrap() });
    assert_eq!(of("store_requests"), Some(3));
    assert_eq!(of("store_requests_again"), Some(2));
    assert_eq!(of("store_bytes"), Some(SIZE));
    let local: Arc<dyn object_store::ObjectStore> = Arc::new(object_store::local::LocalFileSystem::new());
    let same = metered(Arc::clone(&local), &ObjectStoreUrl::local_filesystem(), &metrics, 0);
    assert!(Arc::ptr_eq(&local, &same));
}

#[test]
fn lists_that_break_are_asked_for_again() {
    let files: Files = (0..50).map(|n| (format!("/data/part-{n:02}.csv"), vec![b'x'; n])).collect();
    let server = Server::start(move |asked, number| {
        let reply = s3(asked, &files);
        match number {
            0 => reply.sent(How::Cut(700)),
            1 => reply.sent(How::Stall(900)),
            _ => reply,
        }
    });
    let stores = s3_stores(&server);
    let (store, _) = at(&stores, "s3://data");
    let found: Vec<_> = run(store.list(None).try_collect()).unwrap();
    assert_eq!(found.len(), 50);
    assert_eq!(found[49].location, Path::from("part-49.csv"));
    assert_eq!(found[49].size, 49);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn reads_that_nobody_waits_for_end() {
    let server = bucket(|_, _, reply| reply.sent(How::Stall(1 << 20)));
    let stores = s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    run(async {
        let mut body = store.get(&key).await.unwrap().into_stream();
        body.try_next().await.unwrap().unwrap();
        drop(body);
        let before = server.asked().len();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(server.asked().len(), before, "a read that was dropped is not sent again");
    });
}

#[test]
fn many_reads_at_once_survive_a_third_of_all_answers_broken() {
    let files: Files = (0..20).map(|n| (format!("/data/{n}.bin"), bytes(200_000 + n))).collect();
    let content = files.clone();
    let chance = Arc::new(AtomicUsize::new(1));
    let server = Server::start(move |asked, _| {
        let reply = s3(asked, &files);
        // A third of the answers, in an order that has nothing to do with who asks.
        let number = chance.fetch_add(1, Ordering::Relaxed).wrapping_mul(2_654_435_761) >> 8;
        match number % 15 {
            0 => error(503, "SlowDown", "Please reduce your request rate."),
            1 => reply.sent(How::Cut(100_000)),
            2 => reply.sent(How::Reset(50_000)),
            3 => reply.sent(How::Stall(10_000)),
            4 => reply.sent(How::Silent),
            _ => reply,
        }
    });
    let stores = s3_stores(&server);
    let reads = (0..20).map(|n| {
        let (store, key) = at(&stores, &format!("s3://data/{n}.bin"));
        async move { store.get(&key).await?.bytes().await }
    });
    let got = run(futures::future::try_join_all(reads)).unwrap();
    for (n, got) in got.iter().enumerate() {
        assert!(got.as_ref() == content[&format!("/data/{n}.bin")].as_slice(), "{n}");
    }
}
