//! Secrets in URLs and in statements that are kept: what lists, describes, estimates and stores them shows nothing that
//! lets anybody in.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::super::{Done, Room};
use super::hidden::{assert_clean, assert_clean_folder, planted};

/// A web server with files for those who have a name and a password, a signature or a token. It has no ranges.
struct Server {
    port: u16,
}

impl Server {
    fn start(files: impl Into<Vec<(&'static str, Vec<u8>)>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let files = Arc::new(files.into());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = Arc::clone(&files);
                thread::spawn(move || drop(answer(stream, &files)));
            }
        });
        Self { port }
    }

    /// The URL of a file, by its name and who asks.
    fn with_password(&self, file: &str) -> String {
        format!("http://user:{}@127.0.0.1:{}/{file}", planted(80), self.port)
    }

    fn signed(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}?v=1&sig={}&e=2", self.port, planted(81))
    }

    fn plain(&self, file: &str) -> String {
        format!("http://127.0.0.1:{}/{file}", self.port)
    }
}

fn answer(mut stream: TcpStream, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_let_in = head.to_lowercase().contains("\r\nauthorization:") || target.contains("&sig=");
    let file = files.iter().find(|(name, _)| target.split('?').next() == Some(&format!("/{name}")[..]));
    let (status, body) = match file {
        Some((_, body)) if is_let_in => (200, body.as_slice()),
        Some(_) => (401, &b""[..]),
        None => (404, &b""[..]),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\netag: \"1\"\r\nconnection: close\r\n\r\n"
    )?;
    if method != "HEAD" {
        stream.write_all(body)?;
    }
    Ok(())
}

/// Parquet with a row.
fn parquet() -> Vec<u8> {
    let room = Room::new();
    assert_eq!(room.sql("copy (select 7 as id) to 'x.parquet'").both(0).1, "1 row written\n");
    room.bytes("x.parquet")
}

fn server() -> Server {
    Server::start([("x.csv", b"id\n7\n".to_vec()), ("x.parquet", parquet())])
}

/// Runs statements and commands one after the other in one session.
fn run(room: &Room, lines: &[String]) -> Done {
    let mut args =
        vec!["--keep-going", "--progress", "on", "--record", "record.json", "--report", "report.html"];
    lines.iter().for_each(|line| args.extend(["-c", line]));
    room.query(args).run()
}

#[track_caller]
fn assert_clean_all(room: &Room, done: &Done) {
    assert_clean("standard output", &done.stdout);
    assert_clean("standard error", done.stderr.as_bytes());
    assert_clean_folder(&room.path("."));
}

#[test]
fn names_of_files_let_nobody_in() {
    let server = server();
    let urls = [server.with_password("x.csv"), server.signed("x.csv"), server.signed("x.parquet")];
    let room = Room::new();
    let mut lines = vec![".mode csv".to_string()];
    for url in &urls {
        lines.extend([
            format!("select filename, id from '{url}'"),
            format!("select id, filename as f from '{url}' where filename like '%x.%'"),
            format!("prepare q as select filename from '{url}'"),
            "execute q".into(),
            "deallocate q".into(),
            format!("select path, size_bytes from file_list('{url}')"),
            format!("select count(*), max(filename) from '{url}' group by filename"),
            format!("explain select filename from '{url}' where id > 1"),
            format!("explain analyze select filename from '{url}'"),
            format!("copy (select filename from '{url}') to 'names.csv'"),
        ]);
    }
    lines.push(format!(
        "select file_name, num_values from parquet_metadata('{}')",
        server.signed("x.parquet")
    ));
    let done = run(&room, &lines);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_clean_all(&room, &done);
    // They name the file all the same.
    let shown = String::from_utf8(done.stdout).unwrap();
    for name in ["x.csv,7\n", "x.csv?…", "x.parquet?…"] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    assert!(shown.contains(&format!("@127.0.0.1:{}/x.csv", server.port)), "{shown}");
}

