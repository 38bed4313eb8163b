//! Scripts: which inputs run, in which order, what stops them, and what goes to which stream.

use super::{Room, sql};

#[test]
fn a_later_file_sees_the_tables_of_an_earlier_one() {
    let room = Room::new();
    room.write("make.sql", "create table t as select 1 as a;\n");
    room.write("use.sql", "select a + 1 as b from t");
    assert_eq!(room.query(["run", "make.sql", "use.sql"]).run().rows(), "b\n2\n");
    let error = room.query(["run", "use.sql", "make.sql"]).run().error(1);
    assert!(error.contains("table 't' does not exist"), "{error}");
}

#[test]
fn commands_and_files_run_in_the_order_of_the_command_line() {
    let room = Room::new();
    room.write("two.sql", "select a + 1 as two from t");
    room.write("four.sql", "select a + 3 as four from t");
    let args = ["-c", "create table t as select 1 as a", "-f", "two.sql"];
    let more = ["-c", "select a + 2 as three from t", "--file", "four.sql", "--command", "select 5 as five"];
    let done = room.query(args.into_iter().chain(more)).run();
    assert_eq!(done.rows(), "two\n2\nthree\n3\nfour\n4\nfive\n5\n");
}

#[test]
fn one_command_may_hold_several_statements() {
    assert_eq!(sql("select 1 as a; select 2 as b;").rows(), "a\n1\nb\n2\n");
}

#[test]
fn a_dash_or_a_bare_pipe_is_standard_input() {
    let room = Room::new();
    for args in [&[][..], &["-f", "-"], &["run", "-"]] {
        assert_eq!(room.query(args).input("select 5 as five").run().rows(), "five\n5\n", "{args:?}");
    }
    let args = ["-c", "select 1 as one", "-f", "-", "-c", "select 9 as nine"];
    assert_eq!(room.query(args).input("select 5 as five").run().rows(), "one\n1\nfive\n5\nnine\n9\n");
}

#[test]
fn standard_input_is_left_alone_when_it_was_not_asked_for() {
    let done = Room::new().query(["-c", "select 1 as a"]).input("select 2 as b").run();
    assert_eq!(done.rows(), "a\n1\n");
}

#[test]
fn marks_inside_strings_names_and_comments_end_no_statement() {
    let script = "\
        select ';--' as a, 'it''s; ok' as b; -- no; end\n\
        select 2 /* ; /* ; */ ; */ as c;\n\
        select $$x;y--z$$ as d; select $t$ ; $$ ; $t$ as e;\n\
        select \"f;--\" from (select 3 as \"f;--\");\n\
        select 4 as g -- the last one needs no semicolon";
    let rows = Room::new().query(["-f", "-"]).input(script).run().rows();
    assert_eq!(rows, "a,b\n;--,it's; ok\nc\n2\nd\nx;y--z\ne\n ; $$ ; \nf;--\n3\ng\n4\n");
}

