//! Ctrl-C: at the prompt, in a query, while something is written.

use super::{CTRL_C, Room, Shell};

/// Runs for hours.
const ENDLESS: &str = "select count(*) from generate_series(1, 1000000000) a (x), generate_series(1, 1000000000) b (y) where x % 7 = y % 11";

fn interrupt(shell: &mut Shell, statement: &str) {
    shell.send(&format!("{statement};\r"));
    shell.runs();
    shell.send(CTRL_C);
    let screen = shell.ready(1);
    assert!(screen.contains("interrupted"), "{screen}");
}

#[test]
fn a_line_that_is_not_wanted_is_not_run() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send("select 'first\r");
    shell.send("line");
    shell.send(CTRL_C);
    shell.ready(1);
    insta::assert_snapshot!(shell.line("select 2 as second;"));
}

#[test]
fn a_query_is_stopped_and_the_session_lives() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.line("create table kept as select 42 as answer;");
    for _ in 0..3 {
        interrupt(&mut shell, ENDLESS);
    }
    let screen = shell.line("select answer + 1 as next from kept;");
    assert!(screen.contains("│   43 │"), "{screen}");
}

#[test]
fn statements_behind_a_stopped_one_do_not_run() {
    let room = Room::new();
    let mut shell = room.shell();
    interrupt(&mut shell, &format!("{ENDLESS}; select 'never' || ' shown' as x; select 2"));
    let screen = shell.screen();
    assert!(screen.contains("2 statements after it were not run"), "{screen}");
    assert!(!screen.contains("never shown"), "{screen}");
}

#[test]
fn output_ends_with_the_query() {
    let room = Room::new();
    let mut shell = room.start(&["--format", "csv"], &[]);
    shell.send("select value from generate_series(1, 1000000000);\r");
    shell.until("many rows", |seen| seen.bytes.len() > 100_000);
    shell.send(CTRL_C);
    shell.ready(1);
    let after = shell.line("select 1 as quiet;");
    assert!(after.ends_with("quiet\n1\n1 row\nquery>"), "{after}");
}

#[test]
fn a_stopped_copy_leaves_the_old_file_and_no_trace() {
    let room = Room::new();
    room.write("out.csv", "old\n");
    let mut shell = room.shell();
    let endless = "select value from generate_series(1, 100000000000)";
    shell.send(&format!("copy ({endless}) to 'out.csv';\r"));
    shell.runs();
    while !room.names().iter().any(|name| name.contains("staging")) {
        std::thread::sleep(super::POLL);
    }
    shell.send(CTRL_C);
    shell.ready(1);
    shell.line(".output out.csv");
    interrupt(&mut shell, endless);
    shell.line(".quit-no-such-command");
    shell.send(super::CTRL_D);
    assert_eq!(shell.ends(), 0);
    assert_eq!(room.names(), ["out.csv"]);
    assert_eq!(room.read("out.csv"), "old\n");
}

#[test]
fn what_was_signalled_before_a_query_does_not_stop_it() {
    let room = Room::new();
    let mut shell = room.shell();
    shell.send(CTRL_C);
    shell.ready(1);
    shell.signal(libc::SIGINT);
    shell.ready(1);
    let screen = shell.line("select 1 as ran;");
    assert!(screen.contains("│ ran │"), "{screen}");
}

#[test]
fn a_stopped_query_can_be_asked_about() {
    let room = Room::new();
    let mut shell = room.shell();
    // It has run for a while when the line comes that says how far it is.
    shell.send(&format!("{ENDLESS};\r"));
    shell.shows("[Tab] graph");
    shell.send(CTRL_C);
    shell.ready(1);
    let screen = shell.line("\\why");
    assert!(screen.contains("it did not come to its end: the statement was stopped"), "{screen}");
    assert!(screen.contains("slowest operator") || screen.contains("pairs of rows"), "{screen}");
}