#[test]
fn what_is_told_of_a_location_lets_nobody_in() {
    let server = server();
    let room = Room::new();
    let mut lines = Vec::new();
    for url in [server.with_password("x.csv"), server.signed("x.csv"), server.signed("x.parquet")] {
        lines.extend([
            format!("describe '{url}'"),
            format!("describe select id as x from '{url}'"),
            format!("summarize '{url}'"),
            format!(".schema '{url}'"),
            format!(".estimate from '{url}'"),
            format!("explain estimate select * from '{url}' a join '{url}' b on a.id = b.id"),
            format!("explain graph from '{url}'"),
            format!("explain copy (from '{url}') to 'x.json'"),
        ]);
    }
    let done = run(&room, &lines);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_clean_all(&room, &done);
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(shown.contains("?***") && shown.contains("://***@127.0.0.1"), "{shown}");
}

#[test]
fn refusals_of_a_location_let_nobody_in() {
    let server = server();
    let room = Room::new();
    let mut lines = Vec::new();
    for url in [server.with_password("x.csv"), server.signed("x.parquet")] {
        lines.extend([
            "set query.execution.max_scan = '1B'".to_string(),
            format!("from '{url}'"),
            "set query.execution.max_scan = 'none'".into(),
            format!("select nothing from '{url}'"),
            format!("select cast(filename as int) from '{url}'"),
            format!("copy (select 1 as a) to '{url}'"),
            format!("insert into '{url}' values (1)"),
            format!("create external table t stored as json location '{url}'"),
            format!("from '{}'", url.replace("/x.", "/none.")),
            format!("from parquet_metadata('{}')", url.replace("/x.", "/none.")),
            format!("from file_list('{}')", url.replace("/x.", "/none.")),
            format!("from 's3://AKID{0}:{0}@bucket/x.csv'", planted(82)),
            format!("copy (select 1 as a) to 's3a://AKID{0}:{0}@bucket/x.csv'", planted(82)),
            format!("from 'gs://{}@bucket/x.csv'", planted(83)),
        ]);
    }
    let done = run(&room, &lines);
    assert_eq!(done.code, Some(1));
    assert_clean_all(&room, &done);
    let errors = done.stderr.matches("error: ").count();
    assert_eq!(errors, 24, "{}", done.stderr);
    assert!(done.stderr.contains("would read"), "{}", done.stderr);
    // With a result and without one: also where it would go.
    for url in [server.with_password("x.csv"), server.signed("x.parquet")] {
        let done = room.query(["-c", "select 1 as a", "--format", "csv", "-o", &url]).run();
        assert_clean("standard error", done.error(1).as_bytes());
    }
}

#[test]
fn the_catalog_shows_no_secret_of_its_statements() {
    let server = server();
    let room = Room::new();
    let lines = [
        format!("create view v as select * from '{}'", server.with_password("x.csv")),
        format!("create view w as select '{}' as value", planted(84)),
        format!("create secret s (type http, bearer_token '{}')", planted(84)),
        format!("create view u as select '{}' as value", planted(84)),
        format!("create external table t stored as parquet location '{}'", server.signed("x.parquet")),
        "select id from v".into(),
        "select id from t".into(),
        "select * from information_schema.views".into(),
        "select * from information_schema.tables".into(),
        "create view definitions as select definition || '!' as d from information_schema.views".into(),
        "from definitions".into(),
        "create table copied as select definition from information_schema.views where table_name <> 'w'"
            .into(),
        "from copied".into(),
        "show create table v".into(),
        "show create table w".into(),
        "show create table t".into(),
        "show tables".into(),
        "describe v".into(),
        "show columns from t".into(),
        ".tables".into(),
        ".schema".into(),
        ".schema v".into(),
    ];
    let done = run(&room, &lines);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_clean_all(&room, &done);
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(shown.matches("://***@127.0.0.1").count() >= 3, "{shown}");
}

