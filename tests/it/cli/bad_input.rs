//! Files that are not what they should be: a message that names the file and the trouble, exit code 1,
//! nothing left behind, no memory to speak of.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use super::peak::peak;
use super::*;
use crate::fixtures;

/// Peak memory of a child that refuses a file: far below any limit that a user would set.
const RSS_MAX: u64 = 700 << 20;

/// The error of reading a file whole, in one line.
#[track_caller]
fn refused(room: &Room, file: &str) -> String {
    let done = room.query(["-c", &format!("select * from '{file}'")]).run();
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    let error = done.error(1);
    assert!(error.contains(&format!("'{file}'")), "{error}");
    error.lines().next().unwrap().to_string()
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let room = Room::new();
    assert_eq!(refused(&room, "nosuch.csv"), "error: no such file: 'nosuch.csv'");
    assert_eq!(refused(&room, "*.parquet"), "error: no file matches '*.parquet'");
}

#[test]
fn an_empty_file_is_an_error_and_a_header_alone_is_not() {
    let room = Room::new();
    for file in ["x.csv", "x.tsv", "x.json", "x.parquet", "x.avro", "x.arrow"] {
        room.write(file, "");
        assert!(refused(&room, file).ends_with("cannot be read: it is empty"));
    }
    room.write("blank.json", " \n\n");
    assert!(refused(&room, "blank.json").ends_with("it is empty"));
    room.write("zipped.csv", fixtures::compressed(Vec::new(), gzip()));
    assert!(refused(&room, "zipped.csv").ends_with("it is empty"));
    room.write("header.csv", "a,b\n");
    assert_eq!(room.sql("select a, b from 'header.csv'").rows(), "a,b\n");
    room.write("none.json", "[]");
    assert!(refused(&room, "none.json").ends_with("it is empty"));
}

fn gzip() -> datafusion::datasource::file_format::file_compression_type::FileCompressionType {
    datafusion::datasource::file_format::file_compression_type::FileCompressionType::GZIP
}

#[test]
fn a_folder_without_data_is_an_error() {
    let room = Room::new();
    fs::create_dir(room.path("empty")).unwrap();
    assert_eq!(refused(&room, "empty"), "error: folder 'empty' has no data files");
    fs::create_dir(room.path("notes")).unwrap();
    room.write("notes/a.md", "text");
    let error = room.sql("from 'notes'").error(1);
    assert!(error.contains("'notes/a.md' cannot be read: its format cannot be told"), "{error}");
}

#[test]
fn damaged_parquet_is_told() {
    let room = Room::new();
    let good = fixtures::whole("parquet");
    let mut cases = vec![("cut", good[..good.len() / 2].to_vec()), ("head", b"PAR1".to_vec())];
    let mut footer = good.clone();
    let end = footer.len();
    footer[end - 40..end - 8].fill(0xff);
    cases.push(("footer", footer));
    let mut length = good.clone();
    length[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    cases.push(("length", length));
    let mut page = good.clone();
    page[4..40].fill(0xff);
    cases.push(("page", page));
    for (name, bytes) in cases {
        let file = format!("{name}.parquet");
        room.write(&file, bytes);
        refused(&room, &file);
    }
}

#[test]
fn ragged_rows_and_bytes_that_are_no_text_are_told() {
    let room = Room::new();
    room.write("short.csv", "a,b\n1,2\n3\n");
    let error = refused(&room, "short.csv");
    assert!(error.contains("line 3"), "{error}");
    room.write("long.csv", "a,b\n1,2\n3,4,5\n");
    let error = refused(&room, "long.csv");
    assert!(error.contains("line 3"), "{error}");
    room.write("latin.csv", b"a,b\n1,caf\xe9\n");
    let error = refused(&room, "latin.csv");
    assert!(error.contains("UTF-8") || error.contains("utf-8"), "{error}");
    room.write("types.json", "{\"a\": 1}\n{\"a\": {\"b\": 2}}\n");
    refused(&room, "types.json");
    room.write("broken.json", "{\"a\": 1}\n{\"a\": \n");
    refused(&room, "broken.json");
    room.write("open.json", "[{\"a\": 1}");
    assert!(refused(&room, "open.json").contains("in the middle of the JSON array"));
}

#[test]
fn a_late_value_of_another_type_is_told_with_its_place() {
    let room = Room::new();
    let mut text = String::from("a\n");
    text.extend((0..3000).map(|row| format!("{row}\n")));
    text.push_str("word\n");
    room.write("late.csv", text);
    // A query that fails late has written what came before.
    let done = room.sql("select * from 'late.csv'");
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("'late.csv' cannot be read"), "{}", done.stderr);
    assert!(done.stderr.contains("'word'") && done.stderr.contains("Int64"), "{}", done.stderr);
    let error = room.query(["-c", "select * from 'late.csv'", "-o", "out.csv"]).run().error(1);
    assert!(error.contains("late.csv"), "{error}");
    assert_eq!(room.names(), ["late.csv"]);
}

