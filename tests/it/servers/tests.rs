//! That the servers are what the other tests take them for.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::object_store::aws::AmazonS3;
use datafusion::object_store::client::ClientOptions;
use datafusion::object_store::http::{HttpBuilder, HttpStore};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, WriteMultipart,
};
use futures::TryStreamExt;

use super::{Fault, Http, Keys, Plan, Proxy, Ranges, S3};

/// Every read is one request: what a fault does is to be seen.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Short, for bodies that stall.
fn impatient() -> ClientOptions {
    ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(5))
}

fn http(url: &str) -> HttpStore {
    HttpBuilder::new().with_url(url).with_retry(once()).with_client_options(impatient()).build().unwrap()
}

async fn read(store: &dyn ObjectStore, key: &str) -> Result<Vec<u8>, Error> {
    Ok(store.get(&Path::from(key)).await?.bytes().await?.to_vec())
}

#[tokio::test]
async fn s3_lets_in_who_signs_and_has_the_right() {
    let s3 = S3::get();
    s3.bucket("rights");
    let client = |keys: &Keys| -> std::sync::Arc<AmazonS3> { S3::client(&s3.endpoint, "rights", keys) };
    let key = Path::from("a b/k=1/ü.txt");
    client(&s3.writer).put(&key, "text".into()).await.unwrap();
    assert_eq!(client(&s3.reader).get(&key).await.unwrap().bytes().await.unwrap(), "text");
    let refused = client(&s3.reader).put(&key, "other".into()).await.unwrap_err();
    assert!(matches!(refused, Error::PermissionDenied { .. }), "{refused}");
    let refused = client(&s3.nobody).get(&key).await.unwrap_err();
    assert!(matches!(refused, Error::PermissionDenied { .. }), "{refused}");
    let forged = Keys { secret: "wrong".into(), ..s3.writer.clone() };
    let refused = client(&forged).get(&key).await.unwrap_err();
    assert!(refused.to_string().contains("SignatureDoesNotMatch"), "{refused}");
    let listed: Vec<_> = client(&s3.reader).list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn s3_shows_an_upload_when_it_is_complete() {
    let s3 = S3::get();
    s3.bucket("uploads");
    let client = S3::client(&s3.endpoint, "uploads", &s3.writer);
    let key = Path::from("big.bin");
    let part = || PutPayload::from(vec![7; 5 << 20]);
    let mut upload = client.put_multipart(&key).await.unwrap();
    upload.put_part(part()).await.unwrap();
    assert!(matches!(client.head(&key).await, Err(Error::NotFound { .. })));
    assert_eq!(s3.unfinished_uploads("uploads"), 1);
    upload.put_part(part()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(client.head(&key).await.unwrap().size, 10 << 20);
    let mut upload = client.put_multipart(&key).await.unwrap();
    upload.put_part(part()).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(s3.unfinished_uploads("uploads"), 0);
}

#[tokio::test]
async fn s3_can_be_filled() {
    let s3 = S3::get();
    s3.bucket("filled");
    s3.fill("filled", "many/", 1_500);
    let client = S3::client(&s3.endpoint, "filled", &s3.reader);
    let listed: Vec<_> = client.list(Some(&Path::from("many"))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1_500);
    assert_eq!(read(&*client, "many/01234.csv").await.unwrap(), b"n\n1234\n");
}

#[tokio::test]
async fn signatures_stay_right_through_the_proxy_which_counts() {
    let s3 = S3::get();
    s3.bucket("proxied");
    let proxy = Proxy::start(s3.address(), Plan::calm());
    let client = S3::client(&proxy.endpoint(), "proxied", &s3.writer);
    client.put(&Path::from("x/y=1/a.txt"), "0123456789".into()).await.unwrap();
    assert_eq!(read(&*client, "x/y=1/a.txt").await.unwrap(), b"0123456789");
    let mut upload = WriteMultipart::new(client.put_multipart(&Path::from("big")).await.unwrap());
    upload.write(&vec![1; 12 << 20]);
    upload.finish().await.unwrap();
    assert_eq!(read(&*client, "big").await.unwrap().len(), 12 << 20);
    let seen = proxy.seen();
    let methods: Vec<_> = seen.requests.iter().map(super::message::Head::method).collect();
    // Three parts between the beginning and the end of the upload.
    assert_eq!(methods, ["PUT", "GET", "POST", "PUT", "PUT", "PUT", "POST", "GET"]);
    assert!(proxy.bytes() > 12 << 20 && seen.faults.is_empty());
}

#[tokio::test]
async fn a_web_server_serves_parts_or_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "0123456789").unwrap();
    let part = || GetOptions { range: Some(GetRange::Suffix(3)), ..GetOptions::default() };
    let key = Path::from("a.txt");

    let server = Http::start(folder.path(), Ranges::Served);
    let store = http(&server.url(""));
    let found = store.get_opts(&key, part()).await.unwrap();
    let tag = found.meta.e_tag.clone();
    assert_eq!(found.bytes().await.unwrap(), "789");
    let same = GetOptions { if_match: tag.clone(), ..part() };
    assert_eq!(store.get_opts(&key, same.clone()).await.unwrap().bytes().await.unwrap(), "789");
    fs::write(folder.path().join("a.txt"), "9876543210").unwrap();
    let changed = store.get_opts(&key, same).await.unwrap_err();
    assert!(matches!(changed, Error::Precondition { .. }), "{changed}");
    assert!(matches!(store.head(&Path::from("b.txt")).await, Err(Error::NotFound { .. })));
    assert!(server.requests().len() >= 4);

    let server = Http::start(folder.path(), Ranges::Ignored);
    let store = http(&server.url(""));
    assert!(store.get_opts(&key, part()).await.is_err(), "the client refuses a whole for a part");
    assert_eq!(read(&store, "a.txt").await.unwrap(), b"9876543210");
}

