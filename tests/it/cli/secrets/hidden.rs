//! Values of secrets are planted wherever a user may write one, in statements that go well and statements that fail, and
//! looked for in all that the program leaves.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use super::super::{Done, Room};

/// What is in each value, more than once: a part of one is found too.
const MARK: &str = "PLANT";

/// A value that nothing else has.
pub(super) fn planted(number: usize) -> String {
    // Before the `@` of a URL a slash begins the path.
    let slash = if matches!(number, 32 | 37 | 80..) { '-' } else { '/' };
    format!("{MARK}{number:02}a{slash}{MARK}{number:02}b+{MARK}{number:02}c")
}

/// The script, with `{1}` for the first value and `{server}` for a server.
const SCRIPT: &str = r#"
create secret s3a (type s3, key_id '{1}', secret '{2}', session_token '{3}', region 'eu-west-1', url_style 'path',
    endpoint '{server}', use_ssl false, scope 's3://lake');
create secret g1 (type gcs, scope 'gs://one', endpoint '{server}', service_account
    '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\n{4}\n-----END PRIVATE KEY-----\n",
      "private_key_id": "{5}", "client_email": "a@b.c"}');
create secret g2 (type gcs, bearer_token '{6}', scope 'gs://two', endpoint '{server}');
create secret g3 (type gcs, key_id '{7}', secret '{8}', scope 'gs://three', endpoint '{server}');
create secret a1 (type azure, account_name 'acc', account_key '{9}==', scope 'az://one', endpoint '{server}');
create secret a2 (type azure, account_name 'acc', sas_token 'sv=2024-01-01&sig={10}%2B%3D', scope 'az://two',
    endpoint '{server}');
create secret a3 (type azure, scope 'az://three', endpoint '{server}', connection_string
    'DefaultEndpointsProtocol=https;AccountName=acc;AccountKey={11}==;EndpointSuffix=x');
create secret h1 (type http, bearer_token '{12}', scope '{server}/one');
create secret h2 (type http, scope '{server}/two',
    extra_http_headers map {'Authorization': 'Bearer {13}', 'X-Key': '{14}'});
create secret p1 (type s3, key_id $plain, secret $s3_secret, scope 's3://parameters');
create secret scoped (type http, bearer_token '{36}', scope 'https://user:{36}@127.0.0.1/');
create secret twice (type http, bearer_token '{15}');
create secret twice (type http, bearer_token '{16}');

create secret f1 (type s3, secert '{17}');
create secret f2 (type s4, secret '{18}');
create secret f3 (type s3, secret {19} more);
create secret f4 type s3, secret '{20}';
creat secret f5 (type s3, secret '{21}');
create persistent secret f6 (type s3, secret '{22}');
explain create secret f7 (type s3, key_id 'x', secret '{23}');
prepare p as create secret f8 (type s3, secret '{24}');
create secret f9 (type s3, key_id '{25}');
set s3_secret_access_key = '{26}';
create external table t stored as csv location 'data.csv' options ('aws.secret_access_key' '{27}');

from 'https://user:{28}@127.0.0.1:1/x.csv';
from '{server_with_user}/x.csv';
from 'https://127.0.0.1:1/x.parquet?sv=1&sig={29}&se=2';
from 's3://lake/x.parquet?X-Amz-Signature={30}&X-Amz-Security-Token={31}';
copy (select 1 as a) to 'https://{32}@127.0.0.1:1/x.csv';
from 's3://lake/x.csv';
from '{server}/one/x.csv';
from '{server}/two/x.csv';

