//! Google Cloud Storage and Azure, as far as their protocols can be had from small servers.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use query::store::Kind;

use super::files::{Files, bytes, s3};
use super::server::{How, Reply, Server};
use super::{at, run, secret, stores};

const SIZE: usize = 100_000;

#[test]
fn google_is_read_listed_and_read_on() {
    let files = Files::from([("/data/a/b.bin".to_string(), bytes(SIZE))]);
    let server = Server::start(move |asked, number| {
        let reply = s3(asked, &files);
        if number == 1 { reply.sent(How::Cut(500)) } else { reply }
    });
    let settings = [("bearer_token", "planted-token"), ("endpoint", &server.url())];
    let stores = stores([secret(Kind::Gcs, &settings)]);
    for scheme in ["gs", "gcs"] {
        let (store, key) = at(&stores, &format!("{scheme}://data/a/b.bin"));
        run(async {
            assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
            assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == bytes(SIZE));
            let found: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert_eq!(found[0].location, key);
        });
    }
    assert!(server.asked().iter().all(|asked| asked.header("authorization") == Some("Bearer planted-token")));
}

#[test]
fn google_without_credentials_is_read_unsigned() {
    let files = Files::from([("/data/a.bin".to_string(), bytes(10))]);
    let server = Server::start(move |asked, _| s3(asked, &files));
    let stores = stores([secret(Kind::Gcs, &[("provider", "anonymous"), ("endpoint", &server.url())])]);
    let (store, key) = at(&stores, "gs://data/a.bin");
    run(store.head(&key)).unwrap();
    assert_eq!(server.asked()[0].header("authorization"), None);
}

#[test]
fn keys_for_the_other_protocol_of_google_are_refused_with_advice() {
    let stores = stores([secret(Kind::Gcs, &[("key_id", "GOOGPLANTED"), ("secret", "planted-half")])]);
    let (store, key) = at(&stores, "gs://data/a.bin");
    let error: query::datafusion::error::DataFusionError = run(store.head(&key)).unwrap_err().into();
    let shown = format!("{:?}", query::Error::from(error));
    assert!(shown.contains("TYPE s3") && !shown.contains("planted"), "{shown}");
}

/// A container `data` of the account `acc`: `/data/key`.
fn azure() -> Server {
    let files = Files::from([("/data/a/b.bin".to_string(), bytes(SIZE))]);
    Server::start(move |asked, number| {
        if asked.query("comp").as_deref() == Some("list") {
            let body = format!(
                "<EnumerationResults><Blobs><Blob><Name>a/b.bin</Name><Properties>\
                 <Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified><Content-Length>{SIZE}</Content-Length>\
                 <Content-Type>x/y</Content-Type><Etag>0x1</Etag></Properties></Blob></Blobs></EnumerationResults>"
            );
            return Reply::new(200, body);
        }
        let reply = s3(asked, &files);
        if number == 1 { reply.sent(How::Cut(500)) } else { reply }
    })
}

#[test]
fn azure_is_read_listed_and_read_on() {
    let key = "cGxhbnRlZC1rZXk=";
    let connection =
        |server: &Server| format!("AccountName=acc;AccountKey={key};BlobEndpoint={}", server.url());
    for form in 0..3 {
        let server = azure();
        let (url, connection) = (server.url(), connection(&server));
        let settings: &[(&str, &str)] = match form {
            0 => &[("account_name", "acc"), ("account_key", key), ("endpoint", &url)],
            1 => &[("connection_string", &connection)],
            _ => &[("account_key", key), ("endpoint", &url)],
        };
        let stores = stores([secret(Kind::Azure, settings)]);
        let root = ["az://data", "azure://data", "abfss://data@acc.dfs.core.windows.net"][form];
        let (store, path) = at(&stores, &format!("{root}/a/b.bin"));
        run(async {
            assert_eq!(store.head(&path).await.unwrap().size, SIZE as u64);
            assert!(store.get(&path).await.unwrap().bytes().await.unwrap() == bytes(SIZE));
            let found: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert_eq!(found[0].location, path);
        });
        for asked in server.asked() {
            assert!(asked.header("authorization").unwrap().starts_with("SharedKey acc:"), "{asked:?}");
        }
    }
}

#[test]
fn azure_is_read_with_a_shared_access_signature() {
    let server = azure();
    let settings =
        [("account_name", "acc"), ("sas_token", "sv=1&sig=planted%3D"), ("endpoint", &server.url())];
    let stores = stores([secret(Kind::Azure, &settings)]);
    let (store, key) = at(&stores, "az://data/a/b.bin");
    run(store.head(&key)).unwrap();
    assert_eq!(server.asked()[0].query("sig").as_deref(), Some("planted="));
    let (store, key) = at(&stores, "az://data/missing");
    let error = run(store.head(&key)).unwrap_err().to_string();
    assert!(!error.contains("planted") && error.contains("az://data/missing"), "{error}");
}

#[test]
fn azure_without_an_account_says_how_to_name_one() {
    let stores = stores([secret(Kind::Azure, &[("account_key", "cGxhbnRlZC1rZXk=")])]);
    let (store, key) = at(&stores, "az://data/x");
    let error = run(store.head(&key)).unwrap_err().to_string();
    assert!(error.contains("no account is named"), "{error}");
}
