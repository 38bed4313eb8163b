//! What is said when a store refuses: which object, what the server said, what to do; and nothing that lets one in.

use object_store::ObjectStoreExt;
use query::store::Kind;

use super::files::error;
use super::server::{Reply, Server};
use super::{at, run, s3_stores, secret, stores};

/// The message with its advice, of a read of an object.
fn said(stores: &query::store::Stores, url: &str) -> String {
    let (store, key) = at(stores, url);
    let failed = run(async { store.get(&key).await?.bytes().await }).unwrap_err();
    let text = format!("{:?}", query::Error::from(query::datafusion::error::DataFusionError::from(failed)));
    assert!(!text.contains("planted-") && !text.contains("AKIDPLANTED"), "{text}");
    text
}

fn s3_said(reply: Reply) -> String {
    let server = Server::start(move |_, _| reply.clone());
    said(&s3_stores(&server), "s3://data/a.parquet")
}

#[test]
fn s3_refusals_name_the_object_and_say_what_to_do() {
    let message = "The specified bucket does not exist";
    let texts = [
        s3_said(error(404, "NoSuchBucket", message)),
        s3_said(error(404, "NoSuchKey", "The specified key does not exist.")),
        s3_said(error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist")),
        s3_said(error(403, "AccessDenied", "Access Denied")),
        s3_said(error(400, "ExpiredToken", "The provided token has expired.")),
        s3_said(error(403, "RequestTimeTooSkewed", "The difference is too large.")),
        s3_said(error(301, "PermanentRedirect", "elsewhere").with("x-amz-bucket-region", "eu-north-7")),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r"
    's3://data/a.parquet' cannot be read: there is no such bucket (404 NoSuchBucket); check the bucket's name, and the endpoint if it is not on the store's own servers
    's3://data/a.parquet' cannot be read: there is no such object (404 NoSuchKey)
    's3://data/a.parquet' cannot be read: the server answered 403 Forbidden (InvalidAccessKeyId: The AWS Access Key Id you provided does not exist); the key or the secret is wrong: check secret 'planted'
    's3://data/a.parquet' cannot be read: the server answered 403 Forbidden (AccessDenied: Access Denied); secret 'planted' does not let one in here: check its values and its rights
    's3://data/a.parquet' cannot be read: the server answered 400 Bad Request (ExpiredToken: The provided token has expired); the credentials have expired: renew secret 'planted'
    's3://data/a.parquet' cannot be read: the server answered 403 Forbidden (RequestTimeTooSkewed: The difference is too large); set this machine's clock
    's3://data/a.parquet' cannot be read: the server answered 301 Moved Permanently (PermanentRedirect: elsewhere); the bucket is in eu-north-7: make secret 'planted' anew with REGION 'eu-north-7'
    ");
}

#[test]
fn without_a_secret_it_is_said_how_to_make_one() {
    let server = Server::start(|_, _| error(403, "AccessDenied", "Access Denied"));
    let stores = stores([secret(Kind::S3, &[("provider", "anonymous"), ("endpoint", &server.url())])]);
    let text = said(&stores, "s3://data/a.parquet");
    assert!(text.contains("secret 'planted' does not let one in here"), "{text}");
    let server = Server::start(|_, _| Reply::new(401, ""));
    let text = said(&super::stores([]), &format!("{}/a.csv", server.url()));
    assert!(text.contains("401 Unauthorized") && text.contains("CREATE SECRET name (TYPE http"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = said(&stores([]), &format!("http://127.0.0.1:{port}/a.csv"));
    let expected = format!(
        "'http://127.0.0.1:{port}/a.csv' cannot be read: could not connect: Connection refused; it was tried 4 times; \
         check that 127.0.0.1:{port} is the right address and that a server runs there"
    );
    assert_eq!(text, expected);
}

#[test]
fn answers_that_repeat_what_was_sent_are_not_repeated() {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match.</Message>\
                <AWSAccessKeyId>AKIDPLANTED</AWSAccessKeyId><StringToSign>planted-secret-value</StringToSign></Error>";
    let text = s3_said(Reply::new(403, body));
    assert!(text.contains("SignatureDoesNotMatch") && text.contains("check secret 'planted'"), "{text}");
    let page =
        Server::start(|asked, _| Reply::new(403, format!("<html>You asked for {}</html>", asked.target)));
    let text = said(&stores([]), &format!("{}/a.csv?sig=planted-1", page.url()));
    assert!(text.contains("/a.csv' cannot be read: the server answered 403 Forbidden"), "{text}");
}

#[test]
fn what_is_no_url_and_what_is_no_store_is_said() {
    let stores = stores([]);
    assert!(stores.locate("data/a.csv").unwrap().is_none());
    assert!(stores.locate("file:///data/a.csv").unwrap().is_none());
    assert!(stores.locate("s3:///a.csv").unwrap_err().to_string().contains("no bucket or host"));
    assert!(stores.locate("http://a b/a.csv").unwrap_err().to_string().contains("it is no URL"));
}