#[tokio::test]
async fn every_fault_is_what_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.path().join("a.bin"), &bytes).unwrap();
    let server = Http::start(folder.path(), Ranges::Served);
    let proxy = Proxy::start(&server.address, Plan::calm());
    let store = http(&proxy.endpoint());
    let key = Path::from("a.bin");
    let tag = store.head(&key).await.unwrap().e_tag;
    for fault in Fault::ALL {
        proxy.follow(Plan::of(fault, 100, 1));
        let asked = store.get(&key).await;
        let status = |error: &Error| error.to_string();
        match fault {
            Fault::Busy => assert!(status(&asked.unwrap_err()).contains("503")),
            Fault::Expired => {
                let error = asked.unwrap_err();
                assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
                assert!(status(&error).contains("ExpiredToken"), "{error}");
            }
            Fault::Reset | Fault::Stall | Fault::Truncated => {
                let mut stream = asked.unwrap().into_stream();
                let mut got = Vec::new();
                let end = loop {
                    match stream.try_next().await {
                        Ok(Some(bytes)) => got.extend(bytes),
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                assert!(end.is_some() && bytes.starts_with(&got), "{fault:?}: {end:?}");
                assert!(!got.is_empty() && got.len() <= bytes.len() / 2, "{fault:?}: {}", got.len());
                assert!(
                    fault == Fault::Stall || store.head(&key).await.is_err(),
                    "{fault:?}: an answer without a body"
                );
            }
            Fault::Replaced => {
                let replaced = asked.unwrap();
                assert!(replaced.meta.e_tag.is_some() && replaced.meta.e_tag != tag);
                assert_ne!(replaced.bytes().await.unwrap(), bytes);
                let old = GetOptions { if_match: tag.clone(), ..GetOptions::default() };
                let error = store.get_opts(&key, old).await.unwrap_err();
                assert!(matches!(error, Error::Precondition { .. }), "{error}");
            }
        }
        assert!(proxy.seen().faults.contains(&fault));
    }
    proxy.follow(Plan::calm());
    assert_eq!(read(&store, "a.bin").await.unwrap(), bytes);
}

#[tokio::test]
async fn the_share_of_requests_that_are_hit_is_the_planned_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    let server = Http::start(folder.path(), Ranges::Served);
    let proxy = Proxy::start(&server.address, Plan::of(Fault::Busy, 30, 5));
    let store = http(&proxy.endpoint());
    for _ in 0..300 {
        let _ = read(&store, "a").await;
    }
    let hit = proxy.seen().faults.len();
    assert!((60..=120).contains(&hit), "{hit} of 300");
}

#[test]
fn servers_end_with_their_standard_input() {
    let room = tempfile::tempdir().unwrap();
    let hdfs = ["hdfs", room.path().to_str().unwrap(), "1"];
    for arguments in [&["s3"][..], &hdfs[..]] {
        let mut server = Command::new("tests/servers.sh")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        drop(server.stdin.take());
        let end = Instant::now() + Duration::from_secs(120);
        while server.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{arguments:?} goes on");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(server.wait().unwrap().success(), "{arguments:?}");
    }
}
