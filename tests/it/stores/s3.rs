//! Buckets: regions, addresses, signatures.

use object_store::ObjectStoreExt;
use query::store::Kind;

use super::files::{Files, bytes, error, s3};
use super::server::{Asked, Reply, Server};
use super::{at, run, secret, stores};

const KEYS: [(&str, &str); 2] = [("key_id", "AKIDPLANTED"), ("secret", "planted-secret-value")];

fn files() -> Files {
    Files::from([("/data/a/b.bin".to_string(), bytes(1000))])
}

/// The region that a request was signed for.
fn region(asked: &Asked) -> Option<String> {
    let scope = asked.header("authorization")?.split("Credential=").nth(1)?;
    scope.split('/').nth(2).map(String::from)
}

#[test]
fn the_region_is_found_out() {
    // With a header, with a text, and with neither: then the bucket is asked.
    let answers: [fn(&Asked) -> Reply; 3] = [
        |_| Reply::new(301, "").with("x-amz-bucket-region", "eu-north-7"),
        |_| {
            Reply::new(
                400,
                "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong</Message>\
                 <Region>eu-north-7</Region></Error>",
            )
        },
        |asked| match asked.header("authorization") {
            Some(_) => Reply::new(400, ""),
            None => Reply::new(403, "").with("x-amz-bucket-region", "eu-north-7"),
        },
    ];
    for answer in answers {
        let files = files();
        let server = Server::start(move |asked, _| match region(asked).as_deref() {
            Some("eu-north-7") => s3(asked, &files),
            _ => answer(asked),
        });
        let stores = stores([secret(Kind::S3, &[KEYS[0], KEYS[1], ("endpoint", &server.url())])]);
        let (store, key) = at(&stores, "s3://data/a/b.bin");
        run(async {
            assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == bytes(1000));
            assert_eq!(store.head(&key).await.unwrap().size, 1000);
        });
        let regions: Vec<_> = server.asked().iter().map(region).collect();
        assert_eq!(regions[0].as_deref(), Some("us-east-1"));
        let right = regions.iter().filter(|region| region.as_deref() == Some("eu-north-7")).count();
        assert_eq!(right, 2, "it is found out once: {regions:?}");
        assert!(regions.len() <= 4);
    }
}

#[test]
fn the_region_of_the_secret_is_used() {
    let files = files();
    let server = Server::start(move |asked, _| s3(asked, &files));
    let settings = [KEYS[0], KEYS[1], ("endpoint", &server.url()), ("region", "sa-west-9")];
    let stores = stores([secret(Kind::S3, &settings)]);
    let (store, key) = at(&stores, "s3://data/a/b.bin");
    run(store.head(&key)).unwrap();
    assert_eq!(region(&server.asked()[0]).as_deref(), Some("sa-west-9"));
}

#[test]
fn a_request_without_credentials_is_not_signed() {
    let files = files();
    let server = Server::start(move |asked, _| s3(asked, &files));
    let endpoint = format!("127.0.0.1:{}", server.port);
    let settings = [("provider", "anonymous"), ("endpoint", endpoint.as_str()), ("use_ssl", "false")];
    let stores = stores([secret(Kind::S3, &settings)]);
    let (store, key) = at(&stores, "s3://data/a/b.bin");
    run(store.head(&key)).unwrap();
    assert_eq!(server.log(), ["HEAD /data/a/b.bin"]);
    assert_eq!(server.asked()[0].header("authorization"), None);
}

#[test]
fn a_session_token_goes_with_the_keys() {
    let files = files();
    let server = Server::start(move |asked, _| s3(asked, &files));
    let settings = [KEYS[0], KEYS[1], ("session_token", "planted-token"), ("endpoint", &server.url())];
    let stores = stores([secret(Kind::S3, &settings)]);
    let (store, key) = at(&stores, "s3://data/a/b.bin");
    run(store.head(&key)).unwrap();
    assert_eq!(server.asked()[0].header("x-amz-security-token"), Some("planted-token"));
}

#[test]
fn keys_are_taken_as_they_are_written() {
    let server = Server::start(|asked, _| match asked.path() {
        "/data/a%20b/x%2520%3D1/%C3%A4.csv" => super::files::file(asked, b"x", "\"v\""),
        _ => error(404, "NoSuchKey", "The specified key does not exist."),
    });
    let stores = super::s3_stores(&server);
    let (store, key) = at(&stores, "s3://data/a b/x%20=1/ä.csv");
    run(store.head(&key)).unwrap_or_else(|error| panic!("{error} {:?}", server.log()));
}

#[test]
fn each_key_is_read_with_the_secret_that_is_for_it() {
    let files = Files::from([("/data/a/x".to_string(), bytes(10)), ("/data/b/x".to_string(), bytes(10))]);
    let server = Server::start(move |asked, _| s3(asked, &files));
    let of = |name: &str, scope: &str| {
        let id = format!("AKID{name}");
        let settings =
            [("key_id", id.as_str()), ("secret", "planted-for-a-scope"), ("endpoint", &server.url())];
        let mut made = secret(Kind::S3, &settings);
        made.name = name.into();
        made.scope = Some(scope.into());
        made
    };
    let stores = stores([of("A", "s3://data/a"), of("B", "s3://data/b/")]);
    for (key, id) in [("a/x", "AKIDA"), ("b/x", "AKIDB"), ("a/x", "AKIDA")] {
        let (store, key) = at(&stores, &format!("s3://data/{key}"));
        run(store.head(&key)).unwrap();
        let asked = server.asked().pop().unwrap();
        assert!(asked.header("authorization").unwrap().contains(id), "{key}: {asked:?}");
    }
    // A secret that is changed counts from then on.
    stores.secrets().insert(of("A", "s3://data/b/x"));
    let (store, key) = at(&stores, "s3://data/b/x");
    run(store.head(&key)).unwrap();
    assert!(server.asked().pop().unwrap().header("authorization").unwrap().contains("AKIDA"));
}
