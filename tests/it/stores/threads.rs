//! Sockets are polled on the threads for I/O, whoever asks.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetRange, ObjectStoreExt, PutPayload};

use super::files::{Files, bytes, s3};
use super::server::{How, Reply, Server};
use super::{at, s3_stores};

/// A runtime without drivers has no sockets and no timers: whatever is polled in it that needs one panics.
fn without_drivers<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn no_socket_and_no_timer_is_polled_where_rows_are_computed() {
    let content = bytes(3 << 20);
    let files = Files::from([("/data/a.bin".to_string(), content.clone())]);
    let server = Server::start(move |asked, number| match asked.method.as_str() {
        "PUT" => Reply::new(200, "").with("etag", "\"part\""),
        "POST" if asked.target.ends_with("?uploads=") || asked.target.ends_with("?uploads") => Reply::new(
            200,
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        "POST" => Reply::new(
            200,
            "<CompleteMultipartUploadResult><ETag>&quot;x-1&quot;</ETag></CompleteMultipartUploadResult>",
        ),
        "DELETE" => Reply::new(204, ""),
        // The first body breaks, so that the pause and the second request are seen as well.
        _ if number == 1 => s3(asked, &files).sent(How::Cut(1000)),
        _ => s3(asked, &files),
    });
    let stores = s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a.bin");
    without_drivers(async {
        assert_eq!(store.head(&key).await.unwrap().size, content.len() as u64);
        assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == content);
        assert!(store.get_range(&key, 5..10).await.unwrap() == content[5..10]);
        let parts = store.get_ranges(&key, &[0..10, (2 << 20)..(2 << 20) + 10]).await.unwrap();
        assert!(parts[1] == content[2 << 20..(2 << 20) + 10]);
        let suffix = object_store::GetOptions {
            range: Some(GetRange::Suffix(8)),
            ..object_store::GetOptions::default()
        };
        let suffix = store.get_opts(&key, suffix).await.unwrap().bytes().await.unwrap();
        assert!(suffix == content[content.len() - 8..]);
        assert_eq!(store.list(None).try_collect::<Vec<_>>().await.unwrap().len(), 1);
        assert_eq!(store.list_with_delimiter(None).await.unwrap().objects.len(), 1);
        store.put(&Path::from("b.bin"), PutPayload::from_static(b"x")).await.unwrap();
        let mut upload = store.put_multipart(&Path::from("c.bin")).await.unwrap();
        upload.put_part(PutPayload::from_static(b"part")).await.unwrap();
        upload.complete().await.unwrap();
    });
    let sent: Vec<_> = server.asked().into_iter().filter(|asked| asked.method == "PUT").collect();
    assert_eq!(
        sent.iter().map(|asked| asked.body.as_slice()).collect::<Vec<_>>(),
        [b"x".as_slice(), b"part"]
    );
    let workers = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = workers.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    assert!(names.into_iter().any(|name| name.trim() == query::store::io::THREAD_NAME));
}