#[test]
fn no_secret_lasts_in_a_project() {
    let server = server();
    let room = Room::new();
    fs::create_dir(room.path(".query")).unwrap();
    let secret =
        format!("create secret s (type http, bearer_token '{}', scope '{}')", planted(85), server.plain(""));
    for statement in [
        format!("create view v as select * from '{}'", server.with_password("x.csv")),
        format!("create view v as select * from '{}'", server.signed("x.csv")),
        format!("create external table t stored as csv location '{}'", server.with_password("x.csv")),
        format!("create external table t stored as parquet location '{}'", server.signed("x.parquet")),
        format!("create view v as select '{}' as value", planted(85)),
        format!("create view v as -- {}\n select 1 as a", planted(85)),
        format!(
            "create external table t stored as csv location 'data.csv' options ('aws.secret_access_key' '{}')",
            planted(86)
        ),
    ] {
        let done = room.query(["-c", &secret, "-c", &statement]).run();
        let error = done.error(1);
        assert!(error.contains("may hold a secret") && error.contains("CREATE SECRET"), "{error}");
        assert_clean("standard error", error.as_bytes());
        assert_clean_folder(&room.path("."));
        assert!(!room.path(".query/catalog").exists(), "{statement}");
    }
    // The way that is advised: with a secret the location lasts without it, and works the next time.
    let made = format!("create external table t stored as csv location '{}'", server.plain("x.csv"));
    assert_eq!(room.query(["-c", &secret, "-c", &made]).run().rows(), "");
    assert_clean_folder(&room.path("."));
    let error = room.sql("select id from t").error(1);
    assert!(error.contains("401"), "{error}");
    assert_eq!(room.query(["-c", &secret, "-c", "select id from t"]).run().rows(), "id\n7\n");
    // What ends with the session may have one.
    let temporary = format!("create temp view v as select id from '{}'", server.with_password("x.csv"));
    assert_eq!(room.query(["-c", &temporary, "-c", "from v"]).run().rows(), "id\n7\n");
    assert_clean_folder(&room.path("."));
}

#[test]
fn what_somebody_has_written_into_a_project_is_shown_without_its_secrets() {
    let server = server();
    let room = Room::new();
    fs::create_dir_all(room.path(".query/catalog")).unwrap();
    let write = |name: &str, text: String| room.write(&format!(".query/catalog/{name}.sql"), text);
    write("v", format!("create view v as select id, filename from '{}';", server.with_password("x.csv")));
    write("gone", format!("create view gone as from '{}';", server.signed("none.csv")));
    let lines = [
        "from v".to_string(),
        "select * from information_schema.views".into(),
        "show create table v".into(),
        "from gone".into(),
        ".tables".into(),
        ".schema".into(),
    ];
    let done = run(&room, &lines);
    assert_eq!((done.code, done.stderr.matches("error: ").count()), (Some(1), 1), "{}", done.stderr);
    assert_clean("standard output", &done.stdout);
    assert_clean("standard error", done.stderr.as_bytes());
    for file in ["record.json", "report.html"] {
        assert_clean(file, &room.bytes(file));
    }
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(shown.contains("://***@127.0.0.1") && shown.contains("/none.csv?***"), "{shown}");
}

#[test]
fn a_value_of_a_few_letters_is_withheld_by_its_own_statement_and_hides_nothing_else() {
    let room = Room::new();
    for statement in [
        "create secret s (type s3, key_id '~z9', secret '~q7', secert 'x')",
        "create secret s (type s3, key_id '~z9' secret '~q7')",
        "create secret s (type s3, key_id ~z9, secret '~q7')",
        "creat secret s (type s3, key_id '~z9', secret '~q7')",
        "explain create secret s (type s3, key_id '~z9', secret '~q7')",
        "set password '~q7'",
        "set s3_secret_access_key = '~q7'",
        "create external table t stored as csv location 'x.csv' options ('aws.secret_access_key' '~q7')",
        "create secret s (type s3,\n secret '~q7",
    ] {
        let done = room.query(["--record", "r.json", "--report", "r.html", "-c", statement]).run();
        let error = done.error(1);
        for text in [error, room.read("r.json"), room.read("r.html")] {
            assert!(!text.contains("~q7") && !text.contains("~z9"), "{text}");
        }
    }
    let sql = "create secret s (type s3, key_id 'a', secret 'of'); explain select 'a line of words' as a, 'of' as b";
    let shown = room.sql(sql).rows();
    assert!(shown.contains("a line of words") && !shown.contains("***"), "{shown}");
    let error = room.sql("create secret s (type s3, key_id 'a', secret 'of'); from 'a/of.csv'").error(1);
    assert!(
        error.starts_with("error: no such file: 'a/of.csv'\n") && error.contains("from 'a/of.csv'"),
        "{error}"
    );
}