#[test]
fn a_record_that_never_ends_is_refused_before_it_is_read_whole() {
    let room = Room::new();
    let mut file = fs::File::create(room.path("long.csv")).unwrap();
    file.write_all(b"a\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..300 {
        file.write_all(&piece).unwrap();
    }
    drop(file);
    fs::copy(room.path("long.csv"), room.path("long.json")).unwrap();
    for file in ["long.csv", "long.json"] {
        let (error, rss) = refusal(&room, &format!("select count(*) from '{file}'"));
        assert!(error.contains(&format!("'{file}'")) && error.contains("query.max_row_bytes"), "{error}");
        assert!(rss < RSS_MAX, "{file}: {rss}");
    }
    let sql = "set query.max_row_bytes = '1KiB'; select * from 'short.csv'";
    room.write("short.csv", format!("a\n{}\n", "x".repeat(2000)));
    let error = room.sql(sql).error(1);
    assert!(error.contains("query.max_row_bytes (1.0 KiB)"), "{error}");
    room.write("quoted.csv", format!("a\n\"{}\"\n", "x\n".repeat(2000)));
    let error = room.sql("set query.max_row_bytes = '1KiB'; select * from 'quoted.csv'").error(1);
    assert!(error.contains("query.max_row_bytes"), "{error}");
}

