//! HDFS as it is in a cluster: name services, users, DataNodes that go away, copies that are damaged, and errors.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use futures::StreamExt;
use hdfs_native::ClientBuilder;
use query::Session;
use query::config::EngineKind;
use query::error::Script;
use query::frontend::sql::{Params, split};
use query::session::Outcome;
use query::store::{Kind, Secret};

use crate::engine::{self, Way};
use crate::remote_tables::{put_in_hdfs, rows};
use crate::servers::{DATANODES, Hdfs};

/// More than the blocks' size of 8 MiB, several times.
const ROWS: u64 = 6_000_000;

/// A CSV file of several blocks: `n` from 0.
async fn put_numbers(path: &str, count: u64) {
    let mut text = String::from("n\n");
    for n in 0..count {
        text.push_str(&n.to_string());
        text.push('\n');
    }
    put_in_hdfs(path, text.into_bytes()).await;
}

fn query_of(url: &str) -> String {
    format!("SELECT count(*), sum(n) FROM '{url}'")
}

async fn local() -> Session {
    Way::local(2).session().await.unwrap()
}

/// The command's standard output, or its complaint.
fn command(sql: &str, environment: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new(cargo_bin("query"))
        .args(["-c", sql, "--format", "csv"])
        .env_remove("HADOOP_CONF_DIR")
        .env_remove("HADOOP_USER_NAME")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[test]
fn a_name_service_is_the_namenode_that_is_active() {
    let hdfs = Hdfs::get();
    let trouble = hdfs.trouble();
    engine::runtime().block_on(put_numbers("/services/a.csv", 10));
    let settings = hdfs.settings("service");
    let environment = [("HADOOP_CONF_DIR", settings.to_str().unwrap())];
    let sql = query_of("hdfs://service/services/a.csv");
    let first = command(&sql, &environment).unwrap();
    assert!(first.ends_with("10,45\n"), "{first}");
    trouble.fail_over();
    assert_eq!(command(&sql, &environment).unwrap(), first);
    // The first NameNode alone says what it is now.
    let error = command(&query_of(&format!("{}/services/a.csv", hdfs.url())), &[]).unwrap_err();
    assert!(error.contains("on standby") && error.contains("name service"), "{error}");
}

#[test]
fn files_are_read_as_the_user_of_the_environment() {
    let hdfs = Hdfs::get();
    let _calm = hdfs.calm();
    let url = format!("{}/private/a.csv", hdfs.url());
    engine::runtime().block_on(async {
        put_numbers("/private/a.csv", 10).await;
        let client = ClientBuilder::new().with_url(hdfs.url()).build().unwrap();
        client.set_permission("/private", 0o700).await.unwrap();
        client.set_owner("/private", Some("ann"), Some("staff")).await.unwrap();
        client.set_owner("/private/a.csv", Some("ann"), Some("staff")).await.unwrap();
    });
    let sql = query_of(&url);
    assert!(command(&sql, &[("HADOOP_USER_NAME", "ann")]).unwrap().ends_with("10,45\n"));
    let error = command(&sql, &[("HADOOP_USER_NAME", "bob")]).unwrap_err();
    assert!(error.contains("permission denied") && error.contains("bob"), "{error}");
    engine::runtime().block_on(async {
        let session = local().await;
        let settings = BTreeMap::from([("user".to_string(), "ann".to_string())]);
        let secret = Secret { name: "hdfs".into(), kind: Kind::Hdfs, scope: None, settings };
        session.stores().secrets().insert(secret);
        let found = rows(&session, &sql).await.unwrap();
        let expected = [[Some("10".to_string()), Some("45".to_string())]];
        assert_eq!(found, expected);
        // And as the user of the URL, without any secret.
        let session = local().await;
        let of = |user: &str| query_of(&url.replacen("hdfs://", &format!("hdfs://{user}@"), 1));
        assert_eq!(rows(&session, &of("ann")).await.unwrap(), expected);
        let error = rows(&session, &of("bob")).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{error}");
    });
}

/// Runs a query and does something when its first rows have come; gives the sum of all its rows.
async fn sum_with(sql: &str, then: impl FnOnce()) -> query::Result<u64> {
    let session = Way { engine: EngineKind::Local, ..Way::local(1) }.session().await.unwrap();
    let mut then = Some(then);
    let statement = split(&Script::new("test", sql)).statements.remove(0).parse(&session.functions())?;
    let Outcome::Rows(mut rows) = session.run(&statement, &Params::default()).await? else {
        panic!("no rows")
    };
    let mut sum = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        if batch.num_rows() > 0
            && let Some(then) = then.take()
        {
            then();
        }
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        sum += numbers.values().iter().map(|n| u64::try_from(*n).unwrap()).sum::<u64>();
    }
    Ok(sum)
}

#[test]
fn a_datanode_that_goes_away_during_a_read_is_not_missed() {
    let hdfs = Hdfs::get();
    let trouble = hdfs.trouble();
    engine::runtime().block_on(async {
        put_numbers("/killed/a.csv", ROWS).await;
        let sql = format!("SELECT n FROM '{}/killed/a.csv'", hdfs.url());
        for _ in 0..2 {
            let sum = sum_with(&sql, || trouble.stop_datanode(0)).await.unwrap();
            assert_eq!(sum, ROWS * (ROWS - 1) / 2);
            trouble.start_datanodes();
        }
    });
}

