//! `query FILE`: a shell on the file on a terminal, its rows anywhere else.

use std::process::{Command, Stdio};

use super::Room;

/// Runs the command without a terminal; gives exit code, standard output, standard error.
fn run(room: &Room, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query"));
    command.args(args).current_dir(room.path("")).stdin(Stdio::null()).env_remove("NO_COLOR");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn room() -> Room {
    let room = Room::new();
    room.write("sales.csv", "region,amount\nnorth,1\nsouth,2\n");
    std::fs::create_dir(room.path("many")).unwrap();
    room.write("many/a.csv", "n\n1\n");
    room.write("many/b.csv", "n\n2\n");
    room.write("order.csv", "x\n1\n");
    room.write("report.sql", "select 1 as a;");
    room
}

#[test]
fn a_file_opens_in_a_shell() {
    let room = room();
    let mut shell = room.start(&["sales.csv"], &[]);
    insta::assert_snapshot!(shell.line("select sum(amount) as total from sales;"));
}

#[test]
fn a_pattern_and_a_name_that_sql_keeps_are_called_data() {
    let room = room();
    let mut shell = room.start(&["many/*.csv"], &[]);
    let screen = shell.line("select sum(n) as total from data;");
    assert!(screen.contains("table data is 'many/*.csv'") && screen.contains("│     3 │"), "{screen}");
    let mut shell = room.start(&["order.csv"], &[]);
    let screen = shell.line("from data;");
    assert!(screen.contains("table data is 'order.csv'") && screen.contains("│ x │"), "{screen}");
    let mut shell = room.start(&["many"], &[]);
    let screen = shell.line("select count(*) as files from many;");
    assert!(screen.contains("│     2 │"), "{screen}");
}

#[test]
fn without_a_terminal_the_rows_are_written() {
    let room = room();
    let rows = "region,amount\nnorth,1\nsouth,2\n";
    assert_eq!(run(&room, &["sales.csv"]), (Some(0), rows.into(), String::new()));
    let json = run(&room, &["sales.csv", "--format", "ndjson"]);
    assert_eq!(json.1, "{\"region\":\"north\",\"amount\":1}\n{\"region\":\"south\",\"amount\":2}\n");
    assert_eq!(run(&room, &["sales.csv", "-o", "copy.csv"]), (Some(0), String::new(), String::new()));
    assert_eq!(room.read("copy.csv"), rows);
    let (code, out, _) = run(&room, &["many"]);
    assert_eq!((code, out.lines().count()), (Some(0), 3));
}

#[test]
fn sql_may_go_with_the_file() {
    let room = room();
    let done = run(&room, &["sales.csv", "-c", "select max(amount) as most from sales"]);
    assert_eq!(done, (Some(0), "most\n2\n".into(), String::new()));
}

#[test]
fn words_that_are_no_data_are_refused() {
    let room = room();
    let error = |args: &[&str]| {
        let (code, out, error) = run(&room, args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {error}");
        error
    };
    assert_eq!(
        error(&["report.sql"]),
        "error: 'report.sql' is SQL, not data\nhelp: run it with `query run report.sql`\n"
    );
    assert_eq!(error(&["missing.csv"]), "error: no such file: 'missing.csv'\n");
    assert_eq!(
        error(&["rnu"]),
        "error: 'rnu' is neither a command nor a data file\nhelp: did you mean `run`?\n"
    );
    assert!(error(&["sales.csv", "order.csv"]).contains("quote a pattern"));
}

#[test]
fn commands_work_in_an_argument() {
    let room = room();
    let done = run(&room, &["sales.csv", "-c", ".tables", "-c", ".mode json\nselect 1 as a;"]);
    assert_eq!(done, (Some(0), "schema,name,kind\npublic,sales,view\n[{\"a\":1}]\n".into(), String::new()));
    let (code, out, error) = run(&room, &["-c", ".tabels"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(error, "error: unknown command '.tabels'\nhelp: did you mean '.tables'?\n");
}

#[test]
fn help_fits_a_screen() {
    let room = Room::new();
    let (code, out, _) = run(&room, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.lines().count() <= 40, "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let (code, out, _) = run(&room, &["--version"]);
    assert_eq!((code, out), (Some(0), format!("query {}\n", env!("CARGO_PKG_VERSION"))));
}
