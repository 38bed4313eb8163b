//! What the program takes from the environment on the way to a server: proxies and certificates. Each in a process of its
//! own, for the environment is the process's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::certificates::Certificates;
use super::files::file;
use super::server::{Reply, Server};

const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// Runs SQL in a process with these variables.
fn query(sql: &str, variables: &[(&str, &str)]) -> Output {
    let room = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_query"));
    command.args(["-c", sql]).current_dir(room.path()).stdin(Stdio::null());
    PROXIES.iter().chain(&["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUEST_METHOD"]).for_each(|name| {
        command.env_remove(name);
    });
    command.env("XDG_CONFIG_HOME", room.path()).envs(variables.iter().copied());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A secret for the bucket `data` of a server that nobody knows the address of.
fn secret(endpoint: &str, style: &str) -> String {
    format!(
        "create secret s (type s3, key_id 'AKIDPLANTED', secret 'planted-secret-value', region 'eu-west-1', \
         endpoint '{endpoint}', url_style {style});"
    )
}

#[test]
fn a_bucket_is_addressed_by_host_or_by_path_and_through_a_proxy() {
    // Names below `test` are nobody's: that they are found shows that the proxy is asked.
    for (style, target) in [("vhost", "http://data.s3.test/t/a.csv"), ("path", "http://s3.test/data/t/a.csv")]
    {
        let proxy = Server::start(move |asked, _| match asked.target == target {
            true => file(asked, b"id\n7\n", "\"v1\""),
            false => Reply::new(404, ""),
        });
        let sql = format!("{} select id from 's3://data/t/a.csv'", secret("http://s3.test", style));
        let done = query(&sql, &[("HTTP_PROXY", &proxy.url())]);
        assert_eq!(text(&done.stdout), "id\n7\n", "{style}: {}{:?}", text(&done.stderr), proxy.log());
        for asked in proxy.asked() {
            let host = target.split('/').nth(2);
            assert_eq!((asked.target.as_str(), asked.header("host")), (target, host));
            let signed = asked.header("authorization").unwrap();
            assert!(signed.contains("/eu-west-1/s3/aws4_request") && signed.contains("SignedHeaders=host;"));
        }
    }
}

#[test]
fn a_proxy_is_not_asked_for_hosts_that_are_excepted() {
    let server = Server::start(|asked, _| file(asked, b"id\n7\n", "\"v1\""));
    let proxy = Server::start(|_, _| Reply::new(404, ""));
    let sql = format!("select id from '{}/a.csv'", server.url());
    let done = query(&sql, &[("HTTP_PROXY", &proxy.url()), ("NO_PROXY", "127.0.0.1")]);
    assert_eq!(text(&done.stdout), "id\n7\n", "{}", text(&done.stderr));
    assert_eq!(proxy.log(), [""; 0]);
}

#[test]
fn a_proxy_is_asked_for_a_way_to_servers_with_encryption() {
    let proxy = Server::start(|_, _| Reply::new(403, ""));
    let address = proxy.url().replace("://", "://me:planted-proxy-1@");
    let sql = "from 'https://host.test/a.csv'";
    let done = query(sql, &[("HTTPS_PROXY", &address)]);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(proxy.log()[0], "CONNECT host.test:443");
    // "me:planted-proxy-1", which nobody else is told.
    let said = proxy.asked()[0].header("proxy-authorization").map(String::from);
    assert_eq!(said.as_deref(), Some("Basic bWU6cGxhbnRlZC1wcm94eS0x"));
    let told = text(&done.stderr);
    assert!(told.contains("https://host.test/a.csv") && !told.contains("planted"), "{told}");
}

/// A web server that encrypts, with the certificate of the tests for `localhost`; it serves a folder.
struct Encrypted {
    child: Child,
    port: u16,
    _room: TempDir,
}

const SERVE: &str = "
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

impl Encrypted {
    fn start() -> Self {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("a.csv"), "id\n7\n").unwrap();
        let mut child = Command::new("python3")
            .args(["-c", SERVE])
            .arg(Certificates::get().localhost())
            .current_dir(room.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap(), _room: room }
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn certificates_of_ones_own_are_named_by_the_environment() {
    let server = Encrypted::start();
    let sql = format!("select id from 'https://localhost:{}/a.csv'", server.port);
    let done = query(&sql, &[("SSL_CERT_FILE", Certificates::get().authority().to_str().unwrap())]);
    assert_eq!(text(&done.stdout), "id\n7\n", "{}", text(&done.stderr));
    // Without it, nobody vouches for the server.
    let done = query(&sql, &[]);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(1), String::new()));
    assert!(text(&done.stderr).contains("certificate"), "{}", text(&done.stderr));
}