select count(*) from 'data.csv' where name <> '{2}';
explain select * from 'data.csv' where name <> '{2}' and name <> $s3_secret;
explain format tree select * from 'data.csv' where name <> '{14}';
explain verbose select * from 'data.csv' where name <> '{5}';
explain analyze select * from 'data.csv' where name <> '{10}%2B%3D';
explain graph select * from 'data.csv' where name <> '{11}==';
explain analyze graph select * from 'data.csv' where name <> '{1}';
describe select '{2}';
select cast('{2}' as int);
-- From the configuration file, the environment, a URL: nothing here says that they are secrets.
select cast('{51}' as int);
select cast('{53}' as int);
select cast('{71}' as int);
select cast('{37}' as int);
select cast(name || '{2}' as int) from 'data.csv';
select "{1}" from 'data.csv' where password = '{2}' and name = '{8}' || nothing;
show secrets;
show all;
create secret f10 (type s3, secret '{35}
"#;

fn filled(text: &str, server: &str) -> String {
    let user = format!("://user:{}@", planted(37));
    let text = text.replace("{server_with_user}", &server.replace("://", &user));
    let text = text.replace("{server}", server);
    (1..100).fold(text, |text, number| text.replace(&format!("{{{number}}}"), &planted(number)))
}

/// A server that tells everybody what he has said, as an error.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = [0; 16 << 10];
                let length = stream.read(&mut head).unwrap_or(0);
                let said = String::from_utf8_lossy(&head[..length]).replace("\r\n", " ");
                let body = format!("<Error><Code>Forbidden</Code><Message>{said}</Message></Error>");
                let head =
                    format!("HTTP/1.1 403 No\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())));
            });
        }
    });
    url
}