#[test]
fn a_small_file_that_unpacks_to_a_huge_record_is_refused() {
    let room = Room::new();
    let chunk = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let chunks = futures::stream::iter((0..2048).map(move |_| Ok(chunk.clone())));
    let packed = gzip().convert_to_compress_stream(futures::StreamExt::boxed(chunks)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let packed: Vec<u8> = runtime.block_on(async {
        use futures::StreamExt;
        packed.map(|chunk| chunk.unwrap().to_vec()).concat().await
    });
    assert!(packed.len() < 16 << 20, "{}", packed.len());
    room.write("bomb.csv.gz", packed);
    let (error, rss) = refusal(&room, "select count(*) from 'bomb.csv.gz'");
    assert!(error.contains("query.max_row_bytes"), "{error}");
    assert!(rss < RSS_MAX, "{rss}");
}

/// The error of a query and the most memory that its process held.
fn refusal(room: &Room, sql: &str) -> (String, u64) {
    let (most, done) = peak(room.query(["-c", sql]).stdout_to("/dev/null"));
    (done.error(1), most)
}

#[test]
fn a_format_that_nobody_knows_is_told() {
    let room = Room::new();
    room.write("x.xyz", "hello");
    assert!(refused(&room, "x.xyz").contains("its format cannot be told"));
    room.write("x.parquet", "a,b\n1,2\n");
    refused(&room, "x.parquet");
    room.write("x.parquet", fixtures::compressed(fixtures::whole("parquet"), gzip()));
    assert!(refused(&room, "x.parquet").contains("through another compression"));
}

#[test]
fn a_file_that_the_user_may_not_read_is_told() {
    let room = Room::new();
    room.write("secret.csv", "a\n1\n");
    fs::set_permissions(room.path("secret.csv"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(room.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    // The administrator may read everything, so there the child is somebody else.
    let mut query = room.query(["-c", "select * from 'secret.csv'"]);
    if fs::read(room.path("secret.csv")).is_ok() {
        let binary = room.path("query");
        // By a child: a file that this process wrote may still be open in a child of another test, and is "busy" then.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_query")).arg(&binary).status().unwrap();
        assert!(copied.success());
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(&binary);
        command.args(["-c", "select * from 'secret.csv'"]).current_dir(room.0.path()).uid(65534).gid(65534);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        query.command = command;
    }
    let error = query.run().error(1);
    assert!(error.starts_with("error: 'secret.csv' cannot be read: "), "{error}");
    assert!(error.to_lowercase().contains("permission denied"), "{error}");
    assert!(!error.contains("LocalFileSystem") && !error.contains("os error"), "{error}");
}

#[test]
fn a_full_disk_is_told_and_leaves_the_old_file() {
    let room = Room::new();
    room.write("out.csv", "old\n");
    let sql = "select value, md5(value::text) as m from generate_series(1, 1000000)";
    for args in [vec!["-c", sql, "-o", "out.csv"], vec!["-c", "copy (select 1) to 'out.csv'"]] {
        let mut query = room.query(args.clone());
        if args.len() > 2 {
            limit_file_size(&mut query.command, 1 << 20);
            let error = query.run().error(1);
            assert!(error.contains("'out.csv'"), "{error}");
            assert_eq!(room.read("out.csv"), "old\n");
            assert_eq!(room.names(), ["out.csv"]);
        } else {
            assert_eq!(query.run().code, Some(0));
        }
    }
}

#[expect(unsafe_code, reason = "a limit for a child can only be set in it, before it runs")]
fn limit_file_size(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

#[test]
fn data_on_a_pipe_is_read_once_and_may_be_used_twice() {
    let room = Room::new();
    let sql = "select count(*) as n, sum(a.id) as s from '/dev/stdin' a join '/dev/stdin' b on a.id = b.id";
    for format in ["csv", "tsv", "lines", "array", "parquet", "avro", "arrow", "stream"] {
        let done = room.query(["-c", sql]).input(fixtures::whole(format)).run();
        assert_eq!(done.rows(), "n,s\n5,15\n", "{format}");
    }
    let packed = fixtures::compressed(fixtures::whole("csv"), gzip());
    assert_eq!(room.query(["-c", sql]).input(packed).run().rows(), "n,s\n5,15\n");
    let error = room.query(["-c", "from '/dev/stdin'"]).input("").run().error(1);
    assert!(error.contains("'/dev/stdin' cannot be read: it is empty"), "{error}");
}

#[test]
fn a_table_may_have_the_name_of_a_folder() {
    let room = Room::new();
    fs::create_dir(room.path("t")).unwrap();
    room.write("t/x.csv", "b\n7\n");
    let sql = "create table t as select 1 as a; select a from t; drop table t; create view t as select 2 as c; from t";
    assert_eq!(room.sql(sql).rows(), "a\n1\nc\n2\n");
    assert_eq!(room.sql("from 't'").rows(), "b\n7\n");
}

#[test]
fn a_value_of_another_type_is_told_by_its_row() {
    let room = Room::new();
    let lines: String = (1..=1500).map(|n| format!("{n},x\n")).collect();
    room.write("late.csv", format!("a,b\n{lines}none,y\n"));
    assert_eq!(
        refused(&room, "late.csv"),
        "error: 'late.csv' cannot be read: 'none' in column 1 is no Int64; the row is [none,y]"
    );
    room.write("numbers.json", "[1, 2]");
    assert_eq!(
        refused(&room, "numbers.json"),
        "error: 'numbers.json' cannot be read: its records have to be JSON objects, and one is not (number)"
    );
    room.write("mixed.json", "{\"a\": {\"b\": 1}}\n{\"a\": 3}\n");
    assert_eq!(
        refused(&room, "mixed.json"),
        "error: 'mixed.json' cannot be read: a field holds objects or lists in some records, and other values \
         in others"
    );
}

#[test]
fn two_columns_of_one_name_are_told_in_every_format() {
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    let field = || Field::new("a", DataType::Int64, true);
    let column = |value| std::sync::Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let schema = std::sync::Arc::new(Schema::new(vec![field(), field()]));
    let rows = RecordBatch::try_new(schema, vec![column(1), column(2)]).unwrap();
    let room = Room::new();
    for format in ["parquet", "arrow", "csv"] {
        let file = format!("twice.{format}");
        room.write(&file, fixtures::encoded(&rows, format));
        assert_eq!(
            refused(&room, &file),
            format!("error: '{file}' cannot be read: two columns are named 'a'")
        );
    }
}

#[test]
fn a_csv_file_of_very_many_columns_takes_little_memory() {
    let room = Room::new();
    let line = |text: &dyn Fn(usize) -> String| (0..10_000).map(text).collect::<Vec<_>>().join(",");
    room.write("wide.csv", format!("{}\n{}\n", line(&|n| format!("c{n}")), line(&|n| n.to_string())));
    let query = room.query(["-c", "select c9999 from 'wide.csv'", "-o", "last.csv"]);
    let (most, done) = super::peak::peak(query);
    done.rows();
    assert_eq!(room.read("last.csv"), "c9999\n9999\n");
    assert!(most < RSS_MAX, "{most} bytes");
}
