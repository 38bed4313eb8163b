//! Requests of which nothing is heard: the same is asked for beside them, where that does no harm, and not too often.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use query::store::{Patience, StoreOptions, Stores};

use super::files::{Files, bytes, s3};
use super::server::{Asked, How, Reply, Server};
use super::{at, run, s3_secret, stores_with};

const SIZE: usize = 1 << 20;
/// Longer than the deadline of a test.
const NEVER: Duration = Duration::from_secs(600);

/// Stores that wait for ever for what was asked for once, and soon ask for it beside.
fn eager(server: &Server) -> Arc<Stores> {
    let soon = Duration::from_millis(30);
    let patience = Patience {
        wait_min: NEVER,
        wait_max: NEVER,
        second_min: soon,
        second_unknown: soon,
        ..Patience::default()
    };
    stores_with(StoreOptions { patience, ..StoreOptions::default() }, [s3_secret(server)])
}

fn files() -> Files {
    [("/data/a.bin".to_string(), bytes(SIZE)), ("/data/b.bin".to_string(), bytes(10))].into()
}

/// A server whose first answers to each request, whatever it is, are sent like this.
fn first(how: &'static [How]) -> Server {
    let (files, seen) = (files(), Mutex::new(Vec::<(String, String)>::new()));
    Server::start(move |asked, _| {
        let request = (asked.method.clone(), asked.target.clone());
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|other| **other == request).count();
        seen.push(request);
        let reply = s3(asked, &files);
        match how.get(before) {
            Some(how) => reply.sent(*how),
            None => reply,
        }
    })
}

#[test]
fn reads_that_are_not_answered_are_asked_for_beside() {
    for how in [&[How::Silent][..], &[How::Silent, How::Silent, How::Silent]] {
        let server = first(how);
        let stores = eager(&server);
        let (store, key) = at(&stores, "s3://data/a.bin");
        run(async {
            assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
            assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == bytes(SIZE));
            let found: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert_eq!(found.len(), 2);
        });
        let asked = server.asked();
        assert!(asked.len() >= 3 * (how.len() + 1), "{:?}", server.log());
        let usage = stores.usage()["s3://data/"];
        assert_eq!(usage.requests(), asked.len() as u64);
        assert!(usage.retried >= 3, "what was answered is one that was sent again");
        assert_eq!(usage.read_bytes, SIZE as u64);
    }
}

#[test]
fn listings_that_stall_are_asked_for_beside() {
    let server = first(&[How::Stall(200)]);
    let stores = eager(&server);
    let (store, _) = at(&stores, "s3://data");
    let found: Vec<_> = run(store.list(None).try_collect()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(server.asked().len() >= 2);
}

#[test]
fn a_body_of_which_nothing_comes_is_asked_for_beside_again_and_again() {
    let server = first(&[How::Stall(0), How::Stall(0), How::Stall(0)]);
    let stores = eager(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    let got = run(async { store.get(&key).await.unwrap().bytes().await.unwrap() });
    assert!(got == bytes(SIZE));
    assert!(server.asked().len() >= 4, "{:?}", server.log());
}

#[test]
fn what_is_written_is_sent_once_however_long_the_answer_takes() {
    let server = Server::start(|asked: &Asked, _| {
        std::thread::sleep(Duration::from_millis(400));
        match asked.method.as_str() {
            "PUT" => Reply::new(200, "").with("etag", "\"v1\""),
            "POST" => Reply::new(
                200,
                "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
            ),
            other => panic!("{other}"),
        }
    });
    let stores = eager(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    run(async {
        store.put(&key, PutPayload::from_static(b"x")).await.unwrap();
        store.put_multipart(&key).await.unwrap();
    });
    let methods: Vec<_> = server.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["PUT", "POST"]);
}

#[test]
fn a_store_that_never_answers_is_not_overrun() {
    const READS: usize = 40;
    let server = Server::start(|_, _| Reply::new(200, "").sent(How::Silent));
    let wait = Duration::from_millis(100);
    let patience = Patience {
        wait_min: wait,
        wait_max: wait,
        second_min: Duration::from_millis(1),
        second_unknown: Duration::from_millis(1),
        ..Patience::default()
    };
    let attempts = patience.attempts_max_unknown as usize;
    let stores = stores_with(StoreOptions { patience, ..StoreOptions::default() }, [s3_secret(&server)]);
    let (store, _) = at(&stores, "s3://data/x");
    run(async {
        let keys: Vec<_> = (0..READS).map(|number| Path::from(format!("{number}.bin"))).collect();
        let reads = keys.iter().map(|key| store.head(key));
        assert!(join_all(reads).await.iter().all(Result::is_err));
    });
    // Each is sent as often as a store is asked of which nothing is known, and 32 more for all of them.
    let asked = stores.usage()["s3://data/"].requests() as usize;
    assert!((READS * attempts..=READS * attempts + 32).contains(&asked), "{asked}");
}

/// What two parts of an upload are sent to: gives the requests for the second.
fn second_parts(part: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Vec<Asked> {
    let server = Server::start(move |asked, _| match asked.method.as_str() {
        "POST" if asked.query("uploads").is_some() => Reply::new(
            200,
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        "POST" => Reply::new(
            200,
            "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag></CompleteMultipartUploadResult>",
        ),
        "PUT" => part(asked),
        other => panic!("{other}"),
    });
    let stores = eager(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    run(async {
        let mut upload = store.put_multipart(&key).await.unwrap();
        upload.put_part(PutPayload::from_static(b"one")).await.unwrap();
        upload.put_part(PutPayload::from_static(b"two")).await.unwrap();
        upload.complete().await.unwrap();
    });
    server.asked().into_iter().filter(is_second).collect()
}

fn is_second(asked: &Asked) -> bool {
    asked.query("partNumber").as_deref() == Some("2")
}

#[test]
fn a_part_of_an_upload_that_is_not_answered_is_sent_beside_when_it_is_known_how_long_parts_take() {
    let lost = Mutex::new(false);
    let sent = second_parts(move |asked| {
        match is_second(asked) && !std::mem::replace(&mut *lost.lock().unwrap(), true) {
            true => Reply::new(200, "").sent(How::Silent),
            false => Reply::new(200, "").with("etag", "\"part\""),
        }
    });
    assert!(sent.len() >= 2 && sent.iter().all(|asked| asked.body == b"two"), "{}", sent.len());
}

/// Each time it is sent it has another tag, and the store keeps the last one.
#[test]
fn a_part_that_is_encrypted_with_a_key_of_its_own_is_sent_once() {
    let service = ("x-amz-server-side-encryption", "aws:kms");
    let own = ("x-amz-server-side-encryption-customer-algorithm", "AES256");
    for (name, value) in [service, own] {
        let sent = second_parts(move |asked| {
            let reply = Reply::new(200, "done").with("etag", "\"part\"").with(name, value);
            match is_second(asked) {
                true => reply.sent(How::Pause(0, Duration::from_millis(500))),
                false => reply,
            }
        });
        assert_eq!(sent.len(), 1, "{name}");
    }
    // What is encrypted with the store's own key has the tag of its bytes.
    let sent = second_parts(|asked| {
        let reply = Reply::new(200, "done").with("etag", "\"part\"");
        let reply = reply.with("x-amz-server-side-encryption", "AES256");
        match is_second(asked) {
            true => reply.sent(How::Pause(0, Duration::from_millis(500))),
            false => reply,
        }
    });
    assert!(sent.len() > 1);
}