/// A folder with data, and a configuration file and a script of planted values.
fn room(server: &str) -> Room {
    let room = Room::new();
    room.write("data.csv", "id,name\n1,a\n2,b\n");
    let config = "[secrets.c1]\ntype = 's3'\nkey_id = '{50}'\nsecret = '{51}'\nscope = 's3://config'\n\
                  [secrets.c2]\ntype = 'http'\nbearer_token = '{52}'\nscope = 'http://config'\n\
                  [secrets]\nc3 = { type = 'http', scope = 'http://c3', extra_http_headers = { A = '{53}' } }\n";
    room.write("config.toml", filled(config, server));
    fs::set_permissions(room.path("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    room.write("script.sql", filled(SCRIPT, server));
    room
}

/// Runs the command with planted values in its environment and its parameters.
fn run(room: &Room, args: &[&str]) -> Done {
    let parameters = [format!("plain={}", planted(60)), format!("s3_secret={}", planted(61))];
    let mut all = vec!["--config", "config.toml"];
    let uses_parameters = args.contains(&"script.sql");
    for parameter in parameters.iter().filter(|_| uses_parameters) {
        all.extend(["--param", parameter]);
    }
    all.extend(args);
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ];
    let mut query = room.query(all);
    for (number, variable) in variables.into_iter().enumerate() {
        query = query.env(variable, &planted(70 + number));
    }
    query.run()
}

/// Fails if a text has a planted value or a part of one, in whatever form.
#[track_caller]
pub(super) fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // `user:` and the beginning of values 37 and 80, as web servers are told them.
    let is_told = text.contains("dXNlcjpQTEFOVDM3") || text.contains("dXNlcjpQTEFOVDgw");
    assert!(!is_told, "{what} tells a name and a password");
    let found = text.to_uppercase().find(MARK).map(|at| {
        let start = (0..=at.saturating_sub(150)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text[start..].chars().take(300).collect::<String>()
    });
    assert!(found.is_none(), "{what} tells a secret: … {}", found.unwrap_or_default());
}

/// All files of a folder and of those in it, but for the inputs.
pub(super) fn assert_clean_folder(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        assert_clean("a name", path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            assert_clean_folder(&path);
        } else if !path.ends_with("script.sql") && !path.ends_with("config.toml") {
            assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

#[test]
fn planted_values_are_nowhere_in_what_a_session_leaves() {
    let room = room(&echo());
    let files = ["--record", "record.json", "--trace", "trace.json", "--report", "report.html"];
    let args =
        ["--keep-going", "--progress", "on", "-f", "script.sql", "-c", ".why", "-c", ".report why.html"];
    let done = run(&room, &[&files[..], &args].concat());
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_clean("standard output", &done.stdout);
    assert_clean("standard error", done.stderr.as_bytes());
    assert_clean_folder(&room.path("."));
    // They were there, and were taken out.
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(shown.matches("***").count() >= 8, "{shown}");
    assert!(done.stderr.matches("***").count() >= 20, "{}", done.stderr);
    for made in ["record.json", "trace.json", "report.html", "why.html"] {
        assert!(room.path(made).exists(), "{made}: {}", done.stderr);
    }
    let record = room.read("record.json");
    assert!(
        record.contains("\"sql_withheld\": true") && record.contains("withheld: it may hold"),
        "{record}"
    );
}

#[test]
fn what_is_given_as_a_parameter_is_hidden_before_anything_runs() {
    let room = Room::new();
    let (named, used) = (format!("api_token={}", planted(62)), format!("plain={}", planted(63)));
    let statements = ["select cast($api_token as int)", "select cast($plain as int)"];
    let secret = "create secret s (type s3, key_id $plain, secret $plain)";
    let given = ["--keep-going", "--param", &named, "--param", &used];
    let args = [&given[..], &["-c", statements[0], "-c", statements[1], "-c", secret]].concat();
    let done = room.query(args).run();
    assert_eq!((done.code, done.stderr.matches("***").count()), (Some(1), 2), "{}", done.stderr);
    assert_clean("standard error", done.stderr.as_bytes());
}

#[test]
fn credentials_that_are_found_later_are_in_nothing_that_was_noted_before() {
    let room = Room::new();
    fs::create_dir(room.path(".aws")).unwrap();
    let keys =
        format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", planted(64), planted(65));
    room.write(".aws/credentials", keys);
    let before = format!("select count(*) as n, '{}' as a", planted(65));
    let after = "from 's3://nowhere/x.csv'";
    let files = ["--record", "record.json", "--trace", "trace.json", "--report", "report.html"];
    let query = room.query([&["--keep-going", "-c", &before, "-c", after], &files[..]].concat());
    let home = room.path("").display().to_string();
    let query = query.env("HOME", &home).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let done = query.env("AWS_EC2_METADATA_DISABLED", "true").run();
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_clean("standard error", done.stderr.as_bytes());
    for file in ["record.json", "trace.json", "report.html"] {
        assert_clean(file, &room.bytes(file));
    }
    assert!(room.read("record.json").contains("'***' as a"), "{}", room.read("record.json"));
}

#[test]
fn planted_values_are_in_no_picture() {
    let room = room(&echo());
    let sql = filled(
        "create secret s (type s3, key_id '{1}', secret '{2}'); \
         select id, name || '{2}' as x from 'data.csv' where name <> '{2}' order by name || '{1}'",
        "",
    );
    for format in ["text", "dot", "svg"] {
        let drawn = run(&room, &["graph", "-c", &sql, "--format", format]).rows();
        assert_clean(format, drawn.as_bytes());
        assert!(drawn.contains("***"), "{drawn}");
        assert_eq!(run(&room, &["graph", "-c", &sql, "-o", "g", "--format", format]).rows(), "");
        assert_clean(format, &room.bytes("g"));
    }
}

#[test]
fn values_in_the_configuration_file_are_in_no_message_about_it() {
    let room = room(&echo());
    for (wrong, right) in [("key_id", "key_di"), ("= 's3'", "= 's4'"), ("'{51}'", "{51}"), ("{52}'", "{52}")]
    {
        let (wrong, right) = (filled(wrong, ""), filled(right, ""));
        let config = room.read("config.toml");
        room.write("config.toml", config.replacen(&wrong, &right, 1));
        let error = run(&room, &["-c", "select 1"]).error(2);
        assert_clean("standard error", error.as_bytes());
        room.write("config.toml", config);
    }
}
