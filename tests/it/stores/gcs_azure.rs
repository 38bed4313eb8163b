//! Google Cloud Storage and Azure, as far as their protocols can be had from small servers. These check what requests are
//! signed with.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use query::store::Kind;

use super::certificates::rsa_key;
use super::files::{Files, bytes, s3};
use super::server::{Asked, How, Reply, Server};
use super::signed::{base64, claims, is_signed_for_azure};
use super::{at, run, secret, stores};

const SIZE: usize = 100_000;

/// The key of the account `acc`.
const KEY: &str = "cGxhbnRlZC1rZXk=";

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

/// The token of a request, if the service account has signed it for the store, and it is good now.
fn account_of(asked: &Asked, modulus: &[u8]) -> Option<String> {
    let token = asked.header("authorization")?.strip_prefix("Bearer ")?;
    let (header, claims) = claims(token, modulus)?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let number = |name: &str| claims[name].as_u64().unwrap();
    let is_good = header["alg"] == "RS256"
        && header["typ"] == "JWT"
        && header["kid"] == "planted-key-id"
        && claims["iss"] == claims["sub"]
        && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        && number("iat") <= now
        && now < number("exp")
        && number("exp") - number("iat") <= 3600;
    is_good.then(|| claims["iss"].as_str().unwrap().to_string())
}

#[test]
fn google_takes_a_service_account_by_its_text_and_by_its_file() {
    let (private, modulus) = rsa_key();
    let account = serde_json::json!({
        "type": "service_account",
        "private_key_id": "planted-key-id",
        "private_key": private,
        "client_email": "reader@project.iam.gserviceaccount.com",
        // It is there in such files, and not asked: tokens that are signed by the account itself are taken for the store.
        "token_uri": "http://127.0.0.1:9/token",
    });
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("account.json");
    std::fs::write(&path, account.to_string()).unwrap();
    for given in [account.to_string(), path.to_str().unwrap().to_string()] {
        let files = Files::from([("/data/a/b.bin".to_string(), bytes(SIZE))]);
        let of_account = modulus.clone();
        let server = Server::start(move |asked, _| match account_of(asked, &of_account).as_deref() {
            Some("reader@project.iam.gserviceaccount.com") => s3(asked, &files),
            _ => Reply::new(401, ""),
        });
        let settings = [("service_account", given.as_str()), ("endpoint", &server.url())];
        let stores = stores([secret(Kind::Gcs, &settings)]);
        let (store, key) = at(&stores, "gs://data/a/b.bin");
        run(async {
            assert_eq!(store.head(&key).await.unwrap().size, SIZE as u64);
            assert!(store.get(&key).await.unwrap().bytes().await.unwrap() == bytes(SIZE));
        });
        // The server would not have taken another's word.
        let mut other = server.asked().pop().unwrap();
        let token = other.header("authorization").unwrap().to_string();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        other.headers.insert("authorization".into(), format!("{text}.{turned}"));
        assert_eq!(account_of(&other, &modulus), None);
    }
}

/// A container `data` of the account `acc`: `/data/key`. It checks signatures, unless requests have a shared one.
fn azure() -> Server {
    let files = Files::from([("/data/a/b.bin".to_string(), bytes(SIZE))]);
    Server::start(move |asked, number| {
        if asked.query("sig").is_none() && !is_signed_for_azure(asked, "acc", &base64(KEY)) {
            let body = "<Error><Code>AuthenticationFailed</Code><Message>no</Message></Error>";
            return Reply::new(403, body).with("x-ms-error-code", "AuthenticationFailed");
        }
        if asked.method == "PUT" {
            return Reply::new(201, "").with("etag", "\"0x2\"");
        }
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
    let key = KEY;
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
            store.put(&path, "some bytes".into()).await.unwrap();
        });
        for asked in server.asked() {
            assert!(is_signed_for_azure(&asked, "acc", &base64(key)), "{asked:?}");
        }
    }
}

#[test]
fn azure_does_not_take_another_key() {
    let server = azure();
    let settings =
        [("account_name", "acc"), ("account_key", "cGxhbnRlZC1rZXkx"), ("endpoint", &server.url())];
    let stores = stores([secret(Kind::Azure, &settings)]);
    let (store, key) = at(&stores, "az://data/a/b.bin");
    let error: query::datafusion::error::DataFusionError = run(store.head(&key)).unwrap_err().into();
    let shown = format!("{:?}", query::Error::from(error));
    assert!(shown.contains("the key or the secret is wrong") && !shown.contains("cGxhbnRl"), "{shown}");
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
