//! Web servers, with and without ranges, HEAD and versions.

use futures::TryStreamExt;
use object_store::{GetOptions, GetRange, ObjectStoreExt};
use query::store::Kind;

use super::files::{MODIFIED, bytes, file};
use super::server::{Asked, How, Reply, Server};
use super::{at, run, secret, stores};

const SIZE: usize = 2 << 20;

/// A server with one file that ignores `Range` and `If-Match`.
fn without_ranges(asked: &Asked) -> Reply {
    let mut asked = asked.clone();
    asked.headers.remove("range");
    asked.headers.remove("if-match");
    file(&asked, &bytes(SIZE), "\"v1\"")
}

async fn suffix(
    store: &dyn object_store::ObjectStore,
    key: &object_store::path::Path,
    length: u64,
) -> Vec<u8> {
    let options = GetOptions { range: Some(GetRange::Suffix(length)), ..GetOptions::default() };
    store.get_opts(key, options).await.unwrap().bytes().await.unwrap().to_vec()
}

#[test]
fn a_server_with_ranges_sends_parts() {
    let server = Server::start(|asked, _| file(asked, &bytes(SIZE), "\"v1\""));
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/a/b.bin", server.url()));
    run(async {
        assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
        assert!(suffix(store.as_ref(), &key, 100).await == bytes(SIZE)[SIZE - 100..]);
        assert!(store.get_range(&key, 10..20).await.unwrap() == bytes(SIZE)[10..20]);
    });
    assert_eq!(server.log(), ["HEAD /a/b.bin", "GET /a/b.bin", "GET /a/b.bin"]);
    let usage = stores.usage()[&format!("{}/", server.url())];
    assert_eq!(usage.read_bytes, 110);
}

#[test]
fn a_server_without_ranges_sends_the_file_once() {
    let server = Server::start(|asked, _| without_ranges(asked));
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    run(async {
        assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
        let all = bytes(SIZE);
        let (end, middle) =
            futures::join!(suffix(store.as_ref(), &key, 100), store.get_range(&key, 1000..5000));
        assert!(end == all[SIZE - 100..]);
        assert!(middle.unwrap() == all[1000..5000]);
        assert!(store.get_range(&key, 7..8).await.unwrap() == all[7..8]);
    });
    let gets = server.asked().iter().filter(|asked| asked.method == "GET").count();
    assert!(
        gets <= 2,
        "the file is read once, though two may have found out at the same time: {:?}",
        server.log()
    );
    let usage = stores.usage()[&format!("{}/", server.url())];
    assert_eq!(usage.read_bytes, SIZE as u64);
}