#[test]
fn a_script_without_statements_does_nothing() {
    for script in ["", "\n", ";;\n ;", "-- nothing; here", "/* nor; here */", "\u{feff}"] {
        assert_eq!(Room::new().query(["-f", "-"]).input(script).run().rows(), "", "{script:?}");
    }
    assert_eq!(sql("").rows(), "");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_sql() {
    let room = Room::new();
    room.write("bom.sql", "\u{feff}select 1 as a");
    assert_eq!(room.query(["run", "bom.sql"]).run().rows(), "a\n1\n");
}

#[test]
fn text_that_is_not_utf_8_is_refused_before_anything_runs() {
    let room = Room::new();
    room.write("latin.sql", b"select 1 as a;\nselect '\xe9' as b;\n");
    let error = room.query(["run", "latin.sql"]).run().error(1);
    assert_eq!(error, "error: could not read 'latin.sql': line 2 is not UTF-8 text\n");
    let error = room.query(["-f", "-"]).input(&b"select '\xff'"[..]).run().error(1);
    assert_eq!(error, "error: could not read '<standard input>': line 1 is not UTF-8 text\n");
}

#[test]
fn a_missing_script_is_known_before_anything_runs() {
    let room = Room::new();
    let args = ["-c", "copy (select 1 as a) to 'ran.csv'", "-f", "missing.sql"];
    let error = room.query(args).run().error(1);
    assert!(error.starts_with("error: could not read 'missing.sql': No such file or directory"), "{error}");
    assert!(room.names().is_empty());
}

#[test]
fn a_folder_is_no_script() {
    let room = Room::new();
    std::fs::create_dir(room.path("folder.sql")).unwrap();
    let error = room.query(["run", "folder.sql"]).run().error(1);
    assert!(error.starts_with("error: could not read 'folder.sql': Is a directory"), "{error}");
}

#[test]
fn the_first_error_ends_the_script() {
    let room = Room::new();
    let script = "select 1 as a; select nope; copy (select 2 as b) to 'ran.csv'";
    let (rows, error) = room.query(["-c", script, "-c", "select 3 as c"]).run().both(1);
    assert_eq!(rows, "a\n1\n");
    assert!(error.contains("column 'nope' does not exist"), "{error}");
    assert!(room.names().is_empty());
}

#[test]
fn keep_going_goes_on_and_still_fails() {
    let script = "select 1 as a; select nope; selec 2; select 1 / 0; select 2 as b; select 'open";
    let room = Room::new();
    let (rows, error) = room.query(["--keep-going", "-c", script, "-c", "select 3 as c"]).run().both(1);
    assert_eq!(rows, "a\n1\nb\n2\nc\n3\n");
    let first_lines: Vec<_> = error.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = [
        "error: column 'nope' does not exist",
        "error: expected an SQL statement, found selec",
        "error: division by zero",
        "error: unterminated string literal",
    ];
    assert_eq!(first_lines, expected);
}

#[test]
fn a_later_statement_that_does_not_parse_lets_the_earlier_ones_run() {
    for wrong in ["selec 2", "select 'open", "select (2", "select /* open"] {
        let (rows, error) = sql(&format!("select 1 as a; {wrong}")).both(1);
        assert_eq!(rows, "a\n1\n", "{wrong}");
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn what_failed_half_way_has_printed_what_it_had() {
    // The failing row is one of many batches, so that some were out when it failed.
    let done = sql("select 1 / (value - 1500000) as x from generate_series(1, 3000000)");
    let (rows, error) = done.both(1);
    assert!(error.starts_with("error: division by zero"), "{error}");
    let lines = rows.lines().count();
    assert!(rows.starts_with("x\n") && lines > 1 && lines < 3_000_000, "{lines} lines");
}

#[test]
fn misuse_exits_with_2_and_says_what_is_wrong() {
    let room = Room::new();
    room.write("a.sql", "select 1 as a");
    let calls: [(&[&str], &str); 13] = [
        (&["--nope"], "'--nope'"),
        (&["--format", "yaml", "-c", "select 1"], "'yaml'"),
        (&["run", "a.sql", "-c", "select 1"], "'-c'"),
        (&["-c", "select 1", "run", "a.sql"], "`run` cannot be combined with -c or -f"),
        (&["run"], "<FILE>"),
        (&["-c"], "--command"),
        (&["-f"], "--file"),
        (&["-f", "-", "-f", "-"], "standard input can be read only once"),
        (&["run", "-", "-"], "standard input can be read only once"),
        (&["nonsense"], "'nonsense'"),
        (&["--max-rows", "many", "-c", "select 1"], "'many'"),
        (&["--color", "sometimes", "-c", "select 1"], "'sometimes'"),
        (&["-c", "select 1", "-o"], "--output"),
    ];
    for (args, named) in calls {
        let error = room.query(args).run().error(2);
        assert!(error.starts_with("error: ") && error.contains(named), "{args:?}: {error}");
    }
}

#[test]
fn an_unknown_format_is_answered_with_the_known_ones() {
    let error = Room::new().query(["--format", "yaml", "-c", "select 1"]).run().error(2);
    for name in ["table", "csv", "tsv", "json", "ndjson", "markdown", "line", "parquet", "arrow"] {
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn help_and_version_are_data() {
    let room = Room::new();
    assert!(room.query(["--help"]).run().rows().contains("--keep-going"));
    assert!(room.query(["run", "--help"]).run().rows().contains("FILE"));
    assert_eq!(room.query(["--version"]).run().rows(), format!("query {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn remarks_go_to_standard_error_and_data_alone_to_standard_output() {
    let script = "copy (select 1 as a union all select 2) to 'out.csv'; create table t as select 1 as a;
        insert into t values (2); insert into t select 3 where false; select sum(a) as n from t";
    let room = Room::new();
    let (rows, remarks) = room.sql(script).both(0);
    assert_eq!(rows, "n\n3\n");
    assert_eq!(remarks, "2 rows written\n1 row written\n0 rows written\n");
    for quiet in ["--quiet", "-q"] {
        assert_eq!(room.query([quiet, "-c", script]).run().rows(), "n\n3\n");
    }
}

#[test]
fn errors_are_not_quiet() {
    let error = Room::new().query(["--quiet", "-c", "select nope"]).run().error(1);
    assert!(error.contains("column 'nope' does not exist"), "{error}");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let room = Room::new();
    for format in ["csv", "tsv", "json", "ndjson", "markdown", "line", "parquet", "arrow"] {
        // More than a pipe and all buffers hold, so the writer must notice.
        let args = ["--format", format, "-c", "select value from generate_series(1, 3000000)"];
        let done = room.query(args).start().read_and_close(1).wait();
        assert_eq!((done.code, done.signal, done.stderr.as_str()), (Some(0), None, ""), "{format}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_statements_that_follow() {
    let room = Room::new();
    let big = "select value from generate_series(1, 3000000)";
    let args = ["--keep-going", "-c", big, "-c", "copy (select 1 as a) to 'ran.csv'"];
    let done = room.query(args).start().read_and_close(1).wait();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    assert!(room.names().is_empty());
}

#[test]
fn a_full_device_is_an_error() {
    let room = Room::new();
    for format in ["table", "csv", "tsv", "json", "ndjson", "markdown", "line", "parquet", "arrow"] {
        for rows in ["1", "300000"] {
            // The table is drawn at its end, one row shows it as well as many.
            let rows = if format == "table" { "1" } else { rows };
            let sql = format!("select value from generate_series(1, {rows})");
            let error = room.query(["--format", format, "-c", &sql]).stdout_to("/dev/full").run().error(1);
            assert!(
                error.starts_with("error: could not write the standard stream: No space left"),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn colours_come_when_asked_for_and_never_into_a_pipe_by_themselves() {
    let room = Room::new();
    let wrong = ["-c", "select nope"];
    let coloured = |error: String| error.contains('\u{1b}');
    assert!(!coloured(room.query(wrong).run().error(1)));
    assert!(coloured(room.query(wrong).env("CLICOLOR_FORCE", "1").run().error(1)));
    let both = room.query(wrong).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").run().error(1);
    assert!(!coloured(both));
    let args = ["--color", "always", "-c", "select nope"];
    assert!(coloured(room.query(args).env("NO_COLOR", "1").run().error(1)));
    let args = ["--color", "never", "-c", "select nope"];
    assert!(!coloured(room.query(args).env("CLICOLOR_FORCE", "1").run().error(1)));
}

#[test]
fn a_value_may_start_like_a_flag() {
    let room = Room::new();
    assert_eq!(room.query(["-c", "-- nothing but a comment"]).run().rows(), "");
    assert_eq!(room.query(["-c", "-- first\nselect 1 as a"]).run().rows(), "a\n1\n");
    let error = room.query(["--memory-limit", "-5MB", "-c", "select 1"]).run().error(2);
    assert!(error.starts_with("error: '-5MB' is not a limit of memory\n"), "{error}");
}

#[test]
fn messages_of_the_system_are_without_numbers() {
    let error = Room::new().query(["run", "nosuch.sql"]).run().error(1);
    assert_eq!(error, "error: could not read 'nosuch.sql': No such file or directory\n");
}
