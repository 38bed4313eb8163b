//! Trouble between the program and S3 or a web server: the same rows as without it, or one clear error.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use query::Session;
use query::session::SessionOptions;
use query::store::Patience;

use crate::engine::{self, Way};
use crate::remote_tables::{self as remote, Form, let_in, rows};
use crate::servers::{Fault, Http, Plan, Proxy, Ranges, S3};

/// So many of a hundred requests are hit.
const PERCENT: u8 = 30;
const SEEDS: u64 = 3;

/// Where the tables are, behind the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    S3,
    Web,
}

/// Queries that read a table in parts or whole, some columns or all.
fn queries(location: &str, server: Server) -> Vec<String> {
    let mut queries = Vec::new();
    for form in [Form::Parquet, Form::Csv] {
        let table = match server {
            Server::S3 => format!("{location}/{form}/orders/*.{form}"),
            Server::Web => format!("{location}/{form}/orders.{form}"),
        };
        queries.push(format!(
            "SELECT o_orderpriority, count(*), sum(o_orderkey), max(o_clerk) FROM '{table}' GROUP BY ALL ORDER BY 1"
        ));
        queries.push(format!("SELECT * FROM '{table}' ORDER BY o_orderkey DESC LIMIT 5"));
    }
    queries
}

async fn session(server: Server, endpoint: &str) -> Session {
    // Bodies that stall are given up soon: loopback answers at once, and the test is to end.
    let patience = Patience { wait_min: Duration::from_millis(300), ..Patience::default() };
    let options = SessionOptions { patience: Some(patience), ..SessionOptions::default() };
    let session = Way::local(2).session_with(options).await.unwrap();
    if server == Server::S3 {
        let_in(&session, endpoint, &S3::get().reader);
    }
    session
}

/// What became of a fault's queries.
#[derive(Debug, Default)]
struct Ends {
    same: usize,
    errors: Vec<String>,
}

/// Runs the queries under every fault. Other rows than the right ones fail the test here.
fn under(server: Server, fault: Fault) -> Ends {
    engine::runtime().block_on(async {
        let web;
        let (upstream, location) = match server {
            Server::S3 => {
                remote::tables_in_s3().await;
                (S3::get().address().to_string(), None)
            }
            Server::Web => {
                web = Http::start(remote::tables(), Ranges::Served);
                (web.address.clone(), Some(()))
            }
        };
        let proxy = Proxy::start(&upstream, Plan::calm());
        let location = match location {
            None => "s3://tpch".to_string(),
            Some(()) => proxy.endpoint(),
        };
        let queries = queries(&location, server);
        let mut clean = Vec::new();
        for sql in &queries {
            clean.push(rows(&session(server, &proxy.endpoint()).await, sql).await.unwrap());
        }
        let mut ends = Ends::default();
        let mut hit = 0;
        for seed in 0..SEEDS {
            for (sql, clean) in queries.iter().zip(&clean) {
                proxy.follow(Plan::of(fault, PERCENT, seed));
                match rows(&session(server, &proxy.endpoint()).await, sql).await {
                    Ok(rows) => {
                        assert_eq!(rows, *clean, "{server:?}, {fault:?}, seed {seed}: {sql}");
                        ends.same += 1;
                    }
                    Err(error) => ends.errors.push(format!("{error:?}")),
                }
                hit += proxy.seen().faults.len();
            }
        }
        assert!(hit > 0, "{fault:?} never happened");
        ends
    })
}

/// Trouble that passes is not to be seen.
fn passes(server: Server, fault: Fault) {
    let ends = under(server, fault);
    assert!(ends.errors.is_empty(), "{server:?}, {fault:?}: {:#?}", ends.errors);
}

/// Trouble that stays is an error that says what it is.
fn is_told(server: Server, fault: Fault, words: &[&str]) {
    let ends = under(server, fault);
    let mut unclear = String::new();
    for error in &ends.errors {
        if !words.iter().all(|word| error.to_lowercase().contains(word)) {
            writeln!(unclear, "{error}").unwrap();
        }
    }
    assert!(unclear.is_empty(), "{server:?}, {fault:?}:\n{unclear}");
    assert!(!ends.errors.is_empty(), "{server:?}, {fault:?}: {} queries saw nothing of it", ends.same);
}

#[test]
fn busy_servers_are_asked_again() {
    passes(Server::S3, Fault::Busy);
    passes(Server::Web, Fault::Busy);
}

#[test]
fn connections_that_are_reset_are_made_anew() {
    passes(Server::S3, Fault::Reset);
    passes(Server::Web, Fault::Reset);
}

#[test]
fn bodies_that_end_early_are_read_on() {
    passes(Server::S3, Fault::Truncated);
    passes(Server::Web, Fault::Truncated);
}

#[test]
fn bodies_that_stall_are_read_on_s3() {
    passes(Server::S3, Fault::Stall);
}

#[test]
fn bodies_that_stall_are_read_on_from_web_servers() {
    passes(Server::Web, Fault::Stall);
}

#[test]
fn objects_that_are_replaced_in_mid_scan_are_an_error() {
    is_told(Server::S3, Fault::Replaced, &["changed", "orders"]);
    is_told(Server::Web, Fault::Replaced, &["changed", "orders"]);
}

#[test]
fn credentials_that_have_expired_are_an_error() {
    is_told(Server::S3, Fault::Expired, &["expired"]);
    is_told(Server::Web, Fault::Expired, &["403"]);
}

#[test]
fn a_file_that_is_replaced_between_two_queries_is_read_anew_after_a_refresh() {
    engine::runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Http::start(folder.path(), Ranges::Served);
        let session = session(Server::Web, "").await;
        for n in [1, 20, 300] {
            fs::write(folder.path().join("a.csv"), format!("n\n{n}\n")).unwrap();
            session.refresh();
            let found = rows(&session, &format!("SELECT n FROM '{}'", server.url("a.csv"))).await.unwrap();
            assert_eq!(found, [[Some(n.to_string())]]);
        }
    });
}