#[test]
fn a_server_without_ranges_that_breaks_off_is_asked_for_the_file_again() {
    let server = Server::start(|asked, number| {
        let reply = without_ranges(asked);
        if number < 2 { reply.sent([How::Cut(5000), How::Stall(9000)][number]) } else { reply }
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    assert!(run(store.get_range(&key, 100..200)).unwrap() == bytes(SIZE)[100..200]);
    // Read as a whole, and broken: the rest is taken from the whole.
    let server = Server::start(|asked, number| {
        let reply = without_ranges(asked);
        if number == 0 { reply.sent(How::Cut(5000)) } else { reply }
    });
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    assert!(run(async { store.get(&key).await.unwrap().bytes().await }).unwrap() == bytes(SIZE));
}

#[test]
fn a_new_version_of_a_file_that_was_read_whole_is_read_anew() {
    let server = Server::start(|asked, number| {
        let mut asked = asked.clone();
        asked.headers.remove("range");
        match number {
            0..2 => file(&asked, b"old content", "\"v1\""),
            _ => file(&asked, b"new", "\"v2\""),
        }
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    run(async {
        assert_eq!(store.head(&key).await.unwrap().size, 11);
        assert_eq!(store.get_range(&key, 0..3).await.unwrap(), "old");
        assert_eq!(store.head(&key).await.unwrap().size, 3);
        assert_eq!(store.get_range(&key, 0..3).await.unwrap(), "new");
    });
}

/// Its range alone tells that bytes are missing.
#[test]
fn a_body_that_ends_too_early_in_good_order_is_read_on() {
    let server = Server::start(|asked, number| {
        let mut reply = file(asked, &bytes(SIZE), "\"v1\"");
        if number == 0 {
            reply.body.truncate(1_000_000);
            reply = reply.sent(How::Unmeasured);
        }
        reply
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    let got = run(async { store.get_range(&key, 5..SIZE as u64 - 5).await.unwrap() });
    assert!(got == bytes(SIZE)[5..SIZE - 5]);
    let ranges: Vec<_> = server.asked().iter().map(|asked| asked.range(SIZE)).collect();
    assert_eq!(ranges, [Some((5, SIZE - 6)), Some((1_000_005, SIZE - 6))]);
}

#[test]
fn a_server_that_says_neither_length_nor_version_is_read_whole() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "HEAD" => Reply::new(405, ""),
        _ => Reply::new(200, bytes(SIZE)).sent(How::Unmeasured),
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/made", server.url()));
    run(async {
        assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
        assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == bytes(SIZE));
        assert!(store.get_range(&key, 5..6).await.unwrap() == bytes(SIZE)[5..6]);
    });
    assert_eq!(server.log(), ["HEAD /made", "GET /made"]);
}

#[test]
fn a_file_of_unknown_length_is_read_again_only_in_another_version() {
    let server = Server::start(|asked, number| match asked.method.as_str() {
        "HEAD" => Reply::new(405, ""),
        _ => {
            let tag = if number < 5 { "\"v1\"" } else { "\"v2\"" };
            Reply::new(200, bytes(SIZE)).with("etag", tag).sent(How::Unmeasured)
        }
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/made", server.url()));
    let read = || stores.usage()[&format!("{}/", server.url())].read_bytes;
    run(async {
        for times in [1, 1, 2] {
            assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
            assert_eq!(read(), times * SIZE as u64, "{:?}", server.log());
        }
    });
}

#[test]
fn a_body_that_breaks_without_a_version_is_not_put_together() {
    let server = Server::start(|asked, number| match asked.range(SIZE) {
        None => Reply::new(200, bytes(SIZE)).sent(if number == 0 { How::Cut(1 << 20) } else { How::Whole }),
        Some((first, last)) => Reply::new(206, &bytes(SIZE)[first..=last])
            .with("content-range", format!("bytes {first}-{last}/{SIZE}")),
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    let error = run(async { store.get(&key).await.unwrap().bytes().await }).unwrap_err();
    assert!(error.to_string().contains("neither ETag nor Last-Modified"), "{error}");
}

#[test]
fn a_weak_tag_is_compared_but_not_asked_for() {
    let server = Server::start(|asked, number| {
        let reply = file(asked, &bytes(SIZE), "W/\"v1\"");
        if number == 0 { reply.sent(How::Cut(1000)) } else { reply }
    });
    let stores = stores([]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    assert!(run(async { store.get(&key).await.unwrap().bytes().await }).unwrap() == bytes(SIZE));
    assert_eq!(server.asked()[1].header("if-match"), None);
}

#[test]
fn a_signed_url_is_asked_for_as_it_is_and_is_not_shown() {
    let server = Server::start(|asked, _| match (asked.method.as_str(), asked.target.as_str()) {
        ("GET", "/a%20b//c.bin?X-Sig=plantedsig%2F1&x=2") => file(asked, &bytes(SIZE), "\"v1\""),
        _ => Reply::new(403, ""),
    });
    let stores = stores([]);
    let text = format!("{}/a%20b//c.bin?X-Sig=plantedsig%2F1&x=2", server.url());
    let (store, key) = at(&stores, &text);
    assert!(!key.as_ref().contains("planted") && !store.to_string().contains("planted"));
    run(async {
        assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
        assert!(suffix(store.as_ref(), &key, 10).await == bytes(SIZE)[SIZE - 10..]);
    });
    assert_eq!(server.asked().len(), 2, "{:?}", server.log());
}

#[test]
fn passwords_tokens_and_headers_are_sent_and_not_shown() {
    let server = Server::start(|asked, _| file(asked, b"abc", "\"v1\""));
    let stores = stores([]);
    let host = format!("127.0.0.1:{}", server.port);
    let (store, key) = at(&stores, &format!("http://me:planted%40pw@{host}/a.csv"));
    run(store.head(&key)).unwrap();
    // The text is "me:planted@pw".
    assert_eq!(server.asked()[0].header("authorization"), Some("Basic bWU6cGxhbnRlZEBwdw=="));
    assert_eq!(store.to_string(), format!("http://{host}/"));
    stores.secrets().insert(secret(
        Kind::Http,
        &[("bearer_token", "planted-token"), ("extra_http_headers", "X-One: planted-1\nX-Two: planted: 2")],
    ));
    let (store, key) = at(&stores, &format!("http://{host}/a.csv"));
    run(store.head(&key)).unwrap();
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer planted-token"));
    assert_eq!((asked.header("x-one"), asked.header("x-two")), (Some("planted-1"), Some("planted: 2")));
}

#[test]
fn an_empty_file_is_a_file() {
    let server = Server::start(|asked, _| match asked.header("range") {
        Some(_) => Reply::new(416, "").with("content-range", "bytes */0"),
        None => Reply::new(200, "").with("last-modified", MODIFIED),
    });
    let stores = stores([]);
    for name in ["a.csv", "a.csv?signed=1"] {
        let (store, key) = at(&stores, &format!("{}/{name}", server.url()));
        run(async {
            assert_eq!(store.head(&key).await.unwrap().size, 0);
            assert_eq!(suffix(store.as_ref(), &key, 10).await, b"");
            assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap(), "");
        });
    }
}

#[test]
fn redirects_are_followed() {
    let target = Server::start(|asked, _| file(asked, &bytes(SIZE), "\"v1\""));
    let location = format!("{}/moved.bin", target.url());
    let server = Server::start(move |_, _| Reply::new(302, "").with("location", location.clone()));
    let stores = stores([secret(Kind::Http, &[("bearer_token", "planted-token")])]);
    let (store, key) = at(&stores, &format!("{}/b.bin", server.url()));
    assert!(run(store.get_range(&key, 3..9)).unwrap() == bytes(SIZE)[3..9]);
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer planted-token"));
    assert_eq!(target.asked()[0].header("authorization"), None, "a token is for its own server");
}

#[test]
fn web_servers_do_not_list_and_are_not_written_to() {
    let stores = stores([]);
    let (store, key) = at(&stores, "http://127.0.0.1:9/a.csv");
    let error = run(store.list(None).try_collect::<Vec<_>>()).unwrap_err().to_string();
    assert!(error.contains("do not say what files they have"), "{error}");
    let error = run(store.put(&key, "x".into())).unwrap_err().to_string();
    assert!(error.contains("cannot be written") && error.contains("only read from"), "{error}");
}