#[test]
fn datanodes_that_all_go_away_during_a_read_are_one_error() {
    let hdfs = Hdfs::get();
    let trouble = hdfs.trouble();
    engine::runtime().block_on(async {
        put_numbers("/all-killed/a.csv", ROWS).await;
        let sql = format!("SELECT n FROM '{}/all-killed/a.csv'", hdfs.url());
        let stop = || {
            trouble.stop_datanode(0);
            trouble.stop_datanode(0);
        };
        let error = sum_with(&sql, stop).await.unwrap_err().to_string();
        assert!(error.contains("all-killed/a.csv") && error.contains("DataNode"), "{error}");
        trouble.start_datanodes();
        assert_eq!(sum_with(&sql, || {}).await.unwrap(), ROWS * (ROWS - 1) / 2);
    });
}

#[test]
fn a_damaged_copy_is_left_for_the_other_one() {
    let hdfs = Hdfs::get();
    let trouble = hdfs.trouble();
    engine::runtime().block_on(async {
        // Whichever copy is asked first: one of the two files has that one damaged.
        for datanode in 0..DATANODES {
            let path = format!("/damaged-{datanode}/a.csv");
            put_numbers(&path, ROWS).await;
            trouble.spoil(datanode, &path);
            let sql = format!("SELECT n FROM '{}{path}'", hdfs.url());
            assert_eq!(sum_with(&sql, || {}).await.unwrap(), ROWS * (ROWS - 1) / 2);
        }
    });
}

#[test]
fn copies_that_are_all_damaged_are_one_error() {
    let hdfs = Hdfs::get();
    let trouble = hdfs.trouble();
    engine::runtime().block_on(async {
        put_numbers("/all-damaged/a.csv", ROWS).await;
        for datanode in 0..DATANODES {
            trouble.spoil(datanode, "/all-damaged/a.csv");
        }
        let sql = format!("SELECT n FROM '{}/all-damaged/a.csv'", hdfs.url());
        let error = sum_with(&sql, || {}).await.unwrap_err().to_string();
        assert!(error.contains("all-damaged/a.csv") && error.contains("DataNode"), "{error}");
    });
}

#[test]
fn errors_say_what_is_wrong_with_the_place() {
    let hdfs = Hdfs::get();
    let _calm = hdfs.calm();
    engine::runtime().block_on(async {
        let session = local().await;
        let error = rows(&session, &query_of(&format!("{}/nothing/a.csv", hdfs.url()))).await.unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = rows(&session, &query_of(&format!("hdfs://{nobody}/a.csv"))).await.unwrap_err();
        assert!(error.to_string().contains("connection refused"), "{error}");
        assert!(error.to_string().contains(&nobody.to_string()), "{error}");
        let error = rows(&session, &query_of("hdfs://no-such-name-service.invalid/a.csv")).await.unwrap_err();
        assert!(error.to_string().contains("could not connect"), "{error}");
    });
}

/// A NameNode that wants Kerberos, as far as it can be told without a ticket: the address, and the service principal.
/// It answers the first message of a connection with the ways to be let in, of which there is one.
fn wants_kerberos() -> String {
    /// A field of a protocol buffer that is text or a message.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
    }
    fn delimited(message: &[u8]) -> Vec<u8> {
        [&[u8::try_from(message.len()).unwrap()], message].concat()
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            // Seven bytes of greeting, then a message with its length before it.
            let mut begin = [0; 11];
            stream.read_exact(&mut begin).unwrap();
            let length = u32::from_be_bytes(begin[7..].try_into().unwrap());
            stream.read_exact(&mut vec![0; length as usize]).unwrap();
            let method =
                [field(1, b"KERBEROS"), field(2, b"GSSAPI"), field(3, b"nn"), field(4, b"localhost")];
            // Call -33 as 32 bits, success; negotiate, by this method.
            let header = [&[1 << 3, 0xdf, 0xff, 0xff, 0xff, 0x0f, 2 << 3, 0][..]].concat();
            let negotiate = [vec![2 << 3, 1], field(4, &method.concat())].concat();
            let message = [delimited(&header), delimited(&negotiate)].concat();
            stream.write_all(&u32::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&message).unwrap();
        }
    });
    address
}

#[test]
fn kerberos_without_a_ticket_says_so() {
    let room = tempfile::tempdir().unwrap();
    let property = "<property><name>hadoop.security.authentication</name><value>kerberos</value></property>";
    let text = format!("<?xml version=\"1.0\"?><configuration>{property}</configuration>");
    std::fs::write(room.path().join("core-site.xml"), text).unwrap();
    let environment =
        [("HADOOP_CONF_DIR", room.path().to_str().unwrap()), ("KRB5CCNAME", "FILE:/nonexistent")];
    let error = command(&query_of(&format!("hdfs://{}/a.csv", wants_kerberos())), &environment).unwrap_err();
    assert!(error.contains("Kerberos") && error.contains("kinit"), "{error}");
}
